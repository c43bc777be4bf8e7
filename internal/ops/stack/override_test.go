package stack_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

// second is the compose file that stack:up writes.
type second struct {
	Services map[string]struct {
		Labels      map[string]string
		Environment map[string]string
		Secrets     []struct{ Source, Target string }
	}
	Secrets map[string]struct{ File string }
}

// override runs stack:up and reads what it wrote.
func override(w *world, o stack.UpOptions) second {
	w.T.Helper()
	if _, err := w.up(o); err != nil {
		w.T.Fatal(err)
	}
	text := w.File(".keepmum/stack.json")
	w.silentStack(text, nil)
	var read second
	if err := json.Unmarshal([]byte(text), &read); err != nil || !strings.HasSuffix(text, "}\n") {
		w.T.Fatalf("%v in %s", err, text)
	}
	return read
}

func TestOverride_HoldsOneLabelForEachService(t *testing.T) {
	w := newWorld(t)
	read := override(w, stack.UpOptions{})
	if got := slices.Sorted(maps.Keys(read.Services)); !slices.Equal(got, []string{"api", "db", "setup"}) || len(read.Secrets) > 0 {
		t.Errorf("services %q, secrets %v", got, read.Secrets)
	}
	seen := map[string]bool{}
	for name, service := range read.Services {
		seen[service.Labels[docker.LabelGrants]] = true
		if len(service.Labels) != 1 || service.Environment != nil || service.Secrets != nil {
			t.Errorf("%s: %+v", name, service)
		}
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("%d digests", len(seen))
	}
	if got := w.ups[0].Files; !slices.Equal(got, []string{w.Dir + "/docker-compose.yml", w.Dir + "/.keepmum/stack.json"}) {
		t.Errorf("files %q", got)
	}
}

func TestOverride_ReplacesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	w.Put(".keepmum/stack.json", "{\"left\": true}")
	if read := override(w, stack.UpOptions{}); len(read.Services) != 3 || strings.Contains(w.File(".keepmum/stack.json"), "left") {
		t.Errorf("holds %d services", len(read.Services))
	}
}

func TestOverride_LegacyAddsTheGrantsThatHaveFiles(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "secrets: [ADMIN, LOGIN]", "secrets: [ADMIN, {source: LOGIN, target: log-in}]", 1))
	w.remove("TOKEN")
	w.Put(".env", "TOKEN="+opstest.TokenValue+"\n")
	read := override(w, stack.UpOptions{Legacy: true})
	if got := read.Services["setup"].Secrets; len(got) != 2 || got[1].Source != "LOGIN" || got[1].Target != "log-in" {
		t.Errorf("setup: %v", got)
	}
	if got := read.Services["api"].Secrets; len(got) != 1 || got[0].Source != "LOGIN" {
		t.Errorf("api: %v", got)
	}
	if len(read.Secrets) != 2 || read.Secrets["ADMIN"].File != "./secrets/ADMIN" || read.Secrets["LOGIN"].File != "./secrets/LOGIN" {
		t.Errorf("secrets: %v", read.Secrets)
	}
}

func TestOverride_LegacyAddsOnlyVariablesThatNameAGrantedFile(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "{POSTGRES_PASSWORD_FILE: /run/secrets/ADMIN}",
		"{POSTGRES_PASSWORD_FILE: /run/secrets/ADMIN, OTHER_FILE: /run/secrets/OTHER, ADMIN_PATH: /run/secrets/ADMIN, ROOT_FILE: /run/secrets/ADMIN, UNSET_FILE: }", 1))
	read := override(w, stack.UpOptions{Legacy: true})
	if want := map[string]string{"POSTGRES_PASSWORD_FILE": "/run/secrets/ADMIN", "ROOT_FILE": "/run/secrets/ADMIN"}; !maps.Equal(read.Services["db"].Environment, want) {
		t.Errorf("environment %v, want %v", read.Services["db"].Environment, want)
	}
	w.remove("ADMIN")
	w.Put(".env", "ADMIN="+adminValue+"\n")
	if read = override(w, stack.UpOptions{Legacy: true}); read.Services["db"].Environment != nil {
		t.Errorf("a file that is not there is named: %v", read.Services["db"].Environment)
	}
}

func TestOverride_LegacyLeavesOutServicesThatTheOldFileDoesNotHave(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "secrets:\n  ADMIN", "  extra:\n    image: shop/extra\n    secrets: [TOKEN]\nsecrets:\n  ADMIN", 1))
	read := override(w, stack.UpOptions{Legacy: true})
	if _, there := read.Services["extra"]; there || len(read.Services) != 3 {
		t.Errorf("services %v", slices.Sorted(maps.Keys(read.Services)))
	}
}

func TestOverride_IsForTheProjectAlone(t *testing.T) {
	w := newWorld(t)
	override(w, stack.UpOptions{})
	if info, err := os.Stat(filepath.Join(w.Dir, ".keepmum")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
