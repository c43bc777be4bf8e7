package odds

import "math"

// clip keeps a forecast off 0 and 1 when it is judged, so that one forecast of
// "never" that happens costs 13.8 and not infinity.
const clip = 1e-6

// LogLoss judges one forecast: minus the natural logarithm of the probability
// that was given to what happened. The forecast is clipped to
// [0.000001, 0.999999] first. A coin's loss is ln 2 = 0.6931.
func LogLoss(p float64, happened bool) float64 {
	p = min(max(p, clip), 1-clip)
	if happened {
		return -math.Log(p)
	}
	return -math.Log1p(-p)
}

// Brier judges one forecast: the square of its distance from what happened. A
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

// Score holds the judgement of a row of forecasts. The zero value is that of
// none.
type Score struct {
	Games   int     `json:"games"`    // how many forecasts were judged
	LogLoss float64 `json:"log_loss"` // mean of LogLoss; 0 when there are none
	Brier   float64 `json:"brier"`    // mean of Brier; 0 when there are none
}

// With returns the score with one more forecast judged.
func (s Score) With(p float64, happened bool) Score {
	s.Games++
	s.LogLoss += (LogLoss(p, happened) - s.LogLoss) / float64(s.Games)
	s.Brier += (Brier(p, happened) - s.Brier) / float64(s.Games)
	return s
}
