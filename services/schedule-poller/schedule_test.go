package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
)

const keyValue = "c4n4ry0123456789abcdef0123456789"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// saved is a store in memory.
type saved struct {
	at    []time.Time
	games []store.Game
	err   error
}

func (s *saved) SaveGames(_ context.Context, at time.Time, games []store.Game) (int, error) {
	s.at, s.games = append(s.at, at), games
	return len(games), s.err
}

// testSchedule calls handler and stores in to. What it logs goes to the buffer.
func testSchedule(t *testing.T, handler http.HandlerFunc, to *saved) (*schedule, *servicetest.Buffer) {
	t.Helper()
	log, text := servicetest.Logger()
	s := newSchedule(&config{Key: secrets.New([]byte(keyValue)), URL: servicetest.Provider(t, handler), Timeout: 5 * time.Second}, log)
	s.store, s.now = to, func() time.Time { return now }
	return s, text
}

// good is a finished game as the provider writes it.
func good(id int) map[string]any {
	score := func(total int) map[string]any {
		return map[string]any{"quarter_1": 25, "quarter_2": nil, "over_time": nil, "total": total}
	}
	return map[string]any{
		"id": id, "date": now.Add(-12 * time.Hour).Format("2006-01-02T15:04:05-07:00"), "timezone": "UTC", "stage": nil,
		"status": map[string]any{"long": "Game Finished", "short": "FT", "timer": nil},
		"league": map[string]any{"id": 12, "name": "NBA", "season": "2026-2027"},
		"teams": map[string]any{
			"home": map[string]any{"id": 1, "name": "Boston Celtics"}, "away": map[string]any{"id": 2, "name": "Miami Heat"},
		},
		"scores": map[string]any{"home": score(101), "away": score(99)},
	}
}

// set changes a field by its path.
func set(game map[string]any, path string, value any) map[string]any {
	at := game
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		at = at[name].(map[string]any)
	}
	at[names[len(names)-1]] = value
	return game
}

func answering(errors any, games ...map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now.Format(http.TimeFormat))
		_ = json.NewEncoder(w).Encode(map[string]any{
			"get": "games", "parameters": r.URL.Query(), "errors": errors, "results": len(games), "response": games,
		})
	}
}

func TestPollAsksForTheSeasonAndThenForDays(t *testing.T) {
	var asked []string
	clock := now
	to := &saved{}
	s, _ := testSchedule(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-apisports-key") != keyValue || r.URL.Query().Get("league") != "12" || strings.Contains(r.URL.String(), keyValue) {
			t.Error("the call is without the key in its header, or with it elsewhere")
		}
		asked = append(asked, r.URL.Query().Get("season")+" "+r.URL.Query().Get("date"))
		w.Header().Set("Date", clock.Format(http.TimeFormat))
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{}, "response": []any{good(1)}})
	}, to)
	s.now = func() time.Time { return now.AddDate(3, 0, 0) } // our own clock is another
	for range 3 {
		if _, err := s.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(25 * time.Hour)
	for range 2 {
		if _, err := s.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := "2029-2030 |2026-2027 |2026-2027 2026-11-22|2026-2027 2026-11-23|2026-2027 2026-11-22|2026-2027 2026-11-23|2026-2027 "
	if got := strings.Join(asked, "|"); got != want {
		t.Errorf("asked for %s\nwant      %s", got, want)
	}
	if len(to.at) != 7 || !to.at[0].Equal(now) {
		t.Errorf("stored at %v", to.at)
	}
	if g := to.games[0]; g.Home != "Boston Celtics" || g.Status != store.Finished || *g.HomeScore != 101 || *g.AwayScore != 99 || !g.Start.Equal(now.Add(-12*time.Hour)) {
		t.Errorf("stored %+v", g)
	}
}

func TestSeasonLabel(t *testing.T) {
	for date, want := range map[string]string{"2026-11-23": "2026-2027", "2027-06-30": "2026-2027", "2027-07-01": "2027-2028", "2027-01-01": "2026-2027"} {
		at, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		if got := seasonLabel(at); got != want {
			t.Errorf("%s: %s, want %s", date, got, want)
		}
	}
}

func TestValidateLeavesOutImplausibleEntries(t *testing.T) {
	for reason, changes := range map[string][]func(map[string]any){
		"a game without a plausible id":     {func(g map[string]any) { set(g, "id", 0) }, func(g map[string]any) { set(g, "id", -4) }},
		"a game of another league":          {func(g map[string]any) { set(g, "league.id", 13) }},
		"a game without a plausible season": {func(g map[string]any) { set(g, "league.season", "") }, func(g map[string]any) { set(g, "league.season", strings.Repeat("2", 40)) }},
		"a game of teams that are not in the league": {
			func(g map[string]any) { set(g, "teams.home.name", "Team LeBron") }, func(g map[string]any) { set(g, "teams.away.name", "Boston Celtics") },
		},
		"a game with an implausible start":       {func(g map[string]any) { set(g, "date", now.AddDate(3, 0, 0)) }},
		"a game with an unknown status":          {func(g map[string]any) { set(g, "status.short", "XX") }, func(g map[string]any) { set(g, "status.short", "") }},
		"a game with an implausible score":       {func(g map[string]any) { set(g, "scores.home.total", 401) }, func(g map[string]any) { set(g, "scores.away.total", -1) }},
		"a finished game without a winner":       {func(g map[string]any) { set(g, "scores.home.total", nil) }, func(g map[string]any) { set(g, "scores.home.total", 99) }},
		"a game that finished implausibly early": {func(g map[string]any) { set(g, "date", now.Add(-20*time.Minute)) }},
	} {
		for i, change := range changes {
			bad := good(1)
			change(bad)
			var listed []game
			data, err := json.Marshal([]any{bad, good(2)})
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &listed); err != nil {
				t.Fatal(err)
			}
			valid, rejected := validate(listed, now)
			if rejected[reason] != 1 || len(rejected) != 1 || len(valid) != 1 || valid[0].ID != 2 {
				t.Errorf("%s %d: rejected %v, kept %v", reason, i, rejected, valid)
			}
		}
	}
}

