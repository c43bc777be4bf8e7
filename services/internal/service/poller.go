package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
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
	bound := math.Ldexp(float64(cmp.Or(b.Base, time.Second)), failures-1)
	bound = min(bound, float64(cmp.Or(b.Max, 2*time.Minute)))
	random := b.Rand
	if random == nil {
		random = rand.Float64
	}
	delay := time.Duration(random() * bound)
	var upstream *UpstreamError
	if errors.As(err, &upstream) && upstream.RetryAfter > 0 {
		delay += upstream.RetryAfter // jitter on top: the others wait as long
	}
	return delay
}

// Poller calls something again and again and reports to the health registry: the
// check fails before the first success, and when the last success is older than
// three intervals and 20 seconds; its reason is the failure's.
type Poller struct {
	Name     string        // of the check
	Interval time.Duration // between the end of one call and the next
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

// Run calls poll until ctx is done, and returns ctx's error. What poll returns
// is the least time to wait before the next call: a quota that runs out can
// stretch the interval. A failure is logged and waited for by Backoff.
func (p Poller) Run(ctx context.Context, poll func(context.Context) (time.Duration, error)) error {
	p.Health.Set(p.Name, errors.New("no call has ended yet"))
	var success time.Time
	failures := 0
	for {
		pause, err := poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := max(p.Interval, pause)
		if err != nil {
			failures++
			wait = max(pause, p.Backoff.Delay(failures, err))
			p.Log.Warn("poll failed", "check", p.Name, "error", err.Error(), "failures", failures, "wait", wait.Round(time.Millisecond).String())
		} else {
			failures, success = 0, time.Now()
		}
		p.Health.Register(p.Name, p.check(success, err))
		if !Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// check returns the health check after a call: success is when the last one
// succeeded, failure what the last one returned.
func (p Poller) check(success time.Time, failure error) func() error {
	return func() error {
		age := time.Since(success)
		switch {
		case success.IsZero():
			return fmt.Errorf("no call has succeeded yet: %w", failure)
		case age <= max(3*p.Interval, 20*time.Second):
			return nil
		case failure != nil:
			return fmt.Errorf("last success %s ago: %w", age.Round(time.Second), failure)
		}
		return fmt.Errorf("last success %s ago", age.Round(time.Second))
	}
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
