package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
)

const keyValue = "c4n4ry0123456789abcdef0123456789"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// saved is a store in memory.
type saved struct {
	last   time.Time
	at     []time.Time
	past   []time.Time
	events []store.Event
	quotes []store.Quote
	err    error
}

func (s *saved) LastObserved(context.Context) (time.Time, error) { return s.last, s.err }

func (s *saved) SaveOdds(_ context.Context, at time.Time, events []store.Event, quotes []store.Quote) (int, error) {
	s.at, s.events, s.quotes = append(s.at, at), events, quotes
	return len(quotes), s.err
}

func (s *saved) SaveHistory(_ context.Context, at time.Time, _ []store.Event, quotes []store.Quote) (int, error) {
	s.past = append(s.past, at)
	return len(quotes), s.err
}

// testIngestion calls handler and stores in to. What it logs goes to the buffer.
func testIngestion(t *testing.T, handler http.HandlerFunc, to *saved) (*ingestion, *servicetest.Buffer) {
	t.Helper()
	log, text := servicetest.Logger()
	i := newIngestion(&config{
		Key: secrets.New([]byte(keyValue)), URL: servicetest.Provider(t, handler), Timeout: 5 * time.Second,
		Regions: "us", Markets: "h2h", Step: 6 * time.Hour,
	}, log)
	i.store, i.now = to, func() time.Time { return now }
	return i, text
}

// good is an event that is valid in every way.
func good() event {
	return event{
		ID: "abc", Sport: "basketball_nba", Commence: now.Add(6 * time.Hour), Home: "LA Clippers", Away: "Miami Heat",
		Books: []book{{Key: "b", LastUpdate: now, Markets: []market{
			{Key: "h2h", LastUpdate: now.Add(-time.Minute), Outcomes: []outcome{{Name: "Miami Heat", Price: 2.1}, {Name: "LA Clippers", Price: 1.8}}},
		}}},
	}
}

