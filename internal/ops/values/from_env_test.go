package values_test

import (
	"errors"
	"fmt"
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

func fromEnv(b *opstest.Bench, change func(*values.FromEnvOptions)) (values.FromEnvResult, error) {
	b.T.Helper()
	var o values.FromEnvOptions
	if change != nil {
		change(&o)
	}
	result, err := use(b).FromEnv(b.T.Context(), o)
	b.Silent(result, err)
	return result, err
}

func changes(result values.FromEnvResult) map[string]project.Change {
	m := map[string]project.Change{}
	for _, row := range result.Secrets {
		m[row.Name] = row.Change
	}
	return m
}

func TestFromEnv_WritesUpdatesAndLeavesAlone(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN='"+opstest.TokenValue+"'\nPORT=80\nEXTRA=\n")
	result, err := fromEnv(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]project.Change{"LOGIN": project.Created, "TOKEN": project.Created, "EXTRA": project.Ignored}
	if got := changes(result); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue || b.File("secrets/TOKEN") != opstest.TokenValue || b.File("secrets/EXTRA") != "" {
		t.Error("the files do not hold what the .env does")
	}
	if !slices.Equal(result.Undeclared, []string{"PORT"}) || !slices.Equal(result.Remaining, []string{"LOGIN", "TOKEN"}) {
		t.Errorf("undeclared %q, remaining %q", result.Undeclared, result.Remaining)
	}

	b.Put(".env", "LOGIN="+opstest.OtherValue+"\nTOKEN="+opstest.TokenValue+"\n")
	result, err = fromEnv(b, nil)
	want = map[string]project.Change{"LOGIN": project.Updated, "TOKEN": project.Unchanged, "EXTRA": project.Ignored}
	if got := changes(result); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, %v; want %v", got, err, want)
	}
	if b.File("secrets/LOGIN") != opstest.OtherValue {
		t.Error("the changed value was not written")
	}
}

func TestFromEnv_DryRunChangesNothing(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	result, err := fromEnv(b, func(o *values.FromEnvOptions) { o.DryRun, o.Prune = true, true })
	if err != nil || changes(result)["LOGIN"] != project.Created {
		t.Errorf("%v, %v; want LOGIN created", changes(result), err)
	}
	if entries, _ := os.ReadDir(b.Dir); len(entries) != 2 {
		t.Errorf("%d entries in the project, want the two that were there", len(entries))
	}
	if !strings.HasPrefix(b.File(".env"), "LOGIN") {
		t.Error("the .env was changed")
	}
}

func TestFromEnv_RefusesEverythingAtOnceAndWritesNothing(t *testing.T) {
	tests := map[string]struct {
		env    string
		places []string
	}{
		"a reading that Compose does not share": {"TOKEN=" + opstest.TokenValue + "\nLOGIN=\"pa$SWORD1!more\"\n", []string{".env:2 LOGIN"}},
		"empty":                                 {"TOKEN=" + opstest.TokenValue + "\nLOGIN=\n", []string{".env:2 LOGIN"}},
		"a placeholder":                         {"TOKEN=" + opstest.TokenValue + "\nLOGIN=changeme\n", []string{".env:2 LOGIN"}},
		"too short":                             {"TOKEN=" + opstest.TokenValue + "\nLOGIN=abc\n", []string{".env:2 LOGIN"}},
		"twice":                                 {"TOKEN=" + opstest.TokenValue + "\nLOGIN=" + opstest.LoginValue + "\nLOGIN=" + opstest.OtherValue + "\n", []string{".env:3 LOGIN"}},
		"two at a time":                         {"TOKEN=short\nLOGIN=\n", []string{".env:1 TOKEN", ".env:2 LOGIN"}},
		"a reading and a rule":                  {"TOKEN=short\nLOGIN=\"pa$SWORD1!more\"\n", []string{".env:1 TOKEN", ".env:2 LOGIN"}},
		"a line that is not an assignment":      {"TOKEN=" + opstest.TokenValue + "\nwhat is this\n", []string{".env:2 "}},
		"an unterminated quote":                 {"TOKEN=" + opstest.TokenValue + "\nLOGIN=\"" + opstest.LoginValue + "\n", []string{".env:2 LOGIN"}},
		"larger than Swarm keeps, by one":       {"TOKEN=" + opstest.TokenValue + "\nLOGIN=" + strings.Repeat("x", 512_000) + "\n", []string{".env:2 LOGIN"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := opstest.New(t)
			b.Put(".env", test.env)
			_, err := fromEnv(b, nil)
			refused(t, err, fault.Invalid, test.places...)
			if b.File("secrets/TOKEN") != "" {
				t.Error("a value was written")
			}
		})
	}
}

