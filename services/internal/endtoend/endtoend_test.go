//go:build integration && unix

package endtoend_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
)

// grants is which secrets each service gets, as in the compose file.
var grants = map[string][]string{
	"db-setup":        {"DB_ADMIN_PASSWORD", "DB_APP_LOGIN"},
	"provider-sim":    {"THE_ODDS_API_KEY", "API_BASKETBALL_KEY"},
	"odds-ingestion":  {"DB_APP_LOGIN", "THE_ODDS_API_KEY"},
	"schedule-poller": {"DB_APP_LOGIN", "API_BASKETBALL_KEY"},
}

// stack is the programs, the database and the values of one test.
type stack struct {
	t        *testing.T
	bin      string
	server   *storetest.Server
	settings store.Settings
	values   map[string]string
	sim      string // host:port

	mu      sync.Mutex
	outputs []*output
}

// output is all that one program has printed.
type output struct {
	servicetest.Buffer
	name string
}

// running is a program that was started.
type running struct {
	*output
	command *exec.Cmd
	exited  chan struct{}
	health  string
	s       *stack
	dir     string
}

// newStack builds the services named and starts a database.
func newStack(t *testing.T, services ...string) *stack {
	t.Helper()
	s := &stack{t: t, bin: t.TempDir(), server: storetest.Start(t), sim: servicetest.FreeAddress(t).String()}
	s.settings = s.server.Settings(store.RoleA)
	s.values = map[string]string{
		"DB_ADMIN_PASSWORD":  s.server.Admin.RevealString(),
		"DB_APP_LOGIN":       s.settings.Login.RevealString(),
		"THE_ODDS_API_KEY":   randomHex(t),
		"API_BASKETBALL_KEY": randomHex(t),
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", s.bin+string(filepath.Separator))
	for _, name := range services {
		build.Args = append(build.Args, "github.com/keepmum/keepmum/services/"+name)
	}
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Cleanup(s.sweep)
	return s
}

func randomHex(t *testing.T) string {
	t.Helper()
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(key)
}

// start runs a service with its grants in ./secrets; changes is "NAME=VALUE"
// for environment variables and "@NAME=VALUE" for other values of secrets.
func (s *stack) start(name string, changes ...string) *running {
	s.t.Helper()
	values := map[string]string{}
	for _, secret := range grants[name] {
		values[secret] = s.values[secret]
	}
	r := &running{output: &output{name: name}, health: servicetest.FreeAddress(s.t).String(), s: s, dir: s.t.TempDir(), exited: make(chan struct{})}
	r.command = exec.CommandContext(s.t.Context(), filepath.Join(s.bin, name))
	r.command.Env = []string{
		"DB_HOST=" + s.settings.Host, fmt.Sprintf("DB_PORT=%d", s.settings.Port), "DB_NAME=odds", "LOG_LEVEL=debug", "POLL_INTERVAL=1s",
		"ODDS_API_URL=http://" + s.sim, "BASKETBALL_API_URL=http://" + s.sim, "SIM_ADDRESS=" + s.sim, "SIM_SPEED=600",
		"ODDS_BACKFILL=840h", "ODDS_TIMEOUT=1s", "BASKETBALL_TIMEOUT=1s", "HEALTH_ADDRESS=" + r.health,
	}
	for _, change := range changes {
		key, value, _ := strings.Cut(change, "=")
		if secret, ok := strings.CutPrefix(key, "@"); ok {
			values[secret] = value
			continue
		}
		r.command.Env = append(r.command.Env, change)
	}
	check(s.t, os.Mkdir(filepath.Join(r.dir, "secrets"), 0o700))
	for secret, value := range values {
		check(s.t, os.WriteFile(filepath.Join(r.dir, "secrets", secret), []byte(value), 0o444))
	}
	r.command.Dir, r.command.Stdout, r.command.Stderr = r.dir, r.output, r.output
	check(s.t, r.command.Start())
	s.mu.Lock()
	s.outputs = append(s.outputs, r.output)
	s.mu.Unlock()
	go func() { _ = r.command.Wait(); close(r.exited) }()
	return r
}

// end waits for the program to end and returns its exit code.
func (r *running) end() int {
	r.s.t.Helper()
	select {
	case <-r.exited:
		return r.command.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		r.s.t.Fatalf("%s does not end:\n%s", r.name, r.masked())
		return 0
	}
}

// stop sends a signal and expects an exit code.
func (r *running) stop(signal os.Signal, code int) {
	r.s.t.Helper()
	check(r.s.t, r.command.Process.Signal(signal))
	if got := r.end(); got != code {
		r.s.t.Errorf("%s: exit code %d after %v, want %d", r.name, got, signal, code)
	}
}

// ask runs the health subcommand.
func (r *running) ask(arguments ...string) (int, string) {
	command := exec.CommandContext(r.s.t.Context(), r.command.Path, append([]string{"health"}, arguments...)...)
	command.Env, command.Dir = r.command.Env, r.dir
	text, err := command.CombinedOutput()
	_, _ = r.output.Write(text) // it is searched like the rest
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.s.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(text)
}

// masked is the output, fit for a failure's text.
func (r *running) masked() string { return r.s.matcher().String(r.String()) }

// until polls for a condition.
func (s *stack) until(what string, condition func() bool, who ...*running) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			for _, r := range who {
				s.t.Logf("%s:\n%s", r.name, last(r.masked(), 3000))
			}
			s.t.Fatalf("never happened: %s", what)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

func (r *running) healthy() bool { code, _ := r.ask(); return code == 0 }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// matcher knows all values, and the password of the login separately.
func (s *stack) matcher() *redact.Matcher {
	var known []secrets.Known
	for name, value := range s.values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
	}
	_, password, _ := strings.Cut(s.values["DB_APP_LOGIN"], ":")
	return redact.New(append(known, secrets.Known{Name: "password of DB_APP_LOGIN", Value: secrets.New([]byte(password))}))
}

