package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree describes each path in a directory, without the content of files.
type tree map[string]string

// treeOf reads a directory and everything in it, except the lock file, which is
// empty and stays, and the directory of testscript.
func treeOf(root string) (tree, error) {
	all := tree{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch name {
		case ".tmp":
			return filepath.SkipDir
		case ".", "secrets/.lock":
			return nil
		}
		all[name], err = leaf(path, entry)
		return err
	})
	return all, err
}

// leaf describes one entry. A file that was written again with the same content
// counts as changed.
func leaf(path string, entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	switch {
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrPermission) {
			err = nil // a test made it unreadable: mode and time are enough
		}
		digest := sha256.Sum256(data)
		return fmt.Sprintf("%s %s %s", info.Mode(), hex.EncodeToString(digest[:8]), info.ModTime()), err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return "link to " + target, err
	}
	return info.Mode().String(), nil
}

// changes names the differences between two readings of a directory.
func (t tree) changes(now tree) []string {
	var all []string
	for name, was := range t {
		is, ok := now[name]
		switch {
		case !ok:
			all = append(all, name+" is gone")
		case is != was:
			all = append(all, name+" was changed")
		}
	}
	for name := range now {
		if _, ok := t[name]; !ok {
			all = append(all, name+" is new")
		}
	}
	slices.Sort(all)
	return all
}

// TestTree_ShowsEveryChange makes sure that the comparison can fail.
func TestTree_ShowsEveryChange(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"secrets/A was changed": func(dir string) error { return os.WriteFile(filepath.Join(dir, "secrets/A"), []byte("xx"), 0o600) },
		"secrets/A is gone":     func(dir string) error { return os.Remove(filepath.Join(dir, "secrets/A")) },
		"secrets was changed":   func(dir string) error { return os.Chmod(filepath.Join(dir, "secrets"), 0o711) },
		"new is new":            func(dir string) error { return os.Mkdir(filepath.Join(dir, "new"), 0o700) },
		"link was changed": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "link")), os.Symlink("elsewhere", filepath.Join(dir, "link")))
		},
		"": func(dir string) error { return os.WriteFile(filepath.Join(dir, "secrets/.lock"), nil, 0o600) },
	} {
		dir := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "secrets"), 0o700), os.WriteFile(filepath.Join(dir, "secrets/A"), []byte("x"), 0o600), os.Symlink("A", filepath.Join(dir, "link"))); err != nil {
			t.Fatal(err)
		}
		before, err := treeOf(dir)
		if err != nil || len(before) != 3 {
			t.Fatalf("%d entries, want 3: %v", len(before), err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		after, err := treeOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(before.changes(after), ", "); got != name {
			t.Errorf("changes %q, want %q", got, name)
		}
	}
}
