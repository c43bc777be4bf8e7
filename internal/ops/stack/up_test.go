package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
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
			before := w.Tree()
			_, err := w.up(stack.UpOptions{})
			w.Same(before)
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
		t.Errorf("the database does not learn of its file: %v", second.Services["db"])
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

func TestUp_RefusesADeadlineInThePast(t *testing.T) {
	w := newWorld(t)
	_, err := w.up(stack.UpOptions{Deadline: -1})
	if asError(t, err, fault.Usage); w.connects != 0 {
		t.Error("connected to the engine")
	}
}

func TestUp_DryRunChangesNoFile(t *testing.T) {
	for name, arrange := range map[string]func(*world){
		"nothing runs": func(*world) {},
		"no key":       func(w *world) { _ = os.RemoveAll(filepath.Join(w.Dir, ".keepmum")) },
		"a stack runs": func(w *world) { _, _ = w.up(stack.UpOptions{}) },
		"a new value":  func(w *world) { _, _ = w.up(stack.UpOptions{}); w.write("TOKEN", opstest.OtherValue) },
		"legacy":       func(w *world) { w.remove("TOKEN"); w.Put(".env", "TOKEN="+opstest.TokenValue+"\n") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			arrange(w)
			before, ups := w.Tree(), len(w.ups)
			result, err := w.up(stack.UpOptions{DryRun: true, Legacy: name == "legacy"})
			if err != nil || len(result.Services) != 3 || len(w.ups) != ups || len(w.images.Loaded) > 0 {
				t.Errorf("%s, %v; Compose ran %d times", did(result), err, len(w.ups)-ups)
			}
			w.Same(before)
		})
	}
}

func TestUp_DryRunReportsAsIfTheKeyWereThere(t *testing.T) {
	w := started(t)
	if err := os.Remove(filepath.Join(w.Dir, ".keepmum", "key")); err != nil {
		t.Fatal(err)
	}
	result, err := w.up(stack.UpOptions{DryRun: true})
	if err != nil || did(result) != "api recreated healthy, db recreated healthy, setup recreated done" {
		t.Errorf("%s, %v", did(result), err)
	}
	for _, s := range result.Services {
		if s.Reason != "it holds an older value" {
			t.Errorf("%s: reason %q", s.Service, s.Reason)
		}
	}
}

func TestUp_StopsAtEachError(t *testing.T) {
	for name, test := range map[string]struct {
		arrange func(*world)
		runs    bool // Compose ran
	}{
		"no connection":            {func(w *world) { w.connectErr = errLost }, false},
		"no key":                   {func(w *world) { w.files = map[string]error{"Key": errLost} }, false},
		"the .env":                 {func(w *world) { w.files = map[string]error{"Read .env": errLost} }, false},
		"containers":               {func(w *world) { w.listErr = errLost }, false},
		"a port":                   {func(w *world) { w.holderErr = errLost }, false},
		"Compose cannot be had":    {func(w *world) { w.composeErr = errLost }, false},
		"the second compose file":  {func(w *world) { w.files = map[string]error{"Scaffold .keepmum/stack.json": errLost} }, false},
		"the second file, changed": {func(w *world) { w.files = map[string]error{"Replace .keepmum/stack.json": errLost} }, false},
		"Compose":                  {func(w *world) { w.upErr = errLost }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.env["SHOP_PORT"], w.env[images.PostgresVariable] = "9000", "postgres:17" // the .env is read for its secrets alone
			test.arrange(w)
			_, err := w.up(stack.UpOptions{})
			if e := asError(t, err, fault.Failed); !strings.HasPrefix(e.What, errLost.What) || e.Next != errLost.Next {
				t.Errorf("got %v, next %s", err, e.Next)
			}
			if (len(w.ups) > 0) != test.runs {
				t.Errorf("Compose ran %d times", len(w.ups))
			}
		})
	}
}

func TestUp_StopsIfAnImageCannotBeMade(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "shop/api", "keepmum/api:dev", 1))
	w.images.Fail = errLost
	_, err := w.up(stack.UpOptions{})
	if !errors.Is(err, errLost) || len(w.ups) > 0 {
		t.Errorf("got %v; Compose ran %d times", err, len(w.ups))
	}
}

func TestUp_KeepsAReplacedImageIfTheStartFails(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "shop/api", "keepmum/api:dev", 1))
	w.images.Images["keepmum/api:dev"] = docker.Image{ID: "old", Labels: map[string]string{docker.LabelBuild: "other"}}
	w.images.InUse, w.upErr = true, errLost
	if _, err := w.up(stack.UpOptions{}); err == nil || len(w.images.Removed) > 0 {
		t.Errorf("removed %v, %v", w.images.Removed, err)
	}
}

func TestUp_GivesTheReasonOnlyForAnotherValue(t *testing.T) {
	w := started(t)
	w.become = func(_ string, c *docker.Container) { c.Labels = w.containers["db"].Labels }
	w.again = func(service string, c *docker.Container) {
		if service == "db" {
			c.ID = "made again by Compose, for another reason"
		}
	}
	result, err := w.up(stack.UpOptions{})
	if err != nil || did(result) != "api unchanged healthy, db recreated healthy, setup unchanged done" || result.Services[1].Reason != "" {
		t.Errorf("%s, reason %q, %v", did(result), result.Services[1].Reason, err)
	}
}

