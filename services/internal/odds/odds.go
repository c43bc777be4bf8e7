// Package odds turns what bookmakers ask into probabilities, and judges
// probabilities by what happened.
//
// How a number goes through this package:
//
//   - [Implied] takes decimal odds to implied probabilities. They sum to more
//     than one; the rest is the book's margin.
//   - [Shin] removes the margin.
//   - [Consensus] joins the fair probabilities of several books to one, by the
//     median in log-odds, so that one stale or mistaken book changes little.
//   - [Score] holds log loss and Brier score of a row of forecasts.
//
// The packages elo, pool and line below this one rate teams, pool two
// forecasts, and follow a price over time. All of them are pure: no clock, no
// files, no network, no logging. They do not change their arguments.
//
// A probability here is always that of the home side, unless it says otherwise.
package odds

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrPrice is what every error about unusable odds or probabilities Is.
var ErrPrice = errors.New("unusable price")

// maxPrice is the highest decimal price that is believed. Books do not quote
// higher ones on a game of two sides; a feed that shows one is broken.
const maxPrice = 10_000

// Implied returns one over each of the decimal odds: probabilities that still
// hold the margin. At least two odds are needed, each above 1 and at most
// 10,000; otherwise the error Is [ErrPrice].
func Implied(decimal ...float64) ([]float64, error) {
	if len(decimal) < 2 {
		return nil, fmt.Errorf("%w: %d outcomes, at least 2 are needed", ErrPrice, len(decimal))
	}
	implied := make([]float64, len(decimal))
	for i, d := range decimal {
		if !(d > 1 && d <= maxPrice) { // also refuses NaN
			return nil, fmt.Errorf("%w: decimal odds %g of outcome %d, must be above 1 and at most %d", ErrPrice, d, i+1, maxPrice)
		}
		implied[i] = 1 / d
	}
	return implied, nil
}

// Median returns the middle of values, the mean of the two middle ones when
// their number is even, and NaN when there are none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// Consensus joins the fair probabilities that several books give to the same
// outcome: the median in log-odds. Up to half of the books can be wrong by any
// amount without moving it out of the range of the others, and the consensus
// of the opposite outcomes is one minus it. At least one probability is
// needed, each inside (0, 1); otherwise the error Is [ErrPrice].
func Consensus(fair []float64) (float64, error) {
	if len(fair) == 0 {
		return 0, fmt.Errorf("%w: a consensus of no books", ErrPrice)
	}
	logits := make([]float64, len(fair))
	for i, p := range fair {
		if !(p > 0 && p < 1) {
			return 0, fmt.Errorf("%w: probability %g of book %d, must be inside (0, 1)", ErrPrice, p, i+1)
		}
		logits[i] = Logit(p)
	}
	return Sigmoid(Median(logits)), nil
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

func sum(values []float64) float64 {
	var total float64
	for _, v := range values {
		total += v
	}
	return total
}
