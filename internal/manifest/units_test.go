package manifest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestVariablesIn(t *testing.T) {
	for text, want := range map[string]string{
		"plain":               "",
		"$$A and $$$$":        "",
		"$A":                  `A "" false`,
		"${A}":                `A "" false`,
		"${A:-x}":             `A "x" true`,
		"${A-x}":              `A "x" true`,
		"${A:-}":              `A "" true`,
		"${A:?why}":           `A "" false`,
		"${A?}":               `A "" false`,
		"${A:+x}":             `A "" false`,
		"$B$A":                `A "" false, B "" false`,
		"${A:-${B:-${C}}}":    `A "${B:-${C}}" true, B "${C}" true, C "" false`,
		"${A:+$B}":            `A "" false, B "" false`,
		"$A ${A:-x}":          `A "x" true`,
		"${A":                 "",
		"a${1}b":              "",
		"${A_1} $_B ${c:-$d}": `A_1 "" false, _B "" false, c "$d" true, d "" false`,
	} {
		var got []string
		for _, v := range variablesIn(text) {
			got = append(got, fmt.Sprintf("%s %q %v", v.Name, v.Default, v.HasDefault))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s has %s, want %s", text, strings.Join(got, ", "), want)
		}
	}
}

func TestLineOf(t *testing.T) {
	for data, want := range map[string]int{
		"a: $X":                        1,
		"a: |\n  one\n  $X\n":          3,
		"a: |\n  ${X:-}\n":             2,
		"a: |\n  one\n  two\n":         1, // no use in it
		"a: >\n  one\n  $X\n":          1, // a folded block has lost its lines
		"a: \"one\\n$X\"\n":            1,
		"a: |\n  $$X\n  two\n  ${X}\n": 4,
	} {
		value, _ := get(nodeOfText(t, data), "a")
		if got := lineOf(value, "X"); got != want {
			t.Errorf("%q: line %d, want %d", data, got, want)
		}
	}
}

// What an anchor holds is found once, at the anchor, not at each alias.
func TestParse_VariablesBehindAnAlias(t *testing.T) {
	m, _ := Parse("x.yml", []byte("x-a: &a {IMAGE: \"${X}\"}\nservices:\n  web: {image: x, environment: *a}\n  b: {image: x, environment: {<<: *a, Y: $Y}}\n"))
	var got []string
	for _, v := range m.Variables {
		got = append(got, fmt.Sprintf("%d %s %s %s", v.Line, v.Name, v.Path, v.Service))
	}
	if want := []string{"1 X x-a.IMAGE ", "4 Y services.b.environment.Y b"}; !slices.Equal(got, want) {
		t.Errorf("variables %q, want %q", got, want)
	}
}

// broken is a reader that panics, as a YAML library with a bug might.
type broken struct{}

func (broken) Read([]byte) (int, error) { panic("secret-in-a-panic") }

