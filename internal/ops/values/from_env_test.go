package values_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/project"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
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

func TestFromEnvWritesUpdatesAndLeavesAlone(t *testing.T) {
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

func TestFromEnvDryRunChangesNothing(t *testing.T) {
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

func TestFromEnvRefusesEverythingAtOnceAndWritesNothing(t *testing.T) {
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
		"a line that is no assignment":          {"TOKEN=" + opstest.TokenValue + "\nwhat is this\n", []string{".env:2 "}},
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

func TestFromEnvLetsAProblemOfAnUndeclaredKeyPass(t *testing.T) {
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

func TestFromEnvSettlesAReadingByFlag(t *testing.T) {
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
		t.Error("what is no name may be a value, and is told")
	}
}

func TestFromEnvWritesNothingThatItCouldNotPrune(t *testing.T) {
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

func TestFromEnvPrunesWhatItStored(t *testing.T) {
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

func TestFromEnvNamesServicesWithAnOlderValue(t *testing.T) {
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

func TestWithoutADotEnvTheWayOutIsNamed(t *testing.T) {
	b := opstest.New(t)
	_, err := fromEnv(b, nil)
	refused(t, err, fault.Invalid)
	if !strings.Contains(err.(*fault.Error).Next, ".env.example") {
		t.Errorf("next: %s", err.(*fault.Error).Next)
	}
}

func TestFromEnvTellsWhatGodotenvReadsOtherwise(t *testing.T) {
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
