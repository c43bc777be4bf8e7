package convert

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

const (
	document   = "../../../docs/STACK_FILES.md"
	tableBegin = "<!-- written by: go test ./internal/docker/convert -run TestStackFiles -update -->\n"
	tableEnd   = "<!-- end of what is written -->\n"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite "+document+" and the specifications in testdata/specs")
	flag.Parse()
	m.Run()
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// stackFiles returns the files of other people's kinds.
func stackFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/stacks/*.yml")
	if err != nil || len(names) < 15 {
		t.Fatalf("only %d stack files: %v", len(names), err)
	}
	return names
}

// stackOptions are those under which the stack files are converted: each file
// that they name has a line of text.
func stackOptions() Options {
	variables := map[string]string{"ACME_EMAIL": "ops@example.org", "ADMIN_HASH": "$apr1$salt$hash"}
	return Options{
		Stack: "shop", API: "1.41", Dir: "/srv/shop",
		ReadFile: func(path string) ([]byte, error) {
			if strings.HasSuffix(path, ".env") {
				return os.ReadFile(filepath.Join("testdata/stacks", path))
			}
			return []byte("text of " + path + "\n"), nil
		},
		Lookup: func(name string) (string, bool) { value, set := variables[name]; return value, set },
	}
}

// readStack reads and converts one stack file.
func readStack(t *testing.T, name string) (m *manifest.Manifest, kind string, findings, notices []fault.Finding) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	kind, found := strings.CutPrefix(first, "# ")
	if !found {
		t.Fatalf("%s: the first line does not say what kind of stack it is", name)
	}
	o := stackOptions()
	m, findings = manifest.Options{Swarm: true, Lookup: o.Lookup}.Parse(filepath.Base(name), data)
	_, refused, notices := Convert(m, o)
	return m, kind, append(findings, refused...), notices
}

// TestStackFiles compares the table of the document with what the stack files
// give now.
func TestStackFiles(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), tableBegin)
	written, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s lacks the marks around its table", document)
	}
	now := stackTable(t)
	switch {
	case updating():
		if err := os.WriteFile(document, []byte(before+tableBegin+now+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case written != now:
		t.Errorf("%s is out of date: run go test ./internal/docker/convert -run TestStackFiles -update, and check the difference:\n%s", document, now)
	}
}

func stackTable(t *testing.T) string {
	t.Helper()
	var table strings.Builder
	accepted := 0
	table.WriteString("\n| file | what it is | result |\n|---|---|---|\n")
	for _, name := range stackFiles(t) {
		_, kind, findings, notices := readStack(t, name)
		result := "accepted"
		if len(findings) > 0 {
			result = "**refused**" + listed(t, findings)
		} else {
			accepted++
			if len(notices) > 0 {
				result += "; notices:" + listed(t, notices)
			}
		}
		fmt.Fprintf(&table, "| [%s](../internal/docker/convert/%s) | %s | %s |\n", strings.TrimSuffix(filepath.Base(name), ".yml"), filepath.ToSlash(name), kind, result)
	}
	fmt.Fprintf(&table, "\n%d of %d are accepted.\n\n", accepted, len(stackFiles(t)))
	return table.String()
}

// listed renders findings for a cell of the table.
func listed(t *testing.T, findings []fault.Finding) string {
	t.Helper()
	var cell strings.Builder
	for _, f := range findings {
		if f.Line == 0 || f.Next == "" || f.File == "" {
			t.Errorf("half a finding: %s", f)
		}
		fmt.Fprintf(&cell, "<br>line %d, %s: %s", f.Line, f.Subject, strings.ReplaceAll(f.Problem, "|", `\|`))
	}
	return cell.String()
}
