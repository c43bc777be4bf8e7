package manifest

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
	"go.yaml.in/yaml/v4"
)

// shape is what the Compose specification knows below a key: * means any name,
// [] the entries of a list.
type shape map[string]shape

// composeShape reads compose-go's list of the specification's keys.
func composeShape() shape {
	top := shape{}
	for _, attribute := range schema.AttributePaths() {
		at := top
		for _, part := range strings.Split(string(attribute), ".") {
			if at[part] == nil {
				at[part] = shape{}
			}
			at = at[part]
		}
	}
	return top
}

// names returns the keys that may be here.
func (s shape) names() []string {
	var names []string
	for name := range s {
		if name != "*" && name != "[]" {
			names = append(names, name)
		}
	}
	return names
}

// unknownKey is a key that the specification does not know.
type unknownKey struct {
	keys  []string // that lead to it
	line  int
	known []string // the keys that may be there
}

// unknownKeys returns the keys that the specification does not know.
func unknownKeys(node *yaml.Node, s shape, at []string) []unknownKey {
	if len(s) == 0 || len(at) > maxDepth {
		return nil
	}
	var unknown []unknownKey
	node = resolve(node)
	for _, f := range fields(node) {
		here := append(at[:len(at):len(at)], f.name())
		next := s[f.name()]
		if next == nil {
			next = s["*"]
		}
		switch {
		case next != nil:
			unknown = append(unknown, unknownKeys(f.value, next, here)...)
		case strings.HasPrefix(f.name(), "x-"), len(s.names()) == 0: // the specification wants a list here; that is not about keys
		default:
			unknown = append(unknown, unknownKey{here, f.key.Line, s.names()})
		}
	}
	for _, item := range items(node) {
		unknown = append(unknown, unknownKeys(item, s["[]"], append(at[:len(at):len(at)], "[]"))...)
	}
	return unknown
}
