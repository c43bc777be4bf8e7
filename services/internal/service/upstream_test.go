package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
)

// everyWay prints an error in all ways that a log or a test failure would.
func everyWay(err error) string {
	log := &bytes.Buffer{}
	slog.New(slog.NewJSONHandler(log, nil)).Error("failed", "error", err, "any", fmt.Sprintf("%#v", err))
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %q", err, err, err, err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += fmt.Sprintf("%+v %#v", e, e)
	}
	return text
}

// upstream is one that answers by handler. The key is sent in the query and in
// a header.
func call(t *testing.T, handler http.HandlerFunc, change func(*service.Upstream)) (service.Reply, error) {
	t.Helper()
	base := servicetest.Provider(t, handler)
	base.Path = "/base/"
	u := service.Upstream{Name: "the upstream", Secret: "UPSTREAM_KEY", Base: base, Timeout: 5 * time.Second, Quota: "X-Calls-Left"}
	if change != nil {
		change(&u)
	}
	var dst []struct{ ID int }
	return u.Get(t.Context(), "/odds", url.Values{"apiKey": {keyValue}}, http.Header{"X-Key": {keyValue}}, &dst)
}

// status answers with a status, headers and a body that echoes the key.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, "you called %s with %s", r.URL, r.Header.Get("X-Key"))
	}
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, _ := http.NewResponseController(w).Hijack()
	_ = conn.Close()
}

func breakOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `[{"ID":`)
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func slow(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestUpstreamClassifiesFailuresWithoutTheKey(t *testing.T) {
	quick := func(u *service.Upstream) { u.Timeout = 50 * time.Millisecond }
	down := func(u *service.Upstream) { u.Base = &url.URL{Scheme: "http", Host: unused(t)} }
	nowhere := func(u *service.Upstream) {
		u.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: keyValue}}
		}}
	}
	badBase := func(u *service.Upstream) { u.Base = &url.URL{Scheme: "ht tp", Host: "x"} }
	badHeader := func(u *service.Upstream) { u.Base = &url.URL{Scheme: "gopher", Host: "x"} }
	const spentDetail = "nothing is left"
	spent := func(u *service.Upstream) {
		u.Classify = func(status int, body []byte) (service.Kind, string) {
			if status == 401 && strings.HasPrefix(string(body), "you called") {
				return service.RateLimited, spentDetail
			}
			return "", ""
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		change  func(*service.Upstream)
		kind    service.Kind
		says    string
	}{
		"down":                        {nil, down, service.Down, "the upstream is down: connection refused"},
		"host not found":              {nil, nowhere, service.Down, "its host name is not found"},
		"hangs up":                    {hangUp, nil, service.Down, "the connection broke off"},
		"breaks off":                  {breakOff, nil, service.Down, "the connection broke off"},
		"slow":                        {slow, quick, service.Slow, "no complete answer within 50ms"},
		"401":                         {status(401), nil, service.Unauthorized, "the upstream refuses UPSTREAM_KEY (status 401)"},
		"403":                         {status(403), nil, service.Unauthorized, "(status 403)"},
		"401, classified by its body": {status(401), spent, service.RateLimited, "limits the rate (status 401): " + spentDetail},
		"500, not classified":         {status(500), spent, service.ServerError, "the upstream fails (status 500)"},
		"429":                         {status(429, "Retry-After", "7"), nil, service.RateLimited, "limits the rate (status 429)"},
		"500":                         {status(500), nil, service.ServerError, "the upstream fails (status 500)"},
		"503":                         {status(503), nil, service.ServerError, "(status 503)"},
		"redirect":                    {status(302, "Location", "http://"+unused(t)+"/?k="+url.QueryEscape(keyValue)), nil, service.Refused, "redirects, which is not followed"},
		"204":                         {status(204), nil, service.Refused, "(status 204)"},
		"no JSON":                     {body("you sent " + keyValue), nil, service.Malformed, "invalid JSON at byte 1"},
		"cut JSON":                    {body(`[{"ID":1`), nil, service.Malformed, "invalid JSON at byte 8"},
		"other shape":                 {body(`[{"ID":"` + keyValue + `"}]`), nil, service.Malformed, "unexpected JSON structure"},
		"two documents":               {body(`[] []`), nil, service.Malformed, "invalid JSON at byte 4"},
		"empty":                       {body(``), nil, service.Malformed, "invalid JSON"},
		"large":                       {body(`"` + strings.Repeat("x", 16<<20-1) + `"`), nil, service.Malformed, "larger than 16777216 bytes"},
		"endless":                     {endless, nil, service.Malformed, "larger than 16777216 bytes"},
		"address is none":             {nil, badBase, service.Refused, "the address is not valid"},
		"protocol not spoken":         {nil, badHeader, service.Down, "no connection"},
		"proxy or TLS trouble":        {nil, func(u *service.Upstream) { u.Base.Scheme = "https" }, service.Down, "no connection"},
	} {
		t.Run(name, func(t *testing.T) {
			handler := test.handler
			if handler == nil {
				handler = status(200)
			}
			_, err := call(t, handler, test.change)
			var failure *service.UpstreamError
			if !errors.As(err, &failure) {
				t.Fatalf("an error of another type: %T", err)
			}
			if failure.Kind != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("kind %s, want %s; says %q, want %q", failure.Kind, test.kind, err, test.says)
			}
			if found := leaks(t, everyWay(err)); len(found) > 0 {
				t.Errorf("the error shows the key: %v", found)
			}
			if errors.Unwrap(err) != nil {
				t.Error("the error wraps another one, which may quote the URL")
			}
		})
	}
}

