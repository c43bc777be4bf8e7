package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The encodings that a Match can have.
const (
	rawEncoding     = "raw"
	lineEncoding    = "line"
	base64Encoding  = "base64"
	hexEncoding     = "hex"
	percentEncoding = "percent"
	jsonEncoding    = "json"
	htmlEncoding    = "html"
	shellEncoding   = "shell"
	goEncoding      = "go"
)

// Encodings returns the names of the encodings in which values are searched.
// "line" is a line of a multi-line value; "json" stands also for a string of a
// value that is a JSON document.
func Encodings() []string {
	return []string{
		rawEncoding, lineEncoding, base64Encoding, hexEncoding, percentEncoding,
		jsonEncoding, htmlEncoding, shellEncoding, goEncoding,
	}
}

// base64 adds the letters that depend on text alone, whatever stands before
// and behind it in what was encoded: text may begin at any of the three bytes
// of a group. Where nothing but a line break, or nothing at all, follows, the
// letters up to the end and the padding are known too.
func (s *formSet) base64(text []byte) {
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for offset := range 3 {
			padded := append(make([]byte, offset, offset+len(text)+1), text...)
			first := (offset*8 + 5) / 6
			sure := len(padded) * 8 / 6
			encoded := alphabet.EncodeToString(padded)
			s.wrapping(base64Encoding, encoded[first:sure])
			s.ends(encoded[first:])
			s.ends(alphabet.EncodeToString(append(padded, '\n'))[first:])
		}
	}
}

// ends adds the end of an encoded text without and with its padding.
func (s *formSet) ends(encoded string) {
	s.wrapping(base64Encoding, strings.TrimRight(encoded, "="))
	s.wrapping(base64Encoding, encoded)
}

func (s *formSet) wrapping(encoding, text string) {
	s.put(form{text: []byte(text), encoding: encoding, wraps: true})
}

// base64Whole adds the encoding of text, and of text and a line break.
func (s *formSet) base64Whole(text []byte) {
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		s.ends(alphabet.EncodeToString(text))
		s.ends(alphabet.EncodeToString(append(text[:len(text):len(text)], '\n')))
	}
}

func (s *formSet) hex(text []byte) {
	lower := hex.EncodeToString(text)
	s.wrapping(hexEncoding, lower)
	s.wrapping(hexEncoding, strings.ToUpper(lower))
	s.add(hexEncoding, fmt.Appendf(nil, "% x", text))
	s.add(hexEncoding, fmt.Appendf(nil, "% X", text))
}

// percent adds the forms that the encoders of the web make. They differ in the
// characters that they leave as they are.
func (s *formSet) percent(text []byte) {
	t := string(text)
	query := url.QueryEscape(t)
	forms := []string{
		query,
		strings.ReplaceAll(query, "+", "%20"), // RFC 3986, and curl
		url.PathEscape(t),
		strings.TrimPrefix((&url.URL{Path: "/" + t}).EscapedPath(), "/"),
		url.UserPassword("", t).String()[1:],
		(&url.URL{Fragment: t}).EscapedFragment(),
		percentExcept(text, "-_.!~*'()"),            // encodeURIComponent
		percentExcept(text, "-_.!~*'();,/?:@&=+$#"), // encodeURI
		percentExcept(text, "-_.~/"),                // quote of Python
		percentExcept(text, ""),
		percentAll(text),
	}
	for _, f := range forms {
		s.add(percentEncoding, []byte(f))
		s.add(percentEncoding, []byte(lowerPercent(f)))
	}
}

// percentExcept encodes all but letters, digits and the given characters.
func percentExcept(text []byte, keep string) string {
	var b strings.Builder
	for _, c := range text {
		if isWord(c) && c != '_' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func percentAll(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// lowerPercent writes the hex digits behind each percent sign in lower case.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
			i += 2
		}
	}
	return string(b)
}

// jsonStyle is a way to write a string in JSON. Encoders agree on the quote
// and the backslash, and on little else.
type jsonStyle struct {
	html   bool // <, > and & are escaped
	ascii  bool // everything outside ASCII is escaped
	slash  bool // the slash is escaped
	upper  bool // hex digits in upper case
	long   bool // \u0008 and \u000c, as Go did before 1.22
	golang bool // U+2028, U+2029 and broken bytes are escaped, as Go does
}

