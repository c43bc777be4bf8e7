//go:build integration && unix

package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/odds/line"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// The service against a real Postgres: it analyses what is there, goes on
// after an outage of the database, closes lines when games begin, and its log
// leaks nothing.
func TestService(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleB)
	server.Setup(t, settings)
	db := storetest.Connect(t, settings)
	s := season.New(season.Config{Seed: 4})
	now := s.Start().AddDate(0, 0, 3).Add(12 * time.Hour)
	storetest.SaveSeason(t, db, s, s.Start(), now)
	games := s.Between(s.Start(), now.Add(season.Listed))

	running := storetest.Run(t, program(), settings, nil)
	closed := func(at time.Time) (analysed, closings int) {
		page, err := db.MovementPage(t.Context(), store.Page{Limit: 1000})
		if err != nil {
			return 0, 0
		}
		for _, e := range page {
			if len(e.Lines) < 2 || e.Lines[0].Closing != nil && e.Commence.After(at) {
				t.Fatalf("%s: lines %+v", e.ID, e.Lines)
			}
			if e.Lines[0].Closing != nil {
				closings++
			}
		}
		return len(page), closings
	}
	begun := len(s.Between(s.Start(), now))
	servicetest.Until(t, "every event has lines, and those that began closing ones", func() bool {
		analysed, closings := closed(now)
		return analysed == len(games) && closings == begun
	})
	sameAsFollow(t, db, games[0], now)
	sameAsFollow(t, db, games[len(games)-1], now)

	server.Down(t)
	servicetest.Until(t, "the log names the outage", func() bool { return strings.Contains(running.Log.String(), "cannot ask for the lock") })
	server.Up(t)
	later := now.AddDate(0, 0, 1)
	db = storetest.Connect(t, settings)
	storetest.SaveSeason(t, db, s, s.Start(), later)
	begun = len(s.Between(s.Start(), later))
	servicetest.Until(t, "lines close after the outage", func() bool {
		_, closings := closed(later)
		return closings == begun
	})
	if code := running.Stop(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// sameAsFollow compares the stored rows with what package line computes from
// the stored quotes.
func sameAsFollow(t *testing.T, db *store.Store, g season.Game, now time.Time) {
	t.Helper()
	quotes, err := db.History(t.Context(), g.EventID)
	if err != nil {
		t.Fatal(err)
	}
	want := line.Follow(pairs(quotes), g.Start, now)
	page, err := db.MovementPage(t.Context(), store.Page{Event: g.EventID})
	if err != nil || len(page) != 1 {
		t.Fatalf("%d events, %v", len(page), err)
	}
	lines, movements := rows(g.EventID, want)
	if len(page[0].Lines) != len(lines) || len(page[0].Movements) != len(movements) || len(lines) == 0 {
		t.Fatalf("stored %d lines and %d movements, want %d and %d", len(page[0].Lines), len(page[0].Movements), len(lines), len(movements))
	}
	stored := map[string]store.Line{}
	for _, l := range page[0].Lines {
		stored[l.Book+l.Outcome] = l
	}
	for _, l := range lines {
		if !reflect.DeepEqual(stored[l.Book+l.Outcome], l) {
			t.Errorf("stored %+v, want %+v", stored[l.Book+l.Outcome], l)
		}
	}
}

func TestServiceWithAWrongPassword(t *testing.T) { storetest.WrongPassword(t, program()) }
