package manifest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"go.yaml.in/yaml/v4"
)

// ruleKeys returns the keys of x-keepmum, in the order of the documentation.
func ruleKeys() []string {
	return []string{
		"description", "min_length", "max_length", "pattern", "type", "newline",
		"optional", "default", "generate", "rotate_every",
	}
}

// rules reads one x-keepmum.
type rules struct {
	*reader
	into *Declaration
}

// readRules reads the rules of one secret.
func (r *reader) readRules(node, at *yaml.Node, d *Declaration) {
	if node.Kind != yaml.MappingNode {
		r.add(at.Line, d.Name, RulesKey+" must be a mapping of rules", "write one rule per line below it: "+strings.Join(ruleKeys(), ", "))
		return
	}
	s := rules{r, d}
	for _, f := range fields(node) {
		s.readRule(f)
	}
}

// readRule reads one rule.
func (s rules) readRule(f field) {
	switch key := f.name(); key {
	case "description":
		s.into.Description = s.text(f)
	case "min_length":
		s.into.MinLength = s.number(f, 1, secrets.MaxSize)
	case "max_length":
		s.into.MaxLength = s.number(f, 1, secrets.MaxSize)
	case "pattern":
		s.into.Pattern = s.pattern(f)
	case "type":
		s.into.Type = Type(s.oneOf(f, string(Text), string(PEM), string(JSON), string(Binary)))
	case "newline":
		s.into.Newline = Newline(s.oneOf(f, string(Strip), string(Keep)))
	case "optional":
		s.into.Optional = s.boolean(f)
	case "default":
		s.into.Default = secrets.New([]byte(s.text(f)))
	case "generate":
		s.into.Generate = s.generate(f)
	case "rotate_every":
		s.into.RotateEvery = s.duration(f)
	case "from":
		s.bad(f, "from: belongs to docker-compose.swarm.yml, where stacks share versions", "remove it here")
	default:
		s.bad(f, "unknown key "+key+" in "+RulesKey, didYouMean(key, ruleKeys(), "known keys: "+strings.Join(ruleKeys(), ", ")))
	}
}

// bad adds a finding at a rule.
func (s rules) bad(f field, problem, next string) {
	s.add(f.key.Line, s.into.Name, problem, next)
}

// text reads text. Compose interpolates it: $$ means one $, and a lone $ is a
// finding, because Docker's stack loader refuses it and Compose may read it as a
// variable.
func (s rules) text(f field) string {
	if !isText(f.value) {
		s.bad(f, f.name()+" must be text", "write the text after "+f.name()+":, in quotes")
		return ""
	}
	text := f.value.Value
	if loneDollar(text) {
		s.add(f.value.Line, s.into.Name, "a lone $ in "+f.name()+", which Compose reads as the start of a variable", "write $$ for one $")
	}
	return strings.ReplaceAll(text, "$$", "$")
}

// loneDollar reports whether text holds a $ that is not one half of $$.
func loneDollar(text string) bool {
	return strings.Contains(strings.ReplaceAll(text, "$$", ""), "$")
}

// number reads a whole number from low to high.
func (s rules) number(f field, low, high int) int {
	var n int
	if err := f.value.Decode(&n); f.value.ShortTag() != "!!int" || err != nil || n < low || n > high {
		s.bad(f, fmt.Sprintf("%s must be a whole number from %d to %d", f.name(), low, high), "write "+f.name()+": with a number, without quotes")
		return 0
	}
	return n
}

// pattern reads a regular expression of Go's syntax.
func (s rules) pattern(f field) *regexp.Regexp {
	text := s.text(f)
	if text == "" {
		if isText(f.value) {
			s.bad(f, "pattern is empty, so every value matches", "remove it, or write one such as \"^[0-9a-f]{32}$$\"")
		}
		return nil
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		s.bad(f, "pattern is not a regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "see the syntax at pkg.go.dev/regexp/syntax; write $$ for one $")
		return nil
	}
	return pattern
}

// oneOf reads one of the given words; anything else counts as the first.
func (s rules) oneOf(f field, words ...string) string {
	for _, word := range words {
		if isText(f.value) && f.value.Value == word {
			return word
		}
	}
	otherwise := "write one of: " + strings.Join(words, ", ")
	if isText(f.value) {
		otherwise = didYouMean(f.value.Value, words, otherwise)
	}
	s.bad(f, f.name()+" must be one of: "+strings.Join(words, ", "), otherwise)
	return words[0]
}

// boolean reads true or false.
func (s rules) boolean(f field) bool {
	if f.value.ShortTag() != "!!bool" {
		s.bad(f, f.name()+" must be true or false", "write "+f.name()+": true or "+f.name()+": false, without quotes")
		return false
	}
	return strings.EqualFold(f.value.Value, "true")
}

// duration reads a duration such as 90d.
func (s rules) duration(f field) time.Duration {
	d, err := parseDuration(f.value.Value)
	if !isText(f.value) || err != nil {
		s.bad(f, f.name()+" is "+errDuration.Error(), "write "+f.name()+": 90d, with the units w, d, h, m, s")
		return 0
	}
	return d
}

// generate reads the rule by which a value is made.
func (s rules) generate(f field) *Generate {
	if f.value.Kind != yaml.MappingNode {
		s.bad(f, "generate must be a mapping", "write generate: {bytes: 24, alphabet: base62}")
		return nil
	}
	before, keys := len(s.findings), []string{"bytes", "alphabet", "prefix"}
	g := &Generate{Bytes: 24, Alphabet: "base62"}
	for _, key := range fields(f.value) {
		switch key.name() {
		case "bytes":
			g.Bytes = s.number(key, 8, 4096)
		case "alphabet":
			g.Alphabet = s.alphabet(key)
		case "prefix":
			g.Prefix = s.text(key)
		default:
			s.bad(key, "unknown key "+key.name()+" in generate", didYouMean(key.name(), keys, "known keys: "+strings.Join(keys, ", ")))
		}
	}
	if len(s.findings) > before {
		return nil
	}
	return g
}

// alphabet reads the name of an alphabet or the characters of one.
func (s rules) alphabet(f field) string {
	text := s.text(f)
	if _, err := characters(text); err != nil && text != "" {
		s.bad(f, "alphabet: "+err.Error(), didYouMean(text, alphabetNames(), "write one of "+strings.Join(alphabetNames(), ", ")+", or at least ten different characters"))
	}
	return text
}

// checkContradictions finds rules of one secret that no value can keep at the
// same time.
func (r *reader) checkContradictions(d Declaration) {
	if d.MinLength > 0 && d.MaxLength > 0 && d.MinLength > d.MaxLength {
		r.add(d.Line, d.Name, "min_length is larger than max_length, so no value fits", "swap the two numbers or remove one")
		return
	}
	if !d.Default.IsZero() {
		switch {
		case !d.Optional:
			r.add(d.Line, d.Name, "has a default but is not optional", "write optional: true, or remove the default")
		case len(d.Check(d.Default)) > 0:
			r.add(d.Line, d.Name, "its default breaks its own rules", "change the default or the rules")
		}
	}
	if d.Generate == nil {
		return
	}
	if d.Type == PEM || d.Type == JSON {
		r.add(d.Line, d.Name, "generate cannot make a value of type "+string(d.Type), "remove generate, or write type: text")
		return
	}
	// The same bytes in every run, so that one file has the same findings.
	if _, err := d.newValue(rand.NewChaCha8([32]byte{}), parseTries); err != nil {
		r.add(d.Line, d.Name, "generate cannot make a value that keeps the other rules: "+err.Error(), "change generate (bytes, alphabet, prefix), or the rules it breaks")
	}
}
