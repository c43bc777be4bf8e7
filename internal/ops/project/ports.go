package project

import (
	"context"

	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Workspace is the directory of the compose file.
type Workspace interface {
	// Read returns a file's bytes; the error matches fs.ErrNotExist if there is
	// no such file.
	Read(path string) ([]byte, error)
	// Replace replaces a file's content atomically and keeps its mode.
	Replace(path string, data []byte) error
	// Replaceable returns the error that Replace would return, as far as that
	// can be known without replacing anything.
	Replaceable(path string) error
	// Scaffold writes a file that does not exist, and reports whether it did.
	Scaffold(path string, data []byte) (made bool, err error)
	// Key returns the project's key. With create it makes the key if there is
	// none, and reports whether it did; without, the error matches
	// fs.ErrNotExist.
	Key(create bool) (key fingerprint.Key, made bool, err error)
}

// SecretStore is the directory of values, secrets/.
type SecretStore interface {
	// Snapshot reads everything that is there, under the writers' lock.
	Snapshot(ctx context.Context) (*Snapshot, error)
	// Update takes the writers' lock, reads everything, asks change what to
	// write and remove, does it, and returns the values as they are then. A
	// write puts all values of the batch in place, or none as far as that can
	// be known beforehand.
	Update(ctx context.Context, change func(*Snapshot) (Batch, error)) (*Snapshot, error)
}

// Batch is what one update changes.
type Batch struct {
	Write  map[string]secrets.Secret
	Remove []string
}