func TestFromEnv_LetsAProblemOfAnUndeclaredKeyPass(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "HOME_OF=\"$HOME/x\"\nLOGIN="+opstest.LoginValue+"\n")
	result, err := fromEnv(b, nil)
	if err != nil || changes(result)["LOGIN"] != project.Created {
		t.Errorf("%v, %v; want LOGIN created", changes(result), err)
	}
	if !slices.Contains(result.Undeclared, "HOME_OF") {
		t.Errorf("undeclared %q, want HOME_OF among them", result.Undeclared)
	}
}

func TestFromEnv_SettlesAReadingByFlag(t *testing.T) {
	for flag, want := range map[string]string{"literal": "login$VALUE-77aa", "asCompose": "login-77aa"} {
		t.Run(flag, func(t *testing.T) {
			b := opstest.New(t)
			b.Put(".env", "LOGIN=\"login$VALUE-77aa\"\n")
			_, err := fromEnv(b, func(o *values.FromEnvOptions) {
				if flag == "literal" {
					o.Literal = []string{"LOGIN"}
				} else {
					o.AsCompose = []string{"LOGIN"}
				}
			})
			if err != nil || b.File("secrets/LOGIN") != want {
				t.Errorf("stored something else than the %s reading: %v", flag, err)
			}
		})
	}
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	_, err := fromEnv(b, func(o *values.FromEnvOptions) {
		o.Literal, o.AsCompose = []string{"LOGON"}, []string{"LOGIN", "TOKNE", "a value?"}
	})
	refused(t, err, fault.Usage, "docker-compose.yml:0 LOGON", "docker-compose.yml:0 TOKNE", "docker-compose.yml:0 ")
	if strings.Contains(err.Error(), "a value?") {
		t.Error("what is not a name may be a value, and the error quotes it")
	}
}

func TestFromEnv_WritesNothingThatItCouldNotPrune(t *testing.T) {
	b := opstest.New(t)
	b.Put("real.env", "LOGIN="+opstest.LoginValue+"\n")
	if err := os.Symlink("real.env", filepath.Join(b.Dir, ".env")); err != nil {
		t.Fatal(err)
	}
	_, err := fromEnv(b, func(o *values.FromEnvOptions) { o.Prune = true })
	if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), ".env is a symbolic link") || b.File("secrets/LOGIN") != "" {
		t.Errorf("%v; a value was written: %v", err, b.File("secrets/LOGIN") != "")
	}
	if _, err := fromEnv(b, func(o *values.FromEnvOptions) { o.Prune, o.DryRun = true, true }); err != nil {
		t.Errorf("a dry run: %v", err)
	}
}

func TestFromEnv_PrunesWhatItStored(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "# mine\nLOGIN="+opstest.LoginValue+"\nPORT=80\n")
	result, err := fromEnv(b, func(o *values.FromEnvOptions) { o.Prune = true })
	if err != nil || !slices.Equal(result.Pruned, []string{"LOGIN"}) || len(result.Remaining) > 0 {
		t.Fatalf("pruned %q, remaining %q, %v", result.Pruned, result.Remaining, err)
	}
	lines := strings.Split(b.File(".env"), "\n")
	if lines[0] != "# mine" || !strings.HasPrefix(lines[1], "#") || lines[2] != "PORT=80" || b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("the .env is not the old one with LOGIN commented out")
	}
	result, err = fromEnv(b, func(o *values.FromEnvOptions) { o.Prune = true })
	if err != nil || changes(result)["LOGIN"] != project.Ignored || len(result.Pruned) > 0 {
		t.Errorf("a second time: %v, pruned %q, %v", changes(result), result.Pruned, err)
	}
}

