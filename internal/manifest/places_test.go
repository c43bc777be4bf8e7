package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v4"
)

// nodeOfText parses one YAML value.
func nodeOfText(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

func TestFileInMount(t *testing.T) {
	for target, want := range map[string]string{
		"KEY": "KEY", "db_password": "db_password", "a.pem": "a.pem", ".hidden": ".hidden", "/run/secrets/KEY": "KEY", "with blank": "with blank", "..x": "..x",
		"": "", ".": "", "..": "", "../x": "", "a/b": "", "a/": "", "/": "", "/etc/x": "", "/run/secrets/": "", "/run/secrets/..": "", "/run/secrets/a/b": "", "/run/secretsx": "",
		"run/secrets/x": "", `a\b`: "", "C:x": "", "a\x00": "", "a\nb": "", "${X}": "", "./x": "", "/run/secrets//x": "", "/run//secrets/x": "",
	} {
		if got, ok := fileInMount(target); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", target, got, ok, want)
		}
	}
}

func TestHoldsValues(t *testing.T) {
	for _, name := range []string{".env", "./.env", "x/.env", "/srv/app/.env", ".env.local", ".env.production", "secrets", "./secrets/", "secrets/KEY", "./x/../secrets", ".keepmum", "./.keepmum/key", `.\secrets\KEY`} {
		if !holdsValues(name) {
			t.Errorf("%q holds no values", name)
		}
	}
	for _, name := range []string{"", "env", "app.env", ".env.example", ".environment", "secretsx", "my/secrets", ".keepmumx", ".", "..", "/etc/secrets"} {
		if holdsValues(name) {
			t.Errorf("%q holds values", name)
		}
	}
}

func TestPairs_ReadsBothForms(t *testing.T) {
	for text, want := range map[string]string{
		"[A, B=, C=x=y]":                            "A  false|B  true|C x=y true",
		"{A: , B: '', C: x=y, D: 5, E: true}":       "A  false|B  true|C x=y true|D 5 true|E true true",
		"text":                                      "",
		"~":                                         "",
		"{<<: {A: one, B: two}, B: three}":          "B three true|A one true",
		"{<<: [{A: one}, {A: two, C: x}], B: b}":    "B b true|A one true|C x true",
		"[[A], {B: c}, ~, D]":                       "D  false",
		"&x {A: 1, B: 2}":                           "A 1 true|B 2 true",
		"{A: [1], B: {c: d}}":                       "A  true|B  true",
		"- A\n- B=1 # comment\n-  'C = 2'\n":        "A  false|B 1 true|C   2 true",
		"A: |\n  one\n  two\nB: >\n  three\n":       "A one\ntwo\n true|B three\n true",
		"{A: \"x\\ty\", B: 'it''s', C: plain text}": "A x\ty true|B it's true|C plain text true",
	} {
		var got []string
		for _, p := range pairs(resolve(nodeOfText(t, text))) {
			got = append(got, fmt.Sprintf("%s %s %v", p.name, p.value, p.given))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q gives %q, want %q", text, strings.Join(got, "|"), want)
		}
	}
}

func TestVolumeName(t *testing.T) {
	for text, want := range map[string]string{
		"data:/data": "data", "data:/data:ro": "data", "my-data_1:/x": "my-data_1", "{type: volume, source: data, target: /x}": "data",
		"/data": "", "./data:/data": "", "../x:/x": "", "~/x:/x": "", "/host:/x": "", "C:/x:/x": "", "${DIR}:/x": "", "{type: bind, source: data, target: /x}": "", "{type: volume, target: /x}": "", "data": "",
	} {
		if !strings.HasPrefix(text, "{") {
			text = "'" + text + "'"
		}
		if got, _ := volumeName(nodeOfText(t, text)); got != want {
			t.Errorf("%s mounts %q, want %q", text, got, want)
		}
	}
}

