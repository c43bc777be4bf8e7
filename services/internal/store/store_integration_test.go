//go:build integration && unix

package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
)

var tipOff = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

func pointer[T any](v T) *T { return &v }

func oneEvent() store.Event {
	return store.Event{ID: "e1", Commence: tipOff, Home: "Boston Celtics", Away: "Miami Heat"}
}

func quote(book, outcome string, price float64, before time.Duration) store.Quote {
	return store.Quote{
		EventID: "e1", Market: store.HeadToHead, Book: book, Outcome: outcome, Price: price, SourceTime: tipOff.Add(-before),
	}
}

func finished(id int64, start time.Time, home, away int) store.Game {
	return store.Game{
		ID: id, Season: "2026-2027", Start: start, Home: "Boston Celtics", Away: "Miami Heat",
		Status: store.Finished, HomeScore: &home, AwayScore: &away,
	}
}

func TestRows(t *testing.T) {
	server := storetest.Start(t)
	for name, test := range map[string]func(*testing.T, *store.Store){
		"odds are stored once":                         oddsAreStoredOnce,
		"history moves no clock and lists nothing":     historyMovesNoClockAndListsNothing,
		"latest quotes and results":                    latestAndResults,
		"games only change forwards":                   gamesOnlyChangeForwards,
		"lines, movements, predictions and evaluation": derivedRowsRoundTrip,
		"errors quote no row":                          errorsQuoteNoRow,
	} {
		t.Run(name, func(t *testing.T) { test(t, server.Empty(t)) })
	}
}

func oddsAreStoredOnce(t *testing.T, db *store.Store) {
	ctx := t.Context()
	at := tipOff.Add(-time.Hour)
	if now, err := db.Now(ctx); err != nil || !now.IsZero() {
		t.Errorf("Now of an empty store: %v, %v; want the zero time", now, err)
	}
	if last, err := db.LastObserved(ctx); err != nil || !last.IsZero() {
		t.Errorf("LastObserved of an empty store: %v, %v; want the zero time", last, err)
	}
	spread := store.Quote{
		EventID: "e1", Market: store.Spreads, Book: "b", Outcome: store.Home, Price: 1.91, Point: pointer(-3.5), SourceTime: tipOff.Add(-2 * time.Hour),
	}
	quotes := []store.Quote{quote("b", store.Home, 1.8, 2*time.Hour), quote("b", store.Away, 2.1, 2*time.Hour), spread}
	for i, want := range []int{3, 0} {
		fresh, err := db.SaveOdds(ctx, at, []store.Event{oneEvent()}, quotes)
		if err != nil || fresh != want {
			t.Fatalf("time %d: %d new quotes, %v; want %d", i+1, fresh, err, want)
		}
	}
	if now, err := db.Now(ctx); err != nil || !now.Equal(at) {
		t.Errorf("Now = %v, %v; want %v", now, err, at)
	}
	if last, err := db.LastObserved(ctx); err != nil || !last.Equal(at) {
		t.Errorf("LastObserved = %v, %v; want %v", last, err, at)
	}
	got, err := db.Latest(ctx, store.Spreads, time.Time{}, "e1")
	spread.ObservedAt = at
	if diff := cmp.Diff([]store.Quote{spread}, got); err != nil || diff != "" {
		t.Errorf("%v, spread differs (-want +got):\n%s", err, diff)
	}
	events, err := db.Events(ctx, store.EventFilter{Listed: true, From: tipOff})
	if err != nil || len(events) != 1 || events[0].Home != "Boston Celtics" || time.Since(events[0].SeenAt) > time.Minute {
		t.Errorf("events %v, %v", events, err)
	}
}

func historyMovesNoClockAndListsNothing(t *testing.T, db *store.Store) {
	ctx := t.Context()
	fresh, err := db.SaveHistory(ctx, tipOff.Add(-time.Hour), []store.Event{oneEvent()}, []store.Quote{quote("b", store.Home, 1.8, 2*time.Hour)})
	if err != nil || fresh != 1 {
		t.Fatalf("%d new, %v", fresh, err)
	}
	if now, err := db.Now(ctx); err != nil || !now.IsZero() {
		t.Errorf("history moved the clock: %v, %v", now, err)
	}
	other := store.Event{ID: "e2", Commence: tipOff, Home: "Utah Jazz", Away: "Miami Heat"}
	if _, err := db.SaveOdds(ctx, tipOff, []store.Event{other}, nil); err != nil {
		t.Fatal(err)
	}
	events, err := db.Events(ctx, store.EventFilter{Listed: true})
	if err != nil || len(events) != 1 || events[0].ID != "e2" {
		t.Errorf("listed: %v, %v; want e2 alone", events, err)
	}
}