// sweep searches all outputs and the server's log. It first plants each value
// as net/url would show it, and finds it.
func (s *stack) sweep() {
	matcher := s.matcher()
	for name, value := range s.values {
		if len(matcher.Find([]byte(`level=error err="Get \"http://x/?apiKey=`+value+`\": refused"`))) == 0 {
			s.t.Errorf("%s, planted, is not found: the search proves nothing", name)
		}
	}
	if len(s.outputs) == 0 {
		s.t.Error("no program has run: the search proves nothing")
	}
	for _, one := range s.outputs {
		if one.String() == "" {
			s.t.Errorf("%s has printed nothing", one.name)
		}
		for _, match := range matcher.Find([]byte(one.String())) {
			s.t.Errorf("%s shows %s (%s)", one.name, match.Name, match.Encoding)
		}
	}
	for _, match := range matcher.Find(s.server.Log()) {
		s.t.Errorf("the server's log shows %s (%s)", match.Name, match.Encoding)
	}
}

// fault asks the simulator for a fault of both providers.
func (s *stack) fault(mode string) {
	s.t.Helper()
	response, err := http.Post("http://"+s.sim+"/sim/faults", "application/json", strings.NewReader(`{"mode": "`+mode+`", "retry_after": 1}`))
	check(s.t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		s.t.Fatalf("fault %s: status %d", mode, response.StatusCode)
	}
}

// authenticated is the number of calls with the right key, of both providers.
func (s *stack) authenticated() (odds, games int) {
	var stats struct {
		Providers map[string]struct{ Authenticated int }
	}
	response, err := http.Get("http://" + s.sim + "/sim/stats")
	if err != nil {
		return 0, 0
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&stats) // none: zero
	return stats.Providers["the-odds-api"].Authenticated, stats.Providers["api-basketball"].Authenticated
}

