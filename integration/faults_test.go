package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// faultCommands are the commands of scripts that test failures.
func faultCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"refused":  refused,
		"document": func(ts *testscript.TestScript, _ bool, _ []string) { requireDocument(ts, of(ts).last.stdout) },
		"fill":     fill,
		"holdlock": holdLock,
		"learn":    learn,
		"under":    func(ts *testscript.TestScript, _ bool, args []string) { of(ts).under = args },
	}
}

// refused CODE ARGS...: run the binary and require all that a refusal must have:
// the exit code, nothing on standard output (with -json one document), an error
// in lower case with the next command on a separate line, and no change to any
// file of the work directory.
func refused(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	before, err := treeOf(ts.MkAbs("."))
	ts.Check(err)
	got := runFor(ts, args[1:])
	after, err := treeOf(ts.MkAbs("."))
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if changes := before.changes(after); len(changes) > 0 {
		ts.Fatalf("a refused command left: %s", strings.Join(changes, ", "))
	}
	last := of(ts).last
	if slices.Contains(args, "-json") {
		requireDocument(ts, last.stdout)
	} else if last.stdout != "" {
		ts.Fatalf("standard output is not empty")
	}
	requireError(ts, last.stderr)
}

// requireError requires an error that is in lower case and has a hint.
func requireError(ts *testscript.TestScript, stderr string) {
	found := regexp.MustCompile(`(?m)^Error: (.*)$`).FindStringSubmatch(stderr)
	if found == nil {
		ts.Fatalf("no line begins with `Error: `")
	}
	if first, _, _ := strings.Cut(found[1], " "); strings.ToLower(first) != first && !strings.ContainsAny(first, "_/.-") && strings.ToUpper(first) != first {
		ts.Fatalf("the error is not in lower case: %s", found[1])
	}
	if !regexp.MustCompile(`(?m)^\s*next: \S`).MatchString(stderr) {
		ts.Fatalf("the error names no next command")
	}
}

// requireDocument requires that a text is one JSON object and nothing else,
// with no list that is null.
func requireDocument(ts *testscript.TestScript, text string) {
	decoder := json.NewDecoder(strings.NewReader(text))
	var document map[string]any
	ts.Check(decoder.Decode(&document))
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		ts.Fatalf("something follows the document: %v", err)
	}
	if len(document) == 0 {
		ts.Fatalf("the document is empty")
	}
	if regexp.MustCompile(`(?m)": null,?$`).MatchString(text) {
		ts.Fatalf("the document has a null: an empty list is []")
	}
}

// learn: the values that are in secrets/ now must not appear from now on.
func learn(ts *testscript.TestScript, _ bool, _ []string) {
	files, err := filepath.Glob(ts.MkAbs("secrets/[A-Z]*"))
	ts.Check(err)
	t, before := of(ts), len(of(ts).known)
	for _, file := range files {
		if name := filepath.Base(file); secrets.ValidName(name) == nil {
			value, err := os.ReadFile(file)
			ts.Check(err)
			t.known = append(t.known, secrets.Known{Name: name, Value: secrets.New(value)})
		}
	}
	if len(t.known) == before {
		ts.Fatalf("there is no value in secrets/")
	}
}

// fill FILE PREFIX COUNT: write a file of the prefix and so many letters.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append([]byte(args[1]), bytes.Repeat([]byte("v"), count)...), 0o644))
}

// holdlock [off]: take the lock of secrets/ as another command would, and release
// it.
func holdLock(ts *testscript.TestScript, _ bool, args []string) {
	t := of(ts)
	if len(args) > 0 {
		t.held()
		t.held = nil
		return
	}
	ts.Check(os.MkdirAll(ts.MkAbs("secrets"), 0o700))
	lock := flock.New(filepath.Join(ts.MkAbs("secrets"), ".lock"))
	got, err := lock.TryLock()
	ts.Check(err)
	if !got {
		ts.Fatalf("the lock is already held")
	}
	t.held = func() { _ = lock.Close() }
}
