// Command odds-ingestion polls The Odds API and stores what each book offers.
//
// The key is in the query of every call, so the URL is a secret too: no
// error of net/http or net/url is logged or wrapped (see service.Upstream).
//
// Every answer is validated: implausible events and prices are left out,
// counted by reason and logged without quoting the answer; an answer without
// anything valid counts as malformed. Storing twice changes nothing.
//
// The clock is the upstream's, from its Date header, so that a season that is
// simulated at many times our speed is stored at its own times.
//
// With ODDS_BACKFILL=840h the first call is followed by calls of the historical
// endpoint, one for each ODDS_BACKFILL_STEP of the time for which nothing is
// stored, so that closing odds of games already played can be evaluated. At the
// real provider each of them costs ten times as much, so it is off by default.
//
// Two copies take turns by an advisory lock: one works, the other stands by.
package main

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// keyName is the secret that holds the key of The Odds API.
const keyName = "THE_ODDS_API_KEY"

// config is what odds-ingestion reads.
type config struct {
	store.Settings
	Key      secrets.Secret `secret:"THE_ODDS_API_KEY"`
	URL      *url.URL       `env:"ODDS_API_URL,default=https://api.the-odds-api.com"`
	Interval time.Duration  `env:"POLL_INTERVAL,default=5m"`
	Timeout  time.Duration  `env:"ODDS_TIMEOUT,default=10s"`
	Regions  string         `env:"ODDS_REGIONS,default=us"`
	Markets  string         `env:"ODDS_MARKETS,default=h2h"`
	Backfill time.Duration  `env:"ODDS_BACKFILL,default=0s"`
	Step     time.Duration  `env:"ODDS_BACKFILL_STEP,default=6h"`
}

func main() { os.Exit(program().Main()) }

func program() service.Program[config] {
	return service.Program[config]{Name: "odds-ingestion", Run: run}
}

func run(ctx context.Context, kit *service.Kit, c *config) error {
	if err := c.check(); err != nil {
		return err
	}
	i := newIngestion(c, kit.Log)
	return c.Poll(ctx, kit, store.ClockOdds, c.Interval, func(db *store.Store) func(context.Context) (time.Duration, error) {
		i.store = db
		return i.poll
	})
}

// check finds settings that cannot be intended.
func (c *config) check() error {
	for _, market := range strings.Split(c.Markets, ",") {
		if market != store.HeadToHead && market != store.Spreads && market != store.Totals {
			return &service.ConfigError{Name: "ODDS_MARKETS", What: "contains something other than h2h, spreads and totals", Next: "set it to h2h, or to a comma-separated list"}
		}
	}
	if err := service.CheckInterval(c.Interval); err != nil {
		return err
	}
	if c.Backfill > 0 && c.Step < 5*time.Minute {
		return &service.ConfigError{Name: "ODDS_BACKFILL_STEP", What: "shorter than the provider's five minutes", Next: "set it to 6h"}
	}
	return nil
}
