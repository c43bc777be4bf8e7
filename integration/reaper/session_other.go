//go:build !unix

package reaper

import "syscall"

// ownSession is nil: this system has no sessions.
func ownSession() *syscall.SysProcAttr { return nil }
