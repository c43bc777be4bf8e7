package redact

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// TestShortValues checks the edge cases of the rule for short values.
func TestShortValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, text, want string }{
		{"1", "1 11 1", "1 11 1"},
		{"abc", "abc abc", "abc abc"},
		{"abcd", "abcd xabcd abcdx abcd", "‹S› xabcd abcdx ‹S›"},
		{"abcdefg", "abcdefg,xabcdefg", "‹S›,xabcdefg"},
		{"abcdefgh", "xabcdefghx", "x‹S›x"},
		{"abcd\n", "abcd xabcd", "‹S› xabcd"},
		{"abc\n", "abc", "abc"},
		{"abcdefgh\r\n", "xabcdefgh\r\n", "x‹S›\r\n"},
		{"a-=d", "a-=d xa-=d \"a-=d\"", "‹S› xa-=d \"‹S›\""},
		{"p@ss", "p%40ss p%40ssx (p%40ss)", "‹S› p%40ssx (‹S›)"},
		{"p@ss", "cEBzcw== cEBzcw cEBzcwo= xcEBzcw", "‹S› ‹S› ‹S› xcEBzcw"},
		{"pass", "70617373 7061737373", "‹S› 7061737373"},
		{"        ", "x        y", "x        y"},
		{"über", "über xüber", "‹S› xüber"},
		{"~~?>", "fn4/Pg== fn4_Pg== fn4/Pgo= fn4_Pgo= xfn4/Pg==", "‹S› ‹S› ‹S› ‹S› xfn4/Pg=="},
		{`a"<$d`, `{"k":"a\"\u003c$d"} xa\"\u003c$d`, `{"k":"‹S›"} xa\"\u003c$d`},
		{`a"<$d`, `<p>a&#34;&lt;$d</p> xa&#34;&lt;$d`, `<p>‹S›</p> xa&#34;&lt;$d`},
		{`a"<$d`, `"a\"<\$d" xa\"<\$d`, `"‹S›" xa\"<\$d`},
		{`a"<$d`, "[97 34 60 36 100] 197 34 60 36 100", "[‹S›] 197 34 60 36 100"},
	} {
		m := New(known("S", c.value))
		if got := m.String(c.text); got != c.want {
			t.Errorf("value %q: %q is masked as %q, want %q", c.value, c.text, got, c.want)
		}
		searched := m.String(cut(c.value)) != cut(c.value)
		named := slices.Equal(m.Unmasked(), []string{"S"})
		if searched == named {
			t.Errorf("value %q: searched %v, and named by Unmasked %v", c.value, searched, named)
		}
	}
}

// TestShortValuesNextToEachByte: a value with a letter, digit or underscore
// next to it is part of a word, and no other byte has that effect.
func TestShortValuesNextToEachByte(t *testing.T) {
	t.Parallel()
	m := New(known("P", "47-1"))
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	for c := range 256 {
		beside := string([]byte{byte(c)})
		for text, masked := range map[string]string{beside + "47-1": beside + "‹P›", "47-1" + beside: "‹P›" + beside} {
			want := masked
			if strings.IndexByte(word, byte(c)) >= 0 {
				want = text
			}
			if got := m.String(text); got != want {
				t.Errorf("%q is masked as %q, want %q", text, got, want)
			}
			if got := written(m, strings.Split(text, "")...); got != want {
				t.Errorf("%q in pieces is masked as %q, want %q", text, got, want)
			}
		}
	}
}

