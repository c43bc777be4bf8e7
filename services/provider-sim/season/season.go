package season

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Config determines a season.
type Config struct {
	Seed  uint64
	Start time.Time // first day; its time of day is dropped. Zero: 2026-10-20
}

// The constants of the model, in points.
const (
	strength      = 5.0 // standard deviation of the teams' strengths
	marketError   = 1.5 // standard deviation of the market's error at the close
	homeAdvantage = 2.6
	marginSpread  = 12.0 // standard deviation of a game's margin
	driftPerDay   = 0.18 // of a strength
	totalMean     = 226.0
	totalSpread   = 17.0
)

// The shape of the schedule.
const (
	teams        = 30
	rounds       = 82
	daysPerRound = 2
	// Days is how many days a season has.
	Days = rounds * daysPerRound
	// Listed is how long before the start the books open a game.
	Listed = 48 * time.Hour
	// Duration is how long a game takes.
	Duration = 150 * time.Minute
)

// Team is a team of the league.
type Team struct {
	ID   int // as API-Basketball numbers it
	Name string
}

// Game is one game, with its true probability and its result.
type Game struct {
	Number    int    // in the season, from 0, by start
	ID        int64  // as API-Basketball numbers it
	EventID   string // as The Odds API names it: 32 hex digits
	Home      Team
	Away      Team
	Start     time.Time
	HomeScore int // at the end
	AwayScore int
	// HomeProbability is the true probability that the home team wins.
	HomeProbability float64

	mean  float64 // of the home team's margin
	total float64 // mean of both scores together
}

// HomeWon reports the result.
func (g Game) HomeWon() bool { return g.HomeScore > g.AwayScore }

// Season is a whole season. It is immutable and safe for concurrent use.
type Season struct {
	config Config
	games  []Game
}

// New makes the season of config.
func New(config Config) *Season {
	if config.Start.IsZero() {
		config.Start = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	}
	config.Start = config.Start.UTC().Truncate(24 * time.Hour)
	s := &Season{config: config}
	strengths := s.strengths()
	for _, game := range s.schedule() {
		s.play(&game, strengths)
		s.games = append(s.games, game)
	}
	return s
}

// Games returns all games by start.
func (s *Season) Games() []Game { return s.games }

// Start is the first instant of the season.
func (s *Season) Start() time.Time { return s.config.Start }

// End is the first instant after the season's last game.
func (s *Season) End() time.Time { return s.games[len(s.games)-1].Start.Add(Duration) }

// Between returns the games that start at or after from, and before to.
func (s *Season) Between(from, to time.Time) []Game {
	first, _ := slices.BinarySearchFunc(s.games, from, func(g Game, t time.Time) int { return g.Start.Compare(t) })
	last, _ := slices.BinarySearchFunc(s.games, to, func(g Game, t time.Time) int { return g.Start.Compare(t) })
	return s.games[first:max(first, last)]
}

// Streams separate the random numbers of one purpose from those of others.
const (
	streamStrength = iota + 1
	streamSchedule
	streamResult
	streamMarket
	streamBook
)

// random returns the generator of one purpose and one thing.
func (s *Season) random(stream, thing uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.config.Seed^stream<<56, thing*0x9e3779b97f4a7c15+uint64(s.config.Start.Unix())))
}

// strengths returns each team's strength on each day.
func (s *Season) strengths() [teams][Days]float64 {
	var all [teams][Days]float64
	r := s.random(streamStrength, 0)
	for team := range all {
		level := r.NormFloat64() * strength
		for day := range all[team] {
			all[team][day] = level
			level += r.NormFloat64() * driftPerDay
		}
	}
	return all
}

