package stack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestStatus_ShowsWhatEachServiceHolds(t *testing.T) {
	w := newWorld(t)
	status := func() (stack.StatusResult, string) {
		t.Helper()
		result, err := w.use().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.silentStack(result, err)
		var all []string
		for _, s := range result.Services {
			all = append(all, fmt.Sprint(s.Service, " ", s.Status, " ", s.Values, " ", s.Ready))
		}
		return result, strings.Join(all, ", ")
	}
	if result, got := status(); result.Ready || got != "api absent none false, db absent none false, setup absent none false" {
		t.Errorf("before: %s", got)
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if result, got := status(); !result.Ready || got != "api healthy current true, db healthy current true, setup done current true" {
		t.Errorf("started: %s", got)
	}
	w.write("TOKEN", opstest.OtherValue)
	old := w.containers["db"]
	old.EnvNames = []string{"PGDATA", "POSTGRES_PASSWORD"} // as in legacy mode
	w.containers["db"] = old
	stranger := w.containers["db"]
	stranger.Service, stranger.EnvNames, stranger.Labels = "left", []string{"PATH", "TOKEN"}, nil
	w.containers["left"] = stranger
	other := w.containers["setup"]
	other.ExitCode = 1
	other.Labels = map[string]string{docker.LabelGrants: "v1:0123456789abcdef.00:11"}
	w.containers["setup"] = other
	result, got := status()
	if got != "api healthy stale true, db healthy current true, left healthy none true, setup ended with 1 unknown false" {
		t.Errorf("changed: %s", got)
	}
	for _, s := range result.Services {
		if s.Service == "left" && (s.Declared || !slices.Equal(s.Visible, []string{"TOKEN"})) {
			t.Errorf("a service of no manifest: %+v", s)
		}
		if s.Service == "db" && !slices.Equal(s.Visible, []string{"ADMIN"}) {
			t.Errorf("a secret under a variable of the image: %v", s.Visible)
		}
		if s.Service == "api" && !slices.Equal(s.Grants, []string{"LOGIN", "TOKEN"}) {
			t.Errorf("grants: %v", s.Grants)
		}
	}
}

// TestStatus_LeavesOutWhatComposeRunLeft: a container that docker compose run made
// bears the service's name, and is neither its state nor a reason to start it
// again.
func TestStatus_LeavesOutWhatComposeRunLeft(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"api", "db"} {
		left := w.containers[service]
		left.ID, left.Name, left.State, left.Health, left.ExitCode = "run-"+service, "shop-"+service+"-run-0", "exited", "", 1
		left.Labels = map[string]string{"com.docker.compose.oneoff": "True"}
		w.containers["zz-run-"+service] = left
	}
	status, err := w.use().Status(t.Context())
	if err != nil || !status.Ready || len(status.Services) != 3 {
		t.Errorf("%+v, %v", status, err)
	}
	result, err := w.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range result.Services {
		if service.Action != stack.Unchanged {
			t.Errorf("%s: %s", service.Service, service.Action)
		}
	}
}

// statusOf renders the rows of stack:status.
func statusOf(t *testing.T, w *world) (stack.StatusResult, string) {
	t.Helper()
	result, err := w.use().Status(t.Context())
	w.silentStack(result, err)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range result.Services {
		all = append(all, fmt.Sprint(s.Container, " ", s.Status, " ", s.Values, " ", s.Ready, " ", s.Declared))
	}
	return result, strings.Join(all, ", ")
}

func TestStatus_ShowsEachContainerOfAService(t *testing.T) {
	w := started(t)
	second := w.containers["api"]
	second.ID, second.Name, second.Health, second.Restarts, second.ExitCode, second.Image = "x", "shop-api-2", "unhealthy", 3, 7, "shop/api"
	w.extra = []docker.Container{second}
	result, got := statusOf(t, w)
	if want := "shop-api-1 healthy current true true, shop-api-2 unhealthy current false true, shop-db-1 healthy current true true, shop-setup-1 done current true true"; got != want || result.Ready {
		t.Errorf("got %s, ready %v", got, result.Ready)
	}
	if s := result.Services[1]; s.State != "running" || s.Health != "unhealthy" || s.Restarts != 3 || s.ExitCode != 7 || s.Image != "shop/api" || result.Project != "shop" {
		t.Errorf("got %+v", s)
	}
	second.Name = "shop-api-0" // now the broken one comes first
	w.extra = []docker.Container{second}
	if result, got = statusOf(t, w); result.Ready {
		t.Errorf("ready, with %s", got)
	}
}

