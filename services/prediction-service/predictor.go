package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/keepmum/keepmum/services/internal/store"
)

// enough is how far a probability must have moved for a new prediction to be
// stored: a tenth of a percentage point.
const enough = 0.001

// archive is what the predictor reads from the database.
type archive interface {
	Now(ctx context.Context) (time.Time, error)
	Results(ctx context.Context) ([]store.Game, error)
	GamePage(ctx context.Context, p store.Page) ([]store.Game, error)
	Events(ctx context.Context, f store.EventFilter) ([]store.Event, error)
	Latest(ctx context.Context, market string, at time.Time, eventIDs ...string) ([]store.Quote, error)
	LastQuotes(ctx context.Context) (map[string]time.Time, error)
	predictions
}

// predictions is the part of it that the predictor keeps.
type predictions interface {
	ClosingPredictions(ctx context.Context, eventIDs ...string) ([]store.Prediction, error)
	PredictionPage(ctx context.Context, p store.Page) ([]store.EventPrediction, error)
	SavePredictions(ctx context.Context, made []store.Prediction) error
	Evaluation(ctx context.Context) ([]store.Evaluation, error)
	SaveEvaluation(ctx context.Context, evaluations []store.Evaluation) error
}

// predictor does the work of one copy of the service.
type predictor struct {
	db    archive
	log   *slog.Logger
	clock func() time.Time // ours

	closed  map[string]closing // by event: finished games that have odds
	checked time.Time          // our clock at the last look for quotes that came late
}

// closing is the state when a game began.
type closing struct {
	market *float64
	said   *store.Prediction
	last   time.Time // when the last quote was set
}

// lateEvery is how often to look for quotes that were stored after the fact,
// as a backfill does. It is expensive.
const lateEvery = 10 * time.Minute

func newPredictor(db archive, log *slog.Logger) *predictor {
	return &predictor{db: db, log: log, clock: time.Now, closed: map[string]closing{}}
}

// step learns from what has finished and predicts what has not begun.
func (p *predictor) step(ctx context.Context) (time.Duration, error) {
	now, err := p.db.Now(ctx)
	if err != nil || now.IsZero() { // no upstream has answered yet: nothing to do
		return 0, err
	}
	past, err := p.past(ctx)
	if err != nil {
		return 0, err
	}
	learnt := replay(past)
	made, err := p.predict(ctx, learnt, now)
	if err != nil {
		return 0, err
	}
	if err := p.db.SavePredictions(ctx, made); err != nil {
		return 0, err
	}
	if len(made) > 0 {
		p.log.Info("predicted", "events", len(made), "results", learnt.results, "market_weight", learnt.pool.Weight(), "refused_results", learnt.refused)
	}
	return 0, p.evaluate(ctx, learnt, now)
}

