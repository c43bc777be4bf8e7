package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/services/internal/service"
)

func TestBackoffIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := service.Backoff{
			Base: time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "base")),
			Max:  time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "max")),
		}
		failures := rapid.IntRange(1, 200).Draw(t, "failures")
		after := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry after"))
		err := fmt.Errorf("wrapped: %w", &service.UpstreamError{RetryAfter: after})
		bound := time.Duration(min(float64(b.Max), float64(b.Base)*math.Pow(2, float64(failures-1))))
		if got := b.Delay(failures, err); got < after || got > after+bound {
			t.Fatalf("%s after %d failures, want %s to %s", got, failures, after, after+bound)
		}
		b.Rand = func() float64 { return 0.999999999 }
		if longest := b.Delay(failures, nil); longest > bound || longest < bound*9/10-1 {
			t.Fatalf("longest %s, want about %s", longest, bound)
		}
		b.Rand = func() float64 { return 0 }
		if got := b.Delay(failures, nil); got != 0 {
			t.Fatalf("shortest %s: the jitter is not full", got)
		}
	})
}

func TestBackoffZeroValue(t *testing.T) {
	b := service.Backoff{Rand: func() float64 { return 0.5 }}
	var got []time.Duration
	for failures := 1; failures <= 10; failures++ {
		got = append(got, b.Delay(failures, errors.New("x")))
	}
	if want := "[500ms 1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// polled runs a poller in a bubble of its own clock; outcomes are given one by
// one and the last one again and again. It returns when each call was made.
func polled(t *testing.T, p service.Poller, length time.Duration, outcomes ...error) []time.Duration {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var calls []time.Duration
	err := p.Run(ctx, func(context.Context) (time.Duration, error) {
		calls = append(calls, time.Since(start))
		return 0, outcomes[min(len(calls), len(outcomes))-1]
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v", err)
	}
	return calls
}

func newPoller(log *bytes.Buffer) service.Poller {
	return service.Poller{
		Name: "upstream", Interval: 10 * time.Second, Health: service.NewHealth(), Log: slog.New(slog.NewJSONHandler(log, nil)),
		Backoff: service.Backoff{Rand: func() float64 { return 0.5 }},
	}
}

func TestPollerBacksOffAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &bytes.Buffer{}
		limited := &service.UpstreamError{Upstream: "u", Kind: service.RateLimited, Status: 429, RetryAfter: 30 * time.Second}
		calls := polled(t, newPoller(log), 61*time.Second, nil, errors.New("x"), errors.New("x"), limited, nil)
		// 10 s after a success; 0.5 s and 1 s after failures; 30 s and 2 s of jitter after a 429.
		if want := "[0s 10s 10.5s 11.5s 43.5s 53.5s]"; fmt.Sprint(calls) != want {
			t.Errorf("calls at %v, want %s", calls, want)
		}
		if got := strings.Count(log.String(), "poll failed"); got != 3 {
			t.Errorf("%d failures in the log, want 3", got)
		}
	})
}

func TestPollerStretchesItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 130*time.Second)
		defer cancel()
		calls := 0
		_ = newPoller(&bytes.Buffer{}).Run(ctx, func(context.Context) (time.Duration, error) {
			calls++
			return time.Minute, nil
		})
		if calls != 3 {
			t.Errorf("%d calls in 130 s, want 3", calls)
		}
	})
}

func TestPollerHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoller(&bytes.Buffer{})
		ctx, cancel := context.WithCancel(t.Context())
		var outcome error
		release := make(chan bool)
		go func() {
			_ = p.Run(ctx, func(ctx context.Context) (time.Duration, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return 0, outcome
			})
		}()
		health := func() string {
			synctest.Wait()
			_, answer := p.Health.Answer(true)
			return fmt.Sprint(answer.Failing, answer.Reasons)
		}
		step := func(what, want string) {
			t.Helper()
			if got := health(); got != want {
				t.Errorf("%s: health %s, want %s", what, got, want)
			}
		}
		step("before the first call ends", "[upstream] [no call has ended yet]")
		outcome = errors.New("it is down")
		release <- true
		step("after a failure", "[upstream] [no call has succeeded yet: it is down]")
		outcome = nil
		release <- true
		step("after a success", "[] []")
		outcome = errors.New("it is slow")
		release <- true
		step("after a failure not long after a success", "[] []")
		for range 4 {
			release <- true
			<-time.After(8 * time.Second) // of the bubble
		}
		if got := health(); !strings.Contains(got, "last success") || !strings.Contains(got, "ago: it is slow") {
			t.Errorf("after failures for longer than three intervals: health %s", got)
		}
		cancel()
	})
}
