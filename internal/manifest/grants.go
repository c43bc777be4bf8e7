package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mountDir is where a container finds its secrets.
const mountDir = "/run/secrets"

// grantsOf reads a service's secrets: list and adds findings for what is wrong.
func (r *reader) grantsOf(service string, body *yaml.Node) []Grant {
	list, at := get(body, "secrets")
	if list.Kind == yaml.MappingNode {
		r.add(at.Line, service, "secrets: of a service must be a list", "write - NAME for each secret")
		return nil
	}
	var grants []Grant
	targets := map[string]Grant{}
	for _, item := range items(list) {
		g, ok := r.readGrant(service, item)
		if !ok {
			continue
		}
		if other, taken := targets[g.Target]; taken {
			r.add(g.Line, service, fmt.Sprintf("grants %s at %s/%s, which line %d grants already", g.Secret, mountDir, g.Target, other.Line), "keep one of the two, or give one another target:")
			continue
		}
		targets[g.Target] = g
		grants = append(grants, g)
	}
	slices.SortFunc(grants, byTarget)
	return grants
}

// byTarget is the order of a service's grants.
func byTarget(a, b Grant) int {
	return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Secret, b.Secret))
}

// readGrant reads one entry, of either form.
func (r *reader) readGrant(service string, item *yaml.Node) (Grant, bool) {
	g := Grant{Line: item.Line}
	switch {
	case isText(item):
		g.Secret = item.Value
	case item.Kind == yaml.MappingNode:
		source, _ := get(item, "source")
		if !isText(source) {
			r.add(item.Line, service, "a grant names no secret", "write source: NAME")
			return g, false
		}
		g.Secret, g.Line = source.Value, source.Line
		if !r.swarm {
			r.checkGrantKeys(service, item)
		}
	default:
		r.add(item.Line, service, "a grant is neither a name nor a mapping", "write - NAME")
		return g, false
	}
	if strings.Contains(g.Secret, "$") {
		r.add(g.Line, service, "a grant names its secret by a variable", "write the name: the file must show which service gets which secret")
		return g, false
	}
	g.Target = g.Secret
	if target, at := get(item, "target"); isText(target) {
		name, ok := fileInMount(target.Value)
		if r.swarm {
			name, ok = strings.TrimPrefix(target.Value, mountDir+"/"), true // the conversion judges it
		}
		if !ok {
			r.add(at.Line, service, "the target of "+g.Secret+" is not a file name in "+mountDir, "write a plain file name, or remove target: (the default is "+mountDir+"/"+g.Secret+")")
			return g, false
		}
		g.Target = name
	}
	return g, true
}

// checkGrantKeys finds keys of a grant that Compose ignores for file secrets.
func (r *reader) checkGrantKeys(service string, item *yaml.Node) {
	source, _ := get(item, "source")
	for _, key := range []string{"uid", "gid", "mode"} {
		if value, at := get(item, key); value.Kind != 0 {
			r.add(at.Line, service, key+" of the grant of "+source.Value+" does nothing: Compose ignores it for file secrets", "remove it: each file is 0444, so any user in the container can read it")
		}
	}
}

// fileInMount returns the file name in /run/secrets that a target means, and
// whether it is one. The engine accepts ../x and a/b, and an absolute path leads
// anywhere: only a plain name, with or without /run/secrets/ before it, stays
// where services look.
func fileInMount(target string) (string, bool) {
	name := strings.TrimPrefix(target, mountDir+"/")
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\:$\x00\n\r") || path.Clean(name) != name {
		return "", false
	}
	return name, true
}

// checkGrants finds grants of secrets that are not declared, and secrets that
// are granted to no service.
func (r *reader) checkGrants() {
	known := slices.Sorted(maps.Keys(r.declared))
	granted := map[string]bool{}
	for _, s := range r.manifest.Services {
		for _, g := range s.Grants {
			granted[g.Secret] = true
			if !r.declared[g.Secret] {
				r.add(g.Line, s.Name, "is granted "+g.Secret+", which is not declared", didYouMean(g.Secret, known, "declare it under the top-level secrets:, or remove the grant"))
			}
		}
	}
	if r.swarm {
		return // other stacks may use it
	}
	for _, d := range r.manifest.Secrets {
		if !granted[d.Name] {
			r.add(d.Line, d.Name, "is granted to no service", "write - "+d.Name+" under secrets: of the service that needs it, or remove the declaration")
		}
	}
}
