package manifest

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// readServices reads the names, lines and grants of the services from the
// nodes. takeServices adds the rest if Compose accepts the file.
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
		_, portsAt := get(f.value, "ports")
		r.manifest.Services = append(r.manifest.Services, Service{
			Name: f.name(), Line: f.key.Line, Grants: r.grantsOf(f.name(), f.value), PortsLine: portsAt.Line,
		})
	}
}

// takeServices adds compose-go's view to the services.
func (r *reader) takeServices(project *types.Project) {
	r.takeSwarmNames(project)
	for i, s := range r.manifest.Services {
		s.ServiceConfig = project.Services[s.Name]
		s.Grants = inherited(s)
		for _, v := range r.manifest.Variables {
			if r.stoodIn[v.Name] && v.Path == "services."+s.Name+".image" {
				s.Image = "" // not known without the variable
			}
		}
		r.manifest.Services[i] = s
	}
}

// inherited returns the grants of a service, including those from extends.
func inherited(s Service) []Grant {
	grants, have := slices.Clone(s.Grants), map[string]bool{}
	for _, g := range grants {
		have[g.Target] = true
	}
	for _, one := range s.Secrets {
		if target, ok := fileInMount(one.Target); ok && !have[target] {
			grants = append(grants, Grant{Secret: one.Source, Target: target, Line: s.Line})
		}
	}
	slices.SortFunc(grants, byTarget)
	return grants
}
