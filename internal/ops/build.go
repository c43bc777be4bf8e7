package ops

import (
	"context"
	"io"
)

// LabelBuild is the label of an image that holds the digest of all the rest of
// it, or of what it was made of: an image with the same digest is the same.
const LabelBuild = "io.keepmum.build"

// ProbeImage holds the program that tells which files a user can read.
const ProbeImage = "keepmum/probe:dev"

// OwnPostgres is the name of the Postgres that keepmum makes of Debian
// packages; its major version follows.
const OwnPostgres = "keepmum/postgres:debian-"

// ImageStore is the images of an engine.
type ImageStore interface {
	Info(ctx context.Context) (EngineInfo, error)
	Image(ctx context.Context, ref string) (img EngineImage, found bool, err error)
	// LoadImage takes an archive in the form of docker save.
	LoadImage(ctx context.Context, archive io.Reader) ([]string, error)
	RemoveImage(ctx context.Context, ref string, force bool) error
}

// ImagePuller pulls images from their registry.
type ImagePuller interface {
	PullImage(ctx context.Context, ref string, progress func(line string)) error
}

// ImageArchive is an image that was made and is not yet in an engine.
type ImageArchive struct {
	Ref    string // name and tag
	Digest string // what its label LabelBuild says
	Size   int64  // of its files, in bytes
	Write  func(w io.Writer) error
}

// ServiceImages makes the images of services out of their sources.
type ServiceImages interface {
	// Services compiles the services, whose images' names are given by the
	// services', for an architecture in Go's words. The archives are sorted by
	// the services' names.
	Services(ctx context.Context, arch string, refs map[string]string) ([]ImageArchive, error)
}

// PostgresImages makes an image of Postgres out of Debian packages.
type PostgresImages interface {
	// Offer says what can be made, without making it.
	Offer(ctx context.Context, arch string) (PostgresOffer, error)
	// Postgres makes it.
	Postgres(ctx context.Context, offer PostgresOffer) (ImageArchive, error)
}

// PostgresOffer is an image of Postgres that could be made.
type PostgresOffer struct {
	Ref      string   // keepmum/postgres:debian-MAJOR
	Major    string   // version of Postgres
	Arch     string   // in Go's words
	Packages []string // NAME=VERSION, sorted
	Digest   string   // of all of the above and how it is made
}
