package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/keepmum/keepmum/internal/fault"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

// seeds returns the compose files that fuzzing starts from: those of the
// project, the bad ones, and the interesting inputs of earlier runs, which
// are in testdata/fuzz.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	var all [][]byte
	stacks, err := filepath.Glob("../docker/convert/testdata/stacks/*.yml")
	if err != nil || len(stacks) == 0 {
		t.Fatalf("no stack files: %v", err)
	}
	for _, name := range append(append(names, stacks...), "../../docker-compose.yml", "../../docker-compose.env.yml") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

func FuzzParse(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		m, findings := Parse("x.yml", data)
		wholesome(t, m, findings, linesIn(string(data)))
		m, findings = parseSwarm(string(data), nil)
		wholesomeStack(t, m, findings, linesIn(string(data)))
	})
}

// wholesomeStack checks what holds for every Swarm file, good or bad.
func wholesomeStack(t testing.TB, m *Manifest, findings []fault.Finding, lines int) {
	t.Helper()
	for _, f := range findings {
		if f.File != "stack.yml" || f.Line < 0 || f.Line > lines+1 || f.Problem == "" || f.Next == "" {
			t.Errorf("bad finding %d: %s: %s", f.Line, f.Subject, f.Problem)
		}
	}
	if len(findings) == 0 && (m.Model == nil || len(m.Services) == 0) {
		t.Error("no finding, and nothing to convert")
	}
	for _, s := range m.Services {
		if line := m.LineOf("services", s.Name, "image"); line < 1 || line > lines+1 {
			t.Errorf("%q is at line %d", s.Name, line)
		}
	}
}

// linesIn counts lines as YAML does, at most.
func linesIn(text string) int {
	lines := 1
	for _, c := range text {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", c) {
			lines++
		}
	}
	return lines
}

// wholesome checks what holds for every manifest, good or bad.
func wholesome(t testing.TB, m *Manifest, findings []fault.Finding, lines int) {
	t.Helper()
	if m == nil || m.File != "x.yml" {
		t.Fatal("no manifest")
	}
	for _, f := range findings {
		if f.File != "x.yml" || f.Line < 0 || f.Line > lines+1 || f.Problem == "" || f.Next == "" {
			t.Errorf("bad finding %d: %s: %s", f.Line, f.Subject, f.Problem)
		}
	}
	for _, s := range m.Services {
		for _, g := range s.Grants {
			if strings.ContainsAny(g.Target, "/\\") || g.Target == ".." || g.Target == "" && len(findings) == 0 {
				t.Errorf("grant of %q leaves its folder", g.Target)
			}
		}
	}
	if len(findings) > 0 {
		return
	}
	if len(m.Services) == 0 {
		t.Error("no services and no finding")
	}
	for _, d := range m.Secrets {
		if d.File != "secrets/"+d.Name || len(m.GrantedTo(d.Name)) == 0 {
			t.Errorf("%s: file %q, granted to %v", d.Name, d.File, m.GrantedTo(d.Name))
		}
		for _, v := range m.Variables {
			if v.Name == d.Name {
				t.Errorf("%s is interpolated", d.Name)
			}
		}
	}
}

// Lines of good files in any order must not stop Parse either.
func TestParse_ShuffledLines(t *testing.T) {
	var lines []string
	for _, data := range seeds(t) {
		lines = append(lines, strings.Split(string(data), "\n")...)
	}
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(lines), 1, 40).Draw(r, "lines"), "\n")
		m, findings := Parse("x.yml", []byte(text))
		wholesome(t, m, findings, linesIn(text))
		m, findings = parseSwarm(text, nil)
		wholesomeStack(t, m, findings, linesIn(text))
	})
}

// The model for compose-go is what the YAML library alone builds from the file,
// and our view of mappings agrees with it.
func TestFields_AgreeWithTheYAMLLibrary(t *testing.T) {
	for _, data := range seeds(t) {
		r := &reader{file: "x.yml", manifest: &Manifest{}}
		if !r.readYAML(data) || len(r.findings) > 0 {
			continue
		}
		agree(t, r.root, r.model, nil)
	}
}

func agree(t *testing.T, node *yaml.Node, model any, at []string) {
	t.Helper()
	body, isMap := model.(map[string]any)
	if !isMap {
		return
	}
	var names []string
	for _, f := range fields(node) {
		names = append(names, f.name())
		agree(t, f.value, body[f.name()], append(at, f.name()))
		if text, isText := body[f.name()].(string); isText && text != f.value.Value {
			t.Errorf("%v.%s differs", at, f.name())
		}
	}
	for name := range body {
		if !slices.Contains(names, name) {
			t.Errorf("%v: the YAML library has %s too", at, name)
		}
	}
	if len(names) != len(body) {
		t.Errorf("%v: %d keys, the YAML library has %d", at, len(names), len(body))
	}
}

// Every name that Compose looks up when it substitutes is found, whatever is
// set: otherwise a declared secret could come in unseen.
func FuzzVariables(f *testing.F) {
	for _, text := range []string{
		"$A", "${A}", "${A:-b}", "${A-b}", "${A:+b}", "${A:?b}", "$$A", "$$$A", "${A:-${B}}", "${A:+${B:-$C}}", "${A", "${}", "$", "${A}}", "${A:-}}", "{${A}}", "${A:-b}${C}", "$A$B",
		"${A:-{\"x\": 1}}", "${A:-$$B}", "${a.b}", "${1}", "$é", "${A:-\n}", "x${A?${B}}y",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, set bool) {
		if len(text) > 200 || !utf8.ValidString(text) {
			return
		}
		found := map[string]bool{}
		for _, v := range variablesIn(text) {
			found[v.Name] = true
		}
		_ = guarded(func() error {
			silence()
			_, err := template.Substitute(text, func(name string) (string, bool) {
				if !found[name] {
					t.Errorf("Compose looks up a variable that is not found")
				}
				return strings.Repeat("v", len(name)%3), set
			})
			return err
		})
	})
}
