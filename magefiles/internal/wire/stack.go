package wire

import (
	"context"
	"os"
	"path/filepath"

	"github.com/keepmum/keepmum/internal/compose"

	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/imagebuild"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

// Stack is the project whose stack a target works on.
func (t *Tools) Stack() (stack.Stack, error) {
	dir, err := filepath.Abs(".")
	if err != nil {
		return stack.Stack{}, &fault.Error{Code: fault.Failed, What: "the current directory has no path", Next: "cd to the project"}
	}
	return stack.Stack{Project: t.Project, Values: t.Values, Progress: t.Console, Dir: dir, ComposeFile: t.ComposeFile, LookupEnv: os.LookupEnv}, nil
}

// Up is the use case that starts the stack.
func (t *Tools) StackUp(of stack.Stack) stack.Up {
	connect := func(ctx context.Context) (stack.Ports, error) {
		e, err := engine.Connect(ctx, engine.Options{})
		if err != nil {
			return stack.Ports{}, err
		}
		return stack.Ports{Engine: e, Images: e, Puller: e}, nil
	}
	maker := imagebuild.Maker{Dir: of.Dir, Progress: t.Console}
	return stack.Up{Stack: of, Modes: t.Values, Validate: t.Validate(), Build: images.Build{Services: maker, Postgres: maker},
		Connect: connect, Compose: t.Composer, Ports: compose.HostPorts{}}
}

// Composer finds a Compose, or builds one.
func (t *Tools) Composer(ctx context.Context) (stack.Composer, error) {
	tool, err := compose.Finder{Progress: t.Console}.Find(ctx)
	if err != nil {
		return nil, err
	}
	return tool, nil
}

// Engine connects to the engine for a target that cannot do without.
func (t *Tools) Engine(ctx context.Context) (*engine.Engine, error) {
	return engine.Connect(ctx, engine.Options{})
}

// Build is the use case that makes the images of the stack.
func (t *Tools) BuildImages(e *engine.Engine, dir string) images.Build {
	maker := imagebuild.Maker{Dir: dir, Progress: t.Console}
	return images.Build{Project: t.Project, Store: e, Puller: e, Services: maker, Postgres: maker, Progress: t.Console,
		ComposeFile: t.ComposeFile, PostgresImage: os.Getenv(images.PostgresVariable)}
}
