// Package elo rates basketball teams by the results of their games, and turns
// two ratings into the probability that the home side wins.
//
// [Ratings] hold what has been learnt, one result at a time and in the order in
// which the results became known:
//
//	ratings := elo.New()
//	ok := ratings.Learn(elo.Result{Home: "Celtics", Away: "Knicks", HomePoints: 110, AwayPoints: 100})
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

import "math"

// FiveThirtyEight's model of the NBA.
const (
	k             = 20   // how fast ratings move
	homeAdvantage = 100  // rating points that a team is better at home
	mean          = 1500 // rating of a team that was never seen
	carry         = 0.75 // share of the distance from the mean that survives the end of a season
)

// Result is a finished game.
type Result struct {
	Home, Away             string
	HomePoints, AwayPoints int
}

// Ratings are what was learnt. Use [New]. Not safe for concurrent use.
type Ratings struct {
	byTeam map[string]float64
}

// New returns ratings that have seen no game.
func New() *Ratings { return &Ratings{byTeam: map[string]float64{}} }

// Of returns a team's rating; the mean for a team that was never seen.
func (r *Ratings) Of(team string) float64 {
	if v, ok := r.byTeam[team]; ok {
		return v
	}
	return mean
}

// edge is how many rating points home is ahead, at home.
func (r *Ratings) edge(home, away string) float64 {
	return r.Of(home) + homeAdvantage - r.Of(away)
}

// HomeWins returns the probability that home beats away, at home.
func (r *Ratings) HomeWins(home, away string) float64 {
	return 1 / (1 + math.Pow(10, -r.edge(home, away)/400))
}

// Learn moves both teams' ratings by one result. It is false, and changes nothing,
// if the result is impossible: a draw, negative points, or a team without a name
// or against itself.
func (r *Ratings) Learn(g Result) bool {
	if g.Home == "" || g.Away == "" || g.Home == g.Away || g.HomePoints == g.AwayPoints || min(g.HomePoints, g.AwayPoints) < 0 {
		return false
	}
	edge, expected := r.edge(g.Home, g.Away), r.HomeWins(g.Home, g.Away)
	won, winnersEdge := 1.0, edge
	if g.AwayPoints > g.HomePoints {
		won, winnersEdge = 0, -edge
	}
	shift := k * multiplier(g.HomePoints-g.AwayPoints, winnersEdge) * (won - expected)
	home, away := r.Of(g.Home)+shift, r.Of(g.Away)-shift
	r.byTeam[g.Home], r.byTeam[g.Away] = home, away
	return true
}

// multiplier is how much a win by that many points counts. The divisor grows
// with the winner's edge: favourites win by more, and without it their ratings
// would keep rising only because they are favourites (FiveThirtyEight calls this
// the correction for autocorrelation). It is kept above a tenth of its usual
// value, in case ratings are absurd.
func multiplier(margin int, winnersEdge float64) float64 {
	return math.Pow(math.Abs(float64(margin))+3, 0.8) / max(0.75, 7.5+0.006*winnersEdge)
}

// EndSeason moves every rating part of the way back to the mean, because squads
// change between seasons.
func (r *Ratings) EndSeason() {
	for team, v := range r.byTeam {
		r.byTeam[team] = mean + carry*(v-mean)
	}
}
