package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds"
	"github.com/keepmum/keepmum/services/internal/odds/elo"
	"github.com/keepmum/keepmum/services/internal/odds/pool"
	"github.com/keepmum/keepmum/services/internal/store"
)

// gameTime is how long after its start a game's result is taken to be known
// when the past is replayed. Games last two and a half hours; taking more is
// the safe side, since it can only hide results and never show one too early.
const gameTime = 4 * time.Hour

// played is a finished game with what was known before it began.
type played struct {
	game   store.Game
	market *float64          // the books' consensus before the start; nil without odds
	said   *store.Prediction // the last prediction made before the start; nil if there was none
}

// forecast is what the inputs, and the pool of them, say about one game.
type forecast struct {
	home        float64
	market, elo *float64
}

// model is what has been learnt from the past.
type model struct {
	ratings *elo.Ratings
	pool    *pool.Pool
	season  string
	results int // that the ratings learnt from
	won     int // of them by the home side
	refused int // results that cannot be, and were left out
	scores  map[string]odds.Score
	said    map[int64]forecast // by game: the forecast that was scored
}

// forecast joins the market's probability, if there is one, and Elo's, if
// anything was learnt. It is false when there is neither.
func (m *model) forecast(home, away string, market *float64) (forecast, bool) {
	f := forecast{market: market}
	if m.results > 0 {
		p := m.ratings.HomeWins(home, away)
		f.elo = &p
	}
	switch {
	case f.market != nil && f.elo != nil:
		f.home = m.pool.Forecast(*f.market, *f.elo)
	case f.market != nil:
		f.home = *f.market
	case f.elo != nil:
		f.home = *f.elo
	default:
		return f, false
	}
	return f, true
}

// enter begins a season.
func (m *model) enter(season string) {
	if m.season != "" && m.season != season {
		m.ratings.EndSeason()
	}
	m.season = season
}

// learn takes in a result, and how the inputs had forecast it.
func (m *model) learn(g store.Game, f forecast) {
	if g.HomeScore == nil || g.AwayScore == nil {
		m.refused++
		return
	}
	result := elo.Result{Home: g.Home, Away: g.Away, HomePoints: *g.HomeScore, AwayPoints: *g.AwayScore}
	if !m.ratings.Learn(result) {
		m.refused++
		return
	}
	m.results++
	if g.HomeWon() {
		m.won++
	}
	if f.market != nil && f.elo != nil {
		m.pool.Learn(*f.market, *f.elo, g.HomeWon())
	}
}

// judge scores the inputs side by side, on games for which there are both.
func (m *model) judge(g store.Game, f forecast) {
	m.said[g.ID] = f
	if f.market == nil || f.elo == nil {
		return
	}
	for input, p := range map[string]float64{
		store.InputPooled: f.home,
		store.InputMarket: *f.market,
		store.InputElo:    *f.elo,
		store.InputBase:   float64(m.won+1) / float64(m.results+2),
	} {
		m.scores[input] = m.scores[input].With(p, g.HomeWon())
	}
}

// replay walks forward through finished games and returns the resulting model.
// Each game is forecast from the results that were known when it began, and
// only then learnt from. If a prediction was made in time, that one is scored;
// otherwise (the service did not run yet) the replayed one.
func replay(games []played) *model {
	m := &model{ratings: elo.New(), pool: pool.New(), scores: map[string]odds.Score{}, said: map[int64]forecast{}}
	games = slices.SortedFunc(slices.Values(games), func(a, b played) int {
		return cmp.Or(a.game.Start.Compare(b.game.Start), cmp.Compare(a.game.ID, b.game.ID))
	})
	forecasts := make([]forecast, len(games))
	known := 0 // games[:known] are learnt
	learn := func(until time.Time) {
		for ; known < len(games) && !games[known].game.Start.Add(gameTime).After(until); known++ {
			m.enter(games[known].game.Season)
			m.learn(games[known].game, forecasts[known])
		}
	}
	for i, p := range games {
		learn(p.game.Start)
		m.enter(p.game.Season)
		forecasts[i], _ = m.forecast(p.game.Home, p.game.Away, p.market)
		judged := forecasts[i]
		if p.said != nil {
			judged = forecast{home: p.said.Home, market: p.said.Market, elo: p.said.Elo}
		}
		m.judge(p.game, judged)
	}
	if len(games) > 0 {
		learn(games[len(games)-1].game.Start.Add(gameTime))
	}
	return m
}

// consensus is what the last quotes of the books before a game say together,
// and how many books that is; nil if there are none. Quotes are of market h2h.
func consensus(quotes []store.Quote) (*float64, int) {
	type prices struct{ home, away float64 }
	books := map[string]prices{}
	for _, q := range quotes {
		p := books[q.Book]
		switch q.Outcome {
		case store.Home:
			p.home = q.Price
		case store.Away:
			p.away = q.Price
		}
		books[q.Book] = p
	}
	var fair []float64
	for _, p := range books {
		if probability, ok := odds.Fair(p.home, p.away); ok {
			fair = append(fair, probability)
		}
	}
	if len(fair) == 0 {
		return nil, 0
	}
	together := odds.Consensus(fair)
	return &together, len(fair)
}
