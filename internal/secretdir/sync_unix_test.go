//go:build unix

package secretdir_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/secretdir"
)

// syncs watches what is synced in a directory of values: it keeps, for each
// sync, what the directory had then.
type syncs struct {
	mu   sync.Mutex
	dir  string
	fail string // the file whose sync fails with EIO: NAME, or "." for the directory
	seen []synced
}

// synced is one sync: of a temporary file of the value name, or of the
// directory, whose name is ".".
type synced struct {
	name, content string
	values        map[string]string // the files without temporary ones
	temporary     int
}

func (s *syncs) sync(file *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.look()
	if err != nil {
		return err
	}
	one.name = "."
	if name, isTemporary := strings.CutPrefix(filepath.Base(file.Name()), "."); isTemporary && name != "" {
		one.name, _, _ = strings.Cut(name, ".")
		content, err := os.ReadFile(file.Name())
		if err != nil {
			return err
		}
		one.content = string(content)
	}
	s.seen = append(s.seen, one)
	if s.fail == one.name {
		return syscall.EIO
	}
	return nil
}

// look returns what the directory has now.
func (s *syncs) look() (synced, error) {
	now := synced{values: map[string]string{}}
	entries, err := os.ReadDir(s.dir)
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasSuffix(name, ".tmp"):
			now.temporary++
		case !strings.HasPrefix(name, "."):
			content, err := os.ReadFile(filepath.Join(s.dir, name))
			if err != nil {
				return now, err
			}
			now.values[name] = string(content)
		}
	}
	return now, err
}

// watched returns a directory that holds the first batch, and its syncs.
func watched(t *testing.T) (*secretdir.Dir, *syncs) {
	t.Helper()
	s := &syncs{dir: filepath.Join(t.TempDir(), "secrets")}
	d := open(t, s.dir)
	if err := write(t.Context(), d, values(pairs(batch("a"))...)); err != nil {
		t.Fatal(err)
	}
	secretdir.SetSync(d, s.sync)
	return d, s
}

func TestWrite_SyncsEachFileBeforeTheFirstRenameAndTheDirectoryAfterTheLast(t *testing.T) {
	d, s := watched(t)
	if err := write(t.Context(), d, values(pairs(batch("b"))...)); err != nil {
		t.Fatal(err)
	}
	if len(s.seen) != crashBatch+1 {
		t.Fatalf("%d syncs, want one for each of %d files and one of the directory", len(s.seen), crashBatch)
	}
	files, last := s.seen[:crashBatch], s.seen[crashBatch]
	var names []string
	for _, one := range files {
		names = append(names, one.name)
		if one.content != batch("b")[one.name] {
			t.Errorf("%s was synced before it held its value", one.name)
		}
		if !maps.Equal(one.values, batch("a")) {
			t.Errorf("a value was replaced before %s was synced", one.name)
		}
	}
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(maps.Keys(batch("b")))) {
		t.Errorf("synced: %q, want each value once", names)
	}
	if last.name != "." || last.temporary > 0 || !maps.Equal(last.values, batch("b")) {
		t.Errorf("last, %q was synced with %d temporary files left; want the directory, with every new value", last.name, last.temporary)
	}
}

func TestWrite_ThatCannotSyncAFileChangesNothing(t *testing.T) {
	for name := range batch("a") {
		d, s := watched(t)
		s.fail = name
		err := write(t.Context(), d, values(pairs(batch("b"))...))
		if fault.CodeOf(err) != fault.Failed || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), name+" cannot be written, and no value was changed") {
			t.Errorf("%s: error %v", name, err)
		}
		if after, err := s.look(); err != nil || after.temporary > 0 || !maps.Equal(after.values, batch("a")) {
			t.Errorf("%s: %d temporary files are left, or a value was changed: %v", name, after.temporary, err)
		}
	}
}

func TestUpdate_ReportsThatTheDirectoryCannotBeSynced(t *testing.T) {
	for name, change := range map[string]project.Batch{
		"write":  {Write: values("NAME_0", "new")},
		"remove": {Remove: []string{"NAME_0"}},
	} {
		d, s := watched(t)
		s.fail = "."
		_, err := d.Update(t.Context(), func(*project.Snapshot) (project.Batch, error) { return change, nil })
		if fault.CodeOf(err) != fault.Failed || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "cannot be synced") {
			t.Errorf("%s: error %v", name, err)
		}
		if last := s.seen[len(s.seen)-1]; last.values["NAME_0"] == batch("a")["NAME_0"] {
			t.Errorf("%s: the directory was synced before it was changed", name)
		}
	}
}

func TestReplace_SyncsBeforeItRenames(t *testing.T) {
	for _, fails := range []error{nil, syscall.EIO} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, ".env"), "old")
		p := newProject(t, dir, "")
		var atSync []string
		secretdir.SetProjectSync(p, func(file *os.File) error {
			for _, path := range []string{file.Name(), filepath.Join(dir, ".env")} {
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				atSync = append(atSync, string(content))
			}
			return fails
		})
		want := map[bool]string{true: "new", false: "old"}[fails == nil]
		if err := p.Replace(".env", []byte("new")); !errors.Is(err, fails) {
			t.Errorf("error %v, want %v", err, fails)
		}
		if !slices.Equal(atSync, []string{"new", "old"}) {
			t.Errorf("at the sync, the temporary file and .env held %q, want new and old", atSync)
		}
		entries, err := os.ReadDir(dir)
		if content, _ := p.Read(".env"); string(content) != want || len(entries) != 1 {
			t.Errorf("after the sync returned %v: .env holds %q among %d entries, %v; want %q alone", fails, content, len(entries), err, want)
		}
	}
}

func TestKey_ThatCannotBeSyncedIsNotMade(t *testing.T) {
	dir := t.TempDir()
	p := newProject(t, dir, "")
	if _, err := p.Scaffold(".keepmum/.gitignore", []byte("*\n")); err != nil {
		t.Fatal(err)
	}
	secretdir.SetProjectSync(p, func(*os.File) error { return syscall.EIO })
	if _, made, err := p.Key(true); made || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), ".keepmum/key cannot be written") {
		t.Errorf("made %v, error %v", made, err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, ".keepmum")); err != nil || len(entries) != 1 {
		t.Errorf("%d entries in .keepmum, %v; want .gitignore alone", len(entries), err)
	}
}
