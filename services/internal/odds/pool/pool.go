// Package pool joins two forecasts of the same event, the market's and Elo's,
// into one that is hardly ever worse than the better of them, without knowing
// which one that is.
//
// For one weight w the two are pooled in log-odds (a logarithmic opinion pool):
//
//	logit p(w) = w·logit(market) + (1-w)·logit(elo)
//
// [Pool] holds 21 such pools, w = 0, 0.05 … 1, and how well each has forecast
// so far. Its forecast is their mean, each weighted by the product of the
// probabilities that it gave to what happened: Bayes' rule over the weights. A
// weight is thus learnt from past games only. Before the first game half of the
// belief is in the market alone, because closing prices are known to be hard
// to beat, and the rest is spread evenly over the other weights.
//
// What it promises: over any series of n games that are learnt one after the
// other, its mean log loss is at most that of the market alone plus ln(2)/n,
// and at most that of any other weight, Elo alone among them, plus ln(40)/n.
// For a season of 1,230 games that is 0.0006 and 0.0030. Where several games
// start before the first of them ends, the bound is looser by what could have
// been learnt in between; the tests of prediction-service measure that.
//
// Sources: C. Genest, J. Zidek: Combining probability distributions: a
// critique and an annotated bibliography. Statistical Science 1(1), 1986,
// 114-135 (the logarithmic pool). N. Cesa-Bianchi, G. Lugosi: Prediction,
// Learning, and Games. Cambridge, 2006, section 9.2 (the mixture and its
// bound).
package pool

import (
	"math"

	"github.com/keepmum/keepmum/services/internal/odds"
)

// steps is the number of intervals between the weights of 0 and 1.
const steps = 20

// clip keeps forecasts away from 0 and 1, where log-odds are infinite.
const clip = 1e-6

// Pool learns from past games how to weight the market and Elo. Use [New].
// Not safe for concurrent use.
type Pool struct {
	logBelief [steps + 1]float64 // of each weight, up to a common constant; the largest is 0
}

// New returns a pool that has seen no game.
func New() *Pool {
	p := &Pool{}
	for i := range steps { // all but the last, which is the market alone
		p.logBelief[i] = -math.Log(steps)
	}
	return p
}

// Pooled pools two probabilities in log-odds with a given weight of the
// market, from 0 to 1.
func Pooled(market, elo, weight float64) float64 {
	return odds.Sigmoid(weight*logit(market) + (1-weight)*logit(elo))
}

func logit(p float64) float64 { return odds.Logit(min(max(p, clip), 1-clip)) }

func weight(i int) float64 { return float64(i) / steps }

// Forecast returns the pooled probability.
func (p *Pool) Forecast(market, elo float64) float64 {
	return p.mean(func(w float64) float64 { return Pooled(market, elo, w) })
}

// Weight returns the mean of the market's weight, as believed now: 0.7375
// before the first game.
func (p *Pool) Weight() float64 {
	return p.mean(func(w float64) float64 { return w })
}

// mean returns the mean of f over the weights, by belief.
func (p *Pool) mean(f func(weight float64) float64) float64 {
	var total, mass float64
	for i, l := range p.logBelief {
		b := math.Exp(l)
		total += b * f(weight(i))
		mass += b
	}
	return total / mass
}

// Learn takes in the result of a game for which market and elo were the forecasts
// before it began.
func (p *Pool) Learn(market, elo float64, homeWon bool) {
	best := math.Inf(-1)
	for i := range p.logBelief {
		p.logBelief[i] -= odds.LogLoss(Pooled(market, elo, weight(i)), homeWon)
		best = max(best, p.logBelief[i])
	}
	for i := range p.logBelief {
		p.logBelief[i] -= best
	}
}
