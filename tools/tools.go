// Package tools pins the programs that keepmum builds for itself where the
// machine has none.
//
// compose.mod is a module file of its own, with its own compose.sum, so that
// Compose's three hundred modules stay out of keepmum's go.mod. A developer
// runs it as
//
//	go tool -modfile=tools/compose.mod cmd version
//
// and moves it to another version with
//
//	go get -modfile=tools/compose.mod -tool github.com/docker/compose/v5/cmd@VERSION
//
// Version v5.5.1 is the newest that a Go 1.26.3 builds; see docs/adr/0007.
package tools

import _ "embed" // the two files below

// composeMod and composeSum are read once, at compile time; nothing writes them.
var (
	//go:embed compose.mod
	composeMod string
	//go:embed compose.sum
	composeSum string
)

// ComposePackage is the package that is built as docker-compose.
const ComposePackage = "github.com/docker/compose/v5/cmd"

// ComposeMod returns the module file that pins Compose.
func ComposeMod() string { return composeMod }

// ComposeSum returns the checksums that belong to it.
func ComposeSum() string { return composeSum }
