package stack_test

import (
	"testing"

	"github.com/keepmum/keepmum/internal/ops/stack"
)

// TestWhatComposeRunLeftIsNoService: a container that docker compose run made
// bears the service's name, and is neither its state nor a reason to start it
// again.
func TestWhatComposeRunLeftIsNoService(t *testing.T) {
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