func TestDBSetup(t *testing.T) {
	s := newStack(t, "db-setup")
	other := rand.Text()
	s.values["OTHER"] = other
	for _, step := range []struct {
		what    string
		changes []string
		code    int
		says    string
	}{
		{"first", nil, 0, "the password was set"},
		{"again", nil, 0, "the password already works"},
		{"other role", []string{"@DB_APP_LOGIN=app_b:" + other}, 0, `"role":"app_b"`},
		{"changed password", []string{"@DB_APP_LOGIN=app_a:" + other}, 0, "the password was set"},
		{"wrong admin password", []string{"@DB_ADMIN_PASSWORD=" + other}, 3, "postgres reads the file only when it creates a new database"},
		{"no login", []string{"@DB_APP_LOGIN=" + other}, 3, "not of the form role:password"},
		{"another role", []string{"@DB_APP_LOGIN=postgres:" + other}, 3, "neither app_a nor app_b"},
		{"no database", []string{"DB_NAME=none"}, 1, "the database DB_NAME does not exist"},
		{"no server", []string{"DB_PORT=1", "DB_SETUP_WAIT=1s"}, 1, "the database refuses connections; is postgres up?"},
		{"no host", []string{"DB_HOST=", "DB_PORT=x"}, 3, `"name":"DB_PORT"`},
	} {
		r := s.start("db-setup", step.changes...)
		if code := r.end(); code != step.code || !strings.Contains(r.String(), step.says) {
			t.Errorf("%s: exit code %d, want %d, and %q:\n%s", step.what, code, step.code, step.says, r.masked())
		}
	}
	s.server.Down(t)
	r := s.start("db-setup")
	s.until("it waits", func() bool { return strings.Contains(r.String(), "not up yet") }, r)
	s.server.Up(t)
	if code := r.end(); code != 0 {
		t.Errorf("exit code %d after the server came up:\n%s", code, r.masked())
	}
}

func TestPollers(t *testing.T) {
	s := newStack(t, "db-setup", "provider-sim", "odds-ingestion", "schedule-poller")
	sim := s.start("provider-sim")
	if code := s.start("db-setup").end(); code != 0 {
		t.Fatalf("db-setup: exit code %d", code)
	}
	odds, schedule := s.start("odds-ingestion"), s.start("schedule-poller")
	s.until("both are healthy", func() bool { return odds.healthy() && schedule.healthy() }, sim, odds, schedule)
	db := storetest.Connect(t, s.settings)
	t.Run("a season is stored", func(t *testing.T) { stored(t, s, db, odds) })
	t.Run("faults are named by class, and pass", func(t *testing.T) { faults(t, s, odds, schedule) })
	t.Run("of two copies one works", func(t *testing.T) { copies(t, s, odds) })
	t.Run("the upstream goes away and comes back", func(t *testing.T) { upstreamRestarts(t, s, sim, odds, schedule, db) })
	t.Run("the database goes away and comes back", func(t *testing.T) { databaseRestarts(t, s, odds, schedule) })
	t.Run("health -v names sources", func(t *testing.T) { namesSources(t, odds) })
	t.Run("a wrong key is named", func(t *testing.T) { wrongKey(t, s, schedule) })
	odds.stop(syscall.SIGQUIT, 2)
	if !strings.Contains(odds.String(), "goroutines follow") {
		t.Error("no dump after SIGQUIT")
	}
}

func stored(t *testing.T, s *stack, db *store.Store, odds *running) {
	s.until("past odds are complete", func() bool { return strings.Contains(odds.String(), "past odds are complete") }, odds)
	results, err := db.Results(t.Context())
	if err != nil || len(results) < 250 {
		t.Errorf("%d results, %v", len(results), err)
	}
	priced := 0
	for _, game := range results {
		if game.EventID == "" {
			continue
		}
		quotes, err := db.Latest(t.Context(), store.HeadToHead, time.Time{}, game.EventID)
		check(t, err)
		if len(quotes) > 0 && len(quotes) < 10 {
			t.Errorf("game %d has %d closing quotes", game.ID, len(quotes))
		}
		if len(quotes) > 0 {
			priced++
		}
	}
	if priced < 200 {
		t.Errorf("%d games with closing odds", priced)
	}
	now, err := db.Now(t.Context())
	check(t, err)
	events, err := db.Events(t.Context(), store.EventFilter{Listed: true, From: now})
	if err != nil || len(events) < 5 {
		t.Errorf("%d events listed, %v", len(events), err)
	}
}

