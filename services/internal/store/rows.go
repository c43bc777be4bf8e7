package store

import "time"

// Event is a game as The Odds API lists it.
type Event struct {
	ID       string    `json:"id"`
	Commence time.Time `json:"commence"`
	Home     string    `json:"home"`
	Away     string    `json:"away"`
	SeenAt   time.Time `json:"-"` // our clock: when it was last listed; set by the store
}

// The markets of a Quote.
const (
	HeadToHead = "h2h"
	Spreads    = "spreads"
	Totals     = "totals"
)

// The outcomes of a Quote.
const (
	Home  = "home"
	Away  = "away"
	Over  = "over"
	Under = "under"
)

// Consensus is used as the book if all books are meant.
const Consensus = "consensus"

// Quote is one price of one outcome of one book.
type Quote struct {
	EventID    string    `json:"event_id"`
	Market     string    `json:"market"`
	Book       string    `json:"book"`
	Outcome    string    `json:"outcome"`
	Price      float64   `json:"price"`           // decimal odds
	Point      *float64  `json:"point,omitempty"` // only of spreads and totals
	SourceTime time.Time `json:"source_time"`     // when the book set it, by the upstream
	ObservedAt time.Time `json:"observed_at"`     // the upstream's clock when we saw it first
}

// The states of a Game.
const (
	Scheduled = "scheduled"
	Live      = "live"
	Finished  = "finished"
	Postponed = "postponed"
	Cancelled = "cancelled"
)

// Game is a game as API-Basketball schedules and scores it.
type Game struct {
	ID        int64     `json:"id"`
	Season    string    `json:"season"`
	Start     time.Time `json:"start"`
	Home      string    `json:"home"`
	Away      string    `json:"away"`
	Status    string    `json:"status"`
	HomeScore *int      `json:"home_score,omitempty"` // nil until it is live
	AwayScore *int      `json:"away_score,omitempty"`
	EventID   string    `json:"event_id,omitempty"` // set by queries; "" when no event prices it
}

// HomeWon reports the result of a finished game.
func (g Game) HomeWon() bool {
	return g.HomeScore != nil && g.AwayScore != nil && *g.HomeScore > *g.AwayScore
}

// Line is the opening, current and closing probability of one outcome at one
// book, or of the consensus, with the margin removed.
type Line struct {
	EventID   string     `json:"event_id"`
	Book      string     `json:"book"`
	Outcome   string     `json:"outcome"`
	Opening   float64    `json:"opening"`
	OpeningAt time.Time  `json:"opening_at"`
	Current   float64    `json:"current"`
	CurrentAt time.Time  `json:"current_at"`
	Closing   *float64   `json:"closing,omitempty"` // nil until the event has begun
	ClosingAt *time.Time `json:"closing_at,omitempty"`
}

// The kinds of a Movement.
const (
	Move     = "move"
	Steam    = "steam"
	Reversal = "reversal"
)

// Movement is a change of probability that is large enough to report.
type Movement struct {
	EventID string    `json:"event_id"`
	Book    string    `json:"book"`
	Outcome string    `json:"outcome"`
	Kind    string    `json:"kind"`
	From    float64   `json:"from"`
	To      float64   `json:"to"`
	FromAt  time.Time `json:"from_at"`
	ToAt    time.Time `json:"to_at"`
	Books   int       `json:"books"` // how many moved together
}

// Prediction is the probability that the home team wins.
type Prediction struct {
	EventID string    `json:"event_id"`
	MadeAt  time.Time `json:"made_at"` // the upstream's clock
	Home    float64   `json:"home"`
	Market  *float64  `json:"market,omitempty"` // nil without odds
	Elo     *float64  `json:"elo,omitempty"`    // nil without results
	Weight  float64   `json:"weight"`           // of the market in the pool
	Books   int       `json:"books"`
	Games   int       `json:"games"` // results that the ratings learnt from
}

// The inputs of an Evaluation.
const (
	InputMarket = "market"
	InputElo    = "elo"
	InputPooled = "pooled"
	InputBase   = "base" // the home teams' share of wins, for comparison
)

// Evaluation is how well one input has predicted the games so far.
type Evaluation struct {
	MadeAt  time.Time `json:"made_at"`
	Input   string    `json:"input"`
	Games   int       `json:"games"`
	LogLoss float64   `json:"log_loss"`
	Brier   float64   `json:"brier"`
}