func TestStandInFor(t *testing.T) {
	for _, c := range []struct{ path, text, want string }{
		{"services.web.image", "${X}", "1"},
		{"services.web.read_only", "${X}", "true"},
		{"services.web.restart", "$X", "always"},
		{"services.web.depends_on.db.restart", "$X", "true"},
		{"services.web.healthcheck.interval", "${X}", "1s"},
		{"services.web.ports.0", "${X}:80", "1"},
		{"services.web.ports.0", "${X}:80:80", "127.0.0.1"},
		{"services.web.ports.0", "$X:80:80", "127.0.0.1"},
		{"services.web.ports.0", "${X?}:${Y:-1}:80", "127.0.0.1"},
		{"services.web.ports.0", "${X}:${Y:-1}", "1"},
		{"services.web.ports.0", "127.0.0.1:${X}:80", "1"},
		{"services.web.ports.0.host_ip", "${X}", "127.0.0.1"},
		{"networks.back.internal", "${X}", "true"},
	} {
		if got := standInFor(Variable{Name: "X", Path: c.path, text: c.text}); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.text, c.path, got, c.want)
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	shape := composeShape()
	for text, want := range map[string]string{
		"{services: {web: {image: x, x-any: {a: b}}}, x-top: 1}":                        "",
		"{services: {web: {environment: {ANY: 1}, labels: {any: 1}, sysctls: {a: 1}}}}": "",
		"{services: {web: {logging: {options: {any: 1}}, deploy: {labels: {a: b}}}}}":   "",
		"{services: {web: {imgae: x}}, volume: {}}":                                     "services.web.imgae volume",
		"{services: {web: {ports: [{target: 1, publish: 2}]}}}":                         "services.web.ports.[].publish",
		"{services: {web: {secrets: [{source: A, sorce: B}]}}}":                         "services.web.secrets.[].sorce",
		"{secrets: {A: {file: x, fil: y}}, networks: {n: {ipam: {confg: []}}}}":         "networks.n.ipam.confg secrets.A.fil",
		"{services: {web: {image: {a: b}}}}":                                            "", // a wrong kind, not a wrong key
	} {
		var got []string
		for _, key := range unknownKeys(nodeOfText(t, text), shape, nil) {
			got = append(got, strings.Join(key.keys, "."))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: unknown %v, want %q", text, got, want)
		}
	}
}

func TestReasonOf_QuotesNothing(t *testing.T) {
	for text, want := range map[string]string{
		"services.web.read_only must be a boolean":             ": must be a boolean",
		"services.web.ports must be a array":                   ": must be a list",
		"services.web.command must be a array, null or string": ": must be a list, null or string",
		"services.web.x must be a hunter2":                     "",
		"invalid boolean: hunter2":                             "",
		"'hunter2' must be a string but is hunter2":            "",
		"": "",
	} {
		if got := reasonOf(fmt.Errorf("%s", text)); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestParse_SilencesComposesLog(t *testing.T) {
	for _, data := range []string{
		"services:\n  web:\n    image: x${UNSET}\n    labels: [\"a=${ALSO_UNSET}\"]\n",
		"version: '3'\nservices:\n  web:\n    image: x\n    read_only: \"yes\"\n",
	} {
		var log bytes.Buffer
		logrus.SetOutput(&log)
		Parse("x.yml", []byte(data))
		if log.Len() > 0 {
			t.Errorf("compose-go logged %d bytes", log.Len())
		}
	}
}

func TestRemove(t *testing.T) {
	model := map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": 1, "d": 2}, map[string]any{"c": 3}}}, "e": 4, "f": []any{[]any{5}}}
	copied := clone(model).(map[string]any)
	remove(copied, []string{"a", "b", "[]", "c"})
	remove(copied, []string{"e"})
	remove(copied, []string{"none", "deeper"})
	remove(copied, []string{"f", "c"}) // a list, not a mapping
	if got, want := fmt.Sprint(copied), "map[a:map[b:[map[d:2] map[]]] f:[[5]]]"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(model), "map[a:map[b:[map[c:1 d:2] map[c:3]]] e:4 f:[[5]]]"; got != want {
		t.Errorf("the original became %s", got)
	}
}

func TestValidName(t *testing.T) {
	for text, want := range map[string]string{"with-dash": "with_dash", "1BAD": "_1BAD", "a b.c": "a_b_c", "": "_", "ä": "_"} {
		if got := validName(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Compose refuses the file as a whole although each part is fine: Parse must
// say so.
func TestParse_FileRefusedOnlyAsAWhole(t *testing.T) {
	for _, data := range []string{
		"services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}\n",
		"services: {a: {image: x, network_mode: 'service:none'}}\n",
		"services: {a: {image: x, container_name: one, scale: 2}}\n",
		"services: {a: {read_only: true}}\n",
	} {
		if _, findings := Parse("x.yml", []byte(data)); len(findings) == 0 {
			t.Errorf("no finding for %s", data)
		}
	}
}

func TestGuarded_TurnsAPanicIntoAnError(t *testing.T) {
	var none map[string]int
	if err := guarded(func() error { none["x"] = 1; return nil }); err != errGaveUp {
		t.Errorf("%v", err)
	}
}
