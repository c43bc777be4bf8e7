package stack

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// StatusResult is the stack, sorted by service.
type StatusResult struct {
	Project  string          `json:"project"`
	Ready    bool            `json:"ready"` // every service does what the stack needs of it
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is one service, or one that is no longer in the manifest.
type ServiceStatus struct {
	Service   string            `json:"service"`
	Container string            `json:"container,omitempty"`
	Image     string            `json:"image"`
	State     string            `json:"state"`  // absent, created, running, restarting, exited, …
	Health    string            `json:"health"` // healthy, unhealthy, starting; "" without a health check
	Status    string            `json:"status"` // both in a word
	Ready     bool              `json:"ready"`
	ExitCode  int               `json:"exitCode"`
	Restarts  int               `json:"restarts"`
	Grants    []string          `json:"grants"`  // names of secrets
	Values    project.Freshness `json:"values"`  // whether it holds what is in secrets/ now
	Visible   []string          `json:"visible"` // declared secrets in its environment, which docker inspect shows
	Declared  bool              `json:"declared"`
}

// Status reads the containers of the project. Services that the manifest has and
// the engine does not have are listed as absent.
func (s *Stack) Status(ctx context.Context) (StatusResult, error) {
	result := StatusResult{}
	state, at, closeAll, err := s.open(ctx)
	if err != nil {
		return result, err
	}
	defer closeAll()
	m := state.Manifest
	result.Project = s.Project.ComposeProject(m)
	all, err := project.ServiceContainers(ctx, at.Engine, result.Project)
	if err != nil {
		return result, err
	}
	aliases := s.aliases(state)
	digests, _ := s.Project.Digests(state, false) // without a key the answer is unknown
	byService := map[string][]docker.Container{}
	for _, c := range all {
		byService[c.Service] = append(byService[c.Service], c)
	}
	result.Ready = true
	for _, service := range m.Services {
		found := byService[service.Name]
		delete(byService, service.Name)
		if len(found) == 0 {
			absent := statusOf(m, service, docker.Container{State: "absent", Image: service.Image}, nil)
			result.Services = append(result.Services, absent)
			result.Ready = result.Ready && len(service.Profiles) > 0
		}
		for _, c := range found {
			one := statusOf(m, service, c, aliases)
			one.Values = digests.Freshness(service, c)
			result.Services, result.Ready = append(result.Services, one), result.Ready && one.Ready
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		for _, c := range byService[name] {
			one := statusOf(m, manifest.Service{Name: name}, c, nil)
			one.Declared = false
			result.Services = append(result.Services, one)
		}
	}
	sort.SliceStable(result.Services, func(i, j int) bool { return result.Services[i].Service < result.Services[j].Service })
	return result, nil
}

// aliases returns the variables by which services of the legacy compose file get
// declared secrets under another name, as "SERVICE VARIABLE". Without that
// file, or with one that cannot be read, there are none.
func (s *Stack) aliases(state *project.State) map[string]string {
	names := map[string]string{}
	legacy, _ := s.Project.LoadLegacy(state)
	if legacy == nil {
		return names
	}
	for _, v := range legacy.Manifest.Variables {
		prefix := "services." + v.Service + ".environment."
		if variable, ok := strings.CutPrefix(v.Path, prefix); ok && v.Service != "" {
			if _, declared := state.Manifest.Secret(v.Name); declared {
				names[v.Service+" "+variable] = v.Name
			}
		}
	}
	return names
}

// statusOf is what a container says of its service, without its values.
func statusOf(m *manifest.Manifest, service manifest.Service, c docker.Container, aliases map[string]string) ServiceStatus {
	s := ServiceStatus{
		Service: service.Name, Container: c.Name, Image: c.Image, State: c.State, Health: c.Health, Status: c.Status(), ExitCode: c.ExitCode, Restarts: c.Restarts,
		Grants: []string{}, Visible: []string{}, Values: project.None, Declared: true, Ready: readyService(m, service, c),
	}
	for _, grant := range service.Grants {
		s.Grants = append(s.Grants, grant.Secret)
	}
	sort.Strings(s.Grants)
	for _, name := range c.EnvNames {
		if alias, ok := aliases[service.Name+" "+name]; ok {
			name = alias
		}
		if _, declared := m.Secret(name); declared {
			s.Visible = append(s.Visible, name)
		}
	}
	sort.Strings(s.Visible)
	return s
}
