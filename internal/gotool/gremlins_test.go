package gotool_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

// gremlinsFake reports what the file gremlins.json of a package holds.
const gremlinsFake = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	if os.Args[1] != "unleash" || !strings.Contains(os.Getenv("GOFLAGS"), "-vet=off") || filepath.Base(must(os.Getwd())) != "checkout" {
		fmt.Println("called in another way:", os.Args)
		os.Exit(1)
	}
	if _, err := os.Stat(".env"); err == nil {
		fmt.Println("an ignored file was copied")
		os.Exit(1)
	}
	data, err := os.ReadFile(filepath.Join(os.Args[2], "gremlins.json"))
	if err != nil {
		return // like gremlins, which writes no report of nothing
	}
	if string(data) == "hang" {
		stopped := make(chan os.Signal, 1)
		signal.Notify(stopped)
		<-stopped
	}
	if string(data) == "fail" {
		fmt.Println("tests fail before anything is changed")
		os.Exit(1)
	}
	if string(data) == "greedy" {
		fmt.Println(len(make([]byte, 16<<30))) // of addresses: nothing is written to it
	}
	for _, arg := range os.Args {
		if path, ok := strings.CutPrefix(arg, "--output="); ok {
			os.WriteFile(path, data, 0o600)
		}
	}
}

