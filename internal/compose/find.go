package compose

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
	"github.com/keepmum/keepmum/tools"
)

// probeDeadline is for one question to a program for its version.
const probeDeadline = 20 * time.Second

// Finder looks for a Compose. The zero value works.
type Finder struct {
	Progress  fault.Progress                 // nil: nothing is said
	LookupEnv func(string) (string, bool)    // nil: os.LookupEnv
	LookPath  func(string) (string, error)   // nil: exec.LookPath
	CacheDir  string                         // where a built Compose is kept; "": keepmum/compose in the user's cache directory
	Pin       func() (mod, sum, path string) // nil: tools/compose.mod, tools/compose.sum and the package to build
}

// Find returns the Compose to use, and builds it if there is none. The error
// is an *fault.Error with the way out.
func (f Finder) Find(ctx context.Context) (Tool, error) {
	f = f.filled()
	if path, err := f.LookPath("docker"); err == nil {
		if version, ok := f.ask(ctx, path, "compose", "version", "--short"); ok {
			if major(version) >= 2 {
				return f.tool(path, []string{"compose"}, version), nil
			}
			f.Progress.Say("docker compose %s is too old and is passed over", version)
		}
	}
	if path, err := f.LookPath("docker-compose"); err == nil {
		if version, ok := f.ask(ctx, path, "version", "--short"); ok {
			if major(version) >= 2 {
				return f.tool(path, nil, version), nil
			}
			f.Progress.Say("docker-compose %s is too old for this compose file and is passed over", version)
		}
	}
	if err := ctx.Err(); err != nil {
		return Tool{}, stopped(ctx)
	}
	return f.built(ctx)
}

// filled returns f with every default in place.
func (f Finder) filled() Finder {
	if f.Progress == nil {
		f.Progress = fault.Quiet{}
	}
	if f.LookupEnv == nil {
		f.LookupEnv = os.LookupEnv
	}
	if f.LookPath == nil {
		f.LookPath = exec.LookPath
	}
	if f.Pin == nil {
		f.Pin = func() (string, string, string) { return tools.ComposeMod(), tools.ComposeSum(), tools.ComposePackage }
	}
	return f
}

// tool makes a Tool that talks where f does.
func (f Finder) tool(path string, prefix []string, version string) Tool {
	return Tool{Path: path, Prefix: prefix, Version: version, talk: f.Progress, getenv: f.LookupEnv}
}

// ask runs a program for its version. False means that it gave none.
func (f Finder) ask(ctx context.Context, path string, args ...string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeDeadline)
	defer cancel()
	var out bytes.Buffer
	env := proc.Inherit(f.LookupEnv, proc.EngineNames())
	env["DOCKER_CLI_HINTS"] = "false"
	if err := (proc.Command{Path: path, Args: args, Dir: filepath.Dir(path), Env: env, Out: &out}).Run(ctx); err != nil {
		return "", false
	}
	version := regexp.MustCompile(`\d+(\.\d+)+[-+.0-9A-Za-z]*`).FindString(out.String())
	return version, version != ""
}

// major returns the first number of a version, 0 if there is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first)
	return n
}

// stopped is the error of a search that its context ended.
func stopped(ctx context.Context) error {
	e := &fault.Error{Code: fault.Interrupted, What: "the search for a compose tool was stopped", Next: "run it again: what was built so far is kept", Cause: ctx.Err()}
	if e.Cause == context.DeadlineExceeded {
		e.Code, e.What = fault.Incomplete, "no compose tool was ready by the deadline"
	}
	return e
}
