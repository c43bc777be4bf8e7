// Package wire joins use cases to the adapters that a target runs them with,
// and renders what every target renders alike. It is the only place that knows
// the names of keepmum's own environment variables.
package wire

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/internal/worktree"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// The deadlines of targets.
const (
	Short = time.Minute      // on this machine's files
	Long  = 30 * time.Minute // builds and starts things
	Tests = 80 * time.Minute // compiles and runs everything, on a machine where nothing is cached
)

// SecretsDir is the directory of values, relative to the project.
const SecretsDir = "secrets"

// Tools is what a target works with.
type Tools struct {
	Console     *console.Console
	Project     *secretdir.Project
	Values      *secretdir.Dir
	Git         worktree.Git
	ComposeFile string // KEEPMUM_COMPOSE_FILE
}

// Open opens the project in the current directory and sets the modes of
// secrets/ again.
func Open(c *console.Console) (*Tools, error) { return open(c, secretdir.Open) }

// Look opens the project in the current directory and changes nothing.
func Look(c *console.Console) (*Tools, error) { return open(c, secretdir.Look) }

// open opens the project, with secrets/ by the given function.
func open(c *console.Console, dir func(string) (*secretdir.Dir, error)) (*Tools, error) {
	project, err := secretdir.OpenProject(".", os.Getenv("KEEPMUM_KEY_FILE"))
	if err != nil {
		return nil, err
	}
	values, err := dir(SecretsDir)
	if err != nil {
		project.Close()
		return nil, err
	}
	values.Progress = c
	return &Tools{Console: c, Project: project, Values: values, Git: worktree.Git{Dir: "."}, ComposeFile: os.Getenv("KEEPMUM_COMPOSE_FILE")}, nil
}

// Close closes what Open opened.
func (t *Tools) Close() {
	_ = t.Values.Close()
	_ = t.Project.Close()
}

// Sources are the sources of DESIGN section 3 as they stand on this machine.
func (t *Tools) Sources() []secrets.Source {
	return []secrets.Source{secrets.Docker(""), secrets.Dir(SecretsDir), secrets.Env(nil)}
}

// Validate is the use case that looks at everything and changes nothing.
func (t *Tools) Validate() values.Validate {
	return values.Validate{Project: t.Project, Values: t.Values, Modes: t.Values, Tracked: t.Git, ComposeFile: t.ComposeFile, Now: time.Now()}
}

// Target is the frame of a target over a project that has no document: it
// opens the tools, calls fn, and closes them.
func Target(ctx context.Context, limit time.Duration, fn func(context.Context, *Tools) error) error {
	return console.Run(ctx, limit, func(ctx context.Context, c *console.Console) error {
		_, err := with(ctx, c, Open, func(ctx context.Context, t *Tools) (struct{}, error) { return struct{}{}, fn(ctx, t) })
		return err
	})
}

// Report is the frame of a target over a project that has a document: Open, or
// Look for what changes nothing, opens the tools, fn makes the result, and Show
// renders it. With -json the document is printed beside every error, also one
// that came before fn: a program reads it without asking how far it went.
func Report[R any](ctx context.Context, limit time.Duration, open func(*console.Console) (*Tools, error), asJSON *bool, render func(*console.Console, R) error, fn func(context.Context, *Tools) (R, error)) error {
	return console.Run(ctx, limit, func(ctx context.Context, c *console.Console) error {
		result, err := with(ctx, c, open, fn)
		return Show(c, asJSON, result, err, render)
	})
}

// with opens the tools, calls fn, and closes them.
func with[R any](ctx context.Context, c *console.Console, open func(*console.Console) (*Tools, error), fn func(context.Context, *Tools) (R, error)) (R, error) {
	tools, err := open(c)
	if err != nil {
		var none R
		return none, err
	}
	defer tools.Close()
	return fn(ctx, tools)
}

// Show renders a use case's result: as JSON, also beside an error, or by
// render, which is called without an error only.
func Show[R any](c *console.Console, asJSON *bool, result R, err error, render func(*console.Console, R) error) error {
	if Is(asJSON) {
		if shown := c.JSON(result); shown != nil {
			return shown
		}
		return err
	}
	if err != nil {
		return err
	}
	return render(c, result)
}

// ShowAlways is Show for a result that a person should see also beside an
// error.
func ShowAlways[R any](c *console.Console, asJSON *bool, result R, err error, render func(*console.Console, R) error) error {
	if shown := Show(c, asJSON, result, nil, render); shown != nil {
		return shown
	}
	return err
}

// Is returns a flag's value; a flag that was not given is false.
func Is(flag *bool) bool { return flag != nil && *flag }

// Text returns a flag's value; a flag that was not given is empty.
func Text(flag *string) string {
	if flag == nil {
		return ""
	}
	return *flag
}

// Number returns a flag's value; a flag that was not given is 0.
func Number(flag *int) int {
	if flag == nil {
		return 0
	}
	return *flag
}

// Duration returns a flag's value; a flag that was not given is 0.
func Duration(flag *time.Duration) time.Duration {
	if flag == nil {
		return 0
	}
	return *flag
}

// List splits a flag's value at commas.
func List(flag *string) []string {
	var items []string
	for _, item := range strings.Split(Text(flag), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Name refuses a positional that begins with a hyphen: mage takes flags after
// positionals only, and would hand the flag over as the name.
func Name(name string) error {
	if strings.HasPrefix(name, "-") {
		return &fault.Error{Code: fault.Usage, What: "a flag stands where a name is expected", Next: "put the name first, then the flags"}
	}
	return nil
}
