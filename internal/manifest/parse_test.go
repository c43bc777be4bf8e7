package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
	"go.yaml.in/yaml/v4"
)

// lookupIn is a Lookup in a map.
func lookupIn(set map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := set[name]
		return value, ok
	}
}

// said renders findings for comparison, one a line.
func said(findings []fault.Finding) string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%d: %s: %s", f.Line, f.Subject, f.Problem))
	}
	return strings.Join(lines, "\n")
}

func TestParse_NotAManifest(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "0: : the compose file is empty"},
		{"blanks", " \n\t\n", "0: : the compose file is empty"},
		{"comment", "# nothing\n", "0: : the compose file is empty"},
		{"null", "---\n...\n", "1: : this is not a compose file: the top level is not a mapping"},
		{"list", "- a\n", "1: : this is not a compose file: the top level is not a mapping"},
		{"text", "hello world", "1: : this is not a compose file: the top level is not a mapping"},
		{"binary", "\x00\x01\xff", "0: : the compose file is not UTF-8 text"},
		{"control", "a: \x01", "0: : not readable as YAML: control characters are not allowed"},
		{"colon", "a: b: c", "1: : not readable as YAML: mapping values are not allowed in this context"},
		{"tab", "services:\n\tweb: 1", "2: : not readable as YAML: found character that cannot start any token"},
		{"quote", "a: 'x", "1: : not readable as YAML: found unexpected end of stream"},
		{"bracket", "services:\n  web: [1\n", "3: : not readable as YAML: did not find expected ',' or ']'"},
		{"anchor", "services:\n  web: *none\n", "2: : not readable as YAML"},
		{"cycle", "services: &a\n  web: *a\n", "0: : not readable as YAML: anchors or tags do not resolve"},
		{"merge of text", "a: {<<: text}\n", "0: : not readable as YAML: anchors or tags do not resolve"},
		{"two documents", "services: {a: {image: x}}\n---\nservices: {}\n", "2: : the file contains more than one YAML document"},
		{"second document broken", "services: {a: {image: x}}\n---\na: b: c\n", "3: : not readable as YAML: mapping values are not allowed in this context"},
		{"key that is a list", "services:\n  [a, b]: 1\n  c: {image: x}\n", "2: : a key is not plain text"},
		{"large", strings.Repeat("# comment\n", 1_700_000), "0: : the compose file is larger than 16 MiB"},
		{"deep", strings.Repeat("{a: ", 100) + strings.Repeat("}", 100), "1: : nested too deeply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, findings := Parse("x.yml", []byte(c.data))
			if m == nil || said(findings) != c.want {
				t.Errorf("says\n%s\nwant\n%s", said(findings), c.want)
			}
		})
	}
}

