//go:build unix

package reaper

import "syscall"

// ownSession are the attributes of a process that signals to the group or
// terminal of this one do not reach.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
