//go:build unix

package machine

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// detach starts a daemon in a new session.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// FreeDisk returns how many bytes a user may still write below path.
func (m *Machine) FreeDisk(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("the space of %s cannot be read: %w", path, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
