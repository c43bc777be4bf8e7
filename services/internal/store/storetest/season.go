//go:build integration && unix

package storetest

import (
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// SaveSeason fills a store with what the pollers would have stored of the games
// of s from a day on, had they looked at the prices every three hours until
// now. Games that begin within two days after now are listed.
func SaveSeason(t testing.TB, db *store.Store, s *season.Season, from, now time.Time) {
	t.Helper()
	var games []store.Game
	var past, listed []store.Event
	var pastQuotes, listedQuotes []store.Quote
	for _, g := range s.Between(from, now.Add(season.Listed)) {
		event := store.Event{ID: g.EventID, Commence: g.Start, Home: canonical(t, g.Home.Name), Away: canonical(t, g.Away.Name)}
		games = append(games, gameAt(g, event, now))
		if g.Start.After(now) {
			listed, listedQuotes = append(listed, event), append(listedQuotes, quotesUntil(s, g, now)...)
		} else {
			past, pastQuotes = append(past, event), append(pastQuotes, quotesUntil(s, g, g.Start)...)
		}
	}
	_, err := db.SaveGames(t.Context(), now, games)
	check(t, err)
	_, err = db.SaveHistory(t.Context(), now, past, pastQuotes)
	check(t, err)
	_, err = db.SaveOdds(t.Context(), now, listed, listedQuotes)
	check(t, err)
}

func canonical(t testing.TB, name string) string {
	t.Helper()
	team, ok := store.CanonicalTeam(name)
	if !ok {
		t.Fatalf("the simulator has a team %q that the store does not know", name)
	}
	return team
}

// gameAt is the game of an event as API-Basketball shows it at a time.
func gameAt(g season.Game, event store.Event, now time.Time) store.Game {
	out := store.Game{ID: g.ID, Season: "2026-2027", Start: g.Start, Home: event.Home, Away: event.Away, Status: store.Scheduled}
	switch {
	case !g.Start.Add(season.Duration).After(now):
		out.Status, out.HomeScore, out.AwayScore = store.Finished, &g.HomeScore, &g.AwayScore
	case !g.Start.After(now):
		zero := 0
		out.Status, out.HomeScore, out.AwayScore = store.Live, &zero, &zero
	}
	return out
}

// quotesUntil are the prices of a game that a poll every three hours sees, and
// those at the end.
func quotesUntil(s *season.Season, g season.Game, end time.Time) []store.Quote {
	var all []store.Quote
	seen := map[string]bool{}
	look := func(at time.Time) {
		for _, q := range s.Quotes(g, at) {
			key := q.Book.Key + q.UpdatedAt.String()
			if seen[key] {
				continue
			}
			seen[key] = true
			row := store.Quote{EventID: g.EventID, Market: store.HeadToHead, Book: q.Book.Key, SourceTime: q.UpdatedAt}
			home, away := row, row
			home.Outcome, home.Price = store.Home, q.Home
			away.Outcome, away.Price = store.Away, q.Away
			all = append(all, home, away)
		}
	}
	for at := g.Start.Add(-season.Listed); at.Before(end); at = at.Add(3 * time.Hour) {
		look(at)
	}
	look(end)
	return all
}
