package envfile

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

// The limits on compose-go's expansion, whose time and memory can be out of
// proportion to hostile input: nested ${A:-${B:-...}} is quadratic, and each
// line A=$B$B doubles the size.
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

// composeReader reads the assignments one by one with compose-go's parser, and
// carries the variables from one to the next as the parser would.
type composeReader struct {
	vars     map[string]reading
	work     int // the rest of maxNestedWork
	inserted int // the rest of maxExpanded
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
// set, and that is a piece of the value if the $ is part of a password. So the
// first attempt pretends that every variable is set; a second one is made only
// if that could make a difference.
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

// mayExpand reports whether compose-go looks for variables in source: a $, or
// an octal escape that may mean one, outside single quotes.
func mayExpand(st *statement, source string) bool {
	return st.quote != '\'' && (strings.Contains(source, "$") || strings.Contains(source, `\0`))
}

// expansionWork estimates the cost of source for compose-go: some fixed work
// for each $, and a pass over the text for each ${, because it may nest.
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

// lookups looks up variables for compose-go during one reading.
type lookups struct {
	reader  *composeReader
	astray  bool
	unset   bool            // report missing variables as missing
	missing map[string]bool // names looked up that no earlier line assigns
	unknown bool            // a value cannot be known
	asked   bool            // a variable was looked up
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

// guard runs a parser and reports whether it panicked. The panic value is
// dropped, because it may hold a value.
func guard(parse func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	parse()
	return false
}

// mindsUnset reports whether source may contain an expansion that distinguishes
// an empty variable from one that is not set: ${A-x}, ${A+x}, ${A?x}. An octal
// escape may hide one.
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

// mayLog reports whether source may contain $NAME or ${NAME} for a variable that
// is not set, even within the default of another: compose-go would log its name.
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

// nameRune reports whether r may be part of a variable's name. compose-go's
// pattern ignores case, so the long s and the Kelvin sign count as letters.
func nameRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == 'ſ' || r == '\u212a'
}

// readGodotenv reads source, the text of one assignment, with godotenv. ok is
// false if godotenv refuses it.
func readGodotenv(source string) (vars map[string]string, ok bool) {
	var err error
	panicked := guard(func() { vars, err = godotenv.UnmarshalBytes([]byte(source)) })
	return vars, !panicked && err == nil
}

// godotenvReadsOtherwise reports whether godotenv reads a different value. If it
// refuses to read, no program has used a value from it.
func godotenvReadsOtherwise(source, key, value string) bool {
	vars, ok := readGodotenv(source)
	if !ok {
		return false
	}
	read, found := vars[key]
	return !found || read != value || len(vars) != 1
}