func TestStatus_ShowsServicesThatAreNotDeclared(t *testing.T) {
	w := started(t)
	w.extra = []docker.Container{
		{ID: "x1", Name: "shop-zed-1", Service: "zed", State: "exited", ExitCode: 1},
		{ID: "x2", Name: "shop-left-2", Service: "left", State: "running", EnvNames: []string{"TOKEN", "PATH", "ADMIN"}},
		{ID: "x3", Name: "shop-left-1", Service: "left", State: "restarting", ExitCode: 2, Labels: map[string]string{docker.LabelGrants: "v1:x"}},
	}
	result, got := statusOf(t, w)
	want := "shop-api-1 healthy current true true, shop-db-1 healthy current true true, " +
		"shop-left-1 restarting after 2 none false false, shop-left-2 running none true false, shop-setup-1 done current true true, shop-zed-1 ended with 1 none false false"
	if got != want || !result.Ready {
		t.Errorf("got  %s, ready %v\nwant %s", got, result.Ready, want)
	}
	if s := result.Services[3]; !slices.Equal(s.Visible, []string{"ADMIN", "TOKEN"}) || s.Grants == nil || len(s.Grants) > 0 {
		t.Errorf("got %+v", s)
	}
}

func TestStatus_WithoutAKeyNothingIsKnownOfValues(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"no key":       func(w *world) { _ = os.Remove(filepath.Join(w.Dir, ".keepmum", "key")) },
		"a broken key": func(w *world) { w.Put(".keepmum/key", "short") },
	} {
		w := started(t)
		spoil(w)
		before := w.Tree()
		if result, got := statusOf(t, w); got != "shop-api-1 healthy unknown true true, shop-db-1 healthy unknown true true, shop-setup-1 done unknown true true" || !result.Ready {
			t.Errorf("%s: %s", name, got)
		}
		w.Same(before)
	}
}

func TestStatus_ServiceOfAProfileMayBeAbsent(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "    image: shop/setup\n", "    image: shop/setup\n    profiles: [once]\n", 1))
	w.Put("docker-compose.yml", strings.Replace(w.File("docker-compose.yml"), "    depends_on: {setup: {condition: service_completed_successfully}}\n", "", 1))
	w.become = func(_ string, c *docker.Container) { c.State, c.Health = "running", "" }
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	delete(w.containers, "setup")
	result, got := statusOf(t, w)
	if !result.Ready || !strings.Contains(got, " absent none false true") {
		t.Errorf("ready %v, %s", result.Ready, got)
	}
	if s := result.Services[2]; s.Image != "shop/setup" || s.State != "absent" || !slices.Equal(s.Grants, []string{"ADMIN", "LOGIN"}) {
		t.Errorf("got %+v", s)
	}
	delete(w.containers, "api")
	if result, got = statusOf(t, w); result.Ready {
		t.Errorf("ready without api: %s", got)
	}
}

func TestStatus_KnowsNoOtherNamesWithoutALegacyFile(t *testing.T) {
	for name, text := range map[string]string{
		"none":        "",
		"not one":     "services: 7\n",
		"not a list":  "\x00",
		"other names": "services:\n  api:\n    image: shop/api\n    environment: {POSTGRES_PASSWORD: \"${ADMIN:-}\"}\n  db:\n    image: \"${ADMIN:-x}\"\n    environment: {POSTGRES_PASSWORD: \"${SHOP_PORT:-}\"}\n",
	} {
		w := started(t)
		if w.Put("docker-compose.env.yml", text); text == "" {
			_ = os.Remove(filepath.Join(w.Dir, "docker-compose.env.yml"))
		}
		w.change("db", func(c *docker.Container) { c.EnvNames = []string{"POSTGRES_PASSWORD", "LOGIN"} })
		result, _ := statusOf(t, w)
		if got := result.Services[1].Visible; !slices.Equal(got, []string{"LOGIN"}) {
			t.Errorf("%s: visible %q", name, got)
		}
	}
}

func TestStatus_ListsAreEmptyAndNotNull(t *testing.T) {
	w := newWorld(t)
	result, _ := statusOf(t, w)
	for _, s := range result.Services {
		if s.Visible == nil || s.Grants == nil {
			t.Errorf("%s: %+v", s.Service, s)
		}
	}
}
