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
)

func validate(b *opstest.Bench) error {
	b.T.Helper()
	result, err := values.New(values.Config{Project: b.Project(), Git: worktree.Git{Dir: b.Dir}}).Validate(b.T.Context())
	b.Silent(result, err)
	if result.OK != (err == nil) {
		b.T.Errorf("ok is %v and the error is %v", result.OK, err)
	}
	return err
}

func TestValidate_FindsNothingInAGoodProject(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	if err := validate(b); err != nil {
		t.Error(err)
	}
}

func TestValidate_WarnsOfWhatMayStillBeRight(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", " "+opstest.TokenValue)
	result, err := values.New(values.Config{Project: b.Project(), Now: func() time.Time { return time.Now().Add(91 * 24 * time.Hour) }}).Validate(t.Context())
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

func TestValidate_ReportsEverythingAtOnce(t *testing.T) {
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
	err := validate(b)
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

// trackingGit tracks every path that it is asked for and ignores all but what
// a clone needs.
type trackingGit struct {
	asked   []string
	tracked error
	ignored error
}

func (g *trackingGit) Tracked(_ context.Context, paths []string) ([]string, error) {
	g.asked = paths
	return paths, g.tracked
}

func (g *trackingGit) Ignored(_ context.Context, paths []string) ([]string, error) {
	return paths, g.ignored
}

// good is a bench in which Validate finds nothing.
func good(t *testing.T) *opstest.Bench {
	t.Helper()
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.Value("secrets/LOGIN", opstest.LoginValue)
	b.Value("secrets/TOKEN", opstest.TokenValue)
	return b
}

// finding is one finding as a person reads it.
func finding(f fault.Finding) string {
	return fmt.Sprintf("%s:%d: %s: %s | %s", f.File, f.Line, f.Subject, f.Problem, f.Next)
}

func TestValidate_FindingsSayWhereAndWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(b *opstest.Bench)
		want  string
	}{
		"missing": {func(b *opstest.Bench) { remove(b, "LOGIN") },
			"secrets/LOGIN:0: LOGIN: no value: the file does not exist | mage secrets:set LOGIN"},
		"missing, with a rule": {func(b *opstest.Bench) { remove(b, "TOKEN") },
			"secrets/TOKEN:0: TOKEN: no value: the file does not exist | mage secrets:generate TOKEN"},
		"missing, and in the .env": {func(b *opstest.Bench) { remove(b, "TOKEN"); b.Put(".env", "TOKEN="+opstest.TokenValue+"\n") },
			"secrets/TOKEN:0: TOKEN: no value: the file does not exist, and .env has one | mage secrets:fromEnv"},
		"missing, and empty in the .env": {func(b *opstest.Bench) { remove(b, "LOGIN"); b.Put(".env", "LOGIN=\n") },
			"secrets/LOGIN:0: LOGIN: no value: the file does not exist | mage secrets:set LOGIN"},
		"missing, and unreadable in the .env": {func(b *opstest.Bench) { remove(b, "LOGIN"); b.Put(".env", "LOGIN=\"x\n") },
			"secrets/LOGIN:0: LOGIN: no value: the file does not exist, and .env has one | mage secrets:fromEnv"},
		"empty": {func(b *opstest.Bench) { b.Value("secrets/LOGIN", "") },
			"secrets/LOGIN:0: LOGIN: is empty | mage secrets:set LOGIN"},
		"a rule": {func(b *opstest.Bench) { b.Value("secrets/LOGIN", "short") },
			"secrets/LOGIN:0: LOGIN: is shorter than the 8 bytes that min_length requires | mage secrets:set LOGIN"},
		"not declared": {func(b *opstest.Bench) { b.Value("secrets/ORPHAN", opstest.OtherValue) },
			"secrets/ORPHAN:0: ORPHAN: docker-compose.yml declares no such secret | declare it there, or mage secrets:remove ORPHAN"},
		"a name that is not one": {func(b *opstest.Bench) { b.Put("secrets/no\x1bname", "x") },
			"secrets/no?name:0: : unexpected file: its name is not a valid secret name | move it out of secrets"},
		"a temporary file": {func(b *opstest.Bench) { b.Put("secrets/.LOGIN.X.tmp", "x") },
			"secrets/.LOGIN.X.tmp:0: : a temporary file of a write that was cut off | mage secrets:fromEnv, or any other command that writes, removes it"},
		"mode of a file": {func(b *opstest.Bench) { chmod(b, "secrets/LOGIN", 0o440) },
			"secrets/LOGIN:0: LOGIN: mode is 0440: a container's user cannot read its mount (it must be 0444) | chmod 0444 secrets/LOGIN"},
		"mode of the directory": {func(b *opstest.Bench) { chmod(b, "secrets", 0o750) },
			"secrets:0: : mode is 0750: other users of this machine can reach the values (it must be 0700) | chmod 0700 secrets"},
		"the compose file": {func(b *opstest.Bench) {
			b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "rotate_every", "rotate_evry", 1))
		}, "docker-compose.yml:15: LOGIN: unknown key rotate_evry in x-keepmum | did you mean rotate_every?"},
	} {
		t.Run(name, func(t *testing.T) {
			b := good(t)
			test.spoil(b)
			result, err := values.New(values.Config{Project: b.Project()}).Validate(t.Context())
			b.Silent(result, err)
			if len(result.Findings) != 1 {
				t.Fatalf("findings %v, want one", result.Findings)
			}
			got := strings.ReplaceAll(finding(result.Findings[0]), filepath.ToSlash(b.Dir)+"/", "")
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if e := new(fault.Error); !errors.As(err, &e) || e.Code != fault.Invalid || e.What != "1 finding" || e.Next != result.Findings[0].Next || result.OK {
				t.Errorf("error %v", err)
			}
		})
	}
}

