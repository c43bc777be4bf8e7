package gotool_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

func TestCommand_ErrorHasBothStreams(t *testing.T) {
	for _, where := range []string{"1", "2"} {
		_, err := gotool.Command{Program: "sh", Args: []string{"-c", "echo the reason >&" + where + "; exit 3"}}.Output(t.Context())
		if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "the reason") {
			t.Errorf("stream %s: error %v, want the reason in it", where, err)
		}
	}
	// Much output on both streams at the same time: nothing is lost.
	_, err := gotool.Command{Program: "sh", Args: []string{"-c", "(i=0; while [ $i -lt 2000 ]; do echo a$((1)); i=$((i+1)); done) & i=0; while [ $i -lt 2000 ]; do echo b$((2)) >&2; i=$((i+1)); done; wait; exit 1"}}.Output(t.Context())
	if err == nil || strings.Count(err.Error(), "a1") != 2000 || strings.Count(err.Error(), "b2") != 2000 {
		t.Error("the error lacks some of the output")
	}
	out, err := gotool.Command{Program: "sh", Args: []string{"-c", "echo data; echo talk >&2"}}.Output(t.Context())
	if err != nil || out != "data\n" {
		t.Errorf("output %q, %v; want only standard output", out, err)
	}
	if _, err := (gotool.Command{Program: "keepmum-no-such-program"}).Output(t.Context()); err == nil || !strings.Contains(err.Error(), "not on the PATH") {
		t.Errorf("a missing program: %v", err)
	}
}

func TestTagged_FindsPackagesOfATag(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module probe\n\ngo 1.25\n",
		"a/a.go":           "package a\n",
		"a/a_test.go":      "package a\n",
		"b/b.go":           "package b\n",
		"b/tagged_test.go": "//go:build special\n\npackage b\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := gotool.Tagged(t.Context(), dir, "special")
	if err != nil || !slices.Equal(got, []string{"probe/b"}) {
		t.Errorf("%q, %v; want only probe/b", got, err)
	}
	if _, err := gotool.Tagged(t.Context(), dir, "nothing"); fault.CodeOf(err) != fault.Failed {
		t.Errorf("a tag that no file has: %v", err)
	}
}

// TestBinary_IsReproducible compiles the targets in two checkouts at different
// paths and requires the same bytes.
func TestBinary_IsReproducible(t *testing.T) {
	var digests []string
	for range 2 {
		dir := filepath.Join(t.TempDir(), "clone")
		if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", "--depth=1", "file://"+root(t), dir).CombinedOutput(); err != nil {
			t.Fatalf("git clone: %v\n%s", err, out)
		}
		path, err := gotool.Binary{Dir: dir}.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, string(data))
	}
	if digests[0] != digests[1] {
		t.Error("two checkouts of one commit give different binaries")
	}
}

// root is the checkout that this test belongs to.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
