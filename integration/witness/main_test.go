package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// TestItTellsEveryEncoding requires a line for each encoding that is searched,
// which the search finds as just that encoding.
func TestItTellsEveryEncoding(t *testing.T) {
	const value = "first \"'<&>+%/$ é\x01\\` line\nand the second line"
	var one, two bytes.Buffer
	if err := tell(value, &one, &two); err != nil || one.String() != two.String() {
		t.Fatalf("%v; the streams differ", err)
	}
	matcher := redact.New([]secrets.Known{{Name: "CANARY", Value: secrets.New([]byte(value))}})
	for _, encoding := range redact.Encodings() {
		_, from, ok := strings.Cut(one.String(), "a canary, "+encoding+": ")
		text, _, _ := strings.Cut(from, "a canary, ")
		if !ok {
			t.Errorf("it does not tell %s", encoding)
			continue
		}
		if found := matcher.Find([]byte(text)); len(found) != 1 || found[0].Encoding != encoding {
			t.Errorf("%s is found as %v", encoding, found)
		}
	}
	if tell("", &one) == nil {
		t.Error("no value is told without an error")
	}
}

// TestProcessesAreReadOrItFails: what cannot be read is not silent.
func TestProcessesAreReadOrItFails(t *testing.T) {
	root := t.TempDir()
	var out bytes.Buffer
	if err := processes(root, &out); err == nil {
		t.Error("no process is no error")
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
	put("7", "cmdline", "/api\x00serve")
	put("7", "environ", "PATH=/\x00TOKEN=abc")
	if err := processes(root, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "process 7\n/api\nserve\nPATH=/\nTOKEN=abc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.MkdirAll(filepath.Join(root, "8", "environ"), 0o755); err != nil { // no file: it cannot be read
		t.Fatal(err)
	}
	if err := processes(root, &out); err == nil || !strings.Contains(err.Error(), "process 8") {
		t.Errorf("a process that cannot be read: %v", err)
	}
}

// TestAskPrintsTheAnswer, and nothing of the request when there is none.
func TestAskPrintsTheAnswer(t *testing.T) {
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
	server.Close()
	if err := ask(t.Context(), []string{"GET", server.URL + "/?key=canary"}, strings.NewReader(""), &out); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("an upstream that is not there: %v", err)
	}
	if ask(t.Context(), []string{"GET"}, nil, &out) == nil || run(t.Context(), nil) == nil || run(t.Context(), []string{"sing"}) == nil {
		t.Error("a wrong command line is accepted")
	}
}
