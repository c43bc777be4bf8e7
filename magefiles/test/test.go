// Package test holds the targets test:* and lint. They work on keepmum itself, in
// its own checkout.
package test

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/host"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// Test is the namespace of the targets.
type Test mg.Namespace

// Unit runs every test that needs no engine.
func (Test) Unit(ctx context.Context) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		tally, err := unit(ctx, c)
		return show(c, tally, err)
	})
}

// Integration runs the tests that need an engine.
//
// A skipped test fails the run. The tests remove everything that they start.
func (Test) Integration(ctx context.Context,
	install *bool, // if no engine answers, do what engine:up -install does
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Value(install)}); err != nil {
			return err
		}
		tally, err := integration(ctx, c)
		return show(c, tally, err)
	})
}

// Swarm runs the tests that need a Swarm of several nodes; as root only.
//
// They make the nodes on this machine, in network namespaces, and remove them. The
// machine's own engine is used for images and never becomes a Swarm.
func (Test) Swarm(ctx context.Context,
	install *bool, // if no engine answers, do what engine:up -install does
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		if err := asRoot(os.Geteuid()); err != nil {
			return err
		}
		if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Value(install)}); err != nil {
			return err
		}
		tally, err := swarm(ctx, c)
		return show(c, tally, err)
	})
}

// All runs lint, the unit tests and the integration tests.
func (Test) All(ctx context.Context,
	install *bool, // if no engine answers, do what engine:up -install does
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Value(install)}); err != nil {
			return err
		}
		return all(ctx, c)
	})
}

// Mutants breaks the code on purpose, in many places, and requires that tests
// fail for it.
//
// First come the mutants written by hand in mutants/: a test must fail for each.
// Then gremlins makes more in each package of pkg/ and internal/: unit tests must
// fail for 85 % of those that they run. It works on a copy, so the checkout is
// not changed. All of it takes about an hour.
func (Test) Mutants(ctx context.Context,
	only *string, // a package such as pkg/redact, or mutants, or one patch in it (default: all)
	limit *time.Duration, // for the whole run, such as 20m (default 2h); exit code 6 when it passes
) error {
	bound := cmp.Or(wire.Value(limit), mutationTime)
	return within(ctx, bound+wire.Long, func(ctx context.Context, c *console.Console) error {
		return mutants(ctx, c, wire.Value(only), bound)
	})
}

// Lint checks the code: format, vet, staticcheck, modules, every platform.
func Lint(ctx context.Context) error {
	return target(ctx, lint)
}
