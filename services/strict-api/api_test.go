package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

const (
	rightValue = "Kp4vT8mWq2ZsXc9LbN6jRd3Hf5Gy7Aue" // the token of the tests, not a secret
	wrongValue = "Zz4vT8mWq2ZsXc9LbN6jRd3Hf5Gy7Aue"
)

func now() time.Time { return time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC) }

// books is an archive in memory, which keeps the page that it was asked for.
type books struct {
	games       []store.Game
	events      []store.Event
	evaluations []store.Evaluation
	fail        error
	asked       store.Page
	panics      bool
	silent      bool // no upstream has answered yet
}

func (b *books) Now(context.Context) (time.Time, error) {
	if b.panics {
		panic("the archive fell over holding " + rightValue)
	}
	if b.silent {
		return time.Time{}, nil
	}
	return now(), b.fail
}

func (b *books) GamePage(_ context.Context, p store.Page) ([]store.Game, error) {
	b.asked = p
	return b.games[:min(p.Limit, len(b.games))], b.fail
}

func (b *books) OddsPage(_ context.Context, p store.Page) ([]store.EventOdds, error) {
	b.asked = p
	return rows(b, p, func(e store.Event) store.EventOdds {
		return store.EventOdds{Event: e, Quotes: []store.Quote{{EventID: e.ID, Market: "h2h", Book: "pinnacle", Outcome: "home", Price: 1.5, SourceTime: now(), ObservedAt: now()}}}
	}), b.fail
}

func (b *books) MovementPage(_ context.Context, p store.Page) ([]store.EventMovements, error) {
	b.asked = p
	return rows(b, p, func(e store.Event) store.EventMovements {
		closing, at := 0.62, e.Commence.Add(-time.Minute)
		return store.EventMovements{
			Event:     e,
			Lines:     []store.Line{{EventID: e.ID, Book: "consensus", Outcome: "home", Opening: 0.6, OpeningAt: now(), Current: 0.62, CurrentAt: at, Closing: &closing, ClosingAt: &at}},
			Movements: []store.Movement{{EventID: e.ID, Book: "consensus", Outcome: "home", Kind: "steam", From: 0.6, To: 0.62, FromAt: now(), ToAt: at, Books: 5}},
		}
	}), b.fail
}

func (b *books) PredictionPage(_ context.Context, p store.Page) ([]store.EventPrediction, error) {
	b.asked = p
	return rows(b, p, func(e store.Event) store.EventPrediction {
		market, elo := 0.6, 0.5
		return store.EventPrediction{Event: e, Prediction: store.Prediction{EventID: e.ID, MadeAt: now(), Home: 0.58, Market: &market, Elo: &elo, Weight: 0.8, Books: 8, Games: 300}}
	}), b.fail
}

func (b *books) Evaluation(context.Context) ([]store.Evaluation, error) { return b.evaluations, b.fail }

func rows[T any](b *books, p store.Page, of func(store.Event) T) []T {
	var all []T
	for _, e := range b.events[:min(p.Limit, len(b.events))] {
		all = append(all, of(e))
	}
	return all
}

// fixture is an API over books, and its log.
type fixture struct {
	*api
	books *books
	log   *bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	home, away := 110, 100
	b := &books{
		games: []store.Game{
			{ID: 1, Season: "2026-2027", Start: now(), Home: "Boston Celtics", Away: "Miami Heat", Status: "finished", HomeScore: &home, AwayScore: &away, EventID: "e1"},
			{ID: 2, Season: "2026-2027", Start: now().Add(time.Hour), Home: "Utah Jazz", Away: "Phoenix Suns", Status: "scheduled"},
		},
		events: []store.Event{
			{ID: "e1", Commence: now().Add(time.Hour), Home: "Boston Celtics", Away: "Miami Heat"},
			{ID: "e2", Commence: now().Add(2 * time.Hour), Home: "Utah Jazz", Away: "Phoenix Suns"},
		},
		evaluations: []store.Evaluation{{MadeAt: now(), Input: "pooled", Games: 300, LogLoss: 0.61, Brier: 0.21}},
	}
	log := &bytes.Buffer{}
	health := service.NewHealth()
	health.Set("postgres", nil)
	loaded := []secretOrigin{{Name: "STRICT_API_TOKEN", Source: "docker", Place: "/run/secrets/STRICT_API_TOKEN"}}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})) // without masking on purpose
	return &fixture{
		api:   newAPI(func() (archive, error) { return b, nil }, newBearer(secrets.New([]byte(rightValue))), health, loaded, logger),
		books: b, log: log,
	}
}

