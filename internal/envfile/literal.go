package envfile

import "strings"

// readLiteral reads an assignment like a person who knows quotes, comments and
// five escapes, and for whom $ means $. follower is the next statement if it
// begins on the line on which st ends. The reason says why there is no value, or
// none that could agree with Compose's.
func readLiteral(text string, st, follower *statement) (string, reason) {
	if st.sharesLine && st.previousEnd == st.start {
		return "", reasonGlued
	}
	if hasOddBlanks(text, st) {
		return "", reasonNameBlank
	}
	if text[st.separator] == ':' && !blankOrEnd(text, st.separator+1) {
		return "", reasonColon
	}
	if st.quote == 0 {
		return unquoted(text[st.separator+1 : st.end])
	}
	if trimBlanks(text[st.separator+1:st.valueStart]) != "" {
		return "", reasonNameBlank
	}
	if !blankOrEnd(text, st.end) || follower != nil && follower.form != assignment {
		return "", reasonAfterQuote
	}
	body := text[st.valueStart+1 : st.end-1]
	if st.quote == '"' {
		return decodeEscapes(body), noReason
	}
	if strings.Contains(body, `\'`) {
		return "", reasonQuoteEscape
	}
	return body, noReason
}

// hasOddBlanks reports whether there are blanks other than space and tab
// before, within or after the name. Compose drops them, and a person cannot see
// them.
func hasOddBlanks(text string, st *statement) bool {
	before := trimBlanksRight(text[:st.start])
	afterOther := st.sharesLine && len(before) == st.previousEnd
	if before != "" && before != bom && !strings.HasSuffix(before, "\n") && !afterOther {
		return true
	}
	name := text[st.start:st.separator]
	if st.exported {
		name = name[len("export"):]
	}
	return trimBlanks(name) != st.key
}

// unquoted reads the text between the separator and the end of the line: up to
// a # after a blank, without surrounding blanks.
func unquoted(raw string) (string, reason) {
	raw = strings.TrimSuffix(raw, "\r")
	if strings.Contains(raw, "\r") {
		return "", reasonLoneCR
	}
	return trimBlanks(raw[:commentStart(raw)]), noReason
}

// commentStart returns the offset of the # that begins a comment, or the length
// if there is none. Such a # follows a blank and is not between two quotes
// within the value, where a shell protects it.
func commentStart(raw string) int {
	var open byte
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '#' && i > 0 && isBlank(raw[i-1]):
			if open == 0 || strings.IndexByte(raw[i:], open) < 0 {
				return i
			}
			return len(raw) // unclear whether it is protected
		case c == open:
			open = 0
		case open == 0 && (c == '"' || c == '\''):
			open = c
		}
	}
	return len(raw)
}

// decodeEscapes decodes the escapes in double quotes on which Compose and
// godotenv agree. All others stay as written.
func decodeEscapes(body string) string {
	if strings.IndexByte(body, '\\') < 0 {
		return body
	}
	var b strings.Builder
	b.Grow(len(body))
	for i := 0; i < len(body); i++ {
		if body[i] == '\\' && i+1 < len(body) {
			if at := strings.IndexByte(`nr\"$`, body[i+1]); at >= 0 {
				b.WriteByte("\n\r\\\"$"[at])
				i++
				continue
			}
		}
		b.WriteByte(body[i])
	}
	return b.String()
}

// difference names the kind of difference between two readings.
func difference(st *statement, body string, compose reading) reason {
	switch {
	case compose.state == readRefused:
		return reasonComposeRefuses
	case compose.state == readUnknown:
		return reasonComposeUnknown
	case compose.state == readPanicked:
		return reasonPanic
	case compose.expanded || strings.Contains(body, "$$"):
		return reasonDollar
	case st.quote == '"':
		return reasonEscape
	case strings.IndexByte(body, '#') >= 0:
		return reasonComment
	}
	return reasonBlank
}

// looksLikeBase64 reports whether an assignment of an empty value is more likely
// the last line of unquoted base64 data. Its name would be a piece of the data.
func looksLikeBase64(source string) bool {
	source = strings.TrimRight(source, "\r")
	data := strings.TrimRight(source, "=")
	padding := len(source) - len(data)
	if len(source) < 16 || len(source)%4 != 0 || padding < 1 || padding > 2 {
		return false
	}
	var kinds [3]bool
	for _, c := range []byte(data) {
		switch {
		case c >= 'a' && c <= 'z':
			kinds[0] = true
		case c >= 'A' && c <= 'Z':
			kinds[1] = true
		case c >= '0' && c <= '9':
			kinds[2] = true
		default:
			return false
		}
	}
	return kinds[0] && kinds[1] && kinds[2]
}

// blankOrEnd reports whether there is a blank, a line end or the end of the file
// at i.
func blankOrEnd(text string, i int) bool {
	rest := text[i:]
	return rest == "" || rest == "\r" || isBlank(rest[0]) || rest[0] == '\n' || strings.HasPrefix(rest, "\r\n")
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimBlanks(s string) string { return strings.Trim(s, " \t") }

func trimBlanksRight(s string) string { return strings.TrimRight(s, " \t") }
