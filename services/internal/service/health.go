package service

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Health is the registry of named checks behind the health endpoint. It is
// safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	checks   map[string]func() error
	started  bool // an answer was ok
	stopping bool
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

// answered notes an answer and reports whether there was ever one that was ok.
func (h *Health) answered(ok bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = h.started || ok
	return h.started
}

// stop makes the registry fail as "stopping".
func (h *Health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// snapshot copies the checks, so that they run without the lock.
func (h *Health) snapshot() map[string]func() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	checks := maps.Clone(h.checks)
	if len(checks) == 0 {
		checks["start"] = func() error { return errStarting }
	}
	if h.stopping {
		checks["stop"] = func() error { return errStopping }
	}
	return checks
}

// HealthAnswer is the body of a health endpoint.
type HealthAnswer struct {
	Status  string   `json:"status"`            // "ok" or "failing"
	Failing []string `json:"failing,omitempty"` // names of the checks that fail, sorted
	Reasons []string `json:"reasons,omitempty"` // in the order of Failing
	Started bool     `json:"started,omitempty"` // beside "failing": an earlier answer was ok
}

// Answer runs the checks and returns the HTTP status with the body: 200 and "ok",
// or 503 and the names of the checks that fail. Without detail, which adds the
// reasons, the answer is fit for an endpoint without access control.
func (h *Health) Answer(detail bool) (int, HealthAnswer) {
	code, answer := http.StatusOK, HealthAnswer{Status: "ok"}
	checks := h.snapshot()
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		err := checks[name]()
		if err == nil {
			continue
		}
		code, answer.Status = http.StatusServiceUnavailable, "failing"
		answer.Failing = append(answer.Failing, name)
		if detail {
			answer.Reasons = append(answer.Reasons, err.Error())
		}
	}
	ok := code == http.StatusOK
	answer.Started = h.answered(ok) && !ok
	return code, answer
}

// Handler answers every request with [Health.Answer].
func (h *Health) Handler(detail bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code, answer := h.Answer(detail)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer) // the client is gone
	})
}
