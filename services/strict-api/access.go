package main

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"
)

// headerID is the header with the id of a request. The id is generated here and
// never taken from the client, who could send anything.
const headerID = "X-Request-Id"

// setHeaders sets the headers of every answer.
func setHeaders(h http.Header) {
	id := make([]byte, 8)
	rand.Read(id) // never fails: it ends the program instead
	h.Set(headerID, hex.EncodeToString(id))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// recorder remembers status and size of the answer, for the access log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(data)
	r.bytes += n
	return n, err
}

// logAccess writes one record per request. It contains nothing that the client can
// choose freely: no unknown path, no query, no header, no unknown method. Health checks that succeed are logged at debug level.
func (a *api) logAccess(r *http.Request, answered *recorder, took time.Duration) {
	route, method, level := "other", "other", slog.LevelInfo
	if _, ok := a.endpoints[r.URL.Path]; ok {
		route = r.URL.Path
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		method = r.Method
	}
	if route == healthPath && answered.status == http.StatusOK {
		level = slog.LevelDebug
	}
	a.log.LogAttrs(r.Context(), level, "request",
		slog.String("request", answered.Header().Get(headerID)),
		slog.String("method", method),
		slog.String("path", route),
		slog.Int("status", answered.status),
		slog.Int("bytes", answered.bytes),
		slog.Float64("took_ms", float64(took.Microseconds())/1000),
		slog.String("client", r.RemoteAddr))
}
