package integration

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// witnessed is a testing.TB that keeps what it is told instead of failing. The
// audit's own tests see by it that the audit fails where it must.
type witnessed struct {
	testing.TB
	name   string
	errors []string
	logs   []string
}

func (w *witnessed) Helper()      {}
func (w *witnessed) Name() string { return w.name }
func (w *witnessed) Errorf(format string, args ...any) {
	w.errors = append(w.errors, fmt.Sprintf(format, args...))
}
func (w *witnessed) Error(args ...any) { w.errors = append(w.errors, fmt.Sprint(args...)) }
func (w *witnessed) Fatal(args ...any) { w.Error(args...) }
func (w *witnessed) Failed() bool      { return len(w.errors) > 0 }
func (w *witnessed) Log(args ...any)   { w.logs = append(w.logs, fmt.Sprint(args...)) }
func (w *witnessed) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
}

// tried is an audit of one secret that has begun.
func tried(t *testing.T) (*audit, *witnessed, string) {
	t.Helper()
	a := newAudit(t)
	value := newValueFor(t)
	a.know(map[string]string{"PASSWORD": value})
	a.begin(t, []byte("the key of the project, 32 bytes"))
	return a, &witnessed{TB: t, name: "Test/station"}, value
}

// newValueFor makes a value of several lines with what encoders treat
// differently.
func newValueFor(t *testing.T) string {
	letters := "abcdefghijklmnopqrstuvwxyz"
	return random(t, letters, 9) + "\"'<&>+%/$ é\x01\\`\n" + "last-line-" + random(t, letters, 9)
}

// told is a value in every encoding, one text each.
func told(t *testing.T, value string) map[string]string {
	inJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(value, "\n")
	return map[string]string{
		"raw": value, "line": lines[len(lines)-1],
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "hex": hex.EncodeToString([]byte(value)),
		"percent": url.QueryEscape(value), "json": string(inJSON), "html": html.EscapeString(value),
		"shell": "'" + strings.ReplaceAll(value, "'", `'\''`) + "'", "go": strconv.QuoteToASCII(value),
	}
}

// requireErrors requires that the audit failed so often, each time with a text.
func (w *witnessed) requireErrors(t *testing.T, count int, text string) {
	t.Helper()
	if len(w.errors) != count {
		t.Errorf("it failed %d times, want %d: %q", len(w.errors), count, w.errors)
	}
	for _, one := range w.errors {
		if !strings.Contains(one, text) {
			t.Errorf("%q, want %q", one, text)
		}
	}
	w.errors = nil
}