// remove removes the file of a value.
func remove(b *opstest.Bench, name string) {
	b.T.Helper()
	if err := os.Remove(filepath.Join(b.Dir, "secrets", name)); err != nil {
		b.T.Fatal(err)
	}
}

// chmod changes a mode.
func chmod(b *opstest.Bench, name string, mode os.FileMode) {
	b.T.Helper()
	if err := os.Chmod(filepath.Join(b.Dir, filepath.FromSlash(name)), mode); err != nil {
		b.T.Fatal(err)
	}
}

func TestValidate_SortsFindingsByPlace(t *testing.T) {
	b := good(t)
	b.Put("docker-compose.yml", strings.NewReplacer("rotate_every", "rotate_evry", "optional", "optoinal").Replace(opstest.ComposeFile))
	b.Put("secrets/zz-no-name", "x")
	b.Put(".dockerignore", "")
	result, _ := values.New(values.Config{Project: b.Project()}).Validate(t.Context())
	var places []string
	for _, f := range result.Findings {
		places = append(places, fmt.Sprint(filepath.Base(f.File), " ", f.Line))
	}
	before := slices.IndexFunc(places, func(p string) bool { return p == "docker-compose.yml 15" })
	if after := slices.Index(places, "docker-compose.yml 18"); before < 0 || after < before || !slices.IsSortedFunc(result.Findings, func(a, b fault.Finding) int { return strings.Compare(a.File, b.File) }) {
		t.Errorf("places %q", places)
	}
}

func TestValidate_ListsWhatWasChecked(t *testing.T) {
	b := good(t)
	result, err := values.New(values.Config{Project: b.Project()}).Validate(t.Context())
	if err != nil || !result.OK || !slices.Equal(result.Checked, []string{"LOGIN", "TOKEN"}) && !slices.Equal(result.Checked, []string{"TOKEN", "LOGIN"}) {
		t.Errorf("checked %q, %v", result.Checked, err)
	}
}

func TestValidate_LeavesExternalSecretsToTheSwarm(t *testing.T) {
	b := good(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "    file: ./secrets/LOGIN\n", "    external: true\n", 1))
	remove(b, "LOGIN")
	result, err := values.New(values.Config{Project: b.Project()}).Validate(t.Context())
	for _, f := range result.Findings {
		if strings.Contains(f.Problem, "no value") {
			t.Errorf("%v, %v", f, err)
		}
	}
	if !slices.Equal(result.Checked, []string{"TOKEN"}) {
		t.Errorf("checked %q", result.Checked)
	}
}

