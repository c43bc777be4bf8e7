package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds/line"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

func begin() time.Time { return time.Date(2026, 11, 24, 0, 30, 0, 0, time.UTC) }

func at(minutesBefore int) time.Time { return begin().Add(-time.Duration(minutesBefore) * time.Minute) }

// memory is an archive in memory.
type memory struct {
	now       time.Time
	events    []store.Event
	quotes    []store.Quote
	lines     map[string][]store.Line
	movements map[string][]store.Movement
	saves     int
	fail      error
}

func (m *memory) Now(context.Context) (time.Time, error) {
	return m.now, m.fail
}

func (m *memory) Changed(_ context.Context, since time.Time) ([]string, error) {
	var ids []string
	for _, q := range m.quotes {
		if !q.ObservedAt.Before(since) {
			ids = append(ids, q.EventID)
		}
	}
	return ids, m.fail
}

func (m *memory) Unanalysed(_ context.Context, now time.Time) ([]string, error) {
	var ids []string
	for _, e := range m.events {
		lines := m.lines[e.ID]
		if len(m.history(e.ID)) > 0 && (len(lines) == 0 || (lines[0].Closing == nil && !e.Commence.After(now))) {
			ids = append(ids, e.ID)
		}
	}
	return ids, m.fail
}

func (m *memory) Events(_ context.Context, f store.EventFilter) ([]store.Event, error) {
	return slices.DeleteFunc(slices.Clone(m.events), func(e store.Event) bool { return e.ID != f.ID }), m.fail
}

func (m *memory) History(_ context.Context, id string) ([]store.Quote, error) {
	return m.history(id), m.fail
}

func (m *memory) history(id string) []store.Quote {
	return slices.DeleteFunc(slices.Clone(m.quotes), func(q store.Quote) bool { return q.EventID != id || q.ObservedAt.After(m.now) })
}

func (m *memory) SaveAnalysis(_ context.Context, id string, lines []store.Line, movements []store.Movement) error {
	m.lines[id], m.movements[id] = lines, movements
	m.saves++
	return m.fail
}

// quote is two rows, without a margin.
func quote(book string, minutesBefore int, p float64) []store.Quote {
	row := store.Quote{EventID: "e1", Market: store.HeadToHead, Book: book, SourceTime: at(minutesBefore), ObservedAt: at(minutesBefore)}
	home, away := row, row
	home.Outcome, home.Price = store.Home, 1/p
	away.Outcome, away.Price = store.Away, 1/(1-p)
	return []store.Quote{away, home}
}

