package manifest

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checkExposure finds the ways other than interpolation in which a value would
// get into a container's configuration, an ungranted service or an image.
func (r *reader) checkExposure() {
	for _, f := range r.section("services") {
		s, _ := r.manifest.Service(f.name())
		r.checkEnvironment(s, f.value)
		r.checkEnvFiles(s.Name, f.value)
		r.checkMounts(s.Name, f.value)
		r.checkBuild(s.Name, f.value)
	}
	for _, f := range r.section("configs") {
		if variable, at := get(f.value, "environment"); isText(variable) && r.declared[variable.Value] {
			r.add(at.Line, variable.Value, "its value is put into the config "+f.name(), "grant the secret instead: configs can be read back from the engine")
		}
		if file, at := get(f.value, "file"); isText(file) && holdsValues(file.Value) {
			r.add(at.Line, f.name(), "this config contains secret values", "grant the secret instead: configs can be read back from the engine")
		}
	}
}

// pair is one entry of a list or mapping of NAME=VALUE.
type pair struct {
	name, value string
	given       bool // false: Compose takes it from its environment, which includes .env
	line        int
}

// pairs reads environment:, args: and the like, in both of their forms.
func pairs(node *yaml.Node) []pair {
	var all []pair
	for _, item := range items(node) {
		if isText(item) {
			name, value, given := strings.Cut(item.Value, "=")
			all = append(all, pair{name, value, given, item.Line})
		}
	}
	for _, f := range fields(node) {
		all = append(all, pair{f.name(), f.value.Value, !isNull(f.value), f.key.Line})
	}
	return all
}

// checkEnvironment finds declared secrets in a service's environment, and paths
// of secrets that it is not granted.
func (r *reader) checkEnvironment(s Service, body *yaml.Node) {
	environment, _ := get(body, "environment")
	for _, p := range pairs(environment) {
		switch {
		case r.declared[p.name] && !p.given:
			r.add(p.line, p.name, "its value is passed into the environment of "+s.Name+": Compose takes it from .env, and docker inspect shows it", "remove the line and read "+mountDir+"/"+p.name)
		case r.declared[p.name] && p.value != "" && len(variablesIn(p.value)) == 0:
			r.add(p.line, p.name, "the environment of "+s.Name+" sets it in the compose file itself", "remove the line, store the value with mage secrets:set "+p.name+", and replace it where it is used: the compose file is shared")
		case strings.HasPrefix(p.value, mountDir+"/"):
			target := strings.TrimPrefix(p.value, mountDir+"/")
			granted := slices.ContainsFunc(s.Grants, func(g Grant) bool { return g.Target == target })
			if !granted && r.declared[target] {
				r.add(p.line, s.Name, p.name+" names "+mountDir+"/"+target+", which the service is not granted", "write - "+target+" under its secrets:")
			}
		}
	}
}

// checkEnvFiles finds env_file: and label_file: that bring in the whole .env.
func (r *reader) checkEnvFiles(service string, body *yaml.Node) {
	for _, key := range []string{"env_file", "label_file"} {
		list, _ := get(body, key)
		entries := items(list)
		if isText(list) {
			entries = []*yaml.Node{list}
		}
		for _, entry := range entries {
			where, _ := get(entry, "path")
			if isText(entry) {
				where = entry
			}
			if holdsValues(where.Value) {
				r.add(where.Line, service, key+": puts every value of that file into the container, where docker inspect shows it", "remove it and grant the secrets that the service needs")
			}
		}
	}
}

// holdsValues reports whether a path is a .env file or in secrets/ or .keepmum/
// of the project.
func holdsValues(name string) bool {
	if name == "" {
		return false
	}
	clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
	base := path.Base(clean)
	dotenv := base == ".env" || strings.HasPrefix(base, ".env.") && base != ".env.example"
	return dotenv || clean == "secrets" || strings.HasPrefix(clean, "secrets/") || clean == ".keepmum" || strings.HasPrefix(clean, ".keepmum/")
}

// checkMounts finds bind mounts that give a service more than its grants: the
// project itself, secrets/, .keepmum/ or .env.
func (r *reader) checkMounts(service string, body *yaml.Node) {
	volumes, _ := get(body, "volumes")
	for _, item := range items(volumes) {
		source := item.Value
		if item.Kind == yaml.MappingNode {
			kind, _ := get(item, "type")
			from, _ := get(item, "source")
			if kind.Value != "bind" {
				continue
			}
			source = from.Value
		} else if source, _, _ = strings.Cut(source, ":"); !strings.HasPrefix(source, ".") {
			continue // a named volume, an anonymous one, or elsewhere on the host
		}
		clean := path.Clean(source)
		if source != "" && (clean == "." || clean == ".." || strings.HasPrefix(clean, "../") && strings.Trim(clean, "./") == "" || holdsValues(source)) {
			r.add(item.Line, service, "mounts a project folder that contains secrets/ or .env, so it can read every value, not only its grants", "mount only the subfolder that it needs")
		}
	}
}

// checkBuild finds values that would go into an image.
func (r *reader) checkBuild(service string, body *yaml.Node) {
	build, _ := get(body, "build")
	args, _ := get(build, "args")
	for _, p := range pairs(args) {
		if r.declared[p.name] && (!p.given || p.value != "" && len(variablesIn(p.value)) == 0) {
			r.add(p.line, p.name, "its value is a build argument of "+service+", which stays readable in the image", "remove the line: a service reads its secrets when it runs")
		}
	}
	if list, at := get(build, "secrets"); len(items(list)) > 0 {
		r.add(at.Line, service, "passes secrets to an image build", "remove them: a service reads its secrets when it runs")
	}
	for _, key := range []string{"pre_start", "post_start", "pre_stop"} {
		hooks, _ := get(body, key)
		for _, hook := range items(hooks) {
			environment, _ := get(hook, "environment")
			for _, p := range pairs(environment) {
				if r.declared[p.name] && !p.given {
					r.add(p.line, p.name, "its value is passed into the environment of "+key+" of "+service, "remove the line and read "+mountDir+"/"+p.name)
				}
			}
			if list, at := get(hook, "secrets"); len(items(list)) > 0 {
				r.add(at.Line, service, "grants secrets to "+key+", which keepmum does not manage", "grant them to the service, or make the step a separate service")
			}
		}
	}
}
