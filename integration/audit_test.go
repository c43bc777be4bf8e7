package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// planted is the name of the canary: a value that is no secret, stands where a
// secret must not, and has to be found there. What is searched for it is
// searched for the secrets in the same run.
const planted = "PLANTED_BY_THE_TEST"

// audit searches surfaces for every value of the test, and counts. What it
// searched and what it found its canary in is kept in a ledger, which is
// compared with a file: a search that nobody asks for any more is missed.
//
// Its methods take a testing.TB, so that its own tests can see it fail.
type audit struct {
	canary string
	plain  string // another one, of letters and digits alone, for where quoting would be a matter of its own
	known  []secrets.Known
	sweep  *sweep.Sweep

	early time.Duration // a command that ended sooner may have been seen by nobody
	looks atomic.Int64  // at processes

	mu       sync.Mutex
	waiting  []sweep.Surface // what was said before the project had its key
	surfaces map[string]int  // by kind, which is the first word of the name
	bytes    int64
	planted  int // canaries that the test planted in the real thing
	found    int // of them
	inBand   int // canaries that sweep planted while reading, all found
	values   int // values of secrets where they must not be

	hide   *strings.Replacer     // random names in the ledger
	ledger map[string][][]string // by line, the calls that led to it: see calls
}

// newAudit makes the canary: two lines, with what encoders treat differently.
func newAudit(t testing.TB) *audit {
	letters := "abcdefghijklmnopqrstuvwxyz"
	return &audit{
		canary:   "canary-" + random(t, letters, 12) + "\"'<&>+%/$ é\x01\\`\n" + "second-line-" + random(t, letters, 12),
		plain:    "canary" + random(t, letters, 20),
		early:    time.Second,
		surfaces: map[string]int{},
		hide:     strings.NewReplacer(),
		ledger:   map[string][][]string{},
	}
}

// variable is an environment variable that holds the canary, for commands of
// keepmum: it shows that their environment is really read.
func (a *audit) variable() string { return "INTEGRATION_CANARY=" + a.plain }

