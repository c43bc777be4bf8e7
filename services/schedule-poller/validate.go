package main

import (
	"encoding/json"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
)

// The shapes of an answer that are read. Fields that are not named are
// ignored: the provider adds some now and then.
type (
	envelope struct {
		Errors   json.RawMessage `json:"errors"` // an empty list, or an object of messages
		Response []game          `json:"response"`
	}
	game struct {
		ID     int64     `json:"id"`
		Date   time.Time `json:"date"`
		Status struct {
			Short string `json:"short"`
		} `json:"status"`
		League struct {
			ID     int    `json:"id"`
			Season string `json:"season"`
		} `json:"league"`
		Teams struct {
			Home team `json:"home"`
			Away team `json:"away"`
		} `json:"teams"`
		Scores struct {
			Home score `json:"home"`
			Away score `json:"away"`
		} `json:"scores"`
	}
	team struct {
		Name string `json:"name"`
	}
	score struct {
		Total *int `json:"total"`
	}
)

// The bounds of plausible values.
const (
	farStart = 400 * 24 * time.Hour // a season
	maxScore = 400
	soonest  = 30 * time.Minute // a game is never over so soon after its start
)

// validate returns the games that are plausible at the upstream's time at, and
// how many were left out, by reason in our own words.
func validate(listed []game, at time.Time) ([]store.Game, map[string]int) {
	rejected := map[string]int{}
	var valid []store.Game
	seen := map[int64]bool{}
	for _, one := range listed {
		checked, reason := one.check(at)
		if seen[one.ID] {
			reason = "a game listed twice"
		}
		if reason != "" {
			rejected[reason]++
			continue
		}
		seen[one.ID] = true
		valid = append(valid, checked)
	}
	return valid, rejected
}

// check returns the game, or the reason why it is implausible.
func (g game) check(at time.Time) (store.Game, string) {
	home, homeOK := store.CanonicalTeam(g.Teams.Home.Name)
	away, awayOK := store.CanonicalTeam(g.Teams.Away.Name)
	status, statusOK := statusOf(g.Status.Short)
	checked := store.Game{
		ID: g.ID, Season: g.League.Season, Start: g.Date.UTC(), Home: home, Away: away, Status: status,
		HomeScore: g.Scores.Home.Total, AwayScore: g.Scores.Away.Total,
	}
	switch {
	case g.ID <= 0:
		return checked, "a game without a plausible id"
	case g.League.ID != 12:
		return checked, "a game of another league"
	case len(g.League.Season) < 4 || len(g.League.Season) > 9:
		return checked, "a game without a plausible season"
	case !homeOK || !awayOK || home == away:
		return checked, "a game of teams that are not in the league"
	case g.Date.IsZero() || g.Date.Sub(at).Abs() > farStart:
		return checked, "a game with an implausible start"
	case !statusOK:
		return checked, "a game with an unknown status"
	case !isScore(checked.HomeScore) || !isScore(checked.AwayScore):
		return checked, "a game with an implausible score"
	}
	return checked, checkResult(checked, at)
}

// checkResult returns the reason why the result of a game is implausible.
func checkResult(g store.Game, at time.Time) string {
	if g.Status != store.Finished {
		return ""
	}
	switch {
	case g.HomeScore == nil || g.AwayScore == nil || *g.HomeScore == *g.AwayScore:
		return "a finished game without a winner"
	case at.Before(g.Start.Add(soonest)):
		return "a game that finished implausibly early"
	}
	return ""
}

// isScore reports whether a score is plausible or not there.
func isScore(n *int) bool { return n == nil || *n >= 0 && *n <= maxScore }

// statusOf maps API-Basketball's short status.
func statusOf(short string) (string, bool) {
	switch short {
	case "NS":
		return store.Scheduled, true
	case "Q1", "Q2", "Q3", "Q4", "OT", "BT", "HT", "LIVE":
		return store.Live, true
	case "FT", "AOT":
		return store.Finished, true
	case "POST", "SUSP", "INTR", "TBD":
		return store.Postponed, true
	case "CANC", "ABD", "AWD":
		return store.Cancelled, true
	}
	return "", false
}
