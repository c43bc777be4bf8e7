package odds

import (
	"fmt"
	"math"
)

// Method removes the margin from decimal odds. The probabilities that it
// returns sum to one, stand in the order of the odds, and keep their ranking:
// shorter odds never get the smaller probability. Errors are those of
// [Implied].
type Method func(decimal ...float64) ([]float64, error)

// Fair is the two-sided use of a method, for a game without a draw: the
// probability that the home side wins.
func (m Method) Fair(home, away float64) (float64, error) {
	p, err := m(home, away)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// Proportional divides the implied probabilities by their sum. It takes the
// margin to be spread in proportion, and so leaves the bias of most markets
// that makes outsiders look likelier than they are.
func Proportional(decimal ...float64) ([]float64, error) {
	implied, err := Implied(decimal...)
	if err != nil {
		return nil, err
	}
	return normalised(implied), nil
}

// Power raises the implied probabilities to the power k at which they sum to
// one. It takes more from outsiders than [Proportional] does, and its results
// never leave (0, 1).
//
// Source: S. Clarke, S. Kovalchik, M. Ingram: Adjusting bookmaker's odds to
// allow for overround. American Journal of Sports Science 5(6), 2017, 45-49.
func Power(decimal ...float64) ([]float64, error) {
	implied, err := Implied(decimal...)
	if err != nil {
		return nil, err
	}
	raised := make([]float64, len(implied))
	at := func(k float64) float64 {
		for i, q := range implied {
			raised[i] = math.Pow(q, k)
		}
		return sum(raised) - 1
	}
	// The sum falls strictly in k: from the number of outcomes at 0 towards 0.
	high := 1.0
	for at(high) > 0 {
		high *= 2
	}
	at(root(at, 0, high))
	return normalised(raised), nil
}

// Shin takes the margin to be the book's guard against a share z of bettors
// who know the outcome, finds z, and returns the probabilities that the book
// must have held. With two outcomes that equals taking half of the margin off
// each implied probability. A price without a margin (a sum of one or less)
// shows no such bettors: z is 0, and what is left is [Proportional].
//
// Source: H. S. Shin: Measuring the incidence of insider trading in a market
// for state-contingent claims. The Economic Journal 103 (420), 1993,
// 1141-1153; solved for the probabilities by B. Jullien, B. Salanié:
// Measuring the incidence of insider trading: a comment on Shin. The Economic
// Journal 104 (427), 1994, 1418-1419.
func Shin(decimal ...float64) ([]float64, error) {
	p, _, err := shin(decimal)
	return p, err
}

// shin also returns z, the share of informed bettors.
func shin(decimal []float64) (p []float64, z float64, err error) {
	implied, err := Implied(decimal...)
	if err != nil {
		return nil, 0, err
	}
	total := sum(implied)
	if total <= 1 {
		return normalised(implied), 0, nil
	}
	p = make([]float64, len(implied))
	at := func(z float64) float64 {
		for i, q := range implied {
			p[i] = (math.Sqrt(z*z+4*(1-z)*q*q/total) - z) / (2 * (1 - z))
		}
		return sum(p) - 1
	}
	// The sum falls in z: from the root of the total, which is above 1, to the
	// sum of q²/total, which is below 1 because each q is.
	z = root(at, 0, math.Nextafter(1, 0))
	at(z)
	return normalised(p), z, nil
}

// MethodByName returns the method of that name: proportional, power or shin.
func MethodByName(name string) (Method, error) {
	switch name {
	case "proportional":
		return Proportional, nil
	case "power":
		return Power, nil
	case "shin":
		return Shin, nil
	default:
		return nil, fmt.Errorf("no method %q to remove a margin: use proportional, power or shin", name)
	}
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
