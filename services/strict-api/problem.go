package main

import (
	"encoding/json"
	"net/http"
)

// problem is how every error is answered: RFC 9457 problem details of type
// application/problem+json, with a code for programs. No field ever repeats a
// value that the client sent, nor anything that the database said.
type problem struct {
	Type      string           `json:"type"`               // always about:blank: the status says what kind it is
	Title     string           `json:"title"`              // the status in words
	Status    int              `json:"status"`             // the HTTP status
	Code      string           `json:"code"`               // stable, see the package comment
	Detail    string           `json:"detail"`             // what is wrong and what to do, for people
	RequestID string           `json:"request_id"`         // as in X-Request-Id and in the log
	Problems  []invalidElement `json:"problems,omitempty"` // with code invalid_query: all of them at once
}

// invalidElement is one thing that is wrong with a query.
type invalidElement struct {
	Parameter string `json:"parameter"`
	Problem   string `json:"problem"`
}

// answerProblem writes p with its status.
func answerProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title, p.RequestID = "about:blank", http.StatusText(p.Status), w.Header().Get(headerID)
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, p.Status, p)
}

// answer writes body as JSON with status 200.
func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, http.StatusOK, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone
}
