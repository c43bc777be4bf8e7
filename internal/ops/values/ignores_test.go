package values_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/worktree"
)

// ignoreFindings returns what Validate finds in the ignore files.
func ignoreFindings(b *opstest.Bench, git values.VersionControl) []string {
	b.T.Helper()
	b.Open()
	result, err := values.New(values.Config{Project: b.Project(), Git: git}).Validate(b.T.Context())
	if err != nil && fault.CodeOf(err) != fault.Invalid {
		b.T.Fatal(err)
	}
	var found []string
	for _, f := range result.Findings {
		if f.File == ".gitignore" || f.File == ".dockerignore" {
			found = append(found, f.File+" "+f.Problem)
		}
	}
	return found
}

const covering = "*\n!/secrets/\n!/secrets/README.md\n!/secrets/.gitignore\n!/secrets/*.example\n"

func TestValidate_AsksGitForIgnoredFiles(t *testing.T) {
	b := opstest.New(t)
	b.Put(".dockerignore", "*\n")
	b.Put(".gitignore", covering)
	init := exec.Command("git", "init", "-q")
	init.Dir = b.Dir
	init.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	if err := init.Run(); err != nil {
		t.Fatal(err)
	}
	git := worktree.Git{Dir: b.Dir}
	if found := ignoreFindings(b, git); len(found) > 0 {
		t.Errorf("a .gitignore that covers all by another line: %q", found)
	}
	b.Put(".gitignore", covering+"!.env\n")
	if want, found := []string{".gitignore does not cover .env: add the line /.env"}, ignoreFindings(b, git); !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

func TestValidate_ComparesLinesIfGitCannotAnswer(t *testing.T) {
	b := opstest.New(t)
	b.Put(".dockerignore", "*\n")
	b.Put(".gitignore", "/secrets/\n.env\n.*.tmp\n")
	want := []string{".gitignore does not cover the key in .keepmum/: add the line /.keepmum/"}
	for name, git := range map[string]values.VersionControl{"no git is asked": nil, "no work tree": worktree.Git{Dir: b.Dir}, "git fails": failingGit{}} {
		if found := ignoreFindings(b, git); !slices.Equal(found, want) {
			t.Errorf("%s: found %q, want %q", name, found, want)
		}
	}
}

// failingGit tracks nothing and cannot say what it ignores.
type failingGit struct{}

func (failingGit) Tracked(context.Context, []string) ([]string, error) { return nil, nil }

func (failingGit) Ignored(context.Context, []string) ([]string, error) {
	return nil, errors.New("git check-ignore failed")
}
