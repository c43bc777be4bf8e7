//go:build integration && unix

package endtoend_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/keepmum/keepmum/services/internal/store"
	"github.com/keepmum/keepmum/services/internal/store/storetest"
)

// From the simulator's HTTP to lines and predictions in the database, all by
// the programs themselves, while the past is still being filled in.
func TestAnalysis(t *testing.T) {
	s := newStack(t, "db-setup", "provider-sim", "odds-ingestion", "schedule-poller", "line-movement-analyzer", "prediction-service")
	sim := s.start("provider-sim")
	if code := s.start("db-setup").end(); code != 0 {
		t.Fatalf("db-setup: exit code %d", code)
	}
	odds, schedule := s.start("odds-ingestion"), s.start("schedule-poller")
	login := "@DB_APP_LOGIN=" + s.values["DB_APP_LOGIN"]
	lines, predictions := s.start("line-movement-analyzer", login), s.start("prediction-service", login)
	db := storetest.Connect(t, s.settings)
	s.until("the past is filled in", func() bool { return strings.Contains(odds.String(), "past odds are complete") }, odds, schedule, sim)
	s.until("upcoming games are predicted from both inputs", func() bool {
		now, err := db.Now(t.Context())
		check(t, err)
		page, err := db.PredictionPage(t.Context(), store.Page{From: now})
		both := 0
		for _, e := range page {
			if e.Prediction.Market != nil && e.Prediction.Elo != nil && e.Prediction.Books >= 5 && e.Prediction.Games > 200 {
				both++
			}
		}
		return err == nil && both >= 5
	}, predictions)
	s.until("the inputs are judged side by side", func() bool {
		rows, err := db.Evaluation(t.Context())
		return err == nil && len(rows) == 4 && rows[0].Games > 100
	}, predictions)
	s.until("most games of the past have closing lines, some of them steam", func() bool {
		page, err := db.MovementPage(t.Context(), store.Page{Limit: 2000, Book: store.Consensus})
		closed, steam := 0, 0
		for _, e := range page {
			if len(e.Lines) == 2 && e.Lines[0].Closing != nil {
				closed++
			}
			for _, m := range e.Movements {
				if m.Kind == store.Steam {
					steam++
				}
			}
		}
		return err == nil && closed > 200 && steam > 10
	}, lines)
	for _, r := range []*running{lines, predictions} {
		if !r.healthy() {
			t.Errorf("%s is not healthy", r.name)
		}
		r.stop(syscall.SIGTERM, 0)
	}
	rows, err := db.Evaluation(t.Context())
	check(t, err)
	for _, e := range rows {
		t.Logf("%-6s log loss %.4f on %d games", e.Input, e.LogLoss, e.Games)
	}
}
