package stack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestUp_StartsEverythingAndThenNothing(t *testing.T) {
	w := newWorld(t)
	w.env["SHOP_PORT"] = "9000"
	w.env["TOKEN"] = "exported-by-mistake"
	result, err := w.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := did(result); got != "api created healthy, db created healthy, setup created done" {
		t.Errorf("first: %s", got)
	}
	c := w.ups[0]
	if want := map[string]string{"KEEPMUM_POSTGRES_IMAGE": "postgres:17", "SHOP_PORT": "9000"}; !maps.Equal(c.Variables, want) {
		t.Errorf("Compose was given %v, want %v", c.Variables, want)
	}
	if c.EnvFile != "" || c.Project != "shop" || c.Dir != w.Dir || c.Files[0] != w.Dir+"/docker-compose.yml" {
		t.Errorf("Compose was given %+v", c)
	}
	second := w.File(".keepmum/stack.json")
	if !strings.Contains(second, `"io.keepmum.grants": "v1:`) || strings.Contains(second, "secrets") {
		t.Errorf("the second compose file: %s", second)
	}
	result, err = w.up(stack.UpOptions{})
	if err != nil || did(result) != "api unchanged healthy, db unchanged healthy, setup unchanged done" {
		t.Errorf("again: %s, %v", did(result), err)
	}
	w.write("TOKEN", opstest.OtherValue)
	if result, err = w.up(stack.UpOptions{}); err != nil || did(result) != "api recreated healthy, db unchanged healthy, setup unchanged done" {
		t.Errorf("after a change: %s, %v", did(result), err)
	}
	if result.Services[0].Reason != "it held an older value" {
		t.Errorf("reason: %q", result.Services[0].Reason)
	}
}

func TestUp_RemovesAReplacedImageWhenNothingRunsIt(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "shop/api", "keepmum/api:dev", 1))
	w.images.Images["keepmum/api:dev"] = docker.Image{ID: "old", Labels: map[string]string{docker.LabelBuild: "other"}}
	w.images.InUse = true
	config := w.config()
	config.Services = &opstest.ImageMaker{Digest: "new"}
	_, err := stack.New(config).Up(t.Context(), stack.UpOptions{})
	if err != nil || !slices.Equal(w.images.Removed, []string{"old"}) {
		t.Errorf("removed %v, %v", w.images.Removed, err)
	}
}

func TestUp_RefusesBeforeAnythingIsChanged(t *testing.T) {
	for _, test := range []struct {
		name     string
		arrange  func(*world)
		class    fault.Code
		want     string
		next     string
		connects bool
	}{
		{"files missing, the .env has them", func(w *world) {
			w.remove("TOKEN")
			w.Put(".env", "TOKEN="+opstest.OtherValue+"\n")
		}, fault.Invalid, "secrets have no files yet, and .env has their values", "mage secrets:fromEnv", false},
		{"files missing", func(w *world) { w.remove("TOKEN") }, fault.Invalid, "no value: the file does not exist", "mage secrets:set TOKEN", false},
		{"a placeholder", func(w *world) { w.write("TOKEN", "changeme") }, fault.Invalid, "TOKEN", "mage secrets:set TOKEN", false},
		{"no compose file", func(w *world) { _ = os.Remove(filepath.Join(w.Dir, "docker-compose.yml")) }, fault.Invalid, "no compose file here", "", false},
		{"a remote engine", func(w *world) { w.remote = true }, fault.Invalid, "is on another machine, where the files of the secrets are not", "deploy:swarm", true},
		{"a taken port", func(w *world) { w.taken["8090"] = "nginx (process 7)" }, fault.Failed, "docker-compose.yml:18: api: port 8090 is taken by nginx (process 7)", "set SHOP_PORT to a free port", true},
		{"a variable that cannot be read", func(w *world) { w.Put(".env", "SHOP_PORT=\"8090\n") }, fault.Invalid, ".env sets variables of docker-compose.yml that cannot be read", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			_, err := w.up(stack.UpOptions{})
			e := asError(t, err, test.class)
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(e.Next, test.next) {
				t.Errorf("got %v\nnext %s", err, e.Next)
			}
			if len(w.ups) != 0 || (w.connects > 0) != test.connects || w.File(".keepmum/stack.json") != "" {
				t.Errorf("Compose ran %d times, the engine was connected %d times", len(w.ups), w.connects)
			}
		})
	}
}

func TestUp_DryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	_ = os.Remove(filepath.Join(w.Dir, ".keepmum", "key"))
	dry := stack.UpOptions{DryRun: true}
	result, err := w.up(dry)
	if err != nil || did(result) != "api created , db created , setup created " || !result.DryRun {
		t.Errorf("got %s, %v", did(result), err)
	}
	if len(w.ups) != 0 || w.File(".keepmum/stack.json") != "" || w.File(".keepmum/key") != "" {
		t.Error("something was changed")
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.write("LOGIN", opstest.OtherValue)
	result, err = w.up(dry)
	if err != nil || did(result) != "api recreated healthy, db unchanged healthy, setup recreated done" || len(w.ups) != 1 {
		t.Errorf("got %s, %v", did(result), err)
	}
}

func TestUp_LegacyTakesValuesFromTheDotEnvThatHaveNoFile(t *testing.T) {
	w := newWorld(t)
	w.remove("TOKEN")
	w.Put(".env", "TOKEN="+opstest.TokenValue+"\nLOGIN="+opstest.OtherValue+"\n")
	result, err := w.up(stack.UpOptions{Legacy: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(result.Visible, []string{"TOKEN"}) || !strings.Contains(w.Said.String(), "warning: docker inspect, and every process of the containers, will show the values of TOKEN;") {
		t.Errorf("visible %v, said %s", result.Visible, w.Said.String())
	}
	c := w.ups[0]
	if c.EnvFile != w.Dir+"/.env" || c.Files[0] != w.Dir+"/docker-compose.env.yml" {
		t.Errorf("Compose was given %+v", c)
	}
	for _, name := range []string{"ADMIN", "LOGIN"} {
		if value, ok := c.Variables[name]; !ok || value != "" {
			t.Errorf("%s, which has a file, is not hidden", name)
		}
	}
	if _, ok := c.Variables["TOKEN"]; ok {
		t.Error("TOKEN, which has no file, is hidden")
	}
	var second struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []struct{ Source, Target string }
		}
		Secrets map[string]struct{ File string }
	}
	if err := json.Unmarshal([]byte(w.File(".keepmum/stack.json")), &second); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(second.Services["api"].Secrets, second.Services["setup"].Secrets, second.Services["db"].Secrets); got != "[{LOGIN LOGIN}] [{ADMIN ADMIN} {LOGIN LOGIN}] [{ADMIN ADMIN}]" {
		t.Errorf("grants of those that have files: %s", got)
	}
	if second.Services["db"].Environment["POSTGRES_PASSWORD_FILE"] != "/run/secrets/ADMIN" {
		t.Errorf("the database is not told of its file: %v", second.Services["db"])
	}
	if want := "./secrets/LOGIN"; second.Secrets["LOGIN"].File != want || len(second.Secrets) != 2 {
		t.Errorf("secrets: %v", second.Secrets)
	}

	w.remove("ADMIN")
	_, err = w.up(stack.UpOptions{Legacy: true})
	if e := asError(t, err, fault.Invalid); len(e.Findings) != 1 || e.Findings[0].Subject != "ADMIN" || !strings.Contains(e.Findings[0].Problem, "neither here nor in secrets/ADMIN") {
		t.Errorf("a value in neither: %v", err)
	}
}
