package odds

import "math"

// clip keeps a forecast away from 0 and 1 when it is scored, so that one forecast
// of "never" for something that happens costs 13.8 and not infinity.
const clip = 1e-6

// LogLoss scores one forecast: minus the natural logarithm of the probability
// that was given to what happened. The forecast is clipped to
// [0.000001, 0.999999] first. A coin's loss is ln 2 = 0.6931.
func LogLoss(p float64, happened bool) float64 {
	p = min(max(p, clip), 1-clip)
	if happened {
		return -math.Log(p)
	}
	return -math.Log1p(-p)
}

// Brier scores one forecast: the square of its distance from what happened. A
// coin's score is 0.25.
//
// Source: G. W. Brier: Verification of forecasts expressed in terms of
// probability. Monthly Weather Review 78(1), 1950, 1-3 (here for one outcome,
// half of Brier's sum over both).
func Brier(p float64, happened bool) float64 {
	if happened {
		p = 1 - p
	}
	return p * p
}

// Score is the score of a series of forecasts. The zero value is that of none.
type Score struct {
	Games   int     // how many forecasts were scored
	LogLoss float64 // mean of LogLoss; 0 if there are none
	Brier   float64 // mean of Brier; 0 if there are none
}

// With returns the score with one more forecast.
func (s Score) With(p float64, happened bool) Score {
	s.Games++
	s.LogLoss += (LogLoss(p, happened) - s.LogLoss) / float64(s.Games)
	s.Brier += (Brier(p, happened) - s.Brier) / float64(s.Games)
	return s
}