// json adds every style that makes a difference, and JSON inside a string of
// JSON: a log line in a log line.
func (s *formSet) json(text []byte) {
	t := string(text)
	var kept int
	for i, r := range t {
		if _, size := utf8.DecodeRuneInString(t[i:]); r != utf8.RuneError || size > 1 {
			kept += size
		}
	}
	if kept < len(t) && kept < anywhere {
		return // hardly anything of the value is left
	}
	styles := []jsonStyle{{}}
	vary := func(matters bool, set func(*jsonStyle)) {
		if !matters {
			return
		}
		for _, style := range styles {
			set(&style)
			styles = append(styles, style)
		}
	}
	outside := strings.ContainsFunc(t, func(r rune) bool { return r >= 0x7f })
	vary(strings.ContainsAny(t, "<>&"), func(j *jsonStyle) { j.html = true })
	vary(outside, func(j *jsonStyle) { j.ascii = true })
	vary(strings.Contains(t, "/"), func(j *jsonStyle) { j.slash = true })
	vary(strings.ContainsAny(t, "\b\f"), func(j *jsonStyle) { j.long = true })
	vary(outside, func(j *jsonStyle) { j.golang = true })
	vary(outside || strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || strings.ContainsRune("<>&", r) }),
		func(j *jsonStyle) { j.upper = true })
	for _, style := range styles {
		once := style.quote(t)
		s.add(jsonEncoding, []byte(once))
		s.add(jsonEncoding, []byte(style.quote(once)))
	}
}

