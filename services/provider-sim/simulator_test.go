package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

const (
	oddsValue  = "0123456789abcdef0123456789abcdef"
	gamesValue = "fedcba9876543210fedcba9876543210"
	oddsPath   = "/v4/sports/basketball_nba/odds?regions=us&apiKey="
)

// started is a simulator whose own clock the test moves.
func started(t *testing.T) (*httptest.Server, *simulator, *time.Time) {
	t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	sim := newSimulator(&config{
		OddsKey: secrets.New([]byte(oddsValue)), BasketballKey: secrets.New([]byte(gamesValue)), Seed: 1, Speed: 60,
	}, func() time.Time { return now })
	server := httptest.NewServer(sim.handler())
	t.Cleanup(server.Close)
	return server, sim, &now
}

// get calls an address and decodes the answer.
func get[T any](t *testing.T, address string, headers ...string) (*http.Response, T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer T
	body, _ := io.ReadAll(response.Body)
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: status %d, no JSON: %.100s", address, response.StatusCode, body)
	}
	return response, answer
}

func TestOddsKeyIsRefusedAsTheProviderDoes(t *testing.T) {
	server, _, _ := started(t)
	for key, code := range map[string]string{"": "MISSING_KEY", "wrong": "INVALID_KEY", gamesValue: "INVALID_KEY", oddsValue + "x": "INVALID_KEY"} {
		response, answer := get[oddsError](t, server.URL+oddsPath+key)
		if response.StatusCode != 401 || answer.Code != code || !strings.HasPrefix(answer.Details, "https://the-odds-api.com/") {
			t.Errorf("key %q: status %d, %+v", key, response.StatusCode, answer)
		}
	}
}

func TestGamesKeyIsRefusedInTheEnvelope(t *testing.T) {
	server, _, _ := started(t)
	for _, key := range []string{"", "wrong", oddsValue} {
		response, answer := get[struct {
			Get     string
			Errors  map[string]string
			Results int
		}](t, server.URL+"/games?league=12&date=2026-11-23", "x-apisports-key", key)
		if response.StatusCode != 401 || answer.Get != "games" || answer.Errors["token"] == "" || answer.Results != 0 {
			t.Errorf("key %q: status %d, %+v", key, response.StatusCode, answer)
		}
	}
}

