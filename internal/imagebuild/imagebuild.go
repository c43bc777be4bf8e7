// Package imagebuild builds images without a registry and without a builder. A
// [Maker] compiles the services on this machine, and builds a Postgres, or for
// tests a Docker engine, from Debian packages.
//
// # Reproducible
//
// An image is assembled as a tar with fixed times and owners and handed to the
// engine in the form of docker save. The same sources, toolchain and
// certificate authorities give the same bytes and therefore the same image id.
// The label io.keepmum.build holds a digest of the rest of the image: package
// images compares it to that of the engine's and loads only what changed.
//
// # Services
//
// An image FROM scratch: the static program at /NAME, the certificate
// authorities of this machine, a user 65532 and a directory for temporary
// files. [Maker.Services] compiles all in one call of the Go toolchain.
//
// # Debian packages
//
// apt downloads the packages and checks their signatures, in a separate state
// under the user's cache directory: the system's package lists and status are
// neither read nor changed, and root is not needed. An image gets the libraries
// that its programs name, transitively. That of [Maker.Postgres] behaves like
// the official one, except where entrypoint.sh says otherwise.
package imagebuild

import (
	"os"
	"os/exec"

	"github.com/keepmum/keepmum/internal/fault"
)

// buildHint is the command that builds images.
const buildHint = "mage build:images"

// Maker builds images. Services needs Dir; the other fields have defaults.
type Maker struct {
	Dir       string                       // of keepmum's go.mod
	Progress  fault.Progress               // nil: nothing is said
	LookupEnv func(string) (string, bool)  // nil: os.LookupEnv
	LookPath  func(string) (string, error) // nil: exec.LookPath
	CacheDir  string                       // for programs and apt's state; "": keepmum in the user's cache directory
	RootFiles []string                     // where to look for certificate authorities; nil: SSL_CERT_FILE, or the usual places
}

// filled returns m with every default in place.
func (m Maker) filled() Maker {
	if m.Progress == nil {
		m.Progress = fault.Quiet{}
	}
	if m.LookupEnv == nil {
		m.LookupEnv = os.LookupEnv
	}
	if m.LookPath == nil {
		m.LookPath = exec.LookPath
	}
	return m
}
