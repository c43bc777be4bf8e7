package stack_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/stack"
)

// cases are the use cases over a running stack, by name.
func cases(w *world) map[string]func() error {
	use := w.use()
	return map[string]func() error{
		"up":     func() error { _, err := use.Up(w.T.Context(), stack.UpOptions{}); return err },
		"status": func() error { _, err := use.Status(w.T.Context()); return err },
		"logs":   func() error { _, err := use.Logs(w.T.Context(), stack.LogsOptions{Out: &bytes.Buffer{}}); return err },
		"down":   func() error { _, err := use.Down(w.T.Context(), stack.DownOptions{}); return err },
	}
}

func TestStack_ClosesItsConnectionAlways(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"all is well":            func(*world) {},
		"the engine is gone":     func(w *world) { w.gone = true },
		"the list fails":         func(w *world) { w.listErr = errLost },
		"no compose file":        func(w *world) { _ = os.Remove(filepath.Join(w.Dir, "docker-compose.yml")) },
		"a finding":              func(w *world) { w.Put("docker-compose.yml", "services: 7\n") },
		"Compose cannot be had":  func(w *world) { w.composeErr = errLost },
		"the values are missing": func(w *world) { w.remove("TOKEN") },
	} {
		w := started(t)
		spoil(w)
		for command, run := range cases(w) {
			connects, closed := w.connects, w.closed
			err := run()
			w.silentStack(nil, err)
			if w.closed-closed != w.connects-connects {
				t.Errorf("%s, %s: connected %d times, closed %d times", name, command, w.connects-connects, w.closed-closed)
			}
		}
	}
}

func TestStack_ReturnsTheErrorsOfTheEngine(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"no connection":  func(w *world) { w.connectErr = errLost },
		"the list fails": func(w *world) { w.listErr = errLost },
	} {
		w := started(t)
		spoil(w)
		for command, run := range cases(w) {
			if err := run(); !errors.Is(err, errLost) {
				t.Errorf("%s, %s: %v", name, command, err)
			}
		}
	}
}

func TestStack_NeedsNoClose(t *testing.T) {
	w := started(t)
	config := w.config()
	connect := config.Connect
	config.Connect = func(ctx context.Context) (stack.Connection, error) {
		at, err := connect(ctx)
		at.Close = nil
		return at, err
	}
	use := stack.New(config)
	if _, err := use.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := use.Up(t.Context(), stack.UpOptions{}); err != nil {
		t.Error(err)
	}
	if w.closed != 1 {
		t.Errorf("closed %d times, want the one of the first start", w.closed)
	}
}
