package secretdir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func open(t *testing.T, path string) *secretdir.Dir {
	t.Helper()
	d, err := secretdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// write stores values.
func write(ctx context.Context, d *secretdir.Dir, values map[string]secrets.Secret) error {
	_, err := d.Update(ctx, func(*project.Snapshot) (project.Batch, error) { return project.Batch{Write: values}, nil })
	return err
}

// look takes a snapshot.
func look(t *testing.T, d *secretdir.Dir) *project.Snapshot {
	t.Helper()
	snapshot, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// put writes files for the package under test.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func values(pairs ...string) map[string]secrets.Secret {
	m := map[string]secrets.Secret{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = secrets.New([]byte(pairs[i+1]))
	}
	return m
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestWriteMakesThePrivateDirectoryAndReadableFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	d := open(t, path)
	if look(t, d).Exists {
		t.Fatal("the directory exists before the first write")
	}
	if err := write(t.Context(), d, values("A", "one", "B", "two\n")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "one", "B": "two\n"} {
		got, _, err := look(t, d).Read(name)
		if err != nil || got.RevealString() != want {
			t.Errorf("%s does not hold what was written: %v", name, err)
		}
		if m := mode(t, filepath.Join(path, name)); m != 0o444 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %#o, want 0444", name, m)
		}
	}
	if m := mode(t, path); m != 0o700 && runtime.GOOS != "windows" {
		t.Errorf("the directory has mode %#o, want 0700", m)
	}
	if err := write(t.Context(), d, values("A", "other")); err != nil {
		t.Fatalf("a value that is there is not replaced: %v", err)
	}
	if got, _, _ := look(t, d).Read("A"); got.RevealString() != "other" {
		t.Error("the value was not replaced")
	}
}

func TestOpenMakesTheDirectoryPrivateAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no modes there: promised in the package comment
	}
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	looked, err := secretdir.Look(path)
	if err != nil {
		t.Fatal(err)
	}
	defer looked.Close()
	if m := mode(t, path); m != 0o755 {
		t.Errorf("Look changed the mode to %#o", m)
	}
	open(t, path)
	if m := mode(t, path); m != 0o700 {
		t.Errorf("after Open the mode is %#o, want 0700", m)
	}
}

func TestNothingIsWrittenWhereOneValueIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(filepath.Join(path, "DIR"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, outside, "kept")
	if err := os.Symlink(outside, filepath.Join(path, "LINK")); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", secretdir.MaxSize+1)
	for name, bad := range map[string]map[string]secrets.Secret{
		"empty":               values("GOOD", "v", "BAD", ""),
		"too large":           values("GOOD", "v", "BAD", large),
		"a path":              values("GOOD", "v", "../BAD", "v"),
		"a directory":         values("GOOD", "v", "DIR", "v"),
		"a symbolic link":     values("GOOD", "v", "LINK", "v"),
		"several at a time":   values("GOOD", "v", "BAD", "", "WORSE", large),
		"a name with a blank": values("GOOD", "v", "B AD", "v"),
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, path)
			err := write(t.Context(), d, bad)
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Code != fault.Invalid {
				t.Fatalf("error %v, want one of class Invalid", err)
			}
			if got, want := len(refused.Findings), len(bad)-1; got != want {
				t.Errorf("%d findings, want %d: all problems at once", got, want)
			}
			if strings.Contains(err.Error(), large[:64]) {
				t.Error("the error holds a value")
			}
			if names := look(t, d).Names(); slices.Contains(names, "GOOD") {
				t.Error("a value of the batch was written")
			}
			if kept, _ := os.ReadFile(outside); string(kept) != "kept" {
				t.Error("a file outside was changed")
			}
		})
	}
}

func TestTheLargestValueIsKeptWhole(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "secrets"))
	largest := strings.Repeat("y", secretdir.MaxSize)
	if err := write(t.Context(), d, values("A", largest)); err != nil {
		t.Fatal(err)
	}
	if got, _, err := look(t, d).Read("A"); err != nil || got.RevealString() != largest {
		t.Errorf("511999 bytes do not come back: %v", err)
	}
}

