package season_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/services/provider-sim/season"
)

func ExampleNew() {
	s := season.New(season.Config{Seed: 1})
	g := s.Games()[0]
	fmt.Println(g.Home.Name, "-", g.Away.Name)
	fmt.Println(g.Start)
	fmt.Printf("true probability %.3f, result %d:%d\n", g.HomeProbability, g.HomeScore, g.AwayScore)
	q := s.Quotes(g, g.Start)[0]
	fmt.Println(q.Book.Title, q.Home, q.Away)
	// Output:
	// New Orleans Pelicans - Milwaukee Bucks
	// 2026-10-20 00:30:00 +0000 UTC
	// true probability 0.723, result 135:103
	// BetMGM 1.31 3.55
}

func TestNewDependsOnlyOnConfig(t *testing.T) {
	one, two := season.New(season.Config{Seed: 7}), season.New(season.Config{Seed: 7})
	if !reflect.DeepEqual(one.Games(), two.Games()) {
		t.Error("two seasons of the same seed differ")
	}
	other := season.New(season.Config{Seed: 8})
	if reflect.DeepEqual(one.Games(), other.Games()) {
		t.Error("seasons of different seeds are the same")
	}
	g := one.Games()[100]
	if !reflect.DeepEqual(one.Quotes(g, g.Start), two.Quotes(g, g.Start)) {
		t.Error("prices of the same seed differ")
	}
}

func TestScheduleIsLikeTheNBAs(t *testing.T) {
	s := season.New(season.Config{Seed: 3})
	if got := len(s.Games()); got != 30*82/2 {
		t.Fatalf("%d games, want 1230", got)
	}
	played, home, days := map[int]int{}, map[int]int{}, map[string]bool{}
	events, ids := map[string]bool{}, map[int64]bool{}
	for _, g := range s.Games() {
		played[g.Home.ID]++
		played[g.Away.ID]++
		home[g.Home.ID]++
		events[g.EventID], ids[g.ID] = true, true
		for _, team := range []season.Team{g.Home, g.Away} {
			key := fmt.Sprint(team.ID, g.Start.Format(time.DateOnly))
			if days[key] {
				t.Errorf("%s plays twice on %s", team.Name, g.Start.Format(time.DateOnly))
			}
			days[key] = true
		}
	}
	if len(played) != 30 {
		t.Errorf("%d teams, want 30", len(played))
	}
	for team, games := range played {
		if games != 82 || home[team] < 38 || home[team] > 44 {
			t.Errorf("team %d plays %d games, %d at home", team, games, home[team])
		}
	}
	if len(events) != 1230 || len(ids) != 1230 {
		t.Errorf("%d event ids and %d game ids, want 1230 of each", len(events), len(ids))
	}
	if !slices.IsSortedFunc(s.Games(), func(a, b season.Game) int { return a.Start.Compare(b.Start) }) {
		t.Error("games are not sorted by start")
	}
}

// The results of many seasons agree with the probabilities that they were drawn
// from: in each tenth the share of home wins is within four standard errors.
func TestResultsComeFromTheTrueProbabilities(t *testing.T) {
	var n, wins, sum [10]float64
	for seed := range uint64(12) {
		for _, g := range season.New(season.Config{Seed: seed}).Games() {
			i := int(g.HomeProbability * 10)
			n[i]++
			sum[i] += g.HomeProbability
			if g.HomeWon() {
				wins[i]++
			}
		}
	}
	for i := range n {
		if n[i] < 50 {
			continue
		}
		p := sum[i] / n[i]
		if z := (wins[i]/n[i] - p) / math.Sqrt(p*(1-p)/n[i]); math.Abs(z) > 4 {
			t.Errorf("tenth %d: %.0f games of mean probability %.3f, share of home wins %.3f, %.1f standard errors off", i, n[i], p, wins[i]/n[i], z)
		}
	}
	if n[5] < 50 || n[2] < 50 || n[8] < 50 {
		t.Errorf("the tenths are not filled: %v", n)
	}
}

func logLoss(p float64, won bool) float64 {
	if won {
		return -math.Log(p)
	}
	return -math.Log(1 - p)
}

// The order that makes predictions worthwhile: the truth predicts better than the
// closing market, that better than the opening market, and that better than a coin.
func TestMarketKnowsMuchButNotAll(t *testing.T) {
	var truth, closing, opening, games float64
	for seed := range uint64(6) {
		s := season.New(season.Config{Seed: seed})
		for _, g := range s.Games() {
			games++
			truth += logLoss(g.HomeProbability, g.HomeWon())
			closing += logLoss(consensus(s.Quotes(g, g.Start)), g.HomeWon())
			opening += logLoss(consensus(s.Quotes(g, g.Start.Add(-season.Listed+time.Hour))), g.HomeWon())
		}
	}
	truth, closing, opening = truth/games, closing/games, opening/games
	t.Logf("log loss: truth %.4f, closing %.4f, opening %.4f", truth, closing, opening)
	if !(truth < closing && closing < opening && opening < math.Ln2-0.02) {
		t.Errorf("log loss: truth %.4f, closing %.4f, opening %.4f: out of order", truth, closing, opening)
	}
	if closing-truth > 0.02 {
		t.Errorf("the closing market is too bad: %.4f behind the truth", closing-truth)
	}
}