func TestFromEnv_NamesServicesWithAnOlderValue(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.TokenValue+"\n")
	if _, err := fromEnv(b, nil); err != nil {
		t.Fatal(err)
	}
	state := b.Load()
	digests, err := b.Project().Digests(state, true)
	if err != nil {
		t.Fatal(err)
	}
	b.Running = map[string]string{}
	for _, service := range state.Manifest.Services {
		if b.Running[service.Name], err = digests.Of(service); err != nil {
			t.Fatal(err)
		}
	}
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.OtherValue+"\n")
	result, err := fromEnv(b, nil)
	if want := []project.StaleService{{Service: "api", Secrets: []string{"TOKEN"}}}; err != nil || fmt.Sprint(result.Stale) != fmt.Sprint(want) {
		t.Errorf("stale %v, %v; want %v", result.Stale, err, want)
	}
}

func TestFromEnv_NamesTheWayOutIfThereIsNoDotEnv(t *testing.T) {
	b := opstest.New(t)
	_, err := fromEnv(b, nil)
	refused(t, err, fault.Invalid)
	if !strings.Contains(err.(*fault.Error).Next, ".env.example") {
		t.Errorf("next: %s", err.(*fault.Error).Next)
	}
}

func TestFromEnv_NotesWhatGodotenvReadsDifferently(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN=\"C:\\dir\\"+opstest.LoginValue+"\"\n")
	result, err := fromEnv(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range result.Secrets {
		if (row.Note != "") != (row.Name == "LOGIN") {
			t.Errorf("%s: note %q", row.Name, row.Note)
		}
	}
}

func TestFromEnv_ReadsTheNamedFile(t *testing.T) {
	b := opstest.New(t)
	b.Put("old.env", "LOGIN="+opstest.LoginValue+"\n")
	b.Put(".env", "LOGIN="+opstest.OtherValue+"\n")
	result, err := fromEnv(b, func(o *values.FromEnvOptions) { o.File = "old.env" })
	if err != nil || result.File != "old.env" || b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Errorf("file %s, %v", result.File, err)
	}
	_, err = fromEnv(b, func(o *values.FromEnvOptions) { o.File = "nowhere.env" })
	refused(t, err, fault.Invalid)
	if !strings.Contains(err.Error(), "nowhere.env does not exist") {
		t.Errorf("got %v", err)
	}
	b.Put("folder/x", "")
	_, err = fromEnv(b, func(o *values.FromEnvOptions) { o.File = "folder" })
	refused(t, err, fault.Invalid)
	if !strings.Contains(err.Error(), "folder is a directory") {
		t.Errorf("got %v", err)
	}
}

func TestFromEnv_RefusesAManifestWithFindings(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "min_length: 8, rotate", "min_lenght: 8, rotate", 1))
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	before := b.Tree()
	_, err := fromEnv(b, nil)
	refused(t, err, fault.Invalid, "docker-compose.yml:15 LOGIN")
	b.Same(before)
}