func TestOddsListing(t *testing.T) {
	server, sim, _ := started(t)
	response, events := get[[]oddsEvent](t, server.URL+oddsPath+oddsValue+"&markets=h2h,spreads,totals")
	if response.StatusCode != 200 || len(events) < 8 {
		t.Fatalf("status %d, %d events", response.StatusCode, len(events))
	}
	for name, want := range map[string]string{
		"X-Requests-Last": "3", "X-Requests-Used": "3", "X-Requests-Remaining": fmt.Sprint(quota - 3), "Date": sim.now().Format(http.TimeFormat),
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, e := range events {
		start, err := time.Parse(time.RFC3339, e.Commence.(string))
		if err != nil || !start.After(sim.now()) || start.After(sim.now().Add(season.Listed)) || len(e.ID) != 32 {
			t.Errorf("event %s starts at %v", e.ID, e.Commence)
		}
		for _, b := range e.Bookmakers {
			if len(b.Markets) != 3 || len(b.Markets[0].Outcomes) != 2 || b.Markets[1].Outcomes[0].Point == nil {
				t.Errorf("event %s, book %s: %+v", e.ID, b.Key, b.Markets)
			}
		}
	}
}

func TestOddsFormats(t *testing.T) {
	server, _, _ := started(t)
	_, decimal := get[[]oddsEvent](t, server.URL+oddsPath+oddsValue)
	_, american := get[[]oddsEvent](t, server.URL+oddsPath+oddsValue+"&oddsFormat=american&dateFormat=unix")
	d, a := decimal[0].Bookmakers[0].Markets[0].Outcomes[0].Price, american[0].Bookmakers[0].Markets[0].Outcomes[0].Price
	want := 100 * (d - 1)
	if d < 2 {
		want = -100 / (d - 1)
	}
	if a-want > 0.5 || want-a > 0.5 {
		t.Errorf("decimal %v is american %v, want %v", d, a, want)
	}
	if _, ok := american[0].Commence.(float64); !ok {
		t.Errorf("unix time %v", american[0].Commence)
	}
}

func TestOddsRefusesInvalidRequests(t *testing.T) {
	server, _, _ := started(t)
	for path, want := range map[string]string{
		"/v4/sports/cricket/odds?regions=us":                                               "404 UNKNOWN_SPORT",
		"/v4/sports/basketball_nba/odds?x=1":                                               "422 MISSING_REGION",
		"/v4/sports/basketball_nba/odds?regions=mars":                                      "422 INVALID_REGION",
		"/v4/sports/basketball_nba/odds?regions=us&markets=h2h,x":                          "422 INVALID_MARKET",
		"/v4/sports/basketball_nba/odds?regions=us&oddsFormat=x":                           "422 INVALID_ODDS_FORMAT",
		"/v4/sports/basketball_nba/odds?regions=us&dateFormat=x":                           "422 INVALID_DATE_FORMAT",
		"/v4/historical/sports/basketball_nba/odds?regions=us":                             "422 INVALID_HISTORICAL_TIMESTAMP",
		"/v4/historical/sports/basketball_nba/odds?regions=us&date=2199-01-01T00:00:00Z":   "422 INVALID_HISTORICAL_TIMESTAMP",
		"/v4/historical/sports/basketball_nba/odds?regions=us&date=yesterday&markets=none": "422 INVALID_MARKET",
	} {
		response, answer := get[oddsError](t, server.URL+path+"&apiKey="+oddsValue)
		if got := fmt.Sprintf("%d %s", response.StatusCode, answer.Code); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestHistoryIsWhatWasListed(t *testing.T) {
	server, sim, now := started(t)
	_, then := get[[]oddsEvent](t, server.URL+oddsPath+oddsValue)
	at := sim.now()
	*now = now.Add(10 * time.Minute) // 600 simulated minutes
	_, later := get[[]oddsEvent](t, server.URL+oddsPath+oddsValue)
	response, answer := get[history](t, server.URL+"/v4/historical/sports/basketball_nba/odds?regions=us&date="+at.Format(time.RFC3339)+"&apiKey="+oddsValue)
	if !reflect.DeepEqual(answer.Data, then) || reflect.DeepEqual(later, then) {
		t.Error("the history differs from what was listed, or the listing does not change")
	}
	if !answer.Timestamp.Equal(at.Truncate(5*time.Minute)) || response.Header.Get("X-Requests-Last") != "10" {
		t.Errorf("timestamp %v, cost %s", answer.Timestamp, response.Header.Get("X-Requests-Last"))
	}
}

func TestGamesOfASeasonAndOfADay(t *testing.T) {
	server, sim, _ := started(t)
	label := seasonLabel(sim.now())
	_, all := get[envelope](t, server.URL+"/games?league=12&season="+label, "x-apisports-key", gamesValue)
	date := sim.now().AddDate(0, 0, -1)
	_, some := get[envelope](t, server.URL+"/games?league=12&season="+label+"&date="+date.Format(time.DateOnly), "x-apisports-key", gamesValue)
	if all.Results != 1230 || len(all.Response) != 1230 || some.Results < 3 || some.Results > 15 {
		t.Errorf("%d games in the season, %d in a day", all.Results, some.Results)
	}
	finished := 0
	for _, g := range all.Response {
		start := time.Unix(g.Timestamp, 0)
		if over := !sim.now().Before(start.Add(season.Duration)); over != (g.Status.Short == "FT") {
			t.Errorf("game of %v is %s at %v", start, g.Status.Short, sim.now())
		}
		if g.Status.Short == "FT" {
			finished++
			checkQuarters(t, g)
		}
	}
	if finished < 250 {
		t.Errorf("%d games are finished; some weeks should be", finished)
	}
}

// checkQuarters fails unless the quarters add up to the total.
func checkQuarters(t *testing.T, g game) {
	t.Helper()
	for _, s := range []scores{g.Scores.Home, g.Scores.Away} {
		if s.Quarter1 == nil || s.Quarter4 == nil || *s.Quarter1+*s.Quarter2+*s.Quarter3+*s.Quarter4 != *s.Total || *s.Quarter4 < 0 {
			t.Errorf("game %d: the quarters do not add up", g.ID)
		}
	}
	if *g.Scores.Home.Total == *g.Scores.Away.Total {
		t.Errorf("game %d has no winner", g.ID)
	}
}

func TestGamesRefusesInvalidRequests(t *testing.T) {
	server, _, _ := started(t)
	for query, want := range map[string]string{"": "required", "?date=today": "date", "?league=NBA": "league", "?colour=red": "colour"} {
		response, answer := get[struct{ Errors map[string]string }](t, server.URL+"/games"+query, "x-apisports-key", gamesValue)
		if response.StatusCode != 200 || answer.Errors[want] == "" {
			t.Errorf("%q: status %d, errors %v", query, response.StatusCode, answer.Errors)
		}
	}
	_, none := get[struct {
		Errors   []any
		Response []any
	}](t, server.URL+"/games?league=13&date=2026-11-23", "x-apisports-key", gamesValue)
	if none.Errors == nil || len(none.Errors) != 0 || len(none.Response) != 0 {
		t.Errorf("another league: %+v", none)
	}
}

// A game goes from scheduled through its quarters to finished.
func TestGameIsPlayed(t *testing.T) {
	_, sim, now := started(t)
	var g season.Game
	for _, g = range sim.season(sim.now()).Between(sim.now().Add(time.Hour), sim.now().Add(day)) {
		break
	}
	var states []string
	last := ""
	for sim.now().Before(g.Start.Add(season.Duration + time.Hour)) {
		shown := render(g, sim.now())
		if shown.Status.Short != last {
			last = shown.Status.Short
			states = append(states, last)
		}
		if (shown.Status.Short == "NS") != (shown.Scores.Home.Total == nil) {
			t.Errorf("status %s with score %v", shown.Status.Short, shown.Scores.Home.Total)
		}
		*now = now.Add(10 * time.Second)
	}
	if got := strings.Join(states, " "); got != "NS Q1 Q2 Q3 Q4 FT" {
		t.Errorf("states %s", got)
	}
}

func setFault(t *testing.T, server *httptest.Server, body string) int {
	t.Helper()
	response, err := http.Post(server.URL+"/sim/faults", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// result is the status of a call, or why there was no answer.
func result(server *httptest.Server) string {
	client := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(server.URL + oddsPath + oddsValue)
	switch {
	case err != nil && strings.Contains(err.Error(), "EOF"):
		return "EOF"
	case err != nil && strings.Contains(err.Error(), "Timeout"):
		return "timeout"
	case err != nil:
		return "error"
	}
	defer response.Body.Close()
	var list []any
	if response.StatusCode == 200 && json.NewDecoder(response.Body).Decode(&list) != nil {
		return "malformed"
	}
	return strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", response.Header.Get("Retry-After")))
}

func TestFaults(t *testing.T) {
	server, sim, now := started(t)
	for mode, want := range map[string]string{
		"slow": "timeout", "500": "500", "429": "429 9", "401": "401", "hangup": "EOF", "malformed": "malformed",
	} {
		after := ""
		if mode == "429" {
			after = `, "retry_after": 9`
		}
		if code := setFault(t, server, `{"provider": "the-odds-api", "mode": "`+mode+`", "count": 2`+after+`}`); code != 204 {
			t.Errorf("%s: status %d", mode, code)
		}
		if got := [3]string{result(server), result(server), result(server)}; got != [3]string{want, want, "200"} {
			t.Errorf("%s: %v", mode, got)
		}
	}
	_ = setFault(t, server, `{"mode": "500", "for": "30s"}`)
	before := result(server)
	*now = now.Add(31 * time.Second)
	if after := result(server); before != "500" || after != "200" {
		t.Errorf("for 30 s: %s and then %s", before, after)
	}
	_ = setFault(t, server, `{"mode": "500"}`)
	_ = setFault(t, server, `{"mode": "none"}`)
	if got := result(server); got != "200" {
		t.Errorf("after none: %s", got)
	}
	if c := sim.odds.count(); c.Refused != 2 || c.Faults != 13 || c.Authenticated != 6*3-2+2+1 {
		t.Errorf("counters %+v", c)
	}
	if c := sim.games.count(); c != (counters{}) {
		t.Errorf("the other provider's counters %+v", c)
	}
}

func TestBadFaults(t *testing.T) {
	server, _, _ := started(t)
	for _, body := range []string{
		``, `{`, `{"mode": "explode"}`, `{"mode": "500", "count": -1}`, `{"mode": "500", "for": "soon"}`,
		`{"mode": "500", "provider": "other"}`, `{"mode": "500", "colour": 1}`, `{"mode": "` + strings.Repeat("x", 5000) + `"}`,
	} {
		if code := setFault(t, server, body); code != 400 {
			t.Errorf("%.40s: status %d", body, code)
		}
	}
	if got := result(server); got != "200" {
		t.Errorf("a refused fault took effect: %s", got)
	}
}

func TestStats(t *testing.T) {
	server, sim, _ := started(t)
	result(server)
	_, stats := get[statistics](t, server.URL+"/sim/stats")
	if stats.Providers["the-odds-api"].Authenticated != 1 || !stats.Now.Equal(sim.now()) || stats.Speed != 60 {
		t.Errorf("%+v", stats)
	}
	if weeks := stats.Now.Sub(stats.Season) / (7 * day); weeks < 5 || weeks > 20 {
		t.Errorf("%d weeks of the season are over", weeks)
	}
}

// The clock never goes back within a window, even across restarts, runs at its
// speed, and starts some weeks into the season.
func TestClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		speed := rapid.Float64Range(0.5, 5000).Draw(t, "speed")
		first := time.Unix(rapid.Int64Range(1.7e9, 2e9).Draw(t, "first"), 0)
		later := first.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later")))
		one, two := newClock(first, speed), newClock(later, speed)
		if one.anchor.Equal(two.anchor) && two.at(later).Before(one.at(first)) {
			t.Fatalf("%v at %v and after a restart %v at %v", one.at(first), first, two.at(later), later)
		}
		gone := one.at(first).Sub(one.start)
		if gone < played-day || gone > played+window+2*day {
			t.Fatalf("%v of the season has passed", gone)
		}
		want := later.Sub(first).Seconds() * speed
		if got := one.at(later).Sub(one.at(first)).Seconds(); got < want-1.1-want*1e-9 || got > want+1.1+want*1e-9 {
			t.Fatalf("%v simulated seconds passed, want %v", got, want)
		}
	})
}

// When a season is over, another one begins, with other games.
func TestNextSeason(t *testing.T) {
	_, sim, _ := started(t)
	one := sim.season(sim.clock.start)
	two := sim.season(sim.clock.start.Add(seasonLength))
	if !two.Start().After(one.End()) || one.Games()[0].ID == two.Games()[0].ID || one.Games()[0].EventID == two.Games()[0].EventID {
		t.Errorf("seasons from %v and %v", one.Start(), two.Start())
	}
}
