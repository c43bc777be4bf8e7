package odds_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"pgregory.net/rapid"
)

// The numbers with three outcomes were computed apart from this code, in 40
// decimal digits, by the fixed point of Jullien and Salanié; the Python package
// shin (github.com/mberk/shin) publishes the same for these odds. Those with two
// outcomes were computed as "half of the margin off each".
func TestShinAgainstNumbersFromElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		odds, want []float64
	}{
		{[]float64{1.5, 2.74}, []float64{0.650851581509, 0.349148418491}},
		{[]float64{1.91, 1.91}, []float64{0.5, 0.5}},
		{[]float64{1.05, 11}, []float64{0.930735930736, 0.069264069264}},
		{[]float64{2.6, 2.4, 4.3}, []float64{0.372994060332, 0.404779410920, 0.222226528748}},
	} {
		got, err := odds.Shin(c.odds...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.want {
			near(t, fmt.Sprintf("%v[%d]", c.odds, i), got[i], c.want[i], 1e-11)
		}
	}
}

// prices draws fair probabilities and a margin, and returns decimal odds with
// that margin spread in proportion, each above 1.
func prices(t *rapid.T) []float64 {
	n := rapid.IntRange(2, 5).Draw(t, "outcomes")
	p := rapid.SliceOfN(rapid.Float64Range(0.02, 1), n, n).Draw(t, "shares")
	margin := rapid.Float64Range(-0.03, 0.15).Draw(t, "margin")
	var total float64
	for _, v := range p {
		total += v
	}
	decimal := make([]float64, n)
	for i, v := range p {
		decimal[i] = max(1.0001, total/(v*(1+margin)))
	}
	return decimal
}

func TestShinProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		decimal := prices(t)
		p, err := odds.Shin(decimal...)
		if err != nil {
			t.Fatal(err)
		}
		var total float64
		for i, v := range p {
			total += v
			if !(v > 0 && v < 1) {
				t.Fatalf("probability %v of odds %v", v, decimal[i])
			}
			for j := range p {
				if decimal[i] < decimal[j] && p[i] < p[j] {
					t.Fatalf("odds %v: the shorter price got the smaller probability: %v", decimal, p)
				}
			}
		}
		if math.Abs(total-1) > 1e-12 {
			t.Fatalf("probabilities %v sum to %v", p, total)
		}
	})
}

// Which side is called home does not matter, and a shorter home price never
// lowers the home side's probability.
func TestShinIsSymmetricAndMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.Float64Range(1.02, 20).Draw(t, "home")
		away := rapid.Float64Range(1.02, 20).Draw(t, "away")
		longer := home + rapid.Float64Range(0, 5).Draw(t, "by")
		a, err := odds.Fair(home, away)
		if err != nil {
			t.Fatal(err)
		}
		b, err := odds.Fair(away, home)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(a+b-1) > 1e-9 {
			t.Fatalf("home %v and away %v do not sum to one", a, b)
		}
		if c, _ := odds.Fair(longer, away); c > a+1e-9 {
			t.Fatalf("odds %v gave %v, longer odds %v gave %v", home, a, longer, c)
		}
	})
}

// The way back: a book that holds p and adds its margin as Shin assumes must be
// read as holding p. By equation 14 of his paper the price is
// sqrt(z·p + (1-z)·p²) times the sum of these.
func TestShinUndoesItsOwnMargin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(0.05, 0.45).Draw(t, "a")
		b := rapid.Float64Range(0.05, 0.45).Draw(t, "b")
		z := rapid.Float64Range(0.001, 0.08).Draw(t, "z")
		p := []float64{a, b, 1 - a - b}
		decimal, total := make([]float64, len(p)), 0.0
		for i, v := range p {
			decimal[i] = math.Sqrt(z*v + (1-z)*v*v)
			total += decimal[i]
		}
		for i := range decimal {
			decimal[i] = 1 / (decimal[i] * total)
		}
		got, err := odds.Shin(decimal...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			if math.Abs(got[i]-p[i]) > 1e-9 {
				t.Fatalf("book holds %v, read as %v", p, got)
			}
		}
	})
}

func ExampleShin() {
	p, err := odds.Shin(1.50, 2.74)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("home %.3f, away %.3f\n", p[0], p[1])
	// Output: home 0.651, away 0.349
}
