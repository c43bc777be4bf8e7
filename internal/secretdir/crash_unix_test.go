//go:build unix

package secretdir_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"io/fs"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/secretdir"
)

// childKey names the variable that makes this test binary the writer that is
// killed, or that runs out of space.
const childKey = "KEEPMUM_TEST_CHILD"

const crashBatch = 6

// batch is the values of one generation, each long enough to be torn.
func batch(generation string) map[string]string {
	m := map[string]string{}
	for i := range crashBatch {
		m["NAME_"+strconv.Itoa(i)] = strings.Repeat(generation, 20_000)
	}
	return m
}

func pairs(m map[string]string) []string {
	var list []string
	for name, value := range m {
		list = append(list, name, value)
	}
	return list
}

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(childKey), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "killed":
		killedWriter(arg)
	case "full":
		os.Exit(fullWriter(arg))
	}
}

// killedWriter writes the second generation and kills itself at the step that
// its argument names.
func killedWriter(arg string) {
	at, path, _ := strings.Cut(arg, " ")
	last, _ := strconv.Atoi(at)
	d, err := secretdir.Open(path)
	if err != nil {
		os.Exit(1)
	}
	var steps atomic.Int64
	secretdir.SetStep(d, func() {
		if steps.Add(1) == int64(last) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if write(context.Background(), d, values(pairs(batch("b"))...)) != nil {
		os.Exit(1)
	}
	os.Exit(42) // every step was taken
}

// fullWriter writes a value under a limit of file size: the write fails in its
// middle, as on a full disk.
func fullWriter(path string) int {
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	if syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) != nil {
		return 1
	}
	d, err := secretdir.Open(path)
	if err != nil {
		return 1
	}
	err = write(context.Background(), d, values("SMALL", "new", "LARGE", strings.Repeat("x", 100_000)))
	var failed *fault.Error
	if !errors.As(err, &failed) || failed.Code != fault.Failed || !strings.Contains(failed.What, "file too large") {
		return 2
	}
	return 0
}

// child runs this test binary in a role.
func child(t *testing.T, role string) error {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childKey+"="+role)
	return cmd.Run()
}

func TestKilledAtEveryStepEachFileIsOldOrNew(t *testing.T) {
	kills := 0
	for step := 1; ; step++ {
		path := filepath.Join(t.TempDir(), "secrets")
		d := open(t, path)
		if err := write(t.Context(), d, values(pairs(batch("a"))...)); err != nil {
			t.Fatal(err)
		}
		err := child(t, "killed "+strconv.Itoa(step)+" "+path)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 42 {
			break
		}
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: the writer ended with %v, not by the kill", step, err)
		}
		kills++
		oldOrNew(t, d, step)
		if err := write(t.Context(), d, values(pairs(batch("b"))...)); err != nil {
			t.Fatalf("step %d: the next run does not complete: %v", step, err)
		}
		if strays := look(t, d).Strays; len(strays) > 0 {
			t.Errorf("step %d: temporary files are left: %q", step, strays)
		}
	}
	if kills < 3*crashBatch {
		t.Errorf("the writer was killed at %d steps, want at least %d", kills, 3*crashBatch)
	}
}

// oldOrNew requires that each value is whole.
func oldOrNew(t *testing.T, d *secretdir.Dir, step int) {
	t.Helper()
	old, now := batch("a"), batch("b")
	for name := range old {
		got, _, err := look(t, d).Read(name)
		if err != nil {
			t.Errorf("step %d: %v", step, err)
			continue
		}
		if s := got.RevealString(); s != old[name] && s != now[name] {
			t.Errorf("step %d: %s is neither the old nor the new value", step, name)
		}
	}
}

func TestAFullDiskChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	d := open(t, path)
	if err := write(t.Context(), d, values("SMALL", "old")); err != nil {
		t.Fatal(err)
	}
	if err := child(t, "full "+path); err != nil {
		t.Fatalf("the writer: %v", err)
	}
	if got, _, err := look(t, d).Read("SMALL"); err != nil || got.RevealString() != "old" {
		t.Errorf("a value of the batch was changed: %v", err)
	}
	if names := look(t, d).Names(); len(names) != 1 {
		t.Errorf("names %q, want SMALL alone", names)
	}
	if strays := look(t, d).Strays; len(strays) > 0 {
		t.Errorf("temporary files are left: %q", strays)
	}
}

func TestTwoWritersLeaveOneOfTheirBatches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	var writers sync.WaitGroup
	for _, generation := range []string{"a", "b"} {
		writers.Go(func() {
			d, err := secretdir.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			for range 5 {
				if err := write(t.Context(), d, values(pairs(batch(generation))...)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	d := open(t, path)
	first, _, err := look(t, d).Read("NAME_0")
	if err != nil {
		t.Fatal(err)
	}
	for name := range batch("a") {
		if got, _, err := look(t, d).Read(name); err != nil || !got.Equal(first) {
			t.Errorf("%s is of another batch than NAME_0: %v", name, err)
		}
	}
}

// TestTemporaryFileIsPrivate: until its mode is set, no other user can read it,
// even if the directory lets them in.
func TestTemporaryFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	d := open(t, path)
	var mu sync.Mutex
	modes := map[fs.FileMode]int{}
	secretdir.SetStep(d, func() {
		files, err := filepath.Glob(filepath.Join(path, ".*.tmp"))
		mu.Lock()
		defer mu.Unlock()
		for _, file := range files {
			if info, statErr := os.Lstat(file); statErr == nil && err == nil {
				modes[info.Mode().Perm()]++
			}
		}
	})
	if err := write(t.Context(), d, values("A", "first", "B", "second")); err != nil {
		t.Fatal(err)
	}
	if modes[0o600] == 0 || modes[0o444] == 0 || len(modes) != 2 {
		t.Errorf("modes that were seen: %v, want 0600 and 0444", modes)
	}
}
