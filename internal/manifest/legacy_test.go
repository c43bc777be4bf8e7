package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
)

const current = `name: shop
x-common: &common
  read_only: true
  cap_drop: [ALL]
services:
  web:
    <<: *common
    image: web:1
    secrets: [API_KEY]
    environment: {MODE: fast}
    ports: ["127.0.0.1:80:80"]
    healthcheck: {test: [CMD, /web, health]}
    depends_on: [db]
  db:
    image: db:1
    secrets: [{source: DB_PASSWORD, target: password}]
    environment: {DB_PASSWORD_FILE: /run/secrets/password}
    volumes: ["data:/data"]
secrets:
  API_KEY: {file: ./secrets/API_KEY}
  DB_PASSWORD: {file: ./secrets/DB_PASSWORD}
volumes: {data: }
`

const legacy = `name: shop
x-common: &common
  cap_drop: [ALL]
  read_only: true
services:
  web:
    <<: *common
    image: web:1
    environment: ["MODE=fast", "API_KEY=${API_KEY:-}"]
    ports: ["127.0.0.1:80:80"]
    healthcheck: {test: [CMD, /web, health]}
    depends_on: {db: {condition: service_started}}
  db:
    image: db:1
    environment: {DB_PASSWORD: "${DB_PASSWORD:-}"}
    volumes: ["data:/data"]
volumes: {data: }
`

func both(t *testing.T, a, b string) (*Manifest, *Manifest) {
	t.Helper()
	one, _ := Parse("a.yml", []byte(a))
	other, _ := Parse("b.yml", []byte(b))
	return one, other
}

func TestCompareLegacy_TakesTheSameStack(t *testing.T) {
	if findings := compareLegacy(both(t, current, legacy)); len(findings) > 0 {
		t.Errorf("findings:\n%s", said(findings))
	}
}

func TestCompareLegacy_FindsEachDifference(t *testing.T) {
	for _, c := range []struct{ replace, by, want string }{
		{"name: shop", "name: other", "name: the project's name"},
		{"image: web:1", "image: web:2", "web: image is not as in a.yml, line 6"},
		{"read_only: true", "read_only: false", "web: read_only is not as"},
		{"cap_drop: [ALL]", "cap_drop: [NET_RAW]", "web: cap_drop is not as"},
		{"127.0.0.1:80:80", "80:80", "web: ports is not as"},
		{"[CMD, /web, health]", "[CMD, /web]", "web: healthcheck is not as"},
		{"service_started", "service_completed_successfully", "web: depends_on is not as"},
		{"data:/data", "data:/other", "db: volumes is not as"},
		{"  db:\n    image", "  store:\n    image", "db: is a service of a.yml, but not of this file"},
		{"  db:\n    image", "  store:\n    image", "store: is a service of this file, but not of a.yml"},
		{"volumes: {data: }", "volumes: {data: , more: }", "volumes: volumes differ"},
		{"volumes: {data: }", "volumes: {data: }\nnetworks: {back: }", "networks: networks differ"},
		{"volumes: {data: }", "volumes: {data: }\nsecrets: {API_KEY: {file: ./secrets/API_KEY}}", "API_KEY: is declared in the compose file of legacy mode"},
		{"    image: db:1", "    image: db:1\n    secrets: [API_KEY]", "db: is granted a secret in the compose file of legacy mode"},
		{"MODE=fast", "MODE=slow", "web: its environment sets MODE otherwise"},
		{`"MODE=fast", `, ``, "web: its environment lacks MODE"},
		{`"MODE=fast"`, `"MODE=fast", "MORE=1"`, "web: its environment has MORE"},
		{`, "API_KEY=${API_KEY:-}"`, ``, "web: its environment lacks API_KEY, which carries API_KEY"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY:-x}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=x${API_KEY:-}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${OTHER:-}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY:-}\", \"DB_PASSWORD=${DB_PASSWORD:-}", "web: its environment has DB_PASSWORD, which a.yml neither sets nor grants"},
		{"DB_PASSWORD: ", "DB_PASSWORD_FILE: ", "db: its environment lacks DB_PASSWORD, which carries DB_PASSWORD"},
	} {
		t.Run(c.by, func(t *testing.T) {
			changed := strings.Replace(legacy, c.replace, c.by, 1)
			if changed == legacy {
				t.Fatal("nothing to replace")
			}
			if findings := compareLegacy(both(t, current, changed)); !strings.Contains(said(findings), c.want) {
				t.Errorf("says\n%s\nand not %s", said(findings), c.want)
			}
		})
	}
}

// comparison is one run of compareLegacy.
type comparison struct {
	a, b     *Manifest
	findings []fault.Finding
}

