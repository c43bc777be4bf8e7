package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/ops"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/internal/worktree"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// composeFile declares a secret of each kind.
const composeFile = `name: shop
services:
  api:
    image: shop/api
    secrets: [TOKEN, EXTRA, LOGIN]
  worker:
    image: shop/worker
    secrets: [LOGIN]
secrets:
  TOKEN:
    file: ./secrets/TOKEN
    x-keepmum: {description: of the API, min_length: 8, generate: {bytes: 24, alphabet: base62}}
  LOGIN:
    file: ./secrets/LOGIN
    x-keepmum: {description: of the database, min_length: 8, rotate_every: 90d}
  EXTRA:
    file: ./secrets/EXTRA
    x-keepmum: {description: not needed, optional: true}
`

// The values of the tests: no output may hold one.
const (
	loginValue = "login-value-77aa"
	tokenValue = "token-value-88bb"
	otherValue = "other-value-99cc"
)

// bench is a project in a directory of its own, with the real adapters.
type bench struct {
	t       *testing.T
	dir     string
	project *secretdir.Project
	values  *secretdir.Dir
	running map[string]string // digests of running services
	said    bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	b.put("docker-compose.yml", composeFile)
	b.open()
	return b
}

// open opens the adapters, again after files were put in by hand.
func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.project, err = secretdir.OpenProject(b.dir, ""); err != nil {
		b.t.Fatal(err)
	}
	if b.values, err = secretdir.Open(filepath.Join(b.dir, "secrets")); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.project.Close(); b.values.Close() })
}

