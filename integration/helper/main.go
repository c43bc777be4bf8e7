// Command helper stands in containers beside the stack while it is tested.
// Its image is from scratch, as those of the services are, so it brings what a
// test would otherwise ask a shell for.
//
//	helper tell                    $CANARY in every encoding, on both streams; ends
//	helper linger                  the same, and goes on until it is stopped
//	helper wait                    nothing until it is stopped: exec the others in it
//	helper ask METHOD URL [HEADER...]   one request; prints status and body
//	helper processes               environment and arguments of the others that it sees
//	helper mounts                  what stands in /run/secrets, as JSON; goes on until it is stopped
//	helper relay SOCKET            standard input and output to a socket: the way into a room
//	helper resolver                answers "no such name" on 127.0.0.1, port 53
//
// In $CANARY, a URL, a header or standard input, {NAME} stands for the content of
// /run/secrets/NAME, so that a value is in no argument and no variable. What `ask` reads from
// standard input is the body.
//
// `processes` is started in the process namespace of another container. It
// fails when there is a process there that it cannot read: nothing read is not
// nothing found.
package main

import (
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
		os.Exit(1)
	}
}

// run does what the first argument says.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("tell, linger, wait, ask, processes, mounts, relay or resolver?")
	}
	switch args[0] {
	case "tell":
		return tell(filled(os.Getenv("CANARY")), os.Stdout, os.Stderr)
	case "linger":
		if err := tell(filled(os.Getenv("CANARY")), os.Stdout, os.Stderr); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	case "wait":
		<-ctx.Done()
		return nil
	case "ask":
		return ask(ctx, args[1:], os.Stdin, os.Stdout)
	case "processes":
		return processes("/proc", os.Stdout)
	case "mounts":
		if err := mounts(secretsDir, os.Stdout); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	case "relay":
		return relay(args[len(args)-1], os.Stdin, os.Stdout)
	case "resolver":
		return resolver(ctx, "127.0.0.1:53")
	}
	return fmt.Errorf("%q is nothing that it does", args[0])
}

// tell writes a value in every encoding, a line each, to all writers.
func tell(value string, to ...io.Writer) error {
	if value == "" {
		return errors.New("CANARY is not set")
	}
	inJSON, err := json.Marshal(value)
	if err != nil {
		return err
	}
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
		for _, w := range to {
			if _, err := fmt.Fprintf(w, "a canary, %s: %s\n", form.encoding, form.text); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask sends one request and prints the answer's status and body. Its errors
// hold nothing of the request, which may hold a value.
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
		return errors.New("no request can be made of this")
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

// filled puts the content of /run/secrets/NAME where {NAME} stands, in percent
// encoding where that is a query's.
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

// processes prints what the process file system shows of every process but
// this one.
func processes(root string, out io.Writer) error {
	found, err := filepath.Glob(filepath.Join(root, "[0-9]*"))
	if err != nil {
		return err
	}
	read := 0
	for _, dir := range found {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		shown := ""
		for _, name := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // it has ended
			}
			if err != nil {
				return fmt.Errorf("%s of process %s cannot be read", name, filepath.Base(dir))
			}
			shown += strings.ReplaceAll(string(data), "\x00", "\n") + "\n"
		}
		if strings.TrimSpace(shown) == "" {
			continue
		}
		read++
		if _, err := fmt.Fprintf(out, "process %s\n%s", filepath.Base(dir), shown); err != nil {
			return err
		}
	}
	if read == 0 {
		return errors.New("there is no process to read")
	}
	return nil
}