func TestUp_NextCommandDependsOnAllFindings(t *testing.T) {
	for name, test := range map[string]struct {
		arrange    func(*world)
		what, next string
	}{
		"all are in the .env": {func(w *world) { w.remove("TOKEN"); w.remove("LOGIN") },
			"secrets have no files yet, and .env has their values", "mage secrets:fromEnv, or mage stack:up -legacyEnv for legacy mode"},
		"one is not": {func(w *world) { w.remove("ADMIN"); w.remove("LOGIN") },
			"the stack cannot be started: 2 findings", "mage secrets:set ADMIN"},
		"it has none": {func(w *world) { _ = os.Remove(filepath.Join(w.Dir, ".dockerignore")); w.Put(".dockerignore/x", "") },
			"the stack cannot be started: .dockerignore is a directory where a file should be", ""},
		"something else is wrong too": {func(w *world) { w.remove("TOKEN"); w.Put(".dockerignore", "") },
			"the stack cannot be started: 5 findings", "mage secrets:init"},
	} {
		w := newWorld(t)
		w.Put(".env", "TOKEN="+opstest.TokenValue+"\nLOGIN="+opstest.LoginValue+"\n")
		test.arrange(w)
		_, err := w.up(stack.UpOptions{})
		if e := asError(t, err, fault.Invalid); e.What != test.what || !strings.HasPrefix(e.Next, test.next) {
			t.Errorf("%s: %v, next %s", name, err, e.Next)
		}
	}
}

func TestUp_PassesOnWhatIsNotAFinding(t *testing.T) {
	w := newWorld(t)
	w.files = map[string]error{"Read .dockerignore": errLost}
	_, err := w.up(stack.UpOptions{})
	if e := asError(t, err, fault.Failed); e.What != errLost.What {
		t.Errorf("got %v", err)
	}
}

// legacyWorld is a world with an optional secret in both compose files.
func legacyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.NewReplacer("secrets: [LOGIN, TOKEN]", "secrets: [LOGIN, TOKEN, EXTRA]", "  TOKEN: {file", "  EXTRA: {file: ./secrets/EXTRA, x-keepmum: {description: not needed, optional: true}}\n  TOKEN: {file").Replace(stackFile))
	w.Put("docker-compose.env.yml", strings.Replace(oldFile, `TOKEN: "${TOKEN:-}"`, `TOKEN: "${TOKEN:-}", EXTRA: "${EXTRA:-}"`, 1))
	return w
}

func TestUp_LegacyShowsAnOptionalSecretOnlyIfItHasAValue(t *testing.T) {
	for name, test := range map[string]struct {
		env     string
		visible []string
		hidden  bool
	}{
		"absent":                      {"", nil, true},
		"empty":                       {"EXTRA=\n", nil, true},
		"there":                       {"EXTRA=" + opstest.OtherValue + "\n", []string{"EXTRA"}, false},
		"twice, so that it is unsure": {"EXTRA=" + opstest.OtherValue + "\nEXTRA=" + opstest.LoginValue + "x\n", nil, true},
		"without an end":              {"EXTRA=\"" + opstest.OtherValue + "\n", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := legacyWorld(t)
			w.Put(".env", test.env)
			result, err := w.up(stack.UpOptions{Legacy: true})
			if err != nil || !slices.Equal(result.Visible, test.visible) || !result.Legacy {
				t.Fatalf("visible %v, %v", result.Visible, err)
			}
			value, hidden := w.ups[0].Variables["EXTRA"]
			if hidden != test.hidden || value != "" {
				t.Errorf("EXTRA is hidden from Compose: %v, want %v", hidden, test.hidden)
			}
			if w.saw("warning: docker inspect") != (len(test.visible) > 0) {
				t.Errorf("said %s", w.Said.String())
			}
		})
	}
}

func TestUp_LegacyHandsTheDotEnvOverOnlyIfThereIsOne(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{Legacy: true}); err != nil {
		t.Fatal(err)
	}
	if c := w.ups[0]; c.EnvFile != "" {
		t.Errorf("Compose was given %+v", c)
	}
	w.Put(".env", "TOKEN="+opstest.OtherValue+"\n")
	if _, err := w.up(stack.UpOptions{Legacy: true}); err != nil || w.ups[1].EnvFile != w.Dir+"/.env" || w.ups[1].Variables["TOKEN"] != "" {
		t.Errorf("Compose was given %+v, %v", w.ups[1], err)
	}
	if _, err := w.up(stack.UpOptions{}); err != nil || w.ups[2].EnvFile != "" {
		t.Errorf("not in legacy mode: %v", err)
	}
}

func TestUp_LegacyNamesEverySecretWithoutAValue(t *testing.T) {
	w := newWorld(t)
	w.remove("TOKEN")
	w.remove("ADMIN")
	w.Put(".env", "TOKEN=\n")
	before := w.Tree()
	_, err := w.up(stack.UpOptions{Legacy: true})
	e := asError(t, err, fault.Invalid)
	if len(e.Findings) != 2 || e.Findings[0].String() != ".env: ADMIN: no value: neither here nor in secrets/ADMIN" || e.Findings[1].Subject != "TOKEN" || e.Findings[1].Next != "mage secrets:set TOKEN" || e.Next != "mage secrets:set ADMIN" {
		t.Errorf("got %v, next %s", err, e.Next)
	}
	if w.connects > 0 {
		t.Error("connected to the engine")
	}
	w.Same(before)
}

func TestUp_LegacyNeedsItsFile(t *testing.T) {
	w := newWorld(t)
	if err := os.Remove(filepath.Join(w.Dir, "docker-compose.env.yml")); err != nil {
		t.Fatal(err)
	}
	_, err := w.up(stack.UpOptions{Legacy: true})
	if e := asError(t, err, fault.Invalid); !strings.Contains(e.What, "docker-compose.env.yml") {
		t.Errorf("got %v", err)
	}
}
