package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/internal/fault"
)

// parseSwarm reads a Swarm file with the given variables set.
func parseSwarm(text string, set map[string]string) (*Manifest, []fault.Finding) {
	return Options{Swarm: true, Lookup: lookupIn(set)}.Parse("stack.yml", []byte(text))
}

const swarmFile = `version: "3.9"
services:
  web:
    image: example/web:${TAG:-1}
    secrets:
      - db-password
      - source: session.key
        target: /etc/web/session
        uid: "1000"
        gid: "1000"
        mode: 0400
      - {source: Token_2, target: sub/token}
secrets:
  db-password:
    external: true
  session.key:
    external: true
    name: ${PREFIX:-web}_session.v7
  Token_2:
    external: true
    x-keepmum: {from: other-stack}
  old:
    external: {name: old_name}
  from_file:
    file: ./somewhere/else.txt
  from_variable:
    environment: SOURCE
  DB-PASSWORD:
    external: true
`

func TestSwarm_TakesWhatAStackFileSays(t *testing.T) {
	m, findings := parseSwarm(swarmFile, map[string]string{"PREFIX": "shop"})
	if len(findings) > 0 || m.Model == nil {
		t.Fatalf("refused:\n%s", said(findings))
	}
	var got []string
	for _, d := range m.Secrets {
		got = append(got, fmt.Sprintf("%s external=%v name=%q from=%q file=%q line=%d", d.Name, d.External, d.SwarmName, d.From, d.File, d.Line))
	}
	want := []string{
		`DB-PASSWORD external=true name="" from="" file="" line=26`,
		`Token_2 external=true name="" from="other-stack" file="" line=19`,
		`db-password external=true name="" from="" file="" line=14`,
		`from_file external=false name="" from="" file="" line=24`,
		`from_variable external=false name="" from="" file="" line=26`,
		`old external=true name="old_name" from="" file="" line=22`,
		`session.key external=true name="shop_session.v7" from="" file="" line=16`,
	}
	want[0] = strings.Replace(want[0], "line=26", "line=28", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	web, _ := m.Service("web")
	grants := []Grant{
		{Secret: "session.key", Target: "/etc/web/session", Line: 7},
		{Secret: "db-password", Target: "db-password", Line: 6},
		{Secret: "Token_2", Target: "sub/token", Line: 12},
	}
	if diff := cmp.Diff(grants, web.Grants); diff != "" {
		t.Error(diff)
	}
	if m.Model.Secrets["from_file"].File != "./somewhere/else.txt" {
		t.Error("the model does not say which file is not read")
	}
}

// The same file is refused as the project's manifest, so the dialect matters.
func TestSwarm_IsAnotherDialectThanTheManifest(t *testing.T) {
	_, findings := Parse("stack.yml", []byte(swarmFile))
	if len(findings) < 10 {
		t.Errorf("as a manifest it has only these findings:\n%s", said(findings))
	}
}

func TestSwarm_Findings(t *testing.T) {
	const service = "services: {web: {image: x"
	for _, c := range []struct {
		name, text, want string
		set              map[string]string
	}{
		{"top-level name", "name: shop\n" + service + "}}\n", "1: name: docker stack deploy refuses a top-level name:", nil},
		{"name of a secret", service + "}}\nsecrets:\n  a b: {external: true}\n", "3: a b: is no name that a Swarm takes: letters, digits, and - _ . between them", nil},
		{"name that ends in -", service + "}}\nsecrets:\n  a-: {external: true}\n", "3: a-: is no name that a Swarm takes: letters, digits, and - _ . between them", nil},
		{"long name", service + "}}\nsecrets:\n  " + strings.Repeat("a", 65) + ": {external: true}\n", "3: " + strings.Repeat("a", 65) + ": is longer than the 64 characters that a Swarm takes", nil},
		{"fixed name", service + "}}\nsecrets:\n  a:\n    external: true\n    name: ${N}/b\n", "5: a: its name: is no name that a Swarm takes: letters, digits, and - _ . between them", map[string]string{"N": "n"}},
		{"nothing", service + "}}\nsecrets:\n  a: {}\n", "3: a: does not say where it comes from", nil},
		{"driver", service + "}}\nsecrets:\n  a: {driver: vault}\n", "3: a: its value comes from a secret driver, which keepmum does not manage", nil},
		{"rules", service + "}}\nsecrets:\n  a: {external: true, x-keepmum: {min_length: 8, from: b, form: c}}\n",
			"3: a: min_length belongs to docker-compose.yml, which holds all rules\n3: a: unknown key form in x-keepmum", nil},
		{"rules that are text", service + "}}\nsecrets:\n  a: {external: true, x-keepmum: yes}\n", "3: a: x-keepmum must be a mapping", nil},
		{"mistyped key", service + "}}\nsecrets:\n  a: {external: true, x-keepnum: {from: b}}\n", "3: a: unknown key x-keepnum", nil},
		{"stack", service + "}}\nsecrets:\n  a: {external: true, x-keepmum: {from: Other}}\n", "3: a: from is not the name of a stack", nil},
		{"from and name", service + "}}\nsecrets:\n  a: {external: true, name: b, x-keepmum: {from: c}}\n", "3: a: has from: and a fixed name:, which contradict each other", nil},
		{"undeclared grant", "services:\n  web:\n    image: x\n    secrets:\n      - a\n", "5: web: is granted a, which is not declared", nil},
		{"value of a secret", "services:\n  web:\n    image: x\n    environment:\n      A: ${TOKEN}\nsecrets: {TOKEN: {external: true}}\n",
			"5: TOKEN: its value is put into the compose file at services.web.environment.A: Compose reads .env, and docker inspect shows the value", nil},
		{"source of a secret", "services:\n  web:\n    image: x\n    labels:\n      a: ${SOURCE}\nsecrets: {a: {environment: SOURCE}}\n",
			"5: SOURCE: its value is put into the compose file at services.web.labels.a: Compose reads .env, and docker inspect shows the value", map[string]string{"SOURCE": "canary-1"}},
		{"required variables", "services:\n  web:\n    image: x:${TAG:?say which}\n    hostname: ${HOST}\n    labels:\n      a: ${DOMAIN?}\n      b: ${TAG}\n",
			"3: TAG: this variable is not set, and services.web.image needs it\n6: DOMAIN: this variable is not set, and services.web.labels.a needs it\n7: TAG: this variable is not set, and services.web.labels.b needs it", nil},
		{"variable that must be a number", "services:\n  web:\n    image: x\n    deploy:\n      replicas: ${N}\n    hostname: ${HOST}\n", "5: N: this variable is not set, and services.web.deploy.replicas needs it", nil},
		{"command", "services:\n  web:\n    image: x\n    command: a && b\n    entrypoint: sh -c \"a && b\"\n", "4: web: command has an unquoted &, where Compose ends the command and docker stack deploy does not", nil},
		{"option of a mount", "services:\n  web:\n    image: x\n    volumes:\n      - /a:/b:ro,sync\n      - /c:/d:z,rshared\n      - /e:/f\n", "5: web: a mount has the unknown option sync, which would be ignored", nil},
		{"env file", "services:\n  web:\n    image: x\n    env_file: .env\n", "4: web: env_file: puts every value of that file into the container, where docker inspect shows it", nil},
		{"unknown key", "services:\n  web:\n    image: x\n    replicas: 2\n", "4: web: unknown key services.web.replicas", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, findings := parseSwarm(c.text, c.set)
			if diff := cmp.Diff(c.want, said(findings)); diff != "" {
				t.Error(diff)
			}
			for _, f := range findings {
				if f.Next == "" || f.File != "stack.yml" || strings.Contains(f.Problem+f.Next, "canary") {
					t.Errorf("half a finding, or a value in it: %s ~ %s", f, f.Next)
				}
			}
		})
	}
}