func TestValidateAcceptsAGoodEvent(t *testing.T) {
	e := good()
	half := 3.5
	total := 220.5
	e.Books[0].Markets = append(e.Books[0].Markets,
		market{Key: "spreads", Outcomes: []outcome{{"LA Clippers", 1.91, &half}, {"Miami Heat", 1.92, &half}}},
		market{Key: "totals", Outcomes: []outcome{{"Over", 1.9, &total}, {"Under", 1.95, &total}}})
	events, quotes, rejected := validate([]event{e}, now)
	if len(rejected) > 0 || len(events) != 1 || events[0].Home != "Los Angeles Clippers" {
		t.Fatalf("events %v, rejected %v", events, rejected)
	}
	var got []string
	for _, q := range quotes {
		got = append(got, fmt.Sprint(q.Market, " ", q.Outcome, " ", q.Price, " ", q.Point != nil, " ", now.Sub(q.SourceTime)))
	}
	want := []string{
		"h2h away 2.1 false 1m0s", "h2h home 1.8 false 1m0s", "spreads home 1.91 true 0s", "spreads away 1.92 true 0s",
		"totals over 1.9 true 0s", "totals under 1.95 true 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValidateLeavesOutImplausibleEntries(t *testing.T) {
	far := 1e9
	for reason, break_ := range map[string][]func(*event){
		"an event without a plausible id": {
			func(e *event) { e.ID = "" }, func(e *event) { e.ID = "a b" }, func(e *event) { e.ID = strings.Repeat("a", 65) }, func(e *event) { e.ID = "é" },
		},
		"an event of another sport": {func(e *event) { e.Sport = "cricket" }},
		"an event of teams that are not in the league": {
			func(e *event) { e.Home = "Team LeBron" }, func(e *event) { e.Away = e.Home }, func(e *event) { e.Away = "Los Angeles Clippers" }, func(e *event) { e.Home = "" },
		},
		"an event with an implausible start": {
			func(e *event) { e.Commence = time.Time{} }, func(e *event) { e.Commence = now.AddDate(2, 0, 0) }, func(e *event) { e.Commence = now.AddDate(-2, 0, 0) },
		},
		"a book without a plausible key":        {func(e *event) { e.Books[0].Key = "" }, func(e *event) { e.Books[0].Key = "<b>" }},
		"a market that was not asked for":       {func(e *event) { e.Books[0].Markets[0].Key = "h2h_lay" }},
		"a market listed twice":                 {func(e *event) { e.Books[0].Markets = append(e.Books[0].Markets, e.Books[0].Markets[0]) }},
		"a market without exactly two outcomes": {func(e *event) { e.Books[0].Markets[0].Outcomes = e.Books[0].Markets[0].Outcomes[:1] }, func(e *event) { e.Books[0].Markets[0].Outcomes = nil }},
		"a market with an implausible time": {
			func(e *event) { e.Books[0].Markets[0].LastUpdate = now.Add(time.Hour) },
			func(e *event) { e.Books[0].Markets[0].LastUpdate, e.Books[0].LastUpdate = time.Time{}, time.Time{} },
			func(e *event) { e.Books[0].Markets[0].LastUpdate = now.AddDate(-3, 0, 0) },
		},
		"a market with outcomes of other names": {
			func(e *event) { e.Books[0].Markets[0].Outcomes[0].Name = "Draw" },
			func(e *event) { e.Books[0].Markets[0].Outcomes[0].Name = e.Home },
			func(e *event) { e.Books[0].Markets[0].Key = "totals" },
		},
		"a market with an implausible price": {
			func(e *event) { e.Books[0].Markets[0].Outcomes[0].Price = 1 }, func(e *event) { e.Books[0].Markets[0].Outcomes[1].Price = -110 },
			func(e *event) { e.Books[0].Markets[0].Outcomes[0].Price = 1002 }, func(e *event) { e.Books[0].Markets[0].Outcomes[0].Price = math.NaN() },
			func(e *event) { e.Books[0].Markets[0].Outcomes[0].Price = math.Inf(1) },
		},
		"a market with an implausible point": {
			func(e *event) { e.Books[0].Markets[0].Key = "spreads" },
			func(e *event) { e.Books[0].Markets[0].Key = "spreads"; e.Books[0].Markets[0].Outcomes[0].Point = &far },
		},
	} {
		for i, change := range break_ {
			bad, other := good(), good()
			other.ID = "other"
			change(&bad)
			events, _, rejected := validate([]event{bad, other}, now)
			if rejected[reason] != 1 || len(rejected) != 1 {
				t.Errorf("%s %d: rejected %v", reason, i, rejected)
			}
			if kept := slices.ContainsFunc(events, func(e store.Event) bool { return e.ID == "other" }); !kept {
				t.Errorf("%s %d: the other event is gone too", reason, i)
			}
		}
	}
	if _, _, rejected := validate([]event{good(), good()}, now); rejected["an event listed twice"] != 1 {
		t.Errorf("the same event twice: %v", rejected)
	}
}

// A game that has begun is stored as an event, but its prices, which are for the
// rest of the game, are not.
func TestValidateLeavesOutLivePrices(t *testing.T) {
	e := good()
	e.Commence = now
	events, quotes, rejected := validate([]event{e}, now)
	if len(events) != 1 || len(quotes) != 0 || len(rejected) != 0 {
		t.Errorf("%d events, %d quotes, %v", len(events), len(quotes), rejected)
	}
}

// answering sends JSON with the headers of The Odds API.
func answering(answer any, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now.Format(http.TimeFormat))
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		if strings.Contains(r.URL.Path, "historical") {
			_ = json.NewEncoder(w).Encode(map[string]any{"timestamp": r.URL.Query().Get("date"), "data": answer})
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// wire is how the provider writes an event.
func wire(e event) map[string]any {
	var books []map[string]any
	for _, b := range e.Books {
		var markets []map[string]any
		for _, m := range b.Markets {
			var outcomes []map[string]any
			for _, o := range m.Outcomes {
				outcomes = append(outcomes, map[string]any{"name": o.Name, "price": o.Price})
			}
			markets = append(markets, map[string]any{"key": m.Key, "last_update": m.LastUpdate, "outcomes": outcomes})
		}
		books = append(books, map[string]any{"key": b.Key, "title": "B", "last_update": b.LastUpdate, "markets": markets})
	}
	return map[string]any{
		"id": e.ID, "sport_key": e.Sport, "sport_title": "NBA", "commence_time": e.Commence, "home_team": e.Home,
		"away_team": e.Away, "bookmakers": books, "a_field_of_next_year": 1,
	}
}

func TestPollStoresAtTheUpstreamsTime(t *testing.T) {
	to := &saved{}
	var query url.Values
	i, _ := testIngestion(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		answering([]any{wire(good())})(w, r)
	}, to)
	i.now = func() time.Time { return now.AddDate(5, 0, 0) }
	if pause, err := i.poll(t.Context()); err != nil || pause != 0 {
		t.Fatalf("pause %s, %v", pause, err)
	}
	if len(to.at) != 1 || !to.at[0].Equal(now) || len(to.quotes) != 2 || len(to.past) != 0 {
		t.Errorf("stored %d quotes at %v, past %v", len(to.quotes), to.at, to.past)
	}
	if query.Get("apiKey") != keyValue || query.Get("regions") != "us" || query.Get("oddsFormat") != "decimal" {
		t.Error("the call was without the key or the parameters")
	}
}

func TestPollFillsThePast(t *testing.T) {
	to := &saved{last: now.Add(-25 * time.Hour)}
	fails := true
	i, _ := testIngestion(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("date"), "2026-11-23T00") && fails {
			fails = false
			http.Error(w, "", 500)
			return
		}
		answering([]any{wire(good())})(w, r)
	}, to)
	i.config.Backfill = 100 * 24 * time.Hour
	_, err := i.poll(t.Context())
	var failure *service.UpstreamError
	if !errors.As(err, &failure) || len(to.past) != 2 {
		t.Fatalf("%v after %d of the past", err, len(to.past))
	}
	to.last = now // what was stored meanwhile must not shorten the rest
	for range 2 {
		if _, err := i.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var hours []string
	for _, at := range to.past {
		hours = append(hours, at.Format("02T15"))
	}
	if got := strings.Join(hours, " "); got != "22T12 22T18 23T00 23T06" || len(to.at) != 3 {
		t.Errorf("past %s, live %d times", got, len(to.at))
	}
}