func cut(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r") }

func TestUnmaskedIsSortedAndUnique(t *testing.T) {
	t.Parallel()
	m := New(known("Z", "1", "B", "long-enough", "A", "2", "Z", "3", "E", ""))
	if got := m.Unmasked(); !slices.Equal(got, []string{"A", "Z"}) {
		t.Errorf("Unmasked() = %v", got)
	}
	m.Unmasked()[0] = "changed"
	if m.Unmasked()[0] != "A" {
		t.Error("Unmasked returns its internal slice")
	}
}

// keyPEM returns a private key: a value of many lines.
func keyPEM(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestLines(t *testing.T) {
	t.Parallel()
	value := keyPEM(t)
	m := New(known("KEY", value))
	lines := strings.Split(strings.TrimSuffix(value, "\n"), "\n")
	for i, line := range lines {
		boundary := i == 0 || i == len(lines)-1
		for _, text := range []string{line, "  " + line + "  ", line + "\r\n", "x" + line + "x"} {
			if masked := m.String(text); (masked == text) != boundary {
				t.Errorf("line %d of %d: masked is %v", i+1, len(lines), masked != text)
			}
		}
	}
	for name, text := range map[string]string{
		"whole":        value,
		"with CRLF":    strings.ReplaceAll(value, "\n", "\r\n"),
		"in a log":     "key: " + value + "done\n",
		"in one line":  strings.Join(lines[1:len(lines)-1], ""),
		"indented":     "    " + strings.ReplaceAll(value, "\n", "\n    "),
		"base64":       base64.StdEncoding.EncodeToString([]byte(value)),
		"a line in it": "x" + base64.StdEncoding.EncodeToString([]byte("<"+lines[2]+">")),
	} {
		masked := m.String(text)
		for i, line := range lines[1 : len(lines)-1] {
			if strings.Contains(masked, line) {
				t.Errorf("%s: line %d is left", name, i+1)
			}
		}
		if !strings.Contains(masked, "‹KEY›") {
			t.Errorf("%s: no mask", name)
		}
	}
	if got := m.String("key: " + value + "done\n"); got != "key: ‹KEY›\ndone\n" {
		t.Errorf("a whole key is masked as %q", got)
	}
	if got := m.Find([]byte(lines[1])); len(got) != 1 || got[0].Encoding != lineEncoding {
		t.Errorf("a line is found as %v", got)
	}
}

func TestShortAndEmptyLinesAreNotSearched(t *testing.T) {
	t.Parallel()
	const boundaries = "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n-----END X-----\n---- BEGIN SSH2 PUBLIC KEY ----\n---- END SSH2 PUBLIC KEY ----\n"
	m := New(known("S", "{\n\n}\nshort\nseven77\neight888\nlong enough line\n"+boundaries))
	const text = "{ } short seven77\n\n\n" + boundaries
	if got := m.String(text); got != text {
		t.Errorf("masked as %q", got)
	}
	if got := m.String("a long enough line, eight888"); got != "a ‹S›, ‹S›" {
		t.Errorf("masked as %q", got)
	}
}

// TestShortLinesTogether: a value whose lines are too short to be searched for
// is found as a whole, also with the line breaks of a terminal.
func TestShortLinesTogether(t *testing.T) {
	t.Parallel()
	m := New(known("S", "one\ntwo\nthree\n"))
	for _, text := range []string{"one\ntwo\nthree", "one\r\ntwo\r\nthree"} {
		if got := m.String("<" + text + ">"); got != "<‹S›>" {
			t.Errorf("%q is masked as %q", text, got)
		}
	}
}

func TestJSONStrings(t *testing.T) {
	t.Parallel()
	account := map[string]any{
		"type": "svc", "project_id": "some-project-1", "nested": []any{map[string]any{"token": "tok \"en\" <1>"}},
		"private_key": keyPEM(t), "number": 1234567890123, "yes": true, "none": nil,
	}
	value, err := json.MarshalIndent(account, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	m := New(known("S", string(value)))
	compact, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(account["private_key"].(string), "\n")[1]
	for _, text := range []string{"some-project-1", `tok "en" <1>`, line, string(compact)} {
		if m.String(text) == text {
			t.Errorf("%d bytes of the value are not masked", len(text))
		}
	}
	for _, text := range []string{`  "type": "svc",`, "project_id", "private_key", "svc", "1234567890123", "true"} {
		if got := m.String(text); got != text {
			t.Errorf("%q is masked as %q", text, got)
		}
	}
	if strings.Contains(m.String(string(compact)), line[:40]) {
		t.Error("part of the key is left in the compact form")
	}
}

// TestJSONStringsEdgeCases: which strings are searched for, and which values
// count as documents.
func TestJSONStringsEdgeCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, text, want string }{
		{`{"user": "admin77", "blanks": "          "}`, "admin77          x", "admin77          x"},
		{`{"token": "eight888"}`, "eight888", "‹S›"},
		{`["token-one", "token-two"]`, "token-two", "‹S›"},
		{" \t\r\n" + `{"token": "token-one"}`, "token-one", "‹S›"},
	} {
		if got := New(known("S", c.value)).String(c.text); got != c.want {
			t.Errorf("value %q: %q is masked as %q, want %q", c.value, c.text, got, c.want)
		}
	}
}

func TestPasswordInValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, text, want string }{
		{"app_a:k33pTh1sSecret", "password k33pTh1sSecret!", "password ‹S›!"},
		{"app_a:k33pTh1sSecret", "app_a is fine", "app_a is fine"},
		{"app_a:k33pTh1sSecret", "app_a:k33pTh1sSecret", "‹S›"},
		{"postgres://u:p%40ssw0rd1@db:5432/odds", "p@ssw0rd1 p%40ssw0rd1", "‹S› ‹S›"},
		{"postgres://u:p%zzssw0rd1@db:5432/odds", "p%zzssw0rd1", "‹S›"},
		{"postgres://u:p@ssw0rd1@db/odds", "p@ssw0rd1", "‹S›"},
		{"https://example.com/path", "//example.com/path example.com", "//example.com/path example.com"},
		{"redis://cache:6379/db-name", "6379/db-name", "6379/db-name"},
		{"u:short", "short", "short"},
		{"some-user:seven77", "seven77", "seven77"},
		{"some-user:eight888", "eight888", "‹S›"},
		{"u:k33pTh1sSecret", "k33pTh1sSecret", "‹S›"},
		{"app.one+two-3_4:k33pTh1sSecret", "k33pTh1sSecret", "‹S›"},
		{"postgres://u:%70%40ssw0rd1@db/odds", "%70%40ssw0rd1 p@ssw0rd1", "‹S› ‹S›"}, // an unusual encoding
		{":leading-colon", "leading-colon", "leading-colon"},
		{"two words: and more", "and more", "and more"},
	} {
		if got := New(known("S", c.value)).String(c.text); got != c.want {
			t.Errorf("value %q: %q is masked as %q, want %q", c.value, c.text, got, c.want)
		}
	}
}

