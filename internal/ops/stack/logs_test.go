package stack_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestLogs_AreMaskedAndPrefixed(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.logs = map[string]string{"api": "one " + opstest.TokenValue + "\r\ntwo", "db": "three\n", "setup": "four " + adminValue + "\n"}
	read := func(o stack.LogsOptions) (string, stack.LogsResult, error) {
		t.Helper()
		var out bytes.Buffer
		o.Out = &out
		result, err := w.use().Logs(t.Context(), o)
		w.silentStack(out.String(), err)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n"), result, err
	}
	got, _, err := read(stack.LogsOptions{})
	if want := "api | one ‹TOKEN›\napi | two\ndb | three\nsetup | four ‹ADMIN›"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, _, err = read(stack.LogsOptions{Service: "db"}); got != "db | three" || err != nil {
		t.Errorf("one service: %q, %v", got, err)
	}
	if _, _, err = read(stack.LogsOptions{Service: "web\x1b"}); asError(t, err, fault.Usage).What != "docker-compose.yml has no service web?; it has api, db, setup" {
		t.Errorf("no such service: %v", err)
	}
	w.write("TOKEN", opstest.OtherValue)
	got, result, err := read(stack.LogsOptions{})
	if got != "db | three\nsetup | four ‹ADMIN›" || err != nil || !slices.Equal(result.Withheld, []string{"api"}) {
		t.Errorf("a value that is no longer known: %q, %v, %+v", got, err, result)
	}
	if !strings.Contains(w.Said.String(), "api: log withheld: it holds an older value") {
		t.Errorf("said %s", w.Said.String())
	}
	w.write("TOKEN", "abc")
	clear(w.containers)
	if _, _, err = read(stack.LogsOptions{}); !strings.Contains(asError(t, err, fault.Failed).What, "no containers") {
		t.Errorf("nothing runs: %v", err)
	}
	if !strings.Contains(w.Said.String(), "not masked: TOKEN") {
		t.Errorf("a value too short to mask is not named: %s", w.Said.String())
	}
}

// lockedBuffer is a buffer that a goroutine writes and the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func TestLogs_FollowNewContainers(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.logs["api"] = "first\n"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lockedBuffer
	done := make(chan error, 1)
	go func() {
		_, err := w.use().Logs(ctx, stack.LogsOptions{Out: &out, Follow: true})
		done <- err
	}()
	eventually(t, func() bool { return out.has("api | first") })
	w.mu.Lock()
	again := w.containers["api"]
	again.ID, again.Started = "c99", time.Now()
	w.containers["api"], w.logs["api"] = again, "second\n"
	w.mu.Unlock()
	eventually(t, func() bool { return out.has("api | second") })
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	if err := <-done; fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("the engine went: %v", err)
	}
	w.gone = false
	go func() {
		_, err := w.use().Logs(ctx, stack.LogsOptions{Out: &out, Follow: true})
		done <- err
	}()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of following is no error: %v", err)
	}
}
