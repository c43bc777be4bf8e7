package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds/elo"
	"github.com/keepmum/keepmum/services/internal/odds/pool"
	"github.com/keepmum/keepmum/services/internal/store"
	"pgregory.net/rapid"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s = %.9f, want %.9f", what, got, want)
	}
}

func game(id int64, start time.Time, home, away string, homeScore, awayScore int) store.Game {
	return store.Game{
		ID: id, Season: "2026-2027", Start: start, Home: home, Away: away, Status: store.Finished,
		HomeScore: &homeScore, AwayScore: &awayScore, EventID: "e" + string(rune('0'+id)),
	}
}

func some(p float64) *float64 { return &p }

func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	m := replay(nil)
	if _, ok := m.forecast("a", "b", nil); ok {
		t.Error("a forecast from nothing")
	}
	f, ok := m.forecast("a", "b", some(0.6))
	if !ok || f.elo != nil {
		t.Fatalf("%+v, %v", f, ok)
	}
	near(t, "the market alone", f.home, 0.6)
}

func TestReplayWithoutOddsIsElo(t *testing.T) {
	t.Parallel()
	m := replay([]played{{game: game(1, noon(), "a", "b", 110, 100)}})
	f, ok := m.forecast("b", "a", nil)
	if !ok || f.market != nil || f.elo == nil {
		t.Fatalf("%+v, %v", f, ok)
	}
	near(t, "Elo alone", f.home, 0.621521273819) // as in the tests of package elo
	if len(m.scores) != 0 {
		t.Errorf("judged without odds: %v", m.scores)
	}
}

// The second of two games is forecast without the result of the first unless
// that began four hours earlier.
func TestReplayDoesNotUseAResultThatWasNotKnown(t *testing.T) {
	t.Parallel()
	fresh := elo.New().HomeWins("a", "b")
	for _, c := range []struct {
		apart time.Duration
		knows bool
	}{{0, false}, {time.Hour, false}, {gameTime - time.Second, false}, {gameTime, true}, {24 * time.Hour, true}} {
		m := replay([]played{
			{game: game(1, noon(), "x", "y", 100, 90), market: some(0.5)},
			{game: game(2, noon().Add(24*time.Hour), "b", "a", 140, 90), market: some(0.5)},
			{game: game(3, noon().Add(24*time.Hour+c.apart), "a", "b", 100, 90), market: some(0.5)},
		})
		f := m.said[3]
		if f.elo == nil {
			t.Fatal("no Elo a day after the first result")
		}
		if knew := math.Abs(*f.elo-fresh) > 1e-9; knew != c.knows {
			t.Errorf("%s later: knew the result: %v, want %v", c.apart, knew, c.knows)
		}
	}
}

// No forecast changes when results that were not known at its time change.
func TestReplayNeverPeeks(t *testing.T) {
	t.Parallel()
	games, _ := simulated(9)
	games = games[:150]
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.IntRange(1, len(games)-1).Draw(t, "cut")
		when := games[cut].game.Start
		changed := make([]played, len(games))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for i, p := range games {
			changed[i] = p
			if p.game.Start.Add(gameTime).After(when) {
				home, away := 90+rng.IntN(40), 130+rng.IntN(40)
				changed[i].game.HomeScore, changed[i].game.AwayScore = &home, &away
			}
		}
		truth, other := replay(games), replay(changed)
		for _, p := range games {
			if p.game.Start.After(when) {
				break
			}
			if !reflect.DeepEqual(truth.said[p.game.ID], other.said[p.game.ID]) {
				t.Fatalf("game %d was forecast with knowledge of what came after it", p.game.ID)
			}
		}
	})
}

func TestReplayIgnoresTheOrderOfItsInput(t *testing.T) {
	t.Parallel()
	games, _ := simulated(9)
	games = games[:200]
	want := replay(games)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(games), func(i, j int) { games[i], games[j] = games[j], games[i] })
	got := replay(games)
	if !reflect.DeepEqual(got.said, want.said) || !maps.Equal(got.scores, want.scores) || !reflect.DeepEqual(got.ratings, want.ratings) {
		t.Error("the same games in another order give another model")
	}
}

