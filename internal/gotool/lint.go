package gotool

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// platforms are those that the targets must compile for, as GOOS/GOARCH.
var platforms = [...]string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// Lint describes what to check.
type Lint struct {
	Modules  []string // directories of modules, the main one first
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
	linter, err := filepath.Abs(filepath.Join(l.Modules[0], "tools", "lint.mod"))
	if err != nil {
		return err
	}
	checks := []check{{"gofmt", l.format}}
	for i, dir := range l.Modules {
		in := ""
		if i > 0 {
			in = " in " + dir
		}
		plain := func(name string, args ...string) {
			checks = append(checks, check{name + in, func(ctx context.Context) error {
				_, err := Command{Dir: dir, Args: args}.Output(ctx)
				return err
			}})
		}
		plain("go mod tidy", "mod", "tidy", "-diff")
		plain("go vet", "vet", "-tags", "integration", "./...")
		plain("staticcheck", "tool", "-modfile="+linter, "staticcheck", "-tags", "integration", "./...")
	}
	for _, platform := range platforms {
		checks = append(checks, check{"types for " + platform, l.compile(platform)})
	}
	var failed []string
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
		failed = append(failed, c.name)
	}
	if len(failed) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Failed, What: "lint failed: " + strings.Join(failed, ", "), Next: "read what each says above"}
}

// format names the files that gofmt would change.
func (l Lint) format(ctx context.Context) error {
	out, err := Command{Program: "gofmt", Dir: l.Modules[0], Args: []string{"-l", "."}}.Output(ctx)
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
		return typeCheck(ctx, l.Modules[0], goos, goarch, patterns...)
	}
}
