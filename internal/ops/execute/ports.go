package execute

import (
	"context"
	"io"

	"github.com/keepmum/keepmum/internal/docker"
)

// Services are the services of a Swarm. The errors match docker.ErrNotFound,
// docker.ErrExists and docker.ErrOutOfDate. Registry credentials go along with
// create and update, as docker login stored them for the image's registry.
type Services interface {
	// Services returns all services of the Swarm, also those of other stacks.
	Services(ctx context.Context) ([]docker.Service, error)
	Service(ctx context.Context, id string) (docker.Service, error)
	CreateService(ctx context.Context, spec docker.ServiceSpec) (id string, warnings []string, err error)
	UpdateService(ctx context.Context, id string, version uint64, spec docker.ServiceSpec) (warnings []string, err error)
	RemoveService(ctx context.Context, id string) error
}

// Tasks are the tasks of services.
type Tasks interface {
	// Tasks returns the tasks of the given services, also those that are over.
	Tasks(ctx context.Context, services ...string) ([]docker.Task, error)
	// TaskLogs copies the log of one task, byte for byte. It does not follow.
	TaskLogs(ctx context.Context, task docker.Task, tail int, stdout, stderr io.Writer) error
}

// Networks are the networks that the manager sees, with those that every Swarm has.
type Networks interface {
	Networks(ctx context.Context) ([]docker.Network, error)
	CreateNetwork(ctx context.Context, spec docker.NetworkSpec) (id string, err error)
	RemoveNetwork(ctx context.Context, id string) error
}

// Configs are the configs of the Swarm.
type Configs interface {
	Configs(ctx context.Context) ([]docker.SwarmConfig, error)
	CreateConfig(ctx context.Context, name string, labels map[string]string, data []byte) (id string, err error)
}

// Nodes are the nodes of the Swarm.
type Nodes interface {
	Nodes(ctx context.Context) ([]docker.Node, error)
}
