// Package images makes the images of the stack: the services, compiled on this
// machine, and a Postgres of Debian packages where no image registry answers.
// Nothing is pulled, and no builder is used.
//
// # Reproducible
//
// An image is assembled as a tar of fixed times and owners and handed to the
// engine in the form of docker save. The same sources, toolchain and
// certificate authorities give the same bytes and therefore the same image id.
// The label io.keepmum.build holds a digest of all the rest of the image: the
// use case compares it with the engine's and loads only what changed.
//
// # Services
//
// An image FROM scratch: the static program at /NAME, the certificate
// authorities of this machine, a user 65532 and a directory for temporary
// files. All services are compiled in one call of the Go toolchain.
//
// # Postgres
//
// Packages come from apt with its own check of their signatures, in a state of
// keepmum's own under the user's cache directory: the system's package lists
// and status are neither read nor changed, and no right of root is needed. Of
// the libraries those are taken that the programs name, transitively. The
// image behaves as the official one as far as entrypoint.sh says.
package imagebuild

import (
	"os"
	"os/exec"

	"github.com/keepmum/keepmum/internal/fault"
)

// buildHint is the command that builds images.
const buildHint = "mage build:images"

// Maker makes images. Dir is required, the rest has defaults.
type Maker struct {
	Dir       string                       // of keepmum's go.mod
	Progress  fault.Progress               // nil: nothing is said
	LookupEnv func(string) (string, bool)  // nil: os.LookupEnv
	LookPath  func(string) (string, error) // nil: exec.LookPath
	CacheDir  string                       // for programs and apt's state; "": keepmum in the user's cache directory
	RootFiles []string                     // where certificate authorities are looked for; nil: SSL_CERT_FILE, or the usual places
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