// know adds values that may show nowhere.
func (a *audit) know(values map[string]string) {
	for name, value := range values {
		a.known = append(a.known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
	}
}

// begin starts the search, with the project's key among the values.
func (a *audit) begin(t testing.TB, key []byte) {
	t.Helper()
	a.known = append(a.known, secrets.Known{Name: "the project's key", Value: secrets.New(key)},
		secrets.Known{Name: planted, Value: secrets.New([]byte(a.canary))},
		secrets.Known{Name: planted, Value: secrets.New([]byte(a.plain))})
	var err error
	if a.sweep, err = sweep.New(a.known); err != nil {
		t.Fatal(err)
	}
	if short := a.sweep.Unsearched(); len(short) > 0 {
		t.Fatalf("too short to be searched: %v", short)
	}
	a.silent(t, a.waiting...)
	a.waiting = nil
}

// masked is a text of a command for a test's own output.
func (a *audit) masked(text string) string { return redact.New(a.known).String(text) }

// hits are what was found, by surface.
type hits map[string][]sweep.Hit

// search reads surfaces to their end. Values other than the canary are
// failures, unless allowed says that one has to be there; canary and allowed
// values are returned.
func (a *audit) search(t testing.TB, allowed func(sweep.Hit) bool, surfaces ...sweep.Surface) hits {
	t.Helper()
	found := hits{}
	report := a.sweep.Run(t.Context(), surfaces...)
	for _, unread := range report.Unread {
		t.Errorf("%s was not read: %s", unread.Surface, unread.Why)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, result := range report.Results {
		a.count(result)
		a.enter(t, "read "+result.Surface)
		for _, hit := range result.Hits {
			if hit.Name == planted || allowed != nil && allowed(hit) {
				found[hit.Surface] = append(found[hit.Surface], hit)
				continue
			}
			a.values++
			t.Errorf("%s tells %s: %s, in %q, line %d", hit.Surface, hit.Name, hit.Encoding, hit.Place, hit.Line)
		}
		if result.More > 0 {
			t.Errorf("%s tells more than can be kept", result.Surface)
		}
	}
	return found
}

// count adds a surface that was read. The caller holds the lock.
func (a *audit) count(result sweep.Result) {
	words := strings.SplitN(result.Surface, " ", 3)
	kind := words[0]
	if kind == "processes" && len(words) > 1 {
		kind += " " + words[1] // "of" our own commands, or "in" a container
	}
	a.surfaces[kind]++
	a.bytes += result.Bytes
	a.inBand += result.Canaries
}

// require is search for surfaces in which the canary was planted at some
// places: it has to be found in each, and in no other surface.
func (a *audit) require(t testing.TB, plants []plant, allowed func(sweep.Hit) bool, surfaces ...sweep.Surface) hits {
	t.Helper()
	found := a.search(t, allowed, surfaces...)
	a.expect(t, found, plants...)
	for surface, of := range found {
		if slices.ContainsFunc(of, func(h sweep.Hit) bool { return h.Name == planted }) && !slices.ContainsFunc(plants, func(p plant) bool { return p.surface == surface }) {
			t.Errorf("%s tells the canary, which was not planted there", surface)
		}
	}
	return found
}

// silent is require for surfaces in which nothing was planted.
func (a *audit) silent(t testing.TB, surfaces ...sweep.Surface) {
	t.Helper()
	a.require(t, nil, nil, surfaces...)
}

// plant is a canary in the real thing: a surface, and what has to be found in
// it. Empty fields match everything.
type plant struct{ surface, place, encoding string }

// expect requires that each plant was found.
func (a *audit) expect(t testing.TB, found hits, plants ...plant) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range plants {
		a.planted++
		a.enter(t, strings.TrimSpace(fmt.Sprintf("canary in %s, %s %s", p.surface, p.place, p.encoding)))
		if slices.ContainsFunc(found[p.surface], func(h sweep.Hit) bool {
			return h.Name == planted && strings.Contains(h.Place, p.place) && (p.encoding == "" || h.Encoding == p.encoding)
		}) {
			a.found++
			continue
		}
		t.Errorf("the canary planted in %s (%s %s) was not found: its search cannot fail", p.surface, p.place, p.encoding)
	}
}

// said searches what a command said, at once or as soon as the search begins.
func (a *audit) said(t testing.TB, name string, said output) {
	t.Helper()
	surfaces := []sweep.Surface{
		sweep.Bytes("output of "+name, []byte(said.stdout)),
		sweep.Bytes("errors of "+name, []byte(said.stderr)),
	}
	if a.sweep == nil {
		a.waiting = append(a.waiting, surfaces...)
		return
	}
	for surface, found := range a.search(t, nil, surfaces...) {
		if !strings.Contains(name, "stack:logs") && !strings.Contains(name, planted) {
			t.Errorf("%s tells the canary %d times", surface, len(found))
		}
	}
}

// watchProcesses reads environment and arguments of a running command and of
// all that it starts, until the returned function is called, which searches
// them. The command's own environment holds the canary.
func (a *audit) watchProcesses(ctx context.Context, name string, pid int) func(testing.TB) {
	if !onLinux {
		return func(testing.TB) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	begun, seen := time.Now(), map[string]bool{}
	var text bytes.Buffer
	read := func() {
		defer a.looks.Add(1)
		for _, one := range family(pid) {
			if shown := processText(one); shown != "" && !seen[shown] {
				seen[shown] = true
				text.WriteString(shown)
			}
		}
	}
	read()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				read()
			}
		}
	}()
	return func(t testing.TB) {
		t.Helper()
		cancel()
		<-done
		surface := sweep.Bytes("processes of "+name, text.Bytes())
		switch {
		case a.sweep == nil:
			return // the first command: it has made the key, and knows no value
		case text.Len() == 0 && time.Since(begun) < a.early:
			return // it had ended before anybody could look
		}
		a.expect(t, a.search(t, nil, surface), plant{surface: surface.Name})
	}
}

// family returns a process and all that it started, as far as they run.
func family(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for field := range strings.FieldsSeq(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, family(child)...)
			}
		}
	}
	return all
}

// processText is what the system shows of a process; empty when it has ended.
func processText(pid int) string {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(environment) == 0 {
		return ""
	}
	return fmt.Sprintf("process %d\n%s\n%s\n", pid, strings.ReplaceAll(string(arguments), "\x00", "\n"), strings.ReplaceAll(string(environment), "\x00", "\n"))
}

// note enters into the ledger that something has happened without which a search
// would prove nothing: a crash, a failure of the upstream.
func (a *audit) note(t testing.TB, what string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enter(t, what)
}

// assert fails the test unless ok, and enters into the ledger that this was
// asserted: an assertion that is gone is missed.
func (a *audit) assert(t testing.TB, ok bool, what, format string, args ...any) {
	t.Helper()
	a.note(t, what)
	if !ok {
		t.Errorf(format, args...)
	}
}

// shows requires that a surface tells exactly these secrets, which a search has
// allowed.
func (a *audit) shows(t testing.TB, found hits, surface string, want []string) {
	t.Helper()
	got := namesOf(found[surface])
	a.assert(t, slices.Equal(got, append([]string{}, want...)), surface+" shows "+strings.Join(append([]string{"exactly"}, want...), " "), "%s shows %v, want %v", surface, got, want)
}

