//go:build integration && unix

package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/store"
)

// Running is a service that runs in this process.
type Running struct {
	Health string // address of its health endpoint, where the kit serves it

	values map[string]string
	log    *lockedBuffer
	stop   context.CancelFunc
	ended  chan struct{}
	code   int
}

// Run starts a service with the database of settings, more secrets (nil for
// none) and POLL_INTERVAL at its fastest. It is stopped when the test ends;
// then its whole log is searched for every value, in every encoding.
func Run[C any](t testing.TB, p service.Program[C], settings store.Settings, more map[string]string) *Running {
	t.Helper()
	r := &Running{
		Health: fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		values: map[string]string{"DB_APP_LOGIN": settings.Login.RevealString()},
		log:    &lockedBuffer{}, ended: make(chan struct{}),
	}
	maps.Copy(r.values, more)
	environment := map[string]string{
		"DB_HOST": settings.Host, "DB_PORT": fmt.Sprint(settings.Port), "DB_NAME": "odds", "POLL_INTERVAL": "50ms", "LOG_LEVEL": "debug",
		"HEALTH_ADDRESS": r.Health,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	process := service.Process{
		LookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		Stdout:    io.Discard, Stderr: r.log,
		Loader: secrets.Loader{Source: secrets.Map(r.values)},
	}
	go func() {
		defer close(r.ended)
		r.code = p.Execute(ctx, process)
	}()
	t.Cleanup(func() {
		r.Stop(t)
		r.silent(t)
	})
	return r
}

// Stop asks the service to stop and returns its exit code.
func (r *Running) Stop(t testing.TB) int {
	t.Helper()
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(patience):
		t.Fatal("the service does not stop")
	}
	return r.code
}

// Log returns what the service has logged.
func (r *Running) Log() string { return r.log.String() }

// silent fails the test if the log tells a value. It first plants each value,
// and the password of the login alone, in a copy of the log and finds it.
func (r *Running) silent(t testing.TB) {
	t.Helper()
	var known []secrets.Known
	for name, value := range r.values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
		if _, password, ok := strings.Cut(value, ":"); ok {
			known = append(known, secrets.Known{Name: name + " password", Value: secrets.New([]byte(password))})
		}
	}
	matcher, log := redact.New(known), r.Log()
	for _, one := range known {
		if len(matcher.Find([]byte(log+one.Value.RevealString()))) == 0 {
			t.Errorf("%s, planted in the log, is not found: this search cannot fail", one.Name)
		}
	}
	for _, found := range matcher.Find([]byte(log)) {
		t.Errorf("the log tells %s as %s at byte %d", found.Name, found.Encoding, found.Start)
	}
	if log == "" {
		t.Error("the service has logged nothing: there was nothing to search")
	}
}

// Until polls until ok, and fails the test after a minute.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the buffer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of it.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
