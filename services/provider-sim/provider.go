package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// The modes of a fault; see also [modes].
const (
	modeNone      = "none"
	modeSlow      = "slow"
	mode500       = "500"
	mode429       = "429"
	mode401       = "401"
	modeHangup    = "hangup"
	modeMalformed = "malformed"
)

// modes returns all modes of a fault.
func modes() []string {
	return []string{modeNone, modeSlow, mode500, mode429, mode401, modeHangup, modeMalformed}
}

// slowest is how long a slow answer takes if the caller waits that long.
const slowest = time.Minute

// provider is what both providers have in common: a key, counters and faults.
type provider struct {
	name   string
	key    secrets.Secret
	real   func() time.Time
	refuse func(w http.ResponseWriter, r *http.Request, why refusal)

	mu       sync.Mutex
	counters counters
	fault    fault
}

// counters count the calls of a provider.
type counters struct {
	Authenticated int `json:"authenticated"` // with the right key
	Refused       int `json:"refused"`       // with a wrong key or none
	Faults        int `json:"faults"`        // answered by a fault
	Cost          int `json:"cost"`          // of the quota
}

// fault is a failure to simulate.
type fault struct {
	mode       string
	left       int       // calls; 0: no limit
	until      time.Time // our own time; zero: no limit
	retryAfter int       // seconds; for 429 and 500
}

// refusal is why a call is refused.
type refusal int

const (
	wrongKey refusal = iota
	missingKey
	tooMany
)

// guard checks the key, counts, lets faults happen, and only then calls next. Key
// reads the key from a request.
func (p *provider) guard(key func(*http.Request) string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := key(r)
		right := secrets.New([]byte(given)).Equal(p.key)
		mode, retryAfter := p.begin(right)
		if retryAfter > 0 && (mode == mode429 || mode == mode500) {
			setInt(w.Header(), "Retry-After", retryAfter)
		}
		switch {
		case !right && given == "":
			p.refuse(w, r, missingKey)
		case !right, mode == mode401:
			p.refuse(w, r, wrongKey)
		case mode == mode429:
			p.refuse(w, r, tooMany)
		default:
			p.misbehave(w, r, mode, next)
		}
	})
}

// misbehave answers as the fault says, or calls next if there is none.
func (p *provider) misbehave(w http.ResponseWriter, r *http.Request, mode string, next http.HandlerFunc) {
	switch mode {
	case mode500:
		http.Error(w, "internal server error", http.StatusInternalServerError)
	case modeMalformed:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"id": "`) // the caller is gone
	case modeHangup:
		hangUp(w)
	case modeSlow:
		timer := time.NewTimer(slowest)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
		next(w, r)
	default:
		next(w, r)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close() // nothing was sent that could be lost
	}
}

// begin counts a call and returns the fault for it.
func (p *provider) begin(right bool) (mode string, retryAfter int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !right {
		p.counters.Refused++
		return modeNone, 0
	}
	f := &p.fault
	if !f.until.IsZero() && !p.real().Before(f.until) {
		*f = fault{}
	}
	mode, retryAfter = f.mode, f.retryAfter
	if f.left > 0 {
		if f.left--; f.left == 0 {
			*f = fault{}
		}
	}
	if mode == mode401 {
		p.counters.Refused++
	} else {
		p.counters.Authenticated++
	}
	if mode != "" && mode != modeNone {
		p.counters.Faults++
	}
	return mode, retryAfter
}

// charge takes a call's cost from the quota and returns how much is used and left.
func (p *provider) charge(cost int) (used, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counters.Cost += cost
	return p.counters.Cost, max(0, quota-p.counters.Cost)
}

// count returns the counters.
func (p *provider) count() counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counters
}

// faultRequest is the body of POST /sim/faults.
type faultRequest struct {
	Provider   string `json:"provider"` // the-odds-api, api-basketball, or "" for both
	Mode       string `json:"mode"`
	Count      int    `json:"count"`
	For        string `json:"for"`         // Go duration
	RetryAfter int    `json:"retry_after"` // seconds
}

// takeFault sets a fault.
func (s *simulator) takeFault(w http.ResponseWriter, r *http.Request) {
	var asked faultRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		http.Error(w, "the body is not a fault", http.StatusBadRequest)
		return
	}
	made, what := asked.fault(s.real())
	providers := slices.DeleteFunc([]*provider{s.odds, s.games}, func(p *provider) bool { return asked.Provider != "" && asked.Provider != p.name })
	if what == "" && len(providers) == 0 {
		what = "provider is neither the-odds-api nor api-basketball"
	}
	if what != "" {
		http.Error(w, what, http.StatusBadRequest)
		return
	}
	for _, p := range providers {
		p.mu.Lock()
		p.fault = made
		p.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}

// fault returns what is asked for, or what is wrong with it.
func (f faultRequest) fault(now time.Time) (fault, string) {
	made := fault{mode: f.Mode, left: f.Count, retryAfter: f.RetryAfter}
	if !slices.Contains(modes(), f.Mode) {
		return fault{}, "mode must be one of: " + strings.Join(modes(), ", ")
	}
	if f.Count < 0 || f.RetryAfter < 0 {
		return fault{}, "count and retry_after are not negative"
	}
	if f.For != "" {
		length, err := time.ParseDuration(f.For)
		if err != nil || length <= 0 {
			return fault{}, "for is not a duration such as 30s"
		}
		made.until = now.Add(length)
	}
	return made, ""
}
