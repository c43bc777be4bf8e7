package worktree_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/worktree"
)

// git runs git in dir without the user's configuration.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTracked(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	write(t, dir, ".env", "secrets/A", "secrets/B", "secrets/[AB]")
	git(t, dir, "add", "-f", ".env", "secrets/B")

	got, err := worktree.Git{Dir: dir}.Tracked(t.Context(), []string{".env", "secrets/A", "secrets/B", "secrets/[AB]", "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".env", "secrets/B"}; !slices.Equal(got, want) {
		t.Errorf("tracked %q, want %q", got, want)
	}
}

func TestTracked_OutsideRepository(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".env")
	got, err := worktree.Git{Dir: dir}.Tracked(t.Context(), []string{".env"})
	if err != nil || len(got) != 0 {
		t.Errorf("tracked %q, %v; want nothing", got, err)
	}
}

func TestTracked_WithoutGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got, err := worktree.Git{Dir: t.TempDir()}.Tracked(t.Context(), []string{".env"})
	if err != nil || len(got) != 0 {
		t.Errorf("tracked %q, %v; want nothing", got, err)
	}
}
