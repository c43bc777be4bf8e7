package gotool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

// heard keeps the lines that a run prints.
type heard struct{ lines []string }

func (h *heard) Say(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

// run tests a module that holds one test file with the given body.
func run(t *testing.T, body string) (gotool.Tally, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module probe\n\ngo 1.25\n",
		"a_test.go": "package probe\n\nimport \"testing\"\n\n" + body + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said heard
	tally, err := gotool.Test(t.Context(), dir, &said, "./...")
	return tally, strings.Join(said.lines, "\n"), err
}

func TestTest_FailsUnlessAllRunAndPass(t *testing.T) {
	tests := []struct {
		name, body string
		tally      string
		err        string // part of the error, empty: none
		said       string
	}{
		{"all pass", "func TestA(t *testing.T) { t.Run(\"b\", func(*testing.T) {}) }", "2 passed, 0 failed, 0 skipped", "", "ok "},
		{"one fails", "func TestA(t *testing.T) { t.Error(\"the reason\") }", "0 passed, 1 failed, 0 skipped", "1 tests failed", "the reason"},
		{"one is skipped", "func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { t.Skip() }", "1 passed, 0 failed, 1 skipped", "skipped tests: probe.TestB", "ok "},
		{"none runs", "var _ testing.TB", "0 passed, 0 failed, 0 skipped", "no test ran", ""},
		{"it does not build", "func TestA(t *testing.T) { nowhere() }", "0 passed, 1 failed, 0 skipped", "1 tests failed", "undefined: nowhere"},
		{"it exits", "func TestA(t *testing.T) { panic(\"boom\") }", "0 passed, 1 failed, 0 skipped", "1 tests failed", "boom"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tally, said, err := run(t, test.body)
			if got := tally.String(); got != test.tally {
				t.Errorf("tally %q, want %q", got, test.tally)
			}
			switch {
			case test.err == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want %q", err, test.err)
			case test.err != "" && fault.CodeOf(err) != fault.Failed:
				t.Errorf("class %d, want %d", fault.CodeOf(err), fault.Failed)
			}
			if !strings.Contains(said, test.said) {
				t.Errorf("said %q, want a part %q", said, test.said)
			}
		})
	}
}

func TestCheckout_RefusesOtherDirectories(t *testing.T) {
	if err := gotool.Checkout("../.."); err != nil {
		t.Errorf("the checkout is refused: %v", err)
	}
	dir := t.TempDir()
	refused := func(missing string) {
		t.Helper()
		err := gotool.Checkout(dir)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "there is no "+missing+" here") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	refused("go.mod")
	if _, err := (gotool.Binary{Dir: dir}).Build(t.Context()); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a binary outside a checkout: %v", err)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("something was created: %v, %v", made, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("magefiles/magefile.go")
}
