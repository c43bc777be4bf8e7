package odds_test

import (
	"math"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"pgregory.net/rapid"
)

func TestLogLossAndBrier(t *testing.T) {
	t.Parallel()
	near(t, "log loss of a coin", odds.LogLoss(0.5, true), math.Ln2, 1e-15)
	near(t, "log loss of 0.8 that happened", odds.LogLoss(0.8, true), 0.223143551314, 1e-12)
	near(t, "log loss of 0.8 that did not", odds.LogLoss(0.8, false), 1.609437912434, 1e-12)
	near(t, "log loss of never that happened", odds.LogLoss(0, true), 13.815510557964, 1e-11)
	near(t, "log loss of always that did not", odds.LogLoss(1, false), 13.815510557964, 1e-9)
	near(t, "Brier of a coin", odds.Brier(0.5, false), 0.25, 0)
	near(t, "Brier of 0.8 that happened", odds.Brier(0.8, true), 0.04, 1e-15)
	near(t, "Brier of 0.8 that did not", odds.Brier(0.8, false), 0.64, 1e-15)
}

func TestScoreIsTheMean(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 50).Draw(t, "forecasts")
		var s odds.Score
		var loss, brier float64
		for i, p := range ps {
			s = s.With(p, i%3 == 0)
			loss += odds.LogLoss(p, i%3 == 0)
			brier += odds.Brier(p, i%3 == 0)
		}
		n := float64(len(ps))
		if s.Games != len(ps) || math.Abs(s.LogLoss-loss/n) > 1e-9 || math.Abs(s.Brier-brier/n) > 1e-9 {
			t.Fatalf("%+v, want %d games, %v, %v", s, len(ps), loss/n, brier/n)
		}
	})
}

// Both scores are proper: no forecast has a better expected score than the true
// probability.
func TestScoresAreProper(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.Float64Range(0.01, 0.99).Draw(t, "truth")
		said := rapid.Float64Range(0.01, 0.99).Draw(t, "said")
		for name, f := range map[string]func(float64, bool) float64{"log loss": odds.LogLoss, "Brier": odds.Brier} {
			expected := func(p float64) float64 { return truth*f(p, true) + (1-truth)*f(p, false) }
			if expected(said) < expected(truth)-1e-12 {
				t.Fatalf("%s rewards saying %v when %v is true", name, said, truth)
			}
		}
	})
}
