package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// clock runs faster than ours, from an anchor at which both agree.
type clock struct {
	anchor time.Time
	speed  float64
	start  time.Time // of the first season
}

const (
	day = 24 * time.Hour
	// played is how much of the season has passed at the anchor.
	played = 35 * day
	// window is how much simulated time passes between two anchors.
	window = 100 * day
	// seasonLength is from one season's start to the next one's.
	seasonLength = (season.Days + 16) * day
	// quota is how many calls a key may make: plenty, because a poller calls all day.
	quota = 5_000_000
)

// newClock anchors a clock at the start of the window that now is in.
func newClock(now time.Time, speed float64) clock {
	length := int64(window.Seconds() / speed)
	anchor := time.Unix(now.Unix()/max(length, 1)*max(length, 1), 0).UTC()
	return clock{anchor: anchor, speed: speed, start: anchor.Add(-played).Truncate(day)}
}

// at is the simulated time when our own clock is at now.
func (c clock) at(now time.Time) time.Time {
	passed := now.Sub(c.anchor).Seconds() * c.speed
	return c.anchor.Add(time.Duration(passed * float64(time.Second))).Truncate(time.Second)
}

// simulator is both providers.
type simulator struct {
	config *config
	clock  clock
	real   func() time.Time
	odds   *provider
	games  *provider

	mu      sync.Mutex
	seasons map[int]*season.Season
}

func newSimulator(c *config, now func() time.Time) *simulator {
	return &simulator{
		config:  c,
		clock:   newClock(now(), c.Speed),
		real:    now,
		odds:    &provider{name: "the-odds-api", key: c.OddsKey, real: now, refuse: refuseOdds},
		games:   &provider{name: "api-basketball", key: c.BasketballKey, real: now, refuse: refuseGames},
		seasons: map[int]*season.Season{},
	}
}

// now is the simulated time.
func (s *simulator) now() time.Time { return s.clock.at(s.real()) }

// season returns the season at a time. Seasons follow one another, each with its
// own seed.
func (s *simulator) season(at time.Time) *season.Season {
	number := max(0, int(at.Sub(s.clock.start)/seasonLength))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seasons[number] == nil {
		s.seasons[number] = season.New(season.Config{
			Seed:  s.config.Seed + uint64(number),
			Start: s.clock.start.Add(time.Duration(number) * seasonLength),
		})
	}
	return s.seasons[number]
}

// handler routes everything but /health.
func (s *simulator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v4/sports/{sport}/odds", s.odds.guard(oddsKey, s.serveOdds))
	mux.Handle("GET /v4/historical/sports/{sport}/odds", s.odds.guard(oddsKey, s.serveHistory))
	mux.Handle("GET /games", s.games.guard(gamesKey, s.serveGames))
	mux.HandleFunc("GET /sim/stats", s.serveStats)
	mux.HandleFunc("POST /sim/faults", s.takeFault)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	})
}

// statistics is the answer of /sim/stats.
type statistics struct {
	Now       time.Time           `json:"now"`
	Season    time.Time           `json:"season_start"`
	Speed     float64             `json:"speed"`
	Providers map[string]counters `json:"providers"`
}

func (s *simulator) serveStats(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, statistics{
		Now: s.now(), Season: s.season(s.now()).Start(), Speed: s.clock.speed,
		Providers: map[string]counters{s.odds.name: s.odds.count(), s.games.name: s.games.count()},
	})
}

// answer sends JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone
}

// setInt sets a header to a number.
func setInt(h http.Header, name string, n int) { h.Set(name, strconv.Itoa(n)) }
