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

// EventFilter chooses events. Zero fields choose all.
type EventFilter struct {
	ID     string
	From   time.Time // only those that start at this time or later
	Listed bool      // only those in The Odds API's last answer, or less than a minute older
}

// Events returns events by start, at most 500.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	return query(ctx, s, pgx.RowToStructByPos[Event], `
		SELECT id, commence, home, away, seen_at FROM events
		WHERE ($1 = '' OR id = $1)
			AND ($2::timestamptz IS NULL OR commence >= $2)
			AND (NOT $3 OR seen_at >= (SELECT max(seen_at) FROM events) - interval '1 minute')
		ORDER BY commence, id LIMIT $4`,
		f.ID, orNull(f.From), f.Listed, defaultLimit)
}

const gameColumns = "g.id, g.season, g.start, g.home, g.away, g.status, g.home_score, g.away_score, coalesce(m.event_id, '')"

// Results returns finished games by start, the oldest first, at most 20,000.
func (s *Store) Results(ctx context.Context) ([]Game, error) {
	return s.GamePage(ctx, Page{Status: Finished, Limit: maxLimit})
}

const quoteColumns = "q.event_id, q.market, q.book, q.outcome, q.price, q.point, q.source_time, q.observed_at"

// History returns all h2h quotes of an event that were set before it began, by
// source time, the oldest first.
func (s *Store) History(ctx context.Context, eventID string) ([]Quote, error) {
	return query(ctx, s, pgx.RowToStructByPos[Quote], `
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
	return query(ctx, s, pgx.RowToStructByPos[Quote], `
		SELECT DISTINCT ON (q.event_id, q.book, q.outcome) `+quoteColumns+`
		FROM quotes q JOIN events e ON e.id = q.event_id
		WHERE q.event_id = ANY($1::text[]) AND q.market = $2 AND q.source_time < e.commence
			AND ($3::timestamptz IS NULL OR q.source_time <= $3)
		ORDER BY q.event_id, q.book, q.outcome, q.source_time DESC`, eventIDs, market, orNull(at))
}

// ClosingPredictions returns for each of the events the last prediction that
// was made before it began. Events without one are left out.
func (s *Store) ClosingPredictions(ctx context.Context, eventIDs ...string) ([]Prediction, error) {
	return query(ctx, s, pgx.RowToStructByPos[Prediction], `
		SELECT DISTINCT ON (p.event_id) p.event_id, p.made_at, p.home, p.market, p.elo, p.weight, p.books, p.games
		FROM predictions p JOIN events e ON e.id = p.event_id
		WHERE p.event_id = ANY($1::text[]) AND p.made_at < e.commence
		ORDER BY p.event_id, p.made_at DESC`, eventIDs)
}

// Evaluation returns the latest evaluation of each input, sorted by input.
func (s *Store) Evaluation(ctx context.Context) ([]Evaluation, error) {
	return query(ctx, s, pgx.RowToStructByPos[Evaluation], `
		SELECT made_at, input, games, log_loss, brier FROM evaluations
		WHERE made_at = (SELECT max(made_at) FROM evaluations) ORDER BY input`)
}

// Unanalysed returns the ids of events that have h2h quotes and no line of the
// consensus, or no closing one although they have begun by now, sorted. With
// Changed it is the work of the line-movement-analyzer, whatever happened
// while it was away.
func (s *Store) Unanalysed(ctx context.Context, now time.Time) ([]string, error) {
	return query(ctx, s, pgx.RowTo[string], `
		SELECT e.id FROM events e
		LEFT JOIN lines l ON l.event_id = e.id AND l.book = $1 AND l.outcome = 'home'
		WHERE (l.event_id IS NULL OR (l.closing IS NULL AND e.commence <= $2))
			AND EXISTS (SELECT 1 FROM quotes q WHERE q.event_id = e.id AND q.market = 'h2h' AND q.source_time < e.commence)
		ORDER BY 1`, Consensus, now)
}

// LastQuotes returns when the last h2h quote of each event was set before the
// event began. It reads every quote of them: call it rarely. It is how a service
// finds out about quotes that were stored afterwards (SaveHistory).
func (s *Store) LastQuotes(ctx context.Context) (map[string]time.Time, error) {
	type row struct {
		ID string
		At time.Time
	}
	rows, err := query(ctx, s, pgx.RowToStructByPos[row], `
		SELECT q.event_id, max(q.source_time) FROM quotes q JOIN events e ON e.id = q.event_id
		WHERE q.market = 'h2h' AND q.source_time < e.commence GROUP BY q.event_id`)
	all := make(map[string]time.Time, len(rows))
	for _, one := range rows {
		all[one.ID] = one.At
	}
	return all, err
}

// first returns the time in the first row of a query, or the zero time.
func (s *Store) first(ctx context.Context, statement string, args ...any) (time.Time, error) {
	rows, err := query(ctx, s, pgx.RowTo[time.Time], statement, args...)
	if len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0], nil
}

// Now returns what time it is upstream: the clock of The Odds API, or that of
// API-Basketball if the former has never answered, as it was at the last answer.
// It is zero if neither has answered yet.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	return s.first(ctx, "SELECT at FROM clocks ORDER BY source = $1 DESC LIMIT 1", ClockOdds)
}

// LastObserved returns the upstream's time of the latest answer that brought a
// new quote, or the zero time.
func (s *Store) LastObserved(ctx context.Context) (time.Time, error) {
	return s.first(ctx, "SELECT observed_at FROM quotes ORDER BY observed_at DESC LIMIT 1")
}
