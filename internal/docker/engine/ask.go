package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/docker/docker/api/types/registry"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// Request is a request of the engine's API. It goes through the connection of
// the client, but not through its types, which drop every field that they do not
// know.
type Request struct {
	Doing  string // completes "… while": "listing the services"
	Method string
	Path   string // below the version: /services
	Query  url.Values
	Auth   secrets.Secret // a registry's credentials, encoded for X-Registry-Auth; zero: none
	Body   []byte         // JSON; nil: none
}

// Refusal is the cause of an error if the engine answered a [Request] with one.
type Refusal struct {
	Status int    // of HTTP
	Text   string // the engine's words on one line
}

// Error returns the engine's words.
func (r *Refusal) Error() string { return r.Text }

// errBroken replaces errors of the transport: they quote the request's URL, or
// what the other side sent.
var errBroken = errors.New("the connection broke")

// maxRefusal is how much of an error's text is read.
const maxRefusal = 64 << 10

// Ask makes a request and returns the answer's body. If the engine refuses it,
// the cause of the error is a *[Refusal]; no other text of the engine is in an
// error.
func (e *Engine) Ask(ctx context.Context, r Request) ([]byte, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	body, err := e.send(inner, r)
	if err != nil {
		return nil, e.fail(ctx, r.Doing, err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return data, e.fail(ctx, r.Doing, broken(err))
}

// AskLog makes a request whose answer is a log that ends, and copies it, byte
// for byte, to two writers. The log of a terminal goes to stdout.
func (e *Engine) AskLog(ctx context.Context, r Request, tty bool, stdout, stderr io.Writer) error {
	inner, cancel := e.quick(ctx)
	defer cancel()
	body, err := e.send(inner, r)
	if err != nil {
		return e.fail(ctx, r.Doing, err)
	}
	defer body.Close()
	return e.fail(ctx, r.Doing, copyLog(body, tty, stdout, stderr))
}

// send makes a request and returns the body of its answer, or a *Refusal. ctx
// must end when the body is closed.
func (e *Engine) send(ctx context.Context, r Request) (io.ReadCloser, error) {
	at := e.base
	at.Path += "/v" + e.client.ClientVersion() + r.Path
	at.RawQuery = r.Query.Encode()
	request, err := http.NewRequestWithContext(ctx, r.Method, at.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, errBroken
	}
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if !r.Auth.IsZero() {
		request.Header.Set(registry.AuthHeader, r.Auth.RevealString())
	}
	answer, err := e.client.HTTPClient().Do(request)
	if err != nil {
		return nil, broken(err)
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	return nil, refusalOf(answer)
}

// broken replaces an error of the transport. That the deadline passed, or that
// the caller gave up, remains.
func broken(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return errBroken
}

// refusalOf reads the engine's error, which is JSON, or text of whatever is in
// between.
func refusalOf(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if err != nil {
		return broken(err)
	}
	var said struct{ Message string }
	if json.Unmarshal(text, &said) != nil {
		said.Message = string(text)
	}
	refusal := &Refusal{Status: answer.StatusCode, Text: OneLine(said.Message)}
	if refusal.Text == "" {
		refusal.Text = fmt.Sprintf("the engine answered with status %d", answer.StatusCode)
	}
	return refusal
}
