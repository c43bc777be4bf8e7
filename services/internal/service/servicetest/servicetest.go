// Package servicetest is what tests of services share: programs that run in
// the test's process, buffers that goroutines may share, and searches for
// values that leaked.
package servicetest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
)

// patience bounds everything that a test waits for.
const patience = 2 * time.Minute

// Buffer is a buffer that goroutines may share.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the buffer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns everything that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Logger returns a logger that writes records of every level as JSON to the
// buffer.
func Logger() (*slog.Logger, *Buffer) {
	b := &Buffer{}
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})), b
}

// Provider serves handler until the test ends and returns the address.
func Provider(t testing.TB, handler http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// FreeAddress returns a loopback address that was free a moment ago.
func FreeAddress(t testing.TB) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// Until polls until ok, and fails the test after two minutes.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Leaks names the values that text holds, each with the encoding. It fails the
// test if a search of a copy of the text does not find a value planted in it.
func Leaks(t testing.TB, text string, values map[string]string) []string {
	t.Helper()
	var known []secrets.Known
	for name, value := range values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
	}
	matcher := redact.New(known)
	for name, value := range values {
		if len(matcher.Find([]byte(text+value))) == 0 {
			t.Errorf("%s is not found when planted: this search cannot fail", name)
		}
	}
	var found []string
	for _, match := range matcher.Find([]byte(text)) {
		found = append(found, match.Name+" "+match.Encoding)
	}
	return found
}

// Process is the surroundings of a program: an environment, and where its
// secrets come from. The log goes to the buffer.
func Process(environment map[string]string, source secrets.Source) (service.Process, *Buffer) {
	log := &Buffer{}
	return service.Process{
		LookupEnv: func(name string) (string, bool) { value, ok := environment[name]; return value, ok },
		Stdout:    io.Discard, Stderr: log,
		Loader: secrets.Loader{Source: source},
	}, log
}

// Running is a program that runs in this process.
type Running struct {
	Ask func()  // asks it to stop
	Log *Buffer // everything it has logged

	Ended chan struct{} // closed at its end
	code  int
}

// Start starts a program. It is stopped when the test ends.
func Start[C any](t testing.TB, p service.Program[C], environment map[string]string, source secrets.Source) *Running {
	t.Helper()
	process, log := Process(environment, source)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &Running{Ask: stop, Log: log, Ended: make(chan struct{})}
	go func() {
		defer close(r.Ended)
		r.code = p.Execute(ctx, process)
	}()
	t.Cleanup(func() { r.Stop(t) })
	return r
}

// Stop asks the program to stop and returns its exit code.
func (r *Running) Stop(t testing.TB) int {
	t.Helper()
	r.Ask()
	return r.Wait(t)
}

// Wait waits until the program ends and returns its exit code.
func (r *Running) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-r.Ended:
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
	return r.code
}
