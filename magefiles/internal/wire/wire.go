// Package wire joins use cases to the adapters that a target runs them with,
// and renders what every target renders alike. It is the only place that knows
// the names of keepmum's own environment variables.
package wire

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/docker/engine"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
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
	Console   *console.Console
	Project   project.Project
	dir       string // absolute
	workspace *secretdir.Project
	store     *secretdir.Dir
}

// open opens the project in dir, with secrets/ by the given function.
func open(c *console.Console, dir, keyFile string, secrets func(string) (*secretdir.Dir, error)) (*Tools, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: "the current directory has no path", Next: "cd to the project"}
	}
	workspace, err := secretdir.OpenProject(dir, keyFile)
	if err != nil {
		return nil, err
	}
	store, err := secrets(filepath.Join(dir, SecretsDir))
	if err != nil {
		_ = workspace.Close()
		return nil, err
	}
	store.Progress = c
	return &Tools{Console: c, dir: path, workspace: workspace, store: store, Project: project.Project{Workspace: workspace, Store: store, Progress: c}}, nil
}

// Open opens the project in the current directory. It sets the modes of secrets/
// again, unless readOnly.
func Open(c *console.Console, readOnly bool) (*Tools, error) {
	secrets := secretdir.Open
	if readOnly {
		secrets = secretdir.Look
	}
	t, err := open(c, ".", os.Getenv("KEEPMUM_KEY_FILE"), secrets)
	if err == nil {
		t.Project.ComposeFile = os.Getenv("KEEPMUM_COMPOSE_FILE")
	}
	return t, err
}

// Close closes what Open opened.
func (t *Tools) Close() {
	_ = t.store.Close()
	_ = t.workspace.Close()
}

// Values is the use cases over the files of secrets/.
func (t *Tools) Values() *values.Values {
	return values.New(values.Config{Project: t.Project, Running: engine.Running{}, Git: worktree.Git{Dir: "."}, Docker: secrets.Docker(""), Env: secrets.Env(nil)})
}

// Context is context.Context, for targets that have a flag of that name.
type Context = context.Context

// Target is the frame of a target over a project.
type Target[R any] struct {
	Limit    time.Duration // 0: none
	ReadOnly bool          // it changes nothing, not even the modes of secrets/
	Alone    bool          // it changes a Swarm: no other target may be on the command line
	Name     string        // a positional, which must not be a flag
	Over     OverSwarm     // the flags that the commands of its hints are to have
	JSON     *bool         // print the result as one document
	Always   bool          // Show is called along with an error too
	Show     func(*console.Console, R) error
}

// Run opens the project, calls fn, and renders its result by Show. With JSON the
// document is printed along with every error, also one that came before fn: a
// program reads it without asking how far the command went.
func (t Target[R]) Run(ctx context.Context, fn func(context.Context, *Tools) (R, error)) error {
	return console.Run(ctx, t.Limit, func(ctx context.Context, c *console.Console) error {
		var result R
		err := t.misused(os.Args[1:])
		if err == nil {
			var tools *Tools
			if tools, err = Open(c, t.ReadOnly); err == nil {
				defer tools.Close()
				result, err = fn(ctx, tools)
				t.Over.complete(err)
			}
		}
		if t.Always {
			return ShowAlways(c, t.JSON, result, err, t.Show)
		}
		return Show(c, t.JSON, result, err, t.Show)
	})
}

// misused is the error of a command line that cannot be what was meant. args are
// those of the process.
func (t Target[R]) misused(args []string) error {
	switch {
	case t.Limit < 0:
		return &fault.Error{Code: fault.Usage, What: "the time limit is negative", Next: "a duration, like -timeout=90s"}
	case slices.Contains(args, ""):
		return &fault.Error{Code: fault.Usage, What: "an argument is empty, where a name is expected", Next: "look whether a variable of the shell is not set, then the same command"}
	case t.Alone && t.Name != "":
		return cmp.Or(notFlag(t.Name), alone(args, 1))
	case t.Alone:
		return alone(args, 0)
	}
	return notFlag(t.Name)
}

// Show renders a use case's result: as JSON, also along with an error, or by
// render, which is called without an error only.
func Show[R any](c *console.Console, asJSON *bool, result R, err error, render func(*console.Console, R) error) error {
	if Value(asJSON) {
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

// ShowAlways is Show for a result that a person should see along with an error.
func ShowAlways[R any](c *console.Console, asJSON *bool, result R, err error, render func(*console.Console, R) error) error {
	if shown := Show(c, asJSON, result, nil, render); shown != nil {
		return shown
	}
	return err
}

// Value returns a flag's value; a flag that was not given has the zero value.
func Value[T any](flag *T) (value T) {
	if flag != nil {
		value = *flag
	}
	return value
}

// List splits a flag's value at commas.
func List(flag *string) []string {
	var items []string
	for _, item := range strings.Split(Value(flag), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// notFlag refuses a positional that begins with a hyphen: mage takes flags after
// positionals only, and would hand the flag over as the name.
func notFlag(name string) error {
	if strings.HasPrefix(name, "-") {
		return &fault.Error{Code: fault.Usage, What: "a flag stands where a name is expected", Next: "put the name first, then the flags"}
	}
	return nil
}
