package elo_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds/elo"
	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.9f, want %.9f", what, got, want)
	}
}

func learn(t *testing.T, r *elo.Ratings, results ...elo.Result) {
	t.Helper()
	for _, g := range results {
		if !r.Learn(g) {
			t.Fatalf("%+v is refused", g)
		}
	}
}

// The expected numbers were computed independently of this code, from the formulas
// that FiveThirtyEight published.
func TestLearnMatchesIndependentNumbers(t *testing.T) {
	t.Parallel()
	r := elo.New()
	near(t, "Celtics at home to Knicks, both new", r.HomeWins("Celtics", "Knicks"), 0.640064999803, 1e-11)
	learn(t, r, elo.Result{Home: "Celtics", Away: "Knicks", HomePoints: 110, AwayPoints: 100})
	near(t, "Celtics after one", r.Of("Celtics"), 1506.917094967, 1e-8)
	near(t, "Knicks at home to Celtics", r.HomeWins("Knicks", "Celtics"), 0.621521273819, 1e-11)
	learn(t, r,
		elo.Result{Home: "Knicks", Away: "Celtics", HomePoints: 99, AwayPoints: 120},
		elo.Result{Home: "Heat", Away: "Celtics", HomePoints: 101, AwayPoints: 100})
	near(t, "Celtics", r.Of("Celtics"), 1526.482565583, 1e-8)
	near(t, "Knicks", r.Of("Knicks"), 1470.456652715, 1e-8)
	near(t, "Heat", r.Of("Heat"), 1503.060781702, 1e-8)
	near(t, "Knicks at home to Heat", r.HomeWins("Knicks", "Heat"), 0.595791952775, 1e-11)
	r.EndSeason()
	near(t, "Celtics in the next season", r.Of("Celtics"), 1519.861924187, 1e-8)
	near(t, "Knicks in the next season", r.Of("Knicks"), 1477.842489536, 1e-8)
}

func TestLearnRefusesImpossibleResults(t *testing.T) {
	t.Parallel()
	r := elo.New()
	for _, bad := range []elo.Result{
		{Home: "a", Away: "b", HomePoints: 100, AwayPoints: 100},
		{Home: "a", Away: "a", HomePoints: 100, AwayPoints: 90},
		{Home: "", Away: "b", HomePoints: 100, AwayPoints: 90},
		{Home: "a", Away: "", HomePoints: 100, AwayPoints: 90},
		{Home: "a", Away: "b", HomePoints: -1, AwayPoints: 90},
	} {
		if r.Learn(bad) {
			t.Errorf("Learn(%+v) is not refused", bad)
		}
	}
	if a, b := r.Of("a"), r.Of("b"); a != 1500 || b != 1500 {
		t.Errorf("ratings %v and %v after refused results", a, b)
	}
}

func fourTeams() []string { return []string{"a", "b", "c", "d"} }

// results draws a series of games between four teams.
func results(t *rapid.T) []elo.Result {
	teams := fourTeams()
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) elo.Result {
		home := rapid.IntRange(0, 3).Draw(t, "home")
		away := (home + rapid.IntRange(1, 3).Draw(t, "away")) % 4
		points := rapid.IntRange(60, 150).Draw(t, "points")
		other := rapid.IntRange(60, 150).Filter(func(v int) bool { return v != points }).Draw(t, "other")
		return elo.Result{Home: teams[home], Away: teams[away], HomePoints: points, AwayPoints: other}
	}), 1, 60).Draw(t, "results")
}

func TestLearnProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := elo.New()
		for _, g := range results(t) {
			home, away := r.Of(g.Home), r.Of(g.Away)
			before := r.HomeWins(g.Home, g.Away)
			if !r.Learn(g) {
				t.Fatalf("%+v is refused", g)
			}
			if moved := r.Of(g.Home) - home; math.Abs(moved+r.Of(g.Away)-away) > 1e-9 {
				t.Fatalf("home moved by %v, away by %v", moved, r.Of(g.Away)-away)
			}
			if won := g.HomePoints > g.AwayPoints; won != (r.HomeWins(g.Home, g.Away) > before) {
				t.Fatalf("home won: %v, and its chance went from %v to %v", won, before, r.HomeWins(g.Home, g.Away))
			}
		}
		var total float64
		for _, team := range fourTeams() {
			total += r.Of(team) - 1500
		}
		if math.Abs(total) > 1e-6 {
			t.Fatalf("ratings sum to %v off the mean", total)
		}
	})
}

func TestLearnCountsALargerWinForMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		by := rapid.IntRange(1, 40).Draw(t, "by")
		small, large := elo.New(), elo.New()
		small.Learn(elo.Result{Home: "a", Away: "b", HomePoints: 100 + by, AwayPoints: 100})
		large.Learn(elo.Result{Home: "a", Away: "b", HomePoints: 101 + by, AwayPoints: 100})
		if large.Of("a") <= small.Of("a") {
			t.Fatalf("winning by %d is worth %v, by one more %v", by, small.Of("a"), large.Of("a"))
		}
	})
}

// Ratings must recover the truth about eight teams whose true ratings are known:
// after some seasons they are in nearly the right order. Teams are numbered and not
// kept in a map, so that the seed alone decides the order of the games.
func TestRatingsRecoverTrueRatings(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	const teams, apart = 8, 60
	name := func(i int) string { return fmt.Sprint("team", i) }
	r := elo.New()
	for range 60 {
		for home := range teams {
			for away := range teams {
				if home == away {
					continue
				}
				p := 1 / (1 + math.Pow(10, -(float64(apart*(home-away))+100)/400))
				g := elo.Result{Home: name(home), Away: name(away), HomePoints: 100, AwayPoints: 109}
				if rng.Float64() < p {
					g.HomePoints = 118
				}
				learn(t, r, g)
			}
		}
	}
	if top, bottom := r.Of(name(teams-1)), r.Of(name(0)); top-bottom < 250 || top-bottom > 600 {
		t.Errorf("best %.0f, worst %.0f, true distance %d", top, bottom, apart*(teams-1))
	}
	for i := range teams - 3 {
		if low, high := r.Of(name(i)), r.Of(name(i+3)); low >= high {
			t.Errorf("%s has %.0f and %s %.0f, true distance %d", name(i), low, name(i+3), high, 3*apart)
		}
	}
}

func ExampleRatings_HomeWins() {
	ratings := elo.New()
	for _, g := range []elo.Result{
		{Home: "Celtics", Away: "Knicks", HomePoints: 110, AwayPoints: 100},
		{Home: "Knicks", Away: "Celtics", HomePoints: 99, AwayPoints: 120},
	} {
		ratings.Learn(g)
	}
	fmt.Printf("%.3f\n", ratings.HomeWins("Celtics", "Knicks"))
	// Output: 0.714
}
