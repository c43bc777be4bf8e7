package stackoracle

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"
)

// stack is the name of the stack in every test.
const stack = "shop"

// environment is the docker command's environment.
func environment() map[string]string {
	return map[string]string{"ACME_EMAIL": "ops@example.org", "ADMIN_HASH": "$apr1$salt$hash", "SET": "from the environment"}
}

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // the docker command's warnings
	m.Run()
}

// engine answers what the docker command asks while it converts: it has every
// secret and config, with the id id-of-NAME.
type engine struct{ client.APIClient }

func (engine) ClientVersion() string { return "1.51" }

func (engine) SecretList(_ context.Context, o swarm.SecretListOptions) ([]swarm.Secret, error) {
	var all []swarm.Secret
	for _, name := range o.Filters.Get("name") {
		all = append(all, swarm.Secret{ID: "id-of-" + name, Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: name}}})
	}
	return all, nil
}

func (engine) ConfigList(_ context.Context, o swarm.ConfigListOptions) ([]swarm.Config, error) {
	var all []swarm.Config
	for _, name := range o.Filters.Get("name") {
		all = append(all, swarm.Config{ID: "id-of-" + name, Spec: swarm.ConfigSpec{Annotations: swarm.Annotations{Name: name}}})
	}
	return all, nil
}

// result is a stack as trees of JSON: services and networks by their names in
// the Swarm, the content of configs, and the external networks.
type result struct {
	Services map[string]any
	Networks map[string]any
	Configs  map[string]any
	External map[string]any
}

// byDocker converts a stack file as docker stack deploy does in an environment.
func byDocker(t *testing.T, dir string, data []byte, environment map[string]string) (result, error) {
	t.Helper()
	parsed, err := loader.ParseYAML(data)
	if err != nil {
		return result{}, err
	}
	config, err := loader.Load(composetypes.ConfigDetails{
		WorkingDir: dir, Environment: environment,
		ConfigFiles: []composetypes.ConfigFile{{Filename: "stack.yml", Config: parsed}},
	})
	if err != nil {
		return result{}, err
	}
	namespace := convert.NewNamespace(stack)
	all := result{map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}}
	used := map[string]struct{}{}
	for _, s := range config.Services {
		if len(s.Networks) == 0 {
			used["default"] = struct{}{}
		}
		for name := range s.Networks {
			used[name] = struct{}{}
		}
	}
	networks, external := convert.Networks(namespace, config.Networks, used)
	for name, spec := range networks {
		if spec.Driver == "" {
			spec.Driver = "overlay" // as cli/command/stack does before it creates one
		}
		all.Networks[name] = asTree(t, spec)
	}
	for _, name := range external {
		all.External[name] = true
	}
	configs, err := convert.Configs(namespace, config.Configs)
	if err != nil {
		return result{}, err
	}
	for _, c := range configs {
		all.Configs[c.Name] = string(c.Data)
	}
	services, err := convert.Services(t.Context(), namespace, config, engine{})
	if err != nil {
		return result{}, err
	}
	for _, s := range services {
		all.Services[s.Name] = asTree(t, s)
	}
	return all, nil
}

// asTree returns a value as decoded JSON.
func asTree(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// stackFiles returns keepmum's stack files, and those of this module.
func stackFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../internal/docker/convert/testdata/stacks/*.yml", "testdata/*.yml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files at %s: %v", pattern, err)
		}
		all = append(all, names...)
	}
	return all
}

// place copies a stack file's directory and writes the files that it names, and
// returns the directory.
func place(t *testing.T, name string, files []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		text := []byte("text of " + file + "\n")
		if strings.HasSuffix(file, ".env") {
			var err error
			if text, err = os.ReadFile(filepath.Join(filepath.Dir(name), file)); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
