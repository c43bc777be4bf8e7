package gotool_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

// TestMutantsApply requires that each mutant of this checkout applies to the
// code and names its tests. Whether a test fails for it, test:mutants tries.
func TestMutantsApply(t *testing.T) {
	all, err := gotool.Mutants(t.Context(), root(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 1 || len(all) > 40 {
		t.Errorf("%d mutants, want 1 to 40", len(all))
	}
}

// files writes files into a new directory.
func files(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	maxSource = "package probe\n\nfunc Max(a, b int) int {\n\tif a > b {\n\t\treturn a\n\t}\n\treturn b\n}\n\nfunc Unused() int {\n\treturn 1\n}\n"
	maxTest   = "package probe\n\nimport \"testing\"\n\nfunc TestMax(t *testing.T) {\n\tif Max(1, 2) != 2 || Max(2, 1) != 2 {\n\t\tt.Error(\"wrong\")\n\t}\n}\n\nfunc TestFails(t *testing.T) { t.Error(\"always\") }\n"
)

// patch is a mutant that changes the condition of Max, or what Unused returns.
func patch(test, old, changed string) string {
	hunk := "@@ -10,3 +10,3 @@\n func Unused() int {\n-%s\n+%s\n }\n"
	if strings.Contains(old, "if") {
		hunk = "@@ -3,3 +3,3 @@\n func Max(a, b int) int {\n-%s\n+%s\n \t\treturn a\n"
	}
	return "It breaks something.\nTest: " + test + "\n\n--- a/a.go\n+++ b/a.go\n" + fmt.Sprintf(hunk, old, changed)
}

// probe is a module with the given patches.
func probe(t *testing.T, patches map[string]string) string {
	t.Helper()
	all := map[string]string{"go.mod": "module probe\n\ngo 1.25\n", "a.go": maxSource, "a_test.go": maxTest, "sub/go.mod": "module sub\n\ngo 1.25\n", "sub/a_test.go": "package sub\n\nimport (\n\t\"os\"\n\t\"strings\"\n\t\"testing\"\n)\n\nfunc TestSource(t *testing.T) {\n\tif data, err := os.ReadFile(\"../a.go\"); err != nil || !strings.Contains(string(data), \"a > b\") {\n\t\tt.Error(\"changed\")\n\t}\n}\n"}
	for name, text := range patches {
		all["mutants/"+name+".patch"] = text
	}
	return files(t, all)
}

// try tries a module's mutants.
func try(ctx context.Context, t *testing.T, dir string) (gotool.Score, []fault.Finding, error) {
	t.Helper()
	all, err := gotool.Mutants(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return gotool.TryMutants(ctx, dir, all, fault.Quiet{})
}

func TestTryMutants_CountsThoseThatATestSees(t *testing.T) {
	dir := probe(t, map[string]string{
		"another":  patch(". -run TestMax", "\tif a > b {", "\tif a < b {"),
		"endless":  patch(". -run TestMax", "\tif a > b {", "\tif Max(a, b) > b {"),
		"in-sub":   patch("-C sub .", "\tif a > b {", "\tif a >= b {"),
		"survivor": patch(". -run TestMax", "\treturn 1", "\treturn 2"),
	})
	score, findings, err := try(t.Context(), t, dir)
	if err != nil || score.Killed != 3 || score.Lived != 1 || score.Efficacy() != 75 {
		t.Errorf("%+v, %v; want 3 killed, 1 lived", score, err)
	}
	if len(findings) != 1 || findings[0].File != "mutants/survivor.patch" || !strings.Contains(findings[0].Problem, "no test fails for it: It breaks something.") {
		t.Errorf("findings %v", findings)
	}
	if source, err := os.ReadFile(filepath.Join(dir, "a.go")); err != nil || string(source) != maxSource {
		t.Errorf("a mutant was not taken back: %v\n%s", err, source)
	}
}

func TestTryMutants_FailsIfNothingIsKnown(t *testing.T) {
	for want, text := range map[string]string{
		"the code does not compile":        patch(". -run TestMax", "\treturn 1", "\treturn \"\""),
		"`go test . -run TestFails` does":  patch(". -run TestFails", "\treturn 1", "\treturn 2"),
		"`go test . -run TestNowhere` doe": patch(". -run TestNowhere", "\treturn 1", "\treturn 2"),
	} {
		_, _, err := try(t.Context(), t, probe(t, map[string]string{"one": text}))
		if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "mutants/one.patch: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := try(ctx, t, probe(t, map[string]string{"one": patch(". -run TestMax", "\treturn 1", "\treturn 2")})); err != context.Canceled {
		t.Errorf("stopped: %v", err)
	}
}

func TestMutants_NamesEachUnusablePatch(t *testing.T) {
	_, err := gotool.Mutants(t.Context(), probe(t, map[string]string{
		"stale":    patch(".", "\treturn 3", "\treturn 2"),
		"textless": strings.Replace(patch(".", "\treturn 1", "\treturn 2"), "It breaks something.\n", "", 1),
		"untested": strings.Replace(patch(".", "\treturn 1", "\treturn 2"), "Test: ", "Tests: ", 1),
		"good":     patch(".", "\treturn 1", "\treturn 2"),
	}))
	want := "some mutants cannot be used\n  mutants/stale.patch: it does not apply to the code\n" +
		"  mutants/textless.patch: it needs a line of text and a line `Test: ARGUMENTS` above the diff\n" +
		"  mutants/untested.patch: it needs a line of text and a line `Test: ARGUMENTS` above the diff"
	if fault.CodeOf(err) != fault.Invalid || err.Error() != want {
		t.Errorf("error %v, want\n%s", err, want)
	}
}

func TestMutants_AreOneToForty(t *testing.T) {
	many := map[string]string{}
	for i := range 41 {
		many[fmt.Sprint(i)] = patch(".", "\treturn 1", "\treturn 2")
	}
	for want, patches := range map[string]map[string]string{"there are no mutants here": nil, "at most 40": many} {
		if _, err := gotool.Mutants(t.Context(), probe(t, patches)); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