func TestReplayScoresThePredictionMadeInTime(t *testing.T) {
	t.Parallel()
	said := store.Prediction{Home: 0.9, Market: some(0.8), Elo: some(0.7)}
	m := replay([]played{
		{game: game(1, noon(), "a", "b", 110, 100), market: some(0.5)},
		{game: game(2, noon().Add(24*time.Hour), "a", "b", 110, 100), market: some(0.6), said: &said},
	})
	near(t, "pooled", m.scores[store.InputPooled].LogLoss, -math.Log(0.9))
	near(t, "market", m.scores[store.InputMarket].LogLoss, -math.Log(0.8))
	near(t, "Elo", m.scores[store.InputElo].LogLoss, -math.Log(0.7))
	near(t, "base: one win of one", m.scores[store.InputBase].LogLoss, -math.Log(2.0/3))
	for input, s := range m.scores {
		if s.Games != 1 {
			t.Errorf("%s judged on %d games, want 1: before the first result there is no Elo", input, s.Games)
		}
	}
}

func TestReplayEndsSeasons(t *testing.T) {
	t.Parallel()
	first, second := game(1, noon(), "a", "b", 110, 100), game(2, noon().AddDate(1, 0, 0), "x", "y", 110, 100)
	second.Season = "2027-2028"
	m := replay([]played{{game: first}, {game: second}})
	ratings := elo.New()
	ratings.Learn(elo.Result{Home: "a", Away: "b", HomePoints: 110, AwayPoints: 100})
	near(t, "a's rating in the next season", m.ratings.Of("a"), 1500+0.75*(ratings.Of("a")-1500))
}

func TestReplaySkipsImpossibleResults(t *testing.T) {
	t.Parallel()
	draw := game(1, noon(), "a", "b", 100, 100)
	none := game(2, noon(), "a", "b", 0, 0)
	none.HomeScore = nil
	if m := replay([]played{{game: draw}, {game: none}}); m.refused != 2 || m.results != 0 {
		t.Errorf("refused %d, learnt %d", m.refused, m.results)
	}
}

func TestWeightIsLearntFromThePast(t *testing.T) {
	t.Parallel()
	var games []played
	rng := rand.New(rand.NewPCG(3, 3))
	for i := range 400 { // the market says 0.5 always, and team "strong" always wins
		home, away, score := "strong", "weak", 120
		if rng.IntN(2) == 0 {
			home, away, score = away, home, 80
		}
		games = append(games, played{game: game(int64(i+1), noon().AddDate(0, 0, i), home, away, score, 100), market: some(0.5)})
	}
	if m := replay(games); m.pool.Weight() > pool.New().Weight()/2 {
		t.Errorf("the market knew nothing, its weight is %.2f", m.pool.Weight())
	}
}

func TestConsensus(t *testing.T) {
	t.Parallel()
	q := func(book, outcome string, price float64) store.Quote {
		return store.Quote{Book: book, Outcome: outcome, Price: price}
	}
	for _, c := range []struct {
		name   string
		quotes []store.Quote
		want   float64
		books  int
	}{
		{"none", nil, 0, 0},
		{"one side only", []store.Quote{q("alpha", store.Home, 1.5)}, 0, 0},
		{"one book", []store.Quote{q("alpha", store.Away, 2.74), q("alpha", store.Home, 1.5)}, 0.650851581509, 1},
		{"one of two is broken", []store.Quote{q("alpha", store.Away, 2.74), q("alpha", store.Home, 1.5), q("beta", store.Home, 1), q("beta", store.Away, 9)}, 0.650851581509, 1},
		{
			"the middle of three",
			[]store.Quote{q("a", store.Home, 1.5), q("a", store.Away, 2.74), q("b", store.Home, 1.91), q("b", store.Away, 1.91), q("c", store.Home, 1.05), q("c", store.Away, 11)},
			0.650851581509, 3,
		},
	} {
		got, books := consensus(c.quotes)
		if books != c.books || (got == nil) != (c.books == 0) {
			t.Errorf("%s: %v of %d books, want %d", c.name, got, books, c.books)
			continue
		}
		if got != nil {
			near(t, c.name, *got, c.want)
		}
	}
}
