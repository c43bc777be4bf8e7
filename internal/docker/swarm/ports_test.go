package swarm_test

import (
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/execute"
)

// The ports that the package serves.
var (
	_ cluster.Manager  = (*swarm.Swarm)(nil)
	_ cluster.Secrets  = (*swarm.Swarm)(nil)
	_ cluster.Configs  = (*swarm.Swarm)(nil)
	_ execute.Services = (*swarm.Swarm)(nil)
	_ execute.Tasks    = (*swarm.Swarm)(nil)
	_ execute.Networks = (*swarm.Swarm)(nil)
	_ deploy.Fleet     = (*swarm.Swarm)(nil)
)