func TestParse_RefusesExplodingAliases(t *testing.T) {
	data := "a0: &a0 [x]\n"
	for i := range 20 {
		data += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	started := time.Now()
	if _, findings := Parse("x.yml", []byte(data+"services: {a: {image: x}}\n")); !strings.Contains(said(findings), "anchors or tags do not resolve") {
		t.Errorf("says\n%s", said(findings))
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestExpanded_CountsAliasesAndStopsAtCycles(t *testing.T) {
	for data, want := range map[string]int{
		"a: [1, 2]":                        6, // document, mapping, key, list, two entries
		"a: &a [1, 2]\nb: *a":              11,
		"a: &a [1, *a]":                    maxNodes + 1,
		"a: &a {b: {c: [*a]}}\nd: [1, *a]": maxNodes + 1,
	} {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(data), &document); err != nil {
			t.Fatal(err)
		}
		if got := expanded(&document, map[*yaml.Node]int{}); got != want {
			t.Errorf("%q expands to %d nodes, want %d", data, got, want)
		}
	}
}

const full = `name: shop
x-base: &base
  read_only: true
  cap_drop: [NET_RAW, ALL]
services:
  web:
    <<: *base
    image: ${IMAGE:-web}:${TAG:-1}
    user: "1000"
    secrets:
      - API_KEY
      - source: TOKEN
        target: /run/secrets/token
    environment:
      - MODE=${MODE-fast}
      - PASSED
    ports: ["127.0.0.1:${PORT:-80}:8080", "9000-9001:9000-9001/udp"]
    volumes: ["data:/data:ro", "./conf:/conf"]
    depends_on: [db]
    env_file: plain.env
    build: ./web
    networks: [back]
    profiles: [extra]
    healthcheck: {test: [CMD, /web, health], interval: 3s, retries: 4}
  db:
    image: db
    networks: {back: {aliases: [store]}}
    secrets: [{source: TOKEN}]
  child:
    extends: {service: db}
    depends_on: {web: {condition: service_healthy, required: false}}
secrets:
  TOKEN: {file: secrets/TOKEN}
  API_KEY:
    file: ./secrets/API_KEY
    x-keepmum:
      description: key of the provider
      min_length: 3
      max_length: 0x10
      pattern: "^[a-z]+$$"
      type: text
      newline: keep
      optional: True
      default: abc
      rotate_every: 2w
networks: {back: , front: {}}
volumes: {data: }
`

func TestParse_ReadsEverything(t *testing.T) {
	m, findings := Parse("x.yml", []byte(full))
	if len(findings) > 0 {
		t.Fatalf("findings:\n%s", said(findings))
	}
	if m.File != "x.yml" || m.Project != "shop" {
		t.Errorf("file %q, project %q", m.File, m.Project)
	}
	key, _ := m.Secret("API_KEY")
	if key.Pattern == nil || key.Pattern.String() != "^[a-z]+$" || key.Default.RevealString() != "abc" {
		t.Errorf("pattern %v", key.Pattern)
	}
	key.Pattern, key.Default = nil, secrets.Secret{}
	want := Declaration{
		Name: "API_KEY", File: "secrets/API_KEY", Line: 34, Description: "key of the provider", MinLength: 3, MaxLength: 16,
		Type: Text, Newline: Keep, Optional: true, RotateEvery: 14 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(want, key) {
		t.Errorf("declaration is\n%+v, want\n%+v", key, want)
	}
	if want := []string{"API_KEY", "TOKEN"}; !slices.Equal(m.Names(), want) {
		t.Errorf("names %v", m.Names())
	}
	if got := m.GrantedTo("TOKEN"); !slices.Equal(got, []string{"child", "db", "web"}) {
		t.Errorf("TOKEN is granted to %v (child has it by extends)", got)
	}
	if got := m.GrantedTo("NONE"); got != nil {
		t.Errorf("NONE is granted to %v", got)
	}
}

// text is a variable's value in a service's environment.
func text(value string) *string { return &value }

func TestParse_ReadsAService(t *testing.T) {
	m, _ := Parse("x.yml", []byte(full))
	web, ok := m.Service("web")
	if !ok {
		t.Fatal("no service web")
	}
	retries, interval := uint64(4), types.Duration(3*time.Second)
	want := Service{Name: "web", Line: 6, Grants: []Grant{{"API_KEY", "API_KEY", 11}, {"TOKEN", "token", 12}}, PortsLine: 17}
	want.ServiceConfig = types.ServiceConfig{
		Name: "web", Profiles: []string{"extra"},
		ContainerSpec: types.ContainerSpec{
			Image: "web:1", User: "1000", ReadOnly: true, CapDrop: []string{"NET_RAW", "ALL"},
			Environment: types.MappingWithEquals{"MODE": text("fast"), "PASSED": nil},
			EnvFiles:    []types.EnvFile{{Path: "plain.env", Required: true}},
			Networks:    map[string]*types.ServiceNetworkConfig{"back": nil},
			Secrets:     []types.ServiceSecretConfig{{Source: "API_KEY", Target: "/run/secrets/API_KEY"}, {Source: "TOKEN", Target: "/run/secrets/token"}},
			Volumes: []types.ServiceVolumeConfig{
				{Type: "volume", Source: "data", Target: "/data", ReadOnly: true, Volume: &types.ServiceVolumeVolume{}},
				{Type: "bind", Source: "./conf", Target: "/conf", Bind: &types.ServiceVolumeBind{CreateHostPath: true}},
			},
		},
		WorkloadSpec: types.WorkloadSpec{
			Build:       &types.BuildConfig{Context: "./web", Dockerfile: "Dockerfile"},
			DependsOn:   types.DependsOnConfig{"db": {Condition: "service_started", Required: true}},
			HealthCheck: &types.HealthCheckConfig{Test: []string{"CMD", "/web", "health"}, Interval: &interval, Retries: &retries},
			Ports: []types.ServicePortConfig{
				{Mode: "ingress", HostIP: "127.0.0.1", Published: "80", Target: 8080, Protocol: "tcp"},
				{Mode: "ingress", Published: "9000", Target: 9000, Protocol: "udp"},
				{Mode: "ingress", Published: "9001", Target: 9001, Protocol: "udp"},
			},
		},
	}
	if diff := cmp.Diff(want, web, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	child, _ := m.Service("child")
	if got := child.DependsOn["web"]; len(child.DependsOn) != 1 || got.Condition != "service_healthy" || got.Required {
		t.Errorf("child depends on %v", child.DependsOn)
	}
	if diff := cmp.Diff([]Grant{{"TOKEN", "TOKEN", 29}}, child.Grants); diff != "" {
		t.Errorf("grants by extends: %s", diff)
	}
	if _, ok := m.Service("none"); ok {
		t.Error("there is a service none")
	}
}

func TestParse_ExposesTheModel(t *testing.T) {
	m, _ := Parse("x.yml", []byte(full))
	if m.Model == nil {
		t.Fatal("no model of a file that Compose accepts")
	}
	if got := m.Model.ServiceNames(); !slices.Equal(got, []string{"child", "db", "web"}) {
		t.Errorf("services %v (web has a profile; all are on)", got)
	}
	if m.Model.Name != "shop" || !slices.Equal(m.Model.NetworkNames(), []string{"back", "front"}) || !slices.Equal(m.Model.VolumeNames(), []string{"data"}) {
		t.Errorf("name %q, networks %v, volumes %v", m.Model.Name, m.Model.NetworkNames(), m.Model.VolumeNames())
	}
	for name, secret := range m.Model.Secrets {
		if secret.File != "./secrets/"+name && secret.File != "secrets/"+name || secret.Content != "" || len(secret.Extensions) > 0 {
			t.Errorf("%s: file %q, %d extensions", name, secret.File, len(secret.Extensions))
		}
	}
	if bind := m.Model.Services["web"].Volumes[1].Source; bind != "./conf" {
		t.Errorf("a path became %q", bind)
	}
}

func TestParse_HasNoModelWhenComposeRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"not YAML":        "a: b: c",
		"unknown key":     "services: {web: {image: x, imgae: y}}",
		"wrong kind":      "services: {web: {image: [x]}}",
		"only as a whole": "services: {web: {read_only: true}}",
		"required":        "services: {web: {image: \"${IMAGE:?}\"}}",
		"made-up value":   "services: {web: {image: x, ports: [\"${PORT}:80\", \"${ADDRESS:?}:1:1\"]}}",
	} {
		if m, _ := Parse("x.yml", []byte(data)); m.Model != nil {
			t.Errorf("%s: there is a model", name)
		}
	}
}

// What the process or a lookup says of a declared secret must not get into the
// model, however the file refers to it.
func TestParse_KeepsSecretsOutOfTheModel(t *testing.T) {
	const canary = "canary-value"
	t.Setenv("KEY", canary)
	t.Setenv("OTHER", canary)
	data := `services:
  web:
    image: x
    environment: [KEY, OTHER, "A=${KEY:-}", "B=${OTHER:-}", "C=${PLAIN}"]
    labels: {a: "${OTHER}", b: "${PLAIN}"}
    secrets: [KEY]
secrets:
  KEY: {file: ./secrets/KEY, x-keepmum: {optional: true, default: canary-value}}
  BY_VARIABLE: {environment: KEY}
`
	var asked []string
	m, _ := Options{
		Lookup: func(name string) (string, bool) { asked = append(asked, name); return canary, true },
		Secret: func(name string) bool { return name == "OTHER" },
	}.Parse("x.yml", []byte(data))
	if !slices.Equal(asked, []string{"PLAIN"}) {
		t.Errorf("asked for %v", asked)
	}
	out, err := m.Model.MarshalYAML(types.WithSecretContent)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), canary); n != 2 {
		t.Errorf("the value is in the model %d times, want only PLAIN's 2", n)
	}
}

