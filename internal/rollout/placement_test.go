package rollout_test

import (
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/rollout"
)

func TestAllows_FollowsTheScheduler(t *testing.T) {
	n := node("n1")
	n.Manager, n.Labels, n.EngineLabels, n.Address = true, map[string]string{"keepmum.database": "true", "zone": "A"}, map[string]string{"disk": "ssd"}, "10.0.0.1"
	for text, want := range map[string]bool{
		"node.id == n1":                         true,
		"node.id==n1":                           true,
		"node.id != n1":                         false,
		"node.hostname == n1.example":           true,
		"node.role == manager":                  true,
		"node.role == worker":                   false,
		"node.role != worker":                   true,
		"node.platform.os == linux":             true,
		"node.platform.arch == x86_64":          true,
		"node.ip == 10.0.0.1":                   true,
		"node.labels.keepmum.database == true":  true,
		"node.labels.zone == a":                 true, // without case
		"node.labels.zone != a":                 false,
		"node.labels.nothing == x":              false,
		"node.labels.nothing != x":              true,
		"engine.labels.disk == ssd":             true,
		"engine.labels.disk == hdd":             false,
		"node.marvel == x":                      false,
		"node.marvel != x":                      false,
		"nonsense":                              false,
		"":                                      false,
		"  node.role   ==   manager  ":          true,
		"node.labels.keepmum.database == true ": true,
	} {
		if got := rollout.Allows(text, n); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	n.Manager = false
	if !rollout.Allows("node.role == worker", n) {
		t.Error("a node that is no manager is a worker")
	}
}

func TestPlaces_AreReadyActiveAndAllowed(t *testing.T) {
	nodes := []docker.Node{node("a"), node("b"), node("c"), node("d")}
	nodes[1].State, nodes[2].Availability = "down", "drain"
	if got := rollout.Places(docker.TaskSpec{}, nodes); len(got) != 2 || got[0].ID != "a" || got[1].ID != "d" {
		t.Errorf("%+v", got)
	}
	if got := rollout.Places(docker.TaskSpec{Constraints: []string{"node.role == worker", "node.id == d"}}, nodes); len(got) != 1 || got[0].ID != "d" {
		t.Errorf("%+v", got)
	}
	nodes[0].Availability = "pause"
	if rollout.Usable(nodes[0]) || !rollout.Usable(nodes[3]) {
		t.Error("a paused node takes no new tasks")
	}
}