func (b *bench) put(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// file returns a file's text, or "" where there is none.
func (b *bench) file(name string) string {
	data, _ := os.ReadFile(filepath.Join(b.dir, name))
	return string(data)
}

func (b *bench) Say(format string, args ...any) { fmt.Fprintf(&b.said, format+"\n", args...) }

func (b *bench) GrantDigests(context.Context, string) (map[string]string, error) {
	if b.running == nil {
		return nil, errors.New("no engine")
	}
	return b.running, nil
}

// silent fails where a result or an error tells a value.
func (b *bench) silent(result any, err error) {
	b.t.Helper()
	data, _ := json.Marshal(result)
	text := string(data) + b.said.String()
	if err != nil {
		text += err.Error()
	}
	for _, value := range []string{loginValue, tokenValue, otherValue} {
		if strings.Contains(text, value) {
			b.t.Errorf("a value is told in: %s", strings.ReplaceAll(text, value, "VALUE"))
		}
	}
}

func (b *bench) fromEnv(change func(*ops.FromEnv)) (ops.FromEnvResult, error) {
	b.t.Helper()
	use := ops.FromEnv{Project: b.project, Values: b.values, Holders: b, Talk: b}
	if change != nil {
		change(&use)
	}
	result, err := use.Run(b.t.Context())
	b.silent(result, err)
	return result, err
}

func changes(result ops.FromEnvResult) map[string]ops.Change {
	m := map[string]ops.Change{}
	for _, row := range result.Secrets {
		m[row.Name] = row.Change
	}
	return m
}

// refused requires an error of a class whose findings stand on given lines.
func refused(t *testing.T, err error, class ops.Class, places ...string) {
	t.Helper()
	var e *ops.Error
	if !errors.As(err, &e) || e.Class != class {
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
	b := newBench(t)
	b.put(".env", "LOGIN="+loginValue+"\nTOKEN='"+tokenValue+"'\nPORT=80\nEXTRA=\n")
	result, err := b.fromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ops.Change{"LOGIN": ops.Created, "TOKEN": ops.Created, "EXTRA": ops.Ignored}
	if got := changes(result); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if b.file("secrets/LOGIN") != loginValue || b.file("secrets/TOKEN") != tokenValue || b.file("secrets/EXTRA") != "" {
		t.Error("the files do not hold what the .env does")
	}
	if !slices.Equal(result.Undeclared, []string{"PORT"}) || !slices.Equal(result.Remaining, []string{"LOGIN", "TOKEN"}) {
		t.Errorf("undeclared %q, remaining %q", result.Undeclared, result.Remaining)
	}

	b.put(".env", "LOGIN="+otherValue+"\nTOKEN="+tokenValue+"\n")
	result, err = b.fromEnv(nil)
	want = map[string]ops.Change{"LOGIN": ops.Updated, "TOKEN": ops.Unchanged, "EXTRA": ops.Ignored}
	if got := changes(result); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("changes %v, %v; want %v", got, err, want)
	}
	if b.file("secrets/LOGIN") != otherValue {
		t.Error("the changed value was not written")
	}
}

func TestFromEnvDryRunChangesNothing(t *testing.T) {
	b := newBench(t)
	b.put(".env", "LOGIN="+loginValue+"\n")
	result, err := b.fromEnv(func(u *ops.FromEnv) { u.DryRun, u.Prune = true, true })
	if err != nil || changes(result)["LOGIN"] != ops.Created {
		t.Errorf("%v, %v; want LOGIN created", changes(result), err)
	}
	if entries, _ := os.ReadDir(b.dir); len(entries) != 2 {
		t.Errorf("%d entries in the project, want the two that were there", len(entries))
	}
	if !strings.HasPrefix(b.file(".env"), "LOGIN") {
		t.Error("the .env was changed")
	}
}

func TestFromEnvRefusesEverythingAtOnceAndWritesNothing(t *testing.T) {
	tests := map[string]struct {
		env    string
		places []string
	}{
		"a reading that Compose does not share": {"TOKEN=" + tokenValue + "\nLOGIN=\"pa$SWORD1!more\"\n", []string{".env:2 LOGIN"}},
		"empty":                                 {"TOKEN=" + tokenValue + "\nLOGIN=\n", []string{".env:2 LOGIN"}},
		"a placeholder":                         {"TOKEN=" + tokenValue + "\nLOGIN=changeme\n", []string{".env:2 LOGIN"}},
		"too short":                             {"TOKEN=" + tokenValue + "\nLOGIN=abc\n", []string{".env:2 LOGIN"}},
		"twice":                                 {"TOKEN=" + tokenValue + "\nLOGIN=" + loginValue + "\nLOGIN=" + otherValue + "\n", []string{".env:3 LOGIN"}},
		"two at a time":                         {"TOKEN=short\nLOGIN=\n", []string{".env:1 TOKEN", ".env:2 LOGIN"}},
		"a reading and a rule":                  {"TOKEN=short\nLOGIN=\"pa$SWORD1!more\"\n", []string{".env:1 TOKEN", ".env:2 LOGIN"}},
		"a line that is no assignment":          {"TOKEN=" + tokenValue + "\nwhat is this\n", []string{".env:2 "}},
		"an unterminated quote":                 {"TOKEN=" + tokenValue + "\nLOGIN=\"" + loginValue + "\n", []string{".env:2 LOGIN"}},
		"larger than Swarm keeps, by one":       {"TOKEN=" + tokenValue + "\nLOGIN=" + strings.Repeat("x", 512_000) + "\n", []string{".env:2 LOGIN"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.put(".env", test.env)
			_, err := b.fromEnv(nil)
			refused(t, err, ops.Invalid, test.places...)
			if b.values.Exists() {
				t.Error("secrets/ was made")
			}
		})
	}
}

func TestFromEnvLetsAProblemOfAnUndeclaredKeyPass(t *testing.T) {
	b := newBench(t)
	b.put(".env", "HOME_OF=\"$HOME/x\"\nLOGIN="+loginValue+"\n")
	result, err := b.fromEnv(nil)
	if err != nil || changes(result)["LOGIN"] != ops.Created {
		t.Errorf("%v, %v; want LOGIN created", changes(result), err)
	}
	if !slices.Contains(result.Undeclared, "HOME_OF") {
		t.Errorf("undeclared %q, want HOME_OF among them", result.Undeclared)
	}
}

func TestFromEnvSettlesAReadingByFlag(t *testing.T) {
	for flag, want := range map[string]string{"literal": "login$VALUE-77aa", "asCompose": "login-77aa"} {
		t.Run(flag, func(t *testing.T) {
			b := newBench(t)
			b.put(".env", "LOGIN=\"login$VALUE-77aa\"\n")
			_, err := b.fromEnv(func(u *ops.FromEnv) {
				if flag == "literal" {
					u.Literal = []string{"LOGIN"}
				} else {
					u.AsCompose = []string{"LOGIN"}
				}
			})
			if err != nil || b.file("secrets/LOGIN") != want {
				t.Errorf("stored something else than the %s reading: %v", flag, err)
			}
		})
	}
	b := newBench(t)
	b.put(".env", "LOGIN="+loginValue+"\n")
	_, err := b.fromEnv(func(u *ops.FromEnv) {
		u.Literal, u.AsCompose = []string{"LOGON"}, []string{"LOGIN", "TOKNE", "a value?"}
	})
	refused(t, err, ops.Usage, "docker-compose.yml:0 LOGON", "docker-compose.yml:0 TOKNE", "docker-compose.yml:0 ")
	if strings.Contains(err.Error(), "a value?") {
		t.Error("what is no name may be a value, and is told")
	}
}

func TestFromEnvWritesNothingThatItCouldNotPrune(t *testing.T) {
	b := newBench(t)
	b.put(".env", "LOGIN="+loginValue+"\n")
	asked := ""
	stop := &ops.Error{Class: ops.Invalid, What: "it cannot be replaced"}
	prune := func(dryRun bool) error {
		_, err := b.fromEnv(func(u *ops.FromEnv) {
			u.Prune, u.DryRun = true, dryRun
			u.Replaceable = func(path string) error { asked = path; return stop }
		})
		return err
	}
	if err := prune(false); err != stop || asked != ".env" || b.file("secrets/LOGIN") != "" {
		t.Errorf("%v; asked for %q; a value was written: %v", err, asked, b.file("secrets/LOGIN") != "")
	}
	if err := prune(true); err != nil {
		t.Errorf("a dry run: %v", err)
	}
}

func TestFromEnvPrunesWhatItStored(t *testing.T) {
	b := newBench(t)
	b.put(".env", "# mine\nLOGIN="+loginValue+"\nPORT=80\n")
	result, err := b.fromEnv(func(u *ops.FromEnv) { u.Prune = true })
	if err != nil || !slices.Equal(result.Pruned, []string{"LOGIN"}) || len(result.Remaining) > 0 {
		t.Fatalf("pruned %q, remaining %q, %v", result.Pruned, result.Remaining, err)
	}
	lines := strings.Split(b.file(".env"), "\n")
	if lines[0] != "# mine" || !strings.HasPrefix(lines[1], "#") || lines[2] != "PORT=80" || b.file("secrets/LOGIN") != loginValue {
		t.Error("the .env is not the old one with LOGIN commented out")
	}
	result, err = b.fromEnv(func(u *ops.FromEnv) { u.Prune = true })
	if err != nil || changes(result)["LOGIN"] != ops.Ignored || len(result.Pruned) > 0 {
		t.Errorf("a second time: %v, pruned %q, %v", changes(result), result.Pruned, err)
	}
}

func TestFromEnvNamesServicesWithAnOlderValue(t *testing.T) {
	b := newBench(t)
	b.put(".env", "LOGIN="+loginValue+"\nTOKEN="+tokenValue+"\n")
	if _, err := b.fromEnv(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.project.MakeKey(); err != nil {
		t.Fatal(err)
	}
	key, err := b.project.Key()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ops.LoadManifest(b.project, "")
	if err != nil {
		t.Fatal(err)
	}
	b.running = map[string]string{}
	for _, service := range m.Services {
		if b.running[service.Name], err = ops.ServiceDigest(key, m.Project, service, b.values); err != nil {
			t.Fatal(err)
		}
	}
	b.put(".env", "LOGIN="+loginValue+"\nTOKEN="+otherValue+"\n")
	result, err := b.fromEnv(nil)
	if want := []ops.Stale{{Service: "api", Secrets: []string{"TOKEN"}}}; err != nil || fmt.Sprint(result.Stale) != fmt.Sprint(want) {
		t.Errorf("stale %v, %v; want %v", result.Stale, err, want)
	}
}

func TestWithoutADotEnvTheWayOutIsNamed(t *testing.T) {
	b := newBench(t)
	_, err := b.fromEnv(nil)
	refused(t, err, ops.Invalid)
	if !strings.Contains(err.(*ops.Error).Next, ".env.example") {
		t.Errorf("next: %s", err.(*ops.Error).Next)
	}
}

func (b *bench) edit() ops.Edit {
	return ops.Edit{Project: b.project, Values: b.values, Holders: b, Talk: b}
}

// typed returns a reader of a value that a person typed.
func typed(value string) func(context.Context) (secrets.Secret, error) {
	return func(context.Context) (secrets.Secret, error) { return secrets.New([]byte(value)), nil }
}

func TestSetAppliesTheNewlinePolicyAndTheRules(t *testing.T) {
	b := newBench(t)
	for i, want := range []ops.Change{ops.Created, ops.Unchanged} {
		result, err := b.edit().Set(t.Context(), "LOGIN", typed(loginValue+"\n"))
		b.silent(result, err)
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.file("secrets/LOGIN") != loginValue {
		t.Error("not exactly one newline was taken away")
	}
	result, err := b.edit().Set(t.Context(), "LOGIN", typed("short"))
	b.silent(result, err)
	refused(t, err, ops.Invalid, ":0 LOGIN")
	if _, err := b.edit().Set(t.Context(), "NOWHERE", typed(otherValue)); ops.ClassOf(err) != ops.Invalid {
		t.Errorf("an undeclared name: %v", err)
	}
	if _, err := b.edit().Set(t.Context(), "../LOGIN", typed(otherValue)); ops.ClassOf(err) != ops.Usage {
		t.Errorf("a name that is none: %v", err)
	}
	if b.file("secrets/LOGIN") != loginValue {
		t.Error("a refused value was stored")
	}
}

func TestGenerateNeedsARuleAndDoesNotReplaceUnasked(t *testing.T) {
	b := newBench(t)
	if _, err := b.edit().Generate(t.Context(), "LOGIN", false); ops.ClassOf(err) != ops.Invalid {
		t.Errorf("without a rule: %v", err)
	}
	if _, err := b.edit().Generate(t.Context(), "TOKEN", false); err != nil {
		t.Fatal(err)
	}
	first := b.file("secrets/TOKEN")
	if len(first) < 24 {
		t.Error("the value is shorter than its rule's bytes")
	}
	if _, err := b.edit().Generate(t.Context(), "TOKEN", false); ops.ClassOf(err) != ops.Invalid || b.file("secrets/TOKEN") != first {
		t.Errorf("a value that is there: %v", err)
	}
	if _, err := b.edit().Generate(t.Context(), "TOKEN", true); err != nil || b.file("secrets/TOKEN") == first {
		t.Errorf("with force: %v", err)
	}
}

func TestRemoveTwiceIsSafe(t *testing.T) {
	b := newBench(t)
	b.put("secrets/LOGIN", loginValue)
	b.open()
	for i, want := range []ops.Change{ops.Removed, ops.Unchanged} {
		result, err := b.edit().Remove(t.Context(), "LOGIN")
		if err != nil || result.Change != want {
			t.Errorf("time %d: %s, %v; want %s", i+1, result.Change, err, want)
		}
	}
	if b.file("secrets/LOGIN") != "" {
		t.Error("the file is still there")
	}
}

func TestListTellsHowEachStands(t *testing.T) {
	b := newBench(t)
	b.put("secrets/LOGIN", loginValue)
	b.put("secrets/TOKEN", tokenValue+"\n")
	b.put("secrets/OLD_NAME", otherValue)
	b.open()
	long := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, "secrets", "LOGIN"), long, long); err != nil {
		t.Fatal(err)
	}
	sources := []secrets.Source{secrets.Dir(filepath.Join(b.dir, "secrets")), secrets.Map(map[string]string{"LOGIN": otherValue})}
	result, err := ops.List{Project: b.project, Values: b.values, Sources: sources, Now: time.Now()}.Run(t.Context())
	b.silent(result, err)
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

func (b *bench) validate(env string) error {
	b.t.Helper()
	result, err := ops.Validate{Project: b.project, Values: b.values, Modes: b.values, Tracked: worktree.Git{Dir: b.dir}, EnvFile: env}.Run(b.t.Context())
	b.silent(result, err)
	if result.OK != (err == nil) {
		b.t.Errorf("ok is %v and the error is %v", result.OK, err)
	}
	return err
}

func TestValidateFindsNothingInAGoodProject(t *testing.T) {
	b := newBench(t)
	if _, err := (ops.Scaffold{Project: b.project, Values: b.values}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.values.Write(t.Context(), map[string]secrets.Secret{"LOGIN": secrets.New([]byte(loginValue)), "TOKEN": secrets.New([]byte(tokenValue))}); err != nil {
		t.Fatal(err)
	}
	if err := b.validate(""); err != nil {
		t.Error(err)
	}
}

func TestValidateWarnsOfWhatMayStillBeRight(t *testing.T) {
	b := newBench(t)
	if _, err := (ops.Scaffold{Project: b.project, Values: b.values}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.values.Write(t.Context(), map[string]secrets.Secret{"LOGIN": secrets.New([]byte(loginValue)), "TOKEN": secrets.New([]byte(" " + tokenValue))}); err != nil {
		t.Fatal(err)
	}
	result, err := ops.Validate{Project: b.project, Values: b.values, Modes: b.values, Now: time.Now().Add(91 * 24 * time.Hour)}.Run(t.Context())
	b.silent(result, err)
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
	b := newBench(t)
	b.put(".env", "LOGIN=\"C:\\dir\\"+loginValue+"\"\n")
	result, err := b.fromEnv(nil)
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
	b := newBench(t)
	b.put("docker-compose.yml", strings.Replace(composeFile, "min_length: 8, rotate", "min_lenght: 8, rotate", 1))
	b.put("secrets/LOGIN", loginValue+"\n")
	b.put("secrets/ORPHAN", "x")
	b.put("secrets/no-name", "x")
	b.put("secrets/.TOKEN.X.tmp", "x")
	b.put(".env", "TOKEN="+tokenValue+"\n")
	if err := os.Chmod(filepath.Join(b.dir, "secrets", "LOGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open()
	if err := os.Chmod(filepath.Join(b.dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := b.validate("")
	if ops.ClassOf(err) != ops.Invalid {
		t.Fatalf("error %v, want class Invalid", err)
	}
	for _, part := range []string{
		"min_lenght", "secrets/LOGIN: ends with a newline", "mode is 0600", "mode is 0755", "secrets/ORPHAN: docker-compose.yml declares no such secret",
		"no-name", ".TOKEN.X.tmp: a temporary file", ".env has one", ".dockerignore: does not treat as it should: secrets/NAME", ".gitignore: does not treat as it should: secrets/NAME",
	} {
		if !strings.Contains(err.Error(), strings.TrimPrefix(part, "secrets/LOGIN: ")) {
			t.Errorf("not found: %q in\n%v", part, err)
		}
	}
}

func TestScaffoldTwiceChangesNothing(t *testing.T) {
	b := newBench(t)
	b.put(".gitignore", "/bin/") // without a newline at its end
	first, err := ops.Scaffold{Project: b.project, Values: b.values}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b.file("secrets/TOKEN.example") == "" || b.file("secrets/.gitignore") == "" || !strings.Contains(b.file(".env.example"), "TOKEN=\n") {
		t.Error("files are missing")
	}
	if !strings.HasPrefix(b.file(".gitignore"), "/bin/\n/.env\n") {
		t.Errorf(".gitignore: %q", b.file(".gitignore"))
	}
	if len(first.Files) < 8 {
		t.Errorf("%d files told, want at least 8", len(first.Files))
	}
	second, err := ops.Scaffold{Project: b.project, Values: b.values}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range second.Files {
		if row.Change != ops.Unchanged {
			t.Errorf("%s %s by the second run", row.Path, row.Change)
		}
	}
}

func TestScaffoldDryRunMakesNothing(t *testing.T) {
	b := newBench(t)
	result, err := ops.Scaffold{Project: b.project, Values: b.values, DryRun: true}.Run(t.Context())
	if err != nil || len(result.Files) < 8 {
		t.Errorf("%d files told, %v", len(result.Files), err)
	}
	if entries, _ := os.ReadDir(b.dir); len(entries) != 1 {
		t.Errorf("%d entries, want the compose file alone", len(entries))
	}
}

func TestWhatScaffoldMakesIsRefusedAsAValue(t *testing.T) {
	b := newBench(t)
	if _, err := (ops.Scaffold{Project: b.project, Values: b.values}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.edit().Set(t.Context(), "LOGIN", typed(b.file("secrets/LOGIN.example")))
	if ops.ClassOf(err) != ops.Invalid {
		t.Errorf("the example is taken for a value: %v", err)
	}
}
