package wire

import (
	"context"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// quickLook is how long an engine is asked by a command that can do without.
const quickLook = 3 * time.Second

// holders asks the engine for the digests that running services carry.
type holders struct{}

// Holders returns the port by which file commands learn who holds an older
// value. It connects when asked, and for a moment only.
func (t *Tools) Holders() project.Holders { return holders{} }

// GrantDigests returns the digest of each running service of a Compose
// project.
func (holders) GrantDigests(ctx context.Context, project string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, quickLook)
	defer cancel()
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	containers, err := e.Containers(ctx, map[string]string{"com.docker.compose.project": project})
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, c := range containers {
		if c.State == "running" && c.Labels["com.docker.compose.oneoff"] != "True" { // of docker compose run
			digests[c.Service] = c.Labels[docker.LabelGrants]
		}
	}
	return digests, nil
}
