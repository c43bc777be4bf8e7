//go:build !unix

package reaper

import "syscall"

// ownSession is nil: there are none.
func ownSession() *syscall.SysProcAttr { return nil }
