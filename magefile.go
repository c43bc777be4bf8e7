//go:build ignore

// This file runs keepmum's targets on a machine with nothing but Go:
//
//	go run magefile.go secrets:fromEnv
//
// The targets are in magefiles/. `go tool mage` and an installed mage run the
// same ones.
package main

import (
	"os"

	"github.com/magefile/mage/mage"
)

func main() { os.Exit(mage.Main()) }
