package secrets_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// dropRights makes the calling thread access files as nobody does; root's
// capabilities over files go with it. Other threads keep theirs.
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

// TestFileWithoutASize: some file systems say 0 for a file that has bytes.
func TestFileWithoutASize(t *testing.T) {
	want, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found, err := secrets.Dir("/proc/self").Lookup("cmdline")
	if err != nil || found.Value.RevealString() != string(want) {
		t.Errorf("got %v", err)
	}
	// Longer than one read of the kernel gives.
	long, err := secrets.Dir("/proc/self").Lookup("smaps")
	if err != nil || len(long.Value.Reveal()) < 4096 {
		t.Errorf("smaps: got %v", err)
	}
}
