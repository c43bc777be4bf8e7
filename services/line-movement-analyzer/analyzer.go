package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds/line"
	"github.com/keepmum/keepmum/services/internal/store"
)

// archive is what the analyzer needs of the database.
type archive interface {
	Now(ctx context.Context) (time.Time, error)
	Changed(ctx context.Context, since time.Time) ([]string, error)
	Unanalysed(ctx context.Context, now time.Time) ([]string, error)
	LastQuotes(ctx context.Context) (map[string]time.Time, error)
	Events(ctx context.Context, f store.EventFilter) ([]store.Event, error)
	History(ctx context.Context, eventID string) ([]store.Quote, error)
	SaveAnalysis(ctx context.Context, eventID string, lines []store.Line, movements []store.Movement) error
}

// analyzer does the work of one copy of the service.
type analyzer struct {
	db      archive
	log     *slog.Logger
	clock   func() time.Time     // ours
	since   time.Time            // the upstream's clock at the last step; zero before the first
	checked time.Time            // our clock at the last look for quotes that came late
	last    map[string]time.Time // by event: when the last quote that was analysed had been set
}

// lateEvery is how often to look for quotes that were stored after the fact,
// as a backfill does. It is expensive.
const lateEvery = 10 * time.Minute

func newAnalyzer(db archive, log *slog.Logger) *analyzer {
	return &analyzer{db: db, log: log, clock: time.Now, last: map[string]time.Time{}}
}

// step analyses every event that has news. The first one analyses all.
func (a *analyzer) step(ctx context.Context) (time.Duration, error) {
	now, err := a.db.Now(ctx)
	if err != nil || now.IsZero() { // no upstream has answered yet: nothing to do
		return 0, err
	}
	work, err := a.work(ctx, now)
	if err != nil {
		return 0, err
	}
	total := tally{}
	for _, id := range work {
		if err := a.analyse(ctx, id, now, &total); err != nil {
			return 0, err
		}
	}
	a.since = now
	if len(work) > 0 {
		a.log.Info("analysed", "events", len(work), "movements", total.movements, "steam", total.steam, "skipped_quotes", total.skipped)
	}
	return 0, nil
}

// tally counts what one step found.
type tally struct{ movements, steam, skipped int }

// work returns the ids of the events that have news, each once.
func (a *analyzer) work(ctx context.Context, now time.Time) ([]string, error) {
	var changed []string
	if !now.Equal(a.since) {
		var err error
		if changed, err = a.db.Changed(ctx, a.since); err != nil {
			return nil, err
		}
	}
	begun, err := a.db.Unanalysed(ctx, now)
	if err != nil {
		return nil, err
	}
	late, err := a.late(ctx)
	if err != nil {
		return nil, err
	}
	work := slices.Concat(changed, begun, late)
	slices.Sort(work)
	return slices.Compact(work), nil
}

// late returns the events that have got a later last quote since they were
// analysed. It looks every ten minutes; before the first step all is new.
func (a *analyzer) late(ctx context.Context) ([]string, error) {
	if a.clock().Sub(a.checked) < lateEvery || a.since.IsZero() {
		return nil, nil
	}
	last, err := a.db.LastQuotes(ctx)
	if err != nil {
		return nil, err
	}
	a.checked = a.clock()
	var ids []string
	for id, at := range last {
		if !at.Equal(a.last[id]) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// analyse works out one event and stores it.
func (a *analyzer) analyse(ctx context.Context, id string, now time.Time, total *tally) error {
	events, err := a.db.Events(ctx, store.EventFilter{ID: id})
	if err != nil || len(events) == 0 {
		return err
	}
	quotes, err := a.db.History(ctx, id)
	if err != nil {
		return err
	}
	m := line.Follow(pairs(quotes), events[0].Commence, now)
	lines, movements := rows(id, m)
	total.movements += len(movements)
	total.steam += len(m.Steam)
	total.skipped += m.Skipped
	if err := a.db.SaveAnalysis(ctx, id, lines, movements); err != nil {
		return err
	}
	if len(quotes) > 0 {
		a.last[id] = quotes[len(quotes)-1].SourceTime
	}
	return nil
}

// pairs puts home and away prices together: one quote for each moment at which
// a book set either, with the other as it was. A book that has set only one so
// far has no price yet. The rows must be sorted by source time.
func pairs(rows []store.Quote) []line.Quote {
	var all []line.Quote
	standing := map[string]line.Quote{}
	for _, row := range rows {
		if row.Book == store.Consensus {
			continue // a book by this name would take the consensus's place
		}
		q := standing[row.Book]
		before := q
		q.Book, q.At = row.Book, row.SourceTime
		switch row.Outcome {
		case store.Home:
			q.Home = row.Price
		case store.Away:
			q.Away = row.Price
		default:
			continue
		}
		standing[row.Book] = q
		if before.At.Equal(q.At) && before.Home > 0 && before.Away > 0 {
			replaceLast(all, q)
			continue
		}
		if q.Home > 0 && q.Away > 0 {
			all = append(all, q)
		}
	}
	return all
}

// replaceLast puts q in place of its book's last quote, which is of the same
// moment: that one combined the new price of one side with the old one of the
// other.
func replaceLast(all []line.Quote, q line.Quote) {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Book == q.Book {
			all[i] = q
			return
		}
	}
}

// rows turns a movement into the rows to store.
func rows(id string, m line.Movement) ([]store.Line, []store.Movement) {
	var lines []store.Line
	var movements []store.Movement
	for _, l := range m.Lines {
		lines = append(lines, sided(id, l, store.Home), sided(id, l, store.Away))
		for _, move := range l.Moves {
			kind := store.Move
			if move.Reversal {
				kind = store.Reversal
			}
			movements = append(movements, towards(move.Direction, store.Movement{
				EventID: id, Book: l.Book, Kind: kind,
				From: move.From.Home, FromAt: move.From.At, To: move.To.Home, ToAt: move.To.At, Books: 1,
			}))
		}
	}
	for _, s := range m.Steam {
		movements = append(movements, towards(s.Direction, store.Movement{
			EventID: id, Book: store.Consensus, Kind: store.Steam,
			From: s.From, FromAt: s.Since, To: s.To, ToAt: s.Ended, Books: len(s.Books),
		}))
	}
	return lines, movements
}

// sided is a line from the side of one outcome.
func sided(id string, l line.Line, outcome string) store.Line {
	of := func(home float64) float64 {
		if outcome == store.Away {
			return 1 - home
		}
		return home
	}
	out := store.Line{
		EventID: id, Book: l.Book, Outcome: outcome,
		Opening: of(l.Opening.Home), OpeningAt: l.Opening.At, Current: of(l.Current.Home), CurrentAt: l.Current.At,
	}
	if l.Closing != nil {
		closing, at := of(l.Closing.Home), l.Closing.At
		out.Closing, out.ClosingAt = &closing, &at
	}
	return out
}

// towards converts a movement of the home side to the side that it
// went towards.
func towards(way line.Direction, m store.Movement) store.Movement {
	m.Outcome = store.Home
	if way == line.TowardsAway {
		m.Outcome, m.From, m.To = store.Away, 1-m.From, 1-m.To
	}
	return m
}
