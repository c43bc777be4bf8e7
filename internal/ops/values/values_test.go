package values_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/worktree"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func fromEnv(b *opstest.Bench, change func(*values.FromEnv)) (values.FromEnvResult, error) {
	b.T.Helper()
	use := values.FromEnv{Project: b.Workspace, Values: b.Store, Holders: b, Progress: b}
	if change != nil {
		change(&use)
	}
	result, err := use.Run(b.T.Context())
	b.Silent(result, err)
	return result, err
}

func changes(result values.FromEnvResult) map[string]values.Change {
	m := map[string]values.Change{}
	for _, row := range result.Secrets {
		m[row.Name] = row.Change
	}
	return m
}

// refused requires an error of a class whose findings stand on given lines.
func refused(t *testing.T, err error, class fault.Code, places ...string) {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != class {
		t.Fatalf("error %v, want one of class %d", err, class)
	}
	var got []string
	for _, f := range e.Findings {
		got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Subject))
		if f.Problem == "" || f.Next == "" {
			t.Errorf("finding %v lacks its problem or its next step", f)
		}
	}
	if !slices.Equal(got, places) {
		t.Errorf("findings at %q, want %q\n%v", got, places, err)
	}
}

func TestFromEnvWritesUpdatesAndLeavesAlone(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN='"+opstest.TokenValue+"'\nPORT=80\nEXTRA=\n")
	result, err := fromEnv(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]values.Change{"LOGIN": values.Created, "TOKEN": values.Created, "EXTRA": values.Ignored}
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
	want = map[string]values.Change{"LOGIN": values.Updated, "TOKEN": values.Unchanged, "EXTRA": values.Ignored}
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
	result, err := fromEnv(b, func(u *values.FromEnv) { u.DryRun, u.Prune = true, true })
	if err != nil || changes(result)["LOGIN"] != values.Created {
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
			if b.Store.Exists() {
				t.Error("secrets/ was made")
			}
		})
	}
}

func TestFromEnvLetsAProblemOfAnUndeclaredKeyPass(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "HOME_OF=\"$HOME/x\"\nLOGIN="+opstest.LoginValue+"\n")
	result, err := fromEnv(b, nil)
	if err != nil || changes(result)["LOGIN"] != values.Created {
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
			_, err := fromEnv(b, func(u *values.FromEnv) {
				if flag == "literal" {
					u.Literal = []string{"LOGIN"}
				} else {
					u.AsCompose = []string{"LOGIN"}
				}
			})
			if err != nil || b.File("secrets/LOGIN") != want {
				t.Errorf("stored something else than the %s reading: %v", flag, err)
			}
		})
	}
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	_, err := fromEnv(b, func(u *values.FromEnv) {
		u.Literal, u.AsCompose = []string{"LOGON"}, []string{"LOGIN", "TOKNE", "a value?"}
	})
	refused(t, err, fault.Usage, "docker-compose.yml:0 LOGON", "docker-compose.yml:0 TOKNE", "docker-compose.yml:0 ")
	if strings.Contains(err.Error(), "a value?") {
		t.Error("what is no name may be a value, and is told")
	}
}

func TestFromEnvWritesNothingThatItCouldNotPrune(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	asked := ""
	stop := &fault.Error{Code: fault.Invalid, What: "it cannot be replaced"}
	prune := func(dryRun bool) error {
		_, err := fromEnv(b, func(u *values.FromEnv) {
			u.Prune, u.DryRun = true, dryRun
			u.Replaceable = func(path string) error { asked = path; return stop }
		})
		return err
	}
	if err := prune(false); err != stop || asked != ".env" || b.File("secrets/LOGIN") != "" {
		t.Errorf("%v; asked for %q; a value was written: %v", err, asked, b.File("secrets/LOGIN") != "")
	}
	if err := prune(true); err != nil {
		t.Errorf("a dry run: %v", err)
	}
}

func TestFromEnvPrunesWhatItStored(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "# mine\nLOGIN="+opstest.LoginValue+"\nPORT=80\n")
	result, err := fromEnv(b, func(u *values.FromEnv) { u.Prune = true })
	if err != nil || !slices.Equal(result.Pruned, []string{"LOGIN"}) || len(result.Remaining) > 0 {
		t.Fatalf("pruned %q, remaining %q, %v", result.Pruned, result.Remaining, err)
	}
	lines := strings.Split(b.File(".env"), "\n")
	if lines[0] != "# mine" || !strings.HasPrefix(lines[1], "#") || lines[2] != "PORT=80" || b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("the .env is not the old one with LOGIN commented out")
	}
	result, err = fromEnv(b, func(u *values.FromEnv) { u.Prune = true })
	if err != nil || changes(result)["LOGIN"] != values.Ignored || len(result.Pruned) > 0 {
		t.Errorf("a second time: %v, pruned %q, %v", changes(result), result.Pruned, err)
	}
}

