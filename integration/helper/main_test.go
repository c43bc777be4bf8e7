package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// TestPrintEncoded requires a line for each encoding that is searched, which the
// search finds as exactly that encoding.
func TestPrintEncoded(t *testing.T) {
	const value = "first \"'<&>+%/$ é\x01\\` line\nand the second line"
	var one, two bytes.Buffer
	if err := printEncoded(value, &one, &two); err != nil || one.String() != two.String() {
		t.Fatalf("%v; the streams differ", err)
	}
	matcher := redact.New([]secrets.Known{{Name: "CANARY", Value: secrets.New([]byte(value))}})
	for _, encoding := range redact.Encodings() {
		_, from, ok := strings.Cut(one.String(), "a canary, "+encoding+": ")
		text, _, _ := strings.Cut(from, "a canary, ")
		if !ok {
			t.Errorf("%s is not printed", encoding)
			continue
		}
		if found := matcher.Find([]byte(text)); len(found) != 1 || found[0].Encoding != encoding {
			t.Errorf("%s is found as %v", encoding, found)
		}
	}
	if printEncoded("", &one) == nil {
		t.Error("no value is printed without an error")
	}
}

// A process that cannot be read is an error.
func TestProcesses(t *testing.T) {
	root := t.TempDir()
	var out bytes.Buffer
	if err := processes(root, &out); err == nil {
		t.Error("no process is not an error")
	}
	put := func(pid, name, text string) {
		t.Helper()
		path := filepath.Join(root, pid, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(strconv.Itoa(os.Getpid()), "environ", "OWN=1")
	if err := os.Mkdir(filepath.Join(root, "6"), 0o755); err != nil { // it has ended
		t.Fatal(err)
	}
	if err := processes(root, &out); err == nil || out.Len() > 0 {
		t.Errorf("this one, and one that has ended: %v, %q", err, out.String())
	}
	put("7", "cmdline", "/api\x00serve")
	put("7", "environ", "PATH=/\x00TOKEN=abc")
	if err := processes(root, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "process 7\n/api\nserve\nPATH=/\nTOKEN=abc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.MkdirAll(filepath.Join(root, "8", "environ"), 0o755); err != nil { // not a file: it cannot be read
		t.Fatal(err)
	}
	if err := processes(root, &out); err == nil || !strings.Contains(err.Error(), "process 8") {
		t.Errorf("a process that cannot be read: %v", err)
	}
}

// TestAsk prints the answer, and nothing of the request if there is none.
func TestAsk(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(r.Method + " " + r.Header.Get("X-Key")))
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := ask(t.Context(), []string{"POST", server.URL, "X-Key: {NO_SUCH}"}, strings.NewReader("body"), &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "418\nPOST {NO_SUCH}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	if err := ask(t.Context(), []string{"GET", server.URL}, strings.NewReader(""), &out); err != nil || out.String() != "418\nGET " {
		t.Errorf("without a header: %v, %q", err, out.String())
	}
	short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("less"))
	}))
	defer short.Close()
	if err := ask(t.Context(), []string{"GET", short.URL}, strings.NewReader(""), &out); err == nil {
		t.Error("an answer that is cut short is not an error")
	}
	if err := ask(t.Context(), []string{"GET", server.URL}, iotest.ErrReader(io.ErrUnexpectedEOF), &out); err == nil {
		t.Error("a body that cannot be read is sent")
	}
	server.Close()
	if err := ask(t.Context(), []string{"GET", server.URL + "/?key=canary"}, strings.NewReader(""), &out); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("no upstream: %v", err)
	}
	for what, args := range map[string][]string{"method": {"GET canary", "http://h"}, "URL": {"GET", "http://canary\x7f"}} {
		if err := ask(t.Context(), args, strings.NewReader(""), &out); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("a broken %s: %v", what, err)
		}
	}
	if ask(t.Context(), []string{"GET"}, nil, &out) == nil || run(t.Context(), nil) == nil || run(t.Context(), []string{"sing"}) == nil {
		t.Error("a wrong command line is accepted")
	}
}

// {NAME} is replaced by the content of a file in the URL, a header and the body,
// and no other braces are.
func TestAsk_ReplacesNames(t *testing.T) {
	const value = "a+b&c d/é"
	secretsDir = t.TempDir()
	defer func() { secretsDir = "/run/secrets" }()
	if err := os.WriteFile(filepath.Join(secretsDir, "API_KEY"), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s|%s|%s", r.URL.Query().Get("key"), r.Header.Get("X-Key"), body)
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := ask(t.Context(), []string{"POST", server.URL + "/?key={API_KEY}", "X-Key: <{API_KEY}>"}, strings.NewReader("{API_KEY} {api_key} {}"), &out); err != nil {
		t.Fatal(err)
	}
	if want := "200\n" + value + "|<" + value + ">|" + value + " {api_key} {}"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestMain makes the binary of the test a helper for tests that start it as one.
func TestMain(m *testing.M) {
	if os.Getenv("AS_HELPER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// started is the helper as a program.
func started(t *testing.T, canary string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "AS_HELPER=1", "CANARY="+canary)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// The program writes to both streams, and fails with an error.
func TestProgram_OutputAndErrors(t *testing.T) {
	var want bytes.Buffer
	if err := printEncoded("of the\nprogram", &want); err != nil {
		t.Fatal(err)
	}
	cmd, stdout, stderr := started(t, "of the\nprogram", "print")
	if err := cmd.Run(); err != nil || stdout.String() != want.String() || stderr.String() != want.String() {
		t.Errorf("print: %v, %d and %d bytes, should be %d each", err, stdout.Len(), stderr.Len(), want.Len())
	}
	for _, args := range [][]string{{"print"}, {"linger"}, {"ask", "GET"}, {"mounts"}, {"sing"}, {}} {
		cmd, stdout, stderr := started(t, "", args...)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "helper: ") {
			t.Errorf("%v: %v, %q, %q", args, err, stdout.String(), stderr.String())
		}
	}
}

// The program prints first and then runs until it is stopped.
func TestProgram_RunsUntilStopped(t *testing.T) {
	for args, prints := range map[string]bool{"linger": true, "wait": false} {
		cmd, _, stderr := started(t, "canary", args)
		cmd.Stdout = nil
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewReader(out)
		if prints {
			if line, err := said.ReadString('\n'); err != nil || line != "a canary, raw: canary\n" {
				t.Errorf("%s: %q, %v", args, line, err)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s does not keep running: %v", args, err)
		}
		rest, readErr := io.ReadAll(said)
		if err := cmd.Wait(); prints && err != nil || readErr != nil || prints == (len(rest) == 0) || prints == (stderr.Len() == 0) {
			t.Errorf("%s: %v, %v, %d bytes, %d bytes of errors", args, err, readErr, len(rest), stderr.Len())
		}
	}
}
