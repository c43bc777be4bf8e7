package envfile

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// Options says how a file is read.
type Options struct {
	File      string   // the name that problems show; not opened
	Literal   []string // keys to take as written where the readings differ
	AsCompose []string // keys to take as Compose reads them where they differ
}

// Entry is a key with the value that it has to every reader that counts.
type Entry struct {
	Key           string
	Line, EndLine int            // from 1; they differ for a value of several lines
	Value         secrets.Secret // the zero Secret where Empty
	Empty         bool           // the value has no bytes
	Note          string         // what to tell the user although the key is accepted; "" mostly
}

// Problem is one reason why a key has no entry. It never holds a value.
type Problem struct {
	File string
	Line int    // from 1; 0 where no line is meant
	Key  string // "" where the line has no legal name
	What string // what is wrong, in lower case
	Next string // what to do
}

// Notes of entries.
const (
	noteOtherwise = "accepted, but godotenv 1.5.1 reads another value here: a program that loads this file with it has had that one"
)

// Parse reads a .env file: the entries that every reader that counts agrees
// on, and all problems, both in the order of their lines. A key that is
// assigned twice has problems and no entry, also where the two are the same:
// who changes one of them later would be surprised.
//
// A problem without a key may mean that the value above it ends too early, for
// want of quotes: store entries only where there is none.
func Parse(data []byte, opt Options) ([]Entry, []Problem) {
	if isUTF16(data) {
		return nil, []Problem{faultUTF16.problem(opt.File, 0, 0, "")}
	}
	p := newParse(string(data), opt)
	for i, st := range p.statements {
		p.statement(i, st)
	}
	p.checkExports()
	p.checkOptions()
	return p.result()
}

// isUTF16 tells whether data begins with a byte order mark of UTF-16.
func isUTF16(data []byte) bool {
	return len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff)
}

// parse is the state of one Parse.
type parse struct {
	text       string
	file       string
	statements []*statement
	compose    *composeReader
	literal    map[string]bool
	asCompose  map[string]bool
	first      map[string]int // line of a key's first assignment
	refused    map[string]bool
	exports    []*statement // export NAME, without a value
	entries    []Entry
	problems   []Problem
}

func newParse(text string, opt Options) *parse {
	return &parse{
		text: text, file: opt.File, statements: scan(text), compose: newComposeReader(),
		literal: setOf(opt.Literal), asCompose: setOf(opt.AsCompose),
		first: map[string]int{}, refused: map[string]bool{},
	}
}

// statement makes an entry or a problem of one statement.
func (p *parse) statement(i int, st *statement) {
	switch {
	case st.form == bare && st.exported && st.legal():
		p.exports = append(p.exports, st)
		return
	case st.form != assignment:
		p.unreadable(st)
		return
	}
	compose := p.compose.read(st, p.text[st.start:st.end])
	if f := nameFault(p.text, st); f != noFault {
		p.refuse(f, st, "")
		return
	}
	if first := p.first[st.key]; first > 0 {
		p.problems = append(p.problems, faultDuplicate.problem(p.file, st.line, first, st.key))
		p.refused[st.key] = true
		return
	}
	p.first[st.key] = st.line
	value, settled, f := p.decide(st, p.follower(i), compose)
	if f != noFault {
		p.refuse(f, st, st.key)
		return
	}
	entry := Entry{Key: st.key, Line: st.line, EndLine: st.endLine, Value: secrets.New([]byte(value)), Empty: value == ""}
	if !settled && !compose.expanded && godotenvReadsOtherwise(p.text[st.start:st.end], st.key, value) {
		entry.Note = noteOtherwise
	}
	p.entries = append(p.entries, entry)
}

// nameFault tells why the name of an assignment is not one to show.
func nameFault(text string, st *statement) fault {
	switch {
	case !st.legal():
		return faultName
	case looksLikeBase64(text[st.start:st.end]):
		return faultBase64
	}
	return noFault
}

// unreadable makes a problem of a statement without a value. A name is shown
// only where it stands before a separator: a line without one may be the rest
// of a value.
func (p *parse) unreadable(st *statement) {
	f, key := st.fault, ""
	if st.form == bare {
		f = faultBare
	}
	if st.form == broken && st.separator > 0 && st.legal() {
		key = st.key
		p.first[key] = cmp.Or(p.first[key], st.line)
		p.compose.vars[key] = reading{state: readUnknown}
	}
	p.refuse(f, st, key)
}

// refuse adds a problem, and the key that has it has no entry.
func (p *parse) refuse(f fault, st *statement, key string) {
	p.problems = append(p.problems, f.problem(p.file, st.line, 0, key))
	if key != "" {
		p.refused[key] = true
	}
}

// follower returns the statement after i if it begins on the line that i ends
// on.
func (p *parse) follower(i int) *statement {
	if i+1 < len(p.statements) && p.statements[i+1].sharesLine {
		return p.statements[i+1]
	}
	return nil
}

// decide is the rule: the value of a key and whether an option settled it, or
// why it has none.
func (p *parse) decide(st, follower *statement, compose reading) (value string, settled bool, f fault) {
	literal := readLiteral(p.text, st, follower)
	f = literal.fault
	if f == noFault {
		f = limits(literal.value)
	}
	if f == noFault && (compose.state != readOK || compose.value != literal.value) {
		f = difference(st, p.text[st.valueStart:st.end], compose)
	}
	switch t := textOf(f); {
	case f == noFault:
		return literal.value, false, noFault
	case t.literal && p.literal[st.key]:
		return literal.value, true, noFault
	case t.asCompose && p.asCompose[st.key] && compose.state == readOK:
		return compose.value, true, limits(compose.value)
	}
	return "", false, f
}

// limits tells why a value that all agree on still cannot be a secret.
func limits(value string) fault {
	switch {
	case strings.IndexByte(value, 0) >= 0:
		return faultNUL
	case len(value) > secrets.MaxSize:
		return faultTooLarge
	case !utf8.ValidString(value):
		return faultUTF8
	}
	return noFault
}

// checkExports makes problems of the names that are exported and never
// assigned. An export of one that is assigned is how shells are told to hand
// it on; it gives no value.
func (p *parse) checkExports() {
	for _, st := range p.exports {
		if p.first[st.key] == 0 {
			p.refuse(faultBare, st, "")
		}
	}
}

// checkOptions adds problems for options that name no key of the file.
func (p *parse) checkOptions() {
	for _, key := range sortedKeys(p.literal, p.asCompose) {
		shown := key
		if secrets.ValidName(key) != nil {
			shown = ""
		}
		if p.literal[key] && p.asCompose[key] {
			p.problems = append(p.problems, faultBothOptions.problem(p.file, 0, 0, shown))
			p.refused[key] = true
		}
		if p.first[key] == 0 {
			p.problems = append(p.problems, faultNotInFile.problem(p.file, 0, 0, shown))
		}
	}
}

// result returns what was found, without the entries of keys that have a
// problem.
func (p *parse) result() ([]Entry, []Problem) {
	entries := slices.DeleteFunc(p.entries, func(e Entry) bool { return p.refused[e.Key] })
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return entries, p.problems
}

func setOf(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, key := range keys {
		set[key] = true
	}
	return set
}

func sortedKeys(sets ...map[string]bool) []string {
	var keys []string
	for _, set := range sets {
		for key := range set {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
