package gotool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// platforms are those that the targets must compile for, as GOOS/GOARCH.
var platforms = [...]string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// Lint describes what to check.
type Lint struct {
	Dir      string
	Modules  []string // directories of further modules in Dir; missing ones are left out
	Progress fault.Progress
}

// check is one step of lint.
type check struct {
	name string
	run  func(context.Context) error
}

// Run runs every check, even after one has failed. It prints what each found;
// the error names those that failed.
func (l Lint) Run(ctx context.Context) error {
	checks := []check{
		{"gofmt", l.format},
		{"go mod tidy", l.plain("mod", "tidy", "-diff")},
		{"go vet", l.plain("vet", "-tags", "integration", "./...")},
		{"staticcheck", l.plain("tool", "-modfile=tools/lint.mod", "staticcheck", "-tags", "integration", "./...")},
	}
	for _, dir := range l.Modules {
		further := Lint{Dir: filepath.Join(l.Dir, dir)}
		if _, err := os.Stat(filepath.Join(further.Dir, "go.mod")); err != nil {
			continue
		}
		checks = append(checks,
			check{"go mod tidy in " + dir, further.plain("mod", "tidy", "-diff")},
			check{"go vet in " + dir, further.plain("vet", "-tags", "integration", "./...")},
			check{"staticcheck in " + dir, l.staticcheckIn(further.Dir)})
	}
	for _, platform := range platforms {
		checks = append(checks, check{"types for " + platform, l.compile(platform)})
	}
	var failed []error
	for _, c := range checks {
		err := c.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			l.Progress.Say("ok    %s", c.name)
			continue
		}
		l.Progress.Say("FAIL  %s\n%s", c.name, err)
		failed = append(failed, errors.New(c.name))
	}
	if len(failed) == 0 {
		return nil
	}
	names := strings.ReplaceAll(errors.Join(failed...).Error(), "\n", ", ")
	return &fault.Error{Code: fault.Failed, What: "lint failed: " + names, Next: "read what each says above"}
}

// plain is a check that is one go command.
func (l Lint) plain(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := Command{Dir: l.Dir, Args: args}.Output(ctx)
		return err
	}
}

// staticcheckIn is staticcheck over another module, whose go.mod does not list it.
func (l Lint) staticcheckIn(dir string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := Command{Dir: l.Dir, Args: []string{"tool", "-modfile=tools/lint.mod", "-n", "staticcheck"}}.Output(ctx)
		if err != nil {
			return err
		}
		_, err = Command{Program: strings.TrimSpace(out), Dir: dir, Args: []string{"-tags", "integration", "./..."}}.Output(ctx)
		return err
	}
}

// format names the files that gofmt would change.
func (l Lint) format(ctx context.Context) error {
	out, err := Command{Program: "gofmt", Dir: l.Dir, Args: []string{"-l", "."}}.Output(ctx)
	if err == nil && out != "" {
		err = &fault.Error{Code: fault.Failed, What: "gofmt would change:\n" + strings.TrimSpace(out), Next: "gofmt -w ."}
	}
	return err
}

// compile checks that every package of the targets compiles for a platform. For
// Linux it checks the services too, which run only there.
func (l Lint) compile(platform string) func(context.Context) error {
	return func(ctx context.Context) error {
		goos, goarch, _ := strings.Cut(platform, "/")
		patterns := []string{"./magefiles/...", "./pkg/..."}
		if goos == "linux" {
			patterns = append(patterns, "./services/...")
		}
		return l.typeCheck(ctx, goos, goarch, patterns...)
	}
}
