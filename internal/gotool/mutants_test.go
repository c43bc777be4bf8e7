package gotool_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/gotool"

	"github.com/keepmum/keepmum/internal/fault"
)

const sourceOfProbe = "package probe\n\nfunc Max(a, b int) int {\n\tif a > b {\n\t\treturn a\n\t}\n\treturn b\n}\n\nfunc Unused() int {\n\treturn 1\n}\n"

const testOfProbe = "package probe\n\nimport \"testing\"\n\nfunc TestMax(t *testing.T) {\n\tt.Run(\"part\", func(t *testing.T) {\n\t\tif Max(1, 2) != 2 || Max(2, 1) != 2 {\n\t\t\tt.Error(\"wrong\")\n\t\t}\n\t})\n}\n\nfunc TestFails(t *testing.T) {\n\tt.Error(\"always\")\n}\n"

// mutated is a checkout of one package with mutants.
func mutated(t *testing.T, mutants string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module probe\n\ngo 1.25\n", "a.go": sourceOfProbe, "a_test.go": testOfProbe, "mutants/area.txt": mutants} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

const (
	killedMutant  = "== the lesser one\nfile: a.go\n-\tif a > b {\n+\tif a < b {\ntest: . -run TestMax\n"
	survivor      = "== nobody looks\nfile: a.go\n-\treturn 1\n+\treturn 2\ntest: . -run TestMax\n"
	notCompiling  = "== no Go\nfile: a.go\n-\treturn 1\n+\treturn \"\"\ntest: . -run TestMax\n"
	withoutTests  = "== no test\nfile: a.go\n-\treturn 1\n+\treturn 2\ntest: . -run TestNothing\n"
	failingAnyhow = "== red before\nfile: a.go\n-\treturn 1\n+\treturn 2\ntest: . -run TestFails\n"
	dyingMutant   = "== no way out\nfile: a.go\n-\treturn b\n+\treturn Max(a, b)\ntest: . -run TestMax\n"
	deletedMutant = "# a remark\n\n== nothing of it\nfile: a.go\n-\tif a > b {\n-\t\treturn a\n-\t}\ntest: . -run TestMax\n"
)

func TestMutantsAreJudged(t *testing.T) {
	dir := mutated(t, killedMutant+survivor+notCompiling+dyingMutant+deletedMutant)
	results, err := (&gotool.Mutation{Dir: dir, Progress: fault.Quiet{}}).Run(t.Context())
	if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "of 5 mutants 2 were not seen by a test") {
		t.Errorf("error %v", err)
	}
	want := map[string]string{"the lesser one": "killed TestMax", "nobody looks": "survived ", "no Go": "unclear ", "no way out": "killed TestMax", "nothing of it": "killed TestMax"}
	for _, r := range results {
		if got := r.Outcome + " " + r.By; got != want[r.Name] || r.Commit == "" || strings.Contains(r.Commit, "modified") || r.Date == "" {
			t.Errorf("%s: %q at %q on %q", r.Name, got, r.Commit, r.Date)
		}
	}
	if len(results) != len(want) {
		t.Errorf("%d results", len(results))
	}
	if source, err := os.ReadFile(filepath.Join(dir, "a.go")); err != nil || string(source) != sourceOfProbe {
		t.Error("the tree was changed")
	}
	stored, err := gotool.StoredMutants(dir)
	if err != nil || !slices.EqualFunc(stored, results, func(a, b gotool.MutantResult) bool { return a.Name == b.Name && a.Outcome == b.Outcome }) {
		t.Errorf("stored: %v, %v", stored, err)
	}
	table := gotool.MutantTable(results)
	for _, part := range []string{"5 breakages, 3 seen by a test; tried at commit ", "| area | the lesser one | a.go | TestMax |", "| area | nobody looks | a.go | survived |"} {
		if !strings.Contains(table, part) {
			t.Errorf("the table has no %q:\n%s", part, table)
		}
	}
}

func TestATestThatProvesNothingIsAnError(t *testing.T) {
	for name, mutant := range map[string]string{"no test runs": withoutTests, "the test fails anyhow": failingAnyhow} {
		_, err := (&gotool.Mutation{Dir: mutated(t, mutant), Progress: fault.Quiet{}}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "it proves nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was tried is tried again when it, the code or the tests have changed, or
// when it was not killed.
func TestAMutantIsTriedOnce(t *testing.T) {
	dir := mutated(t, killedMutant)
	tried := func(again bool) bool {
		t.Helper()
		talk := &heard{}
		if _, err := (&gotool.Mutation{Dir: dir, Progress: talk, Again: again}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(talk.lines[0], "1 mutants, 1 to be tried")
	}
	rewrite := func(name, old, with string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(string(data), old, with, 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !tried(false) || tried(false) || !tried(true) {
		t.Error("not once, or not again where that was asked for")
	}
	rewrite("a_test.go", "\"wrong\"", "\"bad\"")
	if !tried(false) || tried(false) {
		t.Error("another test: not tried once more")
	}
	rewrite("mutants/area.txt", "a < b", "a <= b")
	if stored, err := gotool.StoredMutants(dir); err != nil || stored[0].Outcome != gotool.Unclear {
		t.Errorf("another mutant has the former result: %v, %v", stored, err)
	}
	rewrite("mutants/area.txt", "a <= b", "a == b")
	if !tried(false) {
		t.Error("another mutant: not tried once more")
	}
}

func TestMutantsEndInTime(t *testing.T) {
	dir := mutated(t, killedMutant+deletedMutant)
	_, err := (&gotool.Mutation{Dir: dir, Progress: fault.Quiet{}, Limit: time.Nanosecond}).Run(t.Context())
	if fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "2 mutants are left") {
		t.Errorf("no time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&gotool.Mutation{Dir: dir, Progress: fault.Quiet{}}).Run(ctx); err == nil {
		t.Error("an interrupted run ends well")
	}
}

func TestMutantsThatCannotBeTriedAreAllNamed(t *testing.T) {
	dir := mutated(t, "file: a.go\n"+killedMutant+killedMutant+
		"== nowhere\nfile: a.go\n-\treturn 3\n+\treturn 2\ntest: .\n== too often\nfile: a.go\n-}\ntest: .\n== no file\nfile: b.go\n-x\ntest: .\n== nothing\nfile: a.go\ntest: .\n== no change\nfile: a.go\n-\treturn 1\n+\treturn 1\ntest: .\nwhat is this\n")
	_, err := gotool.Mutants(dir)
	if fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("error %v", err)
	}
	findings := strings.Split(err.Error(), "\n")
	for _, want := range []string{"stands before the first ==", "a second mutant of this name", "0 times, not once", "2 times, not once", "b.go cannot be read", "a mutant needs file:", "it changes nothing", "neither =="} {
		if !slices.ContainsFunc(findings, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("nothing is said of %q in\n%v", want, err)
		}
	}
	if _, err := gotool.Mutants(t.TempDir()); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without mutants: %v", err)
	}
}
