package envfile

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Options says how a file is read.
type Options struct {
	File      string   // the name shown in problems; it is not opened
	Literal   []string // keys to take as written if the readings differ
	AsCompose []string // keys to take as Compose reads them if they differ
}

// Entry is a key with the value on which the literal reading and Compose's
// agree.
type Entry struct {
	Key   string
	Line  int            // from 1, on which it begins
	Value secrets.Secret // the zero Secret if Empty
	Empty bool           // the value has no bytes
	Note  string         // a warning about an accepted key, usually ""
}

// noteOtherwise is the only Note.
const noteOtherwise = "accepted, but godotenv 1.5.1 reads a different value: a program that loads this file with godotenv uses that one"

// Parse reads a .env file. It returns the entries on which the readings agree,
// and all problems, both in the order of their lines. A key that is assigned
// twice has a problem and no entry, even if both values are the same: a later
// change of only one of them would come as a surprise.
//
// The subject of a problem is its key, "" if the line has no legal name; its
// line is 0 if it is not in a line. A problem without a key may mean that the value above it ends too early,
// because its quotes are missing: store entries only if there is no such
// problem.
func Parse(data []byte, opt Options) ([]Entry, []fault.Finding) {
	if isUTF16(data) {
		return nil, []fault.Finding{reasonUTF16.problem(opt.File, 0, 0, "")}
	}
	p := &parse{
		text: string(data), file: opt.File, statements: scan(string(data)), compose: newComposeReader(),
		named:   slices.Concat(opt.Literal, opt.AsCompose),
		literal: setOf(opt.Literal), asCompose: setOf(opt.AsCompose),
		first: map[string]int{}, refused: map[string]bool{},
	}
	for i, st := range p.statements {
		p.statement(i, st)
	}
	p.checkExports()
	p.checkOptions()
	entries := slices.DeleteFunc(p.entries, func(e Entry) bool { return p.refused[e.Key] })
	slices.SortStableFunc(p.problems, func(a, b fault.Finding) int { return cmp.Compare(a.Line, b.Line) })
	return entries, p.problems
}

// isUTF16 reports whether data begins with a byte order mark of UTF-16.
func isUTF16(data []byte) bool {
	return len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff)
}

// parse is the state of one Parse.
type parse struct {
	text       string
	file       string
	statements []*statement
	compose    *composeReader
	named      []string // the keys that options name
	literal    map[string]bool
	asCompose  map[string]bool
	first      map[string]int // line of a key's first assignment
	refused    map[string]bool
	exports    []*statement // export NAME, without a value
	entries    []Entry
	problems   []fault.Finding
}

// statement adds the entry or the problem of one statement.
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
	if f := nameReason(p.text, st); f != noReason {
		p.refuse(f, st, "")
		return
	}
	if first := p.first[st.key]; first > 0 {
		p.problems = append(p.problems, reasonDuplicate.problem(p.file, st.line, first, st.key))
		p.refused[st.key] = true
		return
	}
	p.first[st.key] = st.line
	value, settled, f := p.decide(st, p.follower(i), compose)
	if f != noReason {
		p.refuse(f, st, st.key)
		return
	}
	entry := Entry{Key: st.key, Line: st.line, Value: secrets.New([]byte(value)), Empty: value == ""}
	if !settled && !compose.expanded && godotenvReadsOtherwise(p.text[st.start:st.end], st.key, value) {
		entry.Note = noteOtherwise
	}
	p.entries = append(p.entries, entry)
}

// nameReason says why the name of an assignment must not be shown.
func nameReason(text string, st *statement) reason {
	switch {
	case !st.legal():
		return reasonName
	case looksLikeBase64(text[st.start:st.end]):
		return reasonBase64
	}
	return noReason
}

// unreadable adds the problem of a statement without a value. The name is shown
// only if it is followed by a separator: a line without one may be the rest of
// a value.
func (p *parse) unreadable(st *statement) {
	f, key := st.reason, ""
	if st.form == bare {
		f = reasonBare
	}
	if st.form == broken && st.separator > 0 && st.legal() {
		key = st.key
		p.first[key] = cmp.Or(p.first[key], st.line)
		p.compose.vars[key] = reading{state: readUnknown}
	}
	p.refuse(f, st, key)
}

// refuse adds a problem, so that its key gets no entry.
func (p *parse) refuse(f reason, st *statement, key string) {
	p.problems = append(p.problems, f.problem(p.file, st.line, 0, key))
	if key != "" {
		p.refused[key] = true
	}
}

// follower returns the statement after statement i if it begins on the line on
// which i ends.
func (p *parse) follower(i int) *statement {
	if i+1 < len(p.statements) && p.statements[i+1].sharesLine {
		return p.statements[i+1]
	}
	return nil
}

// decide applies the rule: it returns the value of a key and whether an option
// settled it, or why there is none.
func (p *parse) decide(st, follower *statement, compose reading) (value string, settled bool, f reason) {
	literal, f := readLiteral(p.text, st, follower)
	if f == noReason {
		f = limits(literal)
	}
	if f == noReason && (compose.state != readOK || compose.value != literal) {
		f = difference(st, p.text[st.valueStart:st.end], compose)
	}
	if f == noReason {
		return literal, false, noReason
	}
	switch t := textOf(f); {
	case t.literal && p.literal[st.key]:
		return literal, true, noReason
	case t.asCompose && p.asCompose[st.key] && compose.state == readOK:
		return compose.value, true, limits(compose.value)
	}
	return "", false, f
}

// limits says why a value cannot be a secret although the readings agree.
func limits(value string) reason {
	switch {
	case strings.IndexByte(value, 0) >= 0:
		return reasonNUL
	case len(value) > secrets.MaxSize:
		return reasonTooLarge
	case !utf8.ValidString(value):
		return reasonUTF8
	}
	return noReason
}

// checkExports adds problems for the names that are exported but never
// assigned. Exporting a name that is assigned only tells shells to pass it on.
func (p *parse) checkExports() {
	for _, st := range p.exports {
		if p.first[st.key] == 0 {
			p.refuse(reasonBare, st, "")
		}
	}
}

// checkOptions adds problems for keys in options that are not in the file, or
// in both options.
func (p *parse) checkOptions() {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(p.named))) {
		shown := key
		if secrets.ValidName(key) != nil {
			shown = ""
		}
		if p.literal[key] && p.asCompose[key] {
			p.problems = append(p.problems, reasonBothOptions.problem(p.file, 0, 0, shown))
			p.refused[key] = true
		}
		if p.first[key] == 0 {
			p.problems = append(p.problems, reasonNotInFile.problem(p.file, 0, 0, shown))
		}
	}
}

func setOf(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, key := range keys {
		set[key] = true
	}
	return set
}
