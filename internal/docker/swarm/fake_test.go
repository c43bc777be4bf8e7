package swarm_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is a request that a fake engine got.
type request struct {
	line string // METHOD /path?query, without the version
	auth string // X-Registry-Auth
	kind string // Content-Type
	body string
}

// fake is an engine with faults that a real one cannot be brought to. It answers
// "METHOD /path" from a table.
type fake struct {
	answers map[string]http.HandlerFunc
	other   http.HandlerFunc // everything that is not in the table; nil: 404

	mu  sync.Mutex
	got []request
}

var versioned = regexp.MustCompile(`^/v1\.[0-9]+`)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := versioned.ReplaceAllString(r.URL.Path, "")
	if path == "/_ping" {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Ostype", "linux")
		return
	}
	body, _ := io.ReadAll(r.Body)
	one := request{r.Method + " " + path, r.Header.Get("X-Registry-Auth"), r.Header.Get("Content-Type"), string(body)}
	answer, ok := f.answers[one.line]
	if r.URL.RawQuery != "" {
		one.line += "?" + r.URL.RawQuery
	}
	f.mu.Lock()
	f.got = append(f.got, one)
	f.mu.Unlock()
	switch {
	case ok:
		answer(w, r)
	case f.other != nil:
		r.Body = io.NopCloser(strings.NewReader(one.body))
		f.other(w, r)
	default:
		say(404, `{"message":"page not found"}`)(w, r)
	}
}

// requests returns the requests since the last call, without pings.
func (f *fake) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// lines returns the first lines of the requests since the last call.
func (f *fake) lines() []string {
	var all []string
	for _, one := range f.requests() {
		all = append(all, one.line)
	}
	return all
}

// say answers with a status and a JSON text.
func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// refuse answers with an error.
func refuse(status int, message string) http.HandlerFunc {
	text, _ := json.Marshal(map[string]string{"message": message})
	return say(status, string(text))
}

// hang gives no answer until the caller is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// broken sends these bytes and hangs up.
func broken(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = buffer.WriteString(raw)
		_ = buffer.Flush()
		_ = conn.Close()
	}
}

// settings are how a test connects.
type settings struct {
	swarm.Options
	host     func(address string) string // from 127.0.0.1:PORT; nil: TCP
	tls      bool
	config   string // config.json of the engine's configuration
	env      map[string]string
	deadline time.Duration
}

// connect connects to a fake.
func connect(t *testing.T, f *fake, with settings) *swarm.Swarm {
	t.Helper()
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	env := map[string]string{}
	if with.tls {
		server.StartTLS()
		env["DOCKER_TLS"] = "1"
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	if with.host != nil {
		address = with.host(address)
	}
	env["DOCKER_HOST"] = "tcp://" + address
	dir := t.TempDir()
	if with.config != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(with.config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := engine.Connect(t.Context(), engine.Options{ConfigDir: dir, CallDeadline: with.deadline, LookupEnv: lookup(env)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if with.LookupEnv == nil {
		with.LookupEnv = lookup(with.env)
	}
	return swarm.New(e, with.Options)
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := env[name]; return value, ok }
}

// unspecified is an address of this machine that does not look like one: a
// connection to 0.0.0.0 goes to this machine (package net).
func unspecified(address string) string { return strings.Replace(address, "127.0.0.1", "0.0.0.0", 1) }

// aSpec is a specification with fields that nobody knows.
const aSpec = `{"Name":"web","Labels":{"a":"1"},"Future":{"deep":[1.50,"&<>"]},"TaskTemplate":{"ContainerSpec":{"Image":"web:1","Novel":true},"Runtime":"container"}}`

func parsed(t *testing.T, text string) docker.ServiceSpec {
	t.Helper()
	spec, err := docker.ParseServiceSpec([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// value is a value that is sent.
const value = "s3cret-value/of+a<test>"

// calls has every method that asks the engine.
func calls(t *testing.T, s *swarm.Swarm) map[string]func(context.Context) error {
	t.Helper()
	spec := parsed(t, aSpec)
	return map[string]func(context.Context) error{
		"Manager":  func(ctx context.Context) error { _, err := s.Manager(ctx); return err },
		"Secrets":  func(ctx context.Context) error { _, err := s.Secrets(ctx); return err },
		"Configs":  func(ctx context.Context) error { _, err := s.Configs(ctx); return err },
		"Services": func(ctx context.Context) error { _, err := s.Services(ctx); return err },
		"Service":  func(ctx context.Context) error { _, err := s.Service(ctx, "id"); return err },
		"Tasks":    func(ctx context.Context) error { _, err := s.Tasks(ctx, "id"); return err },
		"TaskLogs": func(ctx context.Context) error {
			return s.TaskLogs(ctx, docker.Task{ID: "id"}, 0, io.Discard, io.Discard)
		},
		"Nodes":        func(ctx context.Context) error { _, err := s.Nodes(ctx); return err },
		"Networks":     func(ctx context.Context) error { _, err := s.Networks(ctx); return err },
		"HasImage":     func(ctx context.Context) error { _, err := s.HasImage(ctx, "web:1"); return err },
		"ResolveImage": func(ctx context.Context) error { _, err := s.ResolveImage(ctx, "web:1"); return err },
		"CreateSecret": func(ctx context.Context) error {
			_, err := s.CreateSecret(ctx, "a", nil, secrets.New([]byte(value)))
			return err
		},
		"CreateConfig": func(ctx context.Context) error { _, err := s.CreateConfig(ctx, "a", nil, []byte("data")); return err },
		"CreateNetwork": func(ctx context.Context) error {
			_, err := s.CreateNetwork(ctx, docker.NetworkSpec{Name: "a", JSON: []byte(`{}`)})
			return err
		},
		"CreateService": func(ctx context.Context) error { _, _, err := s.CreateService(ctx, spec); return err },
		"UpdateService": func(ctx context.Context) error { _, err := s.UpdateService(ctx, "id", 7, spec); return err },
		"RelabelConfig": func(ctx context.Context) error { return s.RelabelConfig(ctx, "id", 7, nil) },
		"RemoveSecret":  func(ctx context.Context) error { return s.RemoveSecret(ctx, "id") },
		"RemoveConfig":  func(ctx context.Context) error { return s.RemoveConfig(ctx, "id") },
		"RemoveService": func(ctx context.Context) error { return s.RemoveService(ctx, "id") },
		"RemoveNetwork": func(ctx context.Context) error { return s.RemoveNetwork(ctx, "id") },
	}
}

// each runs a check for every call to an engine that always gives this answer,
// each with an engine of its own.
func each(t *testing.T, answer http.HandlerFunc, with settings, check func(t *testing.T, name string, call func(context.Context) error)) {
	t.Helper()
	for name := range calls(t, nil) {
		t.Run(name, func(t *testing.T) {
			s := connect(t, &fake{other: answer}, with)
			check(t, name, calls(t, s)[name])
		})
	}
}
