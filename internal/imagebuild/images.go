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
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

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

// cacheDir returns the directory for what is kept between runs.
func (m Maker) cacheDir() (string, error) {
	if m.CacheDir != "" {
		return m.CacheDir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", noCache("", err)
	}
	return filepath.Join(cache, "keepmum"), nil
}

// noCache is the error of a cache directory that cannot be used.
func noCache(dir string, err error) error {
	return &fault.Error{Code: fault.Failed, What: strings.TrimSpace("there is no cache directory that can be written " + dir), Next: "set HOME, or XDG_CACHE_HOME to a directory that can be written", Cause: err}
}

// stopped is the error of a call that its context ended.
func stopped(ctx context.Context, while string) error {
	if ctx.Err() == context.DeadlineExceeded {
		return &fault.Error{Code: fault.Incomplete, What: "the deadline passed while " + while, Next: "mage build:images", Cause: ctx.Err()}
	}
	return &fault.Error{Code: fault.Interrupted, What: "stopped while " + while, Next: "mage build:images", Cause: ctx.Err()}
}

// noTemp is the error that no temporary directory can be made.
func noTemp(err error) error {
	return &fault.Error{Code: fault.Failed, What: "no temporary directory could be made", Next: "set TMPDIR to a directory that can be written", Cause: err}
}

// sortedKeys returns the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
