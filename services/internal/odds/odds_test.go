package odds_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.12f, want %.12f", what, got, want)
	}
}

func TestFairRefusesImpossibleOdds(t *testing.T) {
	t.Parallel()
	for _, bad := range [][2]float64{{1, 2}, {2, 0}, {-2, 2}, {math.NaN(), 2}, {2, math.NaN()}, {2, math.Inf(1)}, {2, 10_001}} {
		if p, ok := odds.Fair(bad[0], bad[1]); ok {
			t.Errorf("Fair(%v) = %v, want it refused", bad, p)
		}
	}
}

// The expected numbers are the fixed point of Jullien and Salanié, computed
// independently of this code in 40 decimal digits.
func TestFairMatchesIndependentNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]float64{
		{1.5, 2.74, 0.650851581509},
		{1.91, 1.91, 0.5},
		{1.05, 11, 0.930735930736},
		{2.2, 2, 0.476190476190}, // without a margin
	} {
		got, ok := odds.Fair(c[0], c[1])
		if !ok {
			t.Fatalf("Fair(%v, %v) is refused", c[0], c[1])
		}
		near(t, fmt.Sprint(c[:2]), got, c[2], 1e-11)
	}
}

// It does not matter which side is called home, and a longer home price never
// raises the home side's probability.
func TestFairIsSymmetricAndMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.Float64Range(1.0001, 20).Draw(t, "home")
		away := rapid.Float64Range(1.0001, 20).Draw(t, "away")
		a, ok := odds.Fair(home, away)
		if !ok || !(a > 0 && a < 1) {
			t.Fatalf("odds %v and %v gave %v, %v", home, away, a, ok)
		}
		if b, _ := odds.Fair(away, home); math.Abs(a+b-1) > 1e-9 {
			t.Fatalf("home %v and away %v do not sum to one", a, b)
		}
		longer := home + rapid.Float64Range(0, 5).Draw(t, "by")
		if c, _ := odds.Fair(longer, away); c > a+1e-9 {
			t.Fatalf("odds %v gave %v, longer odds %v gave %v", home, a, longer, c)
		}
	})
}

// A book that holds p and adds its margin as Shin assumes must be read as holding
// p. By equation 14 of his paper the price is sqrt(z·p + (1-z)·p²) times the sum
// of these.
func TestFairUndoesShinsMargin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.05, 0.95).Draw(t, "p")
		z := rapid.Float64Range(0.001, 0.08).Draw(t, "z")
		root := func(p float64) float64 { return math.Sqrt(z*p + (1-z)*p*p) }
		total := root(p) + root(1-p)
		got, ok := odds.Fair(1/(root(p)*total), 1/(root(1-p)*total))
		if !ok || math.Abs(got-p) > 1e-9 {
			t.Fatalf("the book holds %v, read as %v, %v", p, got, ok)
		}
	})
}

func ExampleFair() {
	home, ok := odds.Fair(1.50, 2.74)
	fmt.Printf("%.3f %t\n", home, ok)
	// Output: 0.651 true
}

func TestConsensusIgnoresAMistakenBook(t *testing.T) {
	t.Parallel()
	in := []float64{0.63, 0.61, 0.62, 0.60, 0.0001}
	near(t, "consensus", odds.Consensus(in), 0.61, 1e-12)
	if !slices.Equal(in, []float64{0.63, 0.61, 0.62, 0.60, 0.0001}) {
		t.Errorf("Consensus sorted its argument: %v", in)
	}
	near(t, "consensus of two", odds.Consensus([]float64{0.6, 0.4}), 0.5, 1e-12)
}

// probability draws one inside (0, 1), away from its ends.
func probability() *rapid.Generator[float64] { return rapid.Float64Range(0.01, 0.99) }

func TestConsensusProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.SliceOfN(probability(), 1, 9).Draw(t, "home")
		away := make([]float64, len(home))
		for i, p := range home {
			away[i] = 1 - p
		}
		h, a := odds.Consensus(home), odds.Consensus(away)
		if math.Abs(h+a-1) > 1e-12 {
			t.Fatalf("consensus %v of home and %v of away do not sum to one", h, a)
		}
		if h < slices.Min(home)-1e-12 || h > slices.Max(home)+1e-12 {
			t.Fatalf("consensus %v is outside of %v", h, home)
		}
		slices.Reverse(home)
		if again := odds.Consensus(home); again != h {
			t.Fatalf("consensus depends on the order of the books: %v and %v", h, again)
		}
	})
}

// Of 2k+1 books, k can be wrong by any amount.
func TestConsensusIsRobust(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(0, 4).Draw(t, "k")
		honest := rapid.SliceOfN(rapid.Float64Range(0.55, 0.60), k+1, k+1).Draw(t, "honest")
		wrong := rapid.SliceOfN(rapid.Float64Range(1e-9, 1-1e-9), k, k).Draw(t, "wrong")
		p := odds.Consensus(append(wrong, honest...))
		if p < 0.55-1e-12 || p > 0.60+1e-12 {
			t.Fatalf("%d wrong books of %d moved the consensus to %v", k, 2*k+1, p)
		}
	})
}

func TestLogitAndSigmoidAreInverse(t *testing.T) {
	t.Parallel()
	for _, x := range []float64{-800, -30, -1, 0, 1, 30, 800} {
		p := odds.Sigmoid(x)
		if math.IsNaN(p) || p < 0 || p > 1 {
			t.Errorf("Sigmoid(%v) = %v", x, p)
		}
		near(t, "Sigmoid(x)+Sigmoid(-x)", p+odds.Sigmoid(-x), 1, 1e-15)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-20, 20).Draw(t, "x")
		if back := odds.Logit(odds.Sigmoid(x)); math.Abs(back-x) > 1e-6 {
			t.Fatalf("Logit(Sigmoid(%v)) = %v", x, back)
		}
	})
}
