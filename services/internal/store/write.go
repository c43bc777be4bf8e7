package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sources of a clock.
const (
	ClockOdds  = "the-odds-api"
	ClockGames = "api-basketball"
)

// inTransaction runs f in a transaction and replaces its error.
func (s *Store) inTransaction(ctx context.Context, f func(pgx.Tx) error) error {
	return classify(pgx.BeginFunc(ctx, s.pool, f), "of DB_APP_LOGIN")
}

// tick stores what time it is upstream.
func tick(ctx context.Context, tx pgx.Tx, source string, at time.Time) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO clocks (source, at) VALUES ($1, $2)
		ON CONFLICT (source) DO UPDATE SET at = excluded.at, seen_at = now()`, source, at)
	return err
}

// SaveOdds stores one answer of The Odds API: the events listed and their
// quotes, seen when the upstream's clock was at at. It returns how many
// quotes are new. A quote is known when its event, market, book, outcome and
// source time are; events that are not listed any more keep their SeenAt.
func (s *Store) SaveOdds(ctx context.Context, at time.Time, events []Event, quotes []Quote) (int, error) {
	fresh := 0
	err := s.inTransaction(ctx, func(tx pgx.Tx) error {
		if err := tick(ctx, tx, ClockOdds, at); err != nil {
			return err
		}
		if err := saveEvents(ctx, tx, events); err != nil {
			return err
		}
		var err error
		fresh, err = saveQuotes(ctx, tx, at, quotes)
		return err
	})
	return fresh, err
}

// SaveHistory is SaveOdds for an answer about the past: it moves no clock and
// does not count as listing the events. It returns how many quotes are new.
func (s *Store) SaveHistory(ctx context.Context, at time.Time, events []Event, quotes []Quote) (int, error) {
	fresh := 0
	err := s.inTransaction(ctx, func(tx pgx.Tx) error {
		id, commence, home, away := eventColumns(events)
		_, err := tx.Exec(ctx, `
			INSERT INTO events (id, commence, home, away, seen_at)
			SELECT *, 'epoch'::timestamptz FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
			ON CONFLICT (id) DO NOTHING`, id, commence, home, away)
		if err != nil {
			return err
		}
		fresh, err = saveQuotes(ctx, tx, at, quotes)
		return err
	})
	return fresh, err
}

// eventColumns turns rows into columns for unnest.
func eventColumns(events []Event) (id []string, commence []time.Time, home, away []string) {
	for _, e := range events {
		id, commence = append(id, e.ID), append(commence, e.Commence)
		home, away = append(home, e.Home), append(away, e.Away)
	}
	return id, commence, home, away
}

func saveEvents(ctx context.Context, tx pgx.Tx, events []Event) error {
	id, commence, home, away := eventColumns(events)
	_, err := tx.Exec(ctx, `
		INSERT INTO events (id, commence, home, away)
		SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
		ON CONFLICT (id) DO UPDATE SET commence = excluded.commence, home = excluded.home, away = excluded.away, seen_at = now()`,
		id, commence, home, away)
	return err
}

func saveQuotes(ctx context.Context, tx pgx.Tx, at time.Time, quotes []Quote) (int, error) {
	var event, market, book, outcome []string
	var source []time.Time
	var price []float64
	var point []*float64
	for _, q := range quotes {
		event, market, book = append(event, q.EventID), append(market, q.Market), append(book, q.Book)
		outcome, source = append(outcome, q.Outcome), append(source, q.SourceTime)
		price, point = append(price, q.Price), append(point, q.Point)
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO quotes (event_id, market, book, outcome, source_time, price, point, observed_at)
		SELECT *, $8::timestamptz FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::float8[], $7::float8[])
		ON CONFLICT DO NOTHING`, event, market, book, outcome, source, price, point, at)
	return int(tag.RowsAffected()), err
}

// SaveGames stores games as API-Basketball shows them when its clock is at
// at. It returns how many are new or changed. An answer older than
// the stored one changes nothing.
func (s *Store) SaveGames(ctx context.Context, at time.Time, games []Game) (int, error) {
	changed := 0
	err := s.inTransaction(ctx, func(tx pgx.Tx) error {
		if err := tick(ctx, tx, ClockGames, at); err != nil {
			return err
		}
		var err error
		changed, err = saveGames(ctx, tx, at, games)
		return err
	})
	return changed, err
}

func saveGames(ctx context.Context, tx pgx.Tx, at time.Time, games []Game) (int, error) {
	var id []int64
	var season, home, away, status []string
	var start []time.Time
	var homeScore, awayScore []*int
	for _, g := range games {
		id, season, start = append(id, g.ID), append(season, g.Season), append(start, g.Start)
		home, away, status = append(home, g.Home), append(away, g.Away), append(status, g.Status)
		homeScore, awayScore = append(homeScore, g.HomeScore), append(awayScore, g.AwayScore)
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO games AS g (id, season, start, home, away, status, home_score, away_score, updated_at)
		SELECT *, $9::timestamptz FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[])
		ON CONFLICT (id) DO UPDATE SET
			season = excluded.season, start = excluded.start, home = excluded.home, away = excluded.away, status = excluded.status,
			home_score = excluded.home_score, away_score = excluded.away_score, updated_at = excluded.updated_at
		WHERE g.updated_at <= excluded.updated_at
			AND (g.season, g.start, g.home, g.away, g.status, g.home_score, g.away_score) IS DISTINCT FROM
				(excluded.season, excluded.start, excluded.home, excluded.away, excluded.status, excluded.home_score, excluded.away_score)`,
		id, season, start, home, away, status, homeScore, awayScore, at)
	return int(tag.RowsAffected()), err
}

// SavePredictions stores predictions; one made at the same time is replaced.
func (s *Store) SavePredictions(ctx context.Context, predictions []Prediction) error {
	return s.saveAll(ctx, `
		INSERT INTO predictions (event_id, made_at, home, market, elo, weight, books, games)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (event_id, made_at) DO UPDATE SET
			home = excluded.home, market = excluded.market, elo = excluded.elo,
			weight = excluded.weight, books = excluded.books, games = excluded.games`,
		len(predictions), func(i int) []any {
			p := predictions[i]
			return []any{p.EventID, p.MadeAt, p.Home, p.Market, p.Elo, p.Weight, p.Books, p.Games}
		})
}

// SaveEvaluation stores the evaluations of one run; those of the same time are
// replaced.
func (s *Store) SaveEvaluation(ctx context.Context, evaluations []Evaluation) error {
	return s.saveAll(ctx, `
		INSERT INTO evaluations (made_at, input, games, log_loss, brier) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (made_at, input) DO UPDATE SET
			games = excluded.games, log_loss = excluded.log_loss, brier = excluded.brier`,
		len(evaluations), func(i int) []any {
			e := evaluations[i]
			return []any{e.MadeAt, e.Input, e.Games, e.LogLoss, e.Brier}
		})
}

// saveAll runs one statement for n rows in one transaction and one round trip.
func (s *Store) saveAll(ctx context.Context, statement string, n int, row func(int) []any) error {
	if n == 0 {
		return nil
	}
	return s.inTransaction(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for i := range n {
			batch.Queue(statement, row(i)...)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}