func TestFromEnv_GivesAReasonForEachSecretItIgnores(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "# mine\nLOGIN="+opstest.LoginValue+"\r\nEXTRA=\n")
	result, err := fromEnv(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []values.FromEnvRow{
		{Name: "TOKEN", Change: project.Ignored, Reason: "not in .env"},
		{Name: "LOGIN", Change: project.Created, Line: 2},
		{Name: "EXTRA", Change: project.Ignored, Line: 3, Reason: "empty, and optional"},
	}
	sort := func(rows []values.FromEnvRow) []values.FromEnvRow {
		return slices.SortedFunc(slices.Values(rows), func(a, b values.FromEnvRow) int { return strings.Compare(a.Name, b.Name) })
	}
	if got := sort(result.Secrets); !slices.Equal(got, sort(want)) {
		t.Errorf("rows %+v, want %+v", got, want)
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("the carriage return of the line's end is in the value")
	}
}

func TestFromEnv_RefusalNamesTheFileTheCountAndTheNextCommand(t *testing.T) {
	b := opstest.New(t)
	b.Write("EXTRA", opstest.OtherValue)
	b.Put("x.env", "LOGIN=changeme\nTOKEN=\n")
	before := b.Tree()
	result, err := fromEnv(b, func(o *values.FromEnvOptions) { o.File, o.Prune = "x.env", true })
	refused(t, err, fault.Invalid, "x.env:1 LOGIN", "x.env:2 TOKEN")
	e := err.(*fault.Error)
	if e.What != "x.env has 2 findings; no file was changed" || e.Next != "fix x.env, then mage secrets:fromEnv" {
		t.Errorf("got %s, next %s", e.What, e.Next)
	}
	if e.Findings[0].Next != "fix the value there, then mage secrets:fromEnv" || e.Findings[1].Next != "fill it in, or remove the line" {
		t.Errorf("next of the findings: %q, %q", e.Findings[0].Next, e.Findings[1].Next)
	}
	if len(result.Secrets) != 3 {
		t.Errorf("%d rows, want one for each secret", len(result.Secrets))
	}
	b.Same(before)
}

func TestFromEnv_KeyWithAProblemHasOneFinding(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN=x\nLOGIN=y\n")
	_, err := fromEnv(b, nil)
	refused(t, err, fault.Invalid, ".env:2 LOGIN")
}

func TestFromEnv_SortsUndeclaredKeys(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "ZED=1\nLOGIN="+opstest.LoginValue+"\nALPHA=2\nBROKEN=\"$HOME\"\nBROKEN=3\n")
	result, err := fromEnv(b, nil)
	if want := []string{"ALPHA", "BROKEN", "ZED"}; err != nil || !slices.Equal(result.Undeclared, want) {
		t.Errorf("undeclared %q, %v; want %q", result.Undeclared, err, want)
	}
}

func TestFromEnv_DryRunComparesWithTheFiles(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.OtherValue+"\n")
	before := b.Tree()
	result, err := fromEnv(b, func(o *values.FromEnvOptions) { o.DryRun = true })
	want := map[string]project.Change{"LOGIN": project.Unchanged, "TOKEN": project.Updated, "EXTRA": project.Ignored}
	if got := changes(result); err != nil || !result.DryRun || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, %v; want %v", got, err, want)
	}
	if len(result.Remaining)+len(result.Pruned)+len(result.Stale) > 0 {
		t.Errorf("something was done: %+v", result)
	}
	b.Same(before)
}

func TestFromEnv_ComparesWithWhatAnotherCommandWroteMeanwhile(t *testing.T) {
	b := opstest.New(t)
	b.Running = map[string]string{"api": ""}
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.TokenValue+"\n")
	v := over(b, opstest.Store{Before: func() { b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.OtherValue) }}, opstest.Files{})
	result, err := v.FromEnv(t.Context(), values.FromEnvOptions{})
	b.Silent(result, err)
	want := map[string]project.Change{"LOGIN": project.Unchanged, "TOKEN": project.Updated, "EXTRA": project.Ignored}
	if got := changes(result); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, %v; want %v", got, err, want)
	}
	if b.File("secrets/TOKEN") != opstest.TokenValue {
		t.Error("the value of the .env was not written")
	}
	if want := []project.StaleService{{Service: "api", Secrets: []string{"TOKEN"}}}; fmt.Sprint(result.Stale) != fmt.Sprint(want) {
		t.Errorf("stale %v, want what was written alone: %v", result.Stale, want)
	}
}

