package wire

import (
	"context"
	"os"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/convert"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/versions"
)

// Deploy is the use cases over a stack in a Swarm.
func (t *Tools) Deploy(o OverSwarm) *deploy.Deploy {
	of := t.Versions(o)
	return deploy.New(deploy.Config{
		Source: func(ctx context.Context, from, reason string) (deploy.Source, error) {
			return of.Read(ctx, versions.Source{From: from}, reason)
		},
		Project: t.Project, Stack: o.stack(), Convert: t.convert, Render: t.render,
		Connect: func(ctx context.Context) (deploy.Swarm, error) {
			m, err := o.connect(ctx)
			if err != nil {
				return deploy.Swarm{}, err
			}
			return deploy.Swarm{Cluster: clusterOver(m, t.Console), Configs: m, Services: m, Tasks: m, Networks: m, Fleet: m, Volumes: m, API: m.engine.API(), Close: m.Close}, nil
		},
	})
}

// convert makes the specifications of a Swarm file.
func (t *Tools) convert(m *manifest.Manifest, stack, api string) (docker.StackSpec, []fault.Finding, []fault.Finding) {
	return convert.Convert(m, t.converting(stack, api))
}

// render makes the file that docker stack deploy takes.
func (t *Tools) render(m *manifest.Manifest, stack, api string, secrets, configs map[string]string) ([]byte, error) {
	return convert.Render(m, convert.RenderOptions{Options: t.converting(stack, api), Secrets: secrets, Configs: configs})
}

// converting is what the converter does not know from the file.
func (t *Tools) converting(stack, api string) convert.Options {
	return convert.Options{Stack: stack, API: api, Dir: t.dir, ReadFile: t.workspace.Read, Lookup: os.LookupEnv}
}
