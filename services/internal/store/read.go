package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The bounds of a query's number of rows.
const (
	defaultLimit = 500
	maxLimit     = 20000
)

// limit applies the bounds.
func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// orNull makes a query argument of a time: the zero time is "no bound".
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// query runs a query and scans each row with scan.
func query[T any](ctx context.Context, s *Store, scan func(pgx.CollectableRow) (T, error), statement string, args ...any) ([]T, error) {
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, classify(err, "of DB_APP_LOGIN")
	}
	all, err := pgx.CollectRows(rows, scan)
	return all, classify(err, "of DB_APP_LOGIN")
}

// Now returns what time it is upstream: the clock of The Odds API, or that of
// API-Basketball when the former has not been heard yet, as it was at the last
// answer. The error is of class NotFound when neither has been.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := s.pool.QueryRow(ctx, "SELECT at FROM clocks ORDER BY source = $1 DESC LIMIT 1", ClockOdds).Scan(&at)
	return at.UTC(), classify(err, "of DB_APP_LOGIN")
}

// EventFilter chooses events. Zero fields choose all.
type EventFilter struct {
	ID       string
	From, To time.Time // bounds of the start: From <= Commence < To
	Listed   bool      // only those in The Odds API's last answer, or less than a minute older
	Limit    int       // zero: 500
}

