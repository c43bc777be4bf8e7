//go:build unix

package secrets

import (
	"errors"
	"os"
	"syscall"
)

// dockerDir is where Docker mounts secrets in a Linux container.
const dockerDir = "/run/secrets"

// openFlags keeps open from blocking until a pipe has a writer.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// isSpecial recognises the error of open for a socket, and for a device without
// a driver.
func isSpecial(err error) bool {
	return errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ENODEV)
}
