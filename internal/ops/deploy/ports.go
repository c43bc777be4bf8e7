package deploy

import (
	"context"
	"io"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/pkg/secrets"
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

// Networks are the networks that the manager sees.
type Networks interface {
	Networks(ctx context.Context) ([]docker.Network, error)
	CreateNetwork(ctx context.Context, spec docker.NetworkSpec) (id string, err error)
	RemoveNetwork(ctx context.Context, id string) error
}

// Fleet is what else of the Swarm a preflight looks at.
type Fleet interface {
	Nodes(ctx context.Context) ([]docker.Node, error)
	// ResolveImage returns the image with its digest as its registry has it, asked
	// with the stored credentials; docker.ErrNotFound if no registry answers for it.
	ResolveImage(ctx context.Context, image string) (string, error)
	// HasImage reports whether the connected engine has the image.
	HasImage(ctx context.Context, image string) (bool, error)
	// Credentials returns the stored credentials for the images' registries, for
	// masking.
	Credentials(images ...string) []secrets.Known
}
