package envfile

import "strings"

// CommentOut puts # before every line of the assignments to keys, and returns
// the keys that it found, in the order of the file. Every other byte stays: the
// byte order mark, the kind of line ends, blanks and comments. Two assignments
// on one line are separated by a line end if one of them stays.
//
// Afterwards [Parse] finds none of the returned keys, and a second call changes
// nothing. A key whose value does not end (an open quote, for example) is left
// unchanged and not returned, because it is unclear which lines belong to it.
func CommentOut(data []byte, keys []string) ([]byte, []string) {
	text := string(data)
	if isUTF16(data) {
		return []byte(text), nil
	}
	wanted := setOf(keys)
	statements := scan(text)
	for _, st := range statements {
		if st.form == broken {
			delete(wanted, st.key)
		}
	}
	e := editor{text: text, eol: lineEnding(text)}
	seen := map[string]bool{}
	var done []string
	before := false // the previous statement was commented out
	for _, st := range statements {
		out := st.form == assignment && wanted[st.key]
		if out {
			e.commentOut(st, before)
		} else if before && st.sharesLine {
			e.insert(st.start, e.eol)
		}
		if out && !seen[st.key] {
			seen[st.key] = true
			done = append(done, st.key)
		}
		before = out
	}
	e.insert(len(text), "")
	return []byte(e.out.String()), done
}

// editor copies a text and inserts into it, in order.
type editor struct {
	text   string
	eol    string
	copied int
	out    strings.Builder
}

// insert puts s before the byte at offset at.
func (e *editor) insert(at int, s string) {
	e.out.WriteString(e.text[e.copied:at])
	e.out.WriteString(s)
	e.copied = at
}

// commentOut puts # before each line of st. before says that the previous
// statement was commented out, including a line that they may share.
func (e *editor) commentOut(st *statement, before bool) {
	switch {
	case st.sharesLine && !before:
		e.insert(st.start, e.eol+"#")
	case !st.sharesLine:
		e.insert(lineStart(e.text, st.start), "#")
	}
	for i := st.start; ; {
		next := strings.IndexByte(e.text[i:st.end], '\n')
		if next < 0 {
			return
		}
		i += next + 1
		e.insert(i, "#")
	}
}

// lineStart returns the offset at which the line of offset at begins, after a
// byte order mark.
func lineStart(text string, at int) int {
	if i := strings.LastIndexByte(text[:at], '\n'); i >= 0 {
		return i + 1
	}
	return len(text) - len(strings.TrimPrefix(text, bom))
}

// lineEnding returns the line end that the text uses first.
func lineEnding(text string) string {
	if i := strings.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
