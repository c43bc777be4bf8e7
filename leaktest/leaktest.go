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

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// patience is how long a check may take where its context has no deadline, and
// how long planting a canary may take in any case.
const patience = 5 * time.Minute

// RequireSilence fails the test unless Check finds silence. It may stand in a
// t.Cleanup too, where the test's context has ended. Cleanups run last first:
// that one is set behind testcontainers.CleanupContainer.
func RequireSilence(t testing.TB, values Secrets, containers ...testcontainers.Container) {
	t.Helper()
	ctx := t.Context()
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	report, err := Check{Secrets: values, Containers: containers}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("silence: %s", report)
}

// Check says what is searched for what.
type Check struct {
	// Secrets are the values. At least one.
	Secrets Secrets
	// Containers are searched: running, paused or ended, not removed. At least
	// one.
	Containers []testcontainers.Container
	// InEnvironment names the secrets that are handed over in the environment,
	// where inspect shows them. That is allowed for them there alone, not in
	// arguments or labels, and each must be found there, in one container at
	// least: an exception that is not needed is an error.
	InEnvironment []string
	// Further texts that may tell no value, by name: what a command said, an
	// answer of an API. The names stand in failures.
	Further map[string][]byte
}

// Report is what was read.
type Report struct {
	Surfaces int   // read to their end
	Bytes    int64 // of them
	Planted  int   // canaries in the real thing, all found
}

// String is the report in a line.
func (r Report) String() string {
	return fmt.Sprintf("%d surfaces, %d bytes; canaries planted and found %d", r.Surfaces, r.Bytes, r.Planted)
}

// Error is how Run fails: everything that is wrong at once. It holds no value.
type Error struct {
	Problems []string
	cause    error // of class errNotFound, or nil
}

// Error returns a line for each problem.
func (e *Error) Error() string {
	return "leaktest: " + strings.Join(e.Problems, "\n  ")
}

// Unwrap returns the class of the error, which this package alone knows.
func (e *Error) Unwrap() error { return e.cause }

// failure is an error of the engine or of the context. The engine may quote a
// value, such as one in the reference of an image: the text has none any more,
// and the cause can be asked what it is, and not be had.
type failure struct {
	text  string
	cause error
}

// Error returns the text.
func (f *failure) Error() string { return f.text }

// Is tells whether the cause is target.
func (f *failure) Is(target error) bool { return errors.Is(f.cause, target) }

// mute returns an error that tells no value.
func mute(values *redact.Matcher, err error) error {
	if err == nil {
		return nil
	}
	told, ok := err.(*Error)
	if !ok {
		return &failure{values.String(err.Error()), err}
	}
	muted := &Error{cause: told.cause}
	for _, problem := range told.Problems {
		muted.Problems = append(muted.Problems, values.String(problem))
	}
	return muted
}

// Run plants the canary, requires that it is found, and then that no value is.
// The error is an *Error; or another one where the engine fails, or the context
// ends, for which errors.Is holds. A context without a deadline is given five
// minutes; planting one canary takes no longer with any. What Run makes on the
// engine is removed in every outcome.
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
		return Report{}, &Error{Problems: []string{err.Error()}} // it holds names alone
	}
	if short := search.Unsearched(); len(short) > 0 {
		return Report{}, &Error{Problems: []string{"too short to be searched: " + strings.Join(short, ", ") + "; nobody can prove that they were not told"}}
	}
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("leaktest: the context ended before the check began; the context of a test ends before its t.Cleanup: give Run context.Background() there: %w", err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	report, err := c.run(ctx, search, canary)
	if ended := ctx.Err(); err != nil && ended != nil {
		err = fmt.Errorf("%w\n  %w: without a deadline of its context a check has %s", err, ended, patience)
	}
	return report, mute(redact.New(known), err)
}

// run is Run once it is known what is searched.
func (c Check) run(ctx context.Context, search *sweep.Sweep, canary canary) (Report, error) {
	var report Report
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return report, fmt.Errorf("leaktest: no engine answers: %w", err)
	}
	defer docker.Close()
	e := &engine{docker}
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

// problems lists what makes a check one of nothing.
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
			all = append(all, name+" is excepted and no secret of this check")
		}
	}
	for _, name := range sortedNames(c.Further) {
		if strings.HasPrefix(name, environmentOf) {
			all = append(all, fmt.Sprintf("a further text may not be called %q: exceptions hold for what begins with %q", name, environmentOf))
		}
	}
	if slices.ContainsFunc(c.Containers, isNil) {
		all = append(all, "a container is nil: it was not started; look at the error of what starts it first")
	}
	return all
}

// isNil tells whether there is no container: testcontainers' Run returns a nil
// pointer with its error, which makes an interface that is not nil.
func isNil(c testcontainers.Container) bool {
	if c == nil {
		return true
	}
	value := reflect.ValueOf(c)
	return value.Kind() == reflect.Pointer && value.IsNil()
}

// environmentOf begins the name of the surfaces for which exceptions hold.
const environmentOf = "environment of "

// silence searches everything, and returns all that was found.
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

// verdict makes the error of what was found and of what was not read.
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
			problems = append(problems, fmt.Sprintf("%s tells %s: %s, %s", hit.Surface, hit.Name, hit.Encoding, strings.TrimPrefix(fmt.Sprintf("%s, line %d", hit.Place, hit.Line), ", ")))
		}
		if result.More > 0 {
			problems = append(problems, fmt.Sprintf("%s tells values %d times more", result.Surface, result.More))
		}
	}
	for _, name := range c.InEnvironment {
		if !shown[name] {
			problems = append(problems, name+" is excepted in the environment, and is in none: remove the exception")
		}
	}
	if len(problems) > 0 {
		return &Error{Problems: problems}
	}
	return nil
}

// errNotFound is of a canary that was planted and not found.
var errNotFound = errors.New("the canary was planted and not found: this search cannot fail, so it proves nothing")