func newMemory(quotes ...[]store.Quote) *memory {
	return &memory{
		now:    at(1),
		events: []store.Event{{ID: "e1", Commence: begin(), Home: "Boston Celtics", Away: "Miami Heat"}},
		quotes: slices.Concat(quotes...),
		lines:  map[string][]store.Line{}, movements: map[string][]store.Movement{},
	}
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

func analyzerOf(m *memory) *analyzer { return newAnalyzer(m, slog.New(slog.DiscardHandler)) }

func step(t *testing.T, a *analyzer) {
	t.Helper()
	if _, err := a.step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStepStoresBothSidesOfEveryLine(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5), quote("alpha", 30, 0.6))
	step(t, analyzerOf(m))
	var got []string
	for _, l := range m.lines["e1"] {
		got = append(got, fmt.Sprintf("%s %s %.2f-%.2f %v", l.Book, l.Outcome, l.Opening, l.Current, l.Closing == nil))
	}
	want := []string{"consensus home 0.50-0.60 true", "consensus away 0.50-0.40 true", "alpha home 0.50-0.60 true", "alpha away 0.50-0.40 true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStepStoresMovementsFromTheSideTheyWentTo(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5), quote("alpha", 40, 0.4), quote("alpha", 20, 0.5))
	step(t, analyzerOf(m))
	var got []string
	for _, v := range m.movements["e1"] {
		got = append(got, fmt.Sprintf("%s %s %s %.2f-%.2f", v.Book, v.Kind, v.Outcome, v.From, v.To))
	}
	want := []string{"consensus move away 0.50-0.60", "consensus reversal home 0.40-0.50", "alpha move away 0.50-0.60", "alpha reversal home 0.40-0.50"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStepStoresSteam(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for i, book := range []string{"alpha", "beta", "gamma"} {
		m.quotes = append(m.quotes, quote(book, 60, 0.5)...)
		m.quotes = append(m.quotes, quote(book, 30-i, 0.4)...)
	}
	slices.SortStableFunc(m.quotes, func(a, b store.Quote) int { return a.SourceTime.Compare(b.SourceTime) })
	step(t, analyzerOf(m))
	i := slices.IndexFunc(m.movements["e1"], func(v store.Movement) bool { return v.Kind == store.Steam })
	if i < 0 {
		t.Fatalf("no steam in %+v", m.movements)
	}
	got := m.movements["e1"][i]
	if got.Book != store.Consensus || got.Outcome != store.Away || got.Books != 3 || math.Abs(got.To-0.6) > 1e-9 || !got.ToAt.Equal(at(28)) || !got.FromAt.Equal(at(38)) {
		t.Errorf("%+v", got)
	}
}

func TestStepClosesLinesOnce(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5), quote("alpha", 30, 0.6))
	a := analyzerOf(m)
	step(t, a)
	if m.lines["e1"][0].Closing != nil {
		t.Fatal("closed before the start")
	}
	m.now = at(0)
	step(t, a)
	if c := m.lines["e1"][0].Closing; c == nil || math.Abs(*c-0.6) > 1e-9 {
		t.Fatalf("closing %v, want 0.6", c)
	}
	saves := m.saves
	m.now = at(-10)
	step(t, a)
	step(t, a)
	if m.saves != saves {
		t.Errorf("%d more saves without news", m.saves-saves)
	}
}

func TestStepIsIdempotentAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5), quote("beta", 50, 0.52), quote("alpha", 40, 0.6), quote("beta", 30, 0.61))
	a := analyzerOf(m)
	for _, minutes := range []int{55, 45, 35, 25} {
		m.now = at(minutes)
		step(t, a)
	}
	lines, movements := m.lines["e1"], m.movements["e1"]
	step(t, analyzerOf(m)) // as after a restart
	if !reflect.DeepEqual(lines, m.lines["e1"]) || !reflect.DeepEqual(movements, m.movements["e1"]) {
		t.Errorf("step by step:\n%+v\n%+v\nat once:\n%+v\n%+v", lines, movements, m.lines["e1"], m.movements["e1"])
	}
}

func TestStepWithoutAnUpstreamOrADatabase(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.now = time.Time{}
	step(t, analyzerOf(m)) // no upstream has answered yet: that is not a failure
	m = newMemory(quote("alpha", 60, 0.5))
	m.fail = errors.New("down")
	if _, err := analyzerOf(m).step(t.Context()); err == nil {
		t.Error("a failing database is not reported")
	}
}

func TestStepHandlesNewQuotesOnce(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5), quote("alpha", 30, 0.6))
	a := analyzerOf(m)
	m.now = at(30)
	step(t, a)
	step(t, a)
	if m.saves != 1 {
		t.Errorf("%d saves, want 1: one event, and the clock stands", m.saves)
	}
	m.quotes = append(m.quotes, quote("alpha", 20, 0.7)...)
	m.now = at(20)
	step(t, a)
	if got := m.lines["e1"][0].Current; math.Abs(got-0.7) > 1e-9 {
		t.Errorf("current %v after a new quote, want 0.7", got)
	}
}

// A backfill stores quotes of the past, observed in the past: they move the closing
// line of an event that has closed.
func TestStepNoticesLateQuotes(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5))
	m.now = at(-60)
	a := analyzerOf(m)
	clock := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	a.clock = func() time.Time { return clock }
	step(t, a)
	step(t, a)
	m.quotes = append(m.quotes, quote("alpha", 30, 0.6)...)
	for _, c := range []struct {
		after time.Duration
		want  float64
		saves int
	}{{lateEvery - time.Second, 0.5, 1}, {time.Second, 0.6, 2}, {lateEvery, 0.6, 2}} {
		clock = clock.Add(c.after)
		step(t, a)
		if got := *m.lines["e1"][0].Closing; math.Abs(got-c.want) > 1e-9 || m.saves != c.saves {
			t.Errorf("at %s: closing %v after %d saves, want %v after %d", clock, got, m.saves, c.want, c.saves)
		}
	}
}

