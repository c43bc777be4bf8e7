package stack_test

import (
	"fmt"
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
	old.EnvNames = []string{"PGDATA", "POSTGRES_PASSWORD"} // as in the old way
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
			t.Errorf("a secret under a variable of the image's own: %v", s.Visible)
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
