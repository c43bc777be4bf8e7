// Package build holds the targets build:*, version and completion.
package build

import (
	"context"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/gotool"

	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// Build is the namespace of the targets.
type Build mg.Namespace

// Binary compiles every target into one static binary, bin/keepmum.
//
// The same commit gives the same bytes. The binary needs no Go to run, starts
// at once, and keeps exit codes and signals: use it in CI and for releases.
func (Build) Binary(ctx context.Context,
	os *string, // operating system (default: this machine's)
	arch *string, // architecture (default: this machine's)
	output *string, // path of the binary (default bin/keepmum)
) error {
	return console.Run(ctx, wire.Long, func(ctx context.Context, c *console.Console) error {
		path, err := gotool.Binary{Dir: ".", OS: wire.Value(os), Arch: wire.Value(arch), Path: wire.Value(output)}.Build(ctx)
		if err != nil {
			return err
		}
		return c.Print("%s", path)
	})
}

// Images makes the images of the stack; only what changed is rebuilt.
//
// Services are compiled here, for the engine's architecture, into images from
// scratch; nothing is pulled for them. Where no registry answers, Postgres is
// made from Debian's packages.
func (Build) Images(ctx context.Context,
	refresh *bool, // ask Debian for newer packages of a Postgres that was made before
	dryRun *bool, // make everything and load nothing
	json *bool, // print the result as JSON
) error {
	return wire.Target[images.Result]{Limit: wire.Long, JSON: json, Show: showImages}.Run(ctx, func(ctx context.Context, t *wire.Tools) (images.Result, error) {
		return t.BuildImages(ctx, wire.Value(refresh), wire.Value(dryRun))
	})
}

// Version shows which keepmum this is.
func Version(ctx context.Context,
	json *bool, // print the result as JSON
) error {
	return console.Run(ctx, wire.Short, func(ctx context.Context, c *console.Console) error {
		return wire.Show(c, json, current(), nil, showVersion)
	})
}

// Completion prints the completion script of a shell: bash, zsh or fish.
//
// Load it by: source <(keepmum completion bash)
func Completion(ctx context.Context, shell string) error {
	return console.Run(ctx, wire.Short, func(ctx context.Context, c *console.Console) error {
		script, err := completionScript(shell)
		if err != nil {
			return err
		}
		return c.Print("%s", script)
	})
}
