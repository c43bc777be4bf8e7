package wire

import (
	"context"
	"os"
	"time"

	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/machine"
	"github.com/keepmum/keepmum/internal/ops/host"
)

// Connect connects to the engine that the environment names.
func Connect(ctx context.Context) (host.Engine, error) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Up is the use case that makes sure an engine answers.
func EngineUp(talk fault.Progress, install, dryRun bool) host.Up {
	return host.Up{Connect: Connect, Host: &machine.Machine{}, Progress: talk, Install: install, DryRun: dryRun}
}

// Doctor is the use case that looks at everything an engine needs.
func EngineDoctor() host.Doctor {
	this := &machine.Machine{}
	return host.Doctor{Connect: Connect, Look: this.Look, FreeDisk: machine.FreeDisk, Env: os.LookupEnv, Now: time.Now}
}
