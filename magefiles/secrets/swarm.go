package secrets

import (
	"context"
	"time"

	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// ToSwarm makes a version in the Swarm of each new or changed value.
//
// Values come from the files of a directory, or from a .env by standard input.
// Each is checked by the rules of the compose file, and compared with the newest
// version by its fingerprint, which needs the project's key: if that is missing,
// or is another one, nothing is changed (exit code 3). The first versions need an
// environment, from DIR/.environment or -environment; later ones must be of the
// same.
func (Secrets) ToSwarm(ctx context.Context,
	from *string, // directory with one file for each secret (default: a .env by standard input)
	environment *string, // development, staging, production, ... (default: what DIR/.environment says)
	reason *string, // why, for labels and record; never a value
	literal *string, // keys of the .env to take as they are written, separated by commas
	asCompose *string, // keys of the .env to take as Compose reads them, separated by commas
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	file *string, // the Swarm file, for its grants (default: KEEPMUM_SWARM_FILE, or docker-compose.swarm.yml)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 30m); exit code 6 when it passes
	dryRun *bool, // say what would be made and make nothing
	json *bool, // print the result as JSON
) error {
	over := wire.OverSwarm{Stack: stack, File: file, Context: context, Timeout: timeout}
	return toSwarm(ctx, over, json, versions.ToSwarmOptions{
		Source: versions.Source{From: wire.Value(from), Environment: wire.Value(environment), Literal: wire.List(literal), AsCompose: wire.List(asCompose)},
		Reason: wire.Value(reason), DryRun: wire.Value(dryRun)})
}

// Diff compares a directory or a .env with the newest versions.
//
// Exit code 7 means that a version is to be made, 3 that this cannot be known
// because the project's key is missing or is another one.
func (Secrets) Diff(ctx context.Context,
	from *string, // directory with one file for each secret (default: a .env by standard input)
	environment *string, // environment of the source (default: what DIR/.environment says)
	literal *string, // keys of the .env to take as they are written, separated by commas
	asCompose *string, // keys of the .env to take as Compose reads them, separated by commas
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	file *string, // the Swarm file, for its grants (default: KEEPMUM_SWARM_FILE, or docker-compose.swarm.yml)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 1m); exit code 6 when it passes
	json *bool, // print the result as JSON
) error {
	over := wire.OverSwarm{Stack: stack, File: file, Context: context, Timeout: timeout}
	return diff(ctx, over, json, versions.Source{From: wire.Value(from), Environment: wire.Value(environment), Literal: wire.List(literal), AsCompose: wire.List(asCompose)})
}

// Where names the services that use a secret, by version and node.
func (Secrets) Where(ctx context.Context, name string,
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 1m); exit code 6 when it passes
	json *bool, // print the result as JSON
) error {
	return ask(ctx, wire.OverSwarm{Stack: stack, Context: context, Timeout: timeout}, name, json, showWhere, (*versions.Versions).Where)
}

// WhereService shows which versions a service is granted.
//
// The service is named as in the Swarm, or as in the stack's file.
func (Secrets) WhereService(ctx context.Context, service string,
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 1m); exit code 6 when it passes
	json *bool, // print the result as JSON
) error {
	return ask(ctx, wire.OverSwarm{Stack: stack, Context: context, Timeout: timeout}, service, json, showWhereService, (*versions.Versions).WhereService)
}

// History shows the versions of a secret: when, by whom, why, who uses them.
func (Secrets) History(ctx context.Context, name string,
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 1m); exit code 6 when it passes
	json *bool, // print the result as JSON
) error {
	return ask(ctx, wire.OverSwarm{Stack: stack, Context: context, Timeout: timeout}, name, json, showHistory, (*versions.Versions).History)
}

// Age shows which secrets are due to be rotated, by rotate_every.
//
// Exit code 3 means that one is overdue.
func (Secrets) Age(ctx context.Context,
	stack *string, // name of the stack (default: KEEPMUM_STACK, or the compose file's name)
	file *string, // the Swarm file, for its grants (default: KEEPMUM_SWARM_FILE, or docker-compose.swarm.yml)
	context *string, // docker context of a manager (default: as the docker command)
	timeout *time.Duration, // for all of it, like 90s (default 1m); exit code 6 when it passes
	json *bool, // print the result as JSON
) error {
	return ages(ctx, wire.OverSwarm{Stack: stack, File: file, Context: context, Timeout: timeout}, json)
}
