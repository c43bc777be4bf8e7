package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// odds is what the ingestion needs of the store.
type odds interface {
	SaveOdds(ctx context.Context, at time.Time, events []store.Event, quotes []store.Quote) (int, error)
	SaveHistory(ctx context.Context, at time.Time, events []store.Event, quotes []store.Quote) (int, error)
	LastObserved(ctx context.Context) (time.Time, error)
}

const sportPath = "sports/basketball_nba/odds"

// ingestion is the work of the service, one poll at a time.
type ingestion struct {
	upstream service.Upstream
	config   *config
	store    odds
	log      *slog.Logger
	now      func() time.Time // our own clock, for an upstream that sends no time

	began   bool
	last    time.Time   // when the store last saw a quote, before this run
	pending []time.Time // snapshots of the past still to be called for
}

// newIngestion returns the work without its store.
func newIngestion(c *config, log *slog.Logger) *ingestion {
	return &ingestion{
		upstream: service.Upstream{
			Name: "the odds api", Secret: keyName, Base: c.URL, Timeout: c.Timeout,
			Quota: "X-Requests-Remaining", Classify: outOfCredits,
		},
		config: c, log: log, now: time.Now,
	}
}

// outOfCredits recognises the answer to a call beyond the quota, which has the
// status of a wrong key.
func outOfCredits(status int, body []byte) (service.Kind, string) {
	var answer struct {
		Code string `json:"error_code"`
	}
	_ = json.Unmarshal(body, &answer) // no JSON: no code
	if status == http.StatusUnauthorized && answer.Code == "OUT_OF_USAGE_CREDITS" {
		return service.RateLimited, "the quota is used up"
	}
	return "", ""
}

// poll asks for the current odds, and once for the missing past ones. It returns the least time to wait before the next call.
func (i *ingestion) poll(ctx context.Context) (time.Duration, error) {
	if !i.began {
		last, err := i.store.LastObserved(ctx)
		if err != nil {
			return 0, err
		}
		i.last = last
	}
	pause, at, err := i.live(ctx)
	if err != nil {
		return pause, err
	}
	if !i.began {
		i.began = true
		i.pending = missing(i.last, at, i.config.Backfill, i.config.Step)
	}
	return pause, i.past(ctx)
}

// query is the part of the query that every call has.
func (i *ingestion) query() url.Values {
	return url.Values{
		"apiKey":     {i.config.Key.RevealString()},
		"regions":    {i.config.Regions},
		"markets":    {i.config.Markets},
		"oddsFormat": {"decimal"},
		"dateFormat": {"iso"},
	}
}

// live stores the current odds and returns the upstream's time.
func (i *ingestion) live(ctx context.Context) (time.Duration, time.Time, error) {
	var listed []event
	reply, err := i.upstream.Get(ctx, "/v4/"+sportPath, i.query(), nil, &listed)
	pause := i.upstream.Pause(reply, i.log)
	if err != nil {
		return pause, time.Time{}, err
	}
	at := reply.At
	if at.IsZero() {
		at = i.now().UTC().Truncate(time.Second)
	}
	return pause, at, i.save(ctx, at, listed, i.store.SaveOdds)
}

// past fetches and stores the pending snapshots of the past.
func (i *ingestion) past(ctx context.Context) error {
	for len(i.pending) > 0 {
		query := i.query()
		query.Set("date", i.pending[0].Format(time.RFC3339))
		var answer struct {
			Timestamp time.Time `json:"timestamp"`
			Data      []event   `json:"data"`
		}
		_, err := i.upstream.Get(ctx, "/v4/historical/"+sportPath, query, nil, &answer)
		var failure *service.UpstreamError
		if errors.As(err, &failure) && (failure.Kind == service.Refused || failure.Kind == service.Unauthorized) {
			i.log.Warn("no past odds: the key's plan does not include them, or the endpoint refuses", "left", len(i.pending))
			i.pending = nil
			return nil
		}
		if err != nil {
			return err
		}
		if err := i.save(ctx, i.pending[0], answer.Data, i.store.SaveHistory); err != nil {
			return err
		}
		i.pending = i.pending[1:]
		if len(i.pending) == 0 {
			i.log.Info("past odds are complete")
		}
	}
	return nil
}

// save validates an answer and stores the valid part.
func (i *ingestion) save(ctx context.Context, at time.Time, listed []event,
	to func(context.Context, time.Time, []store.Event, []store.Quote) (int, error),
) error {
	events, quotes, rejected := validate(listed, at)
	for _, reason := range slices.Sorted(maps.Keys(rejected)) {
		i.log.Warn("left out implausible entries", "reason", reason, "count", rejected[reason])
	}
	if len(events) == 0 && len(rejected) > 0 {
		return i.upstream.Fail(service.Malformed, "it contains no valid event")
	}
	fresh, err := to(ctx, at, events, quotes)
	if err != nil {
		return err
	}
	i.log.Debug("stored", "at", at, "events", len(events), "quotes", len(quotes), "new", fresh)
	return nil
}

// missing returns the times, step by step and on its multiples, from the later
// of last and backfill before now up to now.
func missing(last, now time.Time, backfill, step time.Duration) []time.Time {
	if backfill <= 0 {
		return nil
	}
	from := now.Add(-backfill)
	if last.After(from) {
		from = last
	}
	var times []time.Time
	for at := from.Truncate(step).Add(step); at.Before(now); at = at.Add(step) {
		times = append(times, at)
	}
	return times
}
