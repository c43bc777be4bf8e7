// Package engine holds the targets engine:*.
package engine

import (
	"context"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/host"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// Engine is the namespace of the targets.
type Engine mg.Namespace

// Up makes sure that a Docker engine answers.
//
// It does nothing when one does. Otherwise it names the commands that would
// set one up on this system, and with -install, as root on Debian or Ubuntu,
// runs them. It never touches an engine that DOCKER_HOST or a context names.
func (Engine) Up(ctx context.Context,
	install *bool, // run the commands that set the engine up
	dryRun *bool, // with -install: name what would be run and run nothing
	json *bool, // print the result as JSON
) error {
	return console.Run(ctx, wire.Long, func(ctx context.Context, c *console.Console) error {
		result, err := wire.Host(c).Up(ctx, host.UpOptions{Install: wire.Value(install), DryRun: wire.Value(dryRun)})
		return wire.Show(c, json, result, err, showUp)
	})
}

// Doctor looks for every cause that keeps the engine from working.
func (Engine) Doctor(ctx context.Context,
	json *bool, // print the result as JSON
) error {
	return console.Run(ctx, wire.Short, func(ctx context.Context, c *console.Console) error {
		result, err := wire.Host(c).Doctor(ctx)
		return wire.ShowAlways(c, json, result, err, showDoctor)
	})
}
