package manifest

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// Problem is one rule that a value breaks. It names the rule; it never contains
// the value, its length or a digest of it.
type Problem struct {
	Rule string // size, min_length, max_length, pattern, type, placeholder, newline; blanks for a warning
	What string // what is wrong, in lower case
}

// Check returns every rule that a value breaks. Lengths and pattern are checked
// without the newline that the policy would strip, so that an editor's newline
// gives one problem, not three.
func (d Declaration) Check(value secrets.Secret) []Problem {
	raw, bare := value.Reveal(), d.Normalise(value).Reveal()
	if problem := checkSize(raw, bare); problem != nil {
		return problem
	}
	var problems []Problem
	add := func(broken bool, rule, what string) {
		if broken {
			problems = append(problems, Problem{Rule: rule, What: what})
		}
	}
	add(d.MinLength > 0 && len(bare) < d.MinLength, "min_length", fmt.Sprintf("is shorter than the %d bytes that min_length requires", d.MinLength))
	add(d.MaxLength > 0 && len(bare) > d.MaxLength, "max_length", fmt.Sprintf("is longer than the %d bytes that max_length allows", d.MaxLength))
	add(d.Pattern != nil && !d.Pattern.Match(bare), "pattern", "does not match the pattern")
	add(len(raw) != len(bare), "newline", "ends with a newline, which programs that read the whole file treat as part of the value")
	add(d.isPlaceholder(bare), "placeholder", "is a placeholder, not a value")
	if what := d.typeProblem(bare); what != "" {
		add(true, "type", what)
	}
	return problems
}

// Warnings returns what may be a mistake in a value that keeps the rules: blanks
// around a text.
func (d Declaration) Warnings(value secrets.Secret) []Problem {
	if d.Type == Binary || d.Type == PEM || d.Type == JSON {
		return nil
	}
	if what := blanksProblem(d.Normalise(value).Reveal()); what != "" {
		return []Problem{{Rule: "blanks", What: what}}
	}
	return nil
}

// checkSize checks a value against the sizes that a Swarm secret can have.
func checkSize(raw, bare []byte) []Problem {
	switch {
	case len(raw) == 0:
		return []Problem{{Rule: "size", What: "is empty"}}
	case len(bare) == 0:
		return []Problem{{Rule: "size", What: "is empty except for a newline"}}
	case len(bare) > secrets.MaxSize:
		return []Problem{{Rule: "size", What: fmt.Sprintf("is larger than %d bytes, the largest size of a Swarm secret", secrets.MaxSize)}}
	}
	return nil
}

// Normalise applies the newline policy: Strip removes exactly one \n or \r\n at
// the end. Nothing else is ever trimmed. Call it once, when a value is stored.
func (d Declaration) Normalise(value secrets.Secret) secrets.Secret {
	if d.Newline == Keep {
		return value
	}
	raw := value.Reveal()
	bare, found := bytes.CutSuffix(raw, []byte("\n"))
	if !found {
		return value
	}
	return secrets.New(bytes.TrimSuffix(bare, []byte("\r")))
}

// typeProblem says why a value is not of its type, "" if it is.
func (d Declaration) typeProblem(value []byte) string {
	switch d.Type {
	case Binary:
		return ""
	case PEM:
		return pemProblem(value)
	case JSON:
		if !json.Valid(value) {
			return "is not one JSON document"
		}
		return ""
	}
	return textProblem(value)
}

// textProblem says why a value is not text.
func textProblem(value []byte) string {
	if !utf8.Valid(value) {
		return "is not text: it is not valid UTF-8 (type: binary takes any bytes)"
	}
	if bytes.HasPrefix(value, []byte("\uFEFF")) {
		return "starts with a byte order mark, which some editors add"
	}
	for _, c := range string(value) {
		if unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' {
			return "is not text: it contains a control character (type: binary takes any bytes)"
		}
	}
	return ""
}

// pemProblem says why a value is not PEM: it must contain at least one block, and
// no start of a block that does not parse.
func pemProblem(value []byte) string {
	blocks, rest := 0, value
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		// Decode skips a block that it cannot read, so what it consumed must
		// contain one start only.
		if bytes.Count(rest[:len(rest)-len(after)], []byte("-----BEGIN ")) != 1 {
			return "contains a PEM block that does not parse"
		}
		blocks, rest = blocks+1, after
	}
	switch {
	case bytes.Contains(rest, []byte("-----BEGIN ")):
		return "contains a PEM block that does not parse"
	case blocks == 0:
		return "contains no PEM block"
	}
	return ""
}

// blanksProblem warns of blanks around a value.
func blanksProblem(value []byte) string {
	var where []string
	if len(bytes.TrimLeftFunc(value, unicode.IsSpace)) < len(value) {
		where = append(where, "starts")
	}
	if len(bytes.TrimRightFunc(value, unicode.IsSpace)) < len(value) {
		where = append(where, "ends")
	}
	if where == nil {
		return ""
	}
	return strings.Join(where, " and ") + " with blanks, which are kept"
}
