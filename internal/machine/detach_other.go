//go:build !unix

package machine

import (
	"errors"
	"os/exec"
)

// detach does nothing: plans for other systems start no daemon.
func detach(*exec.Cmd) {}

// FreeDisk returns an error: it is not known here.
func (m *Machine) FreeDisk(string) (uint64, error) {
	return 0, errors.New("the free space cannot be read on this system")
}