func must(dir string, err error) string { return dir }
`

// report is gremlins' report of one file with mutants of these statuses.
func report(statuses ...string) string {
	var all []string
	for _, status := range statuses {
		all = append(all, `{"type":"CONDITIONALS_NEGATION","status":"`+status+`","line":7,"column":3}`)
	}
	return `{"files":[{"file_name":"a.go","mutations":[` + strings.Join(all, ",") + `]}]}`
}

// mutated is a checkout of packages with the given reports, one mutant written
// by hand, and a fake gremlins.
func mutated(t *testing.T, reports map[string]string) string {
	t.Helper()
	all := map[string]string{
		"go.mod": "module probe\n\ngo 1.25\n", "a.go": maxSource, "a_test.go": maxTest, ".gitignore": ".env\n", ".env": "A=value\n",
		"mutants/one.patch": patch(". -run TestMax", "\tif a > b {", "\tif a < b {"), "tools/gremlins.mod": "module probe\n\ngo 1.25\n\ntool probe/gremlins\n", "gremlins/main.go": gremlinsFake,
		"pkg/untested/a.go": "package untested\n", "internal/tool/main.go": "package main\n\nfunc main() {}\n", "internal/tool/a_test.go": "package main\n", "internal/gotool/a.go": "package gotool\n", "internal/gotool/a_test.go": "package gotool\n",
	}
	for path, text := range reports {
		name := filepath.Base(path)
		all[path+"/a.go"], all[path+"/a_test.go"] = "package "+name+"\n", "package "+name+"\n"
		if text != "" {
			all[path+"/gremlins.json"] = text
		}
	}
	dir := files(t, all)
	for _, args := range [][]string{{"init", "-q"}, {"add", "go.mod"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	return dir
}

// mutate tries a checkout's mutants, and requires that no copy of it is left.
func mutate(ctx context.Context, t *testing.T, m gotool.Mutation) ([]gotool.Score, string, error) {
	t.Helper()
	var said heard
	m.Progress, m.Limit = &said, cmp.Or(m.Limit, time.Hour)
	scores, err := m.Run(ctx)
	if left, failed := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "mutants-*")); failed != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, failed)
	}
	return scores, strings.Join(said.lines, "\n"), err
}

// of are the names of scores.
func of(scores []gotool.Score) []string {
	var names []string
	for _, s := range scores {
		names = append(names, s.Of)
	}
	return names
}

func TestMutation_ScoresEachPackage(t *testing.T) {
	dir := mutated(t, map[string]string{
		"pkg/good": report(append(slices.Repeat([]string{"KILLED"}, 17), "LIVED", "LIVED", "LIVED", "NOT COVERED")...), "pkg/loops": report("KILLED", "TIMED OUT"), "pkg/good/below": "",
	})
	scores, said, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir})
	if err != nil || !slices.Equal(of(scores), []string{"mutants", "pkg/good", "pkg/good/below", "pkg/loops"}) {
		t.Fatalf("%v, %v", of(scores), err)
	}
	for i := range scores {
		scores[i].Took = 0
	}
	want := []gotool.Score{{Of: "mutants", Killed: 1}, {Of: "pkg/good", Killed: 17, Lived: 3, NotCovered: 1}, {Of: "pkg/good/below"}, {Of: "pkg/loops", Killed: 1, TimedOut: 1}}
	if !slices.Equal(scores, want) || scores[1].Efficacy() != 85 {
		t.Errorf("%+v", scores)
	}
	for _, line := range []string{"killed  mutants/one.patch", "LIVED   pkg/good/a.go:7:3 CONDITIONALS_NEGATION"} {
		if !strings.Contains(said, line) {
			t.Errorf("nothing is said of %q in\n%s", line, said)
		}
	}
}

func TestMutation_FailsBelowTheFloor(t *testing.T) {
	dir := mutated(t, map[string]string{
		"pkg/good":       report("KILLED"),
		"pkg/bad":        report(append(slices.Repeat([]string{"KILLED"}, 16), "LIVED", "LIVED", "LIVED")...),
		"internal/timed": report("KILLED", "KILLED", "TIMED OUT", "TIMED OUT", "TIMED OUT"),
	})
	scores, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir})
	want := "the tests do not see enough of what was broken\n" +
		"  pkg/bad: its tests see 84.2 % of the mutants that they run, less than 85 %\n" +
		"  internal/timed: 3 mutants timed out, and only 2 did not: is the machine busy?"
	if fault.CodeOf(err) != fault.Failed || err.Error() != want || len(scores) != 4 {
		t.Errorf("%v, %v, want\n%s", of(scores), err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "mutants", "one.patch"), []byte(patch(". -run TestMax", "\treturn 1", "\treturn 2")), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Only: "mutants"}); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "mutants/one.patch: no test fails for it") {
		t.Errorf("a mutant by hand: %v", err)
	}
}

func TestMutation_TakesPartOfIt(t *testing.T) {
	dir := mutated(t, map[string]string{"pkg/good": report("KILLED"), "pkg/good/below": "", "pkg/goodness": "fail"})
	for only, want := range map[string][]string{
		"pkg/good": {"pkg/good", "pkg/good/below"}, "./pkg/good/below/": {"pkg/good/below"}, "mutants": {"mutants"}, "mutants/one.patch": {"mutants"},
	} {
		if scores, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Only: only}); err != nil || !slices.Equal(of(scores), want) {
			t.Errorf("%s: %v, %v", only, of(scores), err)
		}
	}
	if _, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Only: "internal/nowhere"}); fault.CodeOf(err) != fault.Usage {
		t.Errorf("nothing of it: %v", err)
	}
	if _, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Only: "pkg/goodness"}); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "tests fail before anything is changed") {
		t.Errorf("gremlins fails: %v", err)
	}
}

// stopper ends a run when it says a line.
type stopper struct {
	line string
	stop context.CancelFunc
}

func (s stopper) Say(format string, args ...any) {
	if fmt.Sprintf(format, args...) == s.line {
		s.stop()
	}
}

func TestMutation_EndsInTime(t *testing.T) {
	dir := mutated(t, map[string]string{"pkg/good": report("KILLED"), "pkg/hangs": "hang"})
	if _, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Limit: time.Nanosecond}); fault.CodeOf(err) != fault.Incomplete {
		t.Errorf("no time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	scores, err := gotool.Mutation{Dir: dir, Progress: stopper{"pkg/hangs …", cancel}, Limit: time.Hour}.Run(ctx)
	if err != context.Canceled || !slices.Equal(of(scores), []string{"mutants", "pkg/good"}) {
		t.Errorf("stopped: %v, %v", of(scores), err)
	}
}