func TestReadTellsAbsentFromWhatCannotBeAValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	put(t, filepath.Join(path, "EMPTY"), "")
	put(t, filepath.Join(path, "LARGE"), strings.Repeat("x", secretdir.MaxSize+1))
	put(t, filepath.Join(path, "GOOD"), "v")
	if err := os.Mkdir(filepath.Join(path, "DIR"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("GOOD", filepath.Join(path, "LINK")); err != nil {
		t.Fatal(err)
	}
	d := open(t, path)
	tests := map[string]struct {
		is   error
		part string
	}{
		"EMPTY": {project.ErrContent, "EMPTY is empty"},
		"LARGE": {project.ErrContent, "LARGE is larger than 511999 bytes"},
		"DIR":   {nil, "DIR is a directory where a file should be"},
		"LINK":  {nil, "LINK is a symbolic link"},
	}
	for name, want := range tests {
		_, there, err := look(t, d).Read(name)
		if !there {
			t.Errorf("%s: looks absent", name)
		}
		if err == nil || !strings.Contains(err.Error(), want.part) {
			t.Errorf("%s: error %v, want a part %q", name, err, want.part)
		}
		if want.is != nil && !errors.Is(err, want.is) {
			t.Errorf("%s: error %v is not %v", name, err, want.is)
		}
	}
	if _, there, err := look(t, d).Read("GOOD"); err != nil || !there {
		t.Errorf("GOOD: %v, %v", there, err)
	}
	if _, there, err := look(t, d).Read("ABSENT"); err != nil || there {
		t.Errorf("ABSENT: %v, %v", there, err)
	}
}

func TestADirectoryThatIsNoneIsRefused(t *testing.T) {
	base := t.TempDir()
	put(t, filepath.Join(base, "file"), "x")
	if err := os.Mkdir(filepath.Join(base, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]string{"file": "is not a directory", "link": "is a symbolic link"} {
		if _, err := secretdir.Open(filepath.Join(base, name)); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want class Invalid and %q", name, err, part)
		}
	}
}

func TestNamesAndStraysPartTheDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	for _, name := range []string{"B", "A", "README.md", ".gitignore", "A.example", ".lock", ".A.X.tmp", "no-name", "9lives", ".environment"} {
		put(t, filepath.Join(path, name), "x")
	}
	d := open(t, path)
	snapshot := look(t, d)
	if want := []string{"A", "B"}; !slices.Equal(snapshot.Names(), want) {
		t.Errorf("names %q, want %q", snapshot.Names(), want)
	}
	if want := []string{".A.X.tmp", "9lives", "no-name"}; !slices.Equal(snapshot.Strays, want) {
		t.Errorf("strays %q, want %q", snapshot.Strays, want)
	}
}

func TestAWriteRemovesTheTemporaryFilesOfOneThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	put(t, filepath.Join(path, ".A.OLD.tmp"), "torn")
	d := open(t, path)
	if err := write(t.Context(), d, values("A", "v")); err != nil {
		t.Fatal(err)
	}
	if strays := look(t, d).Strays; len(strays) > 0 {
		t.Errorf("left: %q", strays)
	}
}

