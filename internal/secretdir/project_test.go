package secretdir_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/secretdir"
)

func newProject(t *testing.T, dir, keyFile string) *secretdir.Project {
	t.Helper()
	p, err := secretdir.OpenProject(dir, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestReadFollowsLinksInsideOnly(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "sub", "real"), "inside")
	put(t, filepath.Join(outside, "far"), "outside")
	for name, target := range map[string]string{"in": "sub/real", "out": filepath.Join(outside, "far"), "up": "../x"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, dir, "")
	if data, err := p.Read("in"); err != nil || string(data) != "inside" {
		t.Errorf("a link inside: %q, %v", data, err)
	}
	if data, err := p.Read(filepath.Join(outside, "far")); err != nil || string(data) != "outside" {
		t.Errorf("a file outside that was named: %q, %v", data, err)
	}
	for name, part := range map[string]string{"out": "leaves its directory", "up": "leaves its directory", "folder": "is a directory"} {
		data, err := p.Read(name)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), part) || len(data) > 0 {
			t.Errorf("%s: %d bytes, error %v; want class Invalid and %q", name, len(data), err, part)
		}
	}
	for _, name := range []string{"nowhere", filepath.Join(outside, "nowhere"), filepath.Join(outside, "no", "where")} {
		if _, err := p.Read(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
}

func TestReadRefusesAFileThatIsTooLarge(t *testing.T) {
	const most = 16 << 20
	for size, code := range map[int]fault.Code{most: 0, most + 1: fault.Invalid} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, ".env"), strings.Repeat("x", size))
		if data, err := newProject(t, dir, "").Read(".env"); fault.CodeOf(err) != code || code == 0 && len(data) != size {
			t.Errorf("%d bytes: %d read, error %v, want class %d", size, len(data), err, code)
		}
	}
}

func TestReplaceKeepsTheModeAndRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, ".env"), "old")
	if err := os.Chmod(filepath.Join(dir, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".env", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, dir, "")
	if err := p.Replace(".env", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if data, _ := p.Read(".env"); string(data) != "new" {
		t.Error("the file was not replaced")
	}
	if m := mode(t, filepath.Join(dir, ".env")); m != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %#o, want 0600", m)
	}
	if err := p.Replace("link", []byte("newer")); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a link is replaced: %v", err)
	}
	for path, class := range map[string]fault.Code{".env": 0, "absent": 0, "link": fault.Invalid, ".": fault.Invalid, "nowhere/.env": fault.Failed} {
		if err := p.Replaceable(path); fault.CodeOf(err) != class {
			t.Errorf("may %s be replaced: %v, want class %d", path, err, class)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%d entries, want 2: a temporary file is left", len(entries))
	}
}

func TestScaffoldKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	p := newProject(t, dir, "")
	for i, want := range []bool{true, false} {
		if made, err := p.Scaffold("secrets/README.md", []byte{byte('a' + i)}); err != nil || made != want {
			t.Errorf("made %v, %v; want %v", made, err, want)
		}
	}
	if data, _ := p.Read("secrets/README.md"); string(data) != "a" {
		t.Error("a file that is there was changed")
	}
	for _, path := range []string{".keepmum/.gitignore", "docs/sub/README.md"} {
		if _, err := p.Scaffold(path, nil); err != nil {
			t.Fatal(err)
		}
	}
	for folder, want := range map[string]fs.FileMode{"secrets": 0o700, ".keepmum": 0o700, "docs": 0o755, "docs/sub": 0o755} {
		if m := mode(t, filepath.Join(dir, folder)); m != want && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %#o, want %#o", folder, m, want)
		}
	}
}

func TestTheKeyIsMadeOnceAndIsPrivate(t *testing.T) {
	dir := t.TempDir()
	p := newProject(t, dir, "")
	if _, _, err := p.Key(false); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("no key: %v, want class Invalid", err)
	}
	var made [8]bool
	var makers sync.WaitGroup
	for i := range made {
		makers.Go(func() {
			var err error
			if _, made[i], err = p.Key(true); err != nil {
				t.Error(err)
			}
		})
	}
	makers.Wait()
	count := 0
	for _, one := range made {
		if one {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d of 8 makers made the key, want one", count)
	}
	key, _, err := p.Key(false)
	if err != nil || len(key.ID()) != 16 {
		t.Errorf("key id %q, %v", key.ID(), err)
	}
	if m := mode(t, filepath.Join(dir, ".keepmum", "key")); m != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %#o, want 0600", m)
	}
	if ignored, _ := p.Read(".keepmum/.gitignore"); string(ignored) != "*\n" {
		t.Error(".keepmum is not ignored by git")
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, ".keepmum")); len(entries) != 2 {
		t.Errorf("%d entries in .keepmum, want 2", len(entries))
	}
}

func TestAnotherKeyFileIsUsedAndNeverMade(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := filepath.Join(elsewhere, "team.key")
	p := newProject(t, dir, path)
	if _, _, err := p.Key(true); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing key file: %v", err)
	}
	put(t, path, "short")
	if _, _, err := p.Key(false); fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "short") {
		t.Errorf("a key of the wrong size: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	_, made, err := p.Key(true)
	if err != nil || made {
		t.Errorf("made %v, %v; want neither", made, err)
	}
}