// TestLongValues: blocks cover all of a long value, and each one is also masked
// alone.
func TestLongValues(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{blockLimit, blockLimit + 1, blockLimit + blockSize, 20_000} {
		for _, letters := range []string{printable, "abcü→🔑"} {
			runes := []rune(letters)
			var b strings.Builder
			for b.Len() < n {
				b.WriteRune(runes[r.IntN(len(runes))])
			}
			value := strings.TrimSpace(b.String())
			m := New(known("S", value))
			encodings := map[string]func(string) string{
				"raw":    func(s string) string { return s },
				"json":   func(s string) string { return encoded(s) },
				"base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
				"hex":    func(s string) string { return fmt.Sprintf("%x", s) },
			}
			for name, encode := range encodings {
				if got := m.String(encode("-" + value + "-")); len(got) > len("‹S›")+12 {
					t.Errorf("%d bytes of %q, %s: %d bytes are left", n, letters, name, len(got))
				}
			}
			half := value[:len(value)/2]
			if len(half) > 2*blockSize && len(m.String(half)) > blockSize+len("‹S›") {
				t.Errorf("%d bytes: the first half alone is not masked", n)
			}
		}
	}
}

// TestLongestValue: the longest possible value, in encodings that are searched
// for with such a length.
func TestLongestValue(t *testing.T) {
	t.Parallel()
	value := randomText(rand.New(rand.NewPCG(11, 12)), 511_999, printable) // with this seed there is no blank at either end
	m := New(known("S", value))
	for _, text := range []string{value, value[100_000:110_000], base64.StdEncoding.EncodeToString([]byte(value))} {
		if got := m.String(text); len(got) > 2*blockSize {
			t.Errorf("%d of %d bytes are left", len(got), len(text))
		}
	}
}

// TestLongLineInValue: a single line can be long too.
func TestLongLineInValue(t *testing.T) {
	t.Parallel()
	line := randomText(rand.New(rand.NewPCG(13, 14)), 3*blockLimit, "abcdefghijklmnopqrstuvwxyz")
	m := New(known("S", "a first line\n"+line+"\na last line"))
	for name, text := range map[string]string{"the line": line, "a part of it": line[300:5000]} {
		if got := m.String(text); len(got) > 2*blockSize+len("‹S›") {
			t.Errorf("%s: %d of %d bytes are left", name, len(got), len(text))
		}
	}
	if got := m.String("x" + line + "x"); got != "x‹S›x" {
		t.Errorf("a whole line is masked as %d bytes", len(got))
	}
}

