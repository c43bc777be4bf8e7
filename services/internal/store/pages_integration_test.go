//go:build integration && unix

package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// A page is what an API shows of one kind, as start and id of each row.
type pageOf func(*testing.T, *store.Store, store.Page) []string

func gamePage(t *testing.T, db *store.Store, p store.Page) []string {
	rows, err := db.GamePage(t.Context(), p)
	return keys(t, err, rows, func(g store.Game) string { return key(g.Start, fmt.Sprint(g.ID)) })
}

func oddsPage(t *testing.T, db *store.Store, p store.Page) []string {
	rows, err := db.OddsPage(t.Context(), p)
	return keys(t, err, rows, func(e store.EventOdds) string { return key(e.Commence, e.ID) })
}

func movementPage(t *testing.T, db *store.Store, p store.Page) []string {
	rows, err := db.MovementPage(t.Context(), p)
	return keys(t, err, rows, func(e store.EventMovements) string { return key(e.Commence, e.ID) })
}

func predictionPage(t *testing.T, db *store.Store, p store.Page) []string {
	rows, err := db.PredictionPage(t.Context(), p)
	return keys(t, err, rows, func(e store.EventPrediction) string { return key(e.Commence, e.ID) })
}

func key(at time.Time, id string) string { return at.Format(time.RFC3339) + " " + id }

func keys[T any](t *testing.T, err error, rows []T, of func(T) string) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, of(r))
	}
	return all
}

// split undoes key.
func split(t *testing.T, k string) (time.Time, string) {
	t.Helper()
	var at, id string
	if _, err := fmt.Sscan(k, &at, &id); err != nil {
		t.Fatal(err)
	}
	moment, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	return moment, id
}

func TestPages(t *testing.T) {
	db := storetest.Open(t)
	s := season.New(season.Config{Seed: 3})
	now := s.Start().AddDate(0, 0, 5).Add(12 * time.Hour)
	storetest.SaveSeason(t, db, s, s.Start(), now)
	var predictions []store.Prediction
	for _, g := range s.Between(s.Start(), now.Add(season.Listed)) {
		line := store.Line{EventID: g.EventID, Book: store.Consensus, Outcome: store.Home, Opening: 0.5, OpeningAt: now, Current: 0.6, CurrentAt: now}
		if err := db.SaveAnalysis(t.Context(), g.EventID, []store.Line{line}, nil); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			predictions = append(predictions, store.Prediction{EventID: g.EventID, MadeAt: now.Add(time.Duration(i) * time.Minute), Home: 0.5 + float64(i)/10, Weight: 1})
		}
	}
	if err := db.SavePredictions(t.Context(), predictions); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]pageOf{"games": gamePage, "odds": oddsPage, "movements": movementPage, "predictions": predictionPage} {
		t.Run(name, func(t *testing.T) {
			all := page(t, db, store.Page{})
			if len(all) < 50 || !slices.IsSorted(startsOf(all)) {
				t.Fatalf("%d rows, in the order of start: %v", len(all), slices.IsSorted(startsOf(all)))
			}
			everyRowComesOnce(t, db, page, all)
			filters(t, db, page, all, s, now)
		})
	}
	rows, err := db.PredictionPage(t.Context(), store.Page{Limit: 3})
	if err != nil || len(rows) != 3 || rows[0].Prediction.Home != 0.7 {
		t.Errorf("%v, %+v; want the last prediction of each event", err, rows)
	}
}

func startsOf(all []string) []string {
	starts := make([]string, len(all))
	for i, k := range all {
		starts[i] = k[:len(time.RFC3339)-5]
	}
	return starts
}

// everyRowComesOnce goes through the pages.
func everyRowComesOnce(t *testing.T, db *store.Store, page pageOf, all []string) {
	var got []string
	p := store.Page{Limit: 7}
	for len(got) <= len(all) {
		rows := page(t, db, p)
		if len(rows) == 0 {
			break
		}
		got = append(got, rows...)
		p.After, p.AfterID = split(t, rows[len(rows)-1])
	}
	if !slices.Equal(got, all) {
		t.Errorf("page by page %d rows, at once %d, or in another order", len(got), len(all))
	}
}

func filters(t *testing.T, db *store.Store, page pageOf, all []string, s *season.Season, now time.Time) {
	first, last := s.Games()[0], s.Between(s.Start(), now)[20]
	if got := page(t, db, store.Page{Event: last.EventID}); len(got) != 1 {
		t.Errorf("%d rows of one event", len(got))
	}
	home, _ := store.CanonicalTeam(first.Home.Name)
	want := 0
	for _, g := range s.Between(s.Start(), now.Add(season.Listed)) {
		if g.Home.ID == first.Home.ID || g.Away.ID == first.Home.ID {
			want++
		}
	}
	if got := page(t, db, store.Page{Team: home}); len(got) != want {
		t.Errorf("%d rows of one team, want %d", len(got), want)
	}
	before, from := page(t, db, store.Page{To: last.Start}), page(t, db, store.Page{From: last.Start})
	if !slices.Equal(append(before, from...), all) || len(before) == 0 || len(from) == 0 {
		t.Errorf("%d rows before a time, %d from it on, %d in all", len(before), len(from), len(all))
	}
	if got := page(t, db, store.Page{Team: "' OR 1=1 --"}); len(got) != 0 {
		t.Errorf("%d rows of no team", len(got))
	}
}

