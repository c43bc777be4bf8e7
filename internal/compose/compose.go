// Package compose runs Docker Compose: it finds one or builds the pinned one,
// and starts and stops compositions with it.
//
// # Which Compose
//
// [Finder.Find] takes the first of: the docker compose plugin 2 or later; a
// docker-compose 2 or later on the path; one that an earlier run built; one that
// it builds now from tools/compose.mod with the Go toolchain. docker-compose 1.x
// is ignored with a message: it cannot read the compose file.
//
// # What the child gets
//
// The child gets a short list of variables (a home, a path, which engine) and
// those of the composition, and nothing else, so exported values do not reach it.
// Unless the composition has an EnvFile, it gets an empty one, because Compose
// otherwise reads .env, and its errors quote lines that it cannot parse.
//
// # How a call ends
//
// Every call has a deadline. When it passes or the context ends, the child and
// everything it started are interrupted, and killed a moment later. The engine
// keeps what was created until then.
//
// Not promised: that two simultaneous calls on one project make sense.
package compose

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/proc"
)

// Deadlines of the calls, for a caller whose context has none.
const (
	upDeadline   = 15 * time.Minute // an image may have to be pulled
	downDeadline = 3 * time.Minute
)

// Tool is a Compose that can be run. [Finder.Find] returns one.
type Tool struct {
	Path    string   // the program
	Prefix  []string // comes before Compose's own arguments: "compose" for the plugin
	Version string   // as it reports, without a leading v
	Origin  Origin   // where it was found

	talk   fault.Progress
	getenv func(string) (string, bool)
}

// Origin says where a Tool comes from.
type Origin string

// The origins.
const (
	Plugin     Origin = "plugin"     // docker compose
	Standalone Origin = "standalone" // docker-compose on the path
	Built      Origin = "built"      // from tools/compose.mod
)

// Up creates and starts the composition, detached. Images are never built. It
// is a method of [stack.Composer].
func (t Tool) Up(ctx context.Context, c stack.Composition) error {
	ctx, cancel := context.WithTimeout(ctx, upDeadline)
	defer cancel()
	return t.run(ctx, c, io.Discard, "up", "--detach", "--no-build", "--quiet-pull")
}

// Down stops and removes the composition's containers and networks, and its
// volumes if asked. It is a method of [stack.Composer].
func (t Tool) Down(ctx context.Context, c stack.Composition, volumes bool) error {
	ctx, cancel := context.WithTimeout(ctx, downDeadline)
	defer cancel()
	args := []string{"down"}
	if volumes {
		args = append(args, "--volumes")
	}
	return t.run(ctx, c, io.Discard, args...)
}

// run runs one Compose command to its end. Compose's standard error goes to talk
// line by line.
func (t Tool) run(ctx context.Context, c stack.Composition, out io.Writer, command ...string) error {
	envFile, done, err := envFile(c)
	if err != nil {
		return err
	}
	defer done()
	args := append([]string{}, t.Prefix...)
	args = append(args, "--project-name", c.Project, "--project-directory", c.Dir, "--env-file", envFile, "--ansi", "never")
	for _, file := range c.Files {
		args = append(args, "--file", file)
	}
	lost := false
	lines := &proc.Lines{Say: func(line string) {
		if !underWay(line) {
			t.talk.Say("compose: %s", line)
		}
	}, Pass: func(line string) bool {
		lost = lost || lostEngine(line) // even if the line itself is hidden
		return c.EnvFile == "" || quotesNothing(line)
	}}
	err = proc.Command{
		Path: t.Path, Args: append(args, command...), Dir: c.Dir,
		Env: t.environment(c), Out: out, ErrOut: lines,
	}.Run(ctx)
	lines.Flush()
	return explain(ctx, command[0], c, lines, lost, err)
}

// environment returns the child's environment: what a Docker client needs, the
// composition's variables, and settings that keep Compose quiet.
func (t Tool) environment(c stack.Composition) map[string]string {
	env := proc.Inherit(t.getenv, proc.EngineNames())
	for name, value := range c.Variables {
		env[name] = value
	}
	env["COMPOSE_MENU"] = "false"
	env["COMPOSE_STATUS_STDOUT"] = "false"
	env["DOCKER_CLI_HINTS"] = "false"
	if c.EnvFile == "" {
		env["COMPOSE_DISABLE_ENV_FILE"] = "true"
	}
	return env
}

// envFile returns the file that Compose reads: the composition's own, or an
// empty one that done removes.
func envFile(c stack.Composition) (path string, done func(), err error) {
	if c.EnvFile != "" {
		return c.EnvFile, func() {}, nil
	}
	file, err := os.CreateTemp("", "keepmum-compose-*.env")
	if err != nil {
		return "", nil, &fault.Error{Code: fault.Failed, What: "no temporary file can be created", Next: "set TMPDIR to a writable directory", Cause: err}
	}
	return file.Name(), func() { _ = os.Remove(file.Name()) }, file.Close()
}

// explain returns the error of a call from how the child ended.
func explain(ctx context.Context, command string, c stack.Composition, lines *proc.Lines, lost bool, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return proc.Stopped(ctx, "compose "+command+" was running", "mage stack:status")
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
		last = "no message"
	}
	return &fault.Error{Code: fault.Failed, What: "compose " + command + " failed: " + last, Next: "mage stack:status"}
}

// lostEngine reports whether a line says that no engine answers. Compose 2.40 puts
// the name of an image before it.
func lostEngine(line string) bool {
	for _, sign := range []string{"Cannot connect to the Docker daemon", "error during connect", "failed to connect to the docker API", "docker daemon is not running"} {
		if strings.Contains(line, sign) {
			return true
		}
	}
	return false
}
