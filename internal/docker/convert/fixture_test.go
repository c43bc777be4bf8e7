package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

// parse reads a Swarm file that has no finding of the reader.
func parse(t *testing.T, text string, lookup func(string) (string, bool)) *manifest.Manifest {
	t.Helper()
	m, findings := manifest.Options{Swarm: true, Lookup: lookup}.Parse("stack.yml", []byte(text))
	if len(findings) > 0 || m.Model == nil {
		t.Fatalf("the reader refuses it (model: %v):\n%s\n%s", m.Model != nil, said(findings), text)
	}
	return m
}

// options are those of most tests: stack shop, directory /srv/shop, two files,
// and one variable.
func options() Options {
	files := map[string]string{"./nginx.conf": "worker_processes 1;\n", "app.env": "A=1\nB='two words'\n# comment\nHOME_PAGE\n", "b.env": "B=2\n"}
	return Options{
		Stack: "shop", API: "1.51", Dir: "/srv/shop",
		ReadFile: func(path string) ([]byte, error) {
			if text, found := files[path]; found {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
		Lookup: func(name string) (string, bool) {
			if name == "HOME_PAGE" {
				return "home", true
			}
			return "", false
		},
	}
}

// converted returns the stack of a file that is accepted.
func converted(t *testing.T, text string) docker.StackSpec {
	t.Helper()
	o := options()
	spec, findings, _ := Convert(parse(t, text, o.Lookup), o)
	if len(findings) > 0 {
		t.Fatalf("refused:\n%s\n%s", said(findings), text)
	}
	return spec
}

// refusals returns what is refused and noticed, a line each.
func refusals(t *testing.T, text string, o Options) (findings, notices string) {
	t.Helper()
	_, refused, noticed := Convert(parse(t, text, o.Lookup), o)
	return said(refused), said(noticed)
}

// said renders findings, one a line, and wants each to be whole.
func said(findings []fault.Finding) string {
	var lines []string
	for _, f := range findings {
		line := fmt.Sprintf("%d %s | %s", f.Line, f.Subject, f.Problem)
		if f.Next == "" || f.File == "" || f.Line == 0 {
			line += " | HALF A FINDING"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// pretty renders JSON for comparison.
func pretty(t *testing.T, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// service returns a service's specification as JSON.
func serviceJSON(t *testing.T, spec docker.StackSpec, name string) string {
	t.Helper()
	for _, s := range spec.Services {
		if s.Name == name {
			return pretty(t, s.JSON)
		}
	}
	t.Fatalf("no service %s", name)
	return ""
}

// envOf returns the environment of the first service.
func envOf(t *testing.T, spec docker.StackSpec) string {
	t.Helper()
	var s struct {
		TaskTemplate struct{ ContainerSpec struct{ Env []string } }
	}
	if err := json.Unmarshal(spec.Services[0].JSON, &s); err != nil {
		t.Fatal(err)
	}
	return strings.Join(s.TaskTemplate.ContainerSpec.Env, " ")
}
