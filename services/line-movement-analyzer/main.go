// Command line-movement-analyzer follows the prices of each event: opening,
// current and closing line for each book and the consensus, moves, reversals
// and steam moves. What these words mean, to the letter, is said in package
// services/internal/odds/line; its settings are the defaults there.
//
// At each POLL_INTERVAL it looks for events with new quotes, and for those
// that began, and stores their lines and movements in place of the ones before.
// A line is kept for both outcomes. A movement is told from the side that it
// went towards: its outcome is that side, its probabilities are of it.
//
// The whole of an event is worked out anew from its stored quotes each time:
// doing it twice changes nothing, and whatever came while the service was away
// is made up for. Quotes that were stored after the fact, by a backfill, are
// noticed within ten minutes. Only one copy works at a time (an advisory lock).
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
