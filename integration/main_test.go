package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/keepmum/keepmum/integration/reaper"
)

// sharedTemporary is the temporary directory of this machine, for files that
// other runs of these tests have to see: locks, and files that a killed run left.
var sharedTemporary = os.TempDir()

// ownTemporary is the temporary directory of the tests with a mark.
func ownTemporary(mark string) string { return filepath.Join(sharedTemporary, "keepmum-tests-"+mark) }

// TestMain gives the tests their own temporary directory, so that the binary that
// they share is removed at the end, and a reaper. It configures testcontainers,
// which reads its settings once, to do without Ryuk, whose image would have to be
// pulled, and to look for ports on this machine, even if /.dockerenv suggests
// that it runs in a container.
func TestMain(m *testing.M) {
	os.Exit(reaper.Main(func(mark string) int {
		own := ownTemporary(mark)
		if err := os.Mkdir(own, 0o700); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(own)
		for name, value := range map[string]string{"TMPDIR": own, "TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
			if err := os.Setenv(name, value); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}, clean))
}