// hold takes the lock until release is called.
func hold(t *testing.T, path string) (release func()) {
	t.Helper()
	d := open(t, path)
	held, done, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, err := d.Update(context.Background(), func(*project.Snapshot) (project.Batch, error) {
			close(held)
			<-done
			return project.Batch{}, nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	<-held
	return func() { close(done); <-ended }
}

func TestLockKeepsOtherCommandsOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	for name, try := range map[string]func(context.Context, *secretdir.Dir) error{
		"a write":    func(ctx context.Context, d *secretdir.Dir) error { return write(ctx, d, values("A", "v")) },
		"a snapshot": func(ctx context.Context, d *secretdir.Dir) error { _, err := d.Snapshot(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			release := hold(t, path)
			d := open(t, path)
			ended, cancel := context.WithCancel(t.Context())
			heard := talk{then: cancel}
			d.Progress = &heard
			if err := try(ended, d); !errors.Is(err, context.Canceled) {
				t.Errorf("during a write: %v, want it to wait until its context ends", err)
			}
			if len(heard.lines) != 1 || !strings.Contains(heard.lines[0], "another keepmum command holds") {
				t.Errorf("said while waiting: %q", heard.lines)
			}
			release()
			if err := try(t.Context(), d); err != nil {
				t.Fatalf("after the writer: %v", err)
			}
			if len(heard.lines) != 1 {
				t.Errorf("said of a lock that no command held: %q", heard.lines[1:])
			}
		})
	}
}

func TestSnapshotsDoNotExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	d := open(t, path)
	if err := write(t.Context(), d, values("A", "v")); err != nil {
		t.Fatal(err)
	}
	heard := talk{then: func() {}}
	d.Progress = &heard
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			if _, err := d.Snapshot(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	if len(heard.lines) > 0 {
		t.Errorf("one reader waited for another: %q", heard.lines)
	}
}

func TestSnapshotChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	put(t, filepath.Join(path, "A"), "v")
	d := open(t, path)
	if snapshot := look(t, d); snapshot.Values["A"].Mode != 0o644 && runtime.GOOS != "windows" {
		t.Errorf("mode %#o, want that of the file", snapshot.Values["A"].Mode)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v; want A alone", entries, err)
	}
}

func TestSnapshotOfAClosedDirectoryFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	put(t, filepath.Join(path, "A"), "v")
	d := open(t, path)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Snapshot(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v, want os.ErrClosed", err)
	}
	if err := open(t, filepath.Join(t.TempDir(), "none")).Close(); err != nil {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

func TestLockThatIsNotAFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(filepath.Join(path, ".lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, path)
	_, err := d.Snapshot(t.Context())
	for _, err := range []error{err, write(t.Context(), d, values("A", "v"))} {
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), ".lock is not a regular file") {
			t.Errorf("error %v", err)
		}
	}
}

// talk keeps what was said, and calls then.
type talk struct {
	lines []string
	then  func()
}

func (t *talk) Say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
	t.then()
}

func TestUpdateRemovesAndReturnsWhatIsThereThen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	d := open(t, path)
	if err := write(t.Context(), d, values("A", "v", "B", "w")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // removing twice is safe
		after, err := d.Update(t.Context(), func(*project.Snapshot) (project.Batch, error) {
			return project.Batch{Write: values("B", "x"), Remove: []string{"A"}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for from, snapshot := range map[string]*project.Snapshot{"returned": after, "on disk": look(t, d)} {
			if got, _, err := snapshot.Read("B"); err != nil || got.RevealString() != "x" || !slices.Equal(snapshot.Names(), []string{"B"}) {
				t.Errorf("%s: %q, %v", from, snapshot.Names(), err)
			}
		}
	}
	if _, err := d.Update(t.Context(), func(*project.Snapshot) (project.Batch, error) {
		return project.Batch{Remove: []string{"../A"}}, nil
	}); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a path as a name: %v", err)
	}
}

func TestUpdateThatIsRefusedWritesNothing(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "secrets"))
	refusal := errors.New("refused")
	_, err := d.Update(t.Context(), func(*project.Snapshot) (project.Batch, error) {
		return project.Batch{Write: values("A", "v")}, refusal
	})
	if !errors.Is(err, refusal) || len(look(t, d).Values) > 0 {
		t.Errorf("error %v, values %q", err, look(t, d).Names())
	}
}

func TestNoErrorTellsAValue(t *testing.T) {
	const canary = "canary-4f1c9a"
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(filepath.Join(path, "DIR"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := open(t, path)
	err := write(t.Context(), d, values("DIR", canary, "BAD-NAME", canary))
	if err == nil {
		t.Fatal("no error")
	}
	if bytes.Contains([]byte(err.Error()), []byte(canary)) {
		t.Error("the error holds the value")
	}
}