func TestBlocksCoverAndOverlap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		text := make([]byte, blockLimit+1+r.IntN(20_000))
		for i := range text {
			text[i] = byte(r.IntN(256))
		}
		if r.IntN(2) == 0 {
			text = []byte(strings.Repeat("x", r.IntN(10)) + strings.Repeat("a→ü🔑", len(text)/10))
		}
		whole := utf8.Valid(text)
		at := 0
		for i, block := range blocks(text) {
			start := cap(text) - cap(block) // blocks are subslices of text
			if !bytes.Equal(text[start:start+len(block)], block) {
				t.Fatal("a block is not a subslice of the text")
			}
			if i > 0 && at-start < blockOverlap-utf8.UTFMax || i == 0 && start != 0 {
				t.Fatalf("block %d overlaps the one before by %d", i, at-start)
			}
			if whole && !utf8.Valid(block) {
				t.Fatalf("block %d cuts a character", i)
			}
			if len(block) > blockSize+2*blockOverlap+utf8.UTFMax {
				t.Fatalf("block %d has %d bytes", i, len(block))
			}
			at = start + len(block)
		}
		if at != len(text) {
			t.Fatalf("the blocks end at %d of %d", at, len(text))
		}
	}
}

// TestCommonTextIsNotMasked guards against masking half of every log.
func TestCommonTextIsNotMasked(t *testing.T) {
	t.Parallel()
	const log = `{"time":"2026-11-23T17:00:00Z","level":"INFO","msg":"GET /health 200","id":"0123456789abcdef"}` + "\n"
	for name, value := range trickyValues() {
		for _, f := range formsOf([]byte(value)) {
			if len(f.text) < anywhere && !f.alone {
				t.Errorf("%s: a form of %d bytes is searched anywhere", name, len(f.text))
			}
		}
		if strings.Contains(value, "0123456789abcdef") {
			continue
		}
		if got := New(known("S", value)).String(log); got != log {
			t.Errorf("%s: a log line without it is masked", name)
		}
	}
}

func TestMatcherWithoutValues(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*Matcher{
		"nil": nil, "zero": {}, "of nothing": New(nil), "of an empty value": New([]secrets.Known{{Name: "E"}}),
	} {
		if got := m.String("text"); got != "text" {
			t.Errorf("%s: String returns %q", name, got)
		}
		if got := m.Bytes([]byte("text")); string(got) != "text" {
			t.Errorf("%s: Bytes returns %q", name, got)
		}
		if got := written(m, "te", "xt"); got != "text" {
			t.Errorf("%s: a Writer writes %q", name, got)
		}
		if got := m.Find([]byte("text")); got != nil {
			t.Errorf("%s: Find returns %v", name, got)
		}
		if got := m.Unmasked(); len(got) != 0 {
			t.Errorf("%s: Unmasked returns %v", name, got)
		}
	}
}

// TestNames: each value is masked with its own name, and an absent value does
// not affect those after it.
func TestNames(t *testing.T) {
	t.Parallel()
	behind := append([]secrets.Known{{Name: "E"}}, known("S", "1", "A", "correct-horse")...)
	if got := New(behind).String("correct-horse"); got != "‹A›" {
		t.Errorf("a value after an absent and a short one is masked as %q", got)
	}
	if got := New(known("", "correct-horse")).String("correct-horse"); got != "‹secret›" {
		t.Errorf("a value without a name is masked as %q", got)
	}
	m := New(known("B", "same-value", "A", "same-value"))
	if got := m.String("same-value"); got != "‹B›" {
		t.Errorf("equal values: masked as %q, but the first one passed in is B", got)
	}
	if got := m.Find([]byte("same-value")); len(got) != 2 {
		t.Errorf("equal values: %d matches, want one for each name", len(got))
	}
	m = New(known("S", "value-one", "S", "value-two"))
	if got := m.String("value-one value-two"); got != "‹S› ‹S›" {
		t.Errorf("two values of one name: masked as %q", got)
	}
}
