package wire

import (
	"context"
	"os"

	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/machine"
	"github.com/keepmum/keepmum/internal/ops/host"
)

// Host is the use cases over this machine and the engine that the environment
// names.
func Host(talk fault.Progress) *host.Host {
	connect := func(ctx context.Context) (host.Engine, error) {
		e, err := engine.Connect(ctx, engine.Options{})
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	return host.New(host.Config{Connect: connect, Machine: machine.New(), LookupEnv: os.LookupEnv, Progress: talk})
}
