package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/sweep"
)

// stopping is a witnessed whose Fatal ends what called it.
type stopping struct{ *witnessed }

func (s stopping) Fatal(args ...any) { s.Error(args...); runtime.Goexit() }
func (s stopping) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// requireEnd requires that a call ends in Fatal.
func requireEnd(t *testing.T, text string, call func(testing.TB)) {
	t.Helper()
	w, done := &witnessed{TB: t, name: "Test/station"}, make(chan struct{})
	go func() {
		defer close(done)
		call(stopping{w})
	}()
	<-done
	w.requireErrors(t, 1, text)
}

func TestTheAuditEndsWithoutASearch(t *testing.T) {
	a := newAudit(t)
	a.know(map[string]string{sweep.CanaryName: "a value of some length"})
	requireEnd(t, "no secret can have the name", func(tb testing.TB) { a.begin(tb, []byte("the key of the project, 32 bytes")) })
	requireEnd(t, "not within 1ns: never", func(tb testing.TB) { poll(tb, time.Nanosecond, "never", func() bool { return false }) })
}

func TestTheAuditFailsOnMoreThanCanBeKept(t *testing.T) {
	a, w, _ := tried(t)
	a.require(w, []plant{{surface: "logs of one"}}, nil, sweep.Bytes("logs of one", []byte(strings.Repeat(a.plain+"\n", 1001))))
	w.requireErrors(t, 1, "logs of one tells more than can be kept")
}

// A value that is allowed is returned, is no canary, and stands for none.
func TestTheAuditTakesNoValueForItsCanary(t *testing.T) {
	a, w, value := tried(t)
	allowed := func(sweep.Hit) bool { return true }
	one := sweep.Bytes("inspect of one", []byte(value))
	if found := a.require(w, nil, allowed, one); len(found["inspect of one"]) != 1 {
		t.Errorf("returned: %v", found)
	}
	w.requireErrors(t, 0, "")
	a.require(w, []plant{{surface: "inspect of one"}}, allowed, one)
	w.requireErrors(t, 1, "was not found: its search cannot fail")
}

func TestTheAuditCountsWhatItRead(t *testing.T) {
	a, w, _ := tried(t)
	a.require(w, []plant{{surface: "logs of one"}}, nil, sweep.Bytes("logs of one", []byte("12345 "+a.plain)), sweep.Bytes("processes in one", []byte("1234")))
	w.requireErrors(t, 0, "")
	bytes := len(a.plain) + 10
	if want := fmt.Sprintf("proof: surfaces=2 bytes=%d planted=1 found=1 values=0", bytes); a.proof() != want {
		t.Errorf("%q, want %q", a.proof(), want)
	}
	if want := fmt.Sprintf("surfaces read 2 (logs 1, processes in 1), bytes read %d, canaries planted in the real thing 1 and found 1, planted while reading and found 2, values found 0", bytes); a.summary() != want {
		t.Errorf("%q, want %q", a.summary(), want)
	}
}

// What shows logs, or a command that the test gave the canary, may tell it, and
// no value.
func TestTheAuditAllowsTheCanaryInLogs(t *testing.T) {
	a, w, value := tried(t)
	for _, name := range []string{"keepmum stack:logs", "keepmum exec " + planted} {
		a.said(w, name, output{stdout: a.plain})
		w.requireErrors(t, 0, "")
		a.said(w, name, output{stderr: value})
		w.requireErrors(t, 1, "errors of "+name+" tells PASSWORD")
	}
}

func TestTheAuditMasksItsOwnText(t *testing.T) {
	a, _, value := tried(t)
	for encoding, text := range told(t, value) {
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

// Of the first command no value is known, and one that has ended at once could
// not be watched.
func TestTheAuditWatchesNothing(t *testing.T) {
	a, w := newAudit(t), &witnessed{TB: t, name: "Test/station"}
	a.watchProcesses(t.Context(), "keepmum secrets:init", os.Getpid())(w)
	a, _, _ = tried(t)
	a.watchProcesses(t.Context(), "keepmum version", 1<<30)(w)
	w.requireErrors(t, 0, "")
	if a.planted != 0 {
		t.Errorf("%d canaries", a.planted)
	}
	a.early = 0 // as if it had run for a while
	a.watchProcesses(t.Context(), "keepmum version", 1<<30)(w)
	w.requireErrors(t, 1, "its search cannot fail")
}

// What a command starts later is seen too: the audit looks again and again.
func TestTheAuditLooksAgain(t *testing.T) {
	if !onLinux {
		return // no other system shows the environment of a process
	}
	a, w, _ := tried(t)
	late := random(t, "0123456789abcdef", 32)
	a.know(map[string]string{"LATE": late})
	a.begin(t, []byte("the key of the project, 32 bytes"))
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
	tell := func(line string) {
		if _, err := io.WriteString(out, line+"\n"); err != nil {
			t.Fatal("the command has ended")
		}
	}
	tell(late)
	poll(t, pollTime, "what the command starts", func() bool { return len(family(cmd.Process.Pid)) > 1 })
	before := a.looks.Load()
	poll(t, pollTime, "two further looks", func() bool { return a.looks.Load() > before+1 })
	tell("")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	watched(w)
	if !slices.ContainsFunc(w.errors, func(e string) bool {
		return strings.HasPrefix(e, "processes of keepmum stack:up tells LATE")
	}) {
		t.Errorf("a value in what was started later: %q", w.errors)
	}
}

// The file of the ledger is what is compared, and -update writes it.
func TestTheLedgerIsCompared(t *testing.T) {
	a, w, _ := tried(t)
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(filepath.Join("testdata", "ledger"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.require(w, []plant{{surface: "logs of one"}}, nil, sweep.Bytes("logs of one", []byte(a.plain)), sweep.Bytes("processes of keepmum stack:up", nil))
	was := *update
	defer func() { *update = was }()
	*update = true
	a.requireLedger(w, "one")
	*update = false
	a.requireLedger(w, "one")
	w.requireErrors(t, 0, "")
	data, err := os.ReadFile(filepath.Join("testdata", "ledger", "one.txt"))
	if want := ": read processes of commands\nstation: canary in logs of one\nstation: read logs of one\n"; err != nil || string(data) != want {
		t.Errorf("%q, %v, want %q", data, err, want)
	}
	delete(a.ledger, "station: canary in logs of one")
	a.requireLedger(w, "one")
	w.requireErrors(t, 1, "has what was not done: station: canary in logs of one")
	a.ledger["station: canary in logs of one"], a.ledger["another"] = [][]string{{"x"}}, [][]string{{"y"}}
	a.requireLedger(w, "one")
	w.requireErrors(t, 1, "has nothing of: another")
}
