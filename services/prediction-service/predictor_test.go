package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds"
	"github.com/keepmum/keepmum/services/internal/store"
)

// memory is an archive in memory.
type memory struct {
	now         time.Time
	games       []store.Game
	events      []store.Event
	quotes      []store.Quote
	made        []store.Prediction
	evaluations []store.Evaluation
	looked      int // how often closing odds were asked for
	fail        error
}

func (m *memory) Now(context.Context) (time.Time, error) {
	return m.now, m.fail
}

func (m *memory) Results(context.Context) ([]store.Game, error) {
	return keep(m.games, func(g store.Game) bool { return g.Status == store.Finished }), m.fail
}

func (m *memory) GamePage(_ context.Context, p store.Page) ([]store.Game, error) {
	return keep(m.games, func(g store.Game) bool { return !g.Start.Before(p.From) }), m.fail
}

func (m *memory) Events(_ context.Context, f store.EventFilter) ([]store.Event, error) {
	return keep(m.events, func(e store.Event) bool { return !e.Commence.Before(f.From) }), m.fail
}

func (m *memory) Latest(_ context.Context, _ string, at time.Time, ids ...string) ([]store.Quote, error) {
	if at.IsZero() {
		m.looked++
	}
	return keep(m.quotes, func(q store.Quote) bool { return slices.Contains(ids, q.EventID) }), m.fail
}

func (m *memory) commence(id string) time.Time {
	for _, e := range m.events {
		if e.ID == id {
			return e.Commence
		}
	}
	return time.Time{}
}

func (m *memory) ClosingPredictions(_ context.Context, ids ...string) ([]store.Prediction, error) {
	last := map[string]store.Prediction{}
	for _, p := range m.made {
		if slices.Contains(ids, p.EventID) && p.MadeAt.Before(m.commence(p.EventID)) {
			last[p.EventID] = p
		}
	}
	var all []store.Prediction
	for _, p := range last {
		all = append(all, p)
	}
	return all, m.fail
}

func (m *memory) PredictionPage(context.Context, store.Page) ([]store.EventPrediction, error) {
	var all []store.EventPrediction
	for _, p := range m.made { // in the order of time: the last one of an event wins
		all = append(all, store.EventPrediction{Event: store.Event{ID: p.EventID}, Prediction: p})
	}
	return all, m.fail
}

func (m *memory) SavePredictions(_ context.Context, made []store.Prediction) error {
	m.made = append(m.made, made...)
	return m.fail
}

func (m *memory) Evaluation(context.Context) ([]store.Evaluation, error) {
	return m.evaluations, m.fail
}

func (m *memory) SaveEvaluation(_ context.Context, rows []store.Evaluation) error {
	m.evaluations = rows
	return m.fail
}

func keep[T any](all []T, which func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !which(v) })
}

// price sets a book's odds, without a margin.
func (m *memory) price(event, book string, p float64) {
	m.quotes = keep(m.quotes, func(q store.Quote) bool { return q.EventID != event || q.Book != book })
	m.quotes = append(m.quotes,
		store.Quote{EventID: event, Book: book, Outcome: store.Home, Price: 1 / p},
		store.Quote{EventID: event, Book: book, Outcome: store.Away, Price: 1 / (1 - p)})
}

// world is one finished game with odds, and one tomorrow.
func world() *memory {
	m := &memory{now: noon()}
	yesterday, tomorrow := noon().AddDate(0, 0, -1), noon().AddDate(0, 0, 1)
	next := game(2, tomorrow, "b", "a", 0, 0)
	next.Status, next.HomeScore, next.AwayScore = store.Scheduled, nil, nil
	m.games = []store.Game{game(1, yesterday, "a", "b", 110, 100), next}
	m.events = []store.Event{{ID: "e1", Commence: yesterday, Home: "a", Away: "b"}, {ID: "e2", Commence: tomorrow, Home: "b", Away: "a"}}
	m.price("e1", "alpha", 0.6)
	m.price("e2", "alpha", 0.5)
	return m
}