func faults(t *testing.T, s *stack, odds, schedule *running) {
	for mode, says := range map[string]string{
		"slow": "no complete answer within 1s", "500": "fails (status 500)", "429": "limits the rate (status 429)", "401": "(status 401)",
		"hangup": "the connection broke off", "malformed": "answers with something malformed: invalid JSON at byte",
	} {
		before, beforeToo := len(odds.String()), len(schedule.String())
		s.fault(mode)
		s.until(mode+" is named", func() bool {
			return strings.Contains(odds.String()[before:], says) && strings.Contains(schedule.String()[beforeToo:], says)
		}, odds, schedule)
		s.fault("none")
		was, wasToo := s.authenticated()
		s.until("calls succeed after "+mode, func() bool {
			is, isToo := s.authenticated()
			return is > was && isToo > wasToo && odds.healthy() && schedule.healthy()
		}, odds, schedule)
	}
}

func copies(t *testing.T, s *stack, odds *running) {
	second := s.start("odds-ingestion")
	s.until("the second stands by, healthy", func() bool { return strings.Contains(second.String(), "standing by") && second.healthy() }, second)
	was, _ := s.authenticated()
	s.until("the first works on", func() bool { is, _ := s.authenticated(); return is > was+2 }, odds)
	if strings.Contains(second.String(), `"msg":"stored"`) {
		t.Error("the second works too")
	}
	second.stop(syscall.SIGTERM, 0)
}

func upstreamRestarts(t *testing.T, s *stack, sim, odds, schedule *running, db *store.Store) {
	before, err := db.Now(t.Context())
	check(t, err)
	sim.stop(syscall.SIGTERM, 0)
	for _, r := range []*running{odds, schedule} {
		s.until(r.name+" says so", func() bool { return strings.Contains(r.String(), "is down: connection refused") }, r)
	}
	again := s.start("provider-sim")
	s.until("both are healthy again", func() bool {
		is, isToo := s.authenticated()
		return is > 0 && isToo > 0 && odds.healthy() && schedule.healthy()
	}, again, odds, schedule)
	if now, err := db.Now(t.Context()); err != nil || now.Before(before) {
		t.Errorf("the clock went from %v to %v, %v", before, now, err)
	}
}

func databaseRestarts(t *testing.T, s *stack, odds, schedule *running) {
	s.server.Down(t)
	for _, r := range []*running{odds, schedule} {
		s.until(r.name+" is unhealthy", func() bool { code, says := r.ask(); return code == 1 && strings.Contains(says, "postgres (") }, r)
	}
	s.server.Up(t)
	s.until("both are healthy again", func() bool { return odds.healthy() && schedule.healthy() }, odds, schedule)
	was, wasToo := s.authenticated()
	s.until("both work again", func() bool { is, isToo := s.authenticated(); return is > was && isToo > wasToo }, odds, schedule)
}

func namesSources(t *testing.T, odds *running) {
	odds.s.until("it is healthy again", odds.healthy, odds) // the upstream was away a moment ago
	code, says := odds.ask("-v")
	want := "ok\nsecret DB_APP_LOGIN from file, ./secrets/DB_APP_LOGIN\nsecret THE_ODDS_API_KEY from file, ./secrets/THE_ODDS_API_KEY\n"
	if code != 0 || says != want {
		t.Errorf("exit code %d:\n%s", code, odds.s.matcher().String(says))
	}
}

func wrongKey(t *testing.T, s *stack, schedule *running) {
	schedule.stop(syscall.SIGTERM, 0)
	wrong := randomHex(t)
	s.values["WRONG_KEY"] = wrong
	r := s.start("schedule-poller", "@API_BASKETBALL_KEY="+wrong)
	s.until("it says so", func() bool {
		code, says := r.ask()
		return code == 1 && strings.Contains(says, "api-basketball refuses API_BASKETBALL_KEY (status 401)")
	}, r)
	r.stop(syscall.SIGTERM, 0)
}
