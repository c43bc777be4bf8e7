// Package images makes the images of a stack: those of the services from their
// sources, and one of Postgres if none can be had otherwise.
//
// [Builder.Build] decides what is needed; it asks a [ServiceMaker] and a
// [PostgresMaker] for archives and puts into the engine's [Store] only what
// differs from what is there. An image is compared by the digest in its label,
// so that nothing changed means nothing loaded.
//
// Services' images are never pulled. Postgres is chosen in this order: the
// image that the user named, the compose file's own if the engine has it, one
// that was made here before, the compose file's own from its registry, and at
// last one made from Debian packages.
package images

import (
	"context"
	"io"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

// ProbeImage holds the program that reports which files a user can read.
const ProbeImage = "keepmum/probe:dev"

// OwnPostgres is the name of the Postgres that keepmum makes from Debian
// packages; its major version follows.
const OwnPostgres = "keepmum/postgres:debian-"

// PostgresVariable is the variable in which a user names the image of Postgres,
// and which the compose file interpolates.
const PostgresVariable = "KEEPMUM_POSTGRES_IMAGE"

// PostgresVariableUse returns where the compose file uses [PostgresVariable] as
// an image.
func PostgresVariableUse(m *manifest.Manifest) (manifest.Variable, bool) {
	for _, v := range m.Variables {
		if v.Name == PostgresVariable && strings.HasSuffix(v.Path, ".image") {
			return v, true
		}
	}
	return manifest.Variable{}, false
}

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
	// PullImage calls progress for each line that the registry's answer brings.
	PullImage(ctx context.Context, ref string, progress func(line string)) error
}

// Archive is an image that was made and is not yet in an engine.
type Archive struct {
	Ref    string // name and tag
	Digest string // the value of its label [docker.LabelBuild]
	Size   int64  // of its files, in bytes
	Write  func(w io.Writer) error
}

// ServiceMaker makes the images of services from their sources.
type ServiceMaker interface {
	// Services compiles the services for an architecture in Go's words. refs
	// has the image's name by the service's. The archives are sorted by the
	// services' names; one of [ProbeImage] may come along.
	Services(ctx context.Context, arch string, refs map[string]string) ([]Archive, error)
}

// PostgresMaker makes an image of Postgres from Debian packages.
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

// Config is what a [Builder] works with.
type Config struct {
	Store    Store
	Puller   Puller // nil: nothing is ever pulled
	Services ServiceMaker
	Postgres PostgresMaker  // nil: no Postgres is made here
	Progress fault.Progress // nil: nothing is said
}

// Builder is the use case. [New] makes it.
type Builder struct{ Config }

// New makes the use case.
func New(c Config) *Builder {
	if c.Progress == nil {
		c.Progress = fault.Quiet{}
	}
	return &Builder{c}
}
