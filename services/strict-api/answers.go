package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// archive is what the API reads from: the database, or a fake. Rows are sorted by
// start and id, those after After, at most Limit.
type archive interface {
	Now(ctx context.Context) (time.Time, error)
	GamePage(ctx context.Context, page store.Page) ([]store.Game, error)
	OddsPage(ctx context.Context, page store.Page) ([]store.EventOdds, error)
	MovementPage(ctx context.Context, page store.Page) ([]store.EventMovements, error)
	PredictionPage(ctx context.Context, page store.Page) ([]store.EventPrediction, error)
	Evaluation(ctx context.Context) ([]store.Evaluation, error)
}

// lookBack is how far before now a page begins when the query has no from.
const lookBack = 12 * time.Hour

// head is what every page begins with.
type head struct {
	AsOf *time.Time `json:"as_of"` // the upstream's clock: a simulated season runs faster than ours; null before its first answer
	Next *string    `json:"next"`  // for after=, null on the last page
}

type gamesPage struct {
	head
	Games []store.Game `json:"games"`
}

type oddsPage struct {
	head
	Events []store.EventOdds `json:"events"`
}

type movementsPage struct {
	head
	Events []store.EventMovements `json:"events"`
}

type predictionsPage struct {
	head
	Events      []store.EventPrediction `json:"events"`
	Evaluations []store.Evaluation      `json:"evaluations"` // of all finished games, one row an input
}

// ask turns a valid query into a page of the archive. One row more than the
// limit is asked for, which shows whether there is a next page.
func ask(ctx context.Context, from archive, f filter) (store.Page, time.Time, error) {
	now, err := from.Now(ctx) // zero: no upstream has answered yet
	if err != nil {
		return store.Page{}, now, err
	}
	start := f.from
	if start.IsZero() && f.event == "" && !now.IsZero() {
		start = now.Add(-lookBack)
	}
	return store.Page{
		Event: f.event, Team: f.team, Book: f.book, Market: f.market, Status: f.status, Kind: f.kind,
		From: start, To: f.to, After: f.after.at, AfterID: f.after.id, Limit: f.limit + 1,
	}, now, nil
}

// cut removes the extra row and returns the position after the last one.
func cut[T any](rows []T, limit int, now time.Time, last func(T) position) ([]T, head) {
	h := head{}
	if !now.IsZero() {
		h.AsOf = &now
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next := last(rows[limit-1]).String()
		h.Next = &next
	}
	if rows == nil {
		rows = []T{} // an empty list, not null
	}
	return rows, h
}

func games(ctx context.Context, from archive, f filter) (any, error) {
	page, now, err := ask(ctx, from, f)
	if err != nil {
		return nil, err
	}
	rows, err := from.GamePage(ctx, page)
	if err != nil {
		return nil, err
	}
	rows, h := cut(rows, f.limit, now, func(g store.Game) position {
		return position{path: "/games", at: g.Start, id: strconv.FormatInt(g.ID, 10)}
	})
	return gamesPage{head: h, Games: rows}, nil
}

func odds(ctx context.Context, from archive, f filter) (any, error) {
	page, now, err := ask(ctx, from, f)
	if err != nil {
		return nil, err
	}
	rows, err := from.OddsPage(ctx, page)
	if err != nil {
		return nil, err
	}
	rows, h := cut(rows, f.limit, now, func(e store.EventOdds) position { return after("/odds", e.Event) })
	return oddsPage{head: h, Events: rows}, nil
}

func movements(ctx context.Context, from archive, f filter) (any, error) {
	page, now, err := ask(ctx, from, f)
	if err != nil {
		return nil, err
	}
	rows, err := from.MovementPage(ctx, page)
	if err != nil {
		return nil, err
	}
	rows, h := cut(rows, f.limit, now, func(e store.EventMovements) position { return after("/movements", e.Event) })
	return movementsPage{head: h, Events: rows}, nil
}

func predictions(ctx context.Context, from archive, f filter) (any, error) {
	page, now, err := ask(ctx, from, f)
	if err != nil {
		return nil, err
	}
	rows, err := from.PredictionPage(ctx, page)
	if err != nil {
		return nil, err
	}
	evaluations, err := from.Evaluation(ctx)
	if err != nil {
		return nil, err
	}
	rows, h := cut(rows, f.limit, now, func(e store.EventPrediction) position { return after("/predictions", e.Event) })
	if evaluations == nil {
		evaluations = []store.Evaluation{}
	}
	return predictionsPage{head: h, Events: rows, Evaluations: evaluations}, nil
}

func after(path string, e store.Event) position {
	return position{path: path, at: e.Commence, id: e.ID}
}

// secretOrigin says where a secret was loaded from.
type secretOrigin struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Place  string `json:"place"`
}

func origins(report secrets.Report) []secretOrigin {
	all := []secretOrigin{}
	for _, p := range report.Loaded {
		all = append(all, secretOrigin{Name: p.Name, Source: string(p.Kind), Place: p.Place})
	}
	return all
}

// healthAnswer is the body of /health.
type healthAnswer struct {
	service.HealthAnswer                // with reasons if the request had the token
	Secrets              []secretOrigin `json:"secrets,omitempty"` // only with the token
}

// answerHealth answers 200, or 503 with the names of the failing checks.
func (a *api) answerHealth(w http.ResponseWriter, trusted bool) {
	status, health := a.health.Answer(trusted)
	body := healthAnswer{HealthAnswer: health}
	if trusted {
		body.Secrets = a.loaded
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, status, body)
}
