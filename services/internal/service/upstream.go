package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kind is what kind of failure an upstream shows.
type Kind string

// The kinds of failure.
const (
	Down         Kind = "down"         // no connection, or it broke off
	Slow         Kind = "slow"         // no complete answer within the deadline
	Unauthorized Kind = "unauthorized" // the key is refused: 401 or 403
	RateLimited  Kind = "rate limited" // 429, or the quota is used up
	ServerError  Kind = "server error" // 5xx
	Refused      Kind = "refused"      // any other status that is not 200
	Malformed    Kind = "malformed"    // 200, and not what was asked for
)

// UpstreamError says what kind of failure an upstream shows. It neither quotes
// nor wraps errors of net/http, net/url and encoding/json: they quote the URL
// and the body, and both may contain the key.
type UpstreamError struct {
	Upstream   string // name of the upstream
	Secret     string // name of its key
	Kind       Kind
	Status     int           // 0 when there was no answer
	Detail     string        // in our own words
	RetryAfter time.Duration // what the upstream asked to wait; 0 when it did not
}

// Error names the upstream, the class and, for a refused key, the secret.
func (e *UpstreamError) Error() string {
	text := e.Upstream + " is " + string(e.Kind)
	switch e.Kind {
	case Unauthorized:
		text = fmt.Sprintf("%s refuses %s", e.Upstream, e.Secret)
	case ServerError:
		text = e.Upstream + " fails"
	case RateLimited:
		text = e.Upstream + " limits the rate"
	case Refused:
		text = e.Upstream + " refuses the request"
	case Malformed:
		text = e.Upstream + " answers with something malformed"
	}
	if e.Status != 0 && e.Status != http.StatusOK {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Upstream is a provider's HTTP interface.
type Upstream struct {
	Name   string   // for errors
	Secret string   // name of the secret that holds its key, for errors
	Base   *url.URL // scheme, host and port; a path is put behind it
	// Quota is the header with the number of calls left. "": the upstream has none.
	Quota string
	// Classify reads the status and body of a refusal that says more than its
	// status. It returns "" for all others; the detail must be the caller's own
	// words. Nil: the status says it all.
	Classify func(status int, body []byte) (Kind, string)
	// Timeout bounds a whole call, the body included. Zero: 10 s.
	Timeout time.Duration
	// MaxBody bounds the body. Zero: 16 MiB.
	MaxBody int64
	// Transport carries the calls. Nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Reply is what an answer says besides its body.
type Reply struct {
	At        time.Time // the upstream's clock, from its Date header; zero when absent
	Remaining int       // calls left in the quota; -1 when it does not say
}

// Get calls path with query and header and decodes the JSON body into dst. It
// follows no redirect, which would carry the key to another place. An error is
// an *UpstreamError, or the context's own error when ctx is done.
func (u Upstream) Get(ctx context.Context, path string, query url.Values, header http.Header, dst any) (Reply, error) {
	bounded, cancel := context.WithTimeout(ctx, orDefault(u.Timeout, 10*time.Second))
	defer cancel()
	address := *u.Base
	address.Path = strings.TrimSuffix(address.Path, "/") + path
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, address.String(), nil)
	if err != nil {
		return Reply{Remaining: -1}, u.fail(Refused, 0, "the address is not valid")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Accept", "application/json")
	client := &http.Client{
		Transport:     u.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return Reply{Remaining: -1}, u.noAnswer(ctx, bounded, err)
	}
	defer response.Body.Close()
	return u.read(ctx, bounded, response, dst)
}

// read takes headers and body of an answer.
func (u Upstream) read(ctx, bounded context.Context, response *http.Response, dst any) (Reply, error) {
	reply := Reply{At: date(response.Header), Remaining: remaining(response.Header.Get(u.Quota))}
	limit := orDefault(u.MaxBody, 16<<20)
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return reply, u.noAnswer(ctx, bounded, err)
	}
	if response.StatusCode != http.StatusOK {
		return reply, u.refusal(response, body, reply.At)
	}
	if int64(len(body)) > limit {
		return reply, u.fail(Malformed, http.StatusOK, fmt.Sprintf("the body is larger than %d bytes", limit))
	}
	if err := json.Unmarshal(body, dst); err != nil {
		return reply, u.fail(Malformed, http.StatusOK, jsonReason(err))
	}
	return reply, nil
}

// fail makes an error of this upstream.
func (u Upstream) fail(kind Kind, status int, detail string) *UpstreamError {
	return &UpstreamError{Upstream: u.Name, Secret: u.Secret, Kind: kind, Status: status, Detail: detail}
}

// Fail makes an error of this upstream, for what an answer with status 200 says
// in its body. Detail must be the caller's own words.
func (u Upstream) Fail(kind Kind, detail string) *UpstreamError {
	return u.fail(kind, http.StatusOK, detail)
}

// noAnswer classifies a call that brought no whole answer.
func (u Upstream) noAnswer(ctx, bounded context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if bounded.Err() != nil || isTimeout(err) {
		return u.fail(Slow, 0, fmt.Sprintf("no complete answer within %s", orDefault(u.Timeout, 10*time.Second)))
	}
	return u.fail(Down, 0, connectReason(err))
}

// refusal classifies an answer by Classify, or else by its status.
func (u Upstream) refusal(response *http.Response, body []byte, now time.Time) *UpstreamError {
	status := response.StatusCode
	failure := u.fail("", status, "")
	if u.Classify != nil {
		failure.Kind, failure.Detail = u.Classify(status, body)
	}
	switch {
	case failure.Kind != "":
	case status == http.StatusTooManyRequests:
		failure.Kind = RateLimited
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		failure.Kind = Unauthorized
	case status >= 500:
		failure.Kind = ServerError
	case status >= 300 && status < 400:
		failure.Kind, failure.Detail = Refused, "it redirects, which is not followed with a key"
	default:
		failure.Kind = Refused
	}
	failure.RetryAfter = retryAfter(response.Header, now)
	return failure
}

// connectReason says in our own words why there is no connection.
func connectReason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "its host name is not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection broke off"
	case isTimeout(err):
		return "no answer in time"
	}
	return "no connection"
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// jsonReason says where JSON is wrong without quoting it.
func jsonReason(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("invalid JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("unexpected JSON structure at byte %d", kind.Offset)
	}
	return "unexpected JSON structure"
}

// date reads the Date header.
func date(header http.Header) time.Time {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// remaining reads a quota header.
func remaining(text string) int {
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 {
		return int(min(n, 1e9))
	}
	return -1
}

// retryAfter reads Retry-After, as seconds or as a date against the upstream's
// own clock, and takes an hour at most.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil && !now.IsZero() {
		wait = at.Sub(now)
	}
	return max(0, min(wait, time.Hour))
}

// orDefault returns value, or fallback when it is not positive.
func orDefault[T ~int64](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}
