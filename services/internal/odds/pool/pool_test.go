package pool_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"github.com/keepmum/keepmum/services/internal/odds/pool"
	"pgregory.net/rapid"
)

func probability() *rapid.Generator[float64] { return rapid.Float64Range(0, 1) }

type game struct {
	market, elo float64
	homeWon     bool
}

func games(t *rapid.T) []game {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) game {
		return game{probability().Draw(t, "market"), probability().Draw(t, "elo"), rapid.Bool().Draw(t, "won")}
	}), 1, 200).Draw(t, "games")
}

// 0.7 has log-odds 0.847298, 0.6 has 0.405465; a quarter of the first and
// three quarters of the second add up to 0.515923, the log-odds of 0.626194.
func TestPooledMatchesIndependentNumbers(t *testing.T) {
	t.Parallel()
	if got := pool.Pooled(0.7, 0.6, 0.25); math.Abs(got-0.626194004) > 1e-8 {
		t.Errorf("Pooled = %.9f, want 0.626194004", got)
	}
}

func TestPooledProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, e := probability().Draw(t, "market"), probability().Draw(t, "elo")
		w := rapid.Float64Range(0, 1).Draw(t, "weight")
		p := pool.Pooled(m, e, w)
		if low, high := min(m, e), max(m, e); p < low-2e-6 || p > high+2e-6 {
			t.Fatalf("pooled %v is outside of %v and %v", p, m, e)
		}
		if turned := pool.Pooled(1-m, 1-e, w); math.Abs(p+turned-1) > 1e-9 {
			t.Fatalf("home %v and away %v do not sum to one", p, turned)
		}
		if other := pool.Pooled(e, m, 1-w); math.Abs(p-other) > 1e-9 {
			t.Fatalf("%v, and %v with the inputs swapped", p, other)
		}
	})
}

// The promise of the package comment, for any games.
func TestForecastIsNearTheBestWeightOnAnyGames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := games(t)
		learner := pool.New()
		var pooled odds.Score
		single := make([]odds.Score, 21)
		for _, g := range all {
			pooled = pooled.With(learner.Forecast(g.market, g.elo), g.homeWon)
			for i := range single {
				single[i] = single[i].With(pool.Pooled(g.market, g.elo, float64(i)/20), g.homeWon)
			}
			learner.Learn(g.market, g.elo, g.homeWon)
		}
		for i, s := range single {
			bound := math.Log(40) / float64(len(all))
			if i == 20 {
				bound = math.Log(2) / float64(len(all))
			}
			if pooled.LogLoss > s.LogLoss+bound+1e-9 {
				t.Fatalf("%d games: pooled %v, weight %v alone %v", len(all), pooled.LogLoss, float64(i)/20, s.LogLoss)
			}
		}
	})
}

// What was learnt does not depend on the order of the games.
func TestLearnIgnoresTheOrderOfGames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := games(t)
		forward, backward := pool.New(), pool.New()
		for i := range all {
			f, b := all[i], all[len(all)-1-i]
			forward.Learn(f.market, f.elo, f.homeWon)
			backward.Learn(b.market, b.elo, b.homeWon)
		}
		if math.Abs(forward.Weight()-backward.Weight()) > 1e-6 {
			t.Fatalf("weight %v forward, %v backward", forward.Weight(), backward.Weight())
		}
	})
}

// truthful plays n games whose true chance only one of the inputs knows.
func truthful(learner *pool.Pool, n int, marketKnows bool) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range n {
		p := 0.1 + 0.8*rng.Float64()
		guess := 0.1 + 0.8*rng.Float64()
		won := rng.Float64() < p
		if marketKnows {
			learner.Learn(p, guess, won)
		} else {
			learner.Learn(guess, p, won)
		}
	}
}

func TestWeightGoesToTheBetterInput(t *testing.T) {
	t.Parallel()
	fresh := pool.New()
	if w := fresh.Weight(); math.Abs(w-0.7375) > 1e-12 {
		t.Errorf("weight before the first game is %v", w)
	}
	market, elo := pool.New(), pool.New()
	truthful(market, 1000, true)
	truthful(elo, 1000, false)
	if w := market.Weight(); w < 0.9 {
		t.Errorf("the market knew, its weight is %v", w)
	}
	if w := elo.Weight(); w > 0.1 {
		t.Errorf("Elo knew, the market's weight is %v", w)
	}
}

// Years of certain forecasts that are wrong, or of coin tosses, break nothing.
func TestLearnSurvivesCertainty(t *testing.T) {
	t.Parallel()
	learner := pool.New()
	for range 20_000 {
		learner.Learn(1, 0, false)
	}
	coin := pool.New()
	for range 20_000 {
		coin.Learn(0.5, 0.5, true)
	}
	if w := coin.Weight(); !(math.Abs(w-0.7375) <= 1e-9) {
		t.Errorf("weight %v after uninformative games, want 0.7375", w)
	}
	if w, p := learner.Weight(), learner.Forecast(1, 0); !(w >= 0 && w < 0.1) || !(p > 0 && p < 1e-4) {
		t.Errorf("weight %v, forecast %v; want nearly 0 and nearly 0", w, p)
	}
}

func ExamplePool() {
	learner := pool.New()
	fmt.Printf("before: weight of the market %.2f\n", learner.Weight())
	for range 50 {
		learner.Learn(0.50, 0.70, true) // Elo was right
	}
	fmt.Printf("after: weight of the market %.2f, forecast %.3f\n", learner.Weight(), learner.Forecast(0.60, 0.50))
	// Output:
	// before: weight of the market 0.74
	// after: weight of the market 0.05, forecast 0.505
}