func (c *comparison) add(line int, subject, problem, next string) {
	c.findings = append(c.findings, fault.Finding{File: c.b.File, Line: line, Subject: subject, Problem: problem, Next: next})
}

// serviceNames compares which services there are.
func (c *comparison) serviceNames() {
	for _, s := range c.a.Services {
		if _, found := c.b.Service(s.Name); !found {
			c.add(0, s.Name, "is a service of "+c.a.File+", but not of this file", "write the service here, or remove it there")
		}
	}
	for _, s := range c.b.Services {
		if _, found := c.a.Service(s.Name); !found {
			c.add(s.Line, s.Name, "is a service of this file, but not of "+c.a.File, "remove it here, or write it there")
		}
	}
}

// compareLegacy compares the manifest with the compose file of legacy mode,
// which passes values by the environment: the same project, services, images,
// hardening, health checks and dependencies; no secrets:; and for each grant
// exactly one variable NAME: ${NAME:-} in that service. Where the manifest
// passes a grant by X_FILE, legacy mode passes it by X.
func compareLegacy(m, legacy *Manifest) []fault.Finding {
	c := comparison{a: m, b: legacy}
	if m.Project != legacy.Project {
		c.add(0, "name", "the project's name is not that of "+m.File, "write the same name:")
	}
	for _, d := range legacy.Secrets {
		c.add(d.Line, d.Name, "is declared in the compose file of legacy mode, which has no secrets:", "remove it")
	}
	if m.Model != nil && legacy.Model != nil { // Parse says why Compose refuses one
		c.lists("networks", m.Model.NetworkNames(), legacy.Model.NetworkNames())
		c.lists("volumes", m.Model.VolumeNames(), legacy.Model.VolumeNames())
	}
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

// service compares every key of a service but its grants and environment.
func (c *comparison) service(want, have Service) {
	one, other := reflect.ValueOf(want.ServiceConfig), reflect.ValueOf(have.ServiceConfig)
	for _, field := range reflect.VisibleFields(one.Type()) {
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if field.Anonymous || key == "environment" || key == "secrets" {
			continue
		}
		if !reflect.DeepEqual(one.FieldByIndex(field.Index).Interface(), other.FieldByIndex(field.Index).Interface()) {
			c.add(have.Line, have.Name, fmt.Sprintf("%s is not as in %s, line %d", key, c.a.File, want.Line), "write the same there and here")
		}
	}
	if len(have.Grants) > 0 {
		c.add(have.Grants[0].Line, have.Name, "is granted a secret in the compose file of legacy mode", "remove the grant")
	}
}

// environment compares the environments: the same variables, but for those
// that carry a grant.
func (c *comparison) environment(want, have Service) {
	expected, set := plainEnvironment(want), plainEnvironment(have)
	carries := map[string]string{} // variable of legacy mode: the secret in it
	for _, g := range want.Grants {
		variable := g.Secret
		for name, value := range plainEnvironment(want) {
			if base, isFile := strings.CutSuffix(name, "_FILE"); isFile && value == mountDir+"/"+g.Target {
				variable = base
				delete(expected, name)
			}
		}
		carries[variable] = g.Secret
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value, plain := expected[name]
		secret, carried := carries[name]
		switch {
		case carried:
			c.carried(have, name, secret)
		case !plain:
			c.add(have.Line, have.Name, "its environment has "+name+", which "+c.a.File+" neither sets nor grants", "remove it here, or write it there")
		case value != set[name]:
			c.add(have.Line, have.Name, "its environment sets "+name+" otherwise than "+c.a.File, "write the same there and here")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if _, found := set[name]; !found {
			c.add(have.Line, have.Name, "its environment lacks "+name, "write it as in "+c.a.File)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(carries)) {
		if _, found := set[name]; !found {
			c.add(have.Line, have.Name, "its environment lacks "+name+", which carries "+carries[name], "write "+name+": ${"+carries[name]+":-}")
		}
	}
}

// plainEnvironment returns a service's variables; one without a value is "".
func plainEnvironment(s Service) map[string]string {
	plain := map[string]string{}
	for name, value := range s.Environment {
		plain[name] = ""
		if value != nil {
			plain[name] = *value
		}
	}
	return plain
}

// carried checks that a variable of legacy mode is nothing but its secret.
func (c *comparison) carried(s Service, name, secret string) {
	for _, v := range c.b.Variables {
		value, inList := strings.CutPrefix(v.text, name+"=")
		if v.Service == s.Name && strings.HasPrefix(v.Path, "services."+s.Name+".environment.") &&
			inList != strings.HasSuffix(v.Path, "."+name) && (value == "${"+secret+":-}" || value == "${"+secret+"-}") {
			return
		}
	}
	c.add(s.Line, s.Name, "its environment does not take "+name+" from "+secret+" alone", "write "+name+": ${"+secret+":-}")
}