func latestAndResults(t *testing.T, db *store.Store) {
	ctx := t.Context()
	quotes := []store.Quote{
		quote("b", store.Home, 1.80, 3*time.Hour), quote("b", store.Away, 2.10, 3*time.Hour),
		quote("b", store.Home, 1.70, time.Hour), quote("b", store.Away, 2.20, time.Hour),
		quote("b", store.Home, 9.99, -time.Minute), // in play: never a closing price
		quote("c", store.Home, 1.75, 2*time.Hour),
	}
	if _, err := db.SaveOdds(ctx, tipOff, []store.Event{oneEvent()}, quotes); err != nil {
		t.Fatal(err)
	}
	far := finished(2, tipOff.AddDate(0, 1, 0), 99, 98) // same teams, another day
	near := finished(1, tipOff.Add(10*time.Minute), 100, 90)
	if _, err := db.SaveGames(ctx, tipOff.Add(3*time.Hour), []store.Game{far, near}); err != nil {
		t.Fatal(err)
	}
	prices := func(quotes []store.Quote) (all []float64) {
		for _, q := range quotes {
			all = append(all, q.Price)
		}
		return all
	}
	latest, err := db.Latest(ctx, store.HeadToHead, tipOff.Add(-2*time.Hour), "e1")
	if diff := cmp.Diff([]float64{2.10, 1.80, 1.75}, prices(latest)); err != nil || diff != "" {
		t.Errorf("latest two hours before: %v\n%s", err, diff)
	}
	results, err := db.Results(ctx)
	if err != nil || len(results) != 2 {
		t.Fatalf("%d results, %v; want 2", len(results), err)
	}
	if g := results[0]; g.ID != 1 || g.EventID != "e1" || !g.HomeWon() || results[1].EventID != "" {
		t.Errorf("results %+v, want the event at the first alone", results)
	}
	closing, err := db.Latest(ctx, store.HeadToHead, time.Time{}, "e1")
	if diff := cmp.Diff([]float64{2.20, 1.70, 1.75}, prices(closing)); err != nil || diff != "" {
		t.Errorf("closing prices: %v\n%s", err, diff)
	}
	if history, err := db.History(ctx, "e1"); err != nil || len(history) != 5 {
		t.Errorf("history has %d quotes, %v; want 5", len(history), err)
	}
	changed, err := db.Changed(ctx, tipOff)
	if err != nil || len(changed) != 1 {
		t.Errorf("changed %v, %v", changed, err)
	}
	if changed, err := db.Changed(ctx, tipOff.Add(time.Second)); err != nil || len(changed) != 0 {
		t.Errorf("changed later: %v, %v", changed, err)
	}
}

func gamesOnlyChangeForwards(t *testing.T, db *store.Store) {
	ctx := t.Context()
	scheduled := store.Game{ID: 1, Season: "2026-2027", Start: tipOff, Home: "Boston Celtics", Away: "Miami Heat", Status: store.Scheduled}
	done := finished(1, tipOff, 101, 99)
	for i, step := range []struct {
		at      time.Time
		game    store.Game
		changed int
		status  string
	}{
		{tipOff.Add(-time.Hour), scheduled, 1, store.Scheduled},
		{tipOff.Add(-time.Minute), scheduled, 0, store.Scheduled},
		{tipOff.Add(3 * time.Hour), done, 1, store.Finished},
		{tipOff.Add(3 * time.Hour), done, 0, store.Finished},
		{tipOff.Add(2 * time.Hour), scheduled, 0, store.Finished}, // late answer
	} {
		changed, err := db.SaveGames(ctx, step.at, []store.Game{step.game})
		if err != nil || changed != step.changed {
			t.Fatalf("step %d: %d changed, %v; want %d", i, changed, err, step.changed)
		}
		games, err := db.GamePage(ctx, store.Page{Team: "Miami Heat", Status: step.status})
		if err != nil || len(games) != 1 {
			t.Fatalf("step %d: %d games with status %s, %v", i, len(games), step.status, err)
		}
	}
}

