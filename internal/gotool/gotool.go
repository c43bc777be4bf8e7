// Package gotool runs the go command over keepmum's own checkout: it tests,
// checks and compiles.
//
// [Tests] treats a run that fails, skips a test or runs none as an error: a skip
// hides a broken engine, and a run of nothing proves nothing. [Proof] sums what
// the tests report to have seen. [Mutation] breaks the code on purpose to see
// whether the tests notice. [Lint] checks format, types and modules.
//
// [Binary] builds a static, reproducible program: the same commit and the same
// Go release give the same bytes, wherever the checkout is.
package gotool

import (
	"bytes"
	"context"
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
	program := c.Program
	if program == "" {
		program = "go"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &fault.Error{Code: fault.Failed, What: program + " is not on the PATH", Next: "install Go, then go version", Cause: err}
	}
	var written streams
	err = proc.Command{Path: path, Args: c.Args, Dir: c.Dir, Env: environment(c.Env), Out: toBoth{&written}, ErrOut: toErr{&written}}.Run(ctx)
	switch {
	case err == nil:
		return written.data.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	shown := strings.Join(append([]string{program}, c.Args...), " ")
	return "", &fault.Error{Code: fault.Failed, What: shown + " failed\n" + strings.TrimSpace(written.all.String()), Next: shown, Cause: err}
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

// streams is what a command wrote: standard output alone, and both streams in
// the order in which they came. Each is written by its own goroutine.
type streams struct {
	mu        sync.Mutex
	data, all bytes.Buffer
}

// toBoth collects standard output.
type toBoth struct{ *streams }

// Write never fails.
func (s toBoth) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(p)
	return s.data.Write(p)
}

// toErr collects standard error.
type toErr struct{ *streams }

// Write never fails.
func (s toErr) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
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
