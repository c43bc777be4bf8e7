package envfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse checks every property of a file for the fuzzer's inputs.
func FuzzParse(f *testing.F) {
	for _, s := range corpus() {
		for _, r := range s.rows {
			if len(r.input) < 1000 {
				f.Add([]byte(r.input))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkFile(t, data)
		checkNoPiece(t, data)
	})
}

// checkNoPiece: no problem has four consecutive bytes in common with a value of
// the file, unless the fixed messages or the key contain them anyway.
func checkNoPiece(t testing.TB, data []byte) {
	t.Helper()
	_, problems := Parse(data, Options{File: "x.env"})
	whole, _ := wholeCompose(data)
	var fixed strings.Builder
	for f := noReason + 1; f < reasonCount; f++ {
		fixed.WriteString(textOf(f).what + "\n" + textOf(f).next + "\n")
	}
	for _, p := range problems {
		known := strings.ReplaceAll(fixed.String(), "KEY", p.Subject) + strings.ReplaceAll(fixed.String(), "KEY", "NAME")
		for _, value := range whole {
			for i := 0; i+4 <= len(value); i++ {
				piece := value[i : i+4]
				if strings.Contains(p.Problem+"\n"+p.Next, piece) && !strings.Contains(known, piece) {
					t.Fatalf("line %d: the problem holds a piece of a value", p.Line)
				}
			}
		}
	}
}

// TestFuzzSeedsExist: a fuzz target without seeds tests little, and does not fail.
func TestFuzzSeedsExist(t *testing.T) {
	seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzParse"))
	if err != nil || len(seeds) < 3 {
		t.Errorf("FuzzParse has %d committed seeds, want at least 3: %v", len(seeds), err)
	}
}
