package envfile

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// bom is the byte order mark, which Windows editors put at the beginning.
const bom = "\ufeff"

// form says what a statement is.
type form int

const (
	assignment form = iota // NAME=value, NAME: value
	bare                   // NAME alone: Compose takes the value from the host
	broken                 // no reader gets past it; see statement.reason
)

// statement is one item between blanks and comments, exactly as Compose splits
// the file. Offsets are in bytes.
type statement struct {
	form     form
	reason   reason // why it is broken
	exported bool   // it begins with the word export

	start, end    int // from its first byte to the end of its value
	line, endLine int // the lines of start and end, from 1
	nameStart     int // after export and blanks
	separator     int // offset of = or :
	valueStart    int // after the blanks that Compose skips
	quote         byte
	key           string // the name as Compose reads it, legal or not
	sharesLine    bool   // the previous statement ends on this line
	previousEnd   int    // the end of the previous statement
	astray        bool   // see scanner.astray
}

// legal reports whether the key is a valid name of a secret, so that it may be
// printed.
func (s *statement) legal() bool { return secrets.ValidName(s.key) == nil }

// scanner splits a file into statements as compose-go 2.16 does. Where
// compose-go gives up on the whole file, it continues at a later line.
type scanner struct {
	text string
	pos  int
	line int
	out  []*statement
	// astray: an earlier part of the file makes Compose give up on it, or lines
	// were skipped. An unknown variable may have been set in one of them.
	astray bool
}

// scan returns the statements of a file in order.
func scan(text string) (statements []*statement) {
	s := &scanner{text: text, line: 1, pos: len(text) - len(strings.TrimPrefix(text, bom))}
	for s.skipBlank() {
		before := len(s.out)
		st := s.next()
		st.astray = s.astray
		if before > 0 {
			st.sharesLine = s.out[before-1].endLine == st.line
			st.previousEnd = s.out[before-1].end
		}
		s.out = append(s.out, st)
		s.resume(st)
	}
	return s.out
}

// skipBlank skips blanks and comment lines. It reports whether a statement
// follows.
func (s *scanner) skipBlank() bool {
	for s.pos < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[s.pos:])
		switch {
		case r == '\n':
			s.line++
			s.pos += size
		case unicode.IsSpace(r):
			s.pos += size
		case r == '#':
			s.pos = s.lineEnd(s.pos)
		default:
			return true
		}
	}
	return false
}

// next reads the statement at pos, without changing pos.
func (s *scanner) next() *statement {
	st := &statement{form: broken, start: s.pos, line: s.line, endLine: s.line, nameStart: s.pos}
	if rest, found := strings.CutPrefix(s.text[s.pos:], "export"); found && rest != "" && strings.IndexByte("\t\n\f\r ", rest[0]) >= 0 {
		st.exported = true
		st.nameStart = skipSpaces(s.text, s.pos+len("export"))
	}
	s.name(st)
	if st.form == assignment {
		s.value(st)
	}
	if st.form == broken {
		st.end = s.lineEnd(st.start)
	}
	return st
}

// name finds the end of the name and with it the form of the statement.
func (s *scanner) name(st *statement) {
	for i, r := range s.text[st.nameStart:] {
		switch {
		case isSpace(r), r == '_', r == '.', r == '-', r == '[', r == ']', unicode.IsLetter(r), unicode.IsNumber(r):
			continue
		case r == '=', r == ':':
			st.form, st.separator = assignment, st.nameStart+i
		case r == '\n':
			st.form, st.end = bare, st.nameStart+i
		default:
			st.reason = reasonName
			return
		}
		st.key = strings.TrimRightFunc(s.text[st.nameStart:st.nameStart+i], unicode.IsSpace)
		if strings.Contains(st.key, " ") {
			st.form, st.reason = broken, reasonName
		}
		return
	}
	// The file ends within a name. compose-go reads the name as the value of a
	// variable without a name, which is never intended.
	st.form, st.end = bare, len(s.text)
	st.key = strings.TrimRightFunc(s.text[st.nameStart:], unicode.IsSpace)
}

