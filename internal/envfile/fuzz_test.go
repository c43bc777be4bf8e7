package envfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/pkg/secrets"
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
	for f := noFault + 1; f < faultCount; f++ {
		fixed.WriteString(textOf(f).what + "\n" + textOf(f).next + "\n")
	}
	for _, p := range problems {
		known := strings.ReplaceAll(fixed.String(), "KEY", p.Key) + strings.ReplaceAll(fixed.String(), "KEY", "NAME")
		for _, value := range whole {
			for i := 0; i+4 <= len(value); i++ {
				piece := value[i : i+4]
				if strings.Contains(p.What+"\n"+p.Next, piece) && !strings.Contains(known, piece) {
					t.Fatalf("line %d: the problem holds a piece of a value", p.Line)
				}
			}
		}
	}
}

// FuzzRoundTrip: what Format writes is read back as the same bytes by all
// three, alone and among other lines.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range corpus() {
		for _, r := range s.rows {
			if len(r.input) < 1000 {
				f.Add([]byte(r.input))
			}
		}
	}
	f.Add([]byte(strings.Repeat("x", secrets.MaxSize)))
	f.Fuzz(func(t *testing.T, value []byte) { checkRoundTrip(t, value) })
}

// checkRoundTrip is FuzzRoundTrip for one value.
func checkRoundTrip(t testing.TB, value []byte) {
	t.Helper()
	line, err := Format("KEY", value)
	if err != nil {
		if plainlyQuotable(string(value)) {
			t.Fatal("refused, and single quotes would carry it")
		}
		return
	}
	for _, file := range []string{line, line + "\n", "X=1\n" + line + "\nY='it is'\n", "\n# it's\nX=\"1\"\n\n" + line + "\nexport Y=2\n"} {
		entries, problems := parseQuietly(t, []byte(file), Options{})
		if len(problems) > 0 {
			t.Fatal("what Format wrote is refused")
		}
		for _, e := range entries {
			if e.Key == "KEY" && (e.Value.RevealString() != string(value) || e.Note != "") {
				t.Fatal("what Format wrote is read as another value")
			}
		}
		vars, ok := wholeCompose([]byte(file))
		if read, found := vars["KEY"]; !ok || !found || read != string(value) || len(vars) != len(entries) {
			t.Fatal("Compose reads another value than was written")
		}
		vars, ok = wholeGodotenv([]byte(file))
		if read, found := vars["KEY"]; !ok || !found || read != string(value) || len(vars) != len(entries) {
			t.Fatal("godotenv reads another value than was written")
		}
	}
}

// plainlyQuotable tells whether single quotes carry a value beyond any doubt.
func plainlyQuotable(value string) bool {
	return limits(value) == noFault && !strings.ContainsAny(value, "'\r") && !strings.HasSuffix(value, `\`)
}

func TestRoundTrip(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"a", "b", "'", `"`, `\`, "$", "${", "}", "$A", "#", " #", " ", "\t", "\n", "\r", "\r\n", "`", "=", "é", "\u00a0", "!", "-----BEGIN K-----\n"})
	rapid.Check(t, func(rt *rapid.T) {
		value := strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(rt, "value"), "")
		checkRoundTrip(rapidTB{t, rt}, []byte(value))
	})
}

// TestFuzzSeedsExist: a fuzz target without seeds tests little, and does not fail.
func TestFuzzSeedsExist(t *testing.T) {
	for _, target := range []string{"FuzzParse", "FuzzRoundTrip"} {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
		if err != nil || len(seeds) < 3 {
			t.Errorf("%s has %d committed seeds, want at least 3: %v", target, len(seeds), err)
		}
	}
}
