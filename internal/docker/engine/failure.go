package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
)

// failure returns the error that no engine can be used.
func failure(cause docker.Cause, at docker.Endpoint, detail, what, next string) error {
	return &fault.Error{Code: fault.NoEngine, What: what, Next: next,
		Cause: &docker.Failure{Cause: cause, Endpoint: at, Detail: detail}}
}

// ErrNotFound is the cause if the engine has no such container or image.
var ErrNotFound = errors.New("not found on the engine")

// fail turns an error of the client into one for the user. doing completes
// "… while": "reading the log of web". ctx is the caller's, not the one that
// carries this package's own deadline.
func (e *Engine) fail(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return proc.Stopped(ctx, doing, "")
	}
	var known *fault.Error
	var refusal *Refusal
	text := OneLine(err.Error())
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return failure(docker.CauseTimeout, e.endpoint, "no answer to a call",
			"the engine at "+e.endpoint.Host+" did not answer within "+e.patience().String()+" while "+doing, "mage engine:doctor")
	case strings.Contains(text, "is too old. Minimum supported API version"):
		return failure(docker.CauseVersion, e.endpoint, "the engine only speaks newer versions",
			"the engine at "+e.endpoint.Host+" is newer than this keepmum: it no longer speaks API "+e.client.ClientVersion(),
			"update keepmum")
	case lost(err):
		return failure(docker.CauseGone, e.endpoint, "the connection broke",
			"the engine at "+e.endpoint.Host+" stopped answering while "+doing, "mage engine:doctor, then the same command again")
	case errdefs.IsNotFound(err):
		return &fault.Error{Code: fault.Failed, What: doing + ": " + text, Cause: ErrNotFound}
	case errors.As(err, &refusal):
		return &fault.Error{Code: fault.Failed, What: doing + ": " + text, Cause: refusal}
	}
	return &fault.Error{Code: fault.Failed, What: doing + ": " + text}
}

// lost reports whether the connection broke, before or during an answer. The
// client has no error type for the latter.
func lost(err error) bool {
	signs := []string{"connection reset", "broken pipe", "unexpected EOF", "use of closed network connection", "Error reading JSON", "error during connect"}
	return client.IsErrConnectionFailed(err) || isEOF(err) || errors.Is(err, errBroken) || slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(err.Error(), sign) })
}

// OneLine returns the first line of an engine's message, shortened, without the
// client's prefix and control characters.
func OneLine(text string) string {
	text = strings.TrimPrefix(strings.TrimSpace(text), "Error response from daemon: ")
	text, _, _ = strings.Cut(text, "\n")
	if head, _, ok := strings.Cut(text, " for API route and version "); ok {
		text = head // the rest is the request's URL, with its arguments
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return strings.TrimSpace(text)
}

// patience returns how long a call that does not stream may take.
func (e *Engine) patience() time.Duration {
	return cmp.Or(e.callDeadline, 30*time.Second)
}

// quick returns the context of a call that does not stream.
func (e *Engine) quick(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.patience())
}