// quote writes t as the inside of a JSON string. A byte that is no UTF-8
// becomes U+FFFD.
func (j jsonStyle) quote(t string) string {
	var b strings.Builder
	for i, r := range t {
		short, named := jsonNames(r, j)
		switch {
		case named:
			b.WriteString(short)
		case r < ' ', j.html && (r == '<' || r == '>' || r == '&'), j.ascii && r >= 0x7f,
			j.golang && (r == 0x2028 || r == 0x2029 || r == utf8.RuneError && t[i] != 0xef):
			j.escape(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// jsonNames returns the escape of two characters that r has, if it has one.
func jsonNames(r rune, j jsonStyle) (string, bool) {
	switch {
	case r == '"':
		return `\"`, true
	case r == '\\':
		return `\\`, true
	case r == '/' && j.slash:
		return `\/`, true
	case r == '\b' && !j.long:
		return `\b`, true
	case r == '\f' && !j.long:
		return `\f`, true
	case r == '\n':
		return `\n`, true
	case r == '\r':
		return `\r`, true
	case r == '\t':
		return `\t`, true
	}
	return "", false
}

// escape writes r as \uXXXX, or as two of them.
func (j jsonStyle) escape(b *strings.Builder, r rune) {
	format := `\u%04x`
	if j.upper {
		format = `\u%04X`
	}
	if r > 0xffff {
		r -= 0x10000
		fmt.Fprintf(b, format, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	fmt.Fprintf(b, format, r)
}

// html adds what the escapers of HTML and XML make: they agree on &, < and >,
// and differ in the quotes and a few more.
func (s *formSet) html(text []byte) {
	t := string(text)
	base := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	add := func(t string, more ...string) {
		// The replacer of & goes first and so leaves the others' & alone.
		s.add(htmlEncoding, []byte(strings.NewReplacer(more...).Replace(base.Replace(t))))
	}
	s.add(htmlEncoding, []byte(html.EscapeString(t)))
	add(t)
	for _, double := range []string{"&#34;", "&quot;", "&#x22;"} {
		add(t, `"`, double)
		for _, single := range []string{"&#39;", "&apos;", "&#x27;", "&#039;"} {
			quotes := []string{`"`, double, "'", single}
			add(t, quotes...)
			add(t, append(quotes, "/", "&#x2F;")...)
			add(t, append(quotes, "/", "&#x2F;", "`", "&#x60;", "=", "&#x3D;")...)
			add(t, append(quotes, "+", "&#43;")...)
			add(t, append(quotes, "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")...)
		}
	}
}

// shell adds the ways in which shells and those who write for them quote a
// word, without the quotes around it, and the doubling of characters that
// SQL, YAML (quotes) and Compose (dollars) do.
func (s *formSet) shell(text []byte) {
	t := string(text)
	double := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	forms := []string{
		strings.ReplaceAll(t, "'", `'\''`),
		strings.ReplaceAll(t, "'", `'"'"'`),
		strings.ReplaceAll(t, "'", "''"),
		strings.ReplaceAll(t, "$", "$$"),
		strings.ReplaceAll(strings.ReplaceAll(t, "$", "$$"), "'", "''"),
		double.Replace(t),
		strings.ReplaceAll(double.Replace(t), "!", `\!`),
		backslashed(t, true),
		backslashed(t, false),
		backslashedAll(t),
		dollarQuoted(t, false),
		dollarQuoted(t, true),
	}
	for _, f := range forms {
		s.add(shellEncoding, []byte(f))
	}
}

// backslashed is printf %q of bash for a word of printable characters. A # at
// the beginning and a ~ there or behind : or = count only at the beginning of
// the word.
func backslashed(t string, word bool) string {
	var b strings.Builder
	for i := range len(t) {
		c := t[i]
		special := strings.IndexByte(" \t\n!\"$&'()*,;<>?[\\]^`{|}", c) >= 0 ||
			c == '#' && i == 0 && word ||
			c == '~' && (i == 0 && word || i > 0 && (t[i-1] == ':' || t[i-1] == '='))
		if special {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// backslashedAll is what shellwords and quotemeta do: all but letters, digits
// and a few more.
func backslashedAll(t string) string {
	var b strings.Builder
	for i := range len(t) {
		if c := t[i]; c < 0x80 && !isWord(c) && strings.IndexByte("-.,:+/@%", c) < 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(t[i])
	}
	return b.String()
}

// dollarQuoted is the inside of $'...': bash makes it of a word with control
// characters, and in the C locale of one outside ASCII too.
func dollarQuoted(t string, ascii bool) string {
	names := map[rune]string{
		'\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`,
		0x1b: `\E`, '\\': `\\`, '\'': `\'`,
	}
	var b strings.Builder
	for i, r := range t {
		_, size := utf8.DecodeRuneInString(t[i:])
		broken := r == utf8.RuneError && size == 1
		name, named := names[r]
		switch {
		case named:
			b.WriteString(name)
		case broken, r < ' ', r == 0x7f, r > 0x7f && (ascii || !unicode.IsPrint(r)):
			for _, c := range []byte(t[i : i+size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(t[i : i+size])
		}
	}
	return b.String()
}

// golang adds what Go's strconv and fmt write, and the numbers of the bytes,
// as fmt and the encoders of JavaScript list them.
func (s *formSet) golang(text []byte) {
	t := string(text)
	for _, quoted := range []string{
		strconv.Quote(t), strconv.QuoteToASCII(t), strconv.QuoteToGraphic(t),
		`"` + byteEscaped(text) + `"`,
	} {
		inside := quoted[1 : len(quoted)-1]
		s.add(goEncoding, []byte(inside))
		s.add(goEncoding, []byte(strings.ReplaceAll(inside, `\"`, `"`)))
		again := strconv.Quote(inside)
		s.add(goEncoding, []byte(again[1:len(again)-1]))
	}
	for _, f := range []struct{ format, between string }{{"%d", " "}, {"%d", ","}, {"0x%x", ", "}} {
		numbers := make([]string, len(text))
		for i, c := range text {
			numbers[i] = fmt.Sprintf(f.format, c)
		}
		s.add(goEncoding, []byte(strings.Join(numbers, f.between)))
	}
}

// byteEscaped writes all but printable ASCII as \xNN, as Python's repr of
// bytes does, which also escapes the single quote.
func byteEscaped(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\\' || c == '\'':
			b.WriteString(`\` + string(rune(c)))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
