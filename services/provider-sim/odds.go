package main

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// sport is the only one that is simulated.
const sport = "basketball_nba"

// The shapes of The Odds API v4.
type (
	oddsEvent struct {
		ID         string      `json:"id"`
		SportKey   string      `json:"sport_key"`
		SportTitle string      `json:"sport_title"`
		Commence   any         `json:"commence_time"`
		Home       string      `json:"home_team"`
		Away       string      `json:"away_team"`
		Bookmakers []bookmaker `json:"bookmakers"`
	}
	bookmaker struct {
		Key        string   `json:"key"`
		Title      string   `json:"title"`
		LastUpdate any      `json:"last_update"`
		Markets    []market `json:"markets"`
	}
	market struct {
		Key        string    `json:"key"`
		LastUpdate any       `json:"last_update"`
		Outcomes   []outcome `json:"outcomes"`
	}
	outcome struct {
		Name  string   `json:"name"`
		Price float64  `json:"price"`
		Point *float64 `json:"point,omitempty"`
	}
	history struct {
		Timestamp time.Time   `json:"timestamp"`
		Previous  time.Time   `json:"previous_timestamp"`
		Next      time.Time   `json:"next_timestamp"`
		Data      []oddsEvent `json:"data"`
	}
	oddsError struct {
		Message string `json:"message"`
		Code    string `json:"error_code"`
		Details string `json:"details_url"`
	}
)

// oddsKey reads the key of The Odds API: it is in the query.
func oddsKey(r *http.Request) string { return r.URL.Query().Get("apiKey") }

// refuseOdds refuses a call as The Odds API does.
func refuseOdds(w http.ResponseWriter, _ *http.Request, why refusal) {
	switch why {
	case missingKey:
		failOdds(w, http.StatusUnauthorized, "MISSING_KEY", "An API key is required for this call")
	case tooMany:
		failOdds(w, http.StatusTooManyRequests, "EXCEEDED_FREQ_LIMIT", "Too many requests at once; space them out")
	default:
		failOdds(w, http.StatusUnauthorized, "INVALID_KEY", "This API key is not valid")
	}
}

// failOdds sends an error of The Odds API.
func failOdds(w http.ResponseWriter, status int, code, message string) {
	anchor := strings.ToLower(strings.ReplaceAll(code, "_", "-"))
	answer(w, status, oddsError{
		Message: message, Code: code,
		Details: "https://the-odds-api.com/liveapi/guides/v4/api-error-codes.html#" + anchor,
	})
}

// oddsQuery is a checked request for odds.
type oddsQuery struct {
	markets  []string
	american bool
	unix     bool
	cost     int
}

// parseOdds checks a request and, when it is wrong, answers it.
func parseOdds(w http.ResponseWriter, r *http.Request) (oddsQuery, bool) {
	values := r.URL.Query()
	regions := split(values.Get("regions"))
	q := oddsQuery{markets: split(values.Get("markets"))}
	if len(q.markets) == 0 {
		q.markets = []string{"h2h"}
	}
	code := ""
	switch {
	case r.PathValue("sport") != sport:
		failOdds(w, http.StatusNotFound, "UNKNOWN_SPORT", "Unknown sport")
		return q, false
	case len(regions) == 0:
		code = "MISSING_REGION"
	case !within(regions, "us", "us2", "uk", "eu", "au"):
		code = "INVALID_REGION"
	case !within(q.markets, "h2h", "spreads", "totals"):
		code = "INVALID_MARKET"
	case !within(split(values.Get("oddsFormat")), "decimal", "american"):
		code = "INVALID_ODDS_FORMAT"
	case !within(split(values.Get("dateFormat")), "iso", "unix"):
		code = "INVALID_DATE_FORMAT"
	}
	if code != "" {
		failOdds(w, http.StatusUnprocessableEntity, code, "A parameter is missing or not known")
		return q, false
	}
	q.american = values.Get("oddsFormat") == "american"
	q.unix = values.Get("dateFormat") == "unix"
	q.cost = len(q.markets) * len(regions)
	return q, true
}

// split splits a list; an empty text is an empty list.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// within reports whether all words are among those known.
func within(words []string, known ...string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(known, word) })
}

