//go:build integration && unix

package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

// real finds the Compose of this machine, or builds the pinned one.
func real(t *testing.T, talk fault.Progress) Tool {
	t.Helper()
	tool, err := Finder{Progress: talk}.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("compose %s (%s %s)", tool.Version, tool.Path, strings.Join(tool.Prefix, " "))
	return tool
}

// written is a composition that interpolates a secret's name, with an .env.
func written(t *testing.T, env string) stack.Composition {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"c.yml": "name: composetest\nservices:\n  a:\n    image: x\n    environment:\n      TOKEN: ${TOKEN:-}\n      PORT: ${PORT:-1}\n",
		".env":  env,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return stack.Composition{Project: "composetest", Dir: dir, Files: []string{filepath.Join(dir, "c.yml")}, Variables: map[string]string{"PORT": "2"}}
}

func TestTheRealComposeReadsNoEnvFileUnlessAsked(t *testing.T) {
	t.Setenv("TOKEN", "canary-exported")
	talk := &recorder{}
	tool := real(t, talk)
	c := written(t, "TOKEN=\"canary-unterminated\nA B=canary\n")
	out, err := tool.Config(t.Context(), c)
	if err != nil || strings.Contains(string(out), "canary") || !strings.Contains(string(out), `PORT: "2"`) {
		t.Errorf("without an environment file: %v\n%s", err, strings.ReplaceAll(string(out), "canary", "VALUE"))
	}

	c.EnvFile = filepath.Join(c.Dir, ".env")
	_, err = tool.Config(t.Context(), c)
	if err == nil || strings.Contains(err.Error()+talk.text(), "canary") {
		t.Error("a broken environment file is accepted, or quoted")
	}

	c = written(t, "TOKEN=canary-of-the-file\n")
	c.EnvFile = filepath.Join(c.Dir, ".env")
	if out, err = tool.Config(t.Context(), c); err != nil || !strings.Contains(string(out), "canary-of-the-file") {
		t.Errorf("legacy mode: %v; the planted value is in the output: %v", err, strings.Contains(string(out), "canary"))
	}
	c.Variables["TOKEN"] = ""
	if out, err = tool.Config(t.Context(), c); err != nil || strings.Contains(string(out), "canary") {
		t.Errorf("an empty variable hides the file's: %v; hidden: %v", err, !strings.Contains(string(out), "canary"))
	}
}

func TestTheRealComposeWithoutAnEngine(t *testing.T) {
	tool := real(t, fault.Quiet{})
	lookup := tool.getenv
	tool.getenv = func(name string) (string, bool) {
		if name == "DOCKER_HOST" {
			return "unix://" + filepath.Join(t.TempDir(), "none.sock"), true
		}
		return lookup(name)
	}
	for name, envFile := range map[string]string{"now": "", "legacy mode": ".env"} {
		c := written(t, "TOKEN=x\n")
		if envFile != "" {
			c.EnvFile = filepath.Join(c.Dir, envFile)
		}
		if err := tool.Up(t.Context(), c); fault.CodeOf(err) != fault.NoEngine {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