func TestSwarm_NeverAsksForASecretsSource(t *testing.T) {
	var asked []string
	_, _ = Options{Swarm: true, Lookup: func(name string) (string, bool) {
		asked = append(asked, name)
		return "", false
	}}.Parse("stack.yml", []byte("services: {web: {image: \"x:${TAG}${SOURCE}${PW}\"}}\nsecrets: {a: {environment: SOURCE}, PW: {external: true}}\n"))
	if diff := cmp.Diff([]string{"TAG"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestEndOfCommand(t *testing.T) {
	for text, want := range map[string]string{
		"a b":                       "",
		"a; b":                      ";",
		"a|b":                       "|",
		"a > b":                     ">",
		"a <b":                      "<",
		"a 'b && c' \"d; e\" `f|g`": "",
		`a \; b`:                    "",
		`a '\' ; b`:                 ";",
		`a "\"" ; b`:                ";",
		"a ${X:-b;c} d":             "",
		"a ${X} ; d":                ";",
		"a 'b":                      "",
		"":                          "",
	} {
		if got := endOfCommand(nodeOfText(t, fmt.Sprintf("%q", text))); got != want {
			t.Errorf("%s ends at %q, want %q", text, got, want)
		}
	}
	if got := endOfCommand(nodeOfText(t, `[a, "&&", b]`)); got != "" {
		t.Errorf("a list ends at %q", got)
	}
}

func TestUnknownMountOption(t *testing.T) {
	for text, want := range map[string]string{
		"/a:/b": "", "v:/b:ro": "", "v:/b:nocopy,ro": "", "/a:/b:Z": "", "/a:/b:cached": "", "/b": "", "${A:-x}:/b": "", "/a:/b:${MODE}": "", `C:\a:/b`: "",
		"/a:/b:rox": "rox", "v:/b:ro,volume-nocopy": "volume-nocopy", "${A:-x:y}:/b:exec": "exec",
	} {
		if got := unknownMountOption(nodeOfText(t, fmt.Sprintf("%q", text))); got != want {
			t.Errorf("%s has the unknown option %q, want %q", text, got, want)
		}
	}
	if got := unknownMountOption(nodeOfText(t, "{type: bind}")); got != "" {
		t.Errorf("a long form has the unknown option %q", got)
	}
}

const linesFile = `x-deploy: &deploy
  replicas: 2
  resources:
    limits: {memory: 1g}
services:
  web:
    image: x
    deploy:
      <<: *deploy
      mode: replicated
    ports:
      - "80:80"
      - target: 81
        published: 82
  other:
    image: x
    deploy: *deploy
  last: &last
    image: x
    init: false
  copy: *last
`

func TestManifest_LineOf(t *testing.T) {
	m, findings := parseSwarm(linesFile, nil)
	if len(findings) > 0 {
		t.Fatal(said(findings))
	}
	for _, c := range []struct {
		path     string
		line     int
		declared bool
	}{
		{"services", 5, true},
		{"services web", 6, true},
		{"services web deploy mode", 10, true},
		{"services web deploy replicas", 2, true},
		{"services web deploy resources limits memory", 4, true},
		{"services other deploy", 17, true},
		{"services other deploy resources", 3, true},
		{"services web ports 0", 12, true},
		{"services web ports 1", 13, true},
		{"services web ports 1 published", 14, true},
		{"services web ports 2", 11, false},
		{"services web ports x", 11, false},
		{"services web ports -1", 11, false},
		{"services web ports 0 target", 12, false},
		{"services web privileged", 6, false},
		{"services web deploy placement constraints", 8, false},
		{"services none image", 5, false},
		{"services copy init", 20, true},
		{"networks default", 0, false},
	} {
		path := strings.Fields(c.path)
		if line, declared := m.LineOf(path...), m.Declares(path...); line != c.line || declared != c.declared {
			t.Errorf("%s is at line %d, declared %v; want %d, %v", c.path, line, declared, c.line, c.declared)
		}
	}
	broken, _ := parseSwarm("a: b: c", nil)
	if broken.LineOf("services") != 0 || broken.Declares("services") {
		t.Error("a file that cannot be read has a place")
	}
}
