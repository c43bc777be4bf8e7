package convert

import (
	"cmp"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/swarm"
	"github.com/keepmum/keepmum/internal/docker"
)

// Where a relative target of a grant is.
const (
	secretsDir = "/run/secrets"
	configsDir = "/"
)

// maxConfig is the largest config that any Swarm takes, in bytes.
const maxConfig = 1_024_000

// target is a grant's file in the container, with its defaults.
type target struct {
	name, uid, gid string
	mode           os.FileMode
}

// secretReferences returns the service's secrets under their declared names.
func (s service) secretReferences() []*swarm.SecretReference {
	var all []*swarm.SecretReference
	taken := map[string]string{}
	for i, grant := range s.Secrets {
		place := s.entry(s.at("secrets"), i, len(s.Secrets))[2:]
		g := types.FileReferenceConfig(grant)
		t := s.target(g, secretsDir, place)
		s.once(taken, secretsDir, t.name, grant.Source, place)
		all = append(all, &swarm.SecretReference{
			File:       &swarm.SecretReferenceFileTarget{Name: t.name, UID: t.uid, GID: t.gid, Mode: t.mode},
			SecretName: grant.Source,
		})
	}
	slices.SortStableFunc(all, func(a, b *swarm.SecretReference) int { return cmp.Compare(a.SecretName, b.SecretName) })
	return all
}

// configReferences returns the service's configs: those of the stack under their
// declared names, the external ones under their names in the Swarm.
func (s service) configReferences() []*swarm.ConfigReference {
	var all []*swarm.ConfigReference
	taken := map[string]string{}
	for i, grant := range s.Configs {
		place := s.entry(s.at("configs"), i, len(s.Configs))[2:]
		g := types.FileReferenceConfig(grant)
		t := s.target(g, configsDir, place)
		s.once(taken, configsDir, t.name, grant.Source, place)
		name := grant.Source
		if declared := s.project.Configs[name]; bool(declared.External) {
			name = declared.Name
		}
		all = append(all, &swarm.ConfigReference{
			File:       &swarm.ConfigReferenceFileTarget{Name: t.name, UID: t.uid, GID: t.gid, Mode: t.mode},
			ConfigName: name,
		})
	}
	slices.SortStableFunc(all, func(a, b *swarm.ConfigReference) int { return cmp.Compare(a.ConfigName, b.ConfigName) })
	return all
}

// target returns where a grant's file is. A relative target must stay in dir; an
// absolute one is where it says.
func (s service) target(g types.FileReferenceConfig, dir string, place []string) target {
	t := target{name: g.Target, mode: 0o444}
	if t.name == "" || t.name == path.Join(dir, g.Source) && !s.m.Declares(s.at(append(slices.Clone(place), "target")...)...) {
		t.name = g.Source // compose-go writes the default out
	}
	inside := path.Join(dir, t.name)
	if !path.IsAbs(t.name) && (inside == dir || !strings.HasPrefix(inside, strings.TrimSuffix(dir, "/")+"/") || slices.Contains(strings.Split(t.name, "/"), "..")) {
		s.refuse("the target of "+g.Source+" is not a file in "+dir, "write a file name, or an absolute path", place...)
	}
	t.uid, t.gid = s.number("uid", g.UID, place), s.number("gid", g.GID, place)
	if g.Mode != nil {
		t.mode = os.FileMode(*g.Mode)
	}
	if t.mode > 0o777 {
		s.refuse("mode of the grant of "+g.Source+" is not one of a file", "write an octal number such as 0440", place...)
	}
	return t
}

// once refuses a target that another grant of the service has already.
func (s service) once(taken map[string]string, dir, name, source string, place []string) {
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	if other, found := taken[name]; found {
		s.refuse("grants "+source+" at "+name+", where "+other+" is already", "give one of them another target:", place...)
	}
	taken[name] = source
}