func TestPollWithoutAPlanForThePast(t *testing.T) {
	to := &saved{}
	i, log := testIngestion(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "historical") {
			http.Error(w, `{"error_code":"HISTORICAL_UNAVAILABLE_ON_FREE_USAGE_PLAN"}`, http.StatusUnauthorized)
			return
		}
		answering([]any{})(w, r)
	}, to)
	i.config.Backfill = 24 * time.Hour
	if _, err := i.poll(t.Context()); err != nil || len(i.pending) != 0 || !strings.Contains(log.String(), "no past odds") {
		t.Errorf("%v, %d pending", err, len(i.pending))
	}
}

func TestPollFailures(t *testing.T) {
	bad := good()
	bad.Home = "Nowhere"
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		to      saved
		says    string
		pause   time.Duration
	}{
		"nothing valid":        {answering([]any{wire(bad)}), saved{}, "it contains no valid event", 0},
		"another shape":        {answering(map[string]any{"message": keyValue}), saved{}, "unexpected JSON structure", 0},
		"quota used up":        {answering(nil, "x-requests-remaining", "0"), saved{}, "", 10 * time.Minute},
		"401":                  {func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.String(), http.StatusUnauthorized) }, saved{}, "refuses THE_ODDS_API_KEY", 0},
		"store does not store": {answering([]any{}), saved{err: errors.New("store")}, "store", 0},
	} {
		t.Run(name, func(t *testing.T) {
			i, log := testIngestion(t, test.handler, &test.to)
			pause, err := i.poll(t.Context())
			if pause != test.pause || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("pause %s, error %v, want %q", pause, err, test.says)
			}
			text := fmt.Sprintf("%s %v %+v %#v", log, err, err, err)
			if found := servicetest.Leaks(t, text, map[string]string{"KEY": keyValue}); len(found) > 0 {
				t.Errorf("the key leaks: %v", found)
			}
		})
	}
}

// A quota that is used up has the status of a wrong key, and is recognised by
// the code in the body.
func TestOutOfCredits(t *testing.T) {
	for body, want := range map[string]service.Kind{
		`{"error_code":"OUT_OF_USAGE_CREDITS"}`: service.RateLimited,
		`{"error_code":"INVALID_KEY"}`:          service.Unauthorized,
		`OUT_OF_USAGE_CREDITS`:                  service.Unauthorized,
	} {
		i, _ := testIngestion(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, http.StatusUnauthorized) }, &saved{})
		_, err := i.poll(t.Context())
		var failure *service.UpstreamError
		if !errors.As(err, &failure) || failure.Kind != want || (want == service.RateLimited) != strings.Contains(err.Error(), "the quota is used up") {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestEmptyListIsFine(t *testing.T) {
	to := &saved{}
	i, _ := testIngestion(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, to)
	if _, err := i.poll(t.Context()); err != nil || len(to.at) != 1 {
		t.Errorf("%v, stored %d times", err, len(to.at))
	}
}

func TestMissing(t *testing.T) {
	for name, test := range map[string]struct {
		last     time.Time
		backfill time.Duration
		want     int
	}{
		"off":               {time.Time{}, 0, 0},
		"nothing stored":    {time.Time{}, 24 * time.Hour, 3},
		"stored lately":     {now.Add(-time.Hour), 24 * time.Hour, 0},
		"stored long ago":   {now.AddDate(-1, 0, 0), 24 * time.Hour, 3},
		"a clock gone back": {now.AddDate(1, 0, 0), 24 * time.Hour, 0},
	} {
		times := missing(test.last, now, test.backfill, 6*time.Hour)
		if len(times) != test.want {
			t.Errorf("%s: %v, want %d", name, times, test.want)
		}
		for _, at := range times {
			if !at.Before(now) || at.Before(now.Add(-test.backfill)) || at.Truncate(6*time.Hour) != at {
				t.Errorf("%s: %v", name, at)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	fine := config{Markets: "h2h,totals", Interval: 5 * time.Second, Step: 6 * time.Hour, Backfill: time.Hour}
	if err := fine.check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*config){
		"ODDS_MARKETS":       func(c *config) { c.Markets = "h2h, totals" },
		"POLL_INTERVAL":      func(c *config) { c.Interval = time.Millisecond },
		"ODDS_BACKFILL_STEP": func(c *config) { c.Step = time.Second },
	} {
		c := fine
		change(&c)
		var bad *service.ConfigError
		if err := c.check(); !errors.As(err, &bad) || bad.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
