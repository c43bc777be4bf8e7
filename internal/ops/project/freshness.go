package project

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
)

// Freshness says whether a running service holds the values that are in
// secrets/ now.
type Freshness string

// The answers.
const (
	Current Freshness = "current"
	Stale   Freshness = "stale"   // it was started with other values
	Unknown Freshness = "unknown" // its container has no digest, or one of another key; or there is no key
	None    Freshness = "none"    // it is granted nothing, or it has no container
)

// Running reports which digest of its grants each running service of a Compose
// project was started with, by service; "" for a service without one.
type Running interface {
	GrantDigests(ctx context.Context, project string) (map[string]string, error)
}

// StaleService is a running service that may hold an older value than secrets/
// does.
type StaleService struct {
	Service string   `json:"service"`
	Secrets []string `json:"secrets"` // the granted secrets that may be older
}

// Digests are the keyed digests of what each service is granted, over one
// snapshot. They need the project's key: without it every answer is Unknown.
type Digests struct {
	project string
	key     fingerprint.Key
	keyless error
	values  *Snapshot
}

// Digests makes the digests over a state with the project's key. With create
// the key is made if there is none; without, a missing key is no error here.
func (p Project) Digests(state *State, create bool) (Digests, error) {
	key, made, err := p.Workspace.Key(create)
	if made {
		p.Progress.Say("made the project's key in .keepmum")
	}
	d := Digests{project: p.ComposeProject(state.Manifest), key: key, keyless: err, values: state.Values}
	if err != nil && (create || !errors.Is(err, fs.ErrNotExist)) {
		return d, err
	}
	return d, nil
}

// Keyed reports whether there is a key to make digests with.
func (d Digests) Keyed() bool { return d.keyless == nil }

// Of returns the digest of a service's grants. An optional secret without a
// file is left out.
func (d Digests) Of(service manifest.Service) (string, error) {
	if d.keyless != nil {
		return "", d.keyless
	}
	var grants []fingerprint.Grant
	for _, g := range service.Grants {
		value, there, err := d.values.Read(g.Secret)
		if err != nil {
			return "", err
		}
		if there {
			grants = append(grants, fingerprint.Grant{Name: g.Secret, Target: g.Target, Value: value})
		}
	}
	return d.key.GrantsDigest(d.project, service.Name, grants), nil
}

// Freshness compares the digest that a container was started with to that of
// the values in the snapshot. A service that is granted nothing now is compared
// too if its container has a digest: it may have been granted something then.
func (d Digests) Freshness(service manifest.Service, c docker.Container) Freshness {
	label := c.Labels[docker.LabelGrants]
	if len(service.Grants) == 0 && label == "" {
		return None
	}
	digest, err := d.Of(service)
	switch {
	case label == "" || err != nil:
		return Unknown
	case label == digest && len(service.Grants) == 0:
		return None
	case label == digest:
		return Current
	case !strings.HasPrefix(label, "v1:"+d.key.ID()+"."):
		return Unknown
	}
	return Stale
}

// StaleServices names the running services that are granted a touched secret
// and were not started with the values that state has now. If no engine
// answers, nothing runs here; without a key a service counts as stale, because
// nothing shows that it is not.
func (p Project) StaleServices(ctx context.Context, state *State, running Running, touched []string) []StaleService {
	stale := []StaleService{}
	if running == nil || len(touched) == 0 {
		return stale
	}
	labels, err := running.GrantDigests(ctx, p.ComposeProject(state.Manifest))
	if err != nil {
		return stale
	}
	digests, _ := p.Digests(state, false)
	for _, service := range state.Manifest.Services {
		label, runs := labels[service.Name]
		affected := affectedBy(service, touched)
		if !runs || len(affected) == 0 {
			continue
		}
		if digest, err := digests.Of(service); err == nil && digest == label {
			continue
		}
		stale = append(stale, StaleService{Service: service.Name, Secrets: affected})
	}
	return stale
}

// affectedBy returns the touched secrets that a service is granted, sorted.
func affectedBy(service manifest.Service, touched []string) []string {
	affected := map[string]bool{}
	for _, grant := range service.Grants {
		if slices.Contains(touched, grant.Secret) {
			affected[grant.Secret] = true
		}
	}
	return slices.Sorted(maps.Keys(affected))
}

// Containers is the part of an engine that lists containers.
type Containers interface {
	Containers(ctx context.Context, labels map[string]string) ([]docker.Container, error)
}

// ServiceContainers returns the containers of a Compose project's services,
// sorted by service and name. What docker compose run left belongs to no
// service.
func ServiceContainers(ctx context.Context, engine Containers, project string) ([]docker.Container, error) {
	all, err := engine.Containers(ctx, map[string]string{docker.LabelProject: project})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return c.Labels[docker.LabelOneOff] == "True" })
	slices.SortFunc(all, func(a, b docker.Container) int {
		if a.Service != b.Service {
			return strings.Compare(a.Service, b.Service)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}
