package manifest

import (
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
	"go.yaml.in/yaml/v4"
)

// maxBlame is how many parts of a refused file are tried.
const maxBlame = 400

// blame adds findings for the smallest parts of a model that compose-go refuses:
// each entry of each section alone, then each key of the entry alone.
func (r *reader) blame(model map[string]any) {
	b := blamer{reader: r, explained: slices.Clone(r.findings), left: maxBlame}
	for _, section := range slices.Sorted(maps.Keys(model)) {
		entries, isMap := model[section].(map[string]any)
		if !isMap || !slices.Contains([]string{"services", "secrets", "networks", "volumes", "configs"}, section) {
			b.part([]string{section}, model[section])
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			b.part([]string{section, name}, entries[name])
		}
	}
}

type blamer struct {
	*reader
	explained []fault.Finding
	left      int
}

// refused reports whether compose-go refuses one part alone, and the error.
func (b *blamer) refused(keys []string, value any) error {
	if b.left--; b.left < 0 {
		return nil
	}
	var model any = value
	for _, key := range slices.Backward(keys) {
		model = map[string]any{key: model}
	}
	whole := model.(map[string]any)
	if whole["services"] == nil {
		whole["services"] = map[string]any{"placeholder": map[string]any{"image": "scratch"}}
	}
	_, err := b.load(whole, true)
	return err
}

// part blames one entry, or the keys in it that cause the refusal.
func (b *blamer) part(keys []string, value any) {
	err := b.refused(keys, value)
	if err == nil {
		return
	}
	body, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(body)) {
		only := map[string]any{key: body[key]}
		if keys[0] == "services" && key != "image" {
			only["image"] = "scratch"
		}
		if cause := b.refused(keys, only); cause != nil {
			b.report(append(keys[:len(keys):len(keys)], key), cause)
			err = nil
		}
	}
	if err != nil {
		b.report(keys, err)
	}
}

// report adds a finding for a refused place unless another finding explains it.
func (b *blamer) report(keys []string, err error) {
	first, end := b.linesOf(keys)
	inside := func(f fault.Finding) bool { return f.Line >= first && f.Line <= end }
	if first > 0 && slices.ContainsFunc(b.explained, inside) {
		return
	}
	b.add(first, subjectOf(keys), "Compose does not accept "+strings.Join(keys, ".")+reasonOf(err),
		"see "+last(keys)+" in the Compose file reference, or run docker compose config -q")
}

// linesOf returns the first and last line of a place. For a place that comes from an alias these are the lines of the anchor.
func (r *reader) linesOf(keys []string) (first, last int) {
	node := r.root
	for _, key := range keys {
		value, at := get(node, key)
		node, first = value, at.Line
	}
	return first, max(first, lastLine(node))
}

// lastLine returns the last line on which something of a node begins.
func lastLine(node *yaml.Node) int {
	line := node.Line
	for _, child := range node.Content {
		line = max(line, lastLine(child))
	}
	return line
}

// reasonOf returns compose-go's reason if its text quotes nothing of the file
// but the place: "must be a boolean" and the like.
func reasonOf(err error) string {
	text := err.Error()
	i := strings.LastIndex(text, " must be a ")
	if i < 0 || strings.HasSuffix(text, " must be a null") { // the first of several kinds
		return ""
	}
	for _, word := range strings.FieldsFunc(text[i+len(" must be a "):], func(c rune) bool { return c == ' ' || c == ',' }) {
		if !slices.Contains([]string{"or", "mapping", "string", "boolean", "integer", "number", "array", "null"}, word) {
			return ""
		}
	}
	return ":" + strings.ReplaceAll(text[i:], "array", "list")
}

// subjectOf is what a finding at a place is about: the service or secret.
func subjectOf(keys []string) string {
	if len(keys) > 1 {
		return keys[1]
	}
	return last(keys)
}

// last returns the last key of a place.
func last(keys []string) string { return keys[len(keys)-1] }