func TestValidate_WarnsAfterTheRotationAndNotAtIt(t *testing.T) {
	b := good(t)
	written := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(b.Dir, "secrets", "LOGIN"), written, written); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]int{90 * 24 * time.Hour: 0, 90*24*time.Hour + 1: 1} {
		result, err := values.New(values.Config{Project: b.Project(), Now: func() time.Time { return written.Add(age) }}).Validate(t.Context())
		if err != nil || len(result.Warnings) != want {
			t.Errorf("after %s: warnings %v, %v", age, result.Warnings, err)
		}
		if want == 1 && (result.Warnings[0].Subject != "LOGIN" || result.Warnings[0].Next != "mage secrets:set LOGIN") {
			t.Errorf("warning %v", result.Warnings[0])
		}
	}
}

func TestValidate_ReportsWhatGitTracks(t *testing.T) {
	b := good(t)
	git := &trackingGit{ignored: errors.New("no answer")}
	result, err := values.New(values.Config{Project: b.Project(), Git: git}).Validate(t.Context())
	b.Silent(result, err)
	dir := filepath.ToSlash(b.Dir) + "/secrets/"
	want := []string{".env", ".keepmum/key", dir + "TOKEN", dir + "LOGIN", dir + "EXTRA"}
	slices.Sort(want)
	asked := slices.Sorted(slices.Values(git.asked))
	if !slices.Equal(asked, want) || len(result.Findings) != len(want) {
		t.Fatalf("asked for %q, want %q; findings %v", asked, want, result.Findings)
	}
	for i, f := range result.Findings {
		if f.File != want[i] || f.Problem != "git tracks it: whoever has the repository has the value" || f.Next != "git rm --cached "+want[i]+", then replace the value everywhere it is used" {
			t.Errorf("finding %s", finding(f))
		}
	}
}

func TestValidate_ReturnsTheErrorsOfGitAndOfIgnoreFiles(t *testing.T) {
	b := good(t)
	broken := errors.New("git ls-files failed")
	_, err := values.New(values.Config{Project: b.Project(), Git: &trackingGit{tracked: broken, ignored: broken}}).Validate(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("git cannot list: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	state := b.Load()
	if _, err := values.New(values.Config{Project: b.Project(), Git: &trackingGit{ignored: broken}}).Check(ctx, state, false); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted while git was asked: %v", err)
	}
	for _, path := range []string{".gitignore", "secrets/.gitignore", ".dockerignore"} {
		_, err := over(b, opstest.Store{}, opstest.Files{Fail: map[string]error{"Read " + path: errDisk}}).Validate(t.Context())
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestValidate_FindsNothingWithoutADirectory(t *testing.T) {
	b := opstest.New(t)
	b.Put(".gitignore", "/secrets/*\n/.env\n/.keepmum/\n.*.tmp\n")
	b.Put(".dockerignore", "*\n")
	result, err := values.New(values.Config{Project: b.Project()}).Check(t.Context(), b.Load(), true)
	if err != nil || !result.OK || len(result.Checked) > 0 {
		t.Errorf("values that may be missing: %+v, %v", result, err)
	}
	if result, err = use(b).Validate(t.Context()); len(result.Findings) != 2 {
		t.Errorf("values that may not: %v, %v", result.Findings, err)
	}
}

func TestValidate_ReportsADirectoryInPlaceOfAValue(t *testing.T) {
	b := good(t)
	remove(b, "LOGIN")
	b.Put("secrets/LOGIN/x", "")
	result, err := use(b).Validate(t.Context())
	if len(result.Findings) != 1 || result.Findings[0].Subject != "LOGIN" || strings.HasPrefix(result.Findings[0].Problem, "secrets/") || result.Findings[0].Next == "" || slices.Contains(result.Checked, "LOGIN") {
		t.Errorf("findings %v, %v", result.Findings, err)
	}
	state := b.Load()
	state.Values.Values["LOGIN"] = project.Value{Err: errors.New("quotes the value")}
	result, _ = use(b).Check(t.Context(), state, false)
	if got := finding(result.Findings[0]); !strings.Contains(got, "LOGIN: cannot be read | check its owner and mode: ls -l ") || strings.Contains(got, "quotes") {
		t.Errorf("another kind of error: %s", got)
	}
}
