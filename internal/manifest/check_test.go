package manifest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"pgregory.net/rapid"
)

func rulesOf(problems []Problem) []string {
	var rules []string
	for _, p := range problems {
		rules = append(rules, p.Rule)
	}
	return rules
}

func pemOf(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
}

func TestCheck(t *testing.T) {
	block := pemOf(t)
	cut := strings.Replace(block, "-----END", "----END", 1)
	hex32 := Declaration{Name: "KEY", MinLength: 32, MaxLength: 40, Pattern: regexp.MustCompile("^[0-9a-f]+$")}
	for _, c := range []struct {
		name  string
		d     Declaration
		value string
		rules []string
	}{
		{"empty", Declaration{}, "", []string{"size"}},
		{"only a newline", Declaration{}, "\r\n", []string{"size"}},
		{"two newlines are a value", Declaration{}, "\n\n", []string{"newline"}},
		{"one byte", Declaration{}, "a", nil},
		{"the largest", Declaration{}, strings.Repeat("ab", 255999) + "c", nil},
		{"one more", Declaration{}, strings.Repeat("ab", 256000), []string{"size"}},
		{"the largest and a newline", Declaration{}, strings.Repeat("ab", 255999) + "c\n", []string{"newline"}},
		{"kept newline counts", Declaration{Newline: Keep}, strings.Repeat("ab", 255999) + "c\n", []string{"size"}},
		{"fits", hex32, "0123456789abcdef0123456789abcdef", nil},
		{"editor's newline is one problem", hex32, "0123456789abcdef0123456789abcdef\n", []string{"newline"}},
		{"too short", hex32, "0123456789abcdef0123456789abcde", []string{"min_length"}},
		{"too long", hex32, strings.Repeat("01234567", 5) + "8", []string{"max_length"}},
		{"the longest", hex32, strings.Repeat("01234567", 5), nil},
		{"too short and no match", hex32, "XYZ", []string{"min_length", "pattern"}},
		{"kept newline is no problem", Declaration{Newline: Keep}, "abc\n", nil},
		{"lines inside", Declaration{}, "one\ntwo\tthree\r\nfour", nil},
		{"unicode", Declaration{}, "pässwörd ✓ 密码", nil},
		{"no UTF-8", Declaration{}, "a\xff", []string{"type"}},
		{"NUL", Declaration{}, "a\x00b", []string{"type"}},
		{"escape", Declaration{}, "a\x1bb", []string{"type"}},
		{"C1", Declaration{}, "a\u0085b", []string{"type"}},
		{"byte order mark", Declaration{}, "\uFEFFabc", []string{"type"}},
		{"binary takes all", Declaration{Type: Binary, Newline: Keep}, "a\x00\xff\n", nil},
		{"json", Declaration{Type: JSON}, `{"a": [1, "x"]}`, nil},
		{"json twice", Declaration{Type: JSON}, `{} {}`, []string{"type"}},
		{"json cut", Declaration{Type: JSON}, `{"a": `, []string{"type"}},
		{"pem", Declaration{Type: PEM, Newline: Keep}, block, nil},
		{"pem stripped", Declaration{Type: PEM}, strings.TrimSuffix(block, "\n"), nil},
		{"pem twice with text between", Declaration{Type: PEM, Newline: Keep}, "subject=x\n" + block + "\n" + block, nil},
		{"no pem", Declaration{Type: PEM}, "abc", []string{"type"}},
		{"second block cut", Declaration{Type: PEM, Newline: Keep}, block + block[:40], []string{"type"}},
		{"first block cut", Declaration{Type: PEM, Newline: Keep}, cut + block, []string{"type"}},
		{"placeholder", Declaration{Name: "KEY"}, "changeme", []string{"placeholder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rulesOf(c.d.Check(secrets.New([]byte(c.value)))); !slices.Equal(got, c.rules) {
				t.Errorf("breaks %v, want %v", got, c.rules)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for value, want := range map[string]string{
		"abc": "", " abc": "starts with", "abc ": "ends with", "\tabc\t": "starts and ends with", "abc\n": "", "abc\n\n": "ends with",
	} {
		got := ""
		if w := (Declaration{}).Warnings(secrets.New([]byte(value))); len(w) > 0 {
			got = w[0].What
		}
		if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%q warns %q, want %q", value, got, want)
		}
	}
	if w := (Declaration{Type: Binary}).Warnings(secrets.New([]byte(" "))); w != nil {
		t.Error("binary warns of blanks")
	}
}

func TestIsPlaceholder(t *testing.T) {
	d := Declaration{Name: "API_KEY", Description: "key of <the> provider,\n  from its page", Generate: &Generate{Bytes: 16, Prefix: "app_a:"}}
	for _, text := range []string{
		"changeme", "CHANGE_ME", "Change-Me", "change me", "ChangeMe!please"[:8], "changeme123", "please-change-me", "xxx", "XXXXXXXX", "...", "***", "----",
		"<your-key>", "<API_KEY>", "<>"[:1] + "key>", "your-api-key", "YOUR_API_KEY_HERE", "your_token", "insert-key", "put your key", "key-goes-here", "api_key_here",
		"TODO", "todo", "tbd", "FIXME", "example", "EXAMPLE", "placeholder", "replace_me", "${API_KEY}", "$API_KEY", "API_KEY", "api-key", "none", "null", "dummy", "0000",
		"app_a:", "app_a:changeme", "app_a:<password>", " changeme ", "changeme\n",
	} {
		if !d.isPlaceholder([]byte(text)) {
			t.Errorf("%q is not recognised as a placeholder", text)
		}
	}
	for _, text := range []string{
		"hunter2", "correct horse battery staple", "xoxb-123", "xx", "x1x", "p<a>ss", "<a href=\"x\">", "{}", "[]", "exampleofaword9", "todolist", "app_a:s3cr3t-pass",
		"yours truly", "meet-me-here", "0123456789abcdef", "$ecret", "${", "a", "é", "-", "----BEGIN",
	} {
		if d.isPlaceholder([]byte(text)) {
			t.Errorf("%q is wrongly taken for a placeholder", text)
		}
	}
}

func TestExample_IsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Declaration{
			Name:        rapid.StringMatching("[A-Z_][A-Z0-9_]{0,20}").Draw(t, "name"),
			Description: rapid.String().Draw(t, "description"),
			Type:        rapid.SampledFrom([]Type{Text, PEM, JSON, Binary}).Draw(t, "type"),
			Newline:     rapid.SampledFrom([]Newline{Strip, Keep}).Draw(t, "newline"),
		}
		example := d.Example()
		if strings.Count(string(example), "\n") != 1 || !strings.HasSuffix(string(example), "\n") {
			t.Fatalf("not one line: %q", example)
		}
		for _, text := range []string{string(example), strings.TrimSpace(string(example)), string(example) + "\n"} {
			if !slices.Contains(rulesOf(d.Check(secrets.New([]byte(text)))), "placeholder") {
				t.Fatalf("Check takes the example %q", text)
			}
		}
	})
}