func TestOptions_LookupIsAskedOnceForEachVariable(t *testing.T) {
	var asked []string
	m, findings := Options{Lookup: func(name string) (string, bool) {
		asked = append(asked, name)
		return "9000", name == "PORT"
	}}.Parse("x.yml", []byte(full+"x-more: \"$PORT ${TAG} ${INNER:-${MODE}}\"\n"))
	if len(findings) > 0 {
		t.Fatalf("findings:\n%s", said(findings))
	}
	if want := []string{"IMAGE", "INNER", "MODE", "PORT", "TAG"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
	if web, _ := m.Service("web"); web.Ports[0].Published != "9000" || web.Image != "web:1" {
		t.Errorf("port %q, image %q", web.Ports[0].Published, web.Image)
	}
}

func TestOptions_LookupFillsVariablesButNeverSecrets(t *testing.T) {
	data := strings.Replace(full, "MODE=${MODE-fast}", "MODE=${MODE-fast}${API_KEY}", 1)
	m, findings := Options{Lookup: lookupIn(map[string]string{"IMAGE": "other", "MODE": "", "PASSED": "yes", "API_KEY": "canary-value"})}.Parse("x.yml", []byte(data))
	web, _ := m.Service("web")
	if web.Image != "other:1" || *web.Environment["MODE"] != "" || web.Environment["PASSED"] != nil {
		t.Errorf("image %q, environment of %d", web.Image, len(web.Environment))
	}
	if len(findings) != 1 || findings[0].Subject != "API_KEY" {
		t.Errorf("findings:\n%s", said(findings))
	}
}

func TestParse_LooksAtNothingButTheBytes(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"IMAGE", "TAG", "MODE", "PORT", "PASSED", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"} {
		t.Setenv(name, "from-outside")
	}
	m, findings := Parse("x.yml", []byte(full)) // plain.env and web/ do not exist
	web, _ := m.Service("web")
	if len(findings) > 0 || web.Image != "web:1" || *web.Environment["MODE"] != "fast" || web.Environment["PASSED"] != nil || m.Project != "shop" {
		t.Errorf("the environment of the process came in: image %q, project %q, findings\n%s", web.Image, m.Project, said(findings))
	}
}

