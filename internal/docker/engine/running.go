package engine

import (
	"context"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
)

// quickLook is how long an engine is asked by a command that can do without it.
const quickLook = 3 * time.Second

// Running reports what the running services of a Compose project were started
// with. It connects when it is asked, and for a moment only.
type Running struct{ Options Options }

// GrantDigests returns the digest of its grants that each running service of a
// Compose project carries, by service; "" for a service that carries none.
// Containers of docker compose run belong to no service.
func (r Running) GrantDigests(ctx context.Context, project string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, quickLook)
	defer cancel()
	e, err := Connect(ctx, r.Options)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	containers, err := e.Containers(ctx, map[string]string{docker.LabelProject: project})
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, c := range containers {
		if c.State == "running" && c.Labels[docker.LabelOneOff] != "True" {
			digests[c.Service] = c.Labels[docker.LabelGrants]
		}
	}
	return digests, nil
}
