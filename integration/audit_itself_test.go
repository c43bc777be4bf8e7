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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// recordingTB is a testing.TB that keeps errors instead of failing, so that the
// tests of the audit can see it fail.
type recordingTB struct {
	testing.TB
	errors []string
	logs   []string
}

func (w *recordingTB) Helper() {}
func (w *recordingTB) Errorf(format string, args ...any) {
	w.errors = append(w.errors, fmt.Sprintf(format, args...))
}
func (w *recordingTB) Error(args ...any) { w.errors = append(w.errors, fmt.Sprint(args...)) }
func (w *recordingTB) Fatal(args ...any) { w.Error(args...) }
func (w *recordingTB) Failed() bool      { return len(w.errors) > 0 }
func (w *recordingTB) Log(args ...any)   { w.logs = append(w.logs, fmt.Sprint(args...)) }
func (w *recordingTB) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
}

// projectKey is the key of the project in these tests.
var projectKey = []byte("the key of the project, 32 bytes")

// begun is an audit of one secret that has begun to search.
func begun(t *testing.T) (*audit, *recordingTB, string) {
	t.Helper()
	a := newAudit(t)
	value := newMultilineValue(t)
	a.know(map[string]string{"PASSWORD": value})
	a.begin(t, projectKey)
	return a, &recordingTB{TB: t}, value
}

// newMultilineValue makes a value of several lines, with characters that encoders
// treat differently.
func newMultilineValue(t *testing.T) string {
	letters := "abcdefghijklmnopqrstuvwxyz"
	return random(t, letters, 9) + "\"'<&>+%/$ é\x01\\`\n" + "last-line-" + random(t, letters, 9)
}