// configs adds the configs that services use: those to make, and the external.
func (c *converter) configs() {
	seen, external := map[string]bool{}, map[string]bool{}
	for _, s := range c.project.Services {
		for _, grant := range s.Configs {
			if seen[grant.Source] {
				continue
			}
			seen[grant.Source] = true
			if declared := c.project.Configs[grant.Source]; bool(declared.External) {
				external[declared.Name] = true
				c.spec.ExternalConfigs = append(c.spec.ExternalConfigs, declared.Name)
				c.external("config "+declared.Name, "configs", grant.Source)
			} else {
				c.config(grant.Source, declared)
			}
		}
	}
	for _, one := range c.spec.Configs {
		if external[one.Name] {
			c.refuse(one.Name, "an external config has the same name in the Swarm", "rename it here and in the services", "configs", one.Name)
		}
	}
	slices.SortFunc(c.spec.Configs, func(a, b docker.ConfigSpec) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(c.spec.ExternalConfigs)
	c.spec.ExternalConfigs = slices.Compact(c.spec.ExternalConfigs)
}

// external notes where the file declares what the stack does not make.
func (c *converter) external(what string, path ...string) {
	if c.spec.ExternalLines == nil {
		c.spec.ExternalLines = map[string]int{}
	}
	c.spec.ExternalLines[what] = c.m.LineOf(path...)
}

// config adds a config that the stack makes.
func (c *converter) config(key string, declared types.ConfigObjConfig) {
	at := []string{"configs", key}
	if c.named("configs", key, declared.Name) != "" {
		c.notice(key, "name: has no effect: keepmum names the versions of a config by the stack and "+key, "remove it; a changed content makes a new version by itself", "configs", key, "name")
	}
	data, ok := c.content(key, declared)
	switch {
	case ok && len(data) == 0:
		c.refuse(key, "is empty, which a Swarm refuses", "write its content, or remove it", at...)
	case len(data) >= maxConfig:
		c.refuse(key, "is larger than a config of a Swarm can be", "put it into the image or on a volume", at...)
	}
	c.spec.Configs = append(c.spec.Configs, docker.ConfigSpec{Name: key, Labels: c.stackLabels(declared.Labels, key, "configs", key, "labels"), Data: data})
}

// content returns a config's content, and whether there is one.
func (c *converter) content(key string, declared types.ConfigObjConfig) ([]byte, bool) {
	switch {
	case declared.Environment != "":
		value, set := c.Lookup(declared.Environment)
		if !set {
			c.refuse(key, "takes its content from the variable "+declared.Environment+", which is not set", "set it, or write file: or content:", "configs", key, "environment")
		}
		return []byte(value), set
	case declared.Content != "":
		return []byte(declared.Content), true
	case declared.File != "":
		data, err := c.ReadFile(declared.File)
		if err != nil {
			c.refuse(key, "its file "+declared.File+" cannot be read", "create it, relative to the compose file", "configs", key, "file")
		}
		return data, err == nil
	}
	c.refuse(key, "does not say where its content comes from", "write file:, content: or external: true", "configs", key)
	return nil, false
}

// secrets adds the secrets that services are granted.
func (c *converter) secrets() {
	granted := map[string]bool{}
	for _, s := range c.project.Services {
		for _, grant := range s.Secrets {
			granted[grant.Source] = true
		}
	}
	for _, d := range c.m.Secrets {
		if !granted[d.Name] {
			continue
		}
		if !d.External && c.named("secrets", d.Name, c.project.Secrets[d.Name].Name) != "" {
			c.notice(d.Name, "name: has no effect without external: true: keepmum names the versions of a secret by the stack and "+d.Name, "remove it, or write external: true", "secrets", d.Name, "name")
		}
		c.spec.Secrets = append(c.spec.Secrets, docker.StackSecret{Name: d.Name, Fixed: d.SwarmName, From: d.From, Line: d.Line})
	}
}
