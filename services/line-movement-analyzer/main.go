// Command line-movement-analyzer follows the prices of each event: opening,
// current and closing line for each book and the consensus, moves, reversals
// and steam moves. The exact definitions are in package
// services/internal/odds/line.
//
// At each POLL_INTERVAL it looks for events with new quotes, and for those
// that began, and stores their lines and movements replacing the previous ones.
// A line is kept for both outcomes. A movement is stored for the side that
// it went towards: its outcome and its probabilities are those of that side.
//
// An event is always computed from all of its stored quotes: doing it twice
// changes nothing, and the service catches up after it was down. Quotes that a
// backfill stored afterwards are noticed within ten minutes. Only one copy works at a time (an advisory lock).
package main

import (
	"context"
	"os"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

type config struct {
	store.Settings
	Interval time.Duration `env:"POLL_INTERVAL,default=30s"`
}

func main() { os.Exit(program().Main()) }

func program() service.Program[config] {
	return service.Program[config]{Name: "line-movement-analyzer", Run: func(ctx context.Context, kit *service.Kit, c *config) error {
		return c.Poll(ctx, kit, "movements", c.Interval, func(db *store.Store) func(context.Context) (time.Duration, error) {
			return newAnalyzer(db, kit.Log).step
		})
	}}
}
