package odds

import "math"

// Fair is [Shin] for a game without a draw: the probability that the home side
// wins.
func Fair(home, away float64) (float64, error) {
	p, err := Shin(home, away)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// Shin takes the margin to be the book's guard against a share z of bettors
// who know the outcome, finds z, and returns the probabilities that the book
// must have held. With two outcomes that equals taking half of the margin off
// each implied probability. A price without a margin (a sum of one or less)
// shows no such bettors: z is 0, and the implied probabilities are divided by
// their sum.
//
// The probabilities sum to one, are in the order of the odds, and keep their
// ranking: shorter odds never get the smaller probability. Errors are those of
// [Implied].
//
// Source: H. S. Shin: Measuring the incidence of insider trading in a market
// for state-contingent claims. The Economic Journal 103 (420), 1993,
// 1141-1153; solved for the probabilities by B. Jullien, B. Salanié:
// Measuring the incidence of insider trading: a comment on Shin. The Economic
// Journal 104 (427), 1994, 1418-1419.
func Shin(decimal ...float64) ([]float64, error) {
	implied, err := Implied(decimal...)
	if err != nil {
		return nil, err
	}
	total := sum(implied)
	if total <= 1 {
		return normalised(implied), nil
	}
	p := make([]float64, len(implied))
	at := func(z float64) float64 {
		for i, q := range implied {
			p[i] = (math.Sqrt(z*z+4*(1-z)*q*q/total) - z) / (2 * (1 - z))
		}
		return sum(p) - 1
	}
	// The sum falls in z: from the root of the total, which is above 1, to the
	// sum of q²/total, which is below 1 because each q is.
	at(root(at, 0, math.Nextafter(1, 0)))
	return normalised(p), nil
}

// root halves [low, high] until no number lies between, and returns where the
// falling f crosses zero.
func root(f func(float64) float64, low, high float64) float64 {
	for {
		mid := low + (high-low)/2
		if mid <= low || mid >= high {
			return mid
		}
		if f(mid) > 0 {
			low = mid
		} else {
			high = mid
		}
	}
}

// normalised returns values divided by their sum: the last rounding errors of
// a method go here.
func normalised(values []float64) []float64 {
	total := sum(values)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v / total
	}
	return out
}
