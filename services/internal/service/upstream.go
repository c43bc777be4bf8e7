package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	text := e.Upstream + " " + cmp.Or(map[Kind]string{
		Unauthorized: "refuses " + e.Secret,
		ServerError:  "fails",
		RateLimited:  "limits the rate",
		Refused:      "refuses the request",
		Malformed:    "answers with something malformed",
	}[e.Kind], "is "+string(e.Kind))
	if e.Status != 0 && e.Status != http.StatusOK {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// The limits of a call.
const (
	defaultTimeout = 10 * time.Second
	maxBody        = 16 << 20
)

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
	// Transport carries the calls. Nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Reply is what an answer says besides its body.
type Reply struct {
	At     time.Time // the upstream's clock, from its Date header; zero when absent
	UsedUp bool      // no call is left in the quota
}

// usedUpPause is the least time between calls when the quota is used up.
const usedUpPause = 10 * time.Minute

// Pause returns how long to wait at least before the next call, and warns in the
// log if the quota is used up.
func (u Upstream) Pause(reply Reply, log *slog.Logger) time.Duration {
	if !reply.UsedUp {
		return 0
	}
	log.Warn("the quota of "+u.Name+" is used up", "secret", u.Secret, "pause", usedUpPause.String())
	return usedUpPause
}

// Get calls path with query and header and decodes the JSON body into dst. It
// follows no redirect, which would carry the key to another place. An error is
// an *UpstreamError, or the context's own error when ctx is done.
func (u Upstream) Get(ctx context.Context, path string, query url.Values, header http.Header, dst any) (Reply, error) {
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(u.Timeout, defaultTimeout))
	defer cancel()
	address := *u.Base
	address.Path = strings.TrimSuffix(address.Path, "/") + path
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, address.String(), nil)
	if err != nil {
		return Reply{}, u.fail(Refused, 0, "the address is not valid")
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
		return Reply{}, u.noAnswer(ctx, bounded, err)
	}
	defer response.Body.Close()
	return u.read(ctx, bounded, response, dst)
}

// read takes headers and body of an answer.
func (u Upstream) read(ctx, bounded context.Context, response *http.Response, dst any) (Reply, error) {
	reply := Reply{At: date(response.Header), UsedUp: usedUp(response.Header.Get(u.Quota))}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return reply, u.noAnswer(ctx, bounded, err)
	}
	if response.StatusCode != http.StatusOK {
		return reply, u.refusal(response, body, reply.At)
	}
	if len(body) > maxBody {
		return reply, u.fail(Malformed, http.StatusOK, fmt.Sprintf("the body is larger than %d bytes", maxBody))
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
		return u.fail(Slow, 0, fmt.Sprintf("no complete answer within %s", cmp.Or(u.Timeout, defaultTimeout)))
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

// usedUp reports whether a quota header says that less than one call is left.
func usedUp(left string) bool {
	n, err := strconv.ParseFloat(left, 64)
	return err == nil && n >= 0 && n < 1
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
