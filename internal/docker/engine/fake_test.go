package engine_test

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
)

// fake is an engine with faults that a real one cannot be brought to. It answers
// "METHOD /path" from a table, and everything else with 404.
type fake struct {
	API, OS string // of the ping; "" for API: no header at all
	Answers map[string]http.HandlerFunc

	mu   sync.Mutex
	seen []string
}

var versioned = regexp.MustCompile(`^/v1\.[0-9]+`)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + versioned.ReplaceAllString(r.URL.Path, "")
	f.mu.Lock()
	f.seen = append(f.seen, key)
	f.mu.Unlock()
	if answer, ok := f.Answers[key]; ok {
		answer(w, r)
		return
	}
	for pattern, answer := range f.Answers {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(key, prefix) {
			answer(w, r)
			return
		}
	}
	if strings.HasSuffix(key, " /_ping") {
		if f.API != "" {
			w.Header().Set("Api-Version", f.API)
		}
		w.Header().Set("Ostype", f.OS)
		return
	}
	say(404, `{"message":"page not found"}`)(w, r)
}

// Seen returns the requests so far.
func (f *fake) Seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

// say answers with a status and a JSON text.
func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// broken answers with the beginning of a stream and hangs up.
func broken(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + body)
		_ = buffer.Flush()
		_ = conn.Close()
	}
}

// hang gives no answer until the caller is gone, which the server notices once
// the request is read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// listen serves on a temporary socket and returns its path.
func listen(t *testing.T, handler http.Handler) string {
	t.Helper()
	path := filepath.Join(shortDir(t), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return path
}

// shortDir is a temporary directory whose path fits into a socket address.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "eng")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// options has socket as the default and an empty environment.
func options(t *testing.T, socket string) engine.Options {
	t.Helper()
	return engine.Options{DefaultHost: "unix://" + socket, ConfigDir: t.TempDir(), LookupEnv: env(nil),
		Deadline: 5 * time.Second, Installed: func() bool { return false }}
}

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := values[name]; return value, ok }
}

// connected is an Engine connected to a fake.
func connected(t *testing.T, f *fake) *engine.Engine {
	t.Helper()
	if f.API == "" {
		f.API, f.OS = "1.41", "linux"
	}
	e, err := engine.Connect(t.Context(), options(t, listen(t, f)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// asJSON renders an answer of a fake.
func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// logTo collects log streams.
type logTo struct{ out, err strings.Builder }

func readLog(t *testing.T, e *engine.Engine, to *logTo) error {
	t.Helper()
	return e.ContainerLogs(t.Context(), "web", docker.LogOptions{Follow: true}, &to.out, &to.err)
}

// discardLog keeps a server from logging to standard error.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
