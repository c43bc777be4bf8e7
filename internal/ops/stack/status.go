package stack

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// Holding says whether a service holds the values that stand in secrets/ now.
type Holding string

// The answers.
const (
	HoldsCurrent Holding = "current"
	HoldsOlder   Holding = "older"
	HoldsUnknown Holding = "unknown" // its container has no digest, or one of another key; or there is no key
	HoldsNothing Holding = "none"    // it is granted nothing, or it has no container
)

// Status tells how the stack is.
type Status struct {
	Stack
	Engine Engine
}

// StatusResult is the stack, sorted by service.
type StatusResult struct {
	Project  string          `json:"project"`
	Ready    bool            `json:"ready"` // every service does what the stack needs of it
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is one service, or one that is no longer in the manifest.
type ServiceStatus struct {
	Service   string   `json:"service"`
	Container string   `json:"container,omitempty"`
	Image     string   `json:"image"`
	State     string   `json:"state"`  // absent, created, running, restarting, exited, …
	Health    string   `json:"health"` // healthy, unhealthy, starting; "" without a health check
	Status    string   `json:"status"` // both in a word
	Ready     bool     `json:"ready"`
	ExitCode  int      `json:"exitCode"`
	Restarts  int      `json:"restarts"`
	Grants    []string `json:"grants"`  // names of secrets
	Values    Holding  `json:"values"`  // whether it holds the newest
	Visible   []string `json:"visible"` // declared secrets in its environment, which docker inspect shows
	Declared  bool     `json:"declared"`
}

// Run reads the containers of the project. Services that the manifest has and
// the engine has not are listed as absent.
func (u Status) Run(ctx context.Context) (StatusResult, error) {
	result := StatusResult{Services: []ServiceStatus{}}
	m, _, err := u.load(u.ComposeFile, nil)
	if err != nil {
		return result, err
	}
	result.Project = u.project(m)
	all, err := Containers(ctx, u.Engine, result.Project)
	if err != nil {
		return result, err
	}
	aliases := u.aliases(m)
	key, keyErr := u.Project.Key()
	holds := func(service manifest.Service, c docker.Container) Holding {
		if keyErr != nil {
			return HoldsUnknown
		}
		return u.holding(key, result.Project, service, c)
	}
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
			s := statusOf(m, service, c, aliases)
			s.Values = holds(service, c)
			result.Services, result.Ready = append(result.Services, s), result.Ready && s.Ready
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		for _, c := range byService[name] {
			s := statusOf(m, manifest.Service{Name: name}, c, nil)
			s.Declared = false
			result.Services = append(result.Services, s)
		}
	}
	sort.SliceStable(result.Services, func(i, j int) bool { return result.Services[i].Service < result.Services[j].Service })
	return result, nil
}

// aliases returns the variables by which services of the old compose file get
// declared secrets under another name, as "SERVICE VARIABLE". Without that
// file, or with one that cannot be read, there are none.
func (u Status) aliases(m *manifest.Manifest) map[string]string {
	names := map[string]string{}
	old, _, err := project.FindManifest(u.Project, legacyFile)
	if err != nil || old == nil {
		return names
	}
	for _, v := range old.Variables {
		prefix := "services." + v.Service + ".environment."
		if variable, ok := strings.CutPrefix(v.Path, prefix); ok && v.Service != "" {
			if _, declared := m.Secret(v.Name); declared {
				names[v.Service+" "+variable] = v.Name
			}
		}
	}
	return names
}

// statusOf is what a container says of its service, without its values.
func statusOf(m *manifest.Manifest, service manifest.Service, c docker.Container, aliases map[string]string) ServiceStatus {
	s := ServiceStatus{
		Service: service.Name, Container: c.Name, Image: c.Image, State: c.State, Health: c.Health, Status: stateOf(c), ExitCode: c.ExitCode, Restarts: c.Restarts,
		Grants: []string{}, Visible: []string{}, Values: HoldsNothing, Declared: true, Ready: readyService(m, service, c),
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

// holding compares the digest that a container was started with to that of the
// values now.
func (s Stack) holding(key fingerprint.Key, name string, service manifest.Service, c docker.Container) Holding {
	if len(service.Grants) == 0 {
		return HoldsNothing
	}
	label := c.Labels[docker.LabelGrants]
	digest, err := project.ServiceDigest(key, name, service, s.Values)
	switch {
	case label == "" || err != nil:
		return HoldsUnknown
	case label == digest:
		return HoldsCurrent
	case !strings.HasPrefix(label, "v1:"+key.ID()+"."):
		return HoldsUnknown
	}
	return HoldsOlder
}
