//go:build ignore

// This file runs keepmum's targets where nothing but Go is installed:
//
//	go run magefile.go secrets:fromEnv
//
// The targets are in magefiles/. `go tool mage` and an installed mage run
// the same ones.
package main

import (
	"os"

	"github.com/magefile/mage/mage"
)

func main() { os.Exit(mage.Main()) }
