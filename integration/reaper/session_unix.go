//go:build unix

package reaper

import "syscall"

// ownSession are the attributes of a process that no signal to this one's group
// or terminal reaches.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