func TestOddsPageShowsTheLastQuotesOfTheMarket(t *testing.T) {
	db := storetest.Open(t)
	point := -3.5
	quotes := []store.Quote{
		quote("b", store.Home, 1.8, 2*time.Hour), quote("b", store.Home, 1.9, time.Hour), quote("b", store.Home, 9, -time.Hour),
		quote("c", store.Home, 1.7, time.Hour),
		{EventID: "e1", Market: store.Spreads, Book: "b", Outcome: store.Home, Price: 1.91, Point: &point, SourceTime: tipOff.Add(-time.Hour)},
	}
	if _, err := db.SaveOdds(t.Context(), tipOff, []store.Event{oneEvent()}, quotes); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		page store.Page
		want string
	}{
		{store.Page{}, "b 1.9, c 1.7, "},
		{store.Page{Book: "b"}, "b 1.9, "},
		{store.Page{Book: "none"}, ""},
		{store.Page{Market: store.Spreads}, "b 1.91, "},
		{store.Page{Market: store.Totals}, ""},
	} {
		rows, err := db.OddsPage(t.Context(), c.page)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range rows {
			for _, q := range r.Quotes {
				got += fmt.Sprintf("%s %g, ", q.Book, q.Price)
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.page, got, c.want)
		}
	}
}

func TestSaveAnalysisReplacesAndUnanalysedFinds(t *testing.T) {
	db := storetest.Open(t)
	ctx := t.Context()
	unanalysed := func(now time.Time, want int) {
		t.Helper()
		if ids, err := db.Unanalysed(ctx, now); err != nil || len(ids) != want {
			t.Errorf("Unanalysed at %s: %v, %v; want %d", now, ids, err, want)
		}
	}
	if _, err := db.SaveOdds(ctx, tipOff, []store.Event{oneEvent()}, nil); err != nil {
		t.Fatal(err)
	}
	unanalysed(tipOff, 0) // no quotes: nothing to do
	if _, err := db.SaveOdds(ctx, tipOff, []store.Event{oneEvent()}, []store.Quote{quote("b", store.Home, 1.8, time.Hour)}); err != nil {
		t.Fatal(err)
	}
	unanalysed(tipOff.Add(-time.Hour), 1) // no line
	line := store.Line{EventID: "e1", Book: store.Consensus, Outcome: store.Home, Opening: 0.5, OpeningAt: tipOff, Current: 0.6, CurrentAt: tipOff}
	move := store.Movement{EventID: "e1", Book: "b", Outcome: store.Home, Kind: store.Move, From: 0.5, To: 0.6, FromAt: tipOff.Add(-time.Hour), ToAt: tipOff, Books: 1}
	stale := move
	stale.Kind = store.Steam
	for _, movements := range [][]store.Movement{{move, stale}, {move}, {move}} {
		if err := db.SaveAnalysis(ctx, "e1", []store.Line{line}, movements); err != nil {
			t.Fatal(err)
		}
		got, err := db.MovementPage(ctx, store.Page{})
		if err != nil || len(got) != 1 || len(got[0].Movements) != len(movements) || len(got[0].Lines) != 1 {
			t.Errorf("%v, %+v; want %d movements", err, got, len(movements))
		}
	}
	for _, c := range []struct {
		page store.Page
		want int
	}{{store.Page{Kind: store.Move}, 1}, {store.Page{Kind: store.Steam}, 0}, {store.Page{Book: store.Consensus}, 1}, {store.Page{Book: "b"}, 0}} {
		if got, err := db.MovementPage(ctx, c.page); err != nil || len(got) != c.want {
			t.Errorf("%+v: %d events, %v; want %d", c.page, len(got), err, c.want)
		}
	}
	unanalysed(tipOff.Add(-time.Second), 0)
	unanalysed(tipOff, 1) // begun, and no closing line
	closing := 0.6
	line.Closing, line.ClosingAt = &closing, &tipOff
	if err := db.SaveAnalysis(ctx, "e1", []store.Line{line}, nil); err != nil {
		t.Fatal(err)
	}
	unanalysed(tipOff, 0)
}

func TestLastQuotesAreThoseBeforeTheStart(t *testing.T) {
	db := storetest.Open(t)
	spread := quote("b", store.Home, 1.9, time.Minute)
	spread.Market = store.Spreads
	quotes := []store.Quote{quote("b", store.Home, 1.8, 2*time.Hour), quote("c", store.Away, 1.9, time.Hour), quote("b", store.Home, 9, 0), spread}
	if _, err := db.SaveHistory(t.Context(), tipOff, []store.Event{oneEvent()}, quotes); err != nil {
		t.Fatal(err)
	}
	got, err := db.LastQuotes(t.Context())
	if err != nil || len(got) != 1 || !got["e1"].Equal(tipOff.Add(-time.Hour)) {
		t.Errorf("%v, %v; want an hour before the start", err, got)
	}
}

func TestClosingPredictionsAreMadeBeforeTheStart(t *testing.T) {
	db := storetest.Open(t)
	if _, err := db.SaveOdds(t.Context(), tipOff, []store.Event{oneEvent()}, nil); err != nil {
		t.Fatal(err)
	}
	var made []store.Prediction
	for i, before := range []time.Duration{2 * time.Hour, time.Second, 0, -time.Hour} {
		made = append(made, store.Prediction{EventID: "e1", MadeAt: tipOff.Add(-before), Home: 0.1 * float64(i+1), Weight: 1})
	}
	if err := db.SavePredictions(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	got, err := db.ClosingPredictions(t.Context(), "e1", "e2")
	if err != nil || len(got) != 1 || got[0].Home != 0.2 {
		t.Errorf("%v, %+v; want the one made a second before", err, got)
	}
}