// schedule returns the games by start, without their results. Every team plays
// once in a round, so 82 times, about half of them at home; a round takes two
// days, so that some teams play on two consecutive days, and none twice on one.
func (s *Season) schedule() []Game {
	r := s.random(streamSchedule, 0)
	order := r.Perm(rounds) // each of the 29 pairings about three times
	who := r.Perm(teams)
	var games []Game
	for at, round := range order {
		for pair := range teams / 2 {
			home, away := pairing(round, pair)
			day := at*daysPerRound + r.IntN(daysPerRound)
			half := r.IntN(7) // 00:00 to 03:00 UTC: evening in America
			games = append(games, Game{
				Home:  team(who[home]),
				Away:  team(who[away]),
				Start: s.config.Start.Add(time.Duration(day)*24*time.Hour + time.Duration(half)*30*time.Minute),
			})
		}
	}
	slices.SortStableFunc(games, func(a, b Game) int { return a.Start.Compare(b.Start) })
	for number := range games {
		s.name(&games[number], number)
	}
	return games
}

// name gives a game its ids. They contain the season's first day, so that no two
// seasons share one.
func (s *Season) name(g *Game, number int) {
	day := s.config.Start.Unix() / (24 * 60 * 60)
	g.Number = number
	g.ID = day*10000 + int64(number)
	r := s.random(streamSchedule, uint64(number)+1)
	g.EventID = fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
}

// pairing returns home and away of one pair in one round, by the circle
// method: one team stays in place, the others rotate.
func pairing(round, pair int) (home, away int) {
	turn, cycle := round%(teams-1), round/(teams-1)
	a, b, alternating := teams-1, turn, turn
	if pair > 0 {
		a = (turn + pair) % (teams - 1)
		b = (turn - pair + teams - 1) % (teams - 1)
		alternating = pair
	}
	// Home alternates within a cycle, and is swapped in the next one.
	if (alternating+cycle)%2 == 0 {
		return a, b
	}
	return b, a
}

// play sets the true probability and draws the result.
func (s *Season) play(g *Game, strengths [teams][Days]float64) {
	day := int(g.Start.Sub(s.config.Start) / (24 * time.Hour))
	g.mean = strengths[index(g.Home)][day] - strengths[index(g.Away)][day] + homeAdvantage
	g.HomeProbability = winProbability(g.mean)
	r := s.random(streamResult, uint64(g.Number))
	g.total = totalMean + r.NormFloat64()*6
	margin := g.mean + marginSpread*r.NormFloat64()
	points := int(math.Max(1, math.Round(math.Abs(margin)))) // no draws
	total := int(math.Round(g.total + totalSpread*r.NormFloat64()))
	total = min(max(total, 150), 320)
	winner, loser := (total+points+1)/2, (total-points+1)/2
	g.HomeScore, g.AwayScore = winner, loser
	if margin < 0 {
		g.HomeScore, g.AwayScore = loser, winner
	}
}

// winProbability is the probability of a margin above zero.
func winProbability(mean float64) float64 {
	return 0.5 * math.Erfc(-mean/(marginSpread*math.Sqrt2))
}

// firstTeamID is the number that API-Basketball gives the first team.
const firstTeamID = 132

// team returns the team at an index.
func team(i int) Team { return Team{ID: firstTeamID + i, Name: teamNames()[i]} }

// index is the inverse of team.
func index(t Team) int { return t.ID - firstTeamID }

// teamNames is sorted, as API-Basketball numbers the teams.
func teamNames() [teams]string {
	return [teams]string{
		"Atlanta Hawks", "Boston Celtics", "Brooklyn Nets", "Charlotte Hornets", "Chicago Bulls",
		"Cleveland Cavaliers", "Dallas Mavericks", "Denver Nuggets", "Detroit Pistons", "Golden State Warriors",
		"Houston Rockets", "Indiana Pacers", "Los Angeles Clippers", "Los Angeles Lakers", "Memphis Grizzlies",
		"Miami Heat", "Milwaukee Bucks", "Minnesota Timberwolves", "New Orleans Pelicans", "New York Knicks",
		"Oklahoma City Thunder", "Orlando Magic", "Philadelphia 76ers", "Phoenix Suns", "Portland Trail Blazers",
		"Sacramento Kings", "San Antonio Spurs", "Toronto Raptors", "Utah Jazz", "Washington Wizards",
	}
}