// do sends one request; headers are name and value in turn.
func (f *fixture) do(method, target string, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
	r.RequestURI = target
	if body == "" {
		r.ContentLength = 0
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// get sends a request with the right token.
func (f *fixture) get(target string) *httptest.ResponseRecorder {
	return f.do(http.MethodGet, target, "", "Authorization", "Bearer "+rightValue)
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, the body is not the JSON that is wanted", w.Code)
	}
	return v
}

func TestTokenIsTheOnlyWayIn(t *testing.T) {
	t.Parallel()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+rightValue))
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"right", []string{"Authorization", "Bearer " + rightValue}, 200},
		{"scheme in lower case", []string{"authorization", "bearer " + rightValue}, 200},
		{"none", nil, 401},
		{"wrong", []string{"Authorization", "Bearer " + wrongValue}, 401},
		{"empty", []string{"Authorization", ""}, 401},
		{"scheme alone", []string{"Authorization", "Bearer"}, 401},
		{"empty token", []string{"Authorization", "Bearer "}, 401},
		{"shorter by a byte", []string{"Authorization", "Bearer " + rightValue[:31]}, 401},
		{"longer by a byte", []string{"Authorization", "Bearer " + rightValue + "x"}, 401},
		{"two blanks", []string{"Authorization", "Bearer  " + rightValue}, 401},
		{"a blank behind", []string{"Authorization", "Bearer " + rightValue + " "}, 401},
		{"no scheme", []string{"Authorization", rightValue}, 401},
		{"other scheme", []string{"Authorization", "Token " + rightValue}, 401},
		{"basic", []string{"Authorization", basic}, 401},
		{"other header", []string{"X-Api-Key", rightValue}, 401},
		{"cookie", []string{"Cookie", "token=" + rightValue}, 401},
		{"twice", []string{"Authorization", "Bearer " + wrongValue, "Authorization", "Bearer " + rightValue}, 401},
		{"twice, right first", []string{"Authorization", "Bearer " + rightValue, "Authorization", "Bearer " + wrongValue}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for path, e := range f.endpoints {
				if e.open {
					continue
				}
				w := f.do(http.MethodGet, path, "", c.headers...)
				if w.Code != c.want {
					t.Errorf("%s: status %d, want %d", path, w.Code, c.want)
				}
				if challenge := w.Header().Get("WWW-Authenticate"); (c.want == 401) != strings.HasPrefix(challenge, "Bearer realm=") {
					t.Errorf("%s: WWW-Authenticate %q", path, challenge)
				}
			}
		})
	}
}

func TestLimiterAnswersManyWrongTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	clock := now()
	f.wrong.now = func() time.Time { return clock }
	for i := range wrongTokensMax + 5 {
		w := f.do(http.MethodGet, "/games", "", "Authorization", "Bearer "+wrongValue)
		want := 401
		if i >= wrongTokensMax {
			want = 429
		}
		if w.Code != want {
			t.Fatalf("wrong token %d: status %d, want %d", i+1, w.Code, want)
		}
		if want == 429 && w.Header().Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q, want 60", w.Header().Get("Retry-After"))
		}
		if logged := strings.Contains(f.log.String(), "many wrong tokens"); logged != (want == 429) {
			t.Fatalf("wrong token %d: logged %t", i+1, logged)
		}
	}
	if w := f.get("/games"); w.Code != 200 {
		t.Errorf("the right token is held up: status %d", w.Code)
	}
	if n := strings.Count(f.log.String(), "many wrong tokens"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	clock = clock.Add(time.Minute)
	for i := range wrongTokensMax + 1 {
		want := 401
		if i == wrongTokensMax {
			want = 429
		}
		if w := f.do(http.MethodGet, "/games", "", "Authorization", "Bearer "+wrongValue); w.Code != want {
			t.Fatalf("a minute later, wrong token %d: status %d, want %d", i+1, w.Code, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target, body string
		status               int
		code                 string
	}{
		{"GET", "/", "", 404, "no_such_path"},
		{"GET", "/games/", "", 404, "no_such_path"},
		{"GET", "//games", "", 404, "no_such_path"},
		{"GET", "/games/../health", "", 404, "no_such_path"},
		{"GET", "/metrics", "", 404, "no_such_path"},
		{"GET", "/debug/pprof/", "", 404, "no_such_path"},
		{"POST", "/games", "", 405, "method_not_allowed"},
		{"DELETE", "/health", "", 405, "method_not_allowed"},
		{"OPTIONS", "/odds", "", 405, "method_not_allowed"},
		{"TRACE", "/odds", "", 405, "method_not_allowed"},
		{"GET", "/games", "{}", 400, "body_not_accepted"},
		{"GET", "/games?colour=red&limit=0", "", 400, "invalid_query"},
		{"GET", "/odds?kind=steam", "", 400, "invalid_query"},
		{"GET", "/health?verbose=1", "", 400, "invalid_query"},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(c.method, c.target, c.body, "Authorization", "Bearer "+rightValue)
			p := decode[problem](t, w)
			if w.Code != c.status || p.Code != c.code || p.Status != c.status || p.Type != "about:blank" || p.Title == "" || p.Detail == "" {
				t.Errorf("status %d, %+v; want %d %s", w.Code, p, c.status, c.code)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
			if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || !strings.Contains(f.log.String(), p.RequestID) {
				t.Errorf("request id %q, header %q, or it is not in the log", p.RequestID, w.Header().Get("X-Request-Id"))
			}
			if allow := w.Header().Get("Allow"); (c.status == 405) != (allow == "GET, HEAD") {
				t.Errorf("Allow %q", allow)
			}
			if c.code == "invalid_query" && len(p.Problems) == 0 {
				t.Error("an invalid query without problems")
			}
		})
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, w := range []*httptest.ResponseRecorder{f.get("/games"), f.do("GET", "/health", ""), f.do("GET", "/odds", ""), f.do("GET", "/nothing", "")} {
		for name, want := range map[string]string{
			"Cache-Control":                "no-store",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("status %d: %s %q, want %q", w.Code, name, got, want)
			}
		}
	}
}

// The schema of each answer, to the letter: a change here is a change for
// every client.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/games?limit=1": `{"as_of":"2026-11-23T18:00:00Z","next":"L2dhbWVzIDIwMjYtMTEtMjNUMTg6MDA6MDBaIDE","games":[` +
			`{"id":1,"season":"2026-2027","start":"2026-11-23T18:00:00Z","home":"Boston Celtics","away":"Miami Heat","status":"finished","home_score":110,"away_score":100,"event_id":"e1"}]}`,
		"/odds?limit=1": `{"as_of":"2026-11-23T18:00:00Z","next":"L29kZHMgMjAyNi0xMS0yM1QxOTowMDowMFogZTE","events":[` +
			`{"id":"e1","commence":"2026-11-23T19:00:00Z","home":"Boston Celtics","away":"Miami Heat","quotes":[` +
			`{"event_id":"e1","market":"h2h","book":"pinnacle","outcome":"home","price":1.5,"source_time":"2026-11-23T18:00:00Z","observed_at":"2026-11-23T18:00:00Z"}]}]}`,
		"/movements?limit=1": `{"as_of":"2026-11-23T18:00:00Z","next":"L21vdmVtZW50cyAyMDI2LTExLTIzVDE5OjAwOjAwWiBlMQ","events":[` +
			`{"id":"e1","commence":"2026-11-23T19:00:00Z","home":"Boston Celtics","away":"Miami Heat","lines":[` +
			`{"event_id":"e1","book":"consensus","outcome":"home","opening":0.6,"opening_at":"2026-11-23T18:00:00Z","current":0.62,"current_at":"2026-11-23T18:59:00Z","closing":0.62,"closing_at":"2026-11-23T18:59:00Z"}],"movements":[` +
			`{"event_id":"e1","book":"consensus","outcome":"home","kind":"steam","from":0.6,"to":0.62,"from_at":"2026-11-23T18:00:00Z","to_at":"2026-11-23T18:59:00Z","books":5}]}]}`,
		"/predictions": `{"as_of":"2026-11-23T18:00:00Z","next":null,"events":[` +
			`{"id":"e1","commence":"2026-11-23T19:00:00Z","home":"Boston Celtics","away":"Miami Heat","prediction":{"event_id":"e1","made_at":"2026-11-23T18:00:00Z","home":0.58,"market":0.6,"elo":0.5,"weight":0.8,"books":8,"games":300}},` +
			`{"id":"e2","commence":"2026-11-23T20:00:00Z","home":"Utah Jazz","away":"Phoenix Suns","prediction":{"event_id":"e2","made_at":"2026-11-23T18:00:00Z","home":0.58,"market":0.6,"elo":0.5,"weight":0.8,"books":8,"games":300}}],` +
			`"evaluations":[{"made_at":"2026-11-23T18:00:00Z","input":"pooled","games":300,"log_loss":0.61,"brier":0.21}]}`,
		"/health": `{"status":"ok","secrets":[{"name":"STRICT_API_TOKEN","source":"docker","place":"/run/secrets/STRICT_API_TOKEN"}]}`,
	} {
		w := newFixture(t).get(target)
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want {
			t.Errorf("%s: status %d\ngot  %s\nwant %s", target, w.Code, got, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", target, got)
		}
	}
}

