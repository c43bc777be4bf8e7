package manifest

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// maxSwarmName is the longest name of a secret or config that a Swarm takes.
const maxSwarmName = 64

// swarmNameProblem says why a Swarm does not take a name, "" if it does.
func swarmNameProblem(name string) string {
	switch {
	case len(name) > maxSwarmName:
		return "is longer than the 64 characters that a Swarm takes"
	case !regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$`).MatchString(name):
		return "is no name that a Swarm takes: letters, digits, and - _ . between them"
	}
	return ""
}

// readSwarmDeclaration reads one secret of a Swarm file.
func (r *reader) readSwarmDeclaration(f field) {
	d := Declaration{Name: f.name(), Line: f.key.Line, Type: Text, Newline: Strip}
	if problem := swarmNameProblem(d.Name); problem != "" {
		r.add(d.Line, d.Name, problem, "rename it, here and in the grants")
		return
	}
	r.readSwarmPlace(f, &d)
	r.checkRulesKey(f)
	if rules, at := get(f.value, RulesKey); !isNull(rules) {
		r.readFrom(rules, at, &d)
	}
	r.manifest.Secrets = append(r.manifest.Secrets, d)
}

// readSwarmPlace reads which secret of the Swarm a declaration means. A file or
// variable that it names is recorded in the Model only and never read.
func (r *reader) readSwarmPlace(f field, d *Declaration) {
	external, _ := get(f.value, "external")
	name, _ := get(f.value, "name")
	file, _ := get(f.value, "file")
	variable, _ := get(f.value, "environment")
	if isText(variable) {
		r.sources[variable.Value] = true
	}
	if driver, at := get(f.value, "driver"); driver.Kind != 0 {
		r.add(at.Line, d.Name, "its value comes from a secret driver, which keepmum does not manage", "create the secret by hand, and write external: true and name: here")
		return
	}
	switch {
	case external.Kind == yaml.MappingNode:
		d.External = true
		if old, _ := get(external, "name"); isText(old) {
			d.SwarmName = old.Value
		}
	case external.Kind != 0 && external.Value != "false":
		d.External = true
	case isNull(file) && isNull(variable):
		r.add(d.Line, d.Name, "does not say where it comes from", "write external: true below it")
	}
	if d.External && isText(name) {
		d.SwarmName = name.Value
	}
}

// readFrom reads x-keepmum of a Swarm file, whose only key is from.
func (r *reader) readFrom(node, at *yaml.Node, d *Declaration) {
	if node.Kind != yaml.MappingNode {
		r.add(at.Line, d.Name, RulesKey+" must be a mapping", "write from: STACK below it, or remove it")
		return
	}
	for _, f := range fields(node) {
		switch {
		case f.name() != "from" && slices.Contains(ruleKeys(), f.name()):
			r.add(f.key.Line, d.Name, f.name()+" belongs to docker-compose.yml, which holds all rules", "remove it here")
		case f.name() != "from":
			r.add(f.key.Line, d.Name, "unknown key "+f.name()+" in "+RulesKey, "the only key in a Swarm file is from: STACK")
		case !isText(f.value) || !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`).MatchString(f.value.Value):
			r.add(f.key.Line, d.Name, "from is not the name of a stack", "write from: STACK, in lower-case letters, digits, - and _")
		case d.SwarmName != "":
			r.add(f.key.Line, d.Name, "has from: and a fixed name:, which contradict each other", "keep one of the two")
		default:
			d.From = f.value.Value
		}
	}
}

// takeSwarmNames takes the fixed names of secrets with their variables replaced.
func (r *reader) takeSwarmNames(project *types.Project) {
	for i, d := range r.manifest.Secrets {
		if d.SwarmName == "" {
			continue
		}
		d.SwarmName = project.Secrets[d.Name].Name
		r.manifest.Secrets[i] = d
		if problem := swarmNameProblem(d.SwarmName); problem != "" {
			_, at := get(r.root, "secrets")
			r.add(max(r.manifest.LineOf("secrets", d.Name, "name"), at.Line), d.Name, "its name: "+problem, "correct the name, or remove it to use the newest version")
		}
	}
}

// requireVariables adds a finding for each variable without which Compose
// refuses the file: ${NAME:?} above all. standIn has given each a value.
func (r *reader) requireVariables() {
	for i, name := range slices.Sorted(maps.Keys(r.stoodIn)) {
		value := r.environment[name]
		delete(r.environment, name)
		refused := i >= maxBlame
		if !refused {
			_, err := r.load(r.model, false)
			refused = err != nil
		}
		r.environment[name] = value
		for _, v := range r.manifest.Variables {
			if refused && v.Name == name {
				r.add(v.Line, name, "this variable is not set, and "+v.Path+" needs it", "set it: export "+name+"=…, or write a default: ${"+name+":-…}")
			}
		}
	}
}

// checkSwarm finds texts of services from which compose-go would silently leave
// a part out.
func (r *reader) checkSwarm() {
	for _, f := range r.section("services") {
		for _, key := range []string{"command", "entrypoint"} {
			value, at := get(f.value, key)
			if c := endOfCommand(value); c != "" {
				r.add(at.Line, f.name(), key+" has an unquoted "+c+", where Compose ends the command and docker stack deploy does not", "write a list, such as "+key+`: ["sh", "-c", "…"], or quote the `+c)
			}
		}
		mounts, _ := get(f.value, "volumes")
		for _, item := range items(mounts) {
			if option := unknownMountOption(item); option != "" {
				r.add(item.Line, f.name(), "a mount has the unknown option "+option+", which would be ignored", "remove it, or write the mount in the long form")
			}
		}
	}
}

// endOfCommand returns the first character of a command's text at which Compose
// stops reading, "" if there is none.
func endOfCommand(node *yaml.Node) string {
	if !isText(node) {
		return ""
	}
	quote, escaped := rune(0), false
	for _, c := range withoutVariables(node.Value) {
		switch {
		case escaped:
			escaped = false
		case c == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && strings.ContainsRune("'\"`", c):
			quote = c
		case c == quote:
			quote = 0
		case quote == 0 && strings.ContainsRune(";&|<>", c):
			return string(c)
		}
	}
	return ""
}

// withoutVariables removes every ${…} from a text.
func withoutVariables(text string) string {
	return regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(text, "")
}

// unknownMountOption returns an option of a mount's short form that Compose does
// not know, "" if there is none.
func unknownMountOption(item *yaml.Node) string {
	parts := strings.Split(withoutVariables(item.Value), ":")
	if !isText(item) || len(parts) < 3 || strings.Contains(item.Value, `\`) {
		return ""
	}
	for _, option := range strings.Split(parts[len(parts)-1], ",") {
		if option != "" && !strings.ContainsAny(option, "$/") && !slices.Contains([]string{
			"ro", "rw", "nocopy", "z", "Z", "cached", "delegated", "consistent",
			"private", "rprivate", "shared", "rshared", "slave", "rslave",
		}, option) {
			return option
		}
	}
	return ""
}
