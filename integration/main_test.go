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
// binary that they share is gone when they have ended. It also tells
// testcontainers, which reads its settings once, to do without Ryuk, whose image
// would have to be pulled, and to look for ports on this machine, also where
// /.dockerenv makes it think that it is in a container. Last it starts what
// cleans up when they are killed.
func TestMain(m *testing.M) {
	if reap() {
		return
	}
	own, err := os.MkdirTemp("", "keepmum-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(own)
	for name, value := range map[string]string{"TMPDIR": own, "TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	end, err := standBy(own)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer end()
	m.Run()
}