// encoded is a value in every encoding.
func encoded(t *testing.T, value string) map[string]string {
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

// requireErrors requires so many errors, each with this text, and forgets them.
func (w *recordingTB) requireErrors(t *testing.T, count int, text string) {
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

func TestAudit_FindsValueInEachEncoding(t *testing.T) {
	a, w, value := begun(t)
	forms := encoded(t, value)
	if want := redact.Encodings(); !slices.Equal(slices.Sorted(maps.Keys(forms)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("tested are %v, and searched are %v", slices.Sorted(maps.Keys(forms)), want)
	}
	for encoding, text := range forms {
		before := a.values
		a.search(w, nil, sweep.Bytes("output of a command", []byte("some text\nx "+text+" y\n")))
		if len(w.errors) == 0 || a.values == before {
			t.Errorf("%s is not found", encoding)
		}
		for _, one := range w.errors {
			if !strings.Contains(one, "output of a command shows PASSWORD: ") || strings.Contains(one, value) {
				t.Errorf("%s: %q", encoding, one)
			}
		}
		w.errors = nil
	}
	if a.search(w, nil, sweep.Bytes("output of a command", []byte("nothing"))); len(w.errors) > 0 {
		t.Errorf("without a value: %q", w.errors)
	}
}

// An allowed value is returned, and is not allowed in another surface.
func TestAudit_AllowsOneSurface(t *testing.T) {
	a, w, value := begun(t)
	allowed := func(h sweep.Hit) bool { return h.Surface == "inspect of one" }
	found := a.search(w, allowed, sweep.Bytes("inspect of one", []byte(encoded(t, value)["hex"])), sweep.Bytes("inspect of two", []byte(encoded(t, value)["hex"])))
	w.requireErrors(t, 1, "inspect of two shows PASSWORD: hex")
	if len(found) != 1 || len(found["inspect of one"]) != 1 {
		t.Errorf("returned: %v", found)
	}
}

func TestAudit_FailsOnUnreadSurface(t *testing.T) {
	a, w, _ := begun(t)
	a.search(w, nil, sweep.Stream("logs of a service", func(context.Context) (io.ReadCloser, error) { return nil, errors.New("gone") }))
	w.requireErrors(t, 1, "logs of a service was not read: gone")
	a.search(w, nil, sweep.Tree("rendered files", os.DirFS(filepath.Join(t.TempDir(), "nothing"))))
	w.requireErrors(t, 1, "rendered files was not read")
}

func TestAudit_FailsWithoutCanary(t *testing.T) {
	a, w, _ := begun(t)
	one, two := "logs of one", "logs of two"
	surface := func(name, text string) sweep.Surface { return sweep.Bytes(name, []byte(text)) }
	forms := encoded(t, a.canary)
	for _, encoding := range redact.Encodings() {
		a.require(w, []plant{{one, "", encoding}}, nil, surface(one, forms[encoding]))
		w.requireErrors(t, 0, "")
		a.require(w, []plant{{one, "", encoding}}, nil, surface(one, "x"))
		w.requireErrors(t, 1, "was not found: the search cannot fail")
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
	if len(w.errors) != 2 || !strings.Contains(w.errors[0], "planted in logs of two") || !strings.Contains(w.errors[1], "logs of one shows the canary, which was not planted there") {
		t.Errorf("in another surface: %q", w.errors)
	}
	w.errors = nil
	a.silent(w, surface(one, forms["html"]))
	w.requireErrors(t, 1, "shows the canary, which was not planted there")
}

// Output of commands that ran before the search began is searched when it begins.
func TestAudit_SearchesEarlierOutput(t *testing.T) {
	for stream, said := range map[string]func(string) output{
		"output": func(text string) output { return output{stdout: text} },
		"errors": func(text string) output { return output{stderr: text} },
	} {
		a, w := newAudit(t), &recordingTB{TB: t}
		value := newMultilineValue(t)
		a.know(map[string]string{"PASSWORD": value})
		a.said(w, "keepmum secrets:init", said(value))
		w.requireErrors(t, 0, "")
		a.begin(w, projectKey)
		if len(w.errors) == 0 || !strings.HasPrefix(w.errors[0], stream+" of keepmum secrets:init shows PASSWORD") {
			t.Errorf("%s: %q", stream, w.errors)
		}
		w.errors = nil
		a.said(w, "keepmum secrets:list", said(value))
		if len(w.errors) == 0 || !strings.HasPrefix(w.errors[0], stream+" of keepmum secrets:list shows PASSWORD") {
			t.Errorf("%s, later: %q", stream, w.errors)
		}
		w.errors = nil
		a.said(w, "keepmum secrets:list", said(a.plain))
		w.requireErrors(t, 1, "of keepmum secrets:list shows the canary")
	}
}

func TestAudit_FindsProjectKeyAndRefusesShortValue(t *testing.T) {
	a, w, _ := begun(t)
	a.search(w, nil, sweep.Bytes("output of a command", projectKey))
	w.requireErrors(t, 1, "shows the project's key")
	short := newAudit(t)
	short.know(map[string]string{"PIN": "123"})
	short.begin(w, projectKey)
	w.requireErrors(t, 1, "too short to be searched: [PIN]")
}

// A value in the environment of a command, or of a process that it started, is
// found; a command whose processes were not read is an error.
func TestAudit_FindsValueInProcesses(t *testing.T) {
	if !onLinux {
		return // no other system shows the environment of a process
	}
	run := func(environment []string, wait string) (*audit, *recordingTB) {
		a, w, value := begun(t)
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
		t.Errorf("without a value: %q", w.errors)
	}
	if _, w := run([]string{"A=CANARY", "B=VALUE"}, "read x; true"); !slices.ContainsFunc(w.errors, func(e string) bool {
		return strings.HasPrefix(e, "processes of keepmum stack:up shows PASSWORD")
	}) {
		t.Errorf("a value in the environment: %q", w.errors)
	}
	if _, w := run([]string{"A=CANARY", "B=VALUE"}, `exec 3<&0; env -u B PATH="$PATH" B2="$B" sh -c 'read x <&3; true'; true`); len(w.errors) == 0 {
		t.Error("a value in the environment of a process that it started is not found")
	}
	if _, w := run([]string{"B=x"}, "read x; true"); len(w.errors) == 0 || !strings.Contains(w.errors[0], "the search cannot fail") {
		t.Errorf("without the canary: %q", w.errors)
	}
}

func TestRequireShown(t *testing.T) {
	w := &recordingTB{TB: t}
	hit := func(name string) sweep.Hit { return sweep.Hit{Surface: "inspect of x", Name: name} }
	found := hits{"inspect of x": {hit("B"), hit("A"), hit(planted), hit("A")}}
	requireShown(w, found, "inspect of x", []string{"A", "B"})
	requireShown(w, found, "inspect of y", nil)
	w.requireErrors(t, 0, "")
	for _, want := range [][]string{{"A"}, {"A", "B", "C"}, nil} {
		requireShown(w, found, "inspect of x", want)
		w.requireErrors(t, 1, fmt.Sprintf("inspect of x shows [A B], want %v", want))
	}
}

// The end of a test fails if no canary was planted, one was not found, a value
// was found, or fewer surfaces were read than before; and it logs the counts.
func TestAudit_Finish(t *testing.T) {
	a, w, _ := begun(t)
	a.finish(w, nil)
	w.requireErrors(t, 1, "0 canaries were planted")
	a.require(w, []plant{{surface: "logs of one"}}, nil, sweep.Bytes("logs of one", []byte("12345 "+a.plain)), sweep.Bytes("processes in one", []byte("1234")))
	a.finish(w, map[string]int{"canaries": 1, "logs": 1, "processes in": 1})
	w.requireErrors(t, 0, "")
	bytes := len(a.plain) + 10
	want := []string{
		fmt.Sprintf("surfaces read 2 (logs 1, processes in 1), bytes read %d, canaries planted by the test 1 and found 1, planted while reading and found 2, values found 0", bytes),
		fmt.Sprintf("proof: surfaces=2 bytes=%d planted=1 found=1 values=0", bytes),
	}
	if got := w.logs[len(w.logs)-2:]; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	for kind, count := range map[string]int{"canaries": 2, "logs": 2, "processes in": 2, "image": 1} {
		a.finish(w, map[string]int{kind: count})
		w.requireErrors(t, 1, fmt.Sprintf("%s: %d, want at least %d", kind, count-1, count))
	}
	for _, count := range []*int{&a.planted, &a.values} {
		*count++
		a.finish(w, nil)
		w.requireErrors(t, 1, "values were found")
		*count--
	}
}

// stopping is a recordingTB whose Fatal ends the goroutine that calls it.
type stopping struct{ *recordingTB }

func (s stopping) Fatal(args ...any) { s.Error(args...); runtime.Goexit() }
func (s stopping) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

func TestAudit_FatalErrors(t *testing.T) {
	requireFatal := func(text string, call func(testing.TB)) {
		w, done := &recordingTB{TB: t}, make(chan struct{})
		go func() {
			defer close(done)
			call(stopping{w})
		}()
		<-done
		w.requireErrors(t, 1, text)
	}
	a := newAudit(t)
	a.know(map[string]string{sweep.CanaryName: "a value of some length"})
	requireFatal("no secret can have the name", func(tb testing.TB) { a.begin(tb, projectKey) })
	requireFatal("not within 1ns: never", func(tb testing.TB) { poll(tb, time.Nanosecond, "never", func() bool { return false }) })
}

func TestAudit_TooManyHits(t *testing.T) {
	a, w, _ := begun(t)
	a.require(w, []plant{{surface: "logs of one"}}, nil, sweep.Bytes("logs of one", []byte(strings.Repeat(a.plain+"\n", 1001))))
	w.requireErrors(t, 1, "logs of one has more hits than are kept")
}

// An allowed value is returned, and does not count as the canary.
func TestAudit_AllowedValueIsNotCanary(t *testing.T) {
	a, w, value := begun(t)
	allowed := func(sweep.Hit) bool { return true }
	one := sweep.Bytes("inspect of one", []byte(value))
	if found := a.require(w, nil, allowed, one); len(found["inspect of one"]) != 1 {
		t.Errorf("returned: %v", found)
	}
	w.requireErrors(t, 0, "")
	a.require(w, []plant{{surface: "inspect of one"}}, allowed, one)
	w.requireErrors(t, 1, "was not found: the search cannot fail")
}

// The output of a command that shows logs, or that the test gave the canary, may
// contain the canary, but no value.
func TestAudit_CanaryInLogs(t *testing.T) {
	a, w, value := begun(t)
	for _, name := range []string{"keepmum stack:logs", "keepmum exec " + planted} {
		a.said(w, name, output{stdout: a.plain})
		w.requireErrors(t, 0, "")
		a.said(w, name, output{stderr: value})
		w.requireErrors(t, 1, "errors of "+name+" shows PASSWORD")
	}
}

func TestAudit_Masked(t *testing.T) {
	a, _, value := begun(t)
	for encoding, text := range encoded(t, value) {
		if got := a.masked("x " + text + " x"); !strings.Contains(got, "‹PASSWORD›") || strings.Contains(got, text) {
			t.Errorf("%s is not masked", encoding)
		}
	}
	if got := a.masked("nothing"); got != "nothing" {
		t.Errorf("nothing is masked as %q", got)
	}
	if !strings.HasSuffix(a.variable(), "="+a.plain) {
		t.Error("the variable of commands does not hold the canary")
	}
}

// No value is known while the first command runs, and a command that ends at
// once cannot be watched; one that ran for a while must have been seen.
func TestAudit_ProcessesOfShortCommands(t *testing.T) {
	a, w := newAudit(t), &recordingTB{TB: t}
	a.watchProcesses(t.Context(), "keepmum secrets:init", os.Getpid())(w)
	a, _, _ = begun(t)
	a.watchProcesses(t.Context(), "keepmum version", 1<<30)(w)
	w.requireErrors(t, 0, "")
	if a.planted != 0 {
		t.Errorf("%d canaries", a.planted)
	}
	a.early = 0 // as if it had run for a while
	a.watchProcesses(t.Context(), "keepmum version", 1<<30)(w)
	w.requireErrors(t, 1, "the search cannot fail")
}

// A process that a command starts later is seen too.
func TestAudit_ProcessesStartedLater(t *testing.T) {
	if !onLinux {
		return // no other system shows the environment of a process
	}
	a, w, _ := begun(t)
	late := random(t, "0123456789abcdef", 32)
	a.know(map[string]string{"LATE": late})
	a.begin(t, projectKey)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `read v; B="$v" sh -c 'read w; true'; true`)
	cmd.Env, cmd.Stdin = []string{"PATH=" + os.Getenv("PATH"), "A=" + a.plain}, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watched := a.watchProcesses(t.Context(), "keepmum stack:up", cmd.Process.Pid)
	send := func(line string) {
		if _, err := io.WriteString(out, line+"\n"); err != nil {
			t.Fatal("the command has ended")
		}
	}
	send(late)
	poll(t, pollTime, "the command starts another", func() bool { return len(family(cmd.Process.Pid)) > 1 })
	before := a.looks.Load()
	poll(t, pollTime, "two more looks", func() bool { return a.looks.Load() > before+1 })
	send("")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	watched(w)
	if !slices.ContainsFunc(w.errors, func(e string) bool {
		return strings.HasPrefix(e, "processes of keepmum stack:up shows LATE")
	}) {
		t.Errorf("a value in a process that was started later: %q", w.errors)
	}
}