func derivedRowsRoundTrip(t *testing.T, db *store.Store) {
	ctx := t.Context()
	if _, err := db.SaveOdds(ctx, tipOff, []store.Event{oneEvent()}, nil); err != nil {
		t.Fatal(err)
	}
	line := store.Line{
		EventID: "e1", Book: store.Consensus, Outcome: store.Home, Opening: 0.5, OpeningAt: tipOff.Add(-2 * time.Hour),
		Current: 0.6, CurrentAt: tipOff.Add(-time.Hour), Closing: pointer(0.6), ClosingAt: pointer(tipOff.Add(-time.Hour)),
	}
	move := store.Movement{
		EventID: "e1", Book: store.Consensus, Outcome: store.Home, Kind: store.Steam, From: 0.5, To: 0.6,
		FromAt: tipOff.Add(-2 * time.Hour), ToAt: tipOff.Add(-time.Hour), Books: 5,
	}
	early := store.Prediction{EventID: "e1", MadeAt: tipOff.Add(-time.Hour), Home: 0.55, Elo: pointer(0.55), Weight: 0}
	late := store.Prediction{EventID: "e1", MadeAt: tipOff, Home: 0.6, Market: pointer(0.61), Elo: pointer(0.55), Weight: 0.8, Books: 8, Games: 300}
	evaluation := []store.Evaluation{
		{MadeAt: tipOff, Input: store.InputElo, Games: 10, LogLoss: 0.65, Brier: 0.23},
		{MadeAt: tipOff, Input: store.InputMarket, Games: 10, LogLoss: 0.6, Brier: 0.21},
	}
	for range 2 { // twice: the same rows again change nothing
		for _, err := range []error{
			db.SaveAnalysis(ctx, "e1", []store.Line{line}, []store.Movement{move}),
			db.SavePredictions(ctx, []store.Prediction{early, late}), db.SaveEvaluation(ctx, evaluation),
			db.SaveEvaluation(ctx, nil),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	analysed, err := db.MovementPage(ctx, store.Page{Event: "e1"})
	if err != nil || len(analysed) != 1 {
		t.Fatalf("%d events with lines, %v", len(analysed), err)
	}
	wantSame(t, nil, []store.Line{line}, analysed[0].Lines)
	wantSame(t, nil, []store.Movement{move}, analysed[0].Movements)
	latest, err := db.PredictionPage(ctx, store.Page{From: tipOff})
	if err != nil || len(latest) != 1 {
		t.Fatalf("%d events with predictions, %v", len(latest), err)
	}
	wantSame(t, nil, late, latest[0].Prediction)
	before, err := db.ClosingPredictions(ctx, "e1")
	wantSame(t, err, []store.Prediction{early}, before)
	evaluated, err := db.Evaluation(ctx)
	wantSame(t, err, evaluation, evaluated)
}

func wantSame[T any](t *testing.T, err error, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Postgres refuses rows that the schema forbids. Its message, which quotes the row,
// does not reach the caller.
func errorsQuoteNoRow(t *testing.T, db *store.Store) {
	bad := oneEvent()
	bad.Away = bad.Home
	_, err := db.SaveOdds(t.Context(), tipOff, []store.Event{bad}, nil)
	if !store.IsClass(err, store.Statement) || strings.Contains(err.Error(), "Celtics") {
		t.Errorf("error %v", err)
	}
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		t.Error("the server's error can be reached through ours")
	}
}

// Setup: once, again, with the other role, with a changed password.
func TestSetup(t *testing.T) {
	server := storetest.Start(t)
	ctx := t.Context()
	a, b, again := server.Settings(store.RoleA), server.Settings(store.RoleB), server.Settings(store.RoleA)
	for i, step := range []struct {
		settings store.Settings
		set      bool
	}{{a, true}, {a, false}, {b, true}, {b, false}, {a, false}, {again, true}, {a, true}} {
		login, err := store.ParseLogin(step.settings.Login)
		if err != nil {
			t.Fatal(err)
		}
		set, err := store.Setup(ctx, server.AdminTarget(), login)
		if err != nil || set != step.set {
			t.Fatalf("step %d: %t, %v; want password set %v", i, set, err, step.set)
		}
	}
	t.Run("both roles have the rights of the group", func(t *testing.T) { equalRights(t, server, a, b) })
	t.Run("a session whose client is gone ends soon", func(t *testing.T) { deadClients(t, server, a, b) })
	t.Run("the server's log holds no password and no verifier", func(t *testing.T) { quietLog(t, server, a, b, again) })
	t.Run("the statement that sets a password holds a verifier", func(t *testing.T) { statementInFlight(t, server) })
	t.Run("wrong passwords are reported by role", func(t *testing.T) { wrongPasswords(t, server, a, again) })
}

func equalRights(t *testing.T, server *storetest.Server, a, b store.Settings) {
	for _, settings := range []store.Settings{a, b} {
		db := storetest.Connect(t, settings)
		if _, err := db.SaveOdds(t.Context(), tipOff, []store.Event{oneEvent()}, []store.Quote{quote("b", store.Home, 1.8, time.Hour)}); err != nil {
			t.Error(err)
		}
	}
	conn := adminConn(t, server)
	var rows, unequal int
	err := conn.QueryRow(t.Context(), `
		SELECT count(*), count(*) FILTER (WHERE NOT (has_table_privilege('app_a', oid, p) AND has_table_privilege('app_b', oid, p)))
		FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`).Scan(&rows, &unequal)
	if err != nil || rows < 32 || unequal != 0 {
		t.Errorf("%d of %d rights are missing, %v", unequal, rows, err)
	}
	var extra bool
	err = conn.QueryRow(t.Context(), `
		SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb) OR has_schema_privilege('app_a', 'public', 'CREATE')
			OR (SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app')
		FROM pg_roles WHERE rolname IN ('app', 'app_a', 'app_b')`).Scan(&extra)
	if err != nil || extra {
		t.Errorf("the roles have rights that they do not need: %v, %v", extra, err)
	}
}

// deadClients requires that the server checks whether silent clients are still
// there.
func deadClients(t *testing.T, server *storetest.Server, settings ...store.Settings) {
	for _, one := range settings {
		login, err := store.ParseLogin(one.Login)
		if err != nil {
			t.Fatal(err)
		}
		conn := loggedIn(t, server, login)
		for name, want := range map[string]string{"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "30000"} {
			var got string
			if err := conn.QueryRow(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != want {
				t.Errorf("%s of a session of %s is %q, want %q: %v", name, login.Role, got, want, err)
			}
		}
	}
}

func quietLog(t *testing.T, server *storetest.Server, settings ...store.Settings) {
	conn := adminConn(t, server)
	known := []secrets.Known{{Name: "CANARY", Value: secrets.New([]byte("canary " + rand.Text()))}, {Name: "DB_ADMIN_PASSWORD", Value: server.Admin}}
	for _, one := range settings {
		login, err := store.ParseLogin(one.Login)
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, secrets.Known{Name: "password of " + login.Role, Value: login.Password})
	}
	rows, err := conn.Query(t.Context(), "SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname LIKE 'app%'")
	if err != nil {
		t.Fatal(err)
	}
	verifiers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(verifiers) != 2 {
		t.Fatalf("%d verifiers, %v", len(verifiers), err)
	}
	for _, verifier := range verifiers {
		if !strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:") {
			t.Error("a password is not stored as a SCRAM verifier")
		}
		known = append(known, secrets.Known{Name: "verifier", Value: secrets.New([]byte(verifier))})
	}
	// The canary proves that the log shows statements and that the search finds them.
	if _, err := conn.Exec(t.Context(), "SELECT '"+known[0].Value.RevealString()+"'"); err != nil {
		t.Fatal(err)
	}
	log := waitForLog(t, server, known[0].Value.Reveal())
	names := map[string]int{}
	for _, match := range redact.New(known).Find(log) {
		names[match.Name]++
	}
	if names["CANARY"] == 0 {
		t.Error("the canary is not in the server's log: the search proves nothing")
	}
	delete(names, "CANARY")
	if len(names) > 0 {
		t.Errorf("the server's log holds values: %v", names)
	}
	if !bytes.Contains(log, []byte("GRANT app TO app_a")) {
		t.Error("the server's log does not hold the statements of the schema: it was quiet throughout")
	}
}

// waitForLog waits until the log holds what.
func waitForLog(t *testing.T, server *storetest.Server, what []byte) []byte {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if log := server.Log(); bytes.Contains(log, what) || time.Now().After(deadline) {
			return log
		}
		<-time.After(10 * time.Millisecond)
	}
}

