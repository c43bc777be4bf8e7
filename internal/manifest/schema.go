package manifest

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
	"go.yaml.in/yaml/v4"
)

// place is one key of the file, by the keys that lead to it.
type place struct {
	keys []string
	line int
}

// shape is what the Compose specification knows below one key.
type shape struct{ below map[string]*shape }

// composeShape reads compose-go's list of the specification's keys: * means any
// name, [] the entries of a list.
func composeShape() *shape {
	top := &shape{below: map[string]*shape{}}
	for _, attribute := range schema.AttributePaths() {
		at := top
		for _, part := range strings.Split(string(attribute), ".") {
			next := at.below[part]
			if next == nil {
				next = &shape{below: map[string]*shape{}}
				at.below[part] = next
			}
			at = next
		}
	}
	return top
}

// names returns the keys that may be here.
func (s *shape) names() []string {
	var names []string
	for name := range s.below {
		if name != "*" && name != "[]" {
			names = append(names, name)
		}
	}
	return names
}

// unknownKeys returns the keys that the specification does not know.
func unknownKeys(node *yaml.Node, s *shape, at []string) []unknownKey {
	if len(s.below) == 0 || len(at) > maxDepth {
		return nil
	}
	var unknown []unknownKey
	node = resolve(node)
	for _, f := range fields(node) {
		here := append(at[:len(at):len(at)], f.name())
		switch next := s.below[f.name()]; {
		case next != nil:
			unknown = append(unknown, unknownKeys(f.value, next, here)...)
		case s.below["*"] != nil:
			unknown = append(unknown, unknownKeys(f.value, s.below["*"], here)...)
		case strings.HasPrefix(f.name(), "x-"), len(s.names()) == 0: // the specification wants a list here; that is not about keys
		default:
			unknown = append(unknown, unknownKey{place{here, f.key.Line}, s.names()})
		}
	}
	if entry := s.below["[]"]; entry != nil {
		for _, item := range items(node) {
			unknown = append(unknown, unknownKeys(item, entry, append(at[:len(at):len(at)], "[]"))...)
		}
	}
	return unknown
}

// unknownKey is a key that the specification does not know, and the keys that it
// knows there.
type unknownKey struct {
	place
	known []string
}

// path is the dotted form of a place, for people.
func (p place) path() string { return strings.Join(p.keys, ".") }
