package gotool_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

func TestProof_SumsLinesOfTests(t *testing.T) {
	tally, _, err := run(t, `func TestA(t *testing.T) { t.Log("proof: surfaces=2 bytes=70000000000 planted=3") }
func TestB(t *testing.T) { t.Log("proof: surfaces=5 found=x =7 values"); t.Run("c", func(t *testing.T) { t.Log("no proof: surfaces=1") }) }`)
	if err != nil {
		t.Fatal(err)
	}
	want := gotool.Proof{"surfaces": 8, "bytes": 70000000000, "planted": 3}
	if !maps.Equal(tally.Proof, want) {
		t.Errorf("%v, want %v", tally.Proof, want)
	}
	if sum := tally.Plus(tally); sum.Proof["surfaces"] != 16 || tally.Proof["surfaces"] != 8 {
		t.Errorf("twice: %v, once: %v", sum.Proof, tally.Proof)
	}
}

func TestProof_ErrNamesWhatIsMissing(t *testing.T) {
	whole := gotool.Proof{"combinations": 1, "services": 1, "secrets": 1, "sources": 1, "refusals": 1, "surfaces": 1, "bytes": 1, "planted": 2, "found": 2, "values": 0}
	if err := whole.Err(); err != nil {
		t.Errorf("a complete one: %v", err)
	}
	for name, change := range map[string]struct {
		key   string
		n     int64
		class fault.Code
	}{
		"no combination":    {gotool.ProofCombinations, 0, fault.Failed},
		"no service":        {gotool.ProofServices, 0, fault.Failed},
		"no secret":         {gotool.ProofSecrets, 0, fault.Failed},
		"no source":         {gotool.ProofSources, 0, fault.Failed},
		"no refusal":        {gotool.ProofRefusals, 0, fault.Failed},
		"no surface":        {gotool.ProofSurfaces, 0, fault.Failed},
		"no byte":           {gotool.ProofBytes, 0, fault.Failed},
		"no canary":         {gotool.ProofPlanted, 0, fault.Failed},
		"a canary not seen": {gotool.ProofFound, 1, fault.Failed},
		"a canary too many": {gotool.ProofFound, 3, fault.Failed},
		"a value":           {gotool.ProofValues, 1, fault.Leak},
	} {
		changed := maps.Clone(whole)
		changed[change.key] = change.n
		if got := fault.CodeOf(changed.Err()); changed.Err() == nil || got != change.class {
			t.Errorf("%s: %v", name, changed.Err())
		}
	}
	if (gotool.Proof)(nil).Err() == nil {
		t.Error("an empty proof passes")
	}
}

func TestProof_StringHasEachNumber(t *testing.T) {
	p := gotool.Proof{"combinations": 59, "services": 9, "secrets": 8, "sources": 5, "refusals": 187, "userns": 1, "surfaces": 2, "bytes": 3, "planted": 4, "found": 4}
	want := "proven: 59 combinations of 9 services, 8 secrets and 5 sources; 187 refused starts; in user namespaces: yes\n" +
		"read: 2 surfaces, 3 bytes; canaries planted in them 4, found 4; values of secrets found 0"
	if got := p.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	delete(p, "userns")
	if got := p.String(); !strings.Contains(got, "in user namespaces: not on this kernel\n") {
		t.Errorf("%q", got)
	}
}
