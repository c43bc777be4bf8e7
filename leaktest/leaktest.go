package leaktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// patience is how long a check may take where its context says nothing.
const patience = 5 * time.Minute

// RequireSilence fails the test unless Check finds silence.
func RequireSilence(t testing.TB, values Secrets, containers ...testcontainers.Container) {
	t.Helper()
	report, err := Check{Secrets: values, Containers: containers}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("silence: %s", report)
}

// Check says what is searched for what.
type Check struct {
	// Secrets are the values. At least one.
	Secrets Secrets
	// Containers are searched: running or ended, not removed. At least one.
	Containers []testcontainers.Container
	// InEnvironment names the secrets that are handed over in the environment,
	// where inspect shows them. That is allowed for them in inspect alone, and
	// each must be found there: an exception that is not needed is an error.
	InEnvironment []string
	// Further texts that may tell no value, by name: what a command said, an
	// answer of an API.
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
type Error struct{ Problems []string }

// Error returns a line for each problem.
func (e *Error) Error() string {
	return "leaktest: " + strings.Join(e.Problems, "\n  ")
}

// Run plants the canary, requires that it is found, and then that no value is.
// The error is an *Error; or another one where the engine fails, or the context
// ends, which Run bounds by five minutes. What it makes on the engine is
// removed in every outcome.
func (c Check) Run(ctx context.Context) (Report, error) {
	var report Report
	if problems := c.problems(); len(problems) > 0 {
		return report, &Error{problems}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
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
	canary := newCanary()
	known := canary.known()
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		known = append(known, secrets.Known{Name: name, Value: secrets.New(c.Secrets[name])})
	}
	search, err := sweep.New(known)
	if err != nil {
		return report, err
	}
	if short := search.Unsearched(); len(short) > 0 {
		return report, &Error{[]string{"too short to be searched: " + strings.Join(short, ", ") + "; nobody can prove that they were not told"}}
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
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
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
	if slices.Contains(c.Containers, nil) {
		all = append(all, "a container is nil: it was not started")
	}
	return all
}

// silence searches everything, and returns all that was found.
func (c Check) silence(ctx context.Context, e *engine, search *sweep.Sweep, targets []target, report *Report) error {
	var surfaces []sweep.Surface
	images := map[string]bool{}
	for _, one := range targets {
		logs, inspect := sweep.Logs(e, one.id), sweep.Inspect(e, one.id)
		logs.Name, inspect.Name = "log of "+one.name, "inspect of "+one.name
		surfaces = append(surfaces, logs, inspect)
		if !images[one.image] {
			images[one.image] = true
			config, history, layers := sweep.ImageConfig(e, one.image), sweep.ImageHistory(e, one.image), sweep.Image(e, one.image)
			config.Name, history.Name, layers.Name = "configuration of image "+one.ref, "history of image "+one.ref, "image "+one.ref
			surfaces = append(surfaces, config, history, layers)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Further)) {
		surfaces = append(surfaces, sweep.Bytes(name, c.Further[name]))
	}
	seen := search.Run(ctx, surfaces...)
	if err := ctx.Err(); err != nil {
		return err
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
			if slices.Contains(c.InEnvironment, hit.Name) && strings.HasPrefix(hit.Surface, "inspect of ") {
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
			problems = append(problems, name+" is excepted from inspect, and inspect does not show it: remove the exception")
		}
	}
	if len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

// errNotFound is of a canary that was planted and not found.
var errNotFound = errors.New("leaktest: the canary was planted and not found: this search cannot fail, so it proves nothing")
