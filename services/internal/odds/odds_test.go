package odds_test

import (
	"errors"
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

func TestImpliedRefusesImpossibleOdds(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]float64{{}, {1.9}, {1, 2}, {2, 0}, {-2, 2}, {math.NaN(), 2}, {2, math.Inf(1)}, {2, 10_001}} {
		if _, err := odds.Implied(bad...); !errors.Is(err, odds.ErrPrice) {
			t.Errorf("Implied(%v): error %v, want ErrPrice", bad, err)
		}
		if _, err := odds.Shin(bad...); !errors.Is(err, odds.ErrPrice) {
			t.Errorf("Shin(%v): error %v, want ErrPrice", bad, err)
		}
	}
	if _, err := odds.Fair(1, 2); !errors.Is(err, odds.ErrPrice) {
		t.Errorf("Fair(1, 2): error %v, want ErrPrice", err)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := odds.Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
	in := []float64{5, 1, 3}
	near(t, "median of three", odds.Median(in), 3, 0)
	near(t, "median of four", odds.Median([]float64{5, 1, 3, 4}), 3.5, 0)
	if !slices.Equal(in, []float64{5, 1, 3}) {
		t.Errorf("Median sorted its argument: %v", in)
	}
}

func TestConsensusIgnoresAMistakenBook(t *testing.T) {
	t.Parallel()
	got, err := odds.Consensus([]float64{0.60, 0.61, 0.62, 0.63, 0.0001})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "consensus", got, 0.61, 1e-12)
	for _, bad := range [][]float64{nil, {0}, {1}, {0.5, math.NaN()}, {0.5, -0.1}} {
		if _, err := odds.Consensus(bad); !errors.Is(err, odds.ErrPrice) {
			t.Errorf("Consensus(%v): error %v, want ErrPrice", bad, err)
		}
	}
}

// probabilities inside (0, 1), away from its ends.
func probability() *rapid.Generator[float64] { return rapid.Float64Range(0.01, 0.99) }

func TestConsensusProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.SliceOfN(probability(), 1, 9).Draw(t, "home")
		away := make([]float64, len(home))
		for i, p := range home {
			away[i] = 1 - p
		}
		h, err := odds.Consensus(home)
		if err != nil {
			t.Fatal(err)
		}
		a, err := odds.Consensus(away)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(h+a-1) > 1e-12 {
			t.Fatalf("consensus %v of home and %v of away do not sum to one", h, a)
		}
		if h < slices.Min(home)-1e-12 || h > slices.Max(home)+1e-12 {
			t.Fatalf("consensus %v is outside of %v", h, home)
		}
		slices.Reverse(home)
		if again, _ := odds.Consensus(home); again != h {
			t.Fatalf("consensus depends on the order of the books: %v and %v", h, again)
		}
	})
}

// With 2k+1 books, k of them can say anything.
func TestConsensusIsRobust(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(0, 4).Draw(t, "k")
		honest := rapid.SliceOfN(rapid.Float64Range(0.55, 0.60), k+1, k+1).Draw(t, "honest")
		wrong := rapid.SliceOfN(rapid.Float64Range(1e-9, 1-1e-9), k, k).Draw(t, "wrong")
		p, err := odds.Consensus(append(wrong, honest...))
		if err != nil {
			t.Fatal(err)
		}
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