func TestEmptyListsAreNotNull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	*f.books = books{}
	for path, e := range f.endpoints {
		if e.open {
			continue
		}
		if w := f.get(path); w.Code != 200 || strings.Contains(strings.ReplaceAll(w.Body.String(), `"next":null`, ""), "null") {
			t.Errorf("%s of nothing: status %d, %s", path, w.Code, w.Body)
		}
	}
	f.books.silent = true
	if w := f.get("/odds"); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"as_of":null,"next":null,"events":[]}` {
		t.Errorf("before the first answer of an upstream: status %d, %s", w.Code, w.Body)
	}
}

// Page by page, every row comes once.
func TestPagesFollowEachOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.get("/games?limit=1")
	next := decode[head](t, w).Next
	if next == nil {
		t.Fatal("no next page of two games, one a page")
	}
	if f.get("/games?limit=1&after=" + *next); f.books.asked.AfterID != "1" || !f.books.asked.After.Equal(now()) || f.books.asked.Limit != 2 {
		t.Errorf("the second page asked for %+v", f.books.asked)
	}
	if w := f.get("/games?limit=2"); decode[head](t, w).Next != nil {
		t.Error("there is a next page of two games, two a page")
	}
}

func TestQueryReachesTheArchive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.get("/odds")
	if want := (store.Page{From: now().Add(-12 * time.Hour), Limit: defaultLimit + 1}); f.books.asked != want {
		t.Errorf("no query: asked for %+v", f.books.asked)
	}
	f.get("/odds?team=Utah+Jazz&book=pinnacle&market=totals&from=2026-01-01&to=2026-01-02&limit=7&event=e2")
	want := store.Page{
		Event: "e2", Team: "Utah Jazz", Book: "pinnacle", Market: "totals",
		From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Limit: 8,
	}
	if f.books.asked != want {
		t.Errorf("asked for %+v, want %+v", f.books.asked, want)
	}
	if f.get("/odds?event=e2"); !f.books.asked.From.IsZero() {
		t.Error("an event is not found because it is long ago")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if w := f.do("GET", "/health", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
		t.Errorf("open and well: %d %s", w.Code, w.Body)
	}
	f.health.Set("postgres", errors.New("wrong password for role app_a"))
	if w := f.do("GET", "/health", ""); w.Code != 503 || strings.TrimSpace(w.Body.String()) != `{"status":"failing","failing":["postgres"],"started":true}` {
		t.Errorf("open and failing: %d %s", w.Code, w.Body)
	}
	trusted := decode[healthAnswer](t, f.get("/health"))
	if len(trusted.Reasons) != 1 || trusted.Reasons[0] != "wrong password for role app_a" || len(trusted.Secrets) != 1 {
		t.Errorf("with the token: %+v", trusted)
	}
	if w := f.do("GET", "/health", "", "Authorization", "Bearer "+wrongValue); w.Code != 401 {
		t.Errorf("with a wrong token: %d", w.Code)
	}
}

// Docker asks every few seconds: logging each healthy answer would fill the log.
func TestHealthyChecksAreLoggedAtDebug(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for path, level := range map[string]string{"/health": "DEBUG", "/games": "INFO"} {
		f.log.Reset()
		if f.get(path); !strings.Contains(f.log.String(), `"level":"`+level+`"`) {
			t.Errorf("%s is not logged at %s", path, level)
		}
	}
	f.log.Reset()
	f.health.Set("postgres", errors.New("down"))
	if f.get("/health"); !strings.Contains(f.log.String(), `"level":"INFO"`) {
		t.Error("a health check that fails is not logged at INFO")
	}
}

func TestHeadIsAnsweredAsGet(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newFixture(t))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 || answer.Header.Get("X-Request-Id") == "" {
		t.Errorf("status %d, headers %v", answer.StatusCode, answer.Header)
	}
}

func TestAPINeverQuotesTheDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.books.fail = errors.New(`ERROR: relation "games" does not exist (SQLSTATE 42P01)`)
	w := f.get("/games")
	if p := decode[problem](t, w); w.Code != 503 || p.Code != "database" || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, %+v", w.Code, p)
	}
	if strings.Contains(w.Body.String(), "relation") || strings.Contains(w.Body.String(), "SQLSTATE") {
		t.Error("the answer quotes the database")
	}
	f.archive = func() (archive, error) { return nil, errors.New("not yet") }
	if w := f.get("/games"); w.Code != 503 {
		t.Errorf("without a connection: status %d", w.Code)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.books.panics = true
	w := f.get("/games")
	if p := decode[problem](t, w); w.Code != 500 || p.Code != "internal" {
		t.Errorf("status %d, %+v", w.Code, p)
	}
	if strings.Contains(w.Body.String(), rightValue) {
		t.Error("the answer shows the token")
	}
	if !strings.Contains(f.log.String(), `"msg":"panic"`) || !strings.Contains(f.log.String(), `"status":500`) {
		t.Error("the log has no record of the panic, or none of the request")
	}
}

// forms are those in which a token could appear in a log or an answer.
func forms(token string) []string {
	return []string{
		token, base64.StdEncoding.EncodeToString([]byte(token)), base64.RawURLEncoding.EncodeToString([]byte(token)),
		hex.EncodeToString([]byte(token)), url.QueryEscape(token), strings.ToLower(token),
	}
}

// leaks returns the forms of the token that a text contains.
func leaks(text, token string) []string {
	var found []string
	for _, form := range forms(token) {
		if strings.Contains(text, form) || strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			found = append(found, form)
		}
	}
	return found
}

// A token in any wrong place is refused, and neither the answer nor the log, which
// is not masked here, contains it. First a canary shows that the search finds one.
func TestTokenInAWrongPlaceIsRefusedAndNotLogged(t *testing.T) {
	t.Parallel()
	for _, form := range forms(rightValue) {
		if len(leaks("some text "+form+" more", rightValue)) == 0 {
			t.Fatal("the canary is not found: this test cannot fail")
		}
	}
	both := []string{"Authorization", "Bearer " + rightValue}
	for _, c := range []struct {
		name, method, target string
		headers              []string
		status               int
		code                 string
	}{
		{"token in the query", "GET", "/games?token=" + rightValue, nil, 400, "token_in_query"},
		{"access_token in the query", "GET", "/games?access_token=" + rightValue, both, 400, "token_in_query"},
		{"api-key in the query", "GET", "/games?api-key=" + wrongValue, both, 400, "token_in_query"},
		{"Authorization in the query", "GET", "/games?Authorization=Bearer+" + rightValue, both, 400, "token_in_query"},
		{"as the value of another parameter", "GET", "/games?team=" + rightValue, both, 400, "token_in_query"},
		{"with its scheme, as the value of another", "GET", "/games?team=bearer+" + rightValue, both, 400, "token_in_query"},
		{"as the name of a parameter", "GET", "/games?" + rightValue, both, 400, "token_in_query"},
		{"as the name of a parameter with a value", "GET", "/games?" + rightValue + "=1", both, 400, "token_in_query"},
		{"a wrong one as the name of a parameter", "GET", "/games?" + wrongValue + "=1", both, 400, "invalid_query"},
		{"on the open path", "GET", "/health?token=" + rightValue, nil, 400, "token_in_query"},
		{"in a malformed query", "GET", "/games?token=" + rightValue + "&a=%zz;", both, 400, "token_in_query"},
		{"behind a semicolon", "GET", "/games?a=1;token=" + rightValue, both, 400, "invalid_query"},
		{"in the path", "GET", "/" + rightValue, both, 404, ""},
		{"behind a path", "GET", "/games/" + rightValue, nil, 404, ""},
		{"as the method", rightValue, "/games", nil, 405, ""},
		{"as the scheme", "GET", "/games", []string{"Authorization", rightValue + " x"}, 401, ""},
		{"as basic credentials", "GET", "/games", []string{"Authorization", "Basic " + rightValue}, 401, ""},
		{"as a request id", "GET", "/games", []string{"X-Request-Id", rightValue}, 401, ""},
		{"in other headers", "GET", "/games", []string{"User-Agent", rightValue, "Referer", "http://h/?t=" + rightValue, "X-Forwarded-For", rightValue, "Cookie", rightValue}, 401, ""},
		{"in its right place", "GET", "/games", both, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(c.method, c.target, "", c.headers...)
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			if c.status == 400 && decode[problem](t, w).Code != c.code {
				t.Errorf("code %q, want %q", decode[problem](t, w).Code, c.code)
			}
			answer := &bytes.Buffer{}
			_ = w.Result().Header.Write(answer)
			answer.Write(w.Body.Bytes())
			for _, token := range []string{rightValue, wrongValue} {
				if len(leaks(answer.String(), token)) > 0 {
					t.Error("the answer shows the token")
				}
				if len(leaks(f.log.String(), token)) > 0 {
					t.Error("the log shows the token")
				}
			}
			if !strings.Contains(f.log.String(), `"msg":"request"`) {
				t.Error("the request is not in the log")
			}
		})
	}
}

// The search above would find a log that does show the query.
func TestTokenSearchFindsALoggedQuery(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do("GET", "/games?token="+rightValue, "")
	f.api.log.Info("request", "url", "/games?token="+rightValue)
	if len(leaks(f.log.String(), rightValue)) == 0 {
		t.Error("a token in the log is not found")
	}
}

// This proves nothing, but catches a change to a comparison without a digest, which
// may stop at the first wrong byte or look at the length first.
func TestTokensAreComparedAsDigests(t *testing.T) {
	t.Parallel()
	b := newBearer(secrets.New([]byte(rightValue)))
	if bytes.Contains(b.wanted, []byte(rightValue)) || len(b.digest("")) != len(b.digest(strings.Repeat("x", 10_000))) {
		t.Error("what is compared is not a digest")
	}
	if other := newBearer(secrets.New([]byte(rightValue))); bytes.Equal(other.wanted, b.wanted) {
		t.Error("the digest is not keyed: two processes have the same one")
	}
}
