package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

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

// SaveAnalysis stores all lines and movements of one event in one transaction,
// in place of those that were stored before. Doing it again with the same rows
// changes nothing.
func (s *Store) SaveAnalysis(ctx context.Context, eventID string, lines []Line, movements []Movement) error {
	return s.inTransaction(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("DELETE FROM lines WHERE event_id = $1", eventID)
		batch.Queue("DELETE FROM movements WHERE event_id = $1", eventID)
		for _, l := range lines {
			batch.Queue(`
				INSERT INTO lines (event_id, book, outcome, opening, opening_at, current, current_at, closing, closing_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				eventID, l.Book, l.Outcome, l.Opening, l.OpeningAt, l.Current, l.CurrentAt, l.Closing, l.ClosingAt)
		}
		for _, m := range movements {
			batch.Queue(`
				INSERT INTO movements (event_id, book, outcome, kind, from_probability, to_probability, from_at, to_at, books)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				eventID, m.Book, m.Outcome, m.Kind, m.From, m.To, m.FromAt, m.ToAt, m.Books)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}
