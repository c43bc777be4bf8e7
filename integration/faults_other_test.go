//go:build !unix

package integration

import "github.com/rogpeppe/go-internal/testscript"

// unixCommands are the commands that need users and signals of Unix: none here.
func unixCommands() map[string]func(*testscript.TestScript, bool, []string) { return nil }