// past returns the finished games, with closing odds and closing prediction if
// there are any.
func (p *predictor) past(ctx context.Context) ([]played, error) {
	results, err := p.db.Results(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.forget(ctx); err != nil {
		return nil, err
	}
	if err := p.close(ctx, results); err != nil {
		return nil, err
	}
	past := make([]played, len(results))
	for i, g := range results {
		past[i] = played{game: g}
		if c, ok := p.closed[g.EventID]; ok && g.EventID != "" {
			past[i].market, past[i].said = c.market, c.said
		}
	}
	return past, nil
}

// forget drops, every ten minutes, the games that have got a later last quote
// since they were looked up.
func (p *predictor) forget(ctx context.Context) error {
	if p.clock().Sub(p.checked) < lateEvery || len(p.closed) == 0 {
		return nil
	}
	last, err := p.db.LastQuotes(ctx)
	if err != nil {
		return err
	}
	p.checked = p.clock()
	maps.DeleteFunc(p.closed, func(id string, c closing) bool { return !last[id].Equal(c.last) })
	return nil
}

// close looks up the closing odds and predictions of finished games that have not
// been looked up yet.
func (p *predictor) close(ctx context.Context, results []store.Game) error {
	var open []string
	for _, g := range results {
		if _, ok := p.closed[g.EventID]; g.EventID != "" && !ok {
			open = append(open, g.EventID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	quotes, err := p.db.Latest(ctx, store.HeadToHead, time.Time{}, open...)
	if err != nil {
		return err
	}
	said, err := p.db.ClosingPredictions(ctx, open...)
	if err != nil {
		return err
	}
	byEvent := map[string]*store.Prediction{}
	for i := range said {
		byEvent[said[i].EventID] = &said[i]
	}
	for id, ofEvent := range grouped(quotes) {
		if market, _ := consensus(ofEvent); market != nil {
			p.closed[id] = closing{market: market, said: byEvent[id], last: lastOf(ofEvent)}
		}
	}
	return nil
}

// lastOf returns when the last of quotes was set.
func lastOf(quotes []store.Quote) time.Time {
	return slices.MaxFunc(quotes, func(a, b store.Quote) int { return a.SourceTime.Compare(b.SourceTime) }).SourceTime
}

func grouped(quotes []store.Quote) map[string][]store.Quote {
	all := map[string][]store.Quote{}
	for _, q := range quotes {
		all[q.EventID] = append(all[q.EventID], q)
	}
	return all
}

// predict returns the predictions of events that have not begun, if they are new
// or differ enough from the last one stored.
func (p *predictor) predict(ctx context.Context, learnt *model, now time.Time) ([]store.Prediction, error) {
	events, err := p.db.Events(ctx, store.EventFilter{From: now, Listed: true})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	seasons, err := p.seasons(ctx, now)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	latest, err := p.db.Latest(ctx, store.HeadToHead, now, ids...)
	if err != nil {
		return nil, err
	}
	stored, err := p.db.PredictionPage(ctx, store.Page{From: now})
	if err != nil {
		return nil, err
	}
	before := map[string]store.Prediction{}
	for _, s := range stored {
		before[s.ID] = s.Prediction
	}
	quotes := grouped(latest)
	var made []store.Prediction
	for _, e := range events {
		if !e.Commence.After(now) {
			continue
		}
		learnt.enter(cmp.Or(seasons[e.ID], learnt.season))
		market, books := consensus(quotes[e.ID])
		f, ok := learnt.forecast(e.Home, e.Away, market)
		if !ok {
			continue
		}
		next := store.Prediction{
			EventID: e.ID, MadeAt: now, Home: f.home, Market: f.market, Elo: f.elo,
			Weight: weight(f, learnt), Books: books, Games: learnt.results,
		}
		if last, ok := before[e.ID]; !ok || differs(last, next) {
			made = append(made, next)
		}
	}
	return made, nil
}

// seasons returns the season of each event that has not begun.
func (p *predictor) seasons(ctx context.Context, now time.Time) (map[string]string, error) {
	games, err := p.db.GamePage(ctx, store.Page{From: now, Limit: 2000})
	all := map[string]string{}
	for _, g := range games {
		all[g.EventID] = g.Season
	}
	return all, err
}

// weight is that of the market in a forecast: 1 if it is alone, 0 if absent.
func weight(f forecast, learnt *model) float64 {
	switch {
	case f.market == nil:
		return 0
	case f.elo == nil:
		return 1
	default:
		return learnt.pool.Weight()
	}
}

// differs reports whether a prediction says something that the last one did not.
func differs(last, next store.Prediction) bool {
	return math.Abs(last.Home-next.Home) >= enough || last.Books != next.Books || (last.Elo == nil) != (next.Elo == nil)
}

// evaluate stores the scores when they are not those stored last.
func (p *predictor) evaluate(ctx context.Context, learnt *model, now time.Time) error {
	last, err := p.db.Evaluation(ctx)
	if err != nil {
		return err
	}
	games := learnt.scores[store.InputPooled].Games
	if games == 0 || slices.ContainsFunc(last, func(e store.Evaluation) bool {
		s := learnt.scores[e.Input]
		return e.Input == store.InputPooled && e.Games == games && math.Abs(e.LogLoss-s.LogLoss) < 1e-9
	}) {
		return nil
	}
	var rows []store.Evaluation
	attributes := []any{"games", games, "market_weight", learnt.pool.Weight()}
	for _, input := range []string{store.InputPooled, store.InputMarket, store.InputElo, store.InputBase} {
		s := learnt.scores[input]
		rows = append(rows, store.Evaluation{MadeAt: now, Input: input, Games: s.Games, LogLoss: s.LogLoss, Brier: s.Brier})
		attributes = append(attributes, "log_loss_"+input, s.LogLoss)
	}
	p.log.Info("evaluated", attributes...)
	return p.db.SaveEvaluation(ctx, rows)
}
