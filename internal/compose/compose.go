// Package compose runs Docker Compose: it finds one, or builds the pinned one,
// and starts and stops compositions with it.
//
// # Which Compose
//
// Finder.Find takes the first of: the docker compose plugin, version 2 or
// later; a docker-compose of version 2 or later on the path; the one that an
// earlier run built; one that it builds now from tools/compose.mod with the Go
// toolchain. The old docker-compose 1.x is passed over with a line: it refuses
// a top-level name and what else the compose file needs.
//
// # What it is given
//
// The child gets a short list of variables (a home, a path, which engine) and
// the composition's own, and nothing else of the environment: an
// exported value does not reach it. Unless the composition names an EnvFile,
// it gets the null device in its place: otherwise Compose reads .env, and its
// errors quote the lines that it cannot read.
//
// # How it ends
//
// Every call has a deadline. When that passes or the context ends, the child
// and all that it started get an interrupt, and are killed a moment later. The
// engine keeps what was made until then.
//
// Not promised: that two calls on one project at the same time make sense.
package compose

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/proc"
)

// Deadlines of the calls, for a caller whose context has none.
const (
	upDeadline     = 15 * time.Minute // an image may have to be pulled
	downDeadline   = 3 * time.Minute
	configDeadline = time.Minute
)

// Tool is a Compose that can be run. Finder makes one.
type Tool struct {
	Path    string   // the program
	Prefix  []string // what comes before Compose's own arguments: "compose" for the plugin
	Version string   // as it says itself, without a leading v

	talk   fault.Progress
	getenv func(string) (string, bool)
}

// Up creates and starts the composition, detached. Images are never built. It
// is an stack.Composer's method.
func (t Tool) Up(ctx context.Context, c stack.Composition) error {
	ctx, cancel := context.WithTimeout(ctx, upDeadline)
	defer cancel()
	return t.run(ctx, c, io.Discard, "up", "--detach", "--no-build", "--quiet-pull")
}

// Down stops and removes the composition's containers and networks, and its
// volumes where asked. It is an stack.Composer's method.
func (t Tool) Down(ctx context.Context, c stack.Composition, volumes bool) error {
	ctx, cancel := context.WithTimeout(ctx, downDeadline)
	defer cancel()
	args := []string{"down"}
	if volumes {
		args = append(args, "--volumes")
	}
	return t.run(ctx, c, io.Discard, args...)
}

// Config returns the composition as Compose renders it. With an EnvFile that
// text holds values.
func (t Tool) Config(ctx context.Context, c stack.Composition) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, configDeadline)
	defer cancel()
	var out strings.Builder
	err := t.run(ctx, c, &out, "config")
	return []byte(out.String()), err
}

// run runs one Compose command to its end. What Compose says on its standard
// error goes to talk line by line.
func (t Tool) run(ctx context.Context, c stack.Composition, out io.Writer, command ...string) error {
	args := slices.Concat(t.Prefix, []string{"--project-name", c.Project, "--project-directory", c.Dir, "--env-file", cmp.Or(c.EnvFile, os.DevNull), "--ansi", "never"})
	for _, file := range c.Files {
		args = append(args, "--file", file)
	}
	lost := false
	lines := &proc.Lines{Say: func(line string) {
		if !underWay(line) {
			t.talk.Say("compose: %s", line)
		}
	}, Pass: func(line string) bool {
		lost = lost || lostEngine(line) // also where the line itself is withheld
		return c.EnvFile == "" || quotesNothing(line)
	}}
	err := proc.Command{
		Path: t.Path, Args: append(args, command...), Dir: c.Dir,
		Env: t.environment(c), Out: out, ErrOut: lines,
	}.Run(ctx)
	lines.Flush()
	return explain(ctx, command[0], c, lines, lost, err)
}

// environment is what the child gets: what a Docker client needs, the
// composition's variables, and settings that keep Compose quiet.
func (t Tool) environment(c stack.Composition) map[string]string {
	env := proc.Inherit(t.getenv, proc.EngineNames())
	maps.Copy(env, c.Variables)
	env["COMPOSE_MENU"] = "false"
	env["COMPOSE_STATUS_STDOUT"] = "false"
	env["DOCKER_CLI_HINTS"] = "false"
	if c.EnvFile == "" {
		env["COMPOSE_DISABLE_ENV_FILE"] = "true"
	}
	return env
}

// explain makes the error of a call from how the child ended.
func explain(ctx context.Context, command string, c stack.Composition, lines *proc.Lines, lost bool, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &fault.Error{Code: fault.Incomplete, What: "compose " + command + " was not done by its deadline", Next: "mage stack:status", Cause: context.DeadlineExceeded}
	case ctx.Err() != nil:
		return &fault.Error{Code: fault.Interrupted, What: "compose " + command + " was stopped", Next: "mage stack:status", Cause: ctx.Err()}
	}
	last := lines.Last()
	if lost {
		return &fault.Error{
			Code: fault.NoEngine, What: "the engine stopped answering during compose " + command, Next: "mage engine:doctor",
			Cause: &docker.Failure{Cause: docker.CauseGone, Detail: "compose " + command + " lost the connection"},
		}
	}
	if c.EnvFile != "" && (last == "" || lines.Held() > 0) {
		return &fault.Error{
			Code: fault.Failed, Next: "mage secrets:validate",
			What: "compose " + command + " failed; its message is hidden because it may quote a line of " + filepath.Base(c.EnvFile),
		}
	}
	if last == "" {
		last = "it said nothing"
	}
	return &fault.Error{Code: fault.Failed, What: "compose " + command + " failed: " + last, Next: "mage stack:status"}
}

// lostEngine reports whether a line says that no engine answers. Compose 2.40 puts
// the name of an image before it.
func lostEngine(line string) bool {
	signs := []string{"Cannot connect to the Docker daemon", "error during connect", "failed to connect to the docker API", "docker daemon is not running"}
	return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(line, sign) })
}