func TestStatuses(t *testing.T) {
	for short, want := range map[string]string{
		"NS": store.Scheduled, "Q1": store.Live, "HT": store.Live, "OT": store.Live, "FT": store.Finished, "AOT": store.Finished,
		"POST": store.Postponed, "SUSP": store.Postponed, "CANC": store.Cancelled, "ABD": store.Cancelled,
	} {
		if got, ok := statusOf(short); !ok || got != want {
			t.Errorf("%s: %s, want %s", short, got, want)
		}
	}
}

func TestPollFailures(t *testing.T) {
	bad := set(good(1), "league.id", 99)
	echo := map[string]any{"token": "you sent " + keyValue}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		to      saved
		kind    service.Kind
		says    string
	}{
		"key refused with 200": {answering(echo), saved{}, service.Unauthorized, "api-basketball refuses API_BASKETBALL_KEY"},
		"no access with 200":   {answering(map[string]any{"access": keyValue}), saved{}, service.Unauthorized, "refuses API_BASKETBALL_KEY"},
		"quota with 200":       {answering(map[string]any{"requests": keyValue}), saved{}, service.RateLimited, "limits the rate"},
		"rate with 200":        {answering(map[string]any{"rateLimit": keyValue}), saved{}, service.RateLimited, "limits the rate"},
		"plan with 200":        {answering(map[string]any{"plan": keyValue}), saved{}, service.Refused, "plan does not include"},
		"other error with 200": {answering(map[string]any{keyValue: keyValue}), saved{}, service.Refused, "reports an error"},
		"error list with 200":  {answering([]any{keyValue}), saved{}, service.Refused, "reports an error"},
		"error text with 200":  {answering(keyValue), saved{}, service.Refused, "reports an error"},
		"401":                  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, keyValue, http.StatusUnauthorized) }, saved{}, service.Unauthorized, "(status 401)"},
		"nothing valid":        {answering([]any{}, bad), saved{}, service.Malformed, "it contains no valid game"},
		"store does not store": {answering([]any{}, good(1)), saved{err: errors.New("store")}, "", "store"},
		"another shape":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"response": %q}`, keyValue) }, saved{}, service.Malformed, "unexpected JSON structure"},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := testSchedule(t, test.handler, &test.to)
			_, err := s.poll(t.Context())
			var failure *service.UpstreamError
			if test.kind != "" && (!errors.As(err, &failure) || failure.Kind != test.kind) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("%v, want %s: %q", err, test.kind, test.says)
			}
			if s.season != "" {
				t.Error("the season counts as read")
			}
			text := fmt.Sprintf("%s %v %+v %#v", log, err, err, err)
			if found := servicetest.Leaks(t, text, map[string]string{"KEY": keyValue}); len(found) > 0 {
				t.Errorf("the key leaks: %v", found)
			}
		})
	}
}

func TestQuotaUsedUpStretchesTheInterval(t *testing.T) {
	s, _ := testSchedule(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ratelimit-requests-remaining", "0")
		answering([]any{})(w, r)
	}, &saved{})
	if pause, err := s.poll(t.Context()); err != nil || pause != 10*time.Minute {
		t.Errorf("pause %s, %v", pause, err)
	}
}

func TestCheck(t *testing.T) {
	fine := config{Interval: 5 * time.Second, Key: secrets.New([]byte(keyValue))}
	if err := fine.check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*config){
		"POLL_INTERVAL": func(c *config) { c.Interval = time.Millisecond },
		keyName:         func(c *config) { c.Key = secrets.New([]byte(keyValue + "\n")) },
	} {
		c := fine
		change(&c)
		var bad *service.ConfigError
		if err := c.check(); !errors.As(err, &bad) || bad.Name != name || strings.Contains(fmt.Sprint(bad), keyValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
