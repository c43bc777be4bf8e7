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

// probeDeadline is for asking a program for its version.
const probeDeadline = 20 * time.Second

// Finder looks for a Compose. The zero value works.
type Finder struct {
	Progress  fault.Progress                 // nil: none
	LookupEnv func(string) (string, bool)    // nil: os.LookupEnv
	LookPath  func(string) (string, error)   // nil: exec.LookPath
	CacheDir  string                         // where a built Compose is kept; "": keepmum/compose in the user's cache directory
	Pin       func() (mod, sum, path string) // nil: tools/compose.mod, tools/compose.sum and the package to build
}

// Find returns the Compose to use and builds it if there is none. The error is a
// [fault.Error] with the next step.
func (f Finder) Find(ctx context.Context) (Tool, error) {
	f = f.filled()
	if path, err := f.LookPath("docker"); err == nil {
		if version, ok := f.ask(ctx, path, "compose", "version", "--short"); ok {
			if major(version) >= 2 {
				return f.tool(path, []string{"compose"}, version, Plugin), nil
			}
			f.Progress.Say("docker compose %s is too old and is ignored", version)
		}
	}
	if path, err := f.LookPath("docker-compose"); err == nil {
		if version, ok := f.ask(ctx, path, "version", "--short"); ok {
			if major(version) >= 2 {
				return f.tool(path, nil, version, Standalone), nil
			}
			f.Progress.Say("docker-compose %s is too old and is ignored", version)
		}
	}
	if err := ctx.Err(); err != nil {
		return Tool{}, proc.Stopped(ctx, "looking for compose", againHint)
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

// tool returns a Tool that reports to f's Progress.
func (f Finder) tool(path string, prefix []string, version string, origin Origin) Tool {
	return Tool{Path: path, Prefix: prefix, Version: version, Origin: origin, talk: f.Progress, getenv: f.LookupEnv}
}

// ask returns a program's version, or false if it prints none.
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
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}
