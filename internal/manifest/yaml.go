package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the largest compose file that is read. Larger ones are mistakes.
const maxFile = 16 << 20

// maxDepth ends the descent into nested nodes.
const maxDepth = 64

// maxNodes is the largest file in nodes, with its aliases written out.
const maxNodes = 2_000_000

// field is one key of a mapping with its value.
type field struct{ key, value *yaml.Node }

// name returns the key's text.
func (f field) name() string { return f.key.Value }

// readYAML reads the bytes into nodes and into the plain model for compose-go.
// It reports whether there is a mapping to go on with.
func (r *reader) readYAML(data []byte) bool {
	if problem := unreadable(data); problem != "" {
		r.add(0, "", problem, "write a compose file with services: and secrets:, see docs/DOCKER_SECRETS.md")
		return false
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := guarded(func() error { return decoder.Decode(&document) }); err != nil {
		r.addYAMLError(err)
		return false
	}
	if err := guarded(func() error { return decoder.Decode(&second) }); err == nil {
		r.add(second.Line, "", "the file contains more than one YAML document", "keep one document in the file, without a line ---")
		return false
	} else if !errors.Is(err, io.EOF) {
		r.addYAMLError(err)
		return false
	}
	if len(document.Content) != 1 || resolve(document.Content[0]).Kind != yaml.MappingNode {
		r.add(document.Line, "", "this is not a compose file: the top level is not a mapping", "write a compose file with services: and secrets:, see docs/DOCKER_SECRETS.md")
		return false
	}
	r.root = resolve(document.Content[0])
	return r.checkNodes(r.root, 0) && r.readModel(&document)
}

// unreadable names what is wrong with bytes that no YAML reader should see.
func unreadable(data []byte) string {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return "the compose file is empty"
	case len(data) > maxFile:
		return "the compose file is larger than 16 MiB"
	case !utf8.Valid(data):
		return "the compose file is not UTF-8 text"
	}
	return ""
}

// addYAMLError adds a finding at the line of a YAML error. The error's text is
// kept only if it quotes nothing of the file.
func (r *reader) addYAMLError(err error) {
	if errors.Is(err, io.EOF) {
		r.add(0, "", "the compose file is empty", "write a compose file with services: and secrets:, see docs/DOCKER_SECRETS.md")
		return
	}
	line, reason := 0, ""
	var load *yaml.LoadError
	if errors.As(err, &load) {
		line, reason = load.Mark.Line, reasonWithoutQuote(load.Message)
	}
	r.add(line, "", "not readable as YAML"+reason, "correct the indentation, the quotes or the brackets there or just above")
}

// reasonWithoutQuote returns the YAML reader's reason if it is one of those that
// quote nothing of the file.
func reasonWithoutQuote(message string) string {
	for _, known := range []string{
		"mapping values are not allowed in this context",
		"found character that cannot start any token",
		"did not find expected ',' or ']'",
		"did not find expected ',' or '}'",
		"did not find expected '-' indicator",
		"did not find expected key",
		"did not find expected node content",
		"found unexpected end of stream",
		"could not find expected ':'",
		"control characters are not allowed",
		"found a tab character that violates indentation",
		"block sequence entries are not allowed in this context",
	} {
		if strings.Contains(message, known) {
			return ": " + known
		}
	}
	return ""
}

// checkNodes finds what is wrong at any node of the file: duplicate keys, tags
// for merged files, keys that are not text, and too deep nesting. The first of
// duplicate keys stays, so that the rest of the file can be read.
func (r *reader) checkNodes(node *yaml.Node, depth int) bool {
	if depth > maxDepth {
		r.add(node.Line, "", "nested too deeply", "use fewer levels")
		return false
	}
	if node.Tag == "!reset" || node.Tag == "!override" {
		r.add(node.Line, node.Tag, "this tag is for merged compose files; keepmum reads one file", "remove the tag")
	}
	if node.Kind == yaml.AliasNode {
		return true
	}
	if node.Kind == yaml.MappingNode {
		r.dropDuplicates(node)
	}
	for _, child := range node.Content {
		if !r.checkNodes(child, depth+1) {
			return false
		}
	}
	return true
}

// dropDuplicates finds keys that appear twice in a mapping and keeps the first.
func (r *reader) dropDuplicates(mapping *yaml.Node) {
	first := map[string]int{}
	kept := mapping.Content[:0:0]
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.add(key.Line, "", "a key is not plain text", "write a name before the colon")
			continue
		}
		if line, seen := first[key.Value]; seen {
			r.add(key.Line, key.Value, fmt.Sprintf("this key appears twice; first on line %d", line), "keep one of the two")
			continue
		}
		first[key.Value] = key.Line
		kept = append(kept, key, value)
	}
	mapping.Content = kept
}

// readModel builds the plain model for compose-go from the nodes.
func (r *reader) readModel(document *yaml.Node) bool {
	if expanded(document, map[*yaml.Node]int{}) <= maxNodes {
		var model any
		err := guarded(func() error {
			return document.Load(&model, yaml.WithV3Defaults(), yaml.WithUniqueKeys(false)) // duplicates are gone already
		})
		if mapping, ok := model.(map[string]any); ok && err == nil {
			r.model = mapping
			return true
		}
	}
	r.add(0, "", "not readable as YAML: anchors or tags do not resolve", "write the parts out instead of using & and *")
	return false
}

// expanded counts the nodes below a node with every alias written out; an alias
// inside its own anchor counts as too many.
func expanded(node *yaml.Node, known map[*yaml.Node]int) int {
	if count, seen := known[node]; seen {
		return count
	}
	known[node] = maxNodes + 1 // until it is counted: so a node inside itself is too many
	count := 1
	if node.Kind == yaml.AliasNode {
		count += expanded(node.Alias, known)
	}
	for _, child := range node.Content {
		count = min(count+expanded(child, known), maxNodes+1)
	}
	known[node] = count
	return count
}

// resolve follows an alias to its node, which is never an alias itself.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// fields returns the keys of a mapping in order, with merge keys (<<) expanded:
// a key that is in the mapping itself wins. No node is inside itself: readModel
// refuses such a file.
func fields(node *yaml.Node) []field {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		return nil
	}
	var all, merged []field
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		switch {
		case key.ShortTag() != "!!merge":
			all = append(all, field{key, value})
		case value.Kind == yaml.SequenceNode:
			for _, one := range value.Content {
				merged = append(merged, fields(one)...)
			}
		default:
			merged = append(merged, fields(value)...)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(append(all, merged...), func(f field) bool {
		again := seen[f.name()]
		seen[f.name()] = true
		return again
	})
}

// get returns the value of a mapping's key, and the key itself; both are empty
// nodes if there is none.
func get(node *yaml.Node, key string) (value, at *yaml.Node) {
	for _, f := range fields(node) {
		if f.name() == key {
			return f.value, f.key
		}
	}
	return &yaml.Node{}, &yaml.Node{}
}

// items returns the entries of a sequence with their aliases resolved.
func items(node *yaml.Node) []*yaml.Node {
	node = resolve(node)
	if node.Kind != yaml.SequenceNode {
		return nil
	}
	list := make([]*yaml.Node, 0, len(node.Content))
	for _, one := range node.Content {
		list = append(list, resolve(one))
	}
	return list
}

// isNull reports whether a value is empty: nothing after the colon, ~ or null.
func isNull(node *yaml.Node) bool { return node.Kind == 0 || node.ShortTag() == "!!null" }

// isText reports whether a value is one piece of text or a plain scalar.
func isText(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && !isNull(node) }
