package manifest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v4"
)

// readVariables finds every use of a variable that Compose would interpolate,
// and adds findings for those that bring in the value of a declared secret.
func (r *reader) readVariables() {
	r.walkVariables(r.root, nil)
	slices.SortStableFunc(r.manifest.Variables, func(a, b Variable) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
	for _, v := range r.manifest.Variables {
		if r.declared[v.Name] || r.sources[v.Name] {
			r.add(v.Line, v.Name, "its value is put into the compose file at "+v.Path+": Compose reads .env, and docker inspect shows the value", "grant the secret to the service and read "+mountDir+"/"+v.Name+" there; write $$ if a shell in the container should see a $")
		}
	}
}

// walkVariables visits each piece of text of the file once: what an alias
// brings in is visited at its anchor.
func (r *reader) walkVariables(node *yaml.Node, at []string) {
	switch node.Kind {
	case yaml.ScalarNode:
		r.variablesOf(node, at)
	case yaml.SequenceNode:
		for i, child := range node.Content {
			r.walkVariables(child, append(at[:len(at):len(at)], strconv.Itoa(i)))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if key == RulesKey {
				continue // a $ in a rule has its own finding
			}
			r.walkVariables(node.Content[i+1], append(at[:len(at):len(at)], key))
		}
	}
}

// variablesOf records the variables of one scalar.
func (r *reader) variablesOf(node *yaml.Node, at []string) {
	if node.ShortTag() != "!!str" || !strings.Contains(node.Value, "$") {
		return
	}
	service := ""
	if len(at) > 1 && at[0] == "services" {
		service = at[1]
	}
	for _, v := range variablesIn(node.Value) {
		v.Path, v.Service, v.Line, v.text = strings.Join(at, "."), service, lineOf(node, v.Name), node.Value
		r.manifest.Variables = append(r.manifest.Variables, v)
	}
}

// variablesIn returns the variables that Compose looks up in a text, sorted by
// name: those that compose-go extracts, and those that it asks for when it
// substitutes, with every variable unset, empty or set (so that the inside of
// every default and alternative is seen).
func variablesIn(text string) []Variable {
	found := map[string]Variable{}
	_ = guarded(func() error {
		for name, v := range template.ExtractVariables(map[string]any{"": text}, nil) {
			found[name] = Variable{Name: name, Default: v.DefaultValue}
		}
		return nil
	})
	silence()
	for _, set := range []bool{true, false} {
		for _, value := range []string{"", "x"} {
			_ = guarded(func() error {
				_, err := template.Substitute(text, func(name string) (string, bool) {
					if _, known := found[name]; !known {
						found[name] = Variable{Name: name}
					}
					return value, set
				})
				return err
			})
		}
	}
	delete(found, "") // of a text that Compose refuses, such as ${}
	var variables []Variable
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		v.HasDefault = strings.Contains(text, "${"+name+":-") || strings.Contains(text, "${"+name+"-")
		v.MayBeUnset = v.HasDefault || strings.Contains(text, "${"+name+":+") || strings.Contains(text, "${"+name+"+")
		variables = append(variables, v)
	}
	return variables
}

// lineOf returns the line of a variable's first use in a scalar. Only a
// literal block keeps the file's lines.
func lineOf(node *yaml.Node, name string) int {
	if node.Style&yaml.LiteralStyle == 0 {
		return node.Line
	}
	for _, use := range []string{"${" + name, "$" + name} {
		if i := strings.Index(node.Value, use); i >= 0 {
			return node.Line + 1 + strings.Count(node.Value[:i], "\n")
		}
	}
	return node.Line
}
