//go:build swarm && linux

package swarm

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keepmum/keepmum/integration/swarmlab"
	"github.com/keepmum/keepmum/internal/gotool"
)

// keepmum is the path of the compiled binary.
var keepmum string

// TestMain compiles keepmum. Its situations mostly wait, so more of them run at a
// time than the machine has cores.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if err := flag.Set("test.parallel", "5"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "keepmum-swarm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	keepmum, err = gotool.Binary{Dir: "../..", Path: filepath.Join(dir, "keepmum")}.Build(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// tests are what makes a situation, by its name.
type tests map[string]func(t *testing.T, lab *swarmlab.Lab, name string) row

// run runs the situations of a list that have a test here, each as a subtest, and
// compares its row with the document's, or writes it.
func (all tests) run(t *testing.T, lab *swarmlab.Lab, parallel bool) {
	known := map[string]bool{}
	for _, s := range situations {
		test, ok := all[s.name]
		if !ok {
			continue
		}
		known[s.name] = true
		t.Run(s.name, func(t *testing.T) {
			if parallel {
				t.Parallel()
			}
			r := test(t, lab, s.name)
			if r.happened = s.happened; r.code == "" || r.after == "" {
				t.Fatalf("it has no row: %+v", r)
			}
			t.Log(r.line())
			if *update {
				if err := writeRow(r); err != nil {
					t.Error(err)
				}
				return
			}
			rows, err := readRows()
			if err != nil {
				t.Fatal(err)
			}
			if got := codeIn(rows[s.happened]); got != r.code {
				t.Errorf("docs/FAILURES.md says exit code %q, and it is %q: run it with -update", got, r.code)
			}
		})
	}
	for name := range all {
		if !known[name] {
			t.Errorf("%s is no situation that is listed", name)
		}
	}
}
