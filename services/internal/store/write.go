package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Sources of a clock.
const (
	ClockOdds  = "the-odds-api"
	ClockGames = "api-basketball"
)

// save runs the statements of a batch in one transaction and one round trip. It
// returns how many rows the last statement inserted or changed.
//
// Rows are passed as one JSON list, whose names are those of the columns
// (json_populate_recordset); pgx passes a nil slice as NULL, which is no row.
func (s *Store) save(ctx context.Context, batch *pgx.Batch) (int, error) {
	changed := 0
	batch.QueuedQueries[batch.Len()-1].Exec(func(tag pgconn.CommandTag) error {
		changed = int(tag.RowsAffected())
		return nil
	})
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	return changed, classify(err, "of DB_APP_LOGIN")
}

// tick stores the upstream's time.
const tick = `
	INSERT INTO clocks (source, at) VALUES ($1, $2)
	ON CONFLICT (source) DO UPDATE SET at = excluded.at, seen_at = now()`

const insertQuotes = `
	INSERT INTO quotes (event_id, market, book, outcome, source_time, price, point, observed_at)
	SELECT event_id, market, book, outcome, source_time, price, point, $2 FROM json_populate_recordset(NULL::quotes, $1)
	ON CONFLICT DO NOTHING`

// SaveOdds stores one answer of The Odds API: the events listed and their
// quotes, seen when the upstream's clock was at at. It returns how many
// quotes are new. A quote is known when its event, market, book, outcome and
// source time are; events that are not listed any more keep their SeenAt.
func (s *Store) SaveOdds(ctx context.Context, at time.Time, events []Event, quotes []Quote) (int, error) {
	batch := &pgx.Batch{}
	batch.Queue(tick, ClockOdds, at)
	batch.Queue(`
		INSERT INTO events (id, commence, home, away)
		SELECT id, commence, home, away FROM json_populate_recordset(NULL::events, $1)
		ON CONFLICT (id) DO UPDATE SET commence = excluded.commence, home = excluded.home, away = excluded.away, seen_at = now()`, events)
	batch.Queue(insertQuotes, quotes, at)
	return s.save(ctx, batch)
}

// SaveHistory is SaveOdds for an answer about the past: it moves no clock and
// does not count as listing the events. It returns how many quotes are new.
func (s *Store) SaveHistory(ctx context.Context, at time.Time, events []Event, quotes []Quote) (int, error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO events (id, commence, home, away, seen_at)
		SELECT id, commence, home, away, 'epoch' FROM json_populate_recordset(NULL::events, $1)
		ON CONFLICT (id) DO NOTHING`, events)
	batch.Queue(insertQuotes, quotes, at)
	return s.save(ctx, batch)
}

// SaveGames stores games as API-Basketball shows them when its clock is at
// at. It returns how many are new or changed. An answer older than
// the stored one changes nothing.
func (s *Store) SaveGames(ctx context.Context, at time.Time, games []Game) (int, error) {
	batch := &pgx.Batch{}
	batch.Queue(tick, ClockGames, at)
	batch.Queue(`
		INSERT INTO games AS g (id, season, start, home, away, status, home_score, away_score, updated_at)
		SELECT id, season, start, home, away, status, home_score, away_score, $2 FROM json_populate_recordset(NULL::games, $1)
		ON CONFLICT (id) DO UPDATE SET
			season = excluded.season, start = excluded.start, home = excluded.home, away = excluded.away, status = excluded.status,
			home_score = excluded.home_score, away_score = excluded.away_score, updated_at = excluded.updated_at
		WHERE g.updated_at <= excluded.updated_at
			AND (g.season, g.start, g.home, g.away, g.status, g.home_score, g.away_score) IS DISTINCT FROM
				(excluded.season, excluded.start, excluded.home, excluded.away, excluded.status, excluded.home_score, excluded.away_score)`,
		games, at)
	return s.save(ctx, batch)
}

// SavePredictions stores predictions, at most one for each event; one made at the
// same time is replaced.
func (s *Store) SavePredictions(ctx context.Context, predictions []Prediction) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO predictions (event_id, made_at, home, market, elo, weight, books, games)
		SELECT event_id, made_at, home, market, elo, weight, books, games FROM json_populate_recordset(NULL::predictions, $1)
		ON CONFLICT (event_id, made_at) DO UPDATE SET
			home = excluded.home, market = excluded.market, elo = excluded.elo,
			weight = excluded.weight, books = excluded.books, games = excluded.games`, predictions)
	_, err := s.save(ctx, batch)
	return err
}

// SaveEvaluation stores the evaluations of one run; those of the same time are
// replaced.
func (s *Store) SaveEvaluation(ctx context.Context, evaluations []Evaluation) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO evaluations (made_at, input, games, log_loss, brier)
		SELECT made_at, input, games, log_loss, brier FROM json_populate_recordset(NULL::evaluations, $1)
		ON CONFLICT (made_at, input) DO UPDATE SET
			games = excluded.games, log_loss = excluded.log_loss, brier = excluded.brier`, evaluations)
	_, err := s.save(ctx, batch)
	return err
}

// SaveAnalysis stores all lines and movements of one event in one transaction,
// in place of those that were stored before. Doing it again with the same rows
// changes nothing.
func (s *Store) SaveAnalysis(ctx context.Context, eventID string, lines []Line, movements []Movement) error {
	batch := &pgx.Batch{}
	batch.Queue("DELETE FROM lines WHERE event_id = $1", eventID)
	batch.Queue("DELETE FROM movements WHERE event_id = $1", eventID)
	batch.Queue(`
		INSERT INTO lines (event_id, book, outcome, opening, opening_at, current, current_at, closing, closing_at)
		SELECT $2, book, outcome, opening, opening_at, current, current_at, closing, closing_at
		FROM json_populate_recordset(NULL::lines, $1)`, lines, eventID)
	batch.Queue(`
		INSERT INTO movements (event_id, book, outcome, kind, from_probability, to_probability, from_at, to_at, books)
		SELECT $2, book, outcome, kind, "from", "to", from_at, to_at, books
		FROM json_to_recordset($1) AS m (book text, outcome text, kind text, "from" float8, "to" float8, from_at timestamptz, to_at timestamptz, books int)`,
		movements, eventID)
	_, err := s.save(ctx, batch)
	return err
}
