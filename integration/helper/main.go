// Command helper runs in containers next to the stack while it is tested. Its image
// is from scratch, as those of the services are, so it brings what a test would
// otherwise use a shell for.
//
//	helper print                    $CANARY in every encoding, on both streams
//	helper linger                   the same, and keeps running until it is stopped
//	helper wait                     nothing until it is stopped: for exec
//	helper ask METHOD URL [HEADER...]   one request; prints status and body
//	helper processes                environment and arguments of all other processes
//	helper mounts                   the files of /run/secrets as JSON; keeps running until it is stopped
//	helper relay SOCKET             joins standard input and output to a socket: the way into dind
//	helper resolver [ADDRESS]       answers "no such name"; default 127.0.0.1:53
//	helper load URL RATE COUNT [TIMEOUT]   requests, RATE a second; at the end or on SIGTERM one JSON line
//	helper serve                    an HTTP service that answers with $SERVE_VERSION, or fails as SERVE_... say
//	helper health                   whether the service serve in this container is well
//
// In $CANARY, a URL, a header or standard input, {NAME} is replaced by the content of
// /run/secrets/NAME, so that no value is in an argument or a variable. Ask reads
// the body from standard input.
//
// Load makes a new connection and asks for the name for each request, and tries
// none again. The variables of serve are described at its type.
//
// Processes is started in the process namespace of another container. It fails if
// there is no process that it can read: nothing read is not nothing found.
package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		code := exitCode(1)
		_ = errors.As(err, &code)
		os.Exit(int(code))
	}
}

// run runs the command that the first argument names.
func run(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("print, linger, wait, ask, processes, mounts, relay, resolver, load, serve or health?")
	}
	switch args[0] {
	case "print":
		return printEncoded(filled(os.Getenv("CANARY")), os.Stdout, os.Stderr)
	case "ask":
		return ask(ctx, args[1:], os.Stdin, os.Stdout)
	case "processes":
		return processes("/proc", os.Stdout)
	case "relay":
		return relay(args[len(args)-1], os.Stdin, os.Stdout)
	case "resolver":
		return resolver(ctx, cmp.Or(strings.Join(args[1:], ""), "127.0.0.1:53"))
	case "load":
		o, err := orderOf(args[1:])
		if err != nil {
			return err
		}
		return load(ctx, o, os.Stdout)
	case "serve", "health":
		s, err := serviceOf(os.Getenv)
		if err != nil {
			return err
		}
		if args[0] == "health" {
			return s.health(ctx)
		}
		return s.serve(ctx, os.Stdout)
	case "linger":
		err = printEncoded(filled(os.Getenv("CANARY")), os.Stdout, os.Stderr)
	case "mounts":
		err = mounts(secretsDir, os.Stdout)
	case "wait":
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// printEncoded writes a value in every encoding, a line each, to all writers.
func printEncoded(value string, to ...io.Writer) error {
	if value == "" {
		return errors.New("CANARY is not set")
	}
	inJSON, _ := json.Marshal(value) // a string can always be encoded
	lines := strings.Split(value, "\n")
	for _, form := range []struct{ encoding, text string }{
		{"raw", value},
		{"line", lines[len(lines)-1]},
		{"base64", base64.StdEncoding.EncodeToString([]byte(value))},
		{"hex", hex.EncodeToString([]byte(value))},
		{"percent", url.QueryEscape(value)},
		{"json", string(inJSON)},
		{"html", html.EscapeString(value)},
		{"shell", "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"},
		{"go", strconv.QuoteToASCII(value)},
	} {
		if _, err := fmt.Fprintf(io.MultiWriter(to...), "a canary, %s: %s\n", form.encoding, form.text); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one request and prints status and body of the answer. Its errors
// contain nothing of the request, which may hold a value.
func ask(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("ask METHOD URL [HEADER...]")
	}
	for i := range args {
		args[i] = filled(args[i])
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return errors.New("standard input cannot be read")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, args[0], args[1], strings.NewReader(filled(string(body))))
	if err != nil {
		return errors.New("invalid request")
	}
	for _, header := range args[2:] {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return errors.New("no answer")
	}
	defer response.Body.Close()
	if _, err := fmt.Fprintln(out, response.StatusCode); err != nil {
		return err
	}
	_, err = io.Copy(out, response.Body)
	return err
}

// secretsDir is where a container has its secrets.
var secretsDir = "/run/secrets"

// filled replaces {NAME} by the content of /run/secrets/NAME, in a URL in percent
// encoding.
func filled(text string) string {
	query := strings.HasPrefix(text, "http")
	return regexp.MustCompile(`\{[A-Z_]+\}`).ReplaceAllStringFunc(text, func(name string) string {
		value, err := os.ReadFile(filepath.Join(secretsDir, strings.Trim(name, "{}")))
		if err != nil {
			return name
		}
		if query {
			return url.QueryEscape(string(value))
		}
		return string(value)
	})
}

// processes prints command line and environment of every process but this one.
func processes(root string, out io.Writer) error {
	found, err := filepath.Glob(filepath.Join(root, "[0-9]*"))
	if err != nil {
		return err
	}
	read := 0
	for _, dir := range found {
		pid := filepath.Base(dir)
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		shown := ""
		for _, name := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // it has ended
			}
			if err != nil {
				return fmt.Errorf("%s of process %s cannot be read", name, pid)
			}
			shown += strings.ReplaceAll(string(data), "\x00", "\n") + "\n"
		}
		if strings.TrimSpace(shown) == "" {
			continue
		}
		read++
		if _, err := fmt.Fprintf(out, "process %s\n%s", pid, shown); err != nil {
			return err
		}
	}
	if read == 0 {
		return errors.New("there is no process to read")
	}
	return nil
}
