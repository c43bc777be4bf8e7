// Command prediction-service says how likely the home side wins each game that
// has not begun, and records how good its predictions were.
//
// # How a prediction is made
//
// The market's part: each book's last prices, the margin removed by Shin's
// method, joined by their median in log-odds. Elo's part: ratings learnt from
// all stored results in the order of time, with FiveThirtyEight's model of the
// NBA. The two are pooled in log-odds with a weight that is learnt from the
// games that finished; package services/internal/odds/pool says how, and what
// it promises. Without odds only Elo is used, without results only the market.
//
// A prediction is stored when it is the event's first, or differs by a tenth
// of a percentage point or more from the last.
//
// # How it is scored
//
// Log loss and Brier score of the pool, of each input alone, and of the share
// of games that home sides have won so far ("base"), side by side on the same
// games: those that finished and had both inputs. The last prediction before the
// start is the one that counts. Games that finished before this service started, or
// while it was down, are replayed: forecast from the last prices before the start
// and from results of games that began four hours earlier or more. No forecast that
// counts ever used a result that was not known at the time.
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
	return service.Program[config]{Name: "prediction-service", Run: func(ctx context.Context, kit *service.Kit, c *config) error {
		return c.Poll(ctx, kit, "predictions", c.Interval, func(db *store.Store) func(context.Context) (time.Duration, error) {
			return newPredictor(db, kit.Log).step
		})
	}}
}
