package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
)

// Change is one difference between a service as it is and as it should be. From
// and To are empty where a value could be a password: then only the name of what
// changes is known.
type Change struct {
	Field string `json:"field"` // in the words of the compose file where it has some
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// String says the change on one line.
func (c Change) String() string {
	switch {
	case c.From == "" && c.To == "":
		return c.Field
	case c.From == "":
		return c.Field + ": " + c.To + " (new)"
	case c.To == "":
		return c.Field + ": " + c.From + " (gone)"
	}
	return c.Field + ": " + c.From + " -> " + c.To
}

// tree is a specification: what encoding/json makes of it.
type tree = map[string]any

// defaults are what the engine means by a field that is not there, or that it
// fills in itself. A field with this value equals one that is absent.
//
// Source: the engine's conversion of a specification and back
// (daemon/cluster/convert) and the defaults of docs.docker.com/reference/api.
var defaults = map[string]any{
	"TaskTemplate.Runtime":                                         "container",
	"TaskTemplate.ContainerSpec.Isolation":                         "default",
	"TaskTemplate.ContainerSpec.StopGracePeriod":                   float64(10 * time.Second),
	"TaskTemplate.RestartPolicy.Condition":                         "any",
	"TaskTemplate.RestartPolicy.Delay":                             float64(5 * time.Second),
	"TaskTemplate.RestartPolicy.MaxAttempts":                       float64(0),
	"TaskTemplate.RestartPolicy.Window":                            float64(0),
	"EndpointSpec.Mode":                                            "vip",
	"EndpointSpec.Ports.*.PublishMode":                             "ingress",
	"EndpointSpec.Ports.*.Protocol":                                "tcp",
	"Mode.Replicated.Replicas":                                     float64(1),
	"Mode.ReplicatedJob.MaxConcurrent":                             float64(1),
	"Mode.ReplicatedJob.TotalCompletions":                          float64(1),
	"UpdateConfig.FailureAction":                                   "pause",
	"UpdateConfig.Monitor":                                         float64(5 * time.Second),
	"UpdateConfig.Order":                                           "stop-first",
	"UpdateConfig.Parallelism":                                     float64(1),
	"RollbackConfig.FailureAction":                                 "pause",
	"RollbackConfig.Monitor":                                       float64(5 * time.Second),
	"RollbackConfig.Order":                                         "stop-first",
	"RollbackConfig.Parallelism":                                   float64(1),
	"TaskTemplate.ContainerSpec.Healthcheck.Retries":               float64(0),
	"TaskTemplate.ContainerSpec.Privileges.SELinuxContext.Disable": false,
}

// meaningful are the fields in which zero means something else than absent.
var meaningful = map[string]bool{
	"Mode.Replicated.Replicas":                   true,
	"Mode.ReplicatedJob.MaxConcurrent":           true,
	"Mode.ReplicatedJob.TotalCompletions":        true,
	"Mode.Global":                                true,
	"Mode.GlobalJob":                             true,
	"UpdateConfig.Parallelism":                   true,
	"RollbackConfig.Parallelism":                 true,
	"TaskTemplate.RestartPolicy.Delay":           true,
	"TaskTemplate.ContainerSpec.StopGracePeriod": true,
	"TaskTemplate.ContainerSpec.Init":            true,
}

// sets are lists whose order means nothing. An entry is known by these fields.
var sets = map[string][]string{
	"TaskTemplate.ContainerSpec.Secrets":        {"File.Name", "SecretName"},
	"TaskTemplate.ContainerSpec.Configs":        {"File.Name", "ConfigName"},
	"TaskTemplate.ContainerSpec.Mounts":         {"Target"},
	"TaskTemplate.ContainerSpec.Env":            {},
	"TaskTemplate.ContainerSpec.CapabilityAdd":  {},
	"TaskTemplate.ContainerSpec.CapabilityDrop": {},
	"TaskTemplate.ContainerSpec.Groups":         {},
	"TaskTemplate.ContainerSpec.Ulimits":        {"Name"},
	"TaskTemplate.Networks":                     {"Target"},
	"TaskTemplate.Networks.*.Aliases":           {},
	"TaskTemplate.Placement.Constraints":        {},
	"EndpointSpec.Ports":                        {"TargetPort", "Protocol", "PublishedPort"},
}

// parse reads a specification; an empty tree if it is not one.
func parse(data []byte) tree {
	var t tree
	if json.Unmarshal(data, &t) != nil || t == nil {
		return tree{}
	}
	return t
}

// general replaces the numbers in a path by *.
func general(path string) string {
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if _, err := strconv.Atoi(part); err == nil && i > 0 {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, ".")
}

// canonical returns a value in the one form that equal meanings share: without
// what is absent, empty, or the engine's default; sets in order. It is nil if
// nothing is left.
func canonical(path string, value any) any {
	shape := general(path)
	if standard, ok := defaults[shape]; ok && equal(value, standard) {
		return nil
	}
	switch value := value.(type) {
	case tree:
		kept := tree{}
		for key, one := range value {
			if left := canonical(join(path, key), one); left != nil {
				kept[key] = left
			}
		}
		if len(kept) == 0 && !meaningful[shape] {
			return nil
		}
		return kept
	case []any:
		return canonicalList(path, value)
	case string:
		if value == "" {
			return nil
		}
	case float64:
		if value == 0 && !meaningful[shape] {
			return nil
		}
	case bool:
		if !value && !meaningful[shape] {
			return nil
		}
	case nil:
		return nil
	}
	return value
}

// canonicalList is canonical for a list. An entry that says nothing stays: its
// place does.
func canonicalList(path string, list []any) any {
	var kept []any
	for i, one := range list {
		entry := canonical(join(path, strconv.Itoa(i)), one)
		if entry == nil {
			entry = one
		}
		kept = append(kept, entry)
	}
	if len(kept) == 0 {
		return nil
	}
	if by, ok := sets[general(path)]; ok {
		slices.SortStableFunc(kept, func(a, b any) int { return strings.Compare(key(a, by), key(b, by)) })
	}
	return kept
}

// key is the text by which an entry of a set is known.
func key(entry any, by []string) string {
	if len(by) == 0 {
		return text(entry)
	}
	var parts []string
	for _, field := range by {
		parts = append(parts, text(at(entry, strings.Split(field, ".")...)))
	}
	return strings.Join(parts, " ")
}

// at returns what is at a place of a tree; nil if there is nothing.
func at(value any, keys ...string) any {
	for _, key := range keys {
		inside, ok := value.(tree)
		if !ok {
			return nil
		}
		value = inside[key]
	}
	return value
}

// put sets what is at a place of a tree, and makes the way there.
func put(t tree, value any, keys ...string) {
	for _, key := range keys[:len(keys)-1] {
		inside, ok := t[key].(tree)
		if !ok {
			inside = tree{}
			t[key] = inside
		}
		t = inside
	}
	t[keys[len(keys)-1]] = value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// equal reports whether two values of a tree are the same.
func equal(a, b any) bool { return text(a) == text(b) }

// text is a value of a tree as JSON, whose keys are sorted.
func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value)
	}
	return string(data)
}

