package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff says how long to wait after failures: exponential, with full jitter
// (a random time between nothing and the bound, so that many clients do not
// come back together), and never less than the upstream asked for.
type Backoff struct {
	Base time.Duration  // bound after the first failure. Zero: 1 s
	Max  time.Duration  // largest bound. Zero: 2 min
	Rand func() float64 // in [0,1). Nil: math/rand
}

// Delay returns the time to wait after so many failures in a row, the last one
// being err.
func (b Backoff) Delay(failures int, err error) time.Duration {
	bound := orDefault(b.Base, time.Second)
	highest := orDefault(b.Max, 2*time.Minute)
	for range min(failures-1, 62) {
		if bound >= highest/2 {
			bound = highest
			break
		}
		bound *= 2
	}
	random := b.Rand
	if random == nil {
		random = rand.Float64
	}
	delay := time.Duration(random() * float64(min(bound, highest)))
	var upstream *UpstreamError
	if errors.As(err, &upstream) && upstream.RetryAfter > 0 {
		delay += upstream.RetryAfter // jitter on top: the others wait as long
	}
	return delay
}

// Poller calls something again and again and reports to the health registry: the
// check fails before the first success, and when the last success is
// older than Stale; its reason is the failure's.
type Poller struct {
	Name     string        // of the check
	Interval time.Duration // between the end of one call and the next
	Stale    time.Duration // zero: three intervals, 20 s at least
	Backoff  Backoff
	Health   *Health
	Log      *slog.Logger
}

// CheckInterval returns a *ConfigError if POLL_INTERVAL is too short for an
// upstream.
func CheckInterval(interval time.Duration) error {
	if interval < time.Second {
		return &ConfigError{Name: "POLL_INTERVAL", What: "shorter than a second", Next: "set it to 5s or more"}
	}
	return nil
}

// pollState is what the health check looks at.
type pollState struct {
	mu      sync.Mutex
	success time.Time
	failure error
}

// Run calls poll until ctx is done, and returns ctx's error. What poll returns
// is the least time to wait before the next call: a quota that runs out can
// stretch the interval. A failure is logged and waited for by Backoff.
func (p Poller) Run(ctx context.Context, poll func(context.Context) (time.Duration, error)) error {
	state := &pollState{}
	stale := orDefault(p.Stale, max(3*p.Interval, 20*time.Second))
	p.Health.Register(p.Name, func() error { return state.check(stale) })
	failures := 0
	for {
		pause, err := poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		state.record(err)
		wait := max(p.Interval, pause)
		if err != nil {
			failures++
			wait = max(pause, p.Backoff.Delay(failures, err))
			p.Log.Warn("poll failed", "check", p.Name, "error", err.Error(), "failures", failures, "wait", wait.Round(time.Millisecond).String())
		} else {
			failures = 0
		}
		if !Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// record notes the outcome of one call.
func (s *pollState) record(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	if err == nil {
		s.success = time.Now()
	}
}

// check is the health check.
func (s *pollState) check(stale time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Since(s.success)
	switch {
	case s.success.IsZero() && s.failure == nil:
		return errors.New("no call has ended yet")
	case s.success.IsZero():
		return fmt.Errorf("no call has succeeded yet: %w", s.failure)
	case age > stale && s.failure != nil:
		return fmt.Errorf("last success %s ago: %w", age.Round(time.Second), s.failure)
	case age > stale:
		return fmt.Errorf("last success %s ago", age.Round(time.Second))
	}
	return nil
}

// Sleep waits for d, or until ctx is done, and reports whether it could wait to
// the end.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
