//go:build !unix

package integration

import "github.com/rogpeppe/go-internal/testscript"

// unixCommands are none where there are no users and signals of that kind.
func unixCommands() map[string]func(*testscript.TestScript, bool, []string) { return nil }
