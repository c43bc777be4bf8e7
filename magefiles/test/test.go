// Package test holds the targets test:* and lint: they are about keepmum
// itself, in its own checkout.
package test

import (
	"context"
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
// A test that is skipped fails the run. Everything that it starts it removes.
func (Test) Integration(ctx context.Context,
	install *bool, // where no engine answers, do what engine:up -install does
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Is(install)}); err != nil {
			return err
		}
		tally, err := integration(ctx, c)
		return show(c, tally, err)
	})
}

// All runs lint, the unit tests and the integration tests.
func (Test) All(ctx context.Context,
	install *bool, // where no engine answers, do what engine:up -install does
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Is(install)}); err != nil {
			return err
		}
		return all(ctx, c)
	})
}

// Mutants breaks places that a promise rests on, one at a time, and requires
// that a test fails for each.
//
// The breakages stand in mutants/. The tree is not changed: the go command sees
// each in an overlay. What was tried before and has not changed is not tried
// again. The results and the table in docs/PROOF.md are to be committed.
func (Test) Mutants(ctx context.Context,
	limit *time.Duration, // begin none after this time, such as 20m (default: try all)
	again *bool, // try also what was tried before
) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		return mutants(ctx, c, limit, wire.Is(again))
	})
}

// Lint checks the code: format, vet, staticcheck, modules, every platform.
func Lint(ctx context.Context) error {
	return target(ctx, func(ctx context.Context, c *console.Console) error {
		return lint(c).Run(ctx)
	})
}
