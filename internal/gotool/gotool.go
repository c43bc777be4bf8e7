// Package gotool runs the go command over the project itself: it tests, checks
// and compiles.
//
// A test run that fails, that skips a test, or that runs none, is an error: a
// skip hides a broken engine, and a run of nothing proves nothing.
//
// The binary that Binary makes is static and reproducible: the same commit and
// the same Go release give the same bytes, wherever the checkout stands.
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

// Command is one run of a program, the go command where Program is empty.
type Command struct {
	Program string
	Dir     string
	Env     []string // added to the process's own environment
	Args    []string
}

// Output runs the command and returns what it wrote to standard output. Where
// it fails, the error holds what it wrote to both streams.
func (c Command) Output(ctx context.Context) (string, error) {
	program := c.Program
	if program == "" {
		program = "go"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &fault.Error{Code: fault.Failed, What: program + " is not on the PATH", Next: "install Go, then go version", Cause: err}
	}
	var heard streams
	err = proc.Command{Path: path, Args: c.Args, Dir: c.Dir, Env: environment(c.Env), Out: toBoth{&heard}, ErrOut: toTalk{&heard}}.Run(ctx)
	switch {
	case err == nil:
		return heard.data.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	shown := strings.Join(append([]string{program}, c.Args...), " ")
	return "", &fault.Error{Code: fault.Failed, What: shown + " failed\n" + strings.TrimSpace(heard.all.String()), Next: shown, Cause: err}
}

// environment is the process's own, with further variables: what runs here is
// work on keepmum itself, by whoever set them.
func environment(further []string) map[string]string {
	env := map[string]string{}
	for _, pair := range append(os.Environ(), further...) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// streams is what a command said: its standard output alone, and both streams
// as they came. The two are written by a goroutine each.
type streams struct {
	mu        sync.Mutex
	data, all bytes.Buffer
}

// toBoth takes standard output.
type toBoth struct{ *streams }

// Write never fails.
func (s toBoth) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(p)
	return s.data.Write(p)
}

// toTalk takes standard error.
type toTalk struct{ *streams }

// Write never fails.
func (s toTalk) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

// Checkout refuses a directory that is not keepmum's own checkout, before the go
// command does it in its own words or something is made there.
func Checkout(dir string) error {
	for _, file := range []string{"go.mod", "magefiles/magefile.go"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); err != nil {
			return &fault.Error{Code: fault.Invalid, What: "this is not keepmum's own checkout: there is no " + file + " here", Next: "cd to the checkout, then run it again", Cause: err}
		}
	}
	return nil
}

// Binary says which binary is made of the targets.
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
		return "", &fault.Error{Code: fault.Failed, What: filepath.Dir(path) + " cannot be made", Next: "check its owner and mode", Cause: err}
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
