package manifest

import (
	"fmt"
	"path"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
	"go.yaml.in/yaml/v4"
)

// readDeclarations reads the top-level secrets: with all their rules.
func (r *reader) readDeclarations() {
	r.declared, r.sources = map[string]bool{}, map[string]bool{}
	section, at := get(r.root, "secrets")
	if !isNull(section) && section.Kind != yaml.MappingNode {
		r.add(at.Line, "secrets", "must be a mapping of names", "write secrets: and below it NAME: with file: ./secrets/NAME")
		return
	}
	for _, f := range fields(section) {
		if !r.swarm && strings.HasPrefix(f.name(), "x-") && !r.declared[f.name()] && secrets.ValidName(f.name()) != nil {
			r.add(f.key.Line, f.name(), "is under secrets: but is not a valid secret name", "move it into the entry of the secret that it is about, or remove it")
			continue
		}
		r.readDeclaration(f)
	}
	if !r.swarm {
		r.checkNames()
	}
}

// readDeclaration reads one secret.
func (r *reader) readDeclaration(f field) {
	name := f.name()
	r.declared[name] = true
	if r.swarm {
		r.readSwarmDeclaration(f)
		return
	}
	if secrets.ValidName(name) != nil {
		r.add(f.key.Line, name, "not a valid secret name: use letters, digits and _, and do not start with a digit", "rename it, here and in the grants, for example to "+validName(name))
		return
	}
	d := Declaration{Name: name, Line: f.key.Line, Type: Text, Newline: Strip}
	r.readPlace(f, &d)
	r.checkRulesKey(f)
	if rules, at := get(f.value, RulesKey); !isNull(rules) {
		r.readRules(rules, at, &d)
	}
	r.checkContradictions(d)
	r.manifest.Secrets = append(r.manifest.Secrets, d)
}

// checkRulesKey finds a key that was probably meant to be x-keepmum.
func (r *reader) checkRulesKey(f field) {
	for _, key := range fields(f.value) {
		if key.name() != RulesKey && strings.HasPrefix(key.name(), "x-") && edits(key.name(), RulesKey) <= 3 {
			r.add(key.key.Line, f.name(), "unknown key "+key.name(), "did you mean "+RulesKey+"?")
		}
	}
}

// validName turns any text into a valid name, for a suggestion.
func validName(text string) string {
	name := strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '_'
	}, text)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// readPlace reads where the value of a secret is stored.
func (r *reader) readPlace(f field, d *Declaration) {
	name, want := d.Name, "./secrets/"+d.Name
	if f.value.Kind != yaml.MappingNode {
		r.add(f.key.Line, name, "does not say where its value is stored", "write file: "+want+" below it")
		return
	}
	file, fileAt := get(f.value, "file")
	environment, environmentAt := get(f.value, "environment")
	external, externalAt := get(f.value, "external")
	switch {
	case !isNull(environment):
		r.add(environmentAt.Line, name, "takes its value from an environment variable, which Compose fills from .env", "write file: "+want+" instead of environment:, then mage secrets:fromEnv")
	case external.Kind != 0 && external.Value != "false":
		d.External = true
		r.add(externalAt.Line, name, "external secrets exist only in a Swarm; Compose cannot mount one", "write file: "+want+", and keep external: true for docker-compose.swarm.yml")
	case isNull(file):
		r.add(f.key.Line, name, "does not say where its value is stored", "write file: "+want+" below it")
	case !isText(file) || path.Clean(file.Value) != "secrets/"+name:
		r.add(fileAt.Line, name, "its file is not "+want+", the only place where keepmum looks", "write file: "+want)
	default:
		d.File = path.Clean(file.Value)
	}
	for _, key := range []string{"driver", "template_driver"} {
		if value, at := get(f.value, key); value.Kind != 0 {
			r.add(at.Line, name, "Compose has no secret drivers and would ignore "+key, "remove "+key)
		}
	}
}

// checkNames finds names that get in each other's way.
func (r *reader) checkNames() {
	lower := map[string]Declaration{}
	for _, d := range r.manifest.Secrets {
		if other, taken := lower[strings.ToLower(d.Name)]; taken {
			r.add(d.Line, d.Name, fmt.Sprintf("differs from %s on line %d only in case, so both are the same file on macOS and Windows", other.Name, other.Line), "rename one of the two")
		}
		lower[strings.ToLower(d.Name)] = d
		if base, isFile := strings.CutSuffix(d.Name, "_FILE"); isFile && r.declared[base] {
			r.add(d.Line, d.Name, "is also the variable that names a file for "+base, "rename it so that it does not end in _FILE")
		}
	}
}
