package rollout

import (
	"regexp"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
)

// constraint is the form of a placement constraint: KEY == VALUE or KEY != VALUE.
var constraint = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_.\-/]*)\s*(==|!=)\s*(.*?)\s*$`)

// Allows reports whether a node satisfies a placement constraint, by the rules of
// swarmkit's scheduler: a key that nobody knows, or a constraint that cannot be
// read, allows no node; a label that a node does not have is the empty text.
// Values are compared without case.
func Allows(text string, node docker.Node) bool {
	parts := constraint.FindStringSubmatch(text)
	if parts == nil {
		return false
	}
	value, known := attribute(parts[1], node)
	return known && strings.EqualFold(value, parts[3]) == (parts[2] == "==")
}

// attribute returns what a node has for the key of a constraint.
func attribute(key string, node docker.Node) (value string, known bool) {
	switch strings.ToLower(key) {
	case "node.id":
		return node.ID, true
	case "node.hostname":
		return node.Hostname, true
	case "node.role":
		if node.Manager {
			return "manager", true
		}
		return "worker", true
	case "node.platform.os":
		return node.OS, true
	case "node.platform.arch":
		return node.Arch, true
	case "node.ip":
		return node.Address, true
	}
	for prefix, labels := range map[string]map[string]string{"node.labels.": node.Labels, "engine.labels.": node.EngineLabels} {
		if len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix) {
			return labels[key[len(prefix):]], true
		}
	}
	return "", false
}

// Usable reports whether a node takes new tasks.
func Usable(node docker.Node) bool {
	return node.State == "ready" && node.Availability == "active"
}

// Places returns the nodes that take new tasks and satisfy every constraint of a
// service.
func Places(task docker.TaskSpec, nodes []docker.Node) []docker.Node {
	var places []docker.Node
	for _, node := range nodes {
		if Usable(node) && allowsAll(task.Constraints, node) {
			places = append(places, node)
		}
	}
	return places
}

func allowsAll(constraints []string, node docker.Node) bool {
	for _, one := range constraints {
		if !Allows(one, node) {
			return false
		}
	}
	return true
}
