package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// league is the number of the NBA at API-Basketball.
const league = 12

// The shapes of API-Basketball.
type (
	envelope struct {
		Get        string            `json:"get"`
		Parameters map[string]string `json:"parameters"`
		Errors     any               `json:"errors"` // an empty list, or an object of messages
		Results    int               `json:"results"`
		Response   []game            `json:"response"`
	}
	game struct {
		ID        int64   `json:"id"`
		Date      string  `json:"date"`
		Time      string  `json:"time"`
		Timestamp int64   `json:"timestamp"`
		Timezone  string  `json:"timezone"`
		Stage     *string `json:"stage"`
		Week      *string `json:"week"`
		Status    status  `json:"status"`
		League    struct {
			ID     int    `json:"id"`
			Name   string `json:"name"`
			Type   string `json:"type"`
			Season string `json:"season"`
		} `json:"league"`
		Country struct {
			ID   int    `json:"id"`
			Name string `json:"name"`
			Code string `json:"code"`
		} `json:"country"`
		Teams struct {
			Home team `json:"home"`
			Away team `json:"away"`
		} `json:"teams"`
		Scores struct {
			Home scores `json:"home"`
			Away scores `json:"away"`
		} `json:"scores"`
	}
	status struct {
		Long  string  `json:"long"`
		Short string  `json:"short"`
		Timer *string `json:"timer"`
	}
	team struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	scores struct {
		Quarter1 *int `json:"quarter_1"`
		Quarter2 *int `json:"quarter_2"`
		Quarter3 *int `json:"quarter_3"`
		Quarter4 *int `json:"quarter_4"`
		OverTime *int `json:"over_time"`
		Total    *int `json:"total"`
	}
)

// gamesKey reads the key of API-Basketball: it is in a header.
func gamesKey(r *http.Request) string { return r.Header.Get("X-Apisports-Key") }

// refuseGames refuses a call in API-Basketball's envelope.
func refuseGames(w http.ResponseWriter, r *http.Request, why refusal) {
	if why == tooMany {
		failGames(w, r, http.StatusTooManyRequests, "rateLimit", "Too many requests in this minute for your plan")
		return
	}
	failGames(w, r, http.StatusUnauthorized, "token", "Error/Missing application key")
}

// failGames sends an envelope with one error and no games.
func failGames(w http.ResponseWriter, r *http.Request, status int, key, message string) {
	answer(w, status, envelope{
		Get: "games", Parameters: parameters(r), Errors: map[string]string{key: message}, Response: []game{},
	})
}

// parameters returns the query, which the envelope repeats.
func parameters(r *http.Request) map[string]string {
	all := map[string]string{}
	for name, values := range r.URL.Query() {
		all[name] = values[0]
	}
	return all
}

// serveGames is GET /games. Errors in parameters come with status 200.
func (s *simulator) serveGames(w http.ResponseWriter, r *http.Request) {
	used, left := s.games.charge(1)
	setInt(w.Header(), "X-Ratelimit-Requests-Limit", used+left)
	setInt(w.Header(), "X-Ratelimit-Requests-Remaining", left)
	asked := parameters(r)
	if len(asked) == 0 {
		failGames(w, r, http.StatusOK, "required", "At least one parameter is required")
		return
	}
	for name := range asked {
		if !within([]string{name}, "id", "date", "league", "season", "team", "timezone") {
			failGames(w, r, http.StatusOK, name, "The "+name+" field does not exist")
			return
		}
	}
	games, bad := s.choose(asked)
	if bad != "" {
		failGames(w, r, http.StatusOK, bad, "The "+bad+" field is not valid")
		return
	}
	answer(w, http.StatusOK, envelope{
		Get: "games", Parameters: asked, Errors: []string{}, Results: len(games), Response: games,
	})
}

// choose returns the games that match all parameters, or the name of the first
// parameter that is not valid.
func (s *simulator) choose(asked map[string]string) ([]game, string) {
	now := s.now()
	of := s.season(now)
	from, to := of.Start(), of.End()
	if text, ok := asked["date"]; ok {
		date, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, "date"
		}
		of = s.season(date)
		from, to = date, date.Add(day)
	}
	for _, name := range []string{"league", "team", "id"} {
		if text, ok := asked[name]; ok {
			if _, err := strconv.Atoi(text); err != nil {
				return nil, name
			}
		}
	}
	games := []game{}
	for _, g := range of.Between(from, to) {
		if one := render(g, now); fits(one, asked) {
			games = append(games, one)
		}
	}
	return games, ""
}

// fits reports whether a game matches the parameters other than the date.
func fits(g game, asked map[string]string) bool {
	is := func(name string, values ...int) bool {
		text, ok := asked[name]
		for _, value := range values {
			if !ok || text == strconv.Itoa(value) {
				return true
			}
		}
		return false
	}
	season, ok := asked["season"]
	return is("league", g.League.ID) && is("id", int(g.ID)) && is("team", g.Teams.Home.ID, g.Teams.Away.ID) &&
		(!ok || season == g.League.Season)
}

// seasonLabel names the season of a date, as "2026-2027": a new one begins in
// July.
func seasonLabel(t time.Time) string {
	year := t.Year()
	if t.Month() < time.July {
		year--
	}
	return fmt.Sprintf("%d-%d", year, year+1)
}

// render shows a game as it is at now.
func render(g season.Game, now time.Time) game {
	start := g.Start.UTC()
	shown := game{
		ID: g.ID, Date: start.Format(time.RFC3339), Time: start.Format("15:04"), Timestamp: start.Unix(), Timezone: "UTC",
	}
	shown.League.ID, shown.League.Name, shown.League.Type, shown.League.Season = league, "NBA", "League", seasonLabel(start)
	shown.Country.ID, shown.Country.Name, shown.Country.Code = 5, "USA", "US"
	shown.Teams.Home = team{ID: g.Home.ID, Name: g.Home.Name}
	shown.Teams.Away = team{ID: g.Away.ID, Name: g.Away.Name}
	quarters := -1
	if !now.Before(start) {
		quarters = min(4, int(4*now.Sub(start)/season.Duration))
	}
	shown.Status = statusOf(quarters)
	shown.Scores.Home = scoreOf(g.HomeScore, g.Number, quarters)
	shown.Scores.Away = scoreOf(g.AwayScore, g.Number+1, quarters)
	return shown
}

// statusOf is the status of a game of which so many quarters are over; -1 means
// that it has not begun.
func statusOf(quarters int) status {
	switch quarters {
	case -1:
		return status{Long: "Not Started", Short: "NS"}
	case 4:
		return status{Long: "Game Finished", Short: "FT"}
	}
	return status{Long: fmt.Sprintf("Quarter %d", quarters+1), Short: fmt.Sprintf("Q%d", quarters+1)}
}

// scoreOf splits a final score over the quarters and shows those that are over.
// The split is a bit uneven, by the game's number.
func scoreOf(final, number, quarters int) scores {
	var shown scores
	if quarters < 0 {
		return shown
	}
	total, left := 0, final
	for i, quarter := range []**int{&shown.Quarter1, &shown.Quarter2, &shown.Quarter3, &shown.Quarter4} {
		points := left
		if i < 3 {
			points = final/4 + (number*7+i*3)%7 - 3
		}
		left -= points
		if i < quarters {
			total += points
			*quarter = &points
		}
	}
	shown.Total = &total
	return shown
}
