//go:build integration && unix

package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// serve starts the API over a real Postgres; it is stopped, and its log
// searched, when the test ends.
func serve(t *testing.T, settings store.Settings) running {
	t.Helper()
	return start(t, func(p service.Program[config]) *servicetest.Running {
		return storetest.Run(t, p, settings, map[string]string{"STRICT_API_TOKEN": rightValue})
	})
}

// page asks with the token and decodes what must be status 200.
func (r running) page(t *testing.T, path string) (events []map[string]any, next string) {
	t.Helper()
	code, body := r.get(t, path, "Authorization", "Bearer "+rightValue)
	var decoded struct {
		Next          *string
		Games, Events []map[string]any
	}
	if code != 200 || json.Unmarshal([]byte(body), &decoded) != nil {
		t.Fatalf("%s: status %d", path, code)
	}
	if decoded.Next != nil {
		next = *decoded.Next
	}
	return append(decoded.Games, decoded.Events...), next
}

func TestServiceAnswersFromPostgres(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleB)
	server.Setup(t, settings)
	db := storetest.Connect(t, settings)
	api := serve(t, settings)
	servicetest.Until(t, "it is healthy", func() bool { code, _ := api.get(t, "/health"); return code == 200 })
	if rows, next := api.page(t, "/games"); len(rows) != 0 || next != "" {
		t.Errorf("an empty database has %d games", len(rows))
	}
	s := season.New(season.Config{Seed: 8})
	now := s.Start().AddDate(0, 0, 3).Add(12 * time.Hour)
	storetest.SaveSeason(t, db, s, s.Start(), now)
	games := s.Between(s.Start(), now.Add(season.Listed))
	derive(t, db, games, now)

	for _, path := range []string{"/games", "/odds", "/movements", "/predictions"} {
		seen := map[any]bool{}
		for query := "?from=2020-01-01&limit=9"; query != ""; {
			rows, next := api.page(t, path+query)
			for _, r := range rows {
				seen[r["id"]] = true
			}
			query = ""
			if next != "" {
				query = "?from=2020-01-01&limit=9&after=" + url.QueryEscape(next)
			}
		}
		if len(seen) != len(games) {
			t.Errorf("%s: %d rows page by page, want %d", path, len(seen), len(games))
		}
		if rows, _ := api.page(t, path+"?event="+games[0].EventID); len(rows) != 1 {
			t.Errorf("%s: %d rows of one event", path, len(rows))
		}
		if rows, _ := api.page(t, path); len(rows) == 0 || len(rows) >= len(games) {
			t.Errorf("%s: %d rows from twelve hours ago on, of %d", path, len(rows), len(games))
		}
	}
	if rows, _ := api.page(t, "/games?from=2020-01-01&status=finished&limit=200"); len(rows) != len(s.Between(s.Start(), now.Add(-season.Duration))) {
		t.Errorf("%d finished games", len(rows))
	}
	if rows, _ := api.page(t, "/movements?from=2020-01-01&kind=steam"); len(rows) != 1 {
		t.Errorf("%d events with steam, want 1", len(rows))
	}
	outage(t, server, api)
}

// derive stores what the analyzer and the predictor would.
func derive(t *testing.T, db *store.Store, games []season.Game, now time.Time) {
	t.Helper()
	var predictions []store.Prediction
	for i, g := range games {
		line := store.Line{EventID: g.EventID, Book: store.Consensus, Outcome: store.Home, Opening: 0.5, OpeningAt: now, Current: 0.6, CurrentAt: now}
		var movements []store.Movement
		if i == 0 {
			movements = append(movements, store.Movement{EventID: g.EventID, Book: store.Consensus, Outcome: store.Home, Kind: store.Steam, From: 0.5, To: 0.6, FromAt: now, ToAt: now, Books: 5})
		}
		if err := db.SaveAnalysis(t.Context(), g.EventID, []store.Line{line}, movements); err != nil {
			t.Fatal(err)
		}
		predictions = append(predictions, store.Prediction{EventID: g.EventID, MadeAt: now, Home: 0.6, Weight: 1})
	}
	if err := db.SavePredictions(t.Context(), predictions); err != nil {
		t.Fatal(err)
	}
}

// outage takes the database away and gives it back.
func outage(t *testing.T, server *storetest.Server, api running) {
	t.Helper()
	server.Down(t)
	code, body := api.get(t, "/games", "Authorization", "Bearer "+rightValue)
	if code != 503 || !strings.Contains(body, `"code":"database"`) {
		t.Errorf("without the database: %d %s", code, body)
	}
	for _, word := range []string{"127.0.0.1", "app_b", "SQLSTATE", "SELECT", "pgx", "dial"} {
		if strings.Contains(body, word) {
			t.Errorf("the answer holds %q", word)
		}
	}
	if code, body := api.get(t, "/health"); code != 503 || !strings.Contains(body, "postgres") {
		t.Errorf("health without the database: %d %s", code, body)
	}
	server.Up(t)
	servicetest.Until(t, "it is healthy again", func() bool { code, _ := api.get(t, "/health"); return code == 200 })
	if rows, _ := api.page(t, "/games"); len(rows) == 0 {
		t.Error("no games after the outage")
	}
}

// No query may reach the database as a statement.
func TestQueriesAreNotStatements(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleA)
	server.Setup(t, settings)
	api := serve(t, settings)
	servicetest.Until(t, "it is healthy", func() bool { code, _ := api.get(t, "/health"); return code == 200 })
	for _, attack := range []string{"' OR '1'='1", "'; DROP TABLE games; --", "$1", "\x00", "%27"} {
		for _, name := range []string{"event", "team", "book", "market", "status", "kind", "from", "to", "limit", "after"} {
			for _, path := range []string{"/games", "/odds", "/movements", "/predictions"} {
				code, body := api.get(t, path+"?"+name+"="+url.QueryEscape(attack), "Authorization", "Bearer "+rightValue)
				if code != 400 || !strings.Contains(body, "invalid_query") {
					t.Errorf("%s?%s: status %d", path, name, code)
				}
			}
		}
	}
	if rows, _ := api.page(t, "/games"); len(rows) != 0 {
		t.Errorf("%d games", len(rows))
	}
}

func TestServiceWithAWrongPassword(t *testing.T) {
	server := storetest.Start(t)
	server.Setup(t, server.Settings(store.RoleA))
	api := serve(t, server.Settings(store.RoleA))
	servicetest.Until(t, "health with the token says why", func() bool {
		code, body := api.get(t, "/health", "Authorization", "Bearer "+rightValue)
		return code == 503 && strings.Contains(body, "wrong password for role app_a")
	})
	if code, body := api.get(t, "/health"); code != 503 || strings.Contains(body, "app_a") {
		t.Errorf("open health: %d %s", code, body)
	}
	// The search that follows every test can fail: with the token in the log it does.
	if secretFound := len(leaks(api.Log.String()+rightValue, rightValue)) > 0; !secretFound || len(leaks(api.Log.String(), rightValue)) > 0 {
		t.Error("the token is in the log, or would not be found there")
	}
}