func TestGuarded_DropsThePanicOfTheYAMLLibrary(t *testing.T) {
	var node yaml.Node
	err := guarded(func() error { return yaml.NewDecoder(broken{}).Decode(&node) })
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestFields_MergesInOrder(t *testing.T) {
	for data, want := range map[string]string{
		"{a: 1, b: 2}":                           "a=1 b=2",
		"{<<: {a: 0, c: 3}, a: 1}":               "a=1 c=3",
		"{<<: [{a: 0}, {a: 5, b: 2}], c: 3}":     "c=3 a=0 b=2",
		"{<<: {<<: {a: 0, b: 1}, b: 2}}":         "b=2 a=0",
		"{x: &x {a: 1}, <<: *x}":                 "x= a=1",
		"[a]":                                    "",
		"text":                                   "",
		"{\"<<\": text, a: 1}":                   "<<=text a=1",
		"{a: &v one, b: *v}":                     "a=one b=one",
		"{<<: &m {a: 1}, b: {<<: *m, a: inner}}": "b= a=1",
	} {
		var got []string
		for _, f := range fields(nodeOfText(t, data)) {
			got = append(got, f.name()+"="+f.value.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %s, want %s", data, strings.Join(got, " "), want)
		}
	}
}

func TestGet(t *testing.T) {
	node := nodeOfText(t, "a: 1\nb: {c: 2}\n")
	if value, at := get(node, "b"); at.Line != 2 || at.Value != "b" || len(fields(value)) != 1 {
		t.Errorf("b is %+v at line %d", value, at.Line)
	}
	if value, at := get(node, "none"); !isNull(value) || at.Line != 0 || isText(value) {
		t.Errorf("none is %+v at line %d", value, at.Line)
	}
	for data, want := range map[string][2]bool{"a": {false, true}, "5": {false, true}, "''": {false, true}, "~": {true, false}, "null": {true, false}, "[a]": {false, false}, "{a: 1}": {false, false}} {
		node := nodeOfText(t, data)
		if got := [2]bool{isNull(node), isText(node)}; got != want {
			t.Errorf("%s: null, text: %v, want %v", data, got, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	largest := bytes.Repeat([]byte("#"), maxFile)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":          {[]byte("a: b"), ""},
		"the largest":   {largest, ""},
		"one byte more": {append(largest[:maxFile:maxFile], '#'), "the compose file is larger than 16 MiB"},
		"not UTF-8":     {[]byte("a: \xff"), "the compose file is not UTF-8 text"},
		"line ends":     {[]byte("\r\n\n"), "the compose file is empty"},
	} {
		if got := unreadable(c.data); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestReasonWithoutQuote(t *testing.T) {
	for text, want := range map[string]string{
		"did not find expected key":                   ": did not find expected key",
		"line 3: found unexpected end of stream here": ": found unexpected end of stream",
		"unknown anchor 'hunter2' referenced":         "",
		"cannot unmarshal !!str `hunter2` into bool":  "",
		"": "",
	} {
		if got := reasonWithoutQuote(text); got != want {
			t.Errorf("%q keeps %q, want %q", text, got, want)
		}
	}
}

// The lines of a blamed place are those from its key to its last entry.
func TestLinesOf(t *testing.T) {
	r := &reader{root: nodeOfText(t, "services:\n  web:\n    image: x\n    ports:\n      - a\n      - b\n  db: {image: x}\n")}
	for place, want := range map[string][2]int{
		"services": {1, 7}, "services.web": {2, 6}, "services.web.image": {3, 3}, "services.web.ports": {4, 6}, "services.db": {7, 7},
	} {
		first, last := r.linesOf(strings.Split(place, "."))
		if got := [2]int{first, last}; got != want {
			t.Errorf("%s is on lines %v, want %v", place, got, want)
		}
	}
}

// A file with a fault in very many places ends after maxBlame tries.
func TestBlame_Ends(t *testing.T) {
	var data strings.Builder
	data.WriteString("services:\n")
	for i := range maxBlame {
		fmt.Fprintf(&data, "  s%d: {image: x, privileged: maybe}\n", i)
	}
	_, findings := Parse("x.yml", []byte(data.String()))
	if n := len(findings); n == 0 || n >= maxBlame {
		t.Errorf("%d findings, want some and fewer than %d", n, maxBlame)
	}
}

func TestDidYouMean(t *testing.T) {
	many := make([]string, maxCandidates)
	for i := range many {
		many[i] = fmt.Sprintf("name%d", i)
	}
	for _, c := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"imgae", []string{"image", "images"}, "did you mean image?"},
		{"IMAGE", []string{"image"}, "did you mean image?"},
		{"api key", []string{"API_KEY"}, "did you mean API_KEY?"},
		{"zzz", []string{"image"}, "otherwise"},
		{"imgae", nil, "otherwise"},
		{"nmae7", many, "did you mean name7?"},
		{"nmae7", append(many, "more"), "otherwise"}, // too many to compare
	} {
		if got := didYouMean(c.name, c.candidates, "otherwise"); got != c.want {
			t.Errorf("%s among %d: %q, want %q", c.name, len(c.candidates), got, c.want)
		}
	}
}

func TestEdits(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"ab", "ab", 0}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"ab", "abc", 1},
		{"kitten", "sitting", 3}, {"ca", "abc", 3}, {long, "a", 64}, {"a", long, 64}, {long[:64], long[:63], 1},
	} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q are %d edits, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestManifest_FindsByName(t *testing.T) {
	m, _ := Parse("x.yml", []byte(full))
	for name, want := range map[string]bool{"API_KEY": true, "TOKEN": true, "A": false, "B": false, "ZZZ": false, "": false} {
		d, ok := m.Secret(name)
		if ok != want || ok && d.Name != name || !ok && d.Name != "" {
			t.Errorf("secret %q: %v, %q", name, ok, d.Name)
		}
	}
	for name, want := range map[string]bool{"web": true, "db": true, "child": true, "we": false, "": false} {
		s, ok := m.Service(name)
		if ok != want || ok && s.Name != name || !ok && s.Name != "" {
			t.Errorf("service %q: %v, %q", name, ok, s.Name)
		}
	}
	if names := (&Manifest{}).Names(); names == nil || len(names) != 0 {
		t.Errorf("names of nothing: %v", names)
	}
}

// By extends a service gets the other's grants; its own win at the same target.
func TestParse_GrantsByExtends(t *testing.T) {
	m, findings := Parse("x.yml", []byte(`services:
  base: {image: x, secrets: [KEY, {source: TOKEN, target: token}]}
  child:
    extends: base
    secrets: [{source: MORE, target: token}, MORE]
  x-note: {image: x}
secrets: {KEY: {file: ./secrets/KEY}, TOKEN: {file: ./secrets/TOKEN}, MORE: {file: ./secrets/MORE}}
`))
	if len(findings) > 0 {
		t.Fatalf("findings:\n%s", said(findings))
	}
	child, _ := m.Service("child")
	if want := []Grant{{"KEY", "KEY", 3}, {"MORE", "MORE", 5}, {"MORE", "token", 5}}; !slices.Equal(child.Grants, want) {
		t.Errorf("grants %v, want %v", child.Grants, want)
	}
	if _, ok := m.Service("x-note"); ok || len(m.Services) != 2 {
		t.Errorf("an x- entry is a service; there are %d", len(m.Services))
	}
}

// An unknown image leaves the rest of the service known.
func TestParse_ImageThatDependsOnAVariable(t *testing.T) {
	const data = "services:\n  web: {image: \"${IMAGE:?}\", user: '5', ports: [\"${PORT:-80}:80\"]}\n  db: {image: db}\n"
	m, findings := Parse("x.yml", []byte(data))
	web, _ := m.Service("web")
	db, _ := m.Service("db")
	if len(findings) > 0 || web.Image != "" || web.User != "5" || web.Ports[0].Published != "80" || db.Image != "db" || m.Model != nil {
		t.Errorf("image %q, user %q, ports %v, image of db %q, findings\n%s", web.Image, web.User, web.Ports, db.Image, said(findings))
	}
	m, _ = Options{Lookup: lookupIn(map[string]string{"IMAGE": "web:2"})}.Parse("x.yml", []byte(data))
	if web, _ = m.Service("web"); web.Image != "web:2" || m.Model == nil || m.Model.Services["web"].Image != "web:2" {
		t.Errorf("with the variable: image %q", web.Image)
	}
}