func TestFromEnvNamesServicesWithAnOlderValue(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.TokenValue+"\n")
	if _, err := fromEnv(b, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Workspace.MakeKey(); err != nil {
		t.Fatal(err)
	}
	key, err := b.Workspace.Key()
	if err != nil {
		t.Fatal(err)
	}
	m, err := project.LoadManifest(b.Workspace, "")
	if err != nil {
		t.Fatal(err)
	}
	b.Running = map[string]string{}
	for _, service := range m.Services {
		if b.Running[service.Name], err = project.ServiceDigest(key, m.Project, service, b.Store); err != nil {
			t.Fatal(err)
		}
	}
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\nTOKEN="+opstest.OtherValue+"\n")
	result, err := fromEnv(b, nil)
	if want := []project.Stale{{Service: "api", Secrets: []string{"TOKEN"}}}; err != nil || fmt.Sprint(result.Stale) != fmt.Sprint(want) {
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

func edit(b *opstest.Bench) values.Edit {
	return values.Edit{Project: b.Workspace, Values: b.Store, Holders: b, Progress: b}
}

// typed returns a reader of a value that a person typed.
func typed(value string) func(context.Context) (secrets.Secret, error) {
	return func(context.Context) (secrets.Secret, error) { return secrets.New([]byte(value)), nil }
}

func TestSetAppliesTheNewlinePolicyAndTheRules(t *testing.T) {
	b := opstest.New(t)
	for i, want := range []values.Change{values.Created, values.Unchanged} {
		result, err := edit(b).Set(t.Context(), "LOGIN", typed(opstest.LoginValue+"\n"))
		b.Silent(result, err)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("not exactly one newline was taken away")
	}
	result, err := edit(b).Set(t.Context(), "LOGIN", typed("short"))
	b.Silent(result, err)
	refused(t, err, fault.Invalid, ":0 LOGIN")
	if _, err := edit(b).Set(t.Context(), "NOWHERE", typed(opstest.OtherValue)); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an undeclared name: %v", err)
	}
	if _, err := edit(b).Set(t.Context(), "../LOGIN", typed(opstest.OtherValue)); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a name that is none: %v", err)
	}
	if b.File("secrets/LOGIN") != opstest.LoginValue {
		t.Error("a refused value was stored")
	}
}

func TestGenerateNeedsARuleAndDoesNotReplaceUnasked(t *testing.T) {
	b := opstest.New(t)
	if _, err := edit(b).Generate(t.Context(), "LOGIN", false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a rule: %v", err)
	}
	if _, err := edit(b).Generate(t.Context(), "TOKEN", false); err != nil {
		t.Fatal(err)
	}
	first := b.File("secrets/TOKEN")
	if len(first) < 24 {
		t.Error("the value is shorter than its rule's bytes")
	}
	if _, err := edit(b).Generate(t.Context(), "TOKEN", false); fault.CodeOf(err) != fault.Invalid || b.File("secrets/TOKEN") != first {
		t.Errorf("a value that is there: %v", err)
	}
	if _, err := edit(b).Generate(t.Context(), "TOKEN", true); err != nil || b.File("secrets/TOKEN") == first {
		t.Errorf("with force: %v", err)
	}
}