func TestTheAuditFailsOnAValueInEachEncoding(t *testing.T) {
	a, w, value := tried(t)
	forms := told(t, value)
	if want := redact.Encodings(); !slices.Equal(slices.Sorted(maps.Keys(forms)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("tried is %v, and searched is %v", slices.Sorted(maps.Keys(forms)), want)
	}
	for encoding, text := range forms {
		before := a.values
		a.search(w, nil, sweep.Bytes("output of a command", []byte("some text\nx "+text+" y\n")))
		if len(w.errors) == 0 || a.values == before {
			t.Errorf("%s: silence", encoding)
		}
		for _, one := range w.errors {
			if !strings.Contains(one, "output of a command tells PASSWORD: ") || strings.Contains(one, value) {
				t.Errorf("%s: %q", encoding, one)
			}
		}
		w.errors = nil
	}
	if a.search(w, nil, sweep.Bytes("output of a command", []byte("nothing"))); len(w.errors) > 0 {
		t.Errorf("where nothing is told: %q", w.errors)
	}
}

// An allowed value is no failure, is returned, and is allowed nowhere else.
func TestTheAuditAllowsWhatIsNamedAlone(t *testing.T) {
	a, w, value := tried(t)
	allowed := func(h sweep.Hit) bool { return h.Surface == "inspect of one" }
	found := a.search(w, allowed, sweep.Bytes("inspect of one", []byte(told(t, value)["hex"])), sweep.Bytes("inspect of two", []byte(told(t, value)["hex"])))
	w.requireErrors(t, 1, "inspect of two tells PASSWORD: hex")
	if len(found) != 1 || len(found["inspect of one"]) != 1 {
		t.Errorf("returned: %v", found)
	}
}

func TestTheAuditFailsWhereItCouldNotRead(t *testing.T) {
	a, w, _ := tried(t)
	a.search(w, nil, sweep.Stream("logs of a service", func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") }))
	w.requireErrors(t, 1, "logs of a service was not read: gone")
	a.search(w, nil, sweep.Tree("rendered files", os.DirFS(filepath.Join(t.TempDir(), "nothing"))))
	w.requireErrors(t, 1, "rendered files was not read")
}

func TestTheAuditFailsWithoutItsCanary(t *testing.T) {
	a, w, _ := tried(t)
	one, two := "logs of one", "logs of two"
	surface := func(name, text string) sweep.Surface { return sweep.Bytes(name, []byte(text)) }
	forms := told(t, a.canary)
	for _, encoding := range redact.Encodings() {
		a.require(w, []plant{{one, "", encoding}}, nil, surface(one, forms[encoding]))
		w.requireErrors(t, 0, "")
		a.require(w, []plant{{one, "", encoding}}, nil, surface(one, "x"))
		w.requireErrors(t, 1, "was not found: its search cannot fail")
	}
	planted, found := a.planted, a.found
	if n := len(redact.Encodings()); planted != 2*n || found != n {
		t.Errorf("counted %d planted and %d found, want %d and %d", planted, found, 2*n, n)
	}
	a.require(w, []plant{{one, "", "base64"}}, nil, surface(one, a.plain))
	w.requireErrors(t, 1, "was not found") // in another encoding
	a.require(w, []plant{{one, "stderr", ""}}, nil, surface(one, a.plain))
	w.requireErrors(t, 1, "was not found") // at another place
	a.require(w, []plant{{two, "", ""}}, nil, surface(one, a.plain), surface(two, "x"))
	if len(w.errors) != 2 || !strings.Contains(w.errors[0], "planted in logs of two") || !strings.Contains(w.errors[1], "logs of one tells the canary, which was not planted there") {
		t.Errorf("in another surface: %q", w.errors)
	}
	w.errors = nil
	a.silent(w, surface(one, forms["html"]))
	w.requireErrors(t, 1, "tells the canary, which was not planted there")
}

// What was said before the search began is searched when it begins.
func TestTheAuditSearchesWhatWasSaidBefore(t *testing.T) {
	for stream, said := range map[string]func(string) output{
		"output": func(text string) output { return output{stdout: text} },
		"errors": func(text string) output { return output{stderr: text} },
	} {
		a, w := newAudit(t), &witnessed{TB: t, name: "Test"}
		value := newValueFor(t)
		a.know(map[string]string{"PASSWORD": value})
		a.said(w, "keepmum secrets:init", said(value))
		w.requireErrors(t, 0, "")
		a.begin(w, []byte("the key of the project, 32 bytes"))
		if len(w.errors) == 0 || !strings.HasPrefix(w.errors[0], stream+" of keepmum secrets:init tells PASSWORD") {
			t.Errorf("%s: %q", stream, w.errors)
		}
		w.errors = nil
		a.said(w, "keepmum secrets:list", said(value))
		if len(w.errors) == 0 || !strings.HasPrefix(w.errors[0], stream+" of keepmum secrets:list tells PASSWORD") {
			t.Errorf("%s, later: %q", stream, w.errors)
		}
		w.errors = nil
		a.said(w, "keepmum secrets:list", said(a.plain))
		w.requireErrors(t, 1, "of keepmum secrets:list tells the canary")
	}
}

func TestTheAuditFailsOnTheKeyAndOnAShortValue(t *testing.T) {
	a, w, _ := tried(t)
	a.search(w, nil, sweep.Bytes("output of a command", []byte("the key of the project, 32 bytes")))
	w.requireErrors(t, 1, "tells the project's key")
	short := newAudit(t)
	short.know(map[string]string{"PIN": "123"})
	short.begin(w, []byte("the key of the project, 32 bytes"))
	w.requireErrors(t, 1, "too short to be searched: [PIN]")
}

// A value in the environment or the arguments of a command, or of one that it
// started, is seen; and so is that nothing of it was read.
func TestTheAuditFailsOnTheProcessesOfACommand(t *testing.T) {
	if !onLinux {
		return // no other system shows the environment of a process
	}
	run := func(environment []string, wait string) (*audit, *witnessed) {
		a, w, value := tried(t)
		for i := range environment {
			environment[i] = strings.ReplaceAll(strings.ReplaceAll(environment[i], "VALUE", strings.ReplaceAll(value, "\n", " ")), "CANARY", a.plain)
		}
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", wait)
		cmd.Env, cmd.Stdin = append(environment, "PATH="+os.Getenv("PATH")), in
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		watched := a.watchProcesses(t.Context(), "keepmum stack:up", cmd.Process.Pid)
		want := 1 + strings.Count(wait, "sh -c")
		poll(t, pollTime, "the command and what it starts", func() bool { return len(family(cmd.Process.Pid)) >= want })
		reread := a.watchProcesses(t.Context(), "keepmum stack:up", cmd.Process.Pid) // it reads at once
		out.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		watched(w)
		reread(w)
		return a, w
	}
	if _, w := run([]string{"A=CANARY"}, "read x; true"); len(w.errors) > 0 {
		t.Errorf("silence: %q", w.errors)
	}
	if _, w := run([]string{"A=CANARY", "B=VALUE"}, "read x; true"); !slices.ContainsFunc(w.errors, func(e string) bool {
		return strings.HasPrefix(e, "processes of keepmum stack:up tells PASSWORD")
	}) {
		t.Errorf("a value in the environment: %q", w.errors)
	}
	if _, w := run([]string{"A=CANARY", "B=VALUE"}, `exec 3<&0; env -u B PATH="$PATH" B2="$B" sh -c 'read x <&3; true'; true`); len(w.errors) == 0 {
		t.Error("a value in the environment of what it started: silence")
	}
	if _, w := run([]string{"B=x"}, "read x; true"); len(w.errors) == 0 || !strings.Contains(w.errors[0], "its search cannot fail") {
		t.Errorf("without the canary: %q", w.errors)
	}
}

// An assertion fails where what it says is not so, and stands in the ledger.
func TestTheAuditAsserts(t *testing.T) {
	a, w, _ := tried(t)
	a.assert(w, true, "it is so", "it is %s", "not so")
	w.requireErrors(t, 0, "")
	a.assert(w, false, "it is so", "it is %s", "not so")
	w.requireErrors(t, 1, "it is not so")
	a.note(w, "it crashed")
	if got := ledgerDifferences("station: it crashed\nstation: it is so\n", slices.Collect(maps.Keys(a.ledger))); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A surface has to show exactly the secrets that are named: no other one, and
// not less.
func TestTheAuditRequiresWhatIsShown(t *testing.T) {
	a, w, _ := tried(t)
	hit := func(name string) sweep.Hit { return sweep.Hit{Surface: "inspect of x", Name: name} }
	found := hits{"inspect of x": {hit("B"), hit("A"), hit(planted), hit("A")}}
	a.shows(w, found, "inspect of x", []string{"A", "B"})
	a.shows(w, found, "inspect of y", nil)
	w.requireErrors(t, 0, "")
	a.shows(w, found, "inspect of x", []string{"A"})
	w.requireErrors(t, 1, "inspect of x shows [A B], want [A]")
	a.shows(w, found, "inspect of x", []string{"A", "B", "C"})
	w.requireErrors(t, 1, "inspect of x shows [A B], want [A B C]")
	a.shows(w, found, "inspect of x", nil)
	w.requireErrors(t, 1, "inspect of x shows [A B], want []")
	if _, entered := a.ledger["station: inspect of x shows exactly A B"]; !entered {
		t.Errorf("the ledger is %v", slices.Collect(maps.Keys(a.ledger)))
	}
}

// The end of a test fails where something was planted and not found, where
// nothing was planted, and where a value was found; and it says what was read.
func TestTheAuditFinishes(t *testing.T) {
	a, w, _ := tried(t)
	a.finish(w, "no such ledger")
	w.requireErrors(t, 1, "of 0 canaries 0 were found")
	a.require(w, []plant{{surface: "logs x"}}, nil, sweep.Bytes("logs x", []byte(a.plain)))
	a.finish(w, "no such ledger")
	w.requireErrors(t, 1, "no such file")
	want := fmt.Sprintf("proof: surfaces=1 bytes=%d planted=1 found=1 values=0", a.bytes)
	if n := len(w.logs); w.logs[n-1] != want || !strings.HasPrefix(w.logs[n-2], "surfaces read 1 (logs 1), ") {
		t.Errorf("%q, want %q", w.logs, want)
	}
	for what, change := range map[string]*int{"a canary that was not found": &a.planted, "a value": &a.values} {
		*change++
		if a.finish(w, "no such ledger"); len(w.errors) != 1 || !strings.HasPrefix(w.errors[0], "of ") {
			t.Errorf("%s: %q", what, w.errors)
		}
		w.errors = nil
		*change--
	}
}

// A call of the audit that adds nothing of its own is named: nobody would miss
// it. One that is called twice for different things is missed.
func TestTheLedgerNamesWhatNobodyWouldMiss(t *testing.T) {
	for what, one := range map[string]struct {
		ledger map[string][][]string
		want   []string
	}{
		"each its own line":        {map[string][][]string{"x": {{"a:1"}}, "y": {{"a:2"}}}, nil},
		"two for the same line":    {map[string][][]string{"x": {{"a:1"}, {"a:2"}}}, []string{"a:1", "a:2"}},
		"one of them has another":  {map[string][][]string{"x": {{"a:1"}, {"a:2"}}, "y": {{"a:2"}}}, []string{"a:1"}},
		"twice from one place":     {map[string][][]string{"x": {{"a:1"}, {"a:1"}}}, nil},
		"a helper, from two":       {map[string][][]string{"x": {{"h:1", "a:1"}, {"h:1", "a:2"}}}, []string{"a:1", "a:2"}},
		"a helper, for two things": {map[string][][]string{"x": {{"h:1", "a:1"}}, "y": {{"h:1", "a:2"}}}, nil},
	} {
		if got := unmissed(one.ledger); !slices.Equal(got, one.want) {
			t.Errorf("%s: %v, want %v", what, got, one.want)
		}
	}
	a, w, _ := tried(t)
	helper := func(name string) { a.silent(w, sweep.Bytes("output of "+name, []byte("x"))) }
	helper("one")
	a.require(w, []plant{{surface: "logs x"}}, nil, sweep.Bytes("logs x", []byte(a.plain)))
	a.finish(w, "no such ledger")
	w.requireErrors(t, 1, "no such file")
	helper("two")
	helper("two")
	a.finish(w, "no such ledger")
	if len(w.errors) != 3 || !strings.HasPrefix(w.errors[0], "audit_itself_test.go:") || !strings.HasSuffix(w.errors[1], "nobody would miss it") {
		t.Errorf("two calls for one search: %q", w.errors)
	}
}

// The ledger has a line for each search and each canary, and misses one that is
// not done any more.
func TestTheLedgerMissesASearch(t *testing.T) {
	a, w, _ := tried(t)
	a.hide = strings.NewReplacer("keepmum-it-1234", "PROJECT")
	a.require(w, []plant{{"logs of keepmum-it-1234-api", "stderr", "hex"}}, nil, sweep.Bytes("logs of keepmum-it-1234-api", nil), sweep.Bytes("image keepmum/postgres:debian-15", nil))
	w.errors = nil
	file := "station: canary in logs of PROJECT-api, stderr hex\nstation: read image POSTGRES\nstation: read logs of PROJECT-api\n"
	differences := func(file string) []string { return ledgerDifferences(file, slices.Collect(maps.Keys(a.ledger))) }
	if got := differences(file); len(got) > 0 {
		t.Errorf("the same: %q", got)
	}
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if got := differences(strings.Replace(file, line+"\n", "", 1)); !slices.Equal(got, []string{"has nothing of: " + line}) {
			t.Errorf("not in the file: %q", got)
		}
		was := a.ledger[line]
		delete(a.ledger, line)
		if got := differences(file); !slices.Equal(got, []string{"has what was not done: " + line}) {
			t.Errorf("not done: %q", got)
		}
		a.ledger[line] = was
	}
	a.requireLedger(w, "no such ledger")
	if len(w.errors) == 0 || !strings.Contains(w.errors[0], "no such file") {
		t.Errorf("without a file: %q", w.errors)
	}
}
