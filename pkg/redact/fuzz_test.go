package redact

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzMask compares New with the oracle for arbitrary values and texts, and
// splits the text anywhere. In the text, <raw>, <json> and so on are replaced
// by the first form of the first value in that encoding.
func FuzzMask(f *testing.F) {
	for _, seed := range []struct{ a, b, text string }{
		{"correct-horse", "horse-battery", "a correct-horse-battery <base64> <hex>\n"},
		{"1234", "12345678", "1234 12345678 x1234 <json>"},
		{"aaaaaaaa", "aaaaaaaaaaaa", strings.Repeat("a", 40)},
		{"p@ss \"w/rd\"", "line one of it\nline two of it", "<percent> <html> line two of it <shell> <go>"},
		{"\xff\xfe broken", "{\"k\": \"a json value\"}", "a json value <json>"},
		{strings.Repeat("0123456789", 9), "user:password", "<base64>\n<base64>\r\npassword"},
	} {
		f.Add(seed.a, seed.b, seed.text, uint(3))
	}
	f.Fuzz(func(t *testing.T, a, b, text string, cut uint) {
		if len(a)+len(b)+len(text) > 2000 {
			return // the oracle is slow
		}
		known := known("A", a, "B", b)
		for _, form := range formsOf([]byte(a)) {
			text = strings.Replace(text, "<"+form.encoding+">", string(form.text), 1)
		}
		o, m := oracleOf(known), New(known)
		want := o.masked(text)
		if got := m.String(text); got != want {
			t.Fatalf("String returns %q, the oracle says %q", got, want)
		}
		at := int(cut % uint(len(text)+1))
		if got := written(m, text[:at], text[at:]); got != want {
			t.Fatalf("split at %d, a Writer writes %q, the oracle says %q", at, got, want)
		}
		if got, want := fmt.Sprint(m.Find([]byte(text))), fmt.Sprint(o.matches(text)); got != want {
			t.Fatalf("Find returns %s, the oracle says %s", got, want)
		}
	})
}
