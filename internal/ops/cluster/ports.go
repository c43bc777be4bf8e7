package cluster

import (
	"context"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Manager is a connection to a manager of a Swarm.
type Manager interface {
	Endpoint() docker.Endpoint
	// Manager returns the engine's role, or an error of the code fault.NoEngine
	// that names the way out if it is no manager or the Swarm has no quorum.
	Manager(ctx context.Context) (docker.Swarm, error)
	// TakesValues returns an error unless values may be sent to this engine: not
	// by TCP without TLS.
	TakesValues() error
}

// Secrets are the secrets of a Swarm. The errors match docker.ErrNotFound,
// docker.ErrExists and docker.ErrInUse.
type Secrets interface {
	Secrets(ctx context.Context) ([]docker.SwarmSecret, error)
	CreateSecret(ctx context.Context, name string, labels map[string]string, value secrets.Secret) (id string, err error)
	RemoveSecret(ctx context.Context, id string) error
}

// Configs are the configs of a Swarm. The errors match docker.ErrNotFound,
// docker.ErrExists, docker.ErrInUse and docker.ErrOutOfDate.
type Configs interface {
	Configs(ctx context.Context) ([]docker.SwarmConfig, error)
	CreateConfig(ctx context.Context, name string, labels map[string]string, data []byte) (id string, err error)
	// RelabelConfig replaces all labels if the config still has that version.
	RelabelConfig(ctx context.Context, id string, version uint64, labels map[string]string) error
	RemoveConfig(ctx context.Context, id string) error
}
