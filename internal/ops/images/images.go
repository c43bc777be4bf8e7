package images

import (
	"context"
	"io"

	"github.com/keepmum/keepmum/internal/docker"
)

// ProbeImage holds the program that tells which files a user can read.
const ProbeImage = "keepmum/probe:dev"

// OwnPostgres is the name of the Postgres that keepmum makes of Debian
// packages; its major version follows.
const OwnPostgres = "keepmum/postgres:debian-"

// Store is the images of an engine.
type Store interface {
	Info(ctx context.Context) (docker.Info, error)
	Image(ctx context.Context, ref string) (img docker.Image, found bool, err error)
	// LoadImage takes an archive in the form of docker save.
	LoadImage(ctx context.Context, archive io.Reader) ([]string, error)
	RemoveImage(ctx context.Context, ref string, force bool) error
}

// Puller pulls images from their registry.
type Puller interface {
	PullImage(ctx context.Context, ref string, progress func(line string)) error
}

// Archive is an image that was made and is not yet in an engine.
type Archive struct {
	Ref    string // name and tag
	Digest string // what its label LabelBuild says
	Size   int64  // of its files, in bytes
	Write  func(w io.Writer) error
}

// ServiceMaker makes the images of services out of their sources.
type ServiceMaker interface {
	// Services compiles the services, whose images' names are given by the
	// services', for an architecture in Go's words. The archives are sorted by
	// the services' names.
	Services(ctx context.Context, arch string, refs map[string]string) ([]Archive, error)
}

// PostgresMaker makes an image of Postgres out of Debian packages.
type PostgresMaker interface {
	// Offer says what can be made, without making it.
	Offer(ctx context.Context, arch string) (PostgresOffer, error)
	// Postgres makes it.
	Postgres(ctx context.Context, offer PostgresOffer) (Archive, error)
}

// PostgresOffer is an image of Postgres that could be made.
type PostgresOffer struct {
	Ref      string   // keepmum/postgres:debian-MAJOR
	Major    string   // version of Postgres
	Arch     string   // in Go's words
	Packages []string // NAME=VERSION, sorted
	Digest   string   // of all of the above and how it is made
}
