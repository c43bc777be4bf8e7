//go:build unix && !linux

package secrets_test

import (
	"errors"
	"os"
)

// dropRights only checks: here the rights of one thread cannot be dropped.
func dropRights() error {
	if os.Geteuid() == 0 {
		return errors.New("run these tests as a normal user on this system")
	}
	return nil
}
