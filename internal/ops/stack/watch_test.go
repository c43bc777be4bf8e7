package stack_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestWatch_ShowsTheLastWordsOfAFailedService(t *testing.T) {
	w := newWorld(t)
	w.become = func(service string, c *docker.Container) {
		if service == "api" {
			c.State, c.Health, c.ExitCode = "exited", "", 3
		}
	}
	w.logs["api"] = "starting\nlogin failed: " + opstest.LoginValue + "\x1b[31m\n"
	result, err := w.up(stack.UpOptions{})
	e := asError(t, err, fault.Failed)
	if !strings.HasPrefix(e.What, "api failed; ") || !strings.Contains(e.What, "db healthy") || len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Problem, "ended with 3: its secrets are missing") || e.Findings[0].Next != "mage secrets:validate" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(w.Said.String(), "api | login failed: ‹LOGIN›?[31m") {
		t.Errorf("said %s", w.Said.String())
	}
	if did(result) != "api created ended with 3, db created healthy, setup created done" {
		t.Errorf("result %s", did(result))
	}
}

func TestWatch_EndsInEveryWay(t *testing.T) {
	starting := func(_ string, c *docker.Container) { c.State, c.Health = "running", "starting" }
	for _, test := range []struct {
		name    string
		arrange func(*world)
		during  func(*world, context.CancelFunc)
		class   fault.Code
		want    []string
	}{
		{"unhealthy", func(w *world) {
			w.become = func(s string, c *docker.Container) { c.Health = "unhealthy" }
		}, nil, fault.Failed, []string{"api, db failed; ", "unhealthy"}},
		{"Compose fails", func(w *world) {
			w.upErr = &fault.Error{Code: fault.Failed, What: "compose up failed: no space for " + opstest.TokenValue, Next: "x"}
		}, nil, fault.Failed, []string{"compose up failed: no space for ‹TOKEN›; so far: api healthy"}},
		{"never healthy", func(w *world) { w.become = starting }, nil, fault.Incomplete, []string{"not healthy after 1s: api, db, setup"}},
		{"the engine goes", func(w *world) { w.become, w.upHangs = starting, true }, func(w *world, _ context.CancelFunc) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.gone = true
		}, fault.NoEngine, []string{"the engine stopped answering; last seen: api starting"}},
		{"interrupted", func(w *world) { w.become, w.upHangs = starting, true }, func(_ *world, cancel context.CancelFunc) { cancel() }, fault.Interrupted, []string{"stopped; so far: api starting"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := w.use().Up(ctx, stack.UpOptions{Deadline: time.Second})
				done <- err
			}()
			if test.during != nil {
				eventually(t, func() bool { return w.saw("starting") })
				begun := time.Now()
				test.during(w, cancel)
				defer func() {
					if took := time.Since(begun); took > time.Second {
						t.Errorf("took %s", took)
					}
				}()
			}
			err := <-done
			e := asError(t, err, test.class)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v (next %s), want %q", err, e.Next, want)
				}
			}
		})
	}
}
