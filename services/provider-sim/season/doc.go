// Package season generates a season of an NBA-like league from a seed: thirty
// teams with hidden strengths, a schedule, true probabilities, results drawn
// from them, and the prices of several books as they move until the start.
//
//	s := season.New(season.Config{Seed: 1, Start: start})
//	for _, g := range s.Games() {
//		g.HomeProbability                 // the truth, hidden from the services
//		g.HomeScore, g.AwayScore          // drawn from it
//		s.Quotes(g, at)                   // what each book offers at that time
//	}
//
// Everything is a function of the [Config]: the same Config gives the same
// season, in whatever order it is asked for, and asking for a time twice gives the
// same prices. Nothing here knows HTTP, and nothing reads a clock.
//
// # The model
//
// A team's strength is a number of points, normally distributed over the
// league, that drifts by a random walk over the season. The home team's margin
// is normal with mean (home strength - away strength + home advantage) and a
// standard deviation of 12 points, as in Stern, "On the Probability of Winning
// a Football Game" (1991), which basketball follows closely. The true
// probability is that of a margin above zero.
//
// The market has its own estimate of the mean: at the close it is the truth plus
// an error of about a point and a half, so that an independent estimate, such as
// Elo ratings, can still add to it; at the opening the error is about twice as
// large, and a random walk reduces it. Each book follows the market with an offset
// and its own delay, of up to an hour, and adds its margin. In some games money comes in at once (a steam move): the market jumps
// by a few points and every book follows within minutes.
package season
