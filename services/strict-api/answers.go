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

type eventsPage[T any] struct {
	head
	Events []T `json:"events"`
}

type predictionsPage struct {
	eventsPage[store.EventPrediction]
	Evaluations []store.Evaluation `json:"evaluations"` // of all finished games, one row an input
}

// page reads what a valid query asks for. One row more than the limit is read,
// which shows whether there is a next page; at returns the position of a row.
func page[T any](ctx context.Context, from archive, f filter,
	read func(context.Context, store.Page) ([]T, error), at func(T) position,
) ([]T, head, error) {
	now, err := from.Now(ctx)
	if err != nil {
		return nil, head{}, err
	}
	h, start := head{}, f.from
	if !now.IsZero() { // an upstream has answered
		h.AsOf = &now
		if start.IsZero() && f.event == "" {
			start = now.Add(-lookBack)
		}
	}
	rows, err := read(ctx, store.Page{
		Event: f.event, Team: f.team, Book: f.book, Market: f.market, Status: f.status, Kind: f.kind,
		From: start, To: f.to, After: f.after.at, AfterID: f.after.id, Limit: f.limit + 1,
	})
	if len(rows) > f.limit {
		rows = rows[:f.limit]
		next := at(rows[f.limit-1]).String()
		h.Next = &next
	}
	return append([]T{}, rows...), h, err // an empty list, not null
}

func games(ctx context.Context, from archive, f filter) (any, error) {
	rows, h, err := page(ctx, from, f, from.GamePage, func(g store.Game) position {
		return position{path: "/games", at: g.Start, id: strconv.FormatInt(g.ID, 10)}
	})
	return gamesPage{h, rows}, err
}

func odds(ctx context.Context, from archive, f filter) (any, error) {
	rows, h, err := page(ctx, from, f, from.OddsPage, func(e store.EventOdds) position { return after("/odds", e.Event) })
	return eventsPage[store.EventOdds]{h, rows}, err
}

func movements(ctx context.Context, from archive, f filter) (any, error) {
	rows, h, err := page(ctx, from, f, from.MovementPage, func(e store.EventMovements) position { return after("/movements", e.Event) })
	return eventsPage[store.EventMovements]{h, rows}, err
}

func predictions(ctx context.Context, from archive, f filter) (any, error) {
	rows, h, err := page(ctx, from, f, from.PredictionPage, func(e store.EventPrediction) position { return after("/predictions", e.Event) })
	if err != nil {
		return nil, err
	}
	evaluations, err := from.Evaluation(ctx)
	return predictionsPage{eventsPage[store.EventPrediction]{h, rows}, append([]store.Evaluation{}, evaluations...)}, err
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
