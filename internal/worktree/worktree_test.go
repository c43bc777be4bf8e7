package worktree_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/worktree"
)

// git runs git in dir with an empty configuration.
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

func TestTracked_NamesWhatTheIndexHolds(t *testing.T) {
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

func TestTracked_OutsideARepository(t *testing.T) {
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

// ignoring makes a repository with these ignore files, by their paths.
func ignoring(t *testing.T, files map[string]string) worktree.Git {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	for name, text := range files {
		write(t, dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return worktree.Git{Dir: dir}
}

func TestIgnored(t *testing.T) {
	all := []string{"secrets/KEY", "secrets/README.md", "secrets/.KEY.1.tmp", ".env", ".keepmum/key", ".env.1.tmp"}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"everything but the README", map[string]string{".gitignore": "/secrets/*\n!/secrets/README.md\n/.env\n/.keepmum/\n.*.tmp\n"}, []string{"secrets/KEY", "secrets/.KEY.1.tmp", ".env", ".keepmum/key", ".env.1.tmp"}},
		{"a file in the folder", map[string]string{"secrets/.gitignore": "*\n!README.md\n"}, []string{"secrets/KEY", "secrets/.KEY.1.tmp"}},
		{"the folder as a whole", map[string]string{".gitignore": "secrets/\n!secrets/README.md\n"}, []string{"secrets/KEY", "secrets/README.md", "secrets/.KEY.1.tmp"}},
		{"only a folder .env", map[string]string{".gitignore": "/.env/\n"}, nil},
		{"taken back in", map[string]string{".gitignore": ".env\n.keepmum\n!.env\n"}, []string{".keepmum/key"}},
		{"a comment", map[string]string{".gitignore": "#.env\n"}, nil},
		{"no file", nil, nil},
		{"on this machine only", map[string]string{".git/info/exclude": ".env\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ignoring(t, c.files).Ignored(t.Context(), all)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("ignored %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestIgnored_LeavesOutTheUsersOwnFile(t *testing.T) {
	home := t.TempDir()
	write(t, home, ".gitignore", "config")
	for name, text := range map[string]string{".gitignore": ".env\n", "config": "[core]\n\texcludesFile = " + filepath.ToSlash(home) + "/.gitignore\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := ignoring(t, nil)
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "config"))
	check := exec.Command("git", "check-ignore", ".env")
	check.Dir = g.Dir
	if err := check.Run(); err != nil {
		t.Fatalf("git does not read the user's file: %v", err)
	}
	if got, err := g.Ignored(t.Context(), []string{".env"}); err != nil || len(got) > 0 {
		t.Errorf("ignored %q, %v; want nothing", got, err)
	}
}

func TestIgnored_CountsTrackedFilesAndSubdirectories(t *testing.T) {
	g := ignoring(t, map[string]string{".gitignore": ".env\n", "app/.env": "x", "app/with blank\n.env": "x"})
	git(t, g.Dir, "add", "-f", "app/.env")
	got, err := worktree.Git{Dir: filepath.Join(g.Dir, "app")}.Ignored(t.Context(), []string{"a\nb", ".env"})
	if err != nil || !slices.Equal(got, []string{".env"}) {
		t.Errorf("ignored %q, %v; want .env", got, err)
	}
}

func TestIgnored_OutsideARepository(t *testing.T) {
	_, err := worktree.Git{Dir: t.TempDir()}.Ignored(t.Context(), []string{".env"})
	if !errors.Is(err, worktree.ErrNone) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want ErrNone", err)
	}
}

func TestIgnored_WithoutGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := (worktree.Git{Dir: t.TempDir()}).Ignored(t.Context(), []string{".env"}); !errors.Is(err, worktree.ErrNone) {
		t.Errorf("error %v, want ErrNone", err)
	}
}

// git refuses a path that leads through a symbolic link.
func TestIgnored_SaysWhenGitFails(t *testing.T) {
	g := ignoring(t, map[string]string{"real/x": ""})
	if err := os.Symlink("real", filepath.Join(g.Dir, "secrets")); err != nil {
		t.Fatal(err)
	}
	_, err := g.Ignored(t.Context(), []string{"secrets/KEY"})
	if fault.CodeOf(err) != fault.Failed || errors.Is(err, worktree.ErrNone) || err.Error() != "git cannot say which files it ignores" {
		t.Errorf("error %v", err)
	}
}

func TestGit_StopsWithTheContext(t *testing.T) {
	g := ignoring(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Ignored(ctx, []string{".env"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Ignored: %v", err)
	}
	if _, err := g.Tracked(ctx, []string{".env"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Tracked: %v", err)
	}
}