func (m *memory) LastQuotes(context.Context) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	for _, q := range m.quotes {
		if q.SourceTime.After(last[q.EventID]) {
			last[q.EventID] = q.SourceTime
		}
	}
	return last, m.fail
}

func predictorOf(m *memory) *predictor { return newPredictor(m, slog.New(slog.DiscardHandler)) }

func step(t *testing.T, p *predictor) {
	t.Helper()
	if _, err := p.step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStepPredictsUpcomingEvents(t *testing.T) {
	t.Parallel()
	m := world()
	step(t, predictorOf(m))
	if len(m.made) != 1 {
		t.Fatalf("%d predictions, want that of e2 alone: %+v", len(m.made), m.made)
	}
	got := m.made[0]
	if got.EventID != "e2" || !got.MadeAt.Equal(noon()) || got.Books != 1 || got.Games != 1 || got.Market == nil || got.Elo == nil {
		t.Fatalf("%+v", got)
	}
	near(t, "market", *got.Market, 0.5)
	near(t, "Elo", *got.Elo, 0.621521273819) // as in the tests of package elo
	if got.Home <= 0.5 || got.Home >= *got.Elo {
		t.Errorf("pooled %v is not between 0.5 and %v", got.Home, *got.Elo)
	}
}

func TestStepStoresOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	m := world()
	p := predictorOf(m)
	step(t, p)
	for _, c := range []struct {
		what   string
		change func()
		stored int
	}{
		{"nothing", func() {}, 1},
		{"a little", func() { m.price("e2", "alpha", 0.5005) }, 1},
		{"enough", func() { m.price("e2", "alpha", 0.51) }, 2},
		{"another book that says the same", func() { m.price("e2", "beta", 0.51) }, 3},
		{"no odds any more", func() { m.quotes = nil }, 4},
		{"it begins", func() { m.now = m.events[1].Commence; m.price("e2", "alpha", 0.8) }, 4},
	} {
		m.now = m.now.Add(time.Minute)
		c.change()
		step(t, p)
		if len(m.made) != c.stored {
			t.Errorf("%s: %d predictions stored, want %d", c.what, len(m.made), c.stored)
		}
	}
	step(t, predictorOf(m)) // a restart
	if len(m.made) != 4 {
		t.Errorf("after a restart: %d predictions stored, want 4", len(m.made))
	}
}

func TestStepStoresTheFirstForecastOfElo(t *testing.T) {
	t.Parallel()
	m := world()
	first := m.games[0]
	first.Home, first.Away = "x", "y" // teams that do not play tomorrow
	m.games = m.games[1:]
	m.price("e2", "alpha", 0.640064999803) // what Elo says of new teams
	p := predictorOf(m)
	step(t, p)
	m.games = append(m.games, first)
	step(t, p)
	if len(m.made) != 2 || m.made[0].Elo != nil || m.made[1].Elo == nil {
		t.Errorf("%+v, want one prediction without Elo and one with", m.made)
	}
}

