package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
)

const healthPath = "/health"

// queryTime is how long the database may take for one request.
const queryTime = 10 * time.Second

// endpoint is one path of the API.
type endpoint struct {
	open       bool     // needs no token
	parameters []string // that its query may have
	answer     func(context.Context, archive, filter) (any, error)
}

// api answers HTTP requests.
type api struct {
	archive   func() (archive, error) // an error until it is connected
	bearer    *bearer
	health    *service.Health
	loaded    []secretOrigin
	log       *slog.Logger
	wrong     *wrongTokens
	endpoints map[string]endpoint
}

// newAPI puts the endpoints together.
func newAPI(a func() (archive, error), b *bearer, health *service.Health, loaded []secretOrigin, log *slog.Logger) *api {
	made := &api{archive: a, bearer: b, health: health, loaded: loaded, log: log, wrong: &wrongTokens{now: time.Now}}
	common := []string{"event", "team", "from", "to", "limit", "after"}
	made.endpoints = map[string]endpoint{
		healthPath:     {open: true},
		"/games":       {parameters: append([]string{"status"}, common...), answer: games},
		"/odds":        {parameters: append([]string{"book", "market"}, common...), answer: odds},
		"/movements":   {parameters: append([]string{"book", "kind"}, common...), answer: movements},
		"/predictions": {parameters: common, answer: predictions},
	}
	return made
}

// ServeHTTP always answers a request, and logs it.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	setHeaders(w.Header())
	answered := &recorder{ResponseWriter: w}
	defer func() { a.logAccess(r, answered, time.Since(began)) }()
	defer a.recovered(r.Context(), answered)
	a.serve(answered, r)
}

// recovered turns a panic into an answer and a record, which the log masks.
func (a *api) recovered(ctx context.Context, w *recorder) {
	value := recover()
	if value == nil {
		return
	}
	a.log.ErrorContext(ctx, "panic", "request", w.Header().Get(headerID), "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	if w.status == 0 {
		answerProblem(w, problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "the service failed; its log has a record with this request id"})
	}
}

// serve decides in this order: path, method, misplaced token, body, token,
// query, and answers.
func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	e, known := a.endpoints[r.URL.Path]
	switch {
	case !known:
		answerProblem(w, problem{Status: http.StatusNotFound, Code: "no_such_path", Detail: "not found; the paths are /health, /games, /odds, /movements, /predictions"})
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		answerProblem(w, problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "this path accepts only GET and HEAD"})
		return
	case a.bearer.misplaced(r.URL.Query()):
		answerProblem(w, problem{Status: http.StatusBadRequest, Code: "token_in_query", Detail: "a token in a query ends up in logs: send it as Authorization: Bearer, and replace this one if it was real"})
		return
	case r.ContentLength != 0:
		w.Header().Set("Connection", "close")
		answerProblem(w, problem{Status: http.StatusBadRequest, Code: "body_not_accepted", Detail: "this path accepts no request body"})
		return
	}
	who := a.bearer.of(r)
	if who == wrongToken || (who == noToken && !e.open) {
		a.refuseToken(w, who)
		return
	}
	f, problems := readQuery(r.URL.Path, r.URL.RawQuery, e.parameters)
	if len(problems) > 0 {
		answerProblem(w, problem{Status: http.StatusBadRequest, Code: "invalid_query", Detail: fmt.Sprintf("problems with the query: %d", len(problems)), Problems: problems})
		return
	}
	if e.open {
		a.answerHealth(w, who == rightToken)
		return
	}
	a.answerFrom(w, r, e, f)
}

// refuseToken answers 401, or 429 when too many wrong tokens came.
func (a *api) refuseToken(w http.ResponseWriter, who credentials) {
	challenge := `Bearer realm="strict-api"`
	if who == wrongToken {
		retryAfter, first := a.wrong.another()
		if first {
			a.log.Warn("many wrong tokens: answering 429 for the rest of this minute", "more_than", wrongTokensMax)
		}
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter.Seconds()))))
			answerProblem(w, problem{Status: http.StatusTooManyRequests, Code: "too_many_wrong_tokens", Detail: "too many wrong tokens; the right one is still accepted"})
			return
		}
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	answerProblem(w, problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "send the header Authorization: Bearer with the value of STRICT_API_TOKEN"})
}

// answerFrom asks the archive and answers with a page.
func (a *api) answerFrom(w http.ResponseWriter, r *http.Request, e endpoint, f filter) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTime)
	defer cancel()
	from, err := a.archive()
	var body any
	if err == nil {
		body, err = e.answer(ctx, from, f)
	}
	switch {
	case err == nil:
		answer(w, body)
	case errors.Is(r.Context().Err(), context.Canceled):
		w.WriteHeader(statusClientGone)
	default:
		a.log.ErrorContext(ctx, "query failed", "request", w.Header().Get(headerID), "path", r.URL.Path, "error", err.Error())
		w.Header().Set("Retry-After", "5")
		answerProblem(w, problem{Status: http.StatusServiceUnavailable, Code: "database", Detail: "the database does not answer; try again later"})
	}
}

// statusClientGone is what the log shows for a client that did not wait.
const statusClientGone = 499
