// Package secrets holds the targets secrets:*. Import it in a magefile to have
// them over your own compose file:
//
//	//mage:import
//	_ "github.com/keepmum/keepmum/magefiles/secrets"
package secrets

import (
	"context"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Secrets is the namespace of the targets.
type Secrets mg.Namespace

// Init scaffolds secrets/, .env.example and the project's key.
//
// Existing files stay as they are; missing ones are added. Run it again after a
// secret was declared in the compose file.
func (Secrets) Init(ctx context.Context,
	dryRun *bool, // say what would be made and make nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.InitResult]{Limit: wire.Short, JSON: json, Show: showScaffold}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.InitResult, error) {
		return t.Values().Init(ctx, wire.Value(dryRun))
	})
}

// FromEnv makes secret files from a .env file.
//
// Every declared key is checked before the first file is written. A key whose
// reading by Compose differs from what is written is refused with its line;
// quote it in single quotes, or settle it by -literal or -asCompose.
func (Secrets) FromEnv(ctx context.Context,
	file *string, // the .env to read (default .env)
	literal *string, // keys to take as they are written, separated by commas
	asCompose *string, // keys to take as Compose reads them, separated by commas
	prune *bool, // comment the keys out in the .env afterwards
	dryRun *bool, // say what would be done and do nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.FromEnvResult]{Limit: wire.Short, JSON: json, Show: showFromEnv}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.FromEnvResult, error) {
		return t.Values().FromEnv(ctx, values.FromEnvOptions{File: wire.Value(file), Literal: wire.List(literal), AsCompose: wire.List(asCompose), DryRun: wire.Value(dryRun), Prune: wire.Value(prune)})
	})
}

// Set stores one value, from a hidden prompt or standard input.
func (Secrets) Set(ctx context.Context, name string,
	dryRun *bool, // check the value and store nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.EditResult]{Name: name, JSON: json, Show: showEdit}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.EditResult, error) {
		return t.Values().Set(ctx, name, func(ctx context.Context) (secrets.Secret, error) {
			return t.Console.ReadValue(ctx, name, secretdir.MaxSize+2)
		}, wire.Value(dryRun))
	})
}

// Remove removes the file of one secret.
func (Secrets) Remove(ctx context.Context, name string,
	dryRun *bool, // say what would be removed and remove nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.EditResult]{Limit: wire.Short, Name: name, JSON: json, Show: showEdit}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.EditResult, error) {
		return t.Values().Remove(ctx, name, wire.Value(dryRun))
	})
}

// Generate makes a random value by the rule of the compose file.
func (Secrets) Generate(ctx context.Context, name string,
	force *bool, // replace a value that is there
	dryRun *bool, // make a value and store nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.EditResult]{Limit: wire.Short, Name: name, JSON: json, Show: showEdit}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.EditResult, error) {
		return t.Values().Generate(ctx, name, wire.Value(force), wire.Value(dryRun))
	})
}

// List shows each secret: who gets it, its source, its state.
func (Secrets) List(ctx context.Context,
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.ListResult]{Limit: wire.Short, JSON: json, Show: showList}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.ListResult, error) {
		return t.Values().List(ctx)
	})
}

// Validate checks every rule for every secret, all at once.
//
// It changes nothing. Exit code 3 means that something was found.
func (Secrets) Validate(ctx context.Context,
	json *bool, // print the result as JSON
) error {
	return wire.Target[values.ValidateResult]{Limit: wire.Short, ReadOnly: true, JSON: json, Show: showValidate}.Run(ctx, func(ctx context.Context, t *wire.Tools) (values.ValidateResult, error) {
		return t.Values().Validate(ctx)
	})
}
