// Command provider-sim stands in for two providers of basketball data: The Odds
// API v4 and API-Basketball. It serves one seeded season (package season) whose
// time runs SIM_SPEED times as fast as ours, and refuses a wrong key the way each
// provider does.
//
//	GET  /v4/sports/basketball_nba/odds             key in the query: apiKey
//	GET  /v4/historical/sports/basketball_nba/odds  the same, as of ?date=
//	GET  /games                                     key in the header x-apisports-key
//	GET  /sim/stats                                 calls by provider, and the clock
//	POST /sim/faults                                {"provider", "mode", "count", "for", "retry_after"}
//	GET  /health
//
// # Time
//
// The Date header shows the simulated time. The season began some weeks before
// the clock starts, so that there are results to learn from. The clock is a
// function of our own time only, so that a restart does not turn it back, unless
// a window of a hundred simulated days has ended in between; then another season
// starts, with other ids.
//
// # Faults
//
// Any container in the compose network may ask for faults: the port is not
// published. Modes: slow, 500, 429, 401, hangup, malformed; none ends them. A
// fault ends after count calls, or after the time for (in our own time), or
// with the next request for a fault. Faults other than 401 happen after the key
// is checked, so that the call is counted as authenticated.
package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
)

// config is what provider-sim reads.
type config struct {
	OddsKey       secrets.Secret `secret:"THE_ODDS_API_KEY"`
	BasketballKey secrets.Secret `secret:"API_BASKETBALL_KEY"`
	Seed          uint64         `env:"SIM_SEED,default=1"`
	Speed         float64        `env:"SIM_SPEED,default=60"`
	Address       string         `env:"SIM_ADDRESS,default=:8080"`
	Delay         time.Duration  `env:"SHUTDOWN_DELAY,default=0s"`
}

func main() {
	os.Exit(service.Program[config]{Name: "provider-sim", Run: run, HealthURL: "http://127.0.0.1:8080/health"}.Main())
}

func run(ctx context.Context, kit *service.Kit, c *config) error {
	if c.Speed <= 0 || c.Speed > 100000 {
		return &service.ConfigError{Name: "SIM_SPEED", What: "not above 0 and up to 100000", Next: "60 is a minute a second"}
	}
	sim := newSimulator(c, time.Now)
	kit.Health.Set("season", nil)
	mux := http.NewServeMux()
	mux.Handle("GET /health", kit.Health.Handler(false))
	mux.Handle("/", sim.handler())
	kit.Log.Info("season", "start", sim.clock.start, "now", sim.now(), "speed", c.Speed, "seed", c.Seed)
	return kit.Serve(ctx, service.Server{Address: c.Address, Handler: mux, Linger: c.Delay})
}
