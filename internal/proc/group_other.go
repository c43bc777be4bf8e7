//go:build !unix

package proc

import "os/exec"

// ownGroup leaves the child as it is: the end of its context kills it.
func ownGroup(*exec.Cmd) {}

// killGroup does nothing: there are no process groups.
func killGroup(*exec.Cmd) {}
