package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Compare compares names and grants: what a declares and grants, b must declare
// and grant, and nothing more. It is for two compose files of the same project
// that stand beside each other, such as docker-compose.yml and
// docker-compose.swarm.yml. Each finding names the place in b, or b as a whole
// where something is missing there.
func Compare(a, b *Manifest) []Finding {
	c := comparison{a: a, b: b}
	c.names(a.Names(), b.Names())
	c.serviceNames()
	for _, s := range a.Services {
		other, found := b.Service(s.Name)
		if !found {
			continue
		}
		for _, g := range s.Grants {
			if h, granted := findTarget(other.Grants, g.Target); !granted || h.Secret != g.Secret {
				c.add(other.Line, s.Name, fmt.Sprintf("is not granted %s at %s/%s, which %s grants on line %d", g.Secret, mountDir, g.Target, a.File, g.Line), "write the same grant here, or take it away there")
			}
		}
		for _, g := range other.Grants {
			if h, granted := findTarget(s.Grants, g.Target); !granted || h.Secret != g.Secret {
				c.add(g.Line, s.Name, fmt.Sprintf("is granted %s at %s/%s, which %s does not grant", g.Secret, mountDir, g.Target, a.File), "take it away here, or write the same grant there")
			}
		}
	}
	return c.findings
}

// comparison is one run of Compare or CompareLegacy.
type comparison struct {
	a, b     *Manifest
	findings []Finding
}

func (c *comparison) add(line int, subject, problem, next string) {
	c.findings = append(c.findings, Finding{File: c.b.File, Line: line, Subject: subject, Problem: problem, Next: next})
}

// names compares the declared secrets.
func (c *comparison) names(want, have []string) {
	for _, name := range want {
		if !slices.Contains(have, name) {
			c.add(0, name, "is not declared here, but in "+c.a.File, "declare it under secrets:, or take it away there")
		}
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			d, _ := c.b.Secret(name)
			c.add(d.Line, name, "is declared here, but not in "+c.a.File, "take it away here, or declare it there")
		}
	}
}

// serviceNames compares which services there are.
func (c *comparison) serviceNames() {
	for _, s := range c.a.Services {
		if _, found := c.b.Service(s.Name); !found {
			c.add(0, s.Name, "is a service of "+c.a.File+", but not of this file", "write the service here, or take it away there")
		}
	}
	for _, s := range c.b.Services {
		if _, found := c.a.Service(s.Name); !found {
			c.add(s.Line, s.Name, "is a service of this file, but not of "+c.a.File, "take it away here, or write it there")
		}
	}
}

// CompareLegacy compares the manifest with the compose file of the old way,
// which passes values by the environment: the same project, services, images,
// hardening, health checks and dependencies; no secrets:; and for each grant
// exactly one variable NAME: ${NAME:-} in that service. Where the manifest
// passes a grant by X_FILE, the old way passes it by X.
func CompareLegacy(m, legacy *Manifest) []Finding {
	c := comparison{a: m, b: legacy}
	if m.Project != legacy.Project {
		c.add(0, "name", "the project's name is not that of "+m.File, "write the same name:")
	}
	for _, d := range legacy.Secrets {
		c.add(d.Line, d.Name, "is declared in the compose file of the old way, which has no secrets:", "take it away")
	}
	c.lists("networks", m.Networks, legacy.Networks)
	c.lists("volumes", m.Volumes, legacy.Volumes)
	c.serviceNames()
	for _, s := range m.Services {
		if other, found := legacy.Service(s.Name); found {
			c.service(s, other)
			c.environment(s, other)
		}
	}
	return c.findings
}

// lists compares two sorted lists of names.
func (c *comparison) lists(what string, want, have []string) {
	if !slices.Equal(want, have) {
		c.add(0, what, what+" differ from those of "+c.a.File, "write the same "+what+":")
	}
}

// service compares everything of a service but its grants and environment.
func (c *comparison) service(want, have Service) {
	one, other := reflect.ValueOf(alike(want)), reflect.ValueOf(alike(have))
	for i := range one.NumField() {
		if !reflect.DeepEqual(one.Field(i).Interface(), other.Field(i).Interface()) {
			key := one.Type().Field(i).Name
			c.add(have.Line, have.Name, fmt.Sprintf("%s is not as in %s, line %d", spelled(key), c.a.File, want.Line), "write the same there and here")
		}
	}
	if len(have.Grants) > 0 {
		c.add(have.Grants[0].Line, have.Name, "is granted a secret in the compose file of the old way", "take the grant away")
	}
}

// alike returns a service without what may differ between the two files.
func alike(s Service) Service {
	s.Line, s.Grants, s.Environment = 0, nil, nil
	s.Ports = slices.Clone(s.Ports)
	for i := range s.Ports {
		s.Ports[i].Line = 0
	}
	return s
}

// spelled returns a field's name as people know it from the compose file.
func spelled(field string) string {
	switch field {
	case "Mounts":
		return "volumes"
	case "Health":
		return "healthcheck"
	}
	var b strings.Builder
	for i, c := range field {
		if c >= 'A' && c <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}

// environment compares the environments: the same variables, but for those
// that carry a grant.
func (c *comparison) environment(want, have Service) {
	expected := maps.Clone(want.Environment)
	if expected == nil {
		expected = map[string]string{}
	}
	carries := map[string]string{} // variable of the old way: the secret in it
	for _, g := range want.Grants {
		variable := g.Secret
		for name, value := range want.Environment {
			if base, isFile := strings.CutSuffix(name, "_FILE"); isFile && value == mountDir+"/"+g.Target {
				variable = base
				delete(expected, name)
			}
		}
		carries[variable] = g.Secret
	}
	for _, name := range slices.Sorted(maps.Keys(have.Environment)) {
		value, plain := expected[name]
		secret, carried := carries[name]
		switch {
		case carried:
			c.carried(have, name, secret)
		case !plain:
			c.add(have.Line, have.Name, "its environment has "+name+", which "+c.a.File+" neither sets nor grants", "take it away here, or write it there")
		case value != have.Environment[name]:
			c.add(have.Line, have.Name, "its environment sets "+name+" otherwise than "+c.a.File, "write the same there and here")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if _, found := have.Environment[name]; !found {
			c.add(have.Line, have.Name, "its environment lacks "+name, "write it as in "+c.a.File)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(carries)) {
		if _, found := have.Environment[name]; !found {
			c.add(have.Line, have.Name, "its environment lacks "+name+", the old way of "+carries[name], "write "+name+": ${"+carries[name]+":-}")
		}
	}
}

// carried checks that a variable of the old way is nothing but its secret.
func (c *comparison) carried(s Service, name, secret string) {
	for _, v := range c.b.Variables {
		if v.Service == s.Name && v.Name == secret && strings.HasPrefix(v.Path, "services."+s.Name+".environment.") &&
			(strings.HasSuffix(v.Path, "."+name) || v.Assigned == name) && v.Whole && v.HasDefault && v.Default == "" {
			return
		}
	}
	c.add(s.Line, s.Name, "its environment does not take "+name+" from "+secret+" alone", "write "+name+": ${"+secret+":-}")
}