func TestNormalise(t *testing.T) {
	for _, c := range []struct {
		policy   Newline
		in, want string
	}{
		{Strip, "a", "a"}, {Strip, "a\n", "a"}, {Strip, "a\r\n", "a"}, {Strip, "a\n\n", "a\n"}, {Strip, "a\r\n\r\n", "a\r\n"},
		{Strip, "a\r", "a\r"}, {Strip, "a\r\r\n", "a\r"}, {Strip, " a \n", " a "}, {Strip, "\n", ""}, {Strip, "", ""},
		{"", "a\n", "a"}, {Keep, "a\n", "a\n"}, {Keep, "a\r\n", "a\r\n"},
	} {
		got := Declaration{Newline: c.policy}.Normalise(secrets.New([]byte(c.in))).RevealString()
		if got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.policy, c.in, got, c.want)
		}
	}
}

func TestNormalise_LeavesTheCallersBytesAlone(t *testing.T) {
	value := secrets.New([]byte("abc\r\n"))
	Declaration{}.Normalise(value)
	if value.RevealString() != "abc\r\n" {
		t.Error("the value that was given changed")
	}
}

// No problem may show a value, its length or a digest of it: two values that
// break the same rules get the same texts.
func TestCheck_ProblemsDependOnTheRuleOnly(t *testing.T) {
	d := Declaration{Name: "KEY", MinLength: 20, Pattern: regexp.MustCompile("^[0-9]+$")}
	said := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		d.Type = rapid.SampledFrom([]Type{Text, PEM, JSON, Binary}).Draw(t, "type")
		value := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
		for _, p := range append(d.Check(secrets.New(value)), d.Warnings(secrets.New(value))...) {
			for _, one := range []string{p.Rule, p.What} {
				if len(value) >= 4 && strings.Contains(one, string(value)) {
					t.Fatalf("%s shows a value", p.Rule)
				}
			}
			said[p.What] = p.Rule
		}
	})
	if len(said) == 0 || len(said) > 16 {
		t.Errorf("%d different texts: they depend on more than the rule", len(said))
	}
}
