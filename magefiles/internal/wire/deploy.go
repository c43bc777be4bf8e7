package wire

import (
	"context"
	"os"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/convert"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/deploy"
)

// Place says which stack of which Swarm a target is about. An empty field is what
// the environment says.
type Place struct {
	Context string // docker context
	Stack   string
	File    string // the Swarm file
}

// stack returns the name of the stack.
func (p Place) stack() string {
	if p.Stack != "" {
		return p.Stack
	}
	return os.Getenv("KEEPMUM_STACK")
}

// engine returns where the engine is looked for: a context that is named by a flag
// wins over every variable.
func (p Place) engine() engine.Options {
	if p.Context == "" {
		return engine.Options{}
	}
	return engine.Options{LookupEnv: func(name string) (string, bool) {
		switch name {
		case "DOCKER_HOST":
			return "", false
		case "DOCKER_CONTEXT":
			return p.Context, true
		}
		return os.LookupEnv(name)
	}}
}

// Deploy is the use cases over a stack in a Swarm.
func (t *Tools) Deploy(at Place) *deploy.Deploy {
	t.Project.Dir, t.Project.LookupEnv, t.Project.SwarmFile = t.dir, os.LookupEnv, at.File
	if at.File == "" {
		t.Project.SwarmFile = os.Getenv("KEEPMUM_SWARM_FILE")
	}
	return deploy.New(deploy.Config{Project: t.Project, Stack: at.stack(), Connect: func(ctx context.Context) (deploy.Swarm, error) { return t.swarm(ctx, at) }, Convert: t.convert})
}

// swarm connects to the Swarm's manager.
func (t *Tools) swarm(ctx context.Context, at Place) (deploy.Swarm, error) {
	e, err := engine.Connect(ctx, at.engine())
	if err != nil {
		return deploy.Swarm{}, err
	}
	s := swarm.New(e, swarm.Options{})
	info, err := e.Info(ctx)
	if err != nil {
		_ = e.Close()
		return deploy.Swarm{}, err
	}
	return deploy.Swarm{
		Cluster: cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, Progress: t.Console, By: by()}),
		Configs: s, Services: s, Tasks: s, Networks: s, Fleet: s, Volumes: s, API: info.APIVersion, Close: e.Close,
	}, nil
}

// by says who works here.
func by() string {
	host, _ := os.Hostname()
	user := os.Getenv("USER")
	if user == "" {
		user = os.Getenv("USERNAME")
	}
	if user == "" {
		user = "somebody"
	}
	return user + "@" + host
}

// convert makes the specifications of a Swarm file.
func (t *Tools) convert(m *manifest.Manifest, stack, api string) (docker.StackSpec, []fault.Finding, []fault.Finding) {
	return convert.Convert(m, convert.Options{Stack: stack, API: api, Dir: t.dir, ReadFile: t.workspace.Read, Lookup: os.LookupEnv})
}
