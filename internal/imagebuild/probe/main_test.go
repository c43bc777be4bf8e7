package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"full": "value", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"full": "ok", "empty": "empty", "absent": "missing", ".": "directory"} {
		if got := look(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestWord(t *testing.T) {
	for want, err := range map[string]error{
		"denied":  &fs.PathError{Err: syscall.EACCES},
		"missing": &fs.PathError{Err: syscall.ENOENT},
		"broken":  &fs.PathError{Err: syscall.EIO},
	} {
		if got := word(err); got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
}
