package service_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
)

func TestHealthHandlers(t *testing.T) {
	h := service.NewHealth()
	check := func(handler http.Handler, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
		if w.Code != status || strings.TrimSpace(w.Body.String()) != body {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, body)
		}
	}
	check(h.Handler(false), 503, `{"status":"failing","failing":["start"]}`)
	h.Set("postgres", nil)
	check(h.Handler(false), 200, `{"status":"ok"}`)
	h.Register("upstream", func() error { return errors.New("slow") })
	h.Set("a", errors.New("b"))
	check(h.Handler(false), 503, `{"status":"failing","failing":["a","upstream"],"started":true}`)
	check(h.Handler(true), 503, `{"status":"failing","failing":["a","upstream"],"reasons":["b","slow"],"started":true}`)
	h.Set("a", nil)
	h.Set("upstream", nil)
	check(h.Handler(true), 200, `{"status":"ok"}`)
}

// The subcommand against endpoints that are not what they should be.
func TestHealthSubcommandAgainstBadEndpoints(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	}))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"slow":        {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time"},
		"hangs up":    {hangUp, "the connection broke off"},
		"other words": {body("<html>ok</html>"), "is not a health answer"},
		"redirect":    {status(302, "Location", elsewhere.URL), "is not a health answer"},
		"ok with 503": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"status":"ok"}`, http.StatusServiceUnavailable)
		}, "failing"},
		"large answer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, "is not a health answer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			s := surround(t, nil, "health")
			p := service.Program[config]{Name: "example", HealthURL: server.URL, Run: func(context.Context, *service.Kit, *config) error { return nil }}
			begun := time.Now()
			code := p.Execute(t.Context(), s.Process)
			if code != 1 || !strings.Contains(s.stdout.String(), test.says) {
				t.Errorf("exit code %d: %s, want %q", code, s.stdout, test.says)
			}
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("it took %s, the deadline is 2 s", took)
			}
		})
	}
}
