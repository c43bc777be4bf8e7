package integration

import (
	"testing"

	"github.com/keepmum/keepmum/internal/gotool"
)

// TestMutantsAreSeen requires that every mutant still applies to the code, that
// the last run of test:mutants has tried it as it is, that a test saw it, and
// that docs/PROOF.md has the table of that run.
func TestMutantsAreSeen(t *testing.T) {
	results, err := gotool.StoredMutants("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 40 {
		t.Errorf("only %d mutants", len(results))
	}
	for _, r := range results {
		if r.Outcome != gotool.Killed {
			t.Errorf("%s: %s is %s %s; mage test:mutants tries it", r.Area, r.Name, r.Outcome, r.Why)
		}
	}
	requireProof(t, "mutants", gotool.MutantTable(results))
}