func TestRemoveTwiceIsSafe(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", opstest.LoginValue)
	b.Open()
	for i, want := range []values.Change{values.Removed, values.Unchanged} {
		result, err := edit(b).Remove(t.Context(), "LOGIN")
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.File("secrets/LOGIN") != "" {
		t.Error("the file is still there")
	}
}

func TestListTellsHowEachStands(t *testing.T) {
	b := opstest.New(t)
	b.Put("secrets/LOGIN", opstest.LoginValue)
	b.Put("secrets/TOKEN", opstest.TokenValue+"\n")
	b.Put("secrets/OLD_NAME", opstest.OtherValue)
	b.Open()
	long := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.Dir, "secrets", "LOGIN"), long, long); err != nil {
		t.Fatal(err)
	}
	sources := []secrets.Source{secrets.Dir(filepath.Join(b.Dir, "secrets")), secrets.Map(map[string]string{"LOGIN": opstest.OtherValue})}
	result, err := values.List{Project: b.Workspace, Values: b.Store, Sources: sources, Now: time.Now()}.Run(t.Context())
	b.Silent(result, err)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range result.Secrets {
		got[row.Name] = fmt.Sprintf("%s %s %s %s %v", strings.Join(row.Services, "+"), row.Source, row.LastByte, row.State, row.Shadows)
	}
	want := map[string]string{
		"LOGIN":    "api+worker file text overdue [map]",
		"TOKEN":    "api file LF invalid []",
		"EXTRA":    "api   optional []",
		"OLD_NAME": " file text orphan []",
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func validate(b *opstest.Bench, env string) error {
	b.T.Helper()
	result, err := values.Validate{Project: b.Workspace, Values: b.Store, Modes: b.Store, Tracked: worktree.Git{Dir: b.Dir}, EnvFile: env}.Run(b.T.Context())
	b.Silent(result, err)
	if result.OK != (err == nil) {
		b.T.Errorf("ok is %v and the error is %v", result.OK, err)
	}
	return err
}

func TestValidateFindsNothingInAGoodProject(t *testing.T) {
	b := opstest.New(t)
	if _, err := (values.Init{Project: b.Workspace, Values: b.Store}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Write(t.Context(), map[string]secrets.Secret{"LOGIN": secrets.New([]byte(opstest.LoginValue)), "TOKEN": secrets.New([]byte(opstest.TokenValue))}); err != nil {
		t.Fatal(err)
	}
	if err := validate(b, ""); err != nil {
		t.Error(err)
	}
}

func TestValidateWarnsOfWhatMayStillBeRight(t *testing.T) {
	b := opstest.New(t)
	if _, err := (values.Init{Project: b.Workspace, Values: b.Store}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Write(t.Context(), map[string]secrets.Secret{"LOGIN": secrets.New([]byte(opstest.LoginValue)), "TOKEN": secrets.New([]byte(" " + opstest.TokenValue))}); err != nil {
		t.Fatal(err)
	}
	result, err := values.Validate{Project: b.Workspace, Values: b.Store, Modes: b.Store, Now: time.Now().Add(91 * 24 * time.Hour)}.Run(t.Context())
	b.Silent(result, err)
	if err != nil || len(result.Warnings) != 2 {
		t.Fatalf("warnings %v, error %v; want one of LOGIN's age and one of TOKEN's blank", result.Warnings, err)
	}
	if w := result.Warnings[0]; w.Subject != "LOGIN" || !strings.Contains(w.Problem, "rotate_every") {
		t.Errorf("first warning: %v", w)
	}
	if w := result.Warnings[1]; w.Subject != "TOKEN" || !strings.Contains(w.Problem, "blank") {
		t.Errorf("second warning: %v", w)
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

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "min_length: 8, rotate", "min_lenght: 8, rotate", 1))
	b.Put("secrets/LOGIN", opstest.LoginValue+"\n")
	b.Put("secrets/ORPHAN", "x")
	b.Put("secrets/no-name", "x")
	b.Put("secrets/.TOKEN.X.tmp", "x")
	b.Put(".env", "TOKEN="+opstest.TokenValue+"\n")
	if err := os.Chmod(filepath.Join(b.Dir, "secrets", "LOGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Open()
	if err := os.Chmod(filepath.Join(b.Dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := validate(b, "")
	if fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("error %v, want class Invalid", err)
	}
	for _, part := range []string{
		"min_lenght", "secrets/LOGIN: ends with a newline", "mode is 0600", "mode is 0755", "secrets/ORPHAN: docker-compose.yml declares no such secret",
		"no-name", ".TOKEN.X.tmp: a temporary file", ".env has one", ".dockerignore: does not cover values in secrets/ and temporary files of secrets/: add the line secrets/", ".gitignore: does not cover .env: add the line /.env",
	} {
		if !strings.Contains(err.Error(), strings.TrimPrefix(part, "secrets/LOGIN: ")) {
			t.Errorf("not found: %q in\n%v", part, err)
		}
	}
}

func TestScaffoldTwiceChangesNothing(t *testing.T) {
	b := opstest.New(t)
	b.Put(".gitignore", "/bin/") // without a newline at its end
	first, err := values.Init{Project: b.Workspace, Values: b.Store}.Run(t.Context())
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
	second, err := values.Init{Project: b.Workspace, Values: b.Store}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range second.Files {
		if row.Change != values.Unchanged {
			t.Errorf("%s %s by the second run", row.Path, row.Change)
		}
	}
}

func TestScaffoldDryRunMakesNothing(t *testing.T) {
	b := opstest.New(t)
	result, err := values.Init{Project: b.Workspace, Values: b.Store, DryRun: true}.Run(t.Context())
	if err != nil || len(result.Files) < 8 {
		t.Errorf("%d files told, %v", len(result.Files), err)
	}
	if entries, _ := os.ReadDir(b.Dir); len(entries) != 1 {
		t.Errorf("%d entries, want the compose file alone", len(entries))
	}
}

func TestWhatScaffoldMakesIsRefusedAsAValue(t *testing.T) {
	b := opstest.New(t)
	if _, err := (values.Init{Project: b.Workspace, Values: b.Store}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := edit(b).Set(t.Context(), "LOGIN", typed(b.File("secrets/LOGIN.example")))
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("the example is taken for a value: %v", err)
	}
}
