package values_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
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

func TestValidateFindsNothingInAGoodProject(t *testing.T) {
	b := opstest.New(t)
	if _, err := use(b).Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	if err := validate(b); err != nil {
		t.Error(err)
	}
}

func TestValidateWarnsOfWhatMayStillBeRight(t *testing.T) {
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
