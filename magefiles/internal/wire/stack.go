package wire

import (
	"context"
	"os"

	"github.com/keepmum/keepmum/internal/compose"
	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/imagebuild"
	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/internal/strictapi"
)

// The demo's directory and its Compose project.
const (
	demoDir  = ".keepmum/demo"
	demoName = "keepmum-demo"
)

// Stack is the use cases over the stack.
func (t *Tools) Stack() *stack.Stack {
	maker := imagebuild.Maker{Dir: ".", Progress: t.Console}
	t.Project.Dir, t.Project.LookupEnv = t.dir, os.LookupEnv
	return stack.New(stack.Config{Project: t.Project, Values: t.Values(), Connect: connect, Compose: t.Composer, Ports: compose.HostPorts{}, Services: maker, Postgres: maker})
}

// connect connects to the engine that the environment names.
func connect(ctx context.Context) (stack.Connection, error) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return stack.Connection{}, err
	}
	return stack.Connection{Engine: e, Images: e, Puller: e, Close: e.Close}, nil
}

// Composer finds a Compose, or builds one.
func (t *Tools) Composer(ctx context.Context) (stack.Composer, error) {
	tool, err := compose.Finder{Progress: t.Console}.Find(ctx)
	if err != nil {
		return nil, err
	}
	return tool, nil
}

// BuildImages makes the images of the stack.
func (t *Tools) BuildImages(ctx context.Context, refresh, dryRun bool) (images.Result, error) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return images.Result{}, err
	}
	defer func() { _ = e.Close() }()
	state, err := t.Project.LoadManifest()
	if err != nil {
		return images.Result{}, err
	}
	maker := imagebuild.Maker{Dir: ".", Progress: t.Console}
	build := images.New(images.Config{Store: e, Puller: e, Services: maker, Postgres: maker, Progress: t.Console})
	return build.Build(ctx, state.Manifest, images.Options{PostgresImage: os.Getenv(images.PostgresVariable), Refresh: refresh, DryRun: dryRun})
}

// Prepare makes what the integration tests start: the images of the stack, and
// a Compose if there is none.
func Prepare(ctx context.Context, c *console.Console) error {
	t, err := Open(c, true)
	if err != nil {
		return err
	}
	defer t.Close()
	if _, err := t.BuildImages(ctx, false, false); err != nil {
		return err
	}
	_, err = t.Composer(ctx)
	return err
}

// Demo opens the demo's directory, which it makes if there is a compose file to
// make it for, and returns the use case and the function that closes all.
func Demo(c *console.Console) (use *demo.Demo, done func(), err error) {
	source, err := secretdir.OpenProject(".", "")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = source.Close()
		}
	}()
	from := project.Project{Workspace: source, Progress: c, ComposeFile: os.Getenv("KEEPMUM_COMPOSE_FILE")}
	if err := from.HasManifest(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(demoDir, 0o700); err != nil {
		return nil, nil, &fault.Error{Code: fault.Failed, What: demoDir + " cannot be made", Next: "check the owner and mode of this directory", Cause: err}
	}
	own, err := open(c, demoDir, "", secretdir.Open)
	if err != nil {
		return nil, nil, err
	}
	own.Project.Name = demoName
	at := own.Stack()
	at.Values.Git = nil // .keepmum is ignored whole
	remove := func() error {
		if err := os.RemoveAll(demoDir); err != nil {
			return &fault.Error{Code: fault.Failed, What: demoDir + " cannot be removed", Next: "rm -r " + demoDir, Cause: err}
		}
		return nil
	}
	use = demo.New(demo.Config{Source: from, Stack: at, API: strictapi.Client{Port: os.Getenv("KEEPMUM_API_PORT")}, Remove: remove})
	return use, func() { own.Close(); _ = source.Close() }, nil
}
