//go:build integration && unix

package main

import (
	"math"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

// The service against a real Postgres, two weeks into a season: it predicts
// the listed games, scores forecasts of the past ones, and, when the listed games
// have been played, scores its own predictions of them.
func TestService(t *testing.T) {
	server := storetest.Start(t)
	settings := server.Settings(store.RoleA)
	server.Setup(t, settings)
	db := storetest.Connect(t, settings)
	s := season.New(season.Config{Seed: 6})
	now := s.Start().AddDate(0, 0, 14).Add(12 * time.Hour)
	storetest.SaveSeason(t, db, s, s.Start(), now)
	upcoming := s.Between(now, now.Add(season.Listed))
	over := len(s.Between(s.Start(), now.Add(-season.Duration)))

	running := storetest.Run(t, program(), settings, nil)
	var said []store.EventPrediction
	servicetest.Until(t, "every listed event is predicted", func() bool {
		var err error
		said, err = db.PredictionPage(t.Context(), store.Page{Limit: 1000})
		return err == nil && len(said) == len(upcoming)
	})
	for _, e := range said {
		p := e.Prediction
		if p.Market == nil || p.Elo == nil || p.Books == 0 || p.Games != over || !p.MadeAt.Equal(now) || !e.Commence.After(now) {
			t.Errorf("%s: %+v", e.ID, p)
		}
		if low, high := math.Min(*p.Market, *p.Elo), math.Max(*p.Market, *p.Elo); p.Home < low || p.Home > high {
			t.Errorf("%s: pooled %v is outside of %v and %v", e.ID, p.Home, low, high)
		}
	}
	first := evaluation(t, db, 1)
	if first[store.InputPooled].Games < over-30 || first[store.InputPooled].Games > over {
		t.Errorf("judged on %d games of %d", first[store.InputPooled].Games, over)
	}

	later := now.AddDate(0, 0, 3)
	storetest.SaveSeason(t, db, s, s.Start(), later)
	// The season is stored in parts, and the service looks in between: it has scored
	// all of it when it has scored this many games.
	want := first[store.InputMarket].Games + len(s.Between(now.Add(-season.Duration), later.Add(-season.Duration)))
	second := evaluation(t, db, want)
	if got := second[store.InputMarket].Games; got != want {
		t.Errorf("%d games judged, want %d", got, want)
	}
	for input, e := range second {
		t.Logf("%-6s log loss %.4f, Brier %.4f on %d games", input, e.LogLoss, e.Brier, e.Games)
	}
	closing, err := db.ClosingPredictions(t.Context(), said[0].ID)
	if err != nil || len(closing) != 1 || !closing[0].MadeAt.Equal(now) {
		t.Errorf("%v, %+v; want the prediction made before the start", err, closing)
	}
	if code := running.Stop(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// evaluation waits for one in which the market was scored on this many games.
func evaluation(t *testing.T, db *store.Store, games int) map[string]store.Evaluation {
	t.Helper()
	all := map[string]store.Evaluation{}
	servicetest.Until(t, "an evaluation", func() bool {
		rows, err := db.Evaluation(t.Context())
		for _, e := range rows {
			all[e.Input] = e
		}
		return err == nil && len(rows) == 4 && all[store.InputMarket].Games >= games
	})
	return all
}

func TestServiceWithAWrongPassword(t *testing.T) { storetest.WrongPassword(t, program()) }
