package manifest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// readServices reads the names, lines and grants of the services from the
// nodes. takeServices adds the rest when Compose accepts the file.
func (r *reader) readServices() {
	services, at := get(r.root, "services")
	if !isNull(services) && services.Kind != yaml.MappingNode {
		r.add(at.Line, "services", "must be a mapping of names", "write services: and below it a name with image:")
		return
	}
	for _, f := range fields(services) {
		if strings.HasPrefix(f.name(), "x-") {
			continue
		}
		r.manifest.Services = append(r.manifest.Services, Service{
			Name: f.name(), Line: f.key.Line, Grants: r.grantsOf(f.name(), f.value),
		})
	}
}

// takeServices fills the services in as Compose sees them.
func (r *reader) takeServices(project *types.Project) {
	for i, s := range r.manifest.Services {
		seen, ok := project.Services[s.Name]
		if !ok {
			continue
		}
		_, portsAt := get(r.nodeOf(s.Name), "ports")
		s = fill(s, seen, portsAt.Line)
		for _, v := range r.manifest.Variables {
			if r.stoodIn[v.Name] && v.Path == "services."+s.Name+".image" {
				s.Image = "" // not known without the variable
			}
		}
		r.manifest.Services[i] = s
	}
}

// nodeOf returns the body of a service.
func (r *reader) nodeOf(service string) *yaml.Node {
	services, _ := get(r.root, "services")
	body, _ := get(services, service)
	return body
}

// fill takes over what compose-go made of a service.
func fill(s Service, seen types.ServiceConfig, portsLine int) Service {
	s.Image, s.PullPolicy, s.User = seen.Image, seen.PullPolicy, seen.User
	s.Entrypoint, s.Command = seen.Entrypoint, seen.Command
	s.ReadOnly, s.Privileged, s.Restart = seen.ReadOnly, seen.Privileged, seen.Restart
	s.CapAdd, s.CapDrop = sorted(seen.CapAdd), sorted(seen.CapDrop)
	s.SecurityOpt, s.Tmpfs = sorted(seen.SecurityOpt), sorted(seen.Tmpfs)
	s.Profiles, s.Networks = seen.Profiles, slices.Sorted(maps.Keys(seen.Networks))
	s.Init = seen.Init != nil && *seen.Init
	s.Labels, s.Environment = seen.Labels, map[string]string{}
	for name, value := range seen.Environment {
		s.Environment[name] = ""
		if value != nil {
			s.Environment[name] = *value
		}
	}
	for _, file := range seen.EnvFiles {
		s.EnvFiles = append(s.EnvFiles, file.Path)
	}
	if seen.Build != nil {
		s.Build = &Build{Context: seen.Build.Context, Dockerfile: seen.Build.Dockerfile}
	}
	if seen.Logging != nil {
		s.Logging = &Logging{Driver: seen.Logging.Driver, Options: seen.Logging.Options}
	}
	s.Grants = inherited(s, seen.Secrets)
	s.Ports, s.Mounts = portsOf(seen, portsLine), mountsOf(seen)
	s.DependsOn, s.Health = dependenciesOf(seen), healthOf(seen.HealthCheck)
	return s
}

// sorted returns a sorted copy.
func sorted(list []string) []string {
	copied := slices.Clone(list)
	slices.Sort(copied)
	return copied
}

// inherited returns the grants of a service with those that came by extends.
func inherited(s Service, seen []types.ServiceSecretConfig) []Grant {
	grants := slices.Clone(s.Grants)
	have := map[string]bool{}
	for _, g := range grants {
		have[g.Target] = true
	}
	for _, one := range seen {
		target, ok := fileInMount(one.Target)
		if one.Target == "" {
			target, ok = one.Source, true
		}
		if ok && !have[target] {
			grants = append(grants, Grant{Secret: one.Source, Target: target, Line: s.Line})
		}
	}
	slices.SortFunc(grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Secret, b.Secret))
	})
	return grants
}

func portsOf(seen types.ServiceConfig, line int) []Port {
	var ports []Port
	for _, p := range seen.Ports {
		ports = append(ports, Port{HostIP: p.HostIP, Published: p.Published, Target: int(p.Target), Protocol: p.Protocol, Line: line})
	}
	slices.SortFunc(ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Published, b.Published), cmp.Compare(a.Protocol, b.Protocol))
	})
	return ports
}

func mountsOf(seen types.ServiceConfig) []Mount {
	var mounts []Mount
	for _, v := range seen.Volumes {
		mounts = append(mounts, Mount{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
	return mounts
}

func dependenciesOf(seen types.ServiceConfig) []Dependency {
	var dependencies []Dependency
	for _, name := range slices.Sorted(maps.Keys(seen.DependsOn)) {
		d := seen.DependsOn[name]
		dependencies = append(dependencies, Dependency{Service: name, Condition: d.Condition, Required: d.Required})
	}
	return dependencies
}

func healthOf(seen *types.HealthCheckConfig) *Health {
	if seen == nil {
		return nil
	}
	h := &Health{
		Test: seen.Test, Disabled: seen.Disable,
		Interval: duration(seen.Interval), Timeout: duration(seen.Timeout), StartPeriod: duration(seen.StartPeriod),
	}
	if seen.Retries != nil {
		h.Retries = int(*seen.Retries)
	}
	return h
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}
