package secrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// dropRights makes the calling thread access files as the user "nobody", which
// also takes away root's capabilities over files. Other threads keep theirs.
func dropRights() error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setfsuid(65534); err != nil {
		return err
	}
	if file, err := os.Open("/proc/1/environ"); err == nil {
		_ = file.Close()
		return errors.New("the thread still has root's rights")
	}
	return nil
}

// TestLookupClosesFiles: neither a lookup nor a load leaves a descriptor open,
// whether it succeeds or fails.
func TestLookupClosesFiles(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a finalizer would hide a leak
	dir := secretstest.Write(t, map[string]string{"A": "v", "EMPTY": ""}, nil)
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	var config struct {
		A string `secret:"A"`
		E string `secret:"EMPTY,optional"`
		B string `secret:"B,optional"`
	}
	before := open()
	for range 20 {
		_, _ = secretstest.Loader(dir).Load(&config)
		for _, name := range []string{"A", "EMPTY", "B"} {
			_, _ = secrets.Dir(dir).Lookup(name)
			_, _ = secrets.Env(func(string) (string, bool) { return filepath.Join(dir, name), true }).Lookup(name)
		}
		_, _ = secrets.Env(env(map[string]string{"A_FILE": filepath.Join(dir, "A")})).Lookup("A")
	}
	if after := open(); after > before+2 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestDirReadsFileOfUnknownSize: some file systems report size 0 for a file that
// is not empty.
func TestDirReadsFileOfUnknownSize(t *testing.T) {
	want, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found, err := secrets.Dir("/proc/self").Lookup("cmdline")
	if err != nil || found.Value.RevealString() != string(want) {
		t.Errorf("got %v", err)
	}
	// Longer than the kernel returns in one read.
	long, err := secrets.Dir("/proc/self").Lookup("smaps")
	if err != nil || len(long.Value.Reveal()) < 4096 {
		t.Errorf("smaps: got %v", err)
	}
}