// value finds where the value begins and ends.
func (s *scanner) value(st *statement) {
	st.valueStart = skipSpaces(s.text, st.separator+1)
	if st.valueStart < len(s.text) && (s.text[st.valueStart] == '"' || s.text[st.valueStart] == '\'') {
		st.quote = s.text[st.valueStart]
	}
	if st.quote == 0 {
		st.end = s.lineEnd(st.valueStart)
		return
	}
	end := closingQuote(s.text, st.valueStart)
	if end < 0 {
		st.form, st.reason = broken, reasonUnterminated
		return
	}
	st.end = end + 1
	st.endLine = st.line + strings.Count(s.text[st.start:st.end], "\n")
}

// resume sets pos to the place from which to look for the next statement.
func (s *scanner) resume(st *statement) {
	if unquotedPEM(s.text, st) {
		st.form, st.reason = broken, reasonPEM
	}
	if st.form != broken {
		s.pos, s.line = st.end, st.endLine
		return
	}
	s.astray = true
	if opener := s.mispaired(st); opener != nil {
		// The quote that closed the previous value was probably the opening
		// quote of another value: read the lines in between again.
		s.out = s.out[:len(s.out)-1]
		st = opener
		opener.form, opener.reason = broken, reasonMispaired
		opener.end, opener.endLine = s.lineEnd(opener.start), opener.line
		s.line = opener.line
	}
	if st.reason == reasonName {
		s.pos = s.lineEnd(st.start)
		return
	}
	s.skipValueLines(s.lineEnd(st.start))
}

// mispaired returns the quoted statement that began on an earlier line and ends
// on st's line, if there is one.
func (s *scanner) mispaired(st *statement) *statement {
	if !st.sharesLine {
		return nil
	}
	before := s.out[len(s.out)-2]
	if before.form == assignment && before.quote != 0 && before.line < before.endLine {
		return before
	}
	return nil
}

// skipValueLines skips, from the end of a line, the lines that look like the
// rest of its value: up to a line that is clearly an assignment, or past the
// end of a PEM block.
func (s *scanner) skipValueLines(from int) {
	s.pos = from
	for s.pos < len(s.text) {
		next := s.pos + 1
		line := s.text[next:s.lineEnd(min(next, len(s.text)))]
		if plainAssignment(line) {
			return
		}
		s.pos = next + len(line)
		s.line++
		if strings.HasPrefix(line, "-----END") {
			return
		}
	}
}

// lineEnd returns the offset of the next newline or of the end of the file.
func (s *scanner) lineEnd(from int) int {
	if i := strings.IndexByte(s.text[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(s.text)
}

// unquotedPEM reports whether st is the first line of a PEM block that was
// pasted without quotes.
func unquotedPEM(text string, st *statement) bool {
	if st.form != assignment || st.quote != 0 {
		return false
	}
	value := text[st.valueStart:st.end]
	return strings.HasPrefix(value, "-----BEGIN ") && !strings.Contains(value, "-----END ")
}

// plainAssignment reports whether a line that may be part of a value is more
// likely an assignment: it begins with NAME= and is not a line of base64.
func plainAssignment(line string) bool {
	line = strings.TrimLeft(strings.TrimRight(line, "\r"), " \t")
	name, value, found := strings.Cut(line, "=")
	if !found {
		return false
	}
	if rest, exported := strings.CutPrefix(name, "export "); exported {
		name = rest
	}
	if secrets.ValidName(strings.Trim(name, " \t")) != nil {
		return false
	}
	padded := value == "=" || value == "" && len(line)%4 == 0
	return !padded || strings.Contains(line, "_")
}

// closingQuote returns the offset of the quote that closes the one at open: the
// first that is not escaped by a backslash. For Compose both kinds of quote can
// be escaped.
func closingQuote(text string, open int) int {
	for i := open + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[open]:
			return i
		}
	}
	return -1
}

// skipSpaces skips what both parsers treat as spaces within a line.
func skipSpaces(text string, from int) int {
	return len(text) - len(strings.TrimLeftFunc(text[from:], isSpace))
}

// isSpace reports what both parsers treat as a space within a line.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\v', '\f', '\r', ' ', 0x85, 0xA0:
		return true
	}
	return false
}
