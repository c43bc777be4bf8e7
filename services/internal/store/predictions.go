package store

import "context"

// ClosingPredictions returns for each of the events the last prediction that
// was made before it began. Events without one are left out.
func (s *Store) ClosingPredictions(ctx context.Context, eventIDs ...string) ([]Prediction, error) {
	return query(ctx, s, scanPrediction, `
		SELECT DISTINCT ON (p.event_id) p.event_id, p.made_at, p.home, p.market, p.elo, p.weight, p.books, p.games
		FROM predictions p JOIN events e ON e.id = p.event_id
		WHERE p.event_id = ANY($1::text[]) AND p.made_at < e.commence
		ORDER BY p.event_id, p.made_at DESC`, eventIDs)
}
