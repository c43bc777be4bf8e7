package store

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Page chooses rows by their event or game, in the order of start and id. Zero
// fields choose all.
type Page struct {
	Event, Team, Book, Market string
	Status                    string    // only of GamePage
	Kind                      string    // only of MovementPage
	From, To                  time.Time // bounds of the start: From <= start < To
	After                     time.Time // with AfterID: only rows behind this one
	AfterID                   string
	Limit                     int // zero: 500
}

// EventOdds is an event with the last quotes of each book before its start.
type EventOdds struct {
	Event
	Quotes []Quote `json:"quotes"`
}

// EventMovements is an event with its lines, and its movements by their end.
type EventMovements struct {
	Event
	Lines     []Line     `json:"lines"`
	Movements []Movement `json:"movements"`
}

// EventPrediction is an event with the last prediction made for it.
type EventPrediction struct {
	Event
	Prediction Prediction `json:"prediction"`
}

// GamePage returns games by start and id. Page.AfterID must be a number.
func (s *Store) GamePage(ctx context.Context, p Page) ([]Game, error) {
	after := int64(0)
	if p.AfterID != "" {
		id, err := strconv.ParseInt(p.AfterID, 10, 64)
		if err != nil {
			return nil, &Error{Class: NotFound, What: "no game has the id that the page begins behind"}
		}
		after = id
	}
	return query(ctx, s, pgx.RowToStructByPos[Game], `
		SELECT `+gameColumns+` FROM games g LEFT JOIN event_games m ON m.game_id = g.id
		WHERE ($1 = '' OR m.event_id = $1) AND ($2 = '' OR g.home = $2 OR g.away = $2) AND ($3 = '' OR g.status = $3)
			AND ($4::timestamptz IS NULL OR g.start >= $4) AND ($5::timestamptz IS NULL OR g.start < $5)
			AND ($6::timestamptz IS NULL OR (g.start, g.id) > ($6, $7::bigint))
		ORDER BY g.start, g.id LIMIT $8`,
		p.Event, p.Team, p.Status, orNull(p.From), orNull(p.To), orNull(p.After), after, limit(p.Limit))
}

// eventConditions are those of a Page on events e; $1 to $7 are eventArguments.
const eventConditions = `
	($1 = '' OR e.id = $1) AND ($2 = '' OR e.home = $2 OR e.away = $2)
	AND ($3::timestamptz IS NULL OR e.commence >= $3) AND ($4::timestamptz IS NULL OR e.commence < $4)
	AND ($5::timestamptz IS NULL OR (e.commence, e.id) > ($5, $6::text))`

func (p Page) eventArguments(more ...any) []any {
	arguments := []any{p.Event, p.Team, orNull(p.From), orNull(p.To), orNull(p.After), p.AfterID, limit(p.Limit)}
	return append(arguments, more...)
}

// eventPage returns the events of a page for which the condition exists holds.
func (s *Store) eventPage(ctx context.Context, p Page, exists string, more ...any) ([]Event, []string, error) {
	events, err := query(ctx, s, pgx.RowToStructByPos[Event], `
		SELECT e.id, e.commence, e.home, e.away, e.seen_at FROM events e
		WHERE `+eventConditions+` AND EXISTS (`+exists+`)
		ORDER BY e.commence, e.id LIMIT $7`, p.eventArguments(more...)...)
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return events, ids, err
}

// OddsPage returns events that have quotes, with those of Page.Market (h2h by
// default) and Page.Book.
func (s *Store) OddsPage(ctx context.Context, p Page) ([]EventOdds, error) {
	market := p.Market
	if market == "" {
		market = HeadToHead
	}
	events, ids, err := s.eventPage(ctx, p, `
		SELECT 1 FROM quotes q WHERE q.event_id = e.id AND q.market = $8 AND ($9 = '' OR q.book = $9) AND q.source_time < e.commence`,
		market, p.Book)
	if err != nil {
		return nil, err
	}
	quotes, err := s.Latest(ctx, market, time.Time{}, ids...)
	if err != nil {
		return nil, err
	}
	byEvent := map[string][]Quote{}
	for _, q := range quotes {
		if p.Book == "" || q.Book == p.Book {
			byEvent[q.EventID] = append(byEvent[q.EventID], q)
		}
	}
	all := make([]EventOdds, len(events))
	for i, e := range events {
		all[i] = EventOdds{Event: e, Quotes: byEvent[e.ID]}
	}
	return all, nil
}

// MovementPage returns events that have lines, with the lines and movements of
// Page.Book and the movements of Page.Kind. With a kind, only events that have
// such a movement.
func (s *Store) MovementPage(ctx context.Context, p Page) ([]EventMovements, error) {
	events, ids, err := s.eventPage(ctx, p, `
		SELECT 1 FROM lines l WHERE l.event_id = e.id AND ($8 = '' OR l.book = $8) AND ($9 = '' OR EXISTS (
			SELECT 1 FROM movements m WHERE m.event_id = e.id AND ($8 = '' OR m.book = $8) AND m.kind = $9))`,
		p.Book, p.Kind)
	if err != nil {
		return nil, err
	}
	lines, err := query(ctx, s, pgx.RowToStructByPos[Line], `
		SELECT event_id, book, outcome, opening, opening_at, current, current_at, closing, closing_at FROM lines
		WHERE event_id = ANY($1::text[]) AND ($2 = '' OR book = $2) ORDER BY event_id, book, outcome`, ids, p.Book)
	if err != nil {
		return nil, err
	}
	movements, err := query(ctx, s, pgx.RowToStructByPos[Movement], `
		SELECT event_id, book, outcome, kind, from_probability, to_probability, from_at, to_at, books FROM movements
		WHERE event_id = ANY($1::text[]) AND ($2 = '' OR book = $2) AND ($3 = '' OR kind = $3)
		ORDER BY event_id, to_at, book, outcome, kind, from_at`, ids, p.Book, p.Kind)
	if err != nil {
		return nil, err
	}
	all, at := make([]EventMovements, len(events)), map[string]*EventMovements{}
	for i, e := range events {
		all[i] = EventMovements{Event: e, Lines: []Line{}, Movements: []Movement{}}
		at[e.ID] = &all[i]
	}
	for _, l := range lines {
		at[l.EventID].Lines = append(at[l.EventID].Lines, l)
	}
	for _, m := range movements {
		at[m.EventID].Movements = append(at[m.EventID].Movements, m)
	}
	return all, nil
}

// PredictionPage returns events that have a prediction, with the last one.
func (s *Store) PredictionPage(ctx context.Context, p Page) ([]EventPrediction, error) {
	return query(ctx, s, scanEventPrediction, `
		SELECT e.id, e.commence, e.home, e.away, e.seen_at,
			p.event_id, p.made_at, p.home, p.market, p.elo, p.weight, p.books, p.games
		FROM events e CROSS JOIN LATERAL (
			SELECT * FROM predictions l WHERE l.event_id = e.id ORDER BY l.made_at DESC LIMIT 1) p
		WHERE `+eventConditions+`
		ORDER BY e.commence, e.id LIMIT $7`, p.eventArguments()...)
}

func scanEventPrediction(row pgx.CollectableRow) (EventPrediction, error) {
	var e EventPrediction
	p := &e.Prediction
	err := row.Scan(&e.ID, &e.Commence, &e.Home, &e.Away, &e.SeenAt,
		&p.EventID, &p.MadeAt, &p.Home, &p.Market, &p.Elo, &p.Weight, &p.Books, &p.Games)
	return e, err
}
