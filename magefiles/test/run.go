package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// target is the frame of a target over keepmum's own checkout.
func target(ctx context.Context, fn func(context.Context, *console.Console) error) error {
	return within(ctx, wire.Tests, fn)
}

// within is target with another deadline.
func within(ctx context.Context, limit time.Duration, fn func(context.Context, *console.Console) error) error {
	return console.Run(ctx, limit, func(ctx context.Context, c *console.Console) error {
		if err := gotool.Checkout("."); err != nil {
			return err
		}
		return fn(ctx, c)
	})
}

// modules returns the directories of keepmum's modules. A test has a checkout with
// one of them.
func modules() []string {
	return slices.DeleteFunc([]string{".", "leaktest"}, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		return err != nil
	})
}

// unit runs the tests without a build tag in all modules.
func unit(ctx context.Context, c *console.Console) (gotool.Tally, error) {
	return inModules(1, func(dir string) (gotool.Tally, error) { return gotool.Test(ctx, dir, c, "./...") })
}

// inModules sums the results in each module, with at most so many at a time.
func inModules(atOnce int, do func(dir string) (gotool.Tally, error)) (gotool.Tally, error) {
	dirs := modules()
	tallies, failed := make([]gotool.Tally, len(dirs)), make([]error, len(dirs))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, dir := range dirs {
		group.Go(func() error {
			tallies[i], failed[i] = do(dir)
			return nil // the others go on
		})
	}
	_ = group.Wait() // the errors are in failed
	var total gotool.Tally
	for _, tally := range tallies {
		total = total.Plus(tally)
	}
	return total, errors.Join(failed...)
}

// integration makes what its tests start, and runs them.
func integration(ctx context.Context, c *console.Console) (gotool.Tally, error) {
	if err := wire.Prepare(ctx, c); err != nil {
		return gotool.Tally{}, err
	}
	return prepared(ctx, c)
}

// prepared runs the packages that have tests with the tag integration, several at
// a time, and both modules, because they mostly wait for an engine. Cached results
// do not count: go test does not know that the engine may have changed.
func prepared(ctx context.Context, c *console.Console) (gotool.Tally, error) {
	tally, err := inModules(2, func(dir string) (gotool.Tally, error) {
		packages, err := gotool.Tagged(ctx, dir, "integration")
		if err != nil {
			return gotool.Tally{}, err
		}
		args := []string{"-tags", "integration", "-p", "2", "-parallel", "4", "-count", "1", "-short", "-timeout", "25m"}
		return gotool.Test(ctx, dir, c, append(args, packages...)...)
	})
	if err == nil {
		err = tally.Proof.Err()
	}
	return tally, err
}

// asRoot refuses users that may not make namespaces and mounts, before anything
// is started.
func asRoot(user int) error {
	if user == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "the Swarm tests make network namespaces and mounts, so they run on Linux as root only", Next: "sudo mage test:swarm"}
}

// swarm runs the packages that have tests with the tag swarm, one after another,
// because each starts several engines, and then deploys all of other people's stack
// files, of which the integration tests deploy one.
func swarm(ctx context.Context, c *console.Console) (gotool.Tally, error) {
	if err := wire.Prepare(ctx, c); err != nil {
		return gotool.Tally{}, err
	}
	packages, err := gotool.Tagged(ctx, ".", "swarm")
	if err != nil {
		return gotool.Tally{}, err
	}
	tally, err := gotool.Test(ctx, ".", c, append([]string{"-tags", "swarm", "-p", "1", "-count", "1", "-timeout", "60m"}, packages...)...)
	stacks, failed := gotool.Test(ctx, ".", c, "-tags", "integration", "-count", "1", "-timeout", "30m", "-run", "^TestSwarmStackFiles$", "./integration")
	return tally.Plus(stacks), errors.Join(err, failed)
}

// lint checks all modules.
func lint(ctx context.Context, c *console.Console) error {
	return gotool.Lint(ctx, modules(), c)
}

// show prints the last lines of a run: what was proven, if anything, then what
// passed.
func show(c *console.Console, tally gotool.Tally, err error) error {
	lines := tally.String()
	if len(tally.Proof) > 0 {
		lines = tally.Proof.String() + "\n" + lines
	}
	if shown := c.Print("%s", lines); shown != nil {
		return shown
	}
	return err
}

// all runs each part, even after one has failed, and prints how long each took.
// What the integration tests start is made beside lint and unit tests: much of that
// is waiting for packages.
func all(ctx context.Context, c *console.Console) error {
	var total gotool.Tally
	made := make(chan error, 1)
	go func() { made <- wire.Prepare(ctx, c) }()
	part := func(name string, run func() (gotool.Tally, error)) error {
		started := time.Now()
		c.Say("== %s", name)
		tally, err := run()
		total = total.Plus(tally)
		c.Say("== %s took %s", name, time.Since(started).Round(100*time.Millisecond))
		if err != nil {
			c.Say("%s", err)
		}
		return err
	}
	failed := errors.Join(
		part("lint", func() (gotool.Tally, error) { return gotool.Tally{}, lint(ctx, c) }),
		part("unit tests", func() (gotool.Tally, error) { return unit(ctx, c) }),
		part("integration tests", func() (gotool.Tally, error) {
			if err := <-made; err != nil {
				return gotool.Tally{}, err
			}
			return prepared(ctx, c)
		}),
	)
	if failed != nil {
		failed = &fault.Error{Code: fault.CodeOf(failed), What: "not everything passed", Next: "read what each part says above", Cause: failed}
	}
	return show(c, total, failed)
}

// mutationTime bounds test:mutants where no limit is given; copying the tree and
// the tools' first build come on top.
const mutationTime = 2 * time.Hour

// mutants tries the mutants and prints the scores, also of a run that was cut
// short.
func mutants(ctx context.Context, c *console.Console, only string, limit time.Duration) error {
	scores, err := gotool.Mutation{Dir: ".", Progress: c, Only: only, Limit: limit}.Run(ctx)
	if len(scores) == 0 {
		return err
	}
	rows := make([][]string, 0, len(scores))
	for _, s := range scores {
		rows = append(rows, []string{s.Of, strconv.Itoa(s.Killed), strconv.Itoa(s.Lived), strconv.Itoa(s.NotCovered), strconv.Itoa(s.TimedOut),
			fmt.Sprintf("%.1f %%", s.Efficacy()), s.Took.Round(time.Second).String()})
	}
	return errors.Join(c.Table([]string{"OF", "KILLED", "LIVED", "NOT COVERED", "TIMED OUT", "EFFICACY", "TOOK"}, rows), err)
}
