// Package odds turns what bookmakers ask into probabilities, and scores
// probabilities against results.
//
// How a number goes through this package:
//
//   - [Fair] removes the margin from a book's decimal odds.
//   - [Consensus] joins the fair probabilities of several books into one, by the
//     median in log-odds, so that one stale or mistaken book changes little.
//   - [Score] holds the log loss and Brier score of a series of forecasts.
//
// The packages elo, pool and line below this one rate teams, pool two
// forecasts, and follow a price over time. All of them are pure: no clock, no
// files, no network, no logging. They do not change their arguments.
//
// A probability here is always that of the home side, unless it says otherwise.
package odds

import (
	"math"
	"slices"
)

// maxPrice is the highest decimal price that is believed. Books do not quote
// higher ones on a game of two sides; a feed that shows one is broken.
const maxPrice = 10_000

// Fair removes the margin from the decimal odds of a game without a draw, and
// returns the probability that the home side wins, inside (0, 1). It is false
// unless both odds are above 1 and at most 10,000.
//
// The method is Shin's, who takes the margin to be the book's guard against
// bettors who know the outcome. With two outcomes it takes half of the margin
// off each implied probability. Odds without a margin (their inverses sum to one
// or less) show no such bettors: the implied probabilities are divided by their
// sum.
//
// Source: H. S. Shin: Measuring the incidence of insider trading in a market
// for state-contingent claims. The Economic Journal 103 (420), 1993,
// 1141-1153; solved for the probabilities by B. Jullien, B. Salanié:
// Measuring the incidence of insider trading: a comment on Shin. The Economic
// Journal 104 (427), 1994, 1418-1419.
func Fair(home, away float64) (probability float64, ok bool) {
	if !(min(home, away) > 1 && max(home, away) <= maxPrice) { // also refuses NaN
		return 0, false
	}
	h, a := 1/home, 1/away
	if h+a <= 1 {
		return h / (h + a), true
	}
	return (1 + h - a) / 2, true
}

// Consensus joins the fair probabilities that several books give to the same
// outcome: the median in log-odds. Up to half of the books can be wrong by any
// amount without moving it out of the range of the others, and the consensus
// of the opposite outcomes is one minus it. At least one probability is needed,
// and each must be inside (0, 1).
func Consensus(fair []float64) float64 {
	logits := make([]float64, len(fair))
	for i, p := range fair {
		logits[i] = Logit(p)
	}
	slices.Sort(logits)
	n := len(logits)
	return Sigmoid(logits[(n-1)/2]/2 + logits[n/2]/2)
}

// Logit returns the log-odds of p: ln(p/(1-p)).
func Logit(p float64) float64 {
	return math.Log(p) - math.Log1p(-p)
}

// Sigmoid returns the probability whose log-odds are x, without overflow for
// any x.
func Sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}
