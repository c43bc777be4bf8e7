package integration

import (
	"fmt"
	"os"
	"testing"
)

// sharedTemporary is the temporary directory of this machine, for what other
// runs of these tests have to see: locks and what a killed run left.
var sharedTemporary = os.TempDir()

// TestMain gives the tests a temporary directory of their own, so that the
// binary that they share is gone when they have ended.
func TestMain(m *testing.M) {
	own, err := os.MkdirTemp("", "keepmum-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(own)
	if err := os.Setenv("TMPDIR", own); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
}
