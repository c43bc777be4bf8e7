//go:build unix

package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// at is an engine that answers one path.
func at(t *testing.T, line string, answer http.HandlerFunc) *engine.Engine {
	t.Helper()
	return connected(t, &fake{Answers: map[string]http.HandlerFunc{line: answer}})
}

func TestAsk_SendsTheRequestAsItIs(t *testing.T) {
	e := at(t, "POST /services/create", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1.41/services/create" || r.URL.Query().Get("a") != "b&c" || r.Header.Get("X-Registry-Auth") != "login" || r.Header.Get("Content-Type") != "application/json" || string(body) != `{"A":1.50}` {
			t.Errorf("%s %v %s", r.URL, r.Header, body)
		}
		say(201, `{"ID":"made"}`)(w, r)
	})
	got, err := e.Ask(t.Context(), engine.Request{Doing: "making", Method: "POST", Path: "/services/create", Query: url.Values{"a": {"b&c"}}, Auth: secrets.New([]byte("login")), Body: []byte(`{"A":1.50}`)})
	if string(got) != `{"ID":"made"}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	e = at(t, "GET /services", func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 || len(r.Header["Content-Type"])+len(r.Header["X-Registry-Auth"]) > 0 || r.URL.RawQuery != "" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		say(204, ``)(w, r)
	})
	if got, err := e.Ask(t.Context(), engine.Request{Doing: "asking", Method: "GET", Path: "/services"}); len(got) > 0 || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAsk_RefusalIsTheCause(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, text string
	}{
		{404, `{"message":"no such thing\nmore"}`, "no such thing"},
		{409, `{"message":""}`, "the engine answered with status 409"},
		{500, ``, "the engine answered with status 500"},
		{502, "<html>\nbad gateway", "<html>"},
		{301, `{"message":"moved"}`, "moved"},
		{500, `{"message":"` + strings.Repeat("x", 1000) + `"}`, strings.Repeat("x", 300) + "…"},
	} {
		for name, ask := range map[string]func(*engine.Engine, engine.Request) error{
			"Ask": func(e *engine.Engine, r engine.Request) error { _, err := e.Ask(t.Context(), r); return err },
			"AskLog": func(e *engine.Engine, r engine.Request) error {
				return e.AskLog(t.Context(), r, true, io.Discard, io.Discard)
			},
		} {
			err := ask(at(t, "GET /services", say(c.status, c.body)), engine.Request{Doing: "asking", Method: "GET", Path: "/services"})
			var refusal *engine.Refusal
			if !errors.As(err, &refusal) || refusal.Status != c.status || refusal.Text != c.text || refusal.Error() != c.text || err.Error() != "asking: "+c.text || fault.CodeOf(err) != fault.Failed {
				t.Errorf("%s %d %q: %v", name, c.status, c.body, err)
			}
		}
	}
}

// A refusal without an end is cut.
func TestAsk_ReadsLittleOfARefusal(t *testing.T) {
	e := at(t, "GET /services", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				return
			}
		}
	})
	began := time.Now()
	if _, err := e.Ask(t.Context(), engine.Request{Doing: "asking", Method: "GET", Path: "/services"}); len(err.Error()) > 1000 || time.Since(began) > 10*time.Second {
		t.Errorf("%d bytes after %v", len(err.Error()), time.Since(began))
	}
}

func TestAskLog_CopiesFramesOrATerminal(t *testing.T) {
	const framed = "\x01\x00\x00\x00\x00\x00\x00\x04out\n\x02\x00\x00\x00\x00\x00\x00\x04err\n"
	e := at(t, "GET /log", say(200, framed))
	for _, c := range []struct {
		tty      bool
		out, err string
	}{{false, "out\n", "err\n"}, {true, framed, ""}} {
		var out, problems bytes.Buffer
		if err := e.AskLog(t.Context(), engine.Request{Doing: "reading", Method: "GET", Path: "/log"}, c.tty, &out, &problems); err != nil || out.String() != c.out || problems.String() != c.err {
			t.Errorf("%q, %q, %v", out.String(), problems.String(), err)
		}
	}
}

func TestCallDeadline_IsAnOption(t *testing.T) {
	opt := options(t, listen(t, &fake{API: "1.41", OS: "linux", Answers: map[string]http.HandlerFunc{"GET /info": hang}}))
	opt.CallDeadline = 30 * time.Millisecond
	e, err := engine.Connect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	_, err = e.Info(t.Context())
	refused(t, err, docker.CauseTimeout, "did not answer within 30ms")
	if e.ConfigDir() != opt.ConfigDir {
		t.Errorf("%s", e.ConfigDir())
	}
}

func TestConfigDir_IsThatOfTheDockerCommand(t *testing.T) {
	socket := listen(t, &fake{API: "1.41", OS: "linux"})
	for _, c := range []struct {
		env  map[string]string
		want string
	}{{map[string]string{"HOME": "/h", "DOCKER_CONFIG": "/c"}, "/c"}, {map[string]string{"HOME": "/h"}, filepath.Join("/h", ".docker")}} {
		e, err := engine.Connect(t.Context(), engine.Options{DefaultHost: "unix://" + socket, LookupEnv: env(c.env)})
		if err != nil {
			t.Fatal(err)
		}
		if e.ConfigDir() != c.want || e.InClear() {
			t.Errorf("%s, in clear: %v", e.ConfigDir(), e.InClear())
		}
		_ = e.Close()
	}
}

// 0.0.0.0 is this machine (package net), but does not look like it.
func TestInClear_IsTCPWithoutTLSToAnotherMachine(t *testing.T) {
	f := &fake{API: "1.41", OS: "linux", Answers: map[string]http.HandlerFunc{"GET /base/v1.41/services": say(200, `[]`), "GET /services": say(200, `[]`)}}
	plain, tls := httptest.NewServer(f), httptest.NewUnstartedServer(f)
	tls.Config.ErrorLog = discardLog()
	tls.StartTLS()
	defer plain.Close()
	defer tls.Close()
	for _, c := range []struct {
		server  *httptest.Server
		host    string
		inClear bool
	}{{plain, "127.0.0.1", false}, {plain, "localhost", false}, {plain, "0.0.0.0", true}, {tls, "0.0.0.0", false}} {
		host := "tcp://" + strings.Replace(c.server.Listener.Addr().String(), "127.0.0.1", c.host, 1)
		set := map[string]string{"DOCKER_HOST": host}
		if c.server == tls {
			set["DOCKER_TLS"] = "1"
		}
		e, err := engine.Connect(t.Context(), engine.Options{ConfigDir: t.TempDir(), LookupEnv: env(set)})
		if err != nil {
			t.Fatal(err)
		}
		if e.InClear() != c.inClear {
			t.Errorf("%s: %v", host, e.InClear())
		}
		if got, err := e.Ask(t.Context(), engine.Request{Doing: "asking", Method: "GET", Path: "/services"}); string(got) != "[]" || err != nil {
			t.Errorf("%s: %s, %v", host, got, err)
		}
		_ = e.Close()
	}
}

// The addresses that the client has for each kind of connection.
func TestBase_IsWhereTheClientAsks(t *testing.T) {
	for _, c := range []struct {
		scheme, host string
		tls          bool
		want         string
	}{
		{"unix", "unix:///var/run/docker.sock", false, "http://api.moby.localhost"},
		{"npipe", "npipe:////./pipe/docker_engine", false, "http://api.moby.localhost"},
		{"ssh", "http://docker.example.com", false, "http://docker.example.com"},
		{"tcp", "tcp://10.0.0.1:2375", false, "http://10.0.0.1:2375"},
		{"tcp", "tcp://10.0.0.1:2376/base", true, "https://10.0.0.1:2376/base"},
		{"tcp", "tcp://[::1]:2375", false, "http://[::1]:2375"},
	} {
		if got := engine.Base(c.scheme, c.host, c.tls); got != c.want {
			t.Errorf("%s: %s, want %s", c.host, got, c.want)
		}
	}
}
