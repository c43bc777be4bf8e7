package leaktest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// patience is how long a check may take if its context has no deadline, and how
// long planting one canary may take at most.
const patience = 5 * time.Minute

// Container is a container under test. Every testcontainers.Container is one.
type Container interface {
	// GetContainerID returns the whole ID: 64 hexadecimal digits.
	GetContainerID() string
}

// RequireSilence fails the test unless [Check.Run] finds silence. It also works
// in a t.Cleanup, where the test's context has ended. Cleanups run last first,
// so register it after testcontainers.CleanupContainer.
func RequireSilence(t testing.TB, values Secrets, containers ...Container) {
	t.Helper()
	report, err := Check{Secrets: values, Containers: containers}.Run(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("silence: %s", report)
}

// Check says which containers are searched for which secrets.
type Check struct {
	// Secrets are the values to search for. At least one.
	Secrets Secrets
	// Containers are searched: running, paused or exited, but not removed. At
	// least one, and all on one engine.
	Containers []Container
	// InEnvironment names the secrets that are passed in the environment, where
	// inspect shows them. The exception does not cover arguments and labels, and
	// each of these secrets must be in the environment of at least one
	// container: an exception that is not needed is an error.
	InEnvironment []string
	// Further are more texts that must hold no value, by name: the output of a
	// command, the answer of an API. The names appear in failures.
	Further map[string][]byte
	// Client is a client of the engine that has the containers; Run does not
	// close it. Nil: the engine is looked for, as the package comment says.
	Client client.APIClient
}

// Report counts what was read.
type Report struct {
	Surfaces int   // surfaces read to their end
	Bytes    int64 // bytes in them
	Planted  int   // canaries planted, all of them found
}

// String returns the report as one line.
func (r Report) String() string {
	return fmt.Sprintf("%d surfaces, %d bytes; canaries planted and found %d", r.Surfaces, r.Bytes, r.Planted)
}

// Error is the error of [Check.Run]: all problems at once. It holds no value.
type Error struct{ Problems []string }

// Error returns a line for each problem.
func (e *Error) Error() string {
	return "leaktest: " + strings.Join(e.Problems, "\n  ")
}

// failure is an error of the engine or of the context. The engine may quote a
// value, such as one in an image reference. The text has no value, and the cause
// can be compared with errors.Is but not unwrapped.
type failure struct {
	text  string
	cause error
}

// Error returns the text.
func (f *failure) Error() string { return f.text }

// Is reports whether the cause is target.
func (f *failure) Is(target error) bool { return errors.Is(f.cause, target) }

// mute returns an error without values.
func mute(values *redact.Matcher, err error) error {
	if err == nil {
		return nil
	}
	found, ok := err.(*Error)
	if !ok {
		return &failure{values.String(err.Error()), err}
	}
	muted := &Error{}
	for _, problem := range found.Problems {
		muted.Problems = append(muted.Problems, values.String(problem))
	}
	return muted
}

// Run plants the canary, requires that the search finds it, and then that the
// search finds no secret. The error is an [*Error]. If the engine fails or the
// context ends it is another error, which works with errors.Is. A context
// without a deadline gets one of five minutes, and planting one canary never
// takes longer than that. Run always removes what it makes on the engine.
func (c Check) Run(ctx context.Context) (Report, error) {
	if problems := c.problems(); len(problems) > 0 {
		return Report{}, &Error{Problems: problems}
	}
	canary := newCanary()
	known := canary.known()
	for _, name := range c.Secrets.names() {
		known = append(known, secrets.Known{Name: name, Value: secrets.New(c.Secrets[name])})
	}
	search, err := sweep.New(known)
	if err != nil {
		return Report{}, &Error{Problems: []string{err.Error()}} // it holds only names
	}
	if short := search.Unsearched(); len(short) > 0 {
		return Report{}, &Error{Problems: []string{"too short to be searched: " + strings.Join(short, ", ") + "; a search cannot prove that they do not leak"}}
	}
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("leaktest: the context ended before the check began; a test's context ends before its t.Cleanup: pass context.Background() to Run there: %w", err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	report, err := c.run(ctx, search, canary)
	if ended := ctx.Err(); err != nil && ended != nil {
		err = fmt.Errorf("%w\n  %w: a check whose context has no deadline gets %s", err, ended, patience)
	}
	return report, mute(redact.New(known), err)
}

// run is Run after the input was checked.
func (c Check) run(ctx context.Context, search *sweep.Sweep, canary canary) (Report, error) {
	var report Report
	e := &engine{c.Client}
	if c.Client == nil {
		docker, err := connect(ctx, c.Containers[0].GetContainerID(), endpoints())
		if err != nil {
			return report, err
		}
		defer docker.Close()
		e.docker = docker
	}
	if err := e.removeLeft(ctx); err != nil {
		return report, err
	}
	targets, err := e.targets(ctx, c.Containers)
	if err != nil {
		return report, err
	}
	for _, one := range plants(targets) {
		planted, err := e.prove(ctx, search, canary, one)
		if err != nil {
			return report, err
		}
		report.Planted += planted
	}
	return report, c.silence(ctx, e, search, targets, &report)
}

// problems lists why a check would prove nothing.
func (c Check) problems() []string {
	var all []string
	if len(c.Secrets) == 0 {
		all = append(all, "no secrets were given: nothing would be searched for")
	}
	if len(c.Containers) == 0 {
		all = append(all, "no containers were given: nothing would be searched")
	}
	for _, name := range c.Secrets.names() {
		if len(c.Secrets[name]) == 0 {
			all = append(all, name+" is empty: nothing would be searched for")
		}
		if name == canaryName {
			all = append(all, canaryName+" is the canary's name: give the secret another")
		}
	}
	for _, name := range c.InEnvironment {
		if _, ok := c.Secrets[name]; !ok {
			all = append(all, name+" is in InEnvironment but not in Secrets")
		}
	}
	for _, name := range sortedNames(c.Further) {
		if strings.HasPrefix(name, environmentOf) {
			all = append(all, fmt.Sprintf("a further text must not be named %q: exceptions apply to names that begin with %q", name, environmentOf))
		}
	}
	if slices.ContainsFunc(c.Containers, isNil) {
		all = append(all, "a container is nil: it was not started; check the error of the call that starts it first")
	}
	return all
}

// isNil reports whether there is no container. With an error testcontainers' Run
// returns a nil pointer, and an interface that holds one is not nil.
func isNil(c Container) bool {
	if c == nil {
		return true
	}
	value := reflect.ValueOf(c)
	return value.Kind() == reflect.Pointer && value.IsNil()
}

// environmentOf begins the names of the surfaces that exceptions apply to.
const environmentOf = "environment of "

// silence searches everything and returns an error that lists all findings.
func (c Check) silence(ctx context.Context, e *engine, search *sweep.Sweep, targets []target, report *Report) error {
	var surfaces []sweep.Surface
	images := map[string]bool{}
	for _, one := range targets {
		logs, inspect, environment := sweep.Logs(e, one.id), sweep.Inspect(e, one.id), sweep.Inspect(environmentAlone{e}, one.id)
		logs.Name, inspect.Name, environment.Name = "log of "+one.name, "inspect of "+one.name, environmentOf+one.name
		surfaces = append(surfaces, logs, inspect, environment)
		if !images[one.image] {
			images[one.image] = true
			config, history, layers := sweep.ImageConfig(e, one.image), sweep.ImageHistory(e, one.image), sweep.Image(e, one.image)
			config.Name, history.Name, layers.Name = "configuration of image "+one.ref, "history of image "+one.ref, "image "+one.ref
			surfaces = append(surfaces, config, history, layers)
		}
	}
	for _, name := range sortedNames(c.Further) {
		surfaces = append(surfaces, sweep.Bytes(name, c.Further[name]))
	}
	seen := search.Run(ctx, surfaces...)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("leaktest: not everything was searched: %w", err)
	}
	report.Surfaces, report.Bytes = len(seen.Results), seen.Bytes
	return c.verdict(seen)
}

// verdict returns an error that lists what was found and what was not read.
func (c Check) verdict(seen sweep.Report) error {
	var problems []string
	shown := map[string]bool{}
	for _, unread := range seen.Unread {
		problems = append(problems, unread.Surface+" was not read: "+unread.Why)
	}
	for _, result := range seen.Results {
		for _, hit := range result.Hits {
			if slices.Contains(c.InEnvironment, hit.Name) && strings.HasPrefix(hit.Surface, environmentOf) {
				shown[hit.Name] = true
				continue
			}
			problems = append(problems, fmt.Sprintf("%s shows %s: %s, %s", hit.Surface, hit.Name, hit.Encoding, strings.TrimPrefix(fmt.Sprintf("%s, line %d", hit.Place, hit.Line), ", ")))
		}
		if result.More > 0 {
			problems = append(problems, fmt.Sprintf("%s shows values %d more times", result.Surface, result.More))
		}
	}
	for _, name := range c.InEnvironment {
		if !shown[name] {
			problems = append(problems, name+" is in InEnvironment but in no container's environment: remove the exception")
		}
	}
	if len(problems) > 0 {
		return &Error{Problems: problems}
	}
	return nil
}
