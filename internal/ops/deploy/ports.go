package deploy

import (
	"context"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Fleet is what else of the Swarm a preflight looks at.
type Fleet interface {
	Nodes(ctx context.Context) ([]docker.Node, error)
	// ResolveImage returns the image with its digest as its registry has it, asked
	// with the stored credentials; docker.ErrNotFound, and the image with its tag,
	// if no registry answers for it.
	ResolveImage(ctx context.Context, image string) (string, error)
	// HasImage reports whether the connected engine has the image.
	HasImage(ctx context.Context, image string) (bool, error)
	// Credentials returns the stored credentials for the images' registries, for
	// masking.
	Credentials(ctx context.Context, images ...string) []secrets.Known
}