// statementInFlight looks at the statement while the server runs it: a superuser
// sees it in pg_stat_activity, and the log has it if the server crashes then,
// whatever the settings say.
func statementInFlight(t *testing.T, server *storetest.Server) {
	login, err := store.ParseLogin(server.Settings(store.RoleB).Login)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := adminConn(t, server)
	if _, err := conn.Exec(ctx, "BEGIN; ALTER ROLE app_b CONNECTION LIMIT -1"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := store.Setup(ctx, server.AdminTarget(), login)
		done <- err
	}()
	statement, watcher := "", adminConn(t, server)
	for statement == "" {
		select {
		case err := <-done:
			t.Fatalf("it was not held up: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		err := watcher.QueryRow(ctx, "SELECT coalesce(max(query), '') FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER ROLE%'").Scan(&statement)
		if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(statement, "SCRAM-SHA-256$") || strings.Contains(statement, login.Password.RevealString()) {
		t.Error("the statement does not hold a verifier, or holds the password")
	}
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func wrongPasswords(t *testing.T, server *storetest.Server, current, former store.Settings) {
	login, err := store.ParseLogin(current.Login)
	if err != nil {
		t.Fatal(err)
	}
	admin := server.AdminTarget()
	admin.Password = secrets.New([]byte(rand.Text()))
	_, err = store.Setup(t.Context(), admin, login)
	if !store.IsClass(err, store.WrongPassword) || !strings.Contains(err.Error(), "wrong password for role postgres") {
		t.Errorf("wrong admin password: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	kit := storetest.Kit("wrong")
	if _, err := store.Open(ctx, former, kit); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open with the former password: %v", err)
	}
	_, health := kit.Health.Answer(true)
	reasons := strings.Join(health.Reasons, " ")
	if len(health.Failing) != 1 || !strings.Contains(reasons, "wrong password for role app_a") {
		t.Errorf("health: %v", health)
	}
	if strings.Contains(reasons, former.Login.RevealString()[6:]) {
		t.Error("the health reason holds the password")
	}
}

// adminConn is a plain connection of the superuser.
func adminConn(t *testing.T, server *storetest.Server) *pgx.Conn {
	t.Helper()
	return loggedIn(t, server, store.Login{Role: "postgres", Password: server.Admin})
}

// loggedIn is a connection to the server's database odds.
func loggedIn(t *testing.T, server *storetest.Server, login store.Login) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig("host=localhost dbname=odds sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.Host, config.Port, config.User, config.Password = server.Host, server.Port, login.Role, login.Password.RevealString()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("%s cannot connect", login.Role)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Of two copies one works. When the server goes away, it stops; when the server is
// back, one works again.
func TestLead(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleA)
	server.Setup(t, settings)
	ctx, cancel := context.WithCancel(t.Context())
	working := make(chan string, 10)
	stopped := make(chan string, 10)
	ended := make(chan error, 2)
	for _, copy := range []string{"one", "two"} {
		db := storetest.Connect(t, settings)
		go func() {
			ended <- db.Lead(ctx, storetest.Kit("poller"), func(ctx context.Context) error {
				working <- copy
				<-ctx.Done()
				stopped <- copy
				return ctx.Err()
			})
		}()
	}
	first := receive(t, working)
	select {
	case second := <-working:
		t.Fatalf("%s and %s work at once", first, second)
	case <-time.After(3 * time.Second):
	}
	server.Down(t)
	if got := receive(t, stopped); got != first {
		t.Errorf("%s stopped, %s was at work", got, first)
	}
	server.Up(t)
	receive(t, working)
	cancel()
	for range 2 {
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Lead ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Lead did not end")
		}
	}
}

func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happened in time")
	}
	return got
}

// A copy that is asked to stop gives the lock back at once, and not before its
// work has ended.
func TestLead_HandsOverWhenACopyStops(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleA)
	server.Setup(t, settings)
	type copyOf struct {
		stop           context.CancelFunc
		begun, stopped chan time.Time
		ended          chan error
	}
	lead := func() copyOf {
		ctx, stop := context.WithCancel(t.Context())
		c := copyOf{stop, make(chan time.Time, 1), make(chan time.Time, 1), make(chan error, 1)}
		db := storetest.Connect(t, settings)
		go func() {
			c.ended <- db.Lead(ctx, storetest.Kit("poller"), func(ctx context.Context) error {
				c.begun <- time.Now()
				<-ctx.Done()
				c.stopped <- time.Now()
				return ctx.Err()
			})
		}()
		return c
	}
	one := lead()
	receive(t, one.begun)
	two := lead()
	asked := time.Now()
	one.stop()
	stopped, begun := receive(t, one.stopped), receive(t, two.begun)
	if begun.Before(stopped) || begun.Sub(asked) > 5*time.Second {
		t.Errorf("the second began %s after the first had stopped, %s after it was asked to", begun.Sub(stopped), begun.Sub(asked))
	}
	two.stop()
	for _, c := range []copyOf{one, two} {
		if err := receive(t, c.ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Lead ended with %v", err)
		}
	}
}