// The canary of the test above: the error of net/http does contain the key, and the
// search finds it.
func TestPlainErrorsShowTheKey(t *testing.T) {
	_, err := http.Get("http://" + unused(t) + "/?apiKey=" + url.QueryEscape(keyValue))
	if err == nil || len(leaks(t, everyWay(err))) == 0 {
		t.Error("net/http's error does not hold the key, or the search does not find it: the other test proves nothing")
	}
}

// unused is an address where no program listens.
func unused(t *testing.T) string {
	t.Helper()
	return servicetest.FreeAddress(t).String()
}

func TestUpstreamSuccess(t *testing.T) {
	var got *http.Request
	reply, err := call(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Date", "Mon, 23 Nov 2026 01:02:03 GMT")
		w.Header().Set("x-calls-left", "12")
		_, _ = io.WriteString(w, `[{"ID":1}]`)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.URL.Path != "/base/odds" || got.URL.Query().Get("apiKey") != keyValue || got.Header.Get("X-Key") != keyValue {
		t.Errorf("the call was of path %s, or without the key", got.URL.Path)
	}
	want := service.Reply{At: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)}
	if reply != want {
		t.Errorf("reply %+v, want %+v", reply, want)
	}
}

func TestQuotaAndRetryAfter(t *testing.T) {
	now := "Mon, 23 Nov 2026 01:00:00 GMT"
	for name, test := range map[string]struct {
		headers []string
		usedUp  bool
		after   time.Duration
	}{
		"nothing said":        {nil, false, 0},
		"calls left":          {[]string{"X-Calls-Left", "3"}, false, 0},
		"another header":      {[]string{"X-Other-Left", "3"}, false, 0},
		"a fraction":          {[]string{"x-calls-left", "0.0"}, true, 0},
		"negative":            {[]string{"x-calls-left", "-5"}, false, 0},
		"less than a call":    {[]string{"x-calls-left", "0.5"}, true, 0},
		"not a number":        {[]string{"x-calls-left", "NaN"}, false, 0},
		"seconds":             {[]string{"Retry-After", "7"}, false, 7 * time.Second},
		"a date":              {[]string{"Date", now, "Retry-After", "Mon, 23 Nov 2026 01:00:09 GMT"}, false, 9 * time.Second},
		"a date of the past":  {[]string{"Date", now, "Retry-After", "Mon, 23 Nov 2026 00:00:09 GMT"}, false, 0},
		"a year":              {[]string{"Retry-After", "31536000"}, false, time.Hour},
		"negative seconds":    {[]string{"Retry-After", "-7"}, false, 0},
		"no number, no date":  {[]string{"Retry-After", "soon"}, false, 0},
		"larger than a clock": {[]string{"Retry-After", "999999999999"}, false, time.Hour},
	} {
		reply, err := call(t, status(429, test.headers...), nil)
		var failure *service.UpstreamError
		if !errors.As(err, &failure) || failure.RetryAfter != test.after || reply.UsedUp != test.usedUp {
			t.Errorf("%s: used up %t, want %t; %+v, want to wait %s", name, reply.UsedUp, test.usedUp, failure, test.after)
		}
	}
}

func TestCancelledCallIsTheContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	base := servicetest.Provider(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := service.Upstream{Name: "u", Base: base}.Get(ctx, "/", url.Values{"apiKey": {keyValue}}, nil, nil)
	if err != context.Canceled { //nolint:errorlint // it must be that very error, not one that wraps it
		t.Errorf("error %v", err)
	}
}
