package odds_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"pgregory.net/rapid"
)

// The numbers of power and of Shin with three outcomes were computed apart
// from this code, in 40 decimal digits: power by Newton's method, Shin by the
// fixed point of Jullien and Salanié. The Shin row is also that which the
// Python package shin (github.com/mberk/shin) publishes for these odds. Shin
// with two outcomes was computed as "half of the margin off each".
func TestMethodsAgainstNumbersFromElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method string
		odds   []float64
		want   []float64
	}{
		{"proportional", []float64{1.5, 2.74}, []float64{0.646226415094, 0.353773584906}},
		{"power", []float64{1.5, 2.74}, []float64{0.653152279805, 0.346847720195}},
		{"shin", []float64{1.5, 2.74}, []float64{0.650851581509, 0.349148418491}},
		{"proportional", []float64{1.91, 1.91}, []float64{0.5, 0.5}},
		{"power", []float64{1.91, 1.91}, []float64{0.5, 0.5}},
		{"shin", []float64{1.91, 1.91}, []float64{0.5, 0.5}},
		{"proportional", []float64{1.05, 11}, []float64{0.912863070539, 0.087136929461}},
		{"power", []float64{1.05, 11}, []float64{0.943282509384, 0.056717490616}},
		{"shin", []float64{1.05, 11}, []float64{0.930735930736, 0.069264069264}},
		{"proportional", []float64{2.6, 2.4, 4.3}, []float64{0.372025955299, 0.403028118241, 0.224945926460}},
		{"power", []float64{2.6, 2.4, 4.3}, []float64{0.372984404069, 0.405107167457, 0.221908428474}},
		{"shin", []float64{2.6, 2.4, 4.3}, []float64{0.372994060332, 0.404779410920, 0.222226528748}},
	} {
		m, err := odds.MethodByName(c.method)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m(c.odds...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.want {
			near(t, fmt.Sprintf("%s%v[%d]", c.method, c.odds, i), got[i], c.want[i], 1e-11)
		}
	}
}

func TestMethodByNameRefusesOthers(t *testing.T) {
	t.Parallel()
	if _, err := odds.MethodByName("additive"); err == nil {
		t.Error("a method that does not exist was found")
	}
}

func TestMargin(t *testing.T) {
	t.Parallel()
	implied, err := odds.Implied(1.91, 1.91)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "margin", odds.Margin(implied), 0.047120418848, 1e-11)
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

func TestMethodsProperties(t *testing.T) {
	t.Parallel()
	for name, m := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				decimal := prices(t)
				p, err := m(decimal...)
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
		})
	}
}

// Which side is called home does not matter, and a shorter home price never
// lowers the home side's probability.
func TestMethodsAreSymmetricAndMonotone(t *testing.T) {
	t.Parallel()
	for name, m := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				home := rapid.Float64Range(1.02, 20).Draw(t, "home")
				away := rapid.Float64Range(1.02, 20).Draw(t, "away")
				longer := home + rapid.Float64Range(0, 5).Draw(t, "by")
				a, err := m.Fair(home, away)
				if err != nil {
					t.Fatal(err)
				}
				b, err := m.Fair(away, home)
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(a+b-1) > 1e-9 {
					t.Fatalf("home %v and away %v do not sum to one", a, b)
				}
				if c, _ := m.Fair(longer, away); c > a+1e-9 {
					t.Fatalf("odds %v gave %v, longer odds %v gave %v", home, a, longer, c)
				}
			})
		})
	}
}

// The way back: a book that holds p and adds its margin as the method assumes
// must be read as holding p. For Shin that is equation 14 of his paper: the
// price is sqrt(z·p + (1-z)·p²) times the sum of these.
func TestMethodsUndoTheirOwnMargin(t *testing.T) {
	t.Parallel()
	type margin func(p []float64, size float64) []float64
	scaled := func(p []float64, size float64) []float64 {
		out := make([]float64, len(p))
		for i, v := range p {
			out[i] = v * (1 + size)
		}
		return out
	}
	raised := func(p []float64, size float64) []float64 {
		out := make([]float64, len(p))
		for i, v := range p {
			out[i] = math.Pow(v, 1/(1+size))
		}
		return out
	}
	guarded := func(p []float64, z float64) []float64 {
		out, total := make([]float64, len(p)), 0.0
		for i, v := range p {
			out[i] = math.Sqrt(z*v + (1-z)*v*v)
			total += out[i]
		}
		for i := range out {
			out[i] *= total
		}
		return out
	}
	for name, add := range map[string]margin{"proportional": scaled, "power": raised, "shin": guarded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := odds.MethodByName(name)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				a := rapid.Float64Range(0.05, 0.45).Draw(t, "a")
				b := rapid.Float64Range(0.05, 0.45).Draw(t, "b")
				p := []float64{a, b, 1 - a - b}
				implied := add(p, rapid.Float64Range(0.001, 0.08).Draw(t, "size"))
				got, err := m(1/implied[0], 1/implied[1], 1/implied[2])
				if err != nil {
					t.Fatal(err)
				}
				for i := range p {
					if math.Abs(got[i]-p[i]) > 1e-9 {
						t.Fatalf("book holds %v, read as %v", p, got)
					}
				}
			})
		})
	}
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
