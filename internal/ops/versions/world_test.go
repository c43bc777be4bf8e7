package versions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// world is a project with a key, values of production in prod/, and a Swarm.
type world struct {
	*opstest.Bench
	swarm  *clustertest.Swarm
	config versions.Config
	closed int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Bench: opstest.New(t), swarm: clustertest.New()}
	if _, _, err := w.Workspace.Key(true); err != nil {
		t.Fatal(err)
	}
	w.Value("prod/TOKEN", opstest.TokenValue)
	w.Value("prod/LOGIN", opstest.LoginValue)
	w.Put("prod/.environment", "production\n")
	w.config = versions.Config{Project: w.Project(), Connect: w.connect, OpenDir: func(path string) (versions.Directory, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(w.Dir, path)
		}
		return secretdir.Look(path)
	}}
	return w
}

func (w *world) connect(context.Context) (versions.Connection, error) {
	s := w.swarm
	c := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, Progress: w, By: "anna@here"})
	return versions.Connection{Cluster: c, Runtime: s, Close: func() error { w.closed++; return nil }}, nil
}

func (w *world) use() *versions.Versions { return versions.New(w.config) }

// prod is the source prod/.
func prod() versions.ToSwarmOptions {
	return versions.ToSwarmOptions{Source: versions.Source{From: "prod"}}
}

// input is a .env by standard input.
func input(text string) versions.ToSwarmOptions {
	return versions.ToSwarmOptions{Source: versions.Source{Stdin: strings.NewReader(text), Environment: "production"}}
}

// done runs ToSwarm and requires that it succeeds and shows no value.
func (w *world) done(o versions.ToSwarmOptions) versions.ToSwarmResult {
	w.T.Helper()
	result, err := w.use().ToSwarm(w.T.Context(), o)
	if err != nil {
		w.T.Fatal(err)
	}
	w.silent(result, nil)
	return result
}

// refused runs ToSwarm and requires that it fails with the code and each part,
// and that it changed nothing.
func (w *world) refused(o versions.ToSwarmOptions, code fault.Code, parts ...string) versions.ToSwarmResult {
	w.T.Helper()
	before := len(w.changes())
	result, err := w.use().ToSwarm(w.T.Context(), o)
	w.want(err, code, parts...)
	w.silent(result, err)
	if after := w.changes()[before:]; len(after) > 0 {
		w.T.Errorf("changed the Swarm by %q", after)
	}
	for _, row := range result.Secrets {
		if !o.DryRun && (row.Change == "created" || row.Change == "updated") {
			w.T.Errorf("%s is said to be %s", row.Name, row.Change)
		}
	}
	return result
}

// want requires an error of the code whose text has each part, and a way out.
func (w *world) want(err error, code fault.Code, parts ...string) {
	w.T.Helper()
	if err == nil || fault.CodeOf(err) != code {
		w.T.Errorf("code %d, want %d: %v", fault.CodeOf(err), code, err)
		return
	}
	var said *fault.Error
	if !errors.As(err, &said) || said.Next == "" {
		w.T.Errorf("no way out is named: %v", err)
		return
	}
	text := err.Error() + "\n" + said.Next
	for _, finding := range said.Findings {
		text += "\n" + finding.Next
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			w.T.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// silent requires that no value is in a result, an error, what was said, or
// anything of the Swarm but its secrets.
func (w *world) silent(result any, err error) {
	w.T.Helper()
	w.Silent(result, err)
	all, _ := w.swarm.Secrets(context.WithoutCancel(w.T.Context()))
	configs, _ := w.swarm.Configs(context.WithoutCancel(w.T.Context()))
	data, _ := json.Marshal([]any{all, configs})
	text := string(data)
	for _, config := range configs {
		text += string(config.Data)
	}
	for _, value := range []string{opstest.LoginValue, opstest.TokenValue, opstest.OtherValue} {
		if strings.Contains(text, value) {
			w.T.Error("a value is in a label or a config of the Swarm")
		}
	}
}

// changes are the calls that change a Swarm.
func (w *world) changes() []string {
	return slices.Concat(w.swarm.Calls("Create"), w.swarm.Calls("Re"))
}

// rows words the rows of a result: NAME change version.
func rows(result versions.ToSwarmResult) []string {
	var words []string
	for _, row := range result.Secrets {
		words = append(words, strings.TrimRight(fmt.Sprintf("%s %s %s", row.Name, row.Change, row.Version), " "))
	}
	return words
}

// equal requires a list of words.
func (w *world) equal(what string, got []string, want ...string) {
	w.T.Helper()
	if !slices.Equal(got, want) {
		w.T.Errorf("%s: %q, want %q", what, got, want)
	}
}

// holds requires that a version holds a value. Neither is shown.
func (w *world) holds(version, value string) {
	w.T.Helper()
	if stored, there := w.swarm.Value(version); !there || stored.RevealString() != value {
		w.T.Errorf("%s does not hold the value (there: %v)", version, there)
	}
}

// secretNames are the names of the Swarm's secrets.
func (w *world) secretNames() []string {
	all, err := w.swarm.Secrets(context.WithoutCancel(w.T.Context()))
	if err != nil {
		w.T.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name)
	}
	return names
}

// record returns the stack's record, the newest operation first.
func (w *world) record() []cluster.Entry {
	w.T.Helper()
	connection, _ := w.connect(w.T.Context())
	state, err := connection.Cluster.Open(context.WithoutCancel(w.T.Context()), "shop")
	if err != nil {
		w.T.Fatal(err)
	}
	entries, err := state.History(context.WithoutCancel(w.T.Context()))
	if err != nil {
		w.T.Fatal(err)
	}
	return entries
}

// unlocked requires that nobody holds the lock.
func (w *world) unlocked() {
	w.T.Helper()
	configs, _ := w.swarm.Configs(context.WithoutCancel(w.T.Context()))
	for _, config := range configs {
		if strings.HasSuffix(config.Name, "_keepmum.lock") {
			w.T.Error("the lock is still there")
		}
	}
}

// remove removes a file of the project.
func (w *world) remove(name string) {
	w.T.Helper()
	if err := os.Remove(filepath.Join(w.Dir, name)); err != nil {
		w.T.Fatal(err)
	}
}

// value is a value that nobody looks for.
func (w *world) value() secrets.Secret { return secrets.New([]byte("x")) }