// The next step does what a step that failed half-way left undone.
func TestStepRetriesAfterAFailure(t *testing.T) {
	t.Parallel()
	m := newMemory(quote("alpha", 60, 0.5))
	a := analyzerOf(m)
	step(t, a)
	m.quotes = append(m.quotes, quote("alpha", 0, 0.6)...)
	for i := range m.quotes {
		m.quotes[i].SourceTime = m.quotes[i].SourceTime.Add(-time.Minute)
	}
	m.now = at(0)
	m.fail = errors.New("down")
	if _, err := a.step(t.Context()); err == nil {
		t.Fatal("no failure")
	}
	m.fail = nil
	step(t, a)
	if got := m.lines["e1"][0].Current; math.Abs(got-0.6) > 1e-9 {
		t.Errorf("current %v, want 0.6", got)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	row := func(book, outcome string, minutes int, price float64) store.Quote {
		return store.Quote{Book: book, Outcome: outcome, SourceTime: at(minutes), Price: price}
	}
	got := pairs([]store.Quote{
		row("alpha", store.Away, 60, 2.0), // no home price yet
		row("alpha", store.Home, 60, 1.8),
		row("beta", store.Home, 55, 1.7),  // beta never sets the other
		row("alpha", store.Home, 50, 1.9), // away stands
		row("alpha", store.Away, 40, 2.1), // both at once: one quote
		row("gamma", store.Away, 40, 2.2),
		row("gamma", store.Home, 40, 1.6),
		row("alpha", store.Home, 40, 1.6),
		row(store.Consensus, store.Home, 30, 1.5),
		row(store.Consensus, store.Away, 30, 2.5),
		row("alpha", store.Over, 30, 9),
	})
	want := []line.Quote{
		{Book: "alpha", At: at(60), Home: 1.8, Away: 2.0},
		{Book: "alpha", At: at(50), Home: 1.9, Away: 2.0},
		{Book: "alpha", At: at(40), Home: 1.6, Away: 2.1},
		{Book: "gamma", At: at(40), Home: 1.6, Away: 2.2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// The simulator plants a steam move in a quarter of its games: the market jumps
// by 1.8 to 3.3 points and every book follows within five minutes. Its ordinary
// noise is a seventh of a point in ten minutes. Package line knows none of that,
// sees the prices twice an hour, and must find about as many moves.
func TestSteamInASimulatedSeason(t *testing.T) {
	t.Parallel()
	s := season.New(season.Config{Seed: 5})
	const games = 100
	found, more := 0, 0
	for _, g := range s.Games()[:games] {
		var quotes []line.Quote
		seen := map[string]bool{}
		for when := g.Start.Add(30*time.Minute - season.Listed); !when.After(g.Start); when = when.Add(30 * time.Minute) {
			for _, q := range s.Quotes(g, when) {
				if key := q.Book.Key + q.UpdatedAt.String(); !seen[key] {
					seen[key] = true
					quotes = append(quotes, line.Quote{Book: q.Book.Key, At: q.UpdatedAt, Home: q.Home, Away: q.Away})
				}
			}
		}
		switch n := len(line.Follow(quotes, g.Start, g.Start).Steam); {
		case n > 1:
			more++
			found++
		case n == 1:
			found++
		}
	}
	t.Logf("steam in %d of %d games (planted in a quarter), more than one move in %d", found, games, more)
	if share := float64(found) / games; share < 0.15 || share > 0.35 {
		t.Errorf("steam in %.0f %% of the games, a quarter was planted", 100*share)
	}
	if more > games/20 {
		t.Errorf("more than one move in %d games, one was planted", more)
	}
}
