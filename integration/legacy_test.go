//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/sweep"
)

// legacy runs the stack with values in the .env only, then with files for some of
// them. Inspect and the environment of processes show exactly the secrets that the
// output names: these surfaces are excepted, and at the same time canaries of their
// search.
func (s *story) legacy(t *testing.T) {
	for _, name := range secretNames() {
		if err := os.Remove(filepath.Join(s.dir, "secrets", name)); err != nil {
			t.Fatal(err)
		}
	}
	s.writeEnv(s.values["env"])
	said := s.keepmum(t, "", "stack:up")
	if said.code != 3 || !strings.Contains(said.stderr, "secrets:fromEnv") {
		t.Errorf("without files: exit code %d\n%s", said.code, s.audit.masked(said.stderr))
	}
	if all := s.containers(t); len(all) > 0 {
		t.Errorf("stack:up started %d containers", len(all))
	}

	s.legacyUp(t, secretNames())
	s.requireAccepted(t, s.values["env"]["STRICT_API_TOKEN"], s.values["file"]["STRICT_API_TOKEN"], "env")
	s.requireVisible(t, secretNames())

	inFiles := []string{"STRICT_API_TOKEN", "THE_ODDS_API_KEY"}
	for _, name := range inFiles {
		s.must(t, s.values["file"][name], "secrets:set", name)
	}
	left := slices.DeleteFunc(secretNames(), func(name string) bool { return slices.Contains(inFiles, name) })
	s.legacyUp(t, left)
	s.requireAccepted(t, s.values["file"]["STRICT_API_TOKEN"], s.values["env"]["STRICT_API_TOKEN"], "docker")
	s.requireVisible(t, left)
	s.must(t, "", "stack:down", "-volumes")
}

// legacyUp starts the stack in legacy mode and requires a warning that names
// exactly these secrets.
func (s *story) legacyUp(t *testing.T, visible []string) {
	t.Helper()
	said := s.must(t, "", "stack:up", "-legacyEnv", "-json")
	result := decoded[stack.UpResult](t, said.stdout)
	if !result.Legacy || !slices.Equal(result.Visible, visible) {
		t.Errorf("stack:up -legacyEnv says that inspect shows %v, want %v", result.Visible, visible)
	}
	for _, name := range secretNames() {
		if warned := strings.Contains(warning(said.stderr), name); warned != slices.Contains(visible, name) {
			t.Errorf("%s is named in the warning: %t", name, warned)
		}
	}
	for _, service := range s.status(t).Services {
		_, grants := s.grants()
		if want := both(grants[service.Service], visible); !slices.Equal(service.Visible, want) {
			t.Errorf("stack:status says that inspect shows %v of %s, want %v", service.Visible, service.Service, want)
		}
	}
}

// warning returns the lines that warn of docker inspect.
func warning(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "warning: docker inspect") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// both returns the names that are in two lists, sorted.
func both(one, other []string) []string {
	names := []string{}
	for _, name := range one {
		if slices.Contains(other, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// requireVisible requires that inspect and the processes of each service show the
// values of its visible secrets, and no other surface does.
func (s *story) requireVisible(t *testing.T, visible []string) {
	t.Helper()
	_, grants := s.grants()
	found := s.lookAt(t, s.helper, func(h sweep.Hit) bool {
		return slices.Contains(visible, h.Name) && (strings.HasPrefix(h.Surface, "inspect of ") || strings.HasPrefix(h.Surface, "processes in "))
	})
	for _, c := range s.containers(t) {
		want := both(grants[c.Service], visible)
		surfaces := []string{"inspect of " + c.Name}
		if c.State == "running" && c.Service != "postgres" { // whose entrypoint removes it from the environment
			surfaces = append(surfaces, "processes in "+c.Name)
		}
		for _, surface := range surfaces {
			requireShown(t, found, surface, want)
		}
	}
}
