package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/internal/fault"
)

// expectation is one marker of a bad manifest: after #! at the end of a line
// comes "subject: start of the problem", then perhaps "~ start of the next
// edit" and "@ line" if the finding is not at the marker's own line.
// Several are joined by &&.
type expectation struct {
	line          int
	problem, next string
	used          bool
}

func expectations(t *testing.T, data string) []*expectation {
	t.Helper()
	var all []*expectation
	for i, line := range strings.Split(data, "\n") {
		_, marks, found := strings.Cut(line, " #! ")
		if !found {
			continue
		}
		for _, mark := range strings.Split(marks, " && ") {
			e := &expectation{line: i + 1}
			if text, at, moved := strings.Cut(mark, " @ "); moved {
				n, err := strconv.Atoi(at)
				if err != nil {
					t.Fatal(err)
				}
				mark, e.line = text, n
			}
			e.problem, e.next, _ = strings.Cut(mark, " ~ ")
			all = append(all, e)
		}
	}
	return all
}

func (e *expectation) matches(f fault.Finding) bool {
	return !e.used && e.line == f.Line && strings.HasPrefix(f.Subject+": "+f.Problem, e.problem) && strings.HasPrefix(f.Next, e.next)
}

func TestParse_BadManifests(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := expectations(t, string(data))
			if len(want) == 0 {
				t.Fatal("no marker in this fixture")
			}
			_, findings := Parse(filepath.Base(name), data)
			for _, f := range findings {
				checkFinding(t, f, want)
				if f.File != filepath.Base(name) {
					t.Errorf("finding names the file %q", f.File)
				}
			}
			for _, e := range want {
				if !e.used {
					t.Errorf("line %d: missing: %s ~ %s", e.line, e.problem, e.next)
				}
			}
		})
	}
}

// checkFinding wants one unused expectation for the finding, and both halves
// of a finding: what is wrong and what to do.
func checkFinding(t *testing.T, f fault.Finding, want []*expectation) {
	t.Helper()
	said := fmt.Sprintf("%d: %s: %s ~ %s", f.Line, f.Subject, f.Problem, f.Next)
	if f.Problem == "" || f.Next == "" {
		t.Errorf("half a finding: %s", said)
	}
	for _, e := range want {
		if e.matches(f) {
			e.used = true
			return
		}
	}
	t.Errorf("not expected: line %s", said)
}

// checkFindings requires exactly these findings for a file, each as
// "LINE SUBJECT | PROBLEM | NEXT".
func checkFindings(t *testing.T, data string, want []string) {
	t.Helper()
	m, findings := Parse("x.yml", []byte(data))
	var got []string
	for _, f := range findings {
		got = append(got, fmt.Sprintf("%d %s | %s | %s", f.Line, f.Subject, f.Problem, f.Next))
		if f.File != "x.yml" {
			t.Errorf("finding names the file %q", f.File)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings of\n%s\n%s", data, diff)
	}
	if want == nil && m.Model == nil && len(m.Variables) == 0 {
		t.Errorf("no finding and no model of\n%s", data)
	}
}
