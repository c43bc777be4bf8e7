package envfile

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

// The most that a file may ask of compose-go's expansion, which takes time and
// memory out of all proportion to hostile input: nested ${A:-${B:-...}} is
// quadratic, and A=$B$B line after line doubles.
const (
	maxNestedWork = 8 << 20 // see expansionWork, summed
	maxExpanded   = 4 << 20 // bytes of variables inserted, summed
)

// readState says how a reading ended.
type readState int

const (
	readOK readState = iota
	readRefused
	readUnknown
	readPanicked
)

// reading is Compose's reading of one assignment.
type reading struct {
	state    readState
	value    string
	expanded bool // a variable was looked up
}

// composeReader reads assignment by assignment with compose-go's parser, and
// carries the variables from one to the next as the parser itself would.
type composeReader struct {
	vars     map[string]reading
	work     int // left of maxNestedWork
	inserted int // left of maxExpanded
}

func newComposeReader() *composeReader {
	return &composeReader{vars: map[string]reading{}, work: maxNestedWork, inserted: maxExpanded}
}

// read returns Compose's reading of source, the text of st, and remembers it
// for the assignments after it.
func (c *composeReader) read(st *statement, source string) reading {
	r := c.ask(st, source)
	c.vars[st.key] = r
	return r
}

// ask runs the parser. compose-go logs the name of each variable that is not
// set, which is a piece of the value where the $ was part of a password. It
// does not where the variable is set; so the first attempt calls each one set,
// and a second is made only where that could make a difference.
func (c *composeReader) ask(st *statement, source string) reading {
	if c.work -= expansionWork(st, source); c.work < 0 && mayExpand(st, source) {
		return reading{state: readUnknown}
	}
	seen := &lookups{reader: c, astray: st.astray, missing: map[string]bool{}}
	r := runCompose(st.key, source, seen)
	switch {
	case seen.unknown:
		return reading{state: readUnknown, expanded: true}
	case len(seen.missing) == 0 || !mindsUnset(source):
		return r
	case c.mayLog(source):
		return reading{state: readUnknown, expanded: true}
	}
	seen.unset = true
	if r = runCompose(st.key, source, seen); seen.unknown {
		return reading{state: readUnknown, expanded: true}
	}
	return r
}

// mayExpand tells whether compose-go looks for variables in source: a $, or an
// octal escape that may stand for one, outside single quotes.
func mayExpand(st *statement, source string) bool {
	return st.quote != '\'' && (strings.Contains(source, "$") || strings.Contains(source, `\0`))
}

// expansionWork estimates what source costs compose-go: each $ some fixed
// work, and each ${ a pass over the text, as it may nest.
func expansionWork(st *statement, source string) int {
	if !mayExpand(st, source) {
		return 0
	}
	if st.quote == 0 {
		source, _, _ = strings.Cut(source, " #")
	}
	octal := strings.Count(source, `\0`)
	return 64*(strings.Count(source, "$")+octal) + len(source)*(strings.Count(source, "${")+octal)
}

// lookups answers compose-go's questions for variables during one reading.
type lookups struct {
	reader  *composeReader
	astray  bool
	unset   bool            // say that missing variables are missing
	missing map[string]bool // names asked for that no line before assigns
	unknown bool            // an answer could not be given
	asked   bool
}

func (l *lookups) lookup(name string) (string, bool) {
	l.asked = true
	r, set := l.reader.vars[name]
	if !set {
		l.missing[name] = true
		l.unknown = l.unknown || l.astray
		return "", !l.unset
	}
	l.reader.inserted -= len(r.value)
	if r.state != readOK || l.reader.inserted < 0 {
		l.unknown = true
		return "", true
	}
	return r.value, true
}

// runCompose calls compose-go.
func runCompose(key, source string, seen *lookups) reading {
	var vars map[string]string
	var err error
	panicked := guard(func() { vars, err = dotenv.UnmarshalWithLookup(source, seen.lookup) })
	value, found := vars[key]
	switch {
	case panicked:
		return reading{state: readPanicked, expanded: seen.asked}
	case err != nil || !found || len(vars) != 1:
		return reading{state: readRefused, expanded: seen.asked}
	}
	return reading{value: value, expanded: seen.asked}
}

// guard runs a parser and tells whether it panicked. What it panicked with may
// hold a value, and is dropped.
func guard(parse func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	parse()
	return false
}

// mindsUnset tells whether source may hold an expansion to which an empty
// variable is something else than one that is not set: ${A-x}, ${A+x}, ${A?x}.
// An octal escape may hide one.
func mindsUnset(source string) bool {
	if strings.Contains(source, `\0`) {
		return true
	}
	for {
		_, rest, found := strings.Cut(source, "${")
		if !found {
			return false
		}
		if op := strings.TrimLeftFunc(rest, nameRune); op != "" && strings.IndexByte("-+?", op[0]) >= 0 {
			return true
		}
		source = rest
	}
}

// mayLog tells whether source may hold $NAME or ${NAME} for a variable that is
// not set, also within the default of another, for which compose-go would log.
func (c *composeReader) mayLog(source string) bool {
	if strings.Contains(source, `\0`) {
		return true
	}
	for {
		_, rest, found := strings.Cut(source, "$")
		if !found {
			return false
		}
		source = rest
		rest, braced := strings.CutPrefix(rest, "{")
		after := strings.TrimLeftFunc(rest, nameRune)
		name := rest[:len(rest)-len(after)]
		operator := braced && after != "" && strings.IndexByte("-+?:", after[0]) >= 0
		if _, set := c.vars[name]; name != "" && !set && !operator {
			return true
		}
	}
}

// nameRune tells whether r may belong to a variable's name. compose-go's
// pattern ignores case, and so takes the long s and the Kelvin sign for letters.
func nameRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == 'ſ' || r == '\u212a'
}

// readGodotenv reads source, the text of one assignment, with godotenv. ok is
// false where godotenv refuses it.
func readGodotenv(source string) (vars map[string]string, ok bool) {
	var err error
	panicked := guard(func() { vars, err = godotenv.UnmarshalBytes([]byte(source)) })
	return vars, !panicked && err == nil
}

// godotenvReadsOtherwise tells whether godotenv reads another value. Where it
// refuses to read, nobody has had a value from it.
func godotenvReadsOtherwise(source, key, value string) bool {
	vars, ok := readGodotenv(source)
	if !ok {
		return false
	}
	read, found := vars[key]
	return !found || read != value || len(vars) != 1
}
