package stack

import (
	"encoding/json"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/manifest"
)

// overridePath is the second compose file of a stack, which stack:up writes. It
// holds labels and names, never a value.
const overridePath = ".keepmum/stack.json"

// override is the part of a compose file that stack:up adds to the project's.
// It is written as JSON, which is YAML.
type override struct {
	Services map[string]overrideService `json:"services"`
	Secrets  map[string]overrideSecret  `json:"secrets,omitempty"`
}

type overrideService struct {
	Labels      map[string]string `json:"labels"`
	Environment map[string]string `json:"environment,omitempty"`
	Secrets     []overrideGrant   `json:"secrets,omitempty"`
}

type overrideGrant struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

type overrideSecret struct {
	File string `json:"file"`
}

// newOverride labels each service with the digest of its grants.
func newOverride(digests map[string]string) override {
	o := override{Services: map[string]overrideService{}, Secrets: map[string]overrideSecret{}}
	for service, digest := range digests {
		o.Services[service] = overrideService{Labels: map[string]string{docker.LabelGrants: digest}}
	}
	return o
}

// addGrants gives the services of the legacy compose file, which has no secrets,
// the grants of the manifest whose values are in files; and the variables by
// which an image learns of such a file, as the manifest has them.
func (o override) addGrants(m *manifest.Manifest, inFile func(name string) bool) {
	for _, service := range m.Services {
		added, ok := o.Services[service.Name]
		if !ok {
			continue
		}
		for _, grant := range service.Grants {
			declaration, _ := m.Secret(grant.Secret)
			if !inFile(grant.Secret) || declaration.File == "" {
				continue
			}
			added.Secrets = append(added.Secrets, overrideGrant{Source: grant.Secret, Target: grant.Target})
			for name, value := range service.Environment {
				if strings.HasSuffix(name, "_FILE") && value != nil && *value == "/run/secrets/"+grant.Target {
					if added.Environment == nil {
						added.Environment = map[string]string{}
					}
					added.Environment[name] = *value
				}
			}
		}
		o.Services[service.Name] = added
	}
	for _, service := range o.Services {
		for _, grant := range service.Secrets {
			declaration, _ := m.Secret(grant.Source)
			o.Secrets[grant.Source] = overrideSecret{File: "./" + declaration.File}
		}
	}
}

// write renders the override. Names and digests hold nothing that Compose
// would interpolate; paths could, so that $ is doubled.
func (o override) write() ([]byte, error) {
	data, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return nil, err
	}
	return []byte(strings.ReplaceAll(string(data), "$", "$$") + "\n"), nil
}
