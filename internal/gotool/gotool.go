// Package gotool runs the go command over keepmum's own checkout: it tests,
// checks and compiles.
//
// [Test] treats a run that fails, skips a test or runs none as an error: a skip
// hides a broken engine, and a run of nothing proves nothing. [Proof] sums what
// the tests report to have seen. [Mutation] breaks the code on purpose to see
// whether the tests notice. [Lint] checks format, types and modules.
//
// [Binary] builds a static, reproducible program: the same commit and the same
// Go release give the same bytes, wherever the checkout is.
package gotool

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
)

// Command is one run of a program; the go command if Program is empty.
type Command struct {
	Program string
	Dir     string
	Env     []string // added to the process's own environment
	Args    []string
}

// Output runs the command and returns what it wrote to standard output. If it
// fails, the error contains what it wrote to both streams.
func (c Command) Output(ctx context.Context) (string, error) {
	var data bytes.Buffer
	var all locked
	err := c.run(ctx, io.MultiWriter(&data, &all), &all)
	if err != nil && ctx.Err() == nil && !errors.Is(err, exec.ErrNotFound) {
		shown := strings.Join(append([]string{cmp.Or(c.Program, "go")}, c.Args...), " ")
		err = &fault.Error{Code: fault.Failed, What: shown + " failed\n" + strings.TrimSpace(all.text.String()), Next: shown, Cause: err}
	}
	if err != nil {
		return "", err
	}
	return data.String(), nil
}

// run runs the command. Each stream is written by its own goroutine.
func (c Command) run(ctx context.Context, out, errOut io.Writer) error {
	program := cmp.Or(c.Program, "go")
	path, err := exec.LookPath(program)
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: program + " is not on the PATH", Next: "install Go, then go version", Cause: err}
	}
	err = proc.Command{Path: path, Args: c.Args, Dir: c.Dir, Env: environment(c.Env), Out: out, ErrOut: errOut}.Run(ctx)
	return cmp.Or(ctx.Err(), err)
}

// environment is the process's own, with further variables. Other packages pick
// named variables; here a developer of keepmum runs their own tools.
func environment(further []string) map[string]string {
	env := map[string]string{}
	for _, pair := range append(os.Environ(), further...) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// locked is a buffer for both streams, in the order in which they came.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Checkout returns an error unless a directory is keepmum's own checkout, before
// the go command fails with a less helpful message or a file is created.
func Checkout(dir string) error {
	for _, file := range []string{"go.mod", "magefiles/magefile.go"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); err != nil {
			return &fault.Error{Code: fault.Invalid, What: "this is not keepmum's own checkout: there is no " + file + " here", Next: "cd to the checkout, then run it again", Cause: err}
		}
	}
	return nil
}

// Binary describes the program to build from the targets.
type Binary struct {
	Dir  string // the project, where magefiles/ is
	OS   string // empty: this machine's
	Arch string // empty: this machine's
	Path string // relative to Dir; empty: bin/keepmum, with .exe for Windows
}

// Build compiles every target into one static binary and returns its path.
func (b Binary) Build(ctx context.Context) (string, error) {
	if err := Checkout(b.Dir); err != nil {
		return "", err
	}
	path := b.Path
	if path == "" {
		path = "bin/keepmum"
		if b.OS == "windows" {
			path += ".exe"
		}
	}
	if err := os.MkdirAll(filepath.Join(b.Dir, filepath.Dir(path)), 0o755); err != nil {
		return "", &fault.Error{Code: fault.Failed, What: filepath.Dir(path) + " cannot be created", Next: "check its owner and mode", Cause: err}
	}
	out := path
	if !filepath.IsAbs(out) {
		out = filepath.Join("..", out) // mage takes it relative to magefiles/
	}
	args := []string{"tool", "mage", "-compile", out, "-ldflags", "-s -w -buildid= " + b.stamp(ctx)}
	if b.OS != "" {
		args = append(args, "-goos", b.OS)
	}
	if b.Arch != "" {
		args = append(args, "-goarch", b.Arch)
	}
	flags := strings.TrimSpace(os.Getenv("GOFLAGS") + " -trimpath")
	_, err := Command{Dir: b.Dir, Env: []string{"CGO_ENABLED=0", "GOFLAGS=" + flags}, Args: args}.Output(ctx)
	return path, err
}

// stamp returns the linker flags that put the commit into the binary: the go
// command stamps packages only, and mage compiles files.
func (b Binary) stamp(ctx context.Context) string {
	const into = "github.com/keepmum/keepmum/magefiles/build."
	git := func(args ...string) string {
		out, err := Command{Program: "git", Dir: b.Dir, Args: args}.Output(ctx)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(out)
	}
	commit := git("rev-parse", "HEAD")
	if commit == "" {
		return ""
	}
	if git("status", "--porcelain", "--untracked-files=no") != "" {
		commit += "+modified"
	}
	return "-X " + into + "commit=" + commit + " -X " + into + "date=" + git("show", "-s", "--format=%cI", "HEAD")
}
