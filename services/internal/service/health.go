package service

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Health is the registry of named checks behind the health endpoint. It is
// safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	checks   map[string]func() error
	stopping bool
}

// Failure is a check that fails.
type Failure struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // in our own words, without a value
}

var (
	errStarting = errors.New("the service has not registered a check yet")
	errStopping = errors.New("the service was asked to stop")
)

// NewHealth returns a registry without checks, which fails as "start" until
// the first one is registered.
func NewHealth() *Health {
	return &Health{checks: map[string]func() error{}}
}

// Register adds a check, or replaces the one of that name. It is called at
// every request to the health endpoint, so it must be quick, and its error's
// text must hold no value.
func (h *Health) Register(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Set registers a check with a fixed answer; nil is healthy.
func (h *Health) Set(name string, err error) {
	h.Register(name, func() error { return err })
}

// stop makes the registry fail as "stopping".
func (h *Health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// Failures returns the checks that fail, sorted by name; none means healthy.
func (h *Health) Failures() []Failure {
	var failures []Failure
	for name, check := range h.snapshot() {
		if err := check(); err != nil {
			failures = append(failures, Failure{Name: name, Reason: err.Error()})
		}
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.Name, b.Name) })
	return failures
}

// snapshot copies the checks, so that they run without the lock.
func (h *Health) snapshot() map[string]func() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	checks := map[string]func() error{}
	for name, check := range h.checks {
		checks[name] = check
	}
	if len(checks) == 0 {
		checks["start"] = func() error { return errStarting }
	}
	if h.stopping {
		checks["stop"] = func() error { return errStopping }
	}
	return checks
}

// healthAnswer is the body of the health endpoint.
type healthAnswer struct {
	Status  string   `json:"status"` // "ok" or "failing"
	Failing []string `json:"failing,omitempty"`
	Reasons []string `json:"reasons,omitempty"` // only of DetailHandler, in the order of Failing
}

// Handler answers 200 and {"status":"ok"}, or 503 and the names of the checks
// that fail: fit for an endpoint without access control.
func (h *Health) Handler() http.Handler { return h.handler(false) }

// DetailHandler is Handler with the reasons: fit for loopback.
func (h *Health) DetailHandler() http.Handler { return h.handler(true) }

func (h *Health) handler(reasons bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := healthAnswer{Status: "ok"}
		code := http.StatusOK
		for _, failure := range h.Failures() {
			answer.Status, code = "failing", http.StatusServiceUnavailable
			answer.Failing = append(answer.Failing, failure.Name)
			if reasons {
				answer.Reasons = append(answer.Reasons, failure.Reason)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer) // the client is gone
	})
}
