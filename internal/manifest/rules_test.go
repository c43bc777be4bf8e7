package manifest

import (
	"strings"
	"testing"
)

// Problem and next edit, as several cases expect them.
const (
	notANumber   = "min_length must be a whole number from 1 to 511999 | write min_length: with a number, without quotes"
	notADuration = "rotate_every is not a duration such as 90d, 12h or 2w | write rotate_every: 90d, with the units w, d, h, m, s"
	notABool     = "optional must be true or false | write optional: true or optional: false, without quotes"
	badDefault   = "its default breaks its own rules | change the default or the rules"
)

// ruled is a compose file with these rules, from line 6 on, of the secret KEY.
func ruled(lines string) string {
	return "services: {web: {image: x, secrets: [KEY]}}\nsecrets:\n  KEY:\n    file: ./secrets/KEY\n    x-keepmum:\n      " + strings.ReplaceAll(lines, "\n", "\n      ") + "\n"
}

// Each rule, at its limits and with what is not one; and rules that contradict
// each other.
func TestParse_Rules(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"description: [a]", []string{"6 KEY | description must be text | write the text after description:, in quotes"}},
		{"description:", []string{"6 KEY | description must be text | write the text after description:, in quotes"}},
		{"description: 5", nil},
		{"description: a $X", []string{"6 KEY | a lone $ in description, which Compose reads as the start of a variable | write $$ for one $"}},
		{"description: a $$X", nil},
		{"min_length: 0", []string{"6 KEY | " + notANumber}},
		{"min_length: 1", nil},
		{"min_length: 511999", nil},
		{"min_length: 512000", []string{"6 KEY | " + notANumber}},
		{"min_length: '3'", []string{"6 KEY | " + notANumber}},
		{"min_length: 1e3", []string{"6 KEY | " + notANumber}},
		{"min_length: true", []string{"6 KEY | " + notANumber}},
		{"min_length: 0x10", nil},
		{"max_length: 0", []string{"6 KEY | max_length must be a whole number from 1 to 511999 | write max_length: with a number, without quotes"}},
		{"max_length: 511999", nil},
		{"min_length: 5\nmax_length: 5", nil},
		{"min_length: 6\nmax_length: 5", []string{"3 KEY | min_length is larger than max_length, so no value fits | swap the two numbers or remove one"}},
		{"pattern: ''", []string{"6 KEY | pattern is empty, so every value matches | remove it, or write one such as \"^[0-9a-f]{32}$$\""}},
		{"pattern:", []string{"6 KEY | pattern must be text | write the text after pattern:, in quotes"}},
		{"pattern: '('", []string{"6 KEY | pattern is not a regular expression: missing closing ): `(` | see the syntax at pkg.go.dev/regexp/syntax; write $$ for one $"}},
		{"pattern: '[[:foo:]]'", []string{"6 KEY | pattern is not a regular expression: invalid character class range: `[:foo:]` | see the syntax at pkg.go.dev/regexp/syntax; write $$ for one $"}},
		{"pattern: '^a$$'", nil},
		{"pattern: '^a$'", []string{"6 KEY | a lone $ in pattern, which Compose reads as the start of a variable | write $$ for one $"}},
		{"pattern: [a]", []string{"6 KEY | pattern must be text | write the text after pattern:, in quotes"}},
		{"type: pem", nil},
		{"type: PEM", []string{"6 KEY | type must be one of: text, pem, json, binary | did you mean pem?"}},
		{"type: jso", []string{"6 KEY | type must be one of: text, pem, json, binary | did you mean json?"}},
		{"type: 5", []string{"6 KEY | type must be one of: text, pem, json, binary | write one of: text, pem, json, binary"}},
		{"type: [text]", []string{"6 KEY | type must be one of: text, pem, json, binary | write one of: text, pem, json, binary"}},
		{"newline: keep", nil},
		{"newline: Keep", []string{"6 KEY | newline must be one of: strip, keep | did you mean keep?"}},
		{"newline: none", []string{"6 KEY | newline must be one of: strip, keep | write one of: strip, keep"}},
		{"optional: yes", []string{"6 KEY | " + notABool}},
		{"optional: true", nil},
		{"optional: TRUE", nil},
		{"optional: 'true'", []string{"6 KEY | " + notABool}},
		{"optional: 1", []string{"6 KEY | " + notABool}},
		{"default: x", []string{"3 KEY | has a default but is not optional | write optional: true, or remove the default"}},
		{"optional: true\ndefault: x", nil},
		{"optional: true\ndefault: changeme", []string{"3 KEY | " + badDefault}},
		{"optional: true\ndefault: ''", nil},
		{"optional: true\nmin_length: 3\ndefault: ab", []string{"3 KEY | " + badDefault}},
		{"generate:", []string{"6 KEY | generate must be a mapping | write generate: {bytes: 24, alphabet: base62}"}},
		{"generate: {}", nil},
		{"generate: {bytes: 7}", []string{"6 KEY | bytes must be a whole number from 8 to 4096 | write bytes: with a number, without quotes"}},
		{"generate: {bytes: 8}", nil},
		{"generate: {bytes: 4096}", nil},
		{"generate: {bytes: 4097}", []string{"6 KEY | bytes must be a whole number from 8 to 4096 | write bytes: with a number, without quotes"}},
		{"generate: {alphabet: hexx}", []string{"6 KEY | alphabet: neither a known name nor at least ten characters | did you mean hex?"}},
		{"generate: {alphabet: abc}", []string{"6 KEY | alphabet: neither a known name nor at least ten characters | write one of base62, base64url, hex, digits, or at least ten different characters"}},
		{"generate: {alphabet: 'abcdefghi j'}", []string{"6 KEY | alphabet: contains a character that is not printable ASCII | write one of base62, base64url, hex, digits, or at least ten different characters"}},
		{"generate: {alphabet: abcdefghijé}", []string{"6 KEY | alphabet: contains a character that is not printable ASCII | write one of base62, base64url, hex, digits, or at least ten different characters"}},
		{"generate: {alphabet: abcdefghijk}", nil},
		{"generate: {alphabet: []}", []string{"6 KEY | alphabet must be text | write the text after alphabet:, in quotes"}},
		{"generate: {prefix: [a]}", []string{"6 KEY | prefix must be text | write the text after prefix:, in quotes"}},
		{"generate: {prefix: 'a$b'}", []string{"6 KEY | a lone $ in prefix, which Compose reads as the start of a variable | write $$ for one $"}},
		{"generate: {lenght: 3}", []string{"6 KEY | unknown key lenght in generate | known keys: bytes, alphabet, prefix"}},
		{"generate: {byts: 3}", []string{"6 KEY | unknown key byts in generate | did you mean bytes?"}},
		{"generate: [24]", []string{"6 KEY | generate must be a mapping | write generate: {bytes: 24, alphabet: base62}"}},
		{"type: json\ngenerate: {}", []string{"3 KEY | generate cannot make a value of type json | remove generate, or write type: text"}},
		{"type: pem\ngenerate: {bytes: 24}", []string{"3 KEY | generate cannot make a value of type pem | remove generate, or write type: text"}},
		{"type: binary\ngenerate: {bytes: 24}", nil},
		{"max_length: 32\ngenerate: {bytes: 24}", []string{"3 KEY | generate cannot make a value that keeps the other rules: it would break max_length | change generate (bytes, alphabet, prefix), or the rules it breaks"}},
		{"max_length: 33\ngenerate: {bytes: 24}", nil},
		{"min_length: 34\ngenerate: {bytes: 24}", []string{"3 KEY | generate cannot make a value that keeps the other rules: it would break min_length | change generate (bytes, alphabet, prefix), or the rules it breaks"}},
		{"min_length: 33\ngenerate: {bytes: 24}", nil},
		{"pattern: '!'\ngenerate: {bytes: 24}", []string{"3 KEY | generate cannot make a value that keeps the other rules: it would break pattern | change generate (bytes, alphabet, prefix), or the rules it breaks"}},
		{"generate: {bytes: 24, prefix: 'xé'}", nil},
		{"rotate_every: 90d", nil},
		{"rotate_every: 90", []string{"6 KEY | " + notADuration}},
		{"rotate_every: 0d", []string{"6 KEY | " + notADuration}},
		{"rotate_every: [1d]", []string{"6 KEY | " + notADuration}},
		{"from: other", []string{"6 KEY | from: belongs to docker-compose.swarm.yml, where stacks share versions | remove it here"}},
		{"min-length: 3", []string{"6 KEY | unknown key min-length in x-keepmum | did you mean min_length?"}},
		{"x: 1", []string{"6 KEY | unknown key x in x-keepmum | known keys: description, min_length, max_length, pattern, type, newline, optional, default, generate, rotate_every"}},
		{"Pattern: a", []string{"6 KEY | unknown key Pattern in x-keepmum | did you mean pattern?"}},
	} {
		checkFindings(t, ruled(c.lines), c.want)
	}
}