func TestFromEnv_PruneKeepsAnEditMadeMeanwhile(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	edited := "LOGIN=" + opstest.OtherValue + "\nTOKEN=" + opstest.TokenValue + "\n"
	v := over(b, opstest.Store{Before: func() { b.Put(".env", edited) }}, opstest.Files{})
	result, err := v.FromEnv(t.Context(), values.FromEnvOptions{Prune: true})
	b.Silent(result, err)
	if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Failed || !strings.Contains(e.What, ".env") || e.Next == "" {
		t.Errorf("got %v", err)
	}
	if b.File(".env") != edited {
		t.Error("the edit is lost")
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue || !slices.Equal(result.Remaining, []string{"LOGIN"}) || len(result.Pruned) > 0 {
		t.Errorf("remaining %q, pruned %q", result.Remaining, result.Pruned)
	}
}

func TestFromEnv_KeepsTheFilesIfPruningFails(t *testing.T) {
	for _, call := range []string{"Replace .env", "Read .env"} {
		t.Run(call, func(t *testing.T) {
			b := opstest.New(t)
			b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.TokenValue+"\n")
			env := b.File(".env")
			files := opstest.Files{Fail: map[string]error{}}
			v := over(b, opstest.Store{Before: func() { files.Fail[call] = errDisk }}, files)
			result, err := v.FromEnv(t.Context(), values.FromEnvOptions{Prune: true})
			b.Silent(result, err)
			if !errors.Is(err, errDisk) || !slices.Equal(result.Remaining, []string{"LOGIN", "TOKEN"}) || len(result.Pruned) > 0 {
				t.Errorf("remaining %q, pruned %q, %v", result.Remaining, result.Pruned, err)
			}
			if b.File("secrets/LOGIN") != opstest.LoginValue || changes(result)["TOKEN"] != project.Created || b.File(".env") != env {
				t.Error("the values are not in both places")
			}
		})
	}
}

func TestFromEnv_ChangesNothingIfTheStoreFails(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	before := b.Tree()
	result, err := over(b, opstest.Store{UpdateErr: errDisk}, opstest.Files{}).FromEnv(t.Context(), values.FromEnvOptions{Prune: true})
	b.Silent(result, err)
	if !errors.Is(err, errDisk) || len(result.Pruned) > 0 {
		t.Errorf("pruned %q, %v", result.Pruned, err)
	}
	b.Same(before)
}

func TestFromEnv_RefusesADirectoryInPlaceOfAValue(t *testing.T) {
	for _, dry := range []bool{false, true} {
		b := opstest.New(t)
		b.Put("secrets/LOGIN/x", "")
		b.Open()
		b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.TokenValue+"\n")
		_, err := fromEnv(b, func(o *values.FromEnvOptions) { o.Prune, o.DryRun = true, dry })
		if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.What, "LOGIN") {
			t.Errorf("dry run %v: %v", dry, err)
		}
		if b.File("secrets/TOKEN") != "" || !strings.HasPrefix(b.File(".env"), "LOGIN=") {
			t.Errorf("dry run %v: something was changed", dry)
		}
	}
}

func TestFromEnv_FindingsOfOneLineKeepTheOrderOfTheRules(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "description: of the database, min_length: 8", `description: of the database, min_length: 30, pattern: "^[0-9]+$$"`, 1))
	b.Put(".env", "TOKEN=short\nLOGIN="+opstest.LoginValue+"\n")
	_, err := fromEnv(b, nil)
	refused(t, err, fault.Invalid, ".env:1 TOKEN", ".env:2 LOGIN", ".env:2 LOGIN")
	if findings := err.(*fault.Error).Findings; !strings.Contains(findings[1].Problem, "min_length") || !strings.Contains(findings[2].Problem, "pattern") {
		t.Errorf("findings %v", findings)
	}
}
