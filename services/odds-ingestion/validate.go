package main

import (
	"math"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
)

// The shapes of an answer that are read. Fields that are not named are
// ignored: the provider adds some now and then.
type (
	event struct {
		ID       string    `json:"id"`
		Sport    string    `json:"sport_key"`
		Commence time.Time `json:"commence_time"`
		Home     string    `json:"home_team"`
		Away     string    `json:"away_team"`
		Books    []book    `json:"bookmakers"`
	}
	book struct {
		Key        string    `json:"key"`
		LastUpdate time.Time `json:"last_update"`
		Markets    []market  `json:"markets"`
	}
	market struct {
		Key        string    `json:"key"`
		LastUpdate time.Time `json:"last_update"`
		Outcomes   []outcome `json:"outcomes"`
	}
	outcome struct {
		Name  string   `json:"name"`
		Price float64  `json:"price"`
		Point *float64 `json:"point"`
	}
)

// The bounds of plausible values.
const (
	maxPrice  = 1001
	maxPoint  = 500
	farStart  = 400 * 24 * time.Hour // a season ahead
	clockSkew = 5 * time.Minute      // between the upstream's own clocks
	maxName   = 64
)

// tally counts the entries that were left out, by reason in our own words.
type tally map[string]int

// validate returns the plausible part of an answer at the upstream's time at.
// Quotes of a game that has begun are left out: they are live prices.
func validate(listed []event, at time.Time) ([]store.Event, []store.Quote, tally) {
	rejected := tally{}
	var events []store.Event
	var quotes []store.Quote
	seen := map[string]bool{}
	for _, one := range listed {
		valid, reason := one.check(at)
		if seen[one.ID] {
			reason = "an event listed twice"
		}
		if reason != "" {
			rejected[reason]++
			continue
		}
		seen[one.ID] = true
		events = append(events, valid)
		if at.Before(one.Commence) {
			quotes = append(quotes, one.quotes(valid, at, rejected)...)
		}
	}
	return events, quotes, rejected
}

// check returns the event, or the reason why it is implausible.
func (e event) check(at time.Time) (store.Event, string) {
	home, homeOK := store.CanonicalTeam(e.Home)
	away, awayOK := store.CanonicalTeam(e.Away)
	distance := e.Commence.Sub(at).Abs()
	switch {
	case !isName(e.ID):
		return store.Event{}, "an event without a plausible id"
	case e.Sport != "basketball_nba":
		return store.Event{}, "an event of another sport"
	case !homeOK || !awayOK || home == away:
		return store.Event{}, "an event of teams that are not in the league"
	case e.Commence.IsZero() || distance > farStart:
		return store.Event{}, "an event with an implausible start"
	}
	return store.Event{ID: e.ID, Commence: e.Commence.UTC(), Home: home, Away: away}, ""
}

// isName reports whether s is an id or a key: letters, digits, _ and -.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
		if !ok {
			return false
		}
	}
	return true
}

// quotes returns the plausible quotes of all books.
func (e event) quotes(valid store.Event, at time.Time, rejected tally) []store.Quote {
	var all []store.Quote
	seen := map[[2]string]bool{}
	for _, b := range e.Books {
		for _, m := range b.Markets {
			quotes, reason := e.market(valid, b, m, at)
			if key := [2]string{b.Key, m.Key}; seen[key] {
				reason = "a market listed twice"
			} else {
				seen[key] = true
			}
			if reason != "" {
				rejected[reason]++
				continue
			}
			all = append(all, quotes...)
		}
	}
	return all
}

// market returns the two quotes of one market of one book, or the reason why
// it is implausible.
func (e event) market(valid store.Event, b book, m market, at time.Time) ([]store.Quote, string) {
	updated := m.LastUpdate
	if updated.IsZero() {
		updated = b.LastUpdate
	}
	switch {
	case !isName(b.Key):
		return nil, "a book without a plausible key"
	case m.Key != store.HeadToHead && m.Key != store.Spreads && m.Key != store.Totals:
		return nil, "a market that was not asked for"
	case updated.IsZero() || updated.After(at.Add(clockSkew)) || at.Sub(updated) > farStart:
		return nil, "a market with an implausible time"
	case len(m.Outcomes) != 2:
		return nil, "a market without exactly two outcomes"
	}
	var quotes []store.Quote
	for _, o := range m.Outcomes {
		side, ok := e.side(m.Key, o.Name)
		if !ok || len(quotes) == 1 && quotes[0].Outcome == side {
			return nil, "a market with outcomes of other names"
		}
		if !(o.Price > 1 && o.Price <= maxPrice) { // also false for NaN
			return nil, "a market with an implausible price"
		}
		if m.Key == store.HeadToHead {
			o.Point = nil
		} else if o.Point == nil || !(math.Abs(*o.Point) <= maxPoint) {
			return nil, "a market with an implausible point"
		}
		quotes = append(quotes, store.Quote{
			EventID: valid.ID, Market: m.Key, Book: b.Key, Outcome: side,
			Price: o.Price, Point: o.Point, SourceTime: updated.UTC(),
		})
	}
	return quotes, ""
}

// side is the outcome that a name stands for.
func (e event) side(market, name string) (string, bool) {
	switch {
	case market == store.Totals && name == "Over":
		return store.Over, true
	case market == store.Totals && name == "Under":
		return store.Under, true
	case market == store.Totals:
		return "", false
	case name == e.Home:
		return store.Home, true
	case name == e.Away:
		return store.Away, true
	}
	return "", false
}
