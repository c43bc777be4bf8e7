// Package deploy holds the targets deploy:*. Import it in a magefile to have them
// over your own stack file:
//
//	//mage:import
//	_ "github.com/keepmum/keepmum/magefiles/deploy"
package deploy

import (
	"context"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// Deploy is the namespace of the targets.
type Deploy mg.Namespace

// Plan shows what deploy:swarm would change; exit code 7 if anything.
//
// It reads the stack file and the Swarm, and checks everything that can be known
// before a change. Values are never shown: of a variable or a label, only that it
// changes.
func (Deploy) Plan(ctx context.Context,
	stack *string, // name of the stack (default: $KEEPMUM_STACK, else name: of docker-compose.yml)
	file *string, // the stack file (default: docker-compose.swarm.yml)
	context *string, // docker context (default: as docker does)
	adopt *bool, // plan also for a stack that keepmum did not deploy
	prune *bool, // plan to remove services that the file does not have
	from *string, // directory of values: plan to make versions of what is new there
	timeout *time.Duration, // for the whole command (default 1m)
	json *bool, // print the plan as JSON
) error {
	over := wire.OverSwarm{Context: context, Stack: stack, File: file, Timeout: timeout}
	return wire.Target[deploy.Result]{Over: over, Limit: over.Limit(wire.Short), ReadOnly: true, JSON: json, Show: showPlan, Always: true}.Run(ctx, func(ctx wire.Context, t *wire.Tools) (deploy.Result, error) {
		return t.Deploy(over).Plan(ctx, deploy.Options{Adopt: wire.Value(adopt), Prune: wire.Value(prune), From: wire.Value(from), AllowOutage: true})
	})
}

// Swarm deploys the stack, and returns when all of it is seen to run.
//
// Services are changed in the order of depends_on, each wave after the one before
// has converged. If a service fails, every service that was touched goes back to
// what it was: exit code 5, or 6 if something is left in between.
func (Deploy) Swarm(ctx context.Context,
	stack *string, // name of the stack (default: $KEEPMUM_STACK, else name: of docker-compose.yml)
	file *string, // the stack file (default: docker-compose.swarm.yml)
	context *string, // docker context (default: as docker does)
	from *string, // directory of values: makes versions of what is new there, as secrets:toSwarm does
	adopt *bool, // take over a stack that keepmum did not deploy
	prune *bool, // remove services that the file does not have
	allowOutage *bool, // update also what cannot be updated without an outage
	showLogs *bool, // show logs of failed tasks also where values are not known and cannot be masked
	reason *string, // why, for the record
	timeout *time.Duration, // for all to converge (default 5m); going back has another five minutes
	dryRun *bool, // show the plan and change nothing
	json *bool, // print the result as JSON
) error {
	over := wire.OverSwarm{Context: context, Stack: stack, File: file, Timeout: timeout}
	o := deploy.Options{Adopt: wire.Value(adopt), Prune: wire.Value(prune), AllowOutage: wire.Value(allowOutage), ShowLogs: wire.Value(showLogs), From: wire.Value(from), Reason: wire.Value(reason), Timeout: wire.Value(timeout), DryRun: wire.Value(dryRun)}
	return wire.Target[deploy.Result]{Over: over, Limit: over.Limit(0) + wire.Long, Alone: true, JSON: json, Show: showResult, Always: true}.Run(ctx, func(ctx wire.Context, t *wire.Tools) (deploy.Result, error) {
		return t.Deploy(over).Swarm(ctx, o)
	})
}

// Render prints the file that docker stack deploy takes.
//
// Its secrets are the newest versions. No value is in it.
func (Deploy) Render(ctx context.Context,
	stack *string, // name of the stack (default: $KEEPMUM_STACK, else name: of docker-compose.yml)
	file *string, // the stack file (default: docker-compose.swarm.yml)
	context *string, // docker context (default: as docker does)
) error {
	over := wire.OverSwarm{Context: context, Stack: stack, File: file}
	return wire.Target[[]byte]{Over: over, Limit: wire.Short, ReadOnly: true, Show: showFile}.Run(ctx, func(ctx wire.Context, t *wire.Tools) ([]byte, error) {
		return t.Deploy(over).Rendered(ctx)
	})
}

// Status shows each service of the stack: what runs, with which versions.
//
// Exit code 1 means that something that should run does not.
func (Deploy) Status(ctx context.Context,
	stack *string, // name of the stack (default: $KEEPMUM_STACK, else name: of docker-compose.yml)
	file *string, // the stack file, to see what differs from it (default: docker-compose.swarm.yml)
	context *string, // docker context (default: as docker does)
	json *bool, // print the status as JSON
) error {
	over := wire.OverSwarm{Context: context, Stack: stack, File: file}
	return wire.Target[deploy.StatusResult]{Over: over, Limit: wire.Short, ReadOnly: true, JSON: json, Show: showStatus, Always: true}.Run(ctx, func(ctx wire.Context, t *wire.Tools) (deploy.StatusResult, error) {
		return t.Deploy(over).Status(ctx)
	})
}

// Rollback undoes the last operation on a stack.
//
// Every service that it changed goes back to what it was before. It works after a
// deployment that was killed, too.
func (Deploy) Rollback(ctx context.Context, stack string,
	context *string, // docker context (default: as docker does)
	adopt *bool, // also a stack that keepmum did not deploy
	reason *string, // why, for the record
	timeout *time.Duration, // for all to converge (default 5m)
	dryRun *bool, // show the plan and change nothing
	json *bool, // print the result as JSON
) error {
	over := wire.OverSwarm{Context: context, Stack: &stack, Timeout: timeout}
	o := deploy.Options{Adopt: wire.Value(adopt), Reason: wire.Value(reason), Timeout: wire.Value(timeout), DryRun: wire.Value(dryRun)}
	return wire.Target[deploy.Result]{Over: over, Limit: over.Limit(0) + wire.Long, Alone: true, Name: stack, JSON: json, Show: showResult, Always: true}.Run(ctx, func(ctx wire.Context, t *wire.Tools) (deploy.Result, error) {
		return t.Deploy(over).Rollback(ctx, o)
	})
}

// Remove removes a stack and waits until it is gone.
//
// The versions of its secrets stay, and so do its data volumes, except those that
// -volumes names.
func (Deploy) Remove(ctx context.Context, stack string,
	context *string, // docker context (default: as docker does)
	adopt *bool, // also a stack that keepmum did not deploy
	volumes *string, // data volumes on the connected engine to remove, by name, separated by commas: their data is lost
	reason *string, // why, for the record
	timeout *time.Duration, // for the whole command (default 5m)
	dryRun *bool, // show what would be removed
	json *bool, // print the result as JSON
) error {
	over := wire.OverSwarm{Context: context, Stack: &stack, Timeout: timeout}
	o := deploy.RemoveOptions{Adopt: wire.Value(adopt), Volumes: wire.List(volumes), Reason: wire.Value(reason), DryRun: wire.Value(dryRun)}
	return wire.Target[deploy.RemoveResult]{Over: over, Limit: over.Limit(5 * time.Minute), Alone: true, Name: stack, JSON: json, Show: showRemoved}.Run(ctx, func(ctx wire.Context, t *wire.Tools) (deploy.RemoveResult, error) {
		return t.Deploy(over).Remove(ctx, o)
	})
}