// serveOdds is GET /v4/sports/{sport}/odds.
func (s *simulator) serveOdds(w http.ResponseWriter, r *http.Request) {
	query, ok := parseOdds(w, r)
	if !ok {
		return
	}
	s.chargeOdds(w, query.cost)
	answer(w, http.StatusOK, s.listing(s.now(), query))
}

// serveHistory is GET /v4/historical/sports/{sport}/odds.
func (s *simulator) serveHistory(w http.ResponseWriter, r *http.Request) {
	query, ok := parseOdds(w, r)
	if !ok {
		return
	}
	at, err := time.Parse(time.RFC3339, r.URL.Query().Get("date"))
	if err != nil || at.After(s.now()) {
		failOdds(w, http.StatusUnprocessableEntity, "INVALID_HISTORICAL_TIMESTAMP", "The date is missing, not ISO 8601, or in the future")
		return
	}
	s.chargeOdds(w, 10*query.cost)
	at = at.UTC().Truncate(5 * time.Minute) // snapshots are taken every five minutes
	answer(w, http.StatusOK, history{
		Timestamp: at, Previous: at.Add(-5 * time.Minute), Next: at.Add(5 * time.Minute), Data: s.listing(at, query),
	})
}

// chargeOdds counts the cost and sets the headers that show it.
func (s *simulator) chargeOdds(w http.ResponseWriter, cost int) {
	used, left := s.odds.charge(cost)
	setInt(w.Header(), "X-Requests-Used", used)
	setInt(w.Header(), "X-Requests-Remaining", left)
	setInt(w.Header(), "X-Requests-Last", cost)
}

// listing is what The Odds API lists at a time: the games that have not begun and
// for which at least one book has prices.
func (s *simulator) listing(at time.Time, query oddsQuery) []oddsEvent {
	events := []oddsEvent{}
	of := s.season(at)
	for _, g := range of.Between(at.Add(time.Second), at.Add(season.Listed)) {
		quotes := of.Quotes(g, at)
		if len(quotes) == 0 {
			continue
		}
		event := oddsEvent{
			ID: g.EventID, SportKey: sport, SportTitle: "NBA", Commence: query.time(g.Start),
			Home: g.Home.Name, Away: g.Away.Name,
		}
		for _, quote := range quotes {
			event.Bookmakers = append(event.Bookmakers, query.bookmaker(g, quote))
		}
		events = append(events, event)
	}
	return events
}

// bookmaker renders one book's offer.
func (q oddsQuery) bookmaker(g season.Game, quote season.Quote) bookmaker {
	b := bookmaker{Key: quote.Book.Key, Title: quote.Book.Title, LastUpdate: q.time(quote.UpdatedAt)}
	for _, key := range q.markets {
		b.Markets = append(b.Markets, market{Key: key, LastUpdate: b.LastUpdate, Outcomes: q.outcomes(key, g, quote)})
	}
	return b
}

// outcomes renders one market.
func (q oddsQuery) outcomes(key string, g season.Game, quote season.Quote) []outcome {
	home, away := quote.Spread, -quote.Spread
	switch key {
	case "spreads":
		return []outcome{
			{Name: g.Home.Name, Price: q.price(quote.SpreadHome), Point: &home},
			{Name: g.Away.Name, Price: q.price(quote.SpreadAway), Point: &away},
		}
	case "totals":
		return []outcome{
			{Name: "Over", Price: q.price(quote.TotalOver), Point: &quote.Total},
			{Name: "Under", Price: q.price(quote.TotalUnder), Point: &quote.Total},
		}
	}
	// Sorted by name, as the provider does.
	both := []outcome{{Name: g.Home.Name, Price: q.price(quote.Home)}, {Name: g.Away.Name, Price: q.price(quote.Away)}}
	slices.SortFunc(both, func(a, b outcome) int { return strings.Compare(a.Name, b.Name) })
	return both
}

// price renders decimal odds in the format asked for.
func (q oddsQuery) price(decimal float64) float64 {
	switch {
	case !q.american:
		return decimal
	case decimal >= 2:
		return math.Round((decimal - 1) * 100)
	}
	return math.Round(-100 / (decimal - 1))
}

// time renders a time in the format asked for.
func (q oddsQuery) time(t time.Time) any {
	if q.unix {
		return t.Unix()
	}
	return t.UTC().Format(time.RFC3339)
}
