// Command schedule-poller polls API-Basketball and stores games and results.
//
// It asks for the whole season at the start and once a day, and for yesterday
// and today in between: two calls a poll. The key is in a header. As in
// odds-ingestion, answers are validated, the clock is the upstream's, storing
// twice changes nothing, and of two copies one works.
//
// The provider reports most failures with status 200 and an object errors:
// a refused key, a quota that is used up, a parameter it does not know. They
// are classified like the statuses that other providers use.
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

// keyName is the secret that holds the key of API-Basketball.
const keyName = "API_BASKETBALL_KEY"

// config is what schedule-poller reads.
type config struct {
	store.Settings
	Key      secrets.Secret `secret:"API_BASKETBALL_KEY"`
	URL      *url.URL       `env:"BASKETBALL_API_URL,default=https://v1.basketball.api-sports.io"`
	Interval time.Duration  `env:"POLL_INTERVAL,default=30m"`
	Timeout  time.Duration  `env:"BASKETBALL_TIMEOUT,default=20s"`
}

func main() { os.Exit(program().Main()) }

func program() service.Program[config] {
	return service.Program[config]{Name: "schedule-poller", Run: run}
}

func run(ctx context.Context, kit *service.Kit, c *config) error {
	if err := c.check(); err != nil {
		return err
	}
	s := newSchedule(c, kit.Log)
	return c.Poll(ctx, kit, store.ClockGames, c.Interval, func(db *store.Store) func(context.Context) (time.Duration, error) {
		s.store = db
		return s.poll
	})
}

// check finds settings and keys that cannot be intended.
func (c *config) check() error {
	if err := service.CheckInterval(c.Interval); err != nil {
		return err
	}
	if strings.ContainsFunc(c.Key.RevealString(), func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return &service.ConfigError{
			Name: keyName, What: "contains a space, a newline or another character that is not allowed in a header",
			Next: "check it with secrets:validate, then secrets:set " + keyName,
		}
	}
	return nil
}
