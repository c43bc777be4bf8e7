package values_test

import (
	"os"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

func TestScaffoldTwiceChangesNothing(t *testing.T) {
	b := opstest.New(t)
	b.Put(".gitignore", "/bin/") // without a newline at its end
	first, err := use(b).Init(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if b.File("secrets/TOKEN.example") == "" || b.File("secrets/.gitignore") == "" || !strings.Contains(b.File(".env.example"), "TOKEN=\n") {
		t.Error("files are missing")
	}
	if !strings.HasPrefix(b.File(".gitignore"), "/bin/\n/.env\n") {
		t.Errorf(".gitignore: %q", b.File(".gitignore"))
	}
	if len(first.Files) < 8 {
		t.Errorf("%d files told, want at least 8", len(first.Files))
	}
	second, err := use(b).Init(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range second.Files {
		if row.Change != project.Unchanged {
			t.Errorf("%s %s by the second run", row.Path, row.Change)
		}
	}
}

func TestScaffoldDryRunMakesNothing(t *testing.T) {
	b := opstest.New(t)
	result, err := use(b).Init(t.Context(), true)
	if err != nil || len(result.Files) < 8 {
		t.Errorf("%d files told, %v", len(result.Files), err)
	}
	if entries, _ := os.ReadDir(b.Dir); len(entries) != 1 {
		t.Errorf("%d entries, want the compose file alone", len(entries))
	}
}

func TestWhatScaffoldMakesIsRefusedAsAValue(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	_, err := use(b).Set(t.Context(), "LOGIN", typed(b.File("secrets/LOGIN.example")), false)
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("the example is taken for a value: %v", err)
	}
}
