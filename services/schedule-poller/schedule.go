package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// games is what the schedule needs of the store.
type games interface {
	SaveGames(ctx context.Context, at time.Time, games []store.Game) (int, error)
}

// league is the number of the NBA at API-Basketball.
const league = "12"

// schedule is the work of the service, one poll at a time.
type schedule struct {
	upstream service.Upstream
	key      secrets.Secret
	store    games
	log      *slog.Logger
	now      func() time.Time // our own clock, until the upstream sends its own

	at     time.Time // the upstream's clock at the last answer
	season string    // that was asked for whole
	asked  time.Time // when, by the upstream's clock
}

// newSchedule returns the work without its store.
func newSchedule(c *config, log *slog.Logger) *schedule {
	return &schedule{
		upstream: service.Upstream{
			Name: "api-basketball", Secret: keyName, Base: c.URL, Timeout: c.Timeout, Quota: "X-Ratelimit-Requests-Remaining",
		},
		key: c.Key, log: log, now: time.Now,
	}
}

// poll stores the season when that is due, and yesterday and today otherwise.
func (s *schedule) poll(ctx context.Context) (time.Duration, error) {
	if s.at.IsZero() {
		s.at = s.now().UTC()
	}
	if label := seasonLabel(s.at); label != s.season || s.at.Sub(s.asked).Abs() >= 24*time.Hour {
		pause, err := s.call(ctx, url.Values{"league": {league}, "season": {label}})
		if err == nil {
			s.season, s.asked = label, s.at
		}
		return pause, err
	}
	for _, date := range []time.Time{s.at.AddDate(0, 0, -1), s.at} {
		// The season of the date: yesterday's is another one on the first of July.
		pause, err := s.call(ctx, url.Values{
			"league": {league}, "season": {seasonLabel(date)}, "date": {date.Format(time.DateOnly)},
		})
		if err != nil || pause > 0 {
			return pause, err
		}
	}
	return 0, nil
}

// seasonLabel names the season of a date, as "2026-2027": a new one begins in
// July.
func seasonLabel(t time.Time) string {
	year := t.Year()
	if t.Month() < time.July {
		year--
	}
	return fmt.Sprintf("%d-%d", year, year+1)
}

// call asks for games and stores the valid ones.
func (s *schedule) call(ctx context.Context, query url.Values) (time.Duration, error) {
	var answer envelope
	header := http.Header{"X-Apisports-Key": {s.key.RevealString()}}
	reply, err := s.upstream.Get(ctx, "/games", query, header, &answer)
	pause := s.upstream.Pause(reply, s.log)
	if err != nil {
		return pause, err
	}
	if err := s.reported(answer.Errors); err != nil {
		return pause, err
	}
	if !reply.At.IsZero() {
		s.at = reply.At
	}
	return pause, s.save(ctx, answer.Response)
}

// reported classifies the errors of an envelope. Their texts
// are not used: they may repeat the request.
func (s *schedule) reported(errors json.RawMessage) error {
	var none []json.RawMessage
	if len(errors) == 0 || json.Unmarshal(errors, &none) == nil && len(none) == 0 {
		return nil
	}
	var named map[string]json.RawMessage
	_ = json.Unmarshal(errors, &named) // another shape has no names we know
	has := func(name string) bool { _, ok := named[name]; return ok }
	switch {
	case has("token"), has("access"):
		return s.upstream.Fail(service.Unauthorized, "")
	case has("requests"), has("rateLimit"):
		return s.upstream.Fail(service.RateLimited, "")
	case has("plan"):
		return s.upstream.Fail(service.Refused, "the key's plan does not include what was asked for")
	}
	return s.upstream.Fail(service.Refused, "it reports an error in the request")
}

// save validates games and stores the valid ones.
func (s *schedule) save(ctx context.Context, listed []game) error {
	valid, rejected := validate(listed, s.at)
	for _, reason := range slices.Sorted(maps.Keys(rejected)) {
		s.log.Warn("left out implausible entries", "reason", reason, "count", rejected[reason])
	}
	if len(listed) > 0 && len(valid) == 0 {
		return s.upstream.Fail(service.Malformed, "it contains no valid game")
	}
	changed, err := s.store.SaveGames(ctx, s.at, valid)
	if err != nil {
		return err
	}
	s.log.Debug("stored", "at", s.at, "games", len(valid), "changed", changed)
	return nil
}
