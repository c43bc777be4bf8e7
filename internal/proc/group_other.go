//go:build !unix

package proc

import "os/exec"

// ownGroup does nothing: the end of its context kills the child.
func ownGroup(*exec.Cmd) {}

// killGroup does nothing: there are no process groups.
func killGroup(*exec.Cmd) {}
