package values_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
)

func TestInit_TwiceChangesNothing(t *testing.T) {
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
		t.Errorf("%d files reported, want at least 8", len(first.Files))
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

func TestInit_DryRunMakesNothing(t *testing.T) {
	b := opstest.New(t)
	result, err := use(b).Init(t.Context(), true)
	if err != nil || len(result.Files) < 8 {
		t.Errorf("%d files reported, %v", len(result.Files), err)
	}
	if entries, _ := os.ReadDir(b.Dir); len(entries) != 1 {
		t.Errorf("%d entries, want the compose file alone", len(entries))
	}
}

func TestInit_ExampleIsRefusedAsAValue(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	_, err := use(b).Set(t.Context(), "LOGIN", typed(b.File("secrets/LOGIN.example")), false)
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("the example is taken for a value: %v", err)
	}
}

// initRows renders what Init did.
func initRows(result values.InitResult) map[string]project.Change {
	rows := map[string]project.Change{}
	for _, row := range result.Files {
		rows[row.Path] = row.Change
	}
	return rows
}

func TestInit_ReportsEachFile(t *testing.T) {
	paths := []string{".dockerignore", ".env.example", ".gitignore", ".keepmum/key", "secrets/.gitignore", "secrets/EXTRA.example", "secrets/LOGIN.example", "secrets/README.md", "secrets/TOKEN.example"}
	for _, dry := range []bool{true, false} {
		b := opstest.New(t)
		result, err := use(b).Init(t.Context(), dry)
		if err != nil || result.DryRun != dry {
			t.Fatalf("%+v, %v", result, err)
		}
		rows := initRows(result)
		if got := slices.Sorted(maps.Keys(rows)); !slices.Equal(got, paths) || len(result.Files) != len(paths) {
			t.Errorf("dry run %v: files %q, want %q", dry, got, paths)
		}
		for path, change := range rows {
			if change != project.Created || (b.File(path) != "") == dry {
				t.Errorf("dry run %v: %s %s", dry, path, change)
			}
		}
	}
}

func TestInit_CompletesPartialFilesAndChangesNothingElse(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/README.md", "ours")
	b.Put(".gitignore", "/bin/\n  /.env  \n/.env.*")
	b.Put(".dockerignore", "secrets/\r\n.env\r\n.env.*\r\n.keepmum/\r\n**/.*.tmp\r\n")
	b.Put(".env.example", "TOKEN=of-an-example\nLOGIN=") // without a newline at its end
	b.Open()
	result, err := use(b).Init(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	rows := initRows(result)
	for path, want := range map[string]struct {
		change project.Change
		text   string
	}{
		"secrets/README.md": {project.Unchanged, "ours"},
		".gitignore":        {project.Updated, "/bin/\n  /.env  \n/.env.*\n!/.env.example\n/.keepmum/\n.*.tmp\n"},
		".dockerignore":     {project.Unchanged, "secrets/\r\n.env\r\n.env.*\r\n.keepmum/\r\n**/.*.tmp\r\n"},
		".env.example":      {project.Updated, "TOKEN=of-an-example\nLOGIN=\n# not needed (for api)\nEXTRA=\n"},
	} {
		if rows[path] != want.change || b.File(path) != want.text {
			t.Errorf("%s %s: %q, want %s: %q", path, rows[path], b.File(path), want.change, want.text)
		}
	}
}

func TestInit_WritesIntoAnEmptyFile(t *testing.T) {
	b := opstest.New(t)
	b.Put(".gitignore", "")
	result, err := use(b).Init(t.Context(), false)
	if err != nil || initRows(result)[".gitignore"] != project.Updated || !strings.HasPrefix(b.File(".gitignore"), "/.env\n") {
		t.Errorf("%v: %q", err, b.File(".gitignore"))
	}
}

func TestInit_DescribesEachSecretInTheEnvExample(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "description: of the database, ", "", 1))
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# of the API (for api)\nTOKEN=\n", "# no description (for api, worker)\nLOGIN=\n"} {
		if !strings.Contains(b.File(".env.example"), want) {
			t.Errorf("no %q in %q", want, b.File(".env.example"))
		}
	}
}

func TestInit_DryRunReportsWhatIsMissing(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.Put(".gitignore", "/.env\n")
	if err := os.Remove(filepath.Join(b.Dir, "secrets", "TOKEN.example")); err != nil {
		t.Fatal(err)
	}
	before := b.Tree()
	result, err := use(b).Init(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for path, change := range initRows(result) {
		if want := map[string]project.Change{".gitignore": project.Updated, "secrets/TOKEN.example": project.Created}[path]; change != want && (want != "" || change != project.Unchanged) {
			t.Errorf("%s %s", path, change)
		}
	}
	b.Same(before)
}

func TestInit_RefusesAManifestWithFindings(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "min_length: 8, rotate", "min_lenght: 8, rotate", 1))
	before := b.Tree()
	_, err := use(b).Init(t.Context(), false)
	refused(t, err, fault.Invalid, "docker-compose.yml:15 LOGIN")
	b.Same(before)
}

func TestInit_StopsAtAFileThatCannotBeRead(t *testing.T) {
	for _, path := range []string{"secrets/README.md", ".env.example", ".gitignore", ".dockerignore"} {
		for _, dry := range []bool{true, false} {
			b := opstest.New(t)
			b.Put(path+"/x", "")
			b.Open()
			_, err := use(b).Init(t.Context(), dry)
			if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.What, path+" is a directory") {
				t.Errorf("%s, dry run %v: %v", path, dry, err)
			}
			if b.File(".keepmum/key") != "" {
				t.Errorf("%s, dry run %v: it went on", path, dry)
			}
		}
	}
}

func TestInit_ReturnsTheErrorOfAWrite(t *testing.T) {
	for _, call := range []string{"Scaffold secrets/README.md", "Replace .gitignore", "Key"} {
		b := opstest.New(t)
		_, err := over(b, opstest.Store{}, opstest.Files{Fail: map[string]error{call: errDisk}}).Init(t.Context(), false)
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", call, err)
		}
	}
	b := opstest.New(t)
	if _, err := over(b, opstest.Store{UpdateErr: errDisk}, opstest.Files{}).Init(t.Context(), false); !errors.Is(err, errDisk) {
		t.Errorf("the lock: %v", err)
	}
}

func TestInit_ReportsAKeyThatIsBroken(t *testing.T) {
	for _, dry := range []bool{true, false} {
		b := opstest.New(t)
		b.Put(".keepmum/key", "short")
		_, err := use(b).Init(t.Context(), dry)
		if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.What, ".keepmum/key") {
			t.Errorf("dry run %v: %v", dry, err)
		}
		if b.File(".keepmum/key") != "short" {
			t.Errorf("dry run %v: the key was replaced", dry)
		}
	}
}
