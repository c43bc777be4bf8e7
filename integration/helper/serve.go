package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"
)

// goodbye is how long requests may take that were accepted last.
const goodbye = 2 * time.Second

// exitCode is an error that the program ends with.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("ends with %d, as it was told", int(e)) }

// service is how serve behaves. The zero value serves at once and ends at once.
type service struct {
	version     string        // SERVE_VERSION: its answer
	port        string        // SERVE_PORT, default 8080
	unhealthy   bool          // SERVE_UNHEALTHY=true: /health is never well
	listenAfter time.Duration // SERVE_LISTEN_AFTER: it hangs before it listens
	crashAfter  time.Duration // SERVE_CRASH_AFTER its start it ends; 0: never
	code        int           // SERVE_EXIT_CODE of a crash, default 1
	drain       time.Duration // SERVE_DRAIN: how long it goes on after SIGTERM
	fill        int           // SERVE_FILL: bytes of memory that it writes to, and keeps
}

// serviceOf reads the environment.
func serviceOf(env func(string) string) (service, error) {
	s := service{version: env("SERVE_VERSION"), port: "8080", code: 1}
	if port := env("SERVE_PORT"); port != "" {
		s.port = port
	}
	var failed []error
	read := func(name string, parse func(string) error) {
		if text := env(name); text != "" && parse(text) != nil {
			failed = append(failed, fmt.Errorf("%s is not understood", name))
		}
	}
	read("SERVE_UNHEALTHY", func(text string) (err error) { s.unhealthy, err = strconv.ParseBool(text); return err })
	read("SERVE_FILL", func(text string) (err error) {
		if s.fill, err = strconv.Atoi(text); err == nil && s.fill < 0 {
			err = errors.New("negative")
		}
		return err
	})
	read("SERVE_EXIT_CODE", func(text string) (err error) { s.code, err = strconv.Atoi(text); return err })
	for name, field := range map[string]*time.Duration{"SERVE_LISTEN_AFTER": &s.listenAfter, "SERVE_CRASH_AFTER": &s.crashAfter, "SERVE_DRAIN": &s.drain} {
		read(name, func(text string) (err error) { *field, err = time.ParseDuration(text); return err })
	}
	return s, errors.Join(failed...)
}

// serve answers every request with the version until the context ends, and then
// for as long as it drains. It prints the address when it listens.
func (s service) serve(ctx context.Context, out io.Writer) error {
	kept := bytes.Repeat([]byte{1}, s.fill)
	defer runtime.KeepAlive(kept)
	crash := make(<-chan time.Time)
	if s.crashAfter > 0 {
		crash = time.After(s.crashAfter)
	}
	select {
	case <-time.After(s.listenAfter):
	case <-crash:
		return exitCode(s.code)
	case <-ctx.Done():
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+s.port)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "listens on", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: s}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-crash:
		return exitCode(s.code)
	case <-ctx.Done():
	}
	<-time.After(s.drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	return server.Shutdown(ctx) // what was accepted is answered
}

// ServeHTTP answers with the version, and on /health with how the service is.
func (s service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" && s.unhealthy {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, s.version) // the client counts what it does not get
}

// health asks the service on this machine how it is.
func (s service) health(ctx context.Context) error {
	_, err := request(ctx, order{url: "http://127.0.0.1:" + s.port + "/health", timeout: 2 * time.Second})
	return err
}
