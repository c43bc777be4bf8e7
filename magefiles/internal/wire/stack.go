package wire

import (
	"context"
	"os"
	"path/filepath"

	"github.com/keepmum/keepmum/internal/compose"
	"github.com/keepmum/keepmum/internal/engine"
	"github.com/keepmum/keepmum/internal/images"
	"github.com/keepmum/keepmum/internal/ops"
)

// Stack is the project whose stack a target works on.
func (t *Tools) Stack() (ops.Stack, error) {
	dir, err := filepath.Abs(".")
	if err != nil {
		return ops.Stack{}, &ops.Error{Class: ops.Failed, What: "the current directory has no path", Next: "cd to the project"}
	}
	return ops.Stack{Project: t.Project, Values: t.Values, Talk: t.Console, Dir: dir, ComposeFile: t.ComposeFile, LookupEnv: os.LookupEnv}, nil
}

// StackUp is the use case that starts the stack.
func (t *Tools) StackUp(stack ops.Stack) ops.StackUp {
	connect := func(ctx context.Context) (ops.StackPorts, error) {
		e, err := engine.Connect(ctx, engine.Options{})
		if err != nil {
			return ops.StackPorts{}, err
		}
		return ops.StackPorts{Engine: e, Images: e, Puller: e}, nil
	}
	maker := images.Maker{Dir: stack.Dir, Talk: t.Console}
	return ops.StackUp{Stack: stack, Modes: t.Values, Validate: t.Validate(), Build: ops.BuildImages{Services: maker, Postgres: maker},
		Connect: connect, Compose: t.Composer, Ports: compose.HostPorts{}}
}

// Composer finds a Compose, or builds one.
func (t *Tools) Composer(ctx context.Context) (ops.Composer, error) {
	tool, err := compose.Finder{Talk: t.Console}.Find(ctx)
	if err != nil {
		return nil, err
	}
	return tool, nil
}

// Engine connects to the engine for a target that cannot do without.
func (t *Tools) Engine(ctx context.Context) (*engine.Engine, error) {
	return engine.Connect(ctx, engine.Options{})
}

// BuildImages is the use case that makes the images of the stack.
func (t *Tools) BuildImages(e *engine.Engine, dir string) ops.BuildImages {
	maker := images.Maker{Dir: dir, Talk: t.Console}
	return ops.BuildImages{Project: t.Project, Store: e, Puller: e, Services: maker, Postgres: maker, Talk: t.Console,
		ComposeFile: t.ComposeFile, PostgresImage: os.Getenv(ops.PostgresVariable)}
}
