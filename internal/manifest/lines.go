package manifest

import (
	"strconv"

	"go.yaml.in/yaml/v4"
)

// LineOf returns the line of a place such as ("services", "web", "deploy",
// "resources"), with "0", "1" and so on for the entries of a list, or that of
// its nearest ancestor that the file has; 0 if it has none. What an anchor or a
// merge key brings in has the line where it is written.
func (m *Manifest) LineOf(path ...string) int {
	line, _ := m.locate(path)
	return line
}

// Declares reports whether the file itself has a place, with any value. What
// only extends or a default brings in is not in the file.
func (m *Manifest) Declares(path ...string) bool {
	_, all := m.locate(path)
	return all
}

// locate follows a path as far as the file has it, and reports whether that is
// all of it.
func (m *Manifest) locate(path []string) (line int, all bool) {
	if m.root == nil {
		return 0, false
	}
	node := m.root
	for _, step := range path {
		value, at := child(node, step)
		if at == 0 {
			return line, false
		}
		node, line = value, at
	}
	return line, true
}

// child returns an entry of a mapping or list and its line, 0 if there is none.
func child(node *yaml.Node, step string) (*yaml.Node, int) {
	if list := items(node); list != nil {
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(list) {
			return nil, 0
		}
		return list[i], list[i].Line
	}
	value, at := get(node, step)
	return value, at.Line
}
