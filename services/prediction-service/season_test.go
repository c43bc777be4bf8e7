package main

import (
	"fmt"
	"math"
	"testing"

	"github.com/keepmum/keepmum/services/internal/odds"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// inputTruth is the score of the simulator's own probabilities: no forecast can do
// better, on average.
const inputTruth = "truth"

// simulated returns a whole season as the predictor would find it in the
// database when it is over.
func simulated(seed uint64) ([]played, odds.Score) {
	s := season.New(season.Config{Seed: seed})
	var games []played
	var truth odds.Score
	for _, g := range s.Games() {
		var quotes []store.Quote
		for _, q := range s.Quotes(g, g.Start) {
			quotes = append(quotes,
				store.Quote{Book: q.Book.Key, Outcome: store.Home, Price: q.Home},
				store.Quote{Book: q.Book.Key, Outcome: store.Away, Price: q.Away})
		}
		market, _ := consensus(quotes)
		games = append(games, played{market: market, game: store.Game{
			ID: g.ID, Season: "2026-2027", Start: g.Start, Home: g.Home.Name, Away: g.Away.Name,
			Status: store.Finished, HomeScore: &g.HomeScore, AwayScore: &g.AwayScore, EventID: g.EventID,
		}})
		truth = truth.With(g.HomeProbability, g.HomeWon())
	}
	return games, truth
}

// The three log losses over whole seasons. The assertions must hold for any seeds:
// the pool is no worse than the better input by more than the
// price of learning the weight, ln(40) a season, and everything beats a coin.
func TestLogLossOverSeasons(t *testing.T) {
	t.Parallel()
	const seeds = 6
	inputs := []string{store.InputPooled, store.InputMarket, store.InputElo, store.InputBase, inputTruth}
	mean := map[string]float64{}
	t.Logf("%-6s %8s %8s %8s %8s %8s   %s", "seed", inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], "market's weight at the end")
	for seed := range uint64(seeds) {
		games, truth := simulated(seed + 1)
		m := replay(games)
		m.scores[inputTruth] = truth
		row := fmt.Sprintf("%-6d", seed+1)
		for _, input := range inputs {
			mean[input] += m.scores[input].LogLoss / seeds
			row += fmt.Sprintf(" %8.4f", m.scores[input].LogLoss)
		}
		t.Logf("%s   %.2f", row, m.pool.Weight())
		if n := m.scores[store.InputPooled].Games; n < 1200 || m.refused != 0 {
			t.Errorf("seed %d: %d games judged, %d refused", seed+1, n, m.refused)
		}
		better := min(m.scores[store.InputMarket].LogLoss, m.scores[store.InputElo].LogLoss)
		if over := m.scores[store.InputPooled].LogLoss - better; over > 0.005 {
			t.Errorf("seed %d: the pool is worse than the better input by %.4f", seed+1, over)
		}
	}
	t.Logf("%-6s %8.4f %8.4f %8.4f %8.4f %8.4f   a coin has %.4f", "mean",
		mean[inputs[0]], mean[inputs[1]], mean[inputs[2]], mean[inputs[3]], mean[inputs[4]], math.Ln2)
	if over := mean[store.InputPooled] - min(mean[store.InputMarket], mean[store.InputElo]); over > math.Log(40)/1200 {
		t.Errorf("on the mean of %d seasons the pool is worse than the better input by %.4f", seeds, over)
	}
	for _, input := range inputs {
		if mean[input] >= math.Ln2 {
			t.Errorf("%s does not beat a coin: %.4f", input, mean[input])
		}
	}
	for _, input := range []string{store.InputPooled, store.InputMarket, store.InputElo} {
		if mean[input] >= mean[store.InputBase] {
			t.Errorf("%s does not beat the home sides' share: %.4f, %.4f", input, mean[input], mean[store.InputBase])
		}
	}
}
