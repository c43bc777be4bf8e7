// Package images builds the images of a stack: those of the services from their
// sources, and one of Postgres if there is no other way to get one.
//
// [Builder.Build] decides which images are needed. It gets archives of them from
// a [ServiceMaker] and a [PostgresMaker], and loads into the engine's [Store]
// only those that changed: images are compared by the digest in their labels.
//
// The images of the services are never pulled. Postgres is the first of these:
// the image that the user names, the one that the compose file names if the
// engine has it, one that was built here before, the one that the compose file
// names from its registry, one built from Debian packages.
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

// OwnPostgres is the name of the Postgres that keepmum builds from Debian
// packages, without the major version at its end.
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
	// PullImage calls progress for each line of the registry's answer.
	PullImage(ctx context.Context, ref string, progress func(line string)) error
}

// Archive is an image that was built and is not yet in an engine.
type Archive struct {
	Ref    string // name and tag
	Digest string // the value of its label [docker.LabelBuild]
	Size   int64  // of its files, in bytes
	Write  func(w io.Writer) error
}

// ServiceMaker builds the images of services from their sources.
type ServiceMaker interface {
	// Services compiles the services for an architecture in Go's words. refs
	// has the names of the images by service. The archives are sorted by
	// service; that of [ProbeImage] may come first.
	Services(ctx context.Context, arch string, refs map[string]string) ([]Archive, error)
}

// PostgresMaker builds an image of Postgres from Debian packages.
type PostgresMaker interface {
	// Offer says what can be built, without building it.
	Offer(ctx context.Context, arch string) (PostgresOffer, error)
	// Postgres builds it.
	Postgres(ctx context.Context, offer PostgresOffer) (Archive, error)
}

// PostgresOffer is an image of Postgres that can be built.
type PostgresOffer struct {
	Ref      string   // keepmum/postgres:debian-MAJOR
	Major    string   // version of Postgres
	Arch     string   // in Go's words
	Packages []string // NAME=VERSION, sorted
	Digest   string   // of all of the above and how it is built
}

// Config configures a [Builder].
type Config struct {
	Store    Store
	Puller   Puller // nil: nothing is ever pulled
	Services ServiceMaker
	Postgres PostgresMaker  // nil: no Postgres is built here
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
