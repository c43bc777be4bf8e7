package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"go.yaml.in/yaml/v4"
)

// checkTopLevel reads the project's name and finds what keepmum does not follow.
func (r *reader) checkTopLevel() {
	if name, at := get(r.root, "name"); r.swarm {
		if name.Kind != 0 {
			r.add(at.Line, "name", "docker stack deploy refuses a top-level name:", "remove it: the stack's name comes from -stack, KEEPMUM_STACK or name: of docker-compose.yml")
		}
	} else if isText(name) {
		r.manifest.Project = name.Value
		if loader.NormalizeProjectName(name.Value) != name.Value && !strings.Contains(name.Value, "$") {
			r.add(at.Line, "name", "not a valid project name: use lower-case letters, digits, - and _, and start with a letter or digit", "write name: "+r.projectName())
		}
	}
	if include, at := get(r.root, "include"); !isNull(include) {
		r.add(at.Line, "include", "is not supported: keepmum reads one compose file", "move the secrets and services of the other file here")
	}
	if jobs, at := get(r.root, "jobs"); !isNull(jobs) {
		r.add(at.Line, "jobs", "keepmum reads services, not jobs", "make each job a service that exits")
	}
	if _, at := get(r.root, "services"); len(r.section("services")) == 0 {
		r.add(at.Line, "services", "the compose file has no services", "write services: and below it a name with image:")
	}
	for _, f := range r.section("services") {
		extends, at := get(f.value, "extends")
		if file, _ := get(extends, "file"); file.Kind != 0 {
			r.extendsElsewhere = true
			r.add(at.Line, f.name(), "extends a service of another file, which keepmum does not read", "write the service out in full")
		}
	}
}

// checkReferences finds names that services use but the file does not declare.
func (r *reader) checkReferences() {
	services, networks, volumes := r.names("services"), append(r.names("networks"), "default"), r.names("volumes")
	for _, f := range r.section("services") {
		for _, use := range []struct {
			key, section string
			known        []string
		}{
			{"depends_on", "services", services},
			{"networks", "networks", networks},
		} {
			value, _ := get(f.value, use.key)
			for _, name := range namesIn(value) {
				if !slices.Contains(use.known, name.Value) && !strings.Contains(name.Value, "$") { // Compose looks at what the variable makes of it
					r.add(name.Line, f.name(), fmt.Sprintf("%s names %s, which is not under %s:", use.key, name.Value, use.section), didYouMean(name.Value, use.known, "declare it under the top-level "+use.section+":, or remove the name"))
				}
			}
		}
		mounts, _ := get(f.value, "volumes")
		for _, item := range items(mounts) {
			if name, at := volumeName(item); name != "" && !slices.Contains(volumes, name) {
				r.add(at, f.name(), "mounts the volume "+name+", which is not under volumes:", didYouMean(name, volumes, "write "+name+": under the top-level volumes:"))
			}
		}
	}
}

// names returns the names of a section's entries, sorted.
func (r *reader) names(section string) []string {
	var names []string
	for _, f := range r.section(section) {
		names = append(names, f.name())
	}
	slices.Sort(names)
	return names
}

// namesIn returns the names of a list or the keys of a mapping.
func namesIn(node *yaml.Node) []*yaml.Node {
	var names []*yaml.Node
	for _, item := range items(node) {
		if isText(item) {
			names = append(names, item)
		}
	}
	for _, f := range fields(node) {
		names = append(names, f.key)
	}
	return names
}

// volumeName returns the named volume of an entry of volumes: and its line, ""
// for a path.
func volumeName(item *yaml.Node) (string, int) {
	if item.Kind == yaml.MappingNode {
		kind, _ := get(item, "type")
		source, at := get(item, "source")
		if kind.Value == "volume" {
			return source.Value, at.Line
		}
		return "", 0
	}
	source, _, found := strings.Cut(item.Value, ":")
	if !found || strings.ContainsAny(source, "/\\.~$") || len(source) == 1 {
		return "", 0
	}
	return source, item.Line
}
