// Package stack holds the targets stack:* and demo. Import it in a magefile to
// have them over your own compose file:
//
//	//mage:import
//	_ "github.com/keepmum/keepmum/magefiles/stack"
package stack

import (
	"context"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// Stack is the namespace of the targets.
type Stack mg.Namespace

// Up checks, builds and starts the stack, and waits until it is healthy.
//
// A service whose secrets changed is recreated, the others stay as they are. A
// service that fails is shown with its last log lines, masked.
func (Stack) Up(ctx context.Context,
	legacyEnv *bool, // legacy mode: values from .env in the environment, by docker-compose.env.yml
	deadline *time.Duration, // for all to be healthy, like 90s (default 5m); exit code 6 when it passes
	dryRun *bool, // check everything and say what would be done
	json *bool, // print the result as JSON
) error {
	return wire.Target[stack.UpResult]{Limit: wire.Long, JSON: json, Show: showUp}.Run(ctx, func(ctx context.Context, t *wire.Tools) (stack.UpResult, error) {
		return t.Stack().Up(ctx, stack.UpOptions{Legacy: wire.Value(legacyEnv), DryRun: wire.Value(dryRun), Deadline: wire.Value(deadline)})
	})
}

// Status shows each service: how it is, and whether its values are current.
func (Stack) Status(ctx context.Context,
	json *bool, // print the result as JSON
) error {
	return wire.Target[stack.StatusResult]{Limit: wire.Short, JSON: json, Show: showStatus}.Run(ctx, func(ctx context.Context, t *wire.Tools) (stack.StatusResult, error) {
		return t.Stack().Status(ctx)
	})
}

// Logs shows the logs of the services, masked, and follows them.
//
// The log of a service that holds a value which is not known here is withheld,
// because it could not be masked.
func (Stack) Logs(ctx context.Context,
	service *string, // one service (default: all)
	tail *int, // the last lines of each only (default: all)
	follow *bool, // continue until Ctrl-C (default: true; -follow=false ends with what is there)
) error {
	return wire.Target[stack.LogsResult]{Show: showLogs}.Run(ctx, func(ctx context.Context, t *wire.Tools) (stack.LogsResult, error) {
		return t.Stack().Logs(ctx, stack.LogsOptions{Out: t.Console.Out, Service: wire.Value(service), Tail: wire.Value(tail), Follow: follow == nil || *follow})
	})
}

// Down stops the stack and removes its containers and networks.
//
// The values in secrets/ stay, and so does the database unless -volumes is
// given.
func (Stack) Down(ctx context.Context,
	volumes *bool, // remove the volumes too: the database is lost
	dryRun *bool, // say what would be removed
	json *bool, // print the result as JSON
) error {
	return wire.Target[stack.DownResult]{Limit: wire.Long, JSON: json, Show: showDown}.Run(ctx, func(ctx context.Context, t *wire.Tools) (stack.DownResult, error) {
		return t.Stack().Down(ctx, stack.DownOptions{Volumes: wire.Value(volumes), DryRun: wire.Value(dryRun)})
	})
}

// Demo starts the whole stack with throw-away secrets and shows a prediction.
//
// It makes secrets in .keepmum/demo, builds the images, starts the stack
// against the provider simulator, asks for health and a prediction, and
// searches every log for every value. -clean removes all of it.
func Demo(ctx context.Context,
	install *bool, // if no engine answers, do what engine:up -install does
	clean *bool, // remove the demo: containers, volumes, secrets
	json *bool, // print the result as JSON
) error {
	return console.Run(ctx, wire.Long, func(ctx context.Context, c *console.Console) error {
		use, done, err := openDemo(ctx, c, wire.Value(install))
		if err == nil {
			defer done()
		}
		if wire.Value(clean) {
			if err != nil {
				return err
			}
			if err := use.Clean(ctx); err != nil {
				return err
			}
			return c.Print("the demo is gone: containers, volumes, secrets")
		}
		var result demo.Result
		if err == nil {
			result, err = use.Run(ctx)
		}
		return wire.Show(c, json, result, err, showDemo)
	})
}