// consensus is the mean of the books' probabilities, their margin removed in
// proportion.
func consensus(quotes []season.Quote) float64 {
	sum := 0.0
	for _, q := range quotes {
		sum += (1 / q.Home) / (1/q.Home + 1/q.Away)
	}
	return sum / float64(len(quotes))
}

func TestQuotesArePlausible(t *testing.T) {
	s := season.New(season.Config{Seed: 11})
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(s.Games()).Draw(t, "game")
		early := time.Duration(rapid.IntRange(-60, 60*49).Draw(t, "early")) * time.Minute
		late := early + time.Duration(rapid.IntRange(0, 600).Draw(t, "later"))*time.Minute
		at, then := g.Start.Add(early-season.Listed), g.Start.Add(late-season.Listed)
		before := map[string]season.Quote{}
		for _, q := range s.Quotes(g, at) {
			before[q.Book.Key] = q
			checkQuote(t, g, at, q)
		}
		if early < 0 && len(before) > 0 {
			t.Fatalf("prices before the books open")
		}
		for _, q := range s.Quotes(g, then) {
			old, ok := before[q.Book.Key]
			if ok && (q.UpdatedAt.Before(old.UpdatedAt) || q.UpdatedAt.Equal(old.UpdatedAt) != (q == old)) {
				t.Fatalf("%s: updated %v and then %v, prices %v and then %v", q.Book.Key, old.UpdatedAt, q.UpdatedAt, old, q)
			}
			if ok && q.UpdatedAt.After(old.UpdatedAt) && !q.UpdatedAt.After(at) {
				t.Fatalf("%s: a price of %v was not there at %v", q.Book.Key, q.UpdatedAt, at)
			}
		}
	})
}

// checkQuote fails for a price that no book would offer.
func checkQuote(t *rapid.T, g season.Game, at time.Time, q season.Quote) {
	for what, pair := range map[string][2]float64{
		"h2h": {q.Home, q.Away}, "spread": {q.SpreadHome, q.SpreadAway}, "total": {q.TotalOver, q.TotalUnder},
	} {
		margin := 1/pair[0] + 1/pair[1] - 1
		if pair[0] <= 1 || pair[1] <= 1 || margin < 0.01 || margin > 0.09 {
			t.Fatalf("%s %s: prices %v, margin %.3f", q.Book.Key, what, pair, margin)
		}
	}
	if q.UpdatedAt.After(at) || !q.UpdatedAt.Before(g.Start) || q.UpdatedAt.Before(g.Start.Add(-season.Listed)) {
		t.Fatalf("%s: updated at %v, asked at %v, start %v", q.Book.Key, q.UpdatedAt, at, g.Start)
	}
}

// A steam move: within half an hour the consensus jumps by more than it
// otherwise does in that time.
func TestSteamMovesHappenInSomeGames(t *testing.T) {
	s := season.New(season.Config{Seed: 5})
	jumps, games := 0, s.Games()[:64]
	for _, g := range games {
		for m := time.Hour; m < season.Listed; m += 10 * time.Minute {
			at := g.Start.Add(m - season.Listed)
			if math.Abs(consensus(s.Quotes(g, at))-consensus(s.Quotes(g, at.Add(-20*time.Minute)))) > 0.04 {
				jumps++
				break
			}
		}
	}
	if jumps < len(games)/8 || jumps > len(games)/2 {
		t.Errorf("%d of %d games have a jump", jumps, len(games))
	}
}

func TestBetween(t *testing.T) {
	s := season.New(season.Config{Seed: 2})
	day := s.Start().Add(30 * 24 * time.Hour)
	got := s.Between(day, day.Add(24*time.Hour))
	want := 0
	for _, g := range s.Games() {
		if !g.Start.Before(day) && g.Start.Before(day.Add(24*time.Hour)) {
			want++
		}
	}
	if len(got) != want || want == 0 {
		t.Errorf("%d games in a day, want %d", len(got), want)
	}
	if got := s.Between(day, day); len(got) != 0 {
		t.Errorf("%d games in no time", len(got))
	}
	if got := s.Between(s.Start(), s.End()); len(got) != 1230 {
		t.Errorf("%d games from start to end", len(got))
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		season.New(season.Config{Seed: 1})
	}
}

func BenchmarkQuotes(b *testing.B) {
	s := season.New(season.Config{Seed: 1})
	g := s.Games()[0]
	for b.Loop() {
		s.Quotes(g, g.Start)
	}
}
