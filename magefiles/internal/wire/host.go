package wire

import (
	"context"
	"os"
	"time"

	"github.com/keepmum/keepmum/internal/engine"
	"github.com/keepmum/keepmum/internal/host"
	"github.com/keepmum/keepmum/internal/ops"
)

// Connect connects to the engine that the environment names.
func Connect(ctx context.Context) (ops.EnginePort, error) {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// EngineUp is the use case that makes sure an engine answers.
func EngineUp(talk ops.Talk, install, dryRun bool) ops.EngineUp {
	return ops.EngineUp{Connect: Connect, Host: &host.Machine{}, Talk: talk, Install: install, DryRun: dryRun}
}

// EngineDoctor is the use case that looks at everything an engine needs.
func EngineDoctor() ops.EngineDoctor {
	machine := &host.Machine{}
	return ops.EngineDoctor{Connect: Connect, Look: machine.Look, FreeDisk: host.FreeDisk, Env: os.LookupEnv, Now: time.Now}
}
