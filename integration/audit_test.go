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

// planted is the name of the canary: a value that is not a secret, is put where a
// secret must not be, and has to be found there. The same search looks for the
// secrets.
const planted = "PLANTED_BY_THE_TEST"

// audit searches surfaces for every value of the test, and counts surfaces and
// canaries. At the end a test requires minimum counts, so that a search that is no
// longer made is missed.
//
// Its methods take a testing.TB, so that its own tests can see it fail.
type audit struct {
	canary string
	plain  string // another one, of letters only, where quoting would get in the way
	known  []secrets.Known
	sweep  *sweep.Sweep

	early time.Duration // a command that ended sooner may not have been seen
	looks atomic.Int64  // how often processes were read

	mu       sync.Mutex
	waiting  []sweep.Surface // output from before the project had its key
	surfaces map[string]int  // by kind, which is the first word of the name
	bytes    int64
	planted  int // canaries that the test planted
	found    int // of them
	inBand   int // canaries that sweep planted while reading, all found
	values   int // values of secrets where they must not be

}

// newAudit makes the canary: two lines, with characters that encoders treat
// differently.
func newAudit(t testing.TB) *audit {
	letters := "abcdefghijklmnopqrstuvwxyz"
	return &audit{
		canary:   "canary-" + random(t, letters, 12) + "\"'<&>+%/$ é\x01\\`\n" + "second-line-" + random(t, letters, 12),
		plain:    "canary" + random(t, letters, 20),
		early:    time.Second,
		surfaces: map[string]int{},
	}
}

// variable is an environment variable that holds the canary, for keepmum's
// commands: finding it shows that their environment is really read.
func (a *audit) variable() string { return "INTEGRATION_CANARY=" + a.plain }

// know adds values that must not appear anywhere.
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

// masked is the output of a command, safe to show in a test's own output.
func (a *audit) masked(text string) string { return redact.New(a.known).String(text) }

// hits are what was found, by surface.
type hits map[string][]sweep.Hit

// search reads surfaces to their end. Every value but the canary is an error,
// unless it is allowed. Hits of the canary and of allowed values are returned.
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
		for _, hit := range result.Hits {
			if hit.Name == planted || allowed != nil && allowed(hit) {
				found[hit.Surface] = append(found[hit.Surface], hit)
				continue
			}
			a.values++
			t.Errorf("%s shows %s: %s, in %q, line %d", hit.Surface, hit.Name, hit.Encoding, hit.Place, hit.Line)
		}
		if result.More > 0 {
			t.Errorf("%s has more hits than are kept", result.Surface)
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

// require is search for surfaces with planted canaries: each has to be found, and
// none in a surface in which it was not planted.
func (a *audit) require(t testing.TB, plants []plant, allowed func(sweep.Hit) bool, surfaces ...sweep.Surface) hits {
	t.Helper()
	found := a.search(t, allowed, surfaces...)
	a.expect(t, found, plants...)
	for surface, of := range found {
		if slices.ContainsFunc(of, func(h sweep.Hit) bool { return h.Name == planted }) && !slices.ContainsFunc(plants, func(p plant) bool { return p.surface == surface }) {
			t.Errorf("%s shows the canary, which was not planted there", surface)
		}
	}
	return found
}

// silent is require for surfaces in which no canary was planted.
func (a *audit) silent(t testing.TB, surfaces ...sweep.Surface) {
	t.Helper()
	a.require(t, nil, nil, surfaces...)
}

// plant is a canary that the test planted: the surface, place and encoding in which
// it has to be found. An empty place or encoding matches all.
type plant struct{ surface, place, encoding string }

// expect requires that each plant was found.
func (a *audit) expect(t testing.TB, found hits, plants ...plant) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range plants {
		a.planted++
		if slices.ContainsFunc(found[p.surface], func(h sweep.Hit) bool {
			return h.Name == planted && strings.Contains(h.Place, p.place) && (p.encoding == "" || h.Encoding == p.encoding)
		}) {
			a.found++
			continue
		}
		t.Errorf("the canary planted in %s (%s %s) was not found: the search cannot fail", p.surface, p.place, p.encoding)
	}
}

// said searches the output of a command, now or as soon as the search begins.
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
			t.Errorf("%s shows the canary %d times", surface, len(found))
		}
	}
}

// watchProcesses reads environment and arguments of a running command and of every
// process that it starts, until the returned function is called, which searches
// them. The command's environment holds the canary.
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
			return // it ended before it could be read
		}
		a.expect(t, a.search(t, nil, surface), plant{surface: surface.Name})
	}
}

// family returns a process and the running processes that it started.
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

// processText is what the system shows of a process; empty if it has ended.
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

// requireShown requires that a surface shows exactly these secrets, which a
// search has allowed.
func requireShown(t testing.TB, found hits, surface string, want []string) {
	t.Helper()
	if got := namesOf(found[surface]); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s shows %v, want %v", surface, got, want)
	}
}

// namesOf returns the names of hits, each once, without the canary's.
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

// finish ends a test: every planted canary was found, no value was, and at least
// so many surfaces of each kind were read, and so many "canaries" found. So a
// search that is no longer made is missed. Then it logs what was read.
func (a *audit) finish(t testing.TB, atLeast map[string]int) {
	t.Helper()
	a.mu.Lock()
	if a.planted == 0 || a.found != a.planted || a.values != 0 {
		t.Errorf("%d canaries were planted and %d found; %d values were found", a.planted, a.found, a.values)
	}
	counts := maps.Clone(a.surfaces)
	counts["canaries"] = a.found
	for kind, want := range atLeast {
		if counts[kind] < want && (onLinux || kind != commandProcesses) {
			t.Errorf("%s: %d, want at least %d", kind, counts[kind], want)
		}
	}
	a.mu.Unlock()
	t.Log(a.summary())
	t.Log(a.proof())
}

// commandProcesses is the kind of surface that the processes of our own
// commands are, which only Linux shows.
const commandProcesses = "processes of"

// proof is the counts in the form that test:integration sums.
func (a *audit) proof() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	total := 0
	for _, n := range a.surfaces {
		total += n
	}
	return fmt.Sprintf("proof: surfaces=%d bytes=%d planted=%d found=%d values=%d", total, a.bytes, a.planted, a.found, a.values)
}

// summary is the counts for a person to read.
func (a *audit) summary() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	total, kinds := 0, make([]string, 0, len(a.surfaces))
	for kind, n := range a.surfaces {
		total += n
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("surfaces read %d (%s), bytes read %d, canaries planted by the test %d and found %d, planted while reading and found %d, values found %d",
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

// output is the output of a command.
type output struct {
	stdout, stderr string
	code           int
}

// onLinux reports whether this machine shows the environment of processes.
const onLinux = runtime.GOOS == "linux"

// poll calls ok again and again until it returns true, and fails after the limit.
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

// pollTime is the limit for what depends on this machine alone.
const pollTime = 20 * time.Second
