package manifest

import (
	"os"
	"testing"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheProjectsOwnComposeFilesHaveNoFindings(t *testing.T) {
	for _, name := range []string{"docker-compose.yml", "docker-compose.env.yml"} {
		m, findings := Parse(name, read(t, name))
		for _, f := range findings {
			t.Errorf("%s:%d: %s: %s (%s)", f.File, f.Line, f.Subject, f.Problem, f.Next)
		}
		if len(m.Services) != 8 {
			t.Errorf("%s: %d services", name, len(m.Services))
		}
		for _, s := range m.Services {
			t.Logf("%+v", s)
		}
		for _, s := range m.Secrets {
			t.Logf("%+v", s)
		}
	}
}
