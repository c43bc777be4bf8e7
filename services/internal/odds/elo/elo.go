// Package elo rates basketball teams by the results of their games, and turns
// two ratings into the probability that the home side wins.
//
// [Model] says how, [Ratings] holds what has been learnt, one result at a
// time and in the order in which they became known:
//
//	ratings := elo.Model{}.Fresh()
//	if err := ratings.Learn(elo.Result{Home: "Celtics", Away: "Knicks", HomePoints: 110, AwayPoints: 100}); err != nil { … }
//	p := ratings.HomeWins("Knicks", "Celtics")
//
// Each update takes from one team what it gives to the other, so the sum of
// all ratings never changes.
//
// Sources: A. Elo: The Rating of Chessplayers, Past and Present. Arco, 1978
// (the curve and the update). N. Silver, R. Fischer-Baum: How We Calculate NBA
// Elo Ratings. FiveThirtyEight, 21 May 2015 (K of 20, 100 points for the home
// side, the multiplier for the margin of victory, and a quarter of the way
// back to the mean between seasons).
package elo

import (
	"errors"
	"fmt"
	"math"
)

// Model says how ratings are learnt. Its zero value is FiveThirtyEight's
// model of the NBA.
type Model struct {
	K             float64 // how fast ratings move; 0 means 20
	HomeAdvantage float64 // rating points that the home side is better at home; 0 means 100, negative means none
	Mean          float64 // rating of a team that was never seen; 0 means 1500
	Carry         float64 // share of the distance from the mean that survives the end of a season; 0 means 0.75, negative means none
	PlainMargin   bool    // every win counts alike: no multiplier for the margin of victory
}

func (m Model) k() float64             { return orDefault(m.K, 20) }
func (m Model) mean() float64          { return orDefault(m.Mean, 1500) }
func (m Model) homeAdvantage() float64 { return max(0, orDefault(m.HomeAdvantage, 100)) }
func (m Model) carry() float64         { return max(0, orDefault(m.Carry, 0.75)) }

func orDefault(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return v
}

// Result is a finished game.
type Result struct {
	Home, Away             string
	HomePoints, AwayPoints int
}

// ErrResult is what an error about a result that cannot be learnt from Is.
var ErrResult = errors.New("unusable result")

func (r Result) check() error {
	switch {
	case r.Home == "" || r.Away == "":
		return fmt.Errorf("%w: a team has no name", ErrResult)
	case r.Home == r.Away:
		return fmt.Errorf("%w: %q against itself", ErrResult, r.Home)
	case r.HomePoints < 0 || r.AwayPoints < 0:
		return fmt.Errorf("%w: negative points", ErrResult)
	case r.HomePoints == r.AwayPoints:
		return fmt.Errorf("%w: %q against %q ended in a draw, basketball has none", ErrResult, r.Home, r.Away)
	}
	return nil
}

// Ratings are what a model has learnt. Not safe for concurrent use.
type Ratings struct {
	model  Model
	byTeam map[string]float64
}

// Fresh returns ratings that have seen no game.
func (m Model) Fresh() *Ratings {
	return &Ratings{model: m, byTeam: map[string]float64{}}
}

// Of returns a team's rating; the mean for a team that was never seen.
func (r *Ratings) Of(team string) float64 {
	if v, ok := r.byTeam[team]; ok {
		return v
	}
	return r.model.mean()
}

// edge is how many rating points home is ahead, at home.
func (r *Ratings) edge(home, away string) float64 {
	return r.Of(home) + r.model.homeAdvantage() - r.Of(away)
}

// HomeWins returns the probability that home beats away, at home.
func (r *Ratings) HomeWins(home, away string) float64 {
	return 1 / (1 + math.Pow(10, -r.edge(home, away)/400))
}

// Learn moves both teams' ratings by one result. A result that cannot be (a
// draw, a team against itself) changes nothing, and the error Is [ErrResult].
func (r *Ratings) Learn(g Result) error {
	if err := g.check(); err != nil {
		return err
	}
	edge, expected := r.edge(g.Home, g.Away), r.HomeWins(g.Home, g.Away)
	won, winnersEdge := 1.0, edge
	if g.AwayPoints > g.HomePoints {
		won, winnersEdge = 0, -edge
	}
	shift := r.model.k() * r.model.multiplier(g.HomePoints-g.AwayPoints, winnersEdge) * (won - expected)
	home, away := r.Of(g.Home)+shift, r.Of(g.Away)-shift
	r.byTeam[g.Home], r.byTeam[g.Away] = home, away
	return nil
}

// multiplier is how much a win by that many points counts. The divisor grows
// with the winner's edge: favourites win by more, and without it their ratings
// would drift apart for being favourites (FiveThirtyEight calls it the
// correction for autocorrelation). It is kept above a tenth of its middle for
// the case of absurd ratings.
func (m Model) multiplier(margin int, winnersEdge float64) float64 {
	if m.PlainMargin {
		return 1
	}
	return math.Pow(math.Abs(float64(margin))+3, 0.8) / max(0.75, 7.5+0.006*winnersEdge)
}

// EndSeason moves every rating a part of the way back to the mean: squads
// change between seasons.
func (r *Ratings) EndSeason() {
	mean := r.model.mean()
	for team, v := range r.byTeam {
		r.byTeam[team] = mean + r.model.carry()*(v-mean)
	}
}