// SameTask reports whether two specifications of a task, as JSON, mean the same.
func SameTask(a, b json.RawMessage) bool {
	return equal(canonical("TaskTemplate", any(parse(a))), canonical("TaskTemplate", any(parse(b))))
}

// sameElsewhere is SameTask for all but the placement.
func sameElsewhere(a, b json.RawMessage) bool {
	one, other := parse(a), parse(b)
	delete(one, "Placement")
	delete(other, "Placement")
	return equal(canonical("TaskTemplate", any(one)), canonical("TaskTemplate", any(other)))
}

// compare returns the differences between two canonical trees, by field.
func compare(from, to tree) []Change {
	c := comparison{}
	c.walk("", from, to)
	slices.SortFunc(c.changes, func(a, b Change) int { return strings.Compare(a.Field, b.Field) })
	if len(c.changes) > 1 { // the image's own change says it
		c.changes = slices.DeleteFunc(c.changes, func(c Change) bool { return strings.HasPrefix(c.Field, "deploy.labels "+docker.LabelStackImage) })
	}
	return c.changes
}

// comparison collects the differences of one service.
type comparison struct{ changes []Change }

// walk compares what is at one place.
func (c *comparison) walk(path string, from, to any) {
	if equal(from, to) {
		return
	}
	f := fieldAt(general(path))
	left, leftIs := from.(tree)
	right, rightIs := to.(tree)
	if f.whole || !leftIs && !rightIs || (from != nil && !leftIs) || (to != nil && !rightIs) {
		c.differ(path, f, from, to)
		return
	}
	keys := map[string]bool{}
	for key := range left {
		keys[key] = true
	}
	for key := range right {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c.walk(join(path, key), left[key], right[key])
	}
}

// differ adds the difference at one place.
func (c *comparison) differ(path string, f field, from, to any) {
	switch f.kind {
	case byName:
		c.names(f, entries(from), entries(to))
	case shown:
		c.changes = append(c.changes, Change{Field: f.name, From: f.show(from), To: f.show(to)})
	default:
		c.changes = append(c.changes, Change{Field: cmp.Or(f.name, path)})
	}
}

// names adds a change for each name whose entry differs: the name alone.
func (c *comparison) names(f field, from, to map[string]string) {
	all := map[string]bool{}
	for name := range from {
		all[name] = true
	}
	for name := range to {
		all[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, was := from[name]
		after, is := to[name]
		switch {
		case !was:
			c.changes = append(c.changes, Change{Field: f.name + " " + name + " added"})
		case !is:
			c.changes = append(c.changes, Change{Field: f.name + " " + name + " removed"})
		case before != after:
			c.changes = append(c.changes, Change{Field: f.name + " " + name + " changed"})
		}
	}
}

// entries returns NAME=VALUE of a list or a mapping, by name.
func entries(value any) map[string]string {
	all := map[string]string{}
	switch value := value.(type) {
	case tree:
		for name, one := range value {
			all[name] = text(one)
		}
	case []any:
		for _, one := range value {
			name, rest, _ := strings.Cut(text(one), "=")
			all[name] = rest
		}
	}
	return all
}