// namesOf returns the names of hits, once each, without the canary's.
func namesOf(found []sweep.Hit) []string {
	names := []string{}
	for _, hit := range found {
		if hit.Name != planted {
			names = append(names, hit.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// finish ends a test: all that was planted was found, no value was, and the
// ledger is the one that was kept. Then it says what was read.
func (a *audit) finish(t testing.TB, ledger string) {
	t.Helper()
	a.mu.Lock()
	if a.planted == 0 || a.found != a.planted || a.values != 0 {
		t.Errorf("of %d canaries %d were found, of values %d", a.planted, a.found, a.values)
	}
	a.mu.Unlock()
	if !t.Failed() {
		a.requireLedger(t, ledger)
	}
	t.Log(a.summary())
	t.Log(a.proof())
}

// enter puts a line into the ledger, with the part of the test that it stands
// for. The caller holds the lock. What commands are seen to do depends on how
// long they run: of those there is one line.
func (a *audit) enter(t testing.TB, line string) {
	_, station, _ := strings.Cut(t.Name(), "/")
	if _, name, ok := strings.Cut(line, "processes of "); ok {
		station, line = "", strings.TrimSuffix(line, name)+"commands"
	}
	line = databaseImage.ReplaceAllString(a.hide.Replace(line), "POSTGRES")
	line = strings.TrimSuffix(station+": "+line, ",")
	a.ledger[line] = append(a.ledger[line], calls())
}

// calls are the places of this package's tests from which the audit was called,
// up to the beginning of the goroutine, or to where a command is run: whoever
// takes out a command does not take out its search.
func calls() []string {
	var all []string
	counters := make([]uintptr, 64)
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters)])
	for {
		frame, more := frames.Next()
		file := filepath.Base(frame.File)
		if strings.HasSuffix(file, "_test.go") && file != "audit_test.go" {
			all = append(all, fmt.Sprintf("%s:%d", file, frame.Line))
		}
		if !more || strings.HasSuffix(frame.Function, ".(*project).keepmum") {
			return all
		}
	}
}

// unmissed returns the calls that add nothing to the ledger that another call
// does not add too: nobody would miss them.
func unmissed(ledger map[string][][]string) []string {
	needed := map[string]bool{}
	for _, ways := range ledger {
		for _, call := range slices.Concat(ways...) {
			elsewhere := slices.ContainsFunc(ways, func(way []string) bool { return !slices.Contains(way, call) })
			needed[call] = needed[call] || !elsewhere
		}
	}
	var all []string
	for call, is := range needed {
		if !is {
			all = append(all, call)
		}
	}
	slices.Sort(all)
	return all
}

// databaseImage is the name of the image of Postgres, which depends on the
// machine.
var databaseImage = regexp.MustCompile(`\b(keepmum/)?postgres:[\w.-]+`)

// requireLedger requires that exactly that was searched and asserted, and that
// the canary was found exactly there, which a file of testdata/ledger says; and
// that each call of the audit would be missed. With -update it writes the file.
func (a *audit) requireLedger(t testing.TB, name string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, call := range unmissed(a.ledger) {
		t.Errorf("%s searches or asserts nothing that is not searched or asserted elsewhere in the same part of the test: nobody would miss it", call)
	}
	path := filepath.Join("testdata", "ledger", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(slices.Sorted(maps.Keys(a.ledger)), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	for _, difference := range ledgerDifferences(string(data), slices.Collect(maps.Keys(a.ledger))) {
		t.Errorf("%s %s; if that is meant, rewrite it by -update", path, difference)
	}
}

// ledgerDifferences says what a ledger has less and more than a file.
func ledgerDifferences(file string, ledger []string) []string {
	var all []string
	listed := map[string]bool{}
	for line := range strings.Lines(file) {
		line = strings.TrimSuffix(line, "\n")
		if listed[line] = true; !slices.Contains(ledger, line) {
			all = append(all, "has what was not done: "+line)
		}
	}
	for _, line := range ledger {
		if !listed[line] {
			all = append(all, "has nothing of: "+line)
		}
	}
	slices.Sort(all)
	return all
}

// proof is what the test has seen, in the form that test:integration sums.
func (a *audit) proof() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	total := 0
	for _, n := range a.surfaces {
		total += n
	}
	return fmt.Sprintf("proof: surfaces=%d bytes=%d planted=%d found=%d values=%d", total, a.bytes, a.planted, a.found, a.values)
}

// summary says what was read, by kind.
func (a *audit) summary() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	total, kinds := 0, make([]string, 0, len(a.surfaces))
	for kind, n := range a.surfaces {
		total += n
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("surfaces read %d (%s), bytes read %d, canaries planted in the real thing %d and found %d, planted while reading and found %d, values found %d",
		total, strings.Join(kinds, ", "), a.bytes, a.planted, a.found, a.inBand, a.values)
}

// random returns n random characters of an alphabet.
func random(t testing.TB, alphabet string, n int) string {
	t.Helper()
	text := make([]byte, n)
	for i := range text {
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			t.Fatal(err)
		}
		text[i] = alphabet[at.Int64()]
	}
	return string(text)
}

// output is what a command said.
type output struct {
	stdout, stderr string
	code           int
}

// onLinux tells whether this machine shows the processes of its programs.
const onLinux = runtime.GOOS == "linux"

// poll asks again and again until ok, and fails when that takes too long.
func poll(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-tick.C:
		}
	}
}

// pollTime is how long a state of this machine alone may take.
const pollTime = 20 * time.Second