// A game is predicted, begins and finishes: the prediction from before the start is
// scored, not what is known later.
func TestStepScoresTheClosingPrediction(t *testing.T) {
	t.Parallel()
	m := world()
	p := predictorOf(m)
	step(t, p)
	said := m.made[0]
	if len(m.evaluations) != 0 {
		t.Fatalf("judged before there were both inputs: %+v", m.evaluations)
	}
	home, away := 90, 120
	m.games[1].Status, m.games[1].HomeScore, m.games[1].AwayScore = store.Finished, &home, &away
	m.price("e2", "alpha", 0.3) // before the start, but this service did not get to it
	late := said
	late.MadeAt, late.Home = m.events[1].Commence, 0.01 // made too late to count
	m.made = append(m.made, late)
	m.now = m.now.AddDate(0, 0, 2)
	step(t, p)
	want := map[string]float64{
		store.InputPooled: odds.LogLoss(said.Home, false), store.InputMarket: math.Ln2, store.InputElo: odds.LogLoss(*said.Elo, false),
		store.InputBase: odds.LogLoss(2.0/3, false),
	}
	if len(m.evaluations) != len(want) {
		t.Fatalf("%+v", m.evaluations)
	}
	for _, e := range m.evaluations {
		near(t, e.Input, e.LogLoss, want[e.Input])
		if e.Games != 1 || !e.MadeAt.Equal(m.now) {
			t.Errorf("%+v", e)
		}
	}
	before := m.evaluations[0].MadeAt
	m.now = m.now.Add(time.Hour)
	looked := m.looked
	if step(t, p); !m.evaluations[0].MadeAt.Equal(before) {
		t.Error("evaluated again without a new result")
	}
	if m.looked != looked {
		t.Error("the closing odds of finished games are asked for again")
	}
}

// A backfill stores quotes of the past: the market's probability of a finished game
// then changes, and so do the scores.
func TestStepNoticesLateQuotes(t *testing.T) {
	t.Parallel()
	m := world()
	home, away := 90, 120
	m.games[1].Status, m.games[1].HomeScore, m.games[1].AwayScore = store.Finished, &home, &away
	m.now = m.now.AddDate(0, 0, 2)
	p := predictorOf(m)
	clock := noon()
	p.clock = func() time.Time { return clock }
	market := func() float64 {
		for _, e := range m.evaluations {
			if e.Input == store.InputMarket {
				return e.LogLoss
			}
		}
		t.Fatal("no evaluation of the market")
		return 0
	}
	step(t, p)
	step(t, p)
	near(t, "at first", market(), math.Ln2)
	m.price("e2", "alpha", 0.2)
	for i := range m.quotes {
		if m.quotes[i].EventID == "e2" {
			m.quotes[i].SourceTime = noon()
		}
	}
	clock = clock.Add(lateEvery - time.Second)
	step(t, p)
	near(t, "within ten minutes", market(), math.Ln2)
	clock = clock.Add(time.Second)
	step(t, p)
	near(t, "after ten minutes", market(), -math.Log(0.8))
}

func TestStepInANewSeason(t *testing.T) {
	t.Parallel()
	m := world()
	m.games[1].Season = "2027-2028"
	step(t, predictorOf(m))
	if got := *m.made[0].Elo; got <= 0.621521273819 || got >= 0.640064999803 {
		t.Errorf("Elo %v, want it between that of the last season and that of new teams", got)
	}
}

func TestStepWithoutAnUpstreamOrADatabase(t *testing.T) {
	t.Parallel()
	step(t, predictorOf(&memory{})) // no upstream has answered yet: that is not a failure
	m := world()
	m.fail = errors.New("down")
	if _, err := predictorOf(m).step(t.Context()); err == nil {
		t.Error("a failing database is not reported")
	}
}

func TestStepWithoutOddsAndResults(t *testing.T) {
	t.Parallel()
	m := world()
	m.games, m.quotes = nil, nil
	if step(t, predictorOf(m)); len(m.made) != 0 {
		t.Errorf("predicted from nothing: %+v", m.made)
	}
}

func TestLogShowsTheScores(t *testing.T) {
	t.Parallel()
	m := world()
	home, away := 90, 120
	m.games[1].Status, m.games[1].HomeScore, m.games[1].AwayScore = store.Finished, &home, &away
	m.now = m.now.AddDate(0, 0, 2)
	log := &bytes.Buffer{}
	p := predictorOf(m)
	p.log = slog.New(slog.NewJSONHandler(log, nil))
	step(t, p)
	for _, name := range []string{`"games":1`, `"log_loss_pooled":`, `"log_loss_market":`, `"log_loss_elo":`, `"log_loss_base":`} {
		if !strings.Contains(log.String(), name) {
			t.Errorf("no %s in the log", name)
		}
	}
}