func TestParse_AcceptsVariablesWithoutAValue(t *testing.T) {
	data := `services:
  web:
    image: "${IMAGE:?say which}"
    ports: ["${PORT}:80", "${ADDRESS:?}:${PORT}:81", "$ADDRESS:82:82"]
    read_only: ${RO}
    init: $INIT
    healthcheck: {test: "x", interval: "${EVERY?}", retries: "${TIMES}"}
    restart: ${RESTART}
    mem_limit: ${MEM}
    deploy: {replicas: "${N}"}
`
	m, findings := Parse("x.yml", []byte(data))
	if len(findings) > 0 {
		t.Errorf("findings:\n%s", said(findings))
	}
	if web, _ := m.Service("web"); web.Image != "" || len(web.Ports) != 3 {
		t.Errorf("image %q (not known), %d ports", web.Image, len(web.Ports))
	}
	if len(m.Variables) != 12 || m.Variables[0].Name != "IMAGE" {
		t.Errorf("variables: %+v", m.Variables)
	}
}

func TestParse_Variables(t *testing.T) {
	m, _ := Parse("x.yml", []byte(`services:
  web:
    image: ${A:-one}/${B-two}:$C
    environment:
      LIST: "$$D ${E:+$F} ${G:-${H}}"
      BLOCK: |
        first $$x
        second ${I}
      J: ${J:-}
    labels: ["k=${K:-}", "l=x$L"]
x-other: {y: "${M:?must}"}
`))
	var got []string
	for _, v := range m.Variables {
		got = append(got, fmt.Sprintf("%d %s %s %q %v", v.Line, v.Name, v.Path, v.Default, v.HasDefault))
	}
	want := []string{
		`3 A services.web.image "one" true`,
		`3 B services.web.image "two" true`,
		`3 C services.web.image "" false`,
		`5 E services.web.environment.LIST "" false`,
		`5 F services.web.environment.LIST "" false`,
		`5 G services.web.environment.LIST "${H}" true`,
		`5 H services.web.environment.LIST "" false`,
		`8 I services.web.environment.BLOCK "" false`,
		`9 J services.web.environment.J "" true`,
		`10 K services.web.labels.0 "" true`,
		`10 L services.web.labels.1 "" false`,
		`11 M x-other.y "" false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// No finding quotes the right-hand side of anything.
func TestParse_FindingsQuoteNoValue(t *testing.T) {
	const canary = "hunter2canary"
	for _, line := range []string{
		"    read_only: " + canary, "    ports: [\"" + canary + ":x\"]", "    ports: [" + canary + "]", "    environment: " + canary, "    environment: [" + canary + "]\n    privileged: [1]",
		"    environment: {KEY: " + canary + "}", "    environment: {X: \"${" + canary + "!}\"}", "    environment: {X: \"${KEY:-" + canary + "}\"}", "    environment: {X: \"${KEY:?" + canary + "}\"}",
		"    healthcheck: {interval: " + canary + "}", "    healthcheck: {test: [" + canary + "]}", "    deploy: {replicas: " + canary + "}", "    mem_limit: " + canary,
		"    restart: [" + canary + "]", "    cap_drop: " + canary, "    ulimits: {nofile: " + canary + "}", "    build: {args: {KEY: " + canary + "}}",
		"    command: \"'" + canary, "    command: 'a' " + canary, "    pull_policy: " + canary, "    user: {a: " + canary + "}", "    entrypoint: {a: " + canary + "}",
		"    labels: [{a: " + canary + "}]", "    logging: " + canary, "    tmpfs: {a: " + canary + "}", "    secrets: [{source: KEY, target: ../" + canary + "}]",
		"    secrets: [{source: KEY, mode: " + canary + "}]", "    volumes: [{type: " + canary + "}]", "    env_file: [{path: " + canary + ", format: [1]}]", "    extends: " + canary,
	} {
		data := "services:\n  web:\n    image: x\n" + line + "\nsecrets:\n  KEY:\n    file: ./secrets/KEY\n"
		_, findings := Parse("x.yml", []byte(data))
		if len(findings) == 0 {
			t.Errorf("no finding for: %s", line)
		}
		for _, f := range findings {
			if strings.Contains(f.Subject+f.Problem+f.Next, canary) {
				t.Errorf("quoted: %s: %s (%s)", f.Subject, f.Problem, f.Next)
			}
		}
	}
	for _, rule := range []string{"description: [1, " + canary + "]", "min_length: " + canary, "type: " + canary, "newline: " + canary, "optional: " + canary, "default: " + canary, "rotate_every: " + canary, "generate: " + canary, "generate: {alphabet: x" + canary + "x}", canary} {
		data := "services:\n  web:\n    image: x\n    secrets: [KEY]\nsecrets:\n  KEY:\n    file: ./secrets/KEY\n    x-keepmum: {" + rule + "}\n"
		if rule == canary {
			data = strings.Replace(data, "{"+rule+"}", rule, 1)
		}
		_, findings := Parse("x.yml", []byte(data))
		if len(findings) == 0 {
			t.Errorf("no finding for: %s", rule)
		}
		for _, f := range findings {
			if strings.Contains(f.Subject+f.Problem+f.Next, canary) {
				t.Errorf("quoted: %s: %s (%s)", f.Subject, f.Problem, f.Next)
			}
		}
	}
}
