package gotool

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// platforms are those that the targets must compile for, as GOOS/GOARCH.
var platforms = [...]string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// tags are the build tags of all tests.
const tags = "integration,swarm"

// Lint checks the modules in the given directories, the main one first. It runs
// every check, even after one has failed, and prints what each found; the error
// names those that failed.
//
// Every package of the targets must compile for each platform. For Linux, so must
// the services, which run only there.
func Lint(ctx context.Context, modules []string, progress fault.Progress) error {
	linter, err := filepath.Abs(filepath.Join(modules[0], "tools", "lint.mod"))
	if err != nil {
		return err
	}
	var failed []string
	note := func(name string, err error) {
		switch {
		case ctx.Err() != nil:
		case err == nil:
			progress.Say("ok    %s", name)
		default:
			progress.Say("FAIL  %s\n%s", name, err)
			failed = append(failed, name)
		}
	}
	changed, err := Command{Program: "gofmt", Dir: modules[0], Args: []string{"-l", "."}}.Output(ctx)
	if changed != "" {
		err = &fault.Error{Code: fault.Failed, What: "gofmt would change:\n" + strings.TrimSpace(changed), Next: "gofmt -w ."}
	}
	note("gofmt", err)
	for i, dir := range modules {
		in := ""
		if i > 0 {
			in = " in " + dir
		}
		check := func(name string, args ...string) {
			_, err := Command{Dir: dir, Args: args}.Output(ctx)
			note(name+in, err)
		}
		check("go mod tidy", "mod", "tidy", "-diff")
		check("go vet", "vet", "-tags", tags, "./...")
		check("staticcheck", "tool", "-modfile="+linter, "staticcheck", "-tags", tags, "./...")
	}
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		patterns := []string{"./magefiles/...", "./pkg/..."}
		if goos == "linux" {
			patterns = append(patterns, "./services/...")
		}
		note("types for "+platform, typeCheck(ctx, modules[0], goos, goarch, patterns...))
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(failed) > 0:
		return &fault.Error{Code: fault.Failed, What: "lint failed: " + strings.Join(failed, ", "), Next: "read what each says above"}
	}
	return nil
}
