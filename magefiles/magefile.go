//go:build mage

// Secrets from .env to files to Compose to Swarm. This file holds no target of
// its own: another repository imports the same packages over its own compose
// files.
package main

import (
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/build"
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/deploy"
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/engine"
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/secrets"
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/stack"
	//mage:import
	_ "github.com/keepmum/keepmum/magefiles/test"
)