// Events returns events by start.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	return query(ctx, s, scanEvent, `
		SELECT id, commence, home, away, seen_at FROM events
		WHERE ($1 = '' OR id = $1)
			AND ($2::timestamptz IS NULL OR commence >= $2) AND ($3::timestamptz IS NULL OR commence < $3)
			AND (NOT $4 OR seen_at >= (SELECT max(seen_at) FROM events) - interval '1 minute')
		ORDER BY commence, id LIMIT $5`,
		f.ID, orNull(f.From), orNull(f.To), f.Listed, limit(f.Limit))
}

func scanEvent(row pgx.CollectableRow) (Event, error) {
	var e Event
	err := row.Scan(&e.ID, &e.Commence, &e.Home, &e.Away, &e.SeenAt)
	e.Commence, e.SeenAt = e.Commence.UTC(), e.SeenAt.UTC()
	return e, err
}

// GameFilter chooses games. Zero fields choose all.
type GameFilter struct {
	ID       int64
	From, To time.Time // bounds of the start: From <= Start < To
	Status   string
	Team     string // home or away
	Limit    int    // zero: 500
}

const gameColumns = "g.id, g.season, g.start, g.home, g.away, g.status, g.home_score, g.away_score, coalesce(m.event_id, '')"

// Games returns games by start.
func (s *Store) Games(ctx context.Context, f GameFilter) ([]Game, error) {
	return query(ctx, s, scanGame, `
		SELECT `+gameColumns+` FROM games g LEFT JOIN event_games m ON m.game_id = g.id
		WHERE ($1::bigint = 0 OR g.id = $1)
			AND ($2::timestamptz IS NULL OR g.start >= $2) AND ($3::timestamptz IS NULL OR g.start < $3)
			AND ($4 = '' OR g.status = $4) AND ($5 = '' OR g.home = $5 OR g.away = $5)
		ORDER BY g.start, g.id LIMIT $6`,
		f.ID, orNull(f.From), orNull(f.To), f.Status, f.Team, limit(f.Limit))
}

// Results returns finished games by start, the oldest first, at most 20,000.
func (s *Store) Results(ctx context.Context, from time.Time) ([]Game, error) {
	return s.Games(ctx, GameFilter{From: from, Status: Finished, Limit: maxLimit})
}

func scanGame(row pgx.CollectableRow) (Game, error) {
	var g Game
	err := row.Scan(&g.ID, &g.Season, &g.Start, &g.Home, &g.Away, &g.Status, &g.HomeScore, &g.AwayScore, &g.EventID)
	g.Start = g.Start.UTC()
	return g, err
}

// QuoteFilter chooses quotes. Zero fields choose all.
type QuoteFilter struct {
	EventID  string
	Market   string
	Book     string
	Observed time.Time // only those observed at this time or later
	Limit    int       // zero: 500
}

const quoteColumns = "q.event_id, q.market, q.book, q.outcome, q.price, q.point, q.source_time, q.observed_at"

// Quotes returns quotes by source time, the oldest first.
func (s *Store) Quotes(ctx context.Context, f QuoteFilter) ([]Quote, error) {
	return query(ctx, s, scanQuote, `
		SELECT `+quoteColumns+` FROM quotes q
		WHERE ($1 = '' OR q.event_id = $1) AND ($2 = '' OR q.market = $2) AND ($3 = '' OR q.book = $3)
			AND ($4::timestamptz IS NULL OR q.observed_at >= $4)
		ORDER BY q.source_time, q.event_id, q.market, q.book, q.outcome LIMIT $5`,
		f.EventID, f.Market, f.Book, orNull(f.Observed), limit(f.Limit))
}

// History returns all h2h quotes of an event that were set before it began, by
// source time, the oldest first.
func (s *Store) History(ctx context.Context, eventID string) ([]Quote, error) {
	return query(ctx, s, scanQuote, `
		SELECT `+quoteColumns+` FROM quotes q JOIN events e ON e.id = q.event_id
		WHERE q.event_id = $1 AND q.market = 'h2h' AND q.source_time < e.commence
		ORDER BY q.source_time, q.book, q.outcome LIMIT $2`, eventID, maxLimit)
}

// Changed returns the ids of events with a quote observed at since or later,
// sorted. It is how the line-movement-analyzer finds its work.
func (s *Store) Changed(ctx context.Context, since time.Time) ([]string, error) {
	return query(ctx, s, pgx.RowTo[string],
		"SELECT DISTINCT event_id FROM quotes WHERE $1::timestamptz IS NULL OR observed_at >= $1 ORDER BY 1", orNull(since))
}

// Latest returns for each book and outcome of the events the last quote that
// was set before the start and not after at (zero: no bound), sorted by event,
// book and outcome.
func (s *Store) Latest(ctx context.Context, market string, at time.Time, eventIDs ...string) ([]Quote, error) {
	return query(ctx, s, scanQuote, `
		SELECT DISTINCT ON (q.event_id, q.book, q.outcome) `+quoteColumns+`
		FROM quotes q JOIN events e ON e.id = q.event_id
		WHERE q.event_id = ANY($1::text[]) AND q.market = $2 AND q.source_time < e.commence
			AND ($3::timestamptz IS NULL OR q.source_time <= $3)
		ORDER BY q.event_id, q.book, q.outcome, q.source_time DESC`, eventIDs, market, orNull(at))
}

func scanQuote(row pgx.CollectableRow) (Quote, error) {
	var q Quote
	err := row.Scan(&q.EventID, &q.Market, &q.Book, &q.Outcome, &q.Price, &q.Point, &q.SourceTime, &q.ObservedAt)
	q.SourceTime, q.ObservedAt = q.SourceTime.UTC(), q.ObservedAt.UTC()
	return q, err
}

// Closings returns the finished games that have odds, by start, the oldest
// first, each with every book's last h2h quotes before the start.
func (s *Store) Closings(ctx context.Context, from time.Time) ([]Closing, error) {
	games, err := s.Results(ctx, from)
	if err != nil {
		return nil, err
	}
	var closings []Closing
	var events []string
	index := map[string]int{}
	for _, game := range games {
		if game.EventID != "" {
			index[game.EventID] = len(closings)
			closings, events = append(closings, Closing{Game: game}), append(events, game.EventID)
		}
	}
	quotes, err := s.Latest(ctx, HeadToHead, time.Time{}, events...)
	if err != nil {
		return nil, err
	}
	for _, quote := range quotes {
		at := index[quote.EventID]
		closings[at].Quotes = append(closings[at].Quotes, quote)
	}
	return withQuotes(closings), nil
}

// withQuotes leaves out games without quotes.
func withQuotes(closings []Closing) []Closing {
	kept := closings[:0]
	for _, one := range closings {
		if len(one.Quotes) > 0 {
			kept = append(kept, one)
		}
	}
	return kept
}

// LineFilter chooses lines. Zero fields choose all.
type LineFilter struct {
	EventID string
	Book    string
	Limit   int // zero: 500
}

// Lines returns lines by event, book and outcome.
func (s *Store) Lines(ctx context.Context, f LineFilter) ([]Line, error) {
	return query(ctx, s, scanLine, `
		SELECT event_id, book, outcome, opening, opening_at, current, current_at, closing, closing_at FROM lines
		WHERE ($1 = '' OR event_id = $1) AND ($2 = '' OR book = $2)
		ORDER BY event_id, book, outcome LIMIT $3`, f.EventID, f.Book, limit(f.Limit))
}

func scanLine(row pgx.CollectableRow) (Line, error) {
	var l Line
	err := row.Scan(&l.EventID, &l.Book, &l.Outcome, &l.Opening, &l.OpeningAt, &l.Current, &l.CurrentAt, &l.Closing, &l.ClosingAt)
	l.OpeningAt, l.CurrentAt = l.OpeningAt.UTC(), l.CurrentAt.UTC()
	if l.ClosingAt != nil {
		at := l.ClosingAt.UTC()
		l.ClosingAt = &at
	}
	return l, err
}

// MovementFilter chooses movements. Zero fields choose all.
type MovementFilter struct {
	EventID string
	Kind    string
	Since   time.Time // only those that ended at this time or later
	Limit   int       // zero: 500
}

// Movements returns movements, the latest first.
func (s *Store) Movements(ctx context.Context, f MovementFilter) ([]Movement, error) {
	return query(ctx, s, scanMovement, `
		SELECT event_id, book, outcome, kind, from_probability, to_probability, from_at, to_at, books FROM movements
		WHERE ($1 = '' OR event_id = $1) AND ($2 = '' OR kind = $2) AND ($3::timestamptz IS NULL OR to_at >= $3)
		ORDER BY to_at DESC, event_id, book, outcome, kind, from_at LIMIT $4`,
		f.EventID, f.Kind, orNull(f.Since), limit(f.Limit))
}

func scanMovement(row pgx.CollectableRow) (Movement, error) {
	var m Movement
	err := row.Scan(&m.EventID, &m.Book, &m.Outcome, &m.Kind, &m.From, &m.To, &m.FromAt, &m.ToAt, &m.Books)
	m.FromAt, m.ToAt = m.FromAt.UTC(), m.ToAt.UTC()
	return m, err
}

// PredictionFilter chooses predictions. Zero fields choose all.
type PredictionFilter struct {
	EventID string
	From    time.Time // only of events that start at this time or later
	All     bool      // every prediction made, not each event's latest alone
	Limit   int       // zero: 500
}

// Predictions returns each event's latest prediction, by the event's start.
func (s *Store) Predictions(ctx context.Context, f PredictionFilter) ([]Prediction, error) {
	return query(ctx, s, scanPrediction, `
		SELECT p.event_id, p.made_at, p.home, p.market, p.elo, p.weight, p.books, p.games
		FROM predictions p JOIN events e ON e.id = p.event_id
		WHERE ($1 = '' OR p.event_id = $1) AND ($2::timestamptz IS NULL OR e.commence >= $2)
			AND ($3 OR p.made_at = (SELECT max(made_at) FROM predictions l WHERE l.event_id = p.event_id))
		ORDER BY e.commence, p.event_id, p.made_at LIMIT $4`,
		f.EventID, orNull(f.From), f.All, limit(f.Limit))
}

func scanPrediction(row pgx.CollectableRow) (Prediction, error) {
	var p Prediction
	err := row.Scan(&p.EventID, &p.MadeAt, &p.Home, &p.Market, &p.Elo, &p.Weight, &p.Books, &p.Games)
	p.MadeAt = p.MadeAt.UTC()
	return p, err
}

// Evaluation returns the latest evaluation of each input, sorted by input.
func (s *Store) Evaluation(ctx context.Context) ([]Evaluation, error) {
	return query(ctx, s, scanEvaluation, `
		SELECT made_at, input, games, log_loss, brier FROM evaluations
		WHERE made_at = (SELECT max(made_at) FROM evaluations) ORDER BY input`)
}

func scanEvaluation(row pgx.CollectableRow) (Evaluation, error) {
	var e Evaluation
	err := row.Scan(&e.MadeAt, &e.Input, &e.Games, &e.LogLoss, &e.Brier)
	e.MadeAt = e.MadeAt.UTC()
	return e, err
}

// LastObserved returns the upstream's time of the latest answer that brought a
// new quote, or the zero time.
func (s *Store) LastObserved(ctx context.Context) (time.Time, error) {
	var at *time.Time
	err := s.pool.QueryRow(ctx, "SELECT max(observed_at) FROM quotes").Scan(&at)
	if err != nil || at == nil {
		return time.Time{}, classify(err, "of DB_APP_LOGIN")
	}
	return at.UTC(), nil
}
