package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
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
// "line" is a line of a multi-line value; "json" also means a string in a value
// that is a JSON document.
func Encodings() []string {
	return []string{
		rawEncoding, lineEncoding, base64Encoding, hexEncoding, percentEncoding,
		jsonEncoding, htmlEncoding, shellEncoding, goEncoding,
	}
}

// base64 adds the letters that depend only on text, whatever comes before and
// after it in the encoded data: text may begin at any of the three bytes of a
// group. If only a line break or nothing follows, the letters up to the end and
// the padding are known too. Of a short value only the whole is added.
func (s *formSet) base64(text []byte) {
	offsets := 3
	if s.short {
		offsets = 1
	}
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for offset := range offsets {
			padded := append(make([]byte, offset, offset+len(text)+1), text...)
			first := (offset*8 + 5) / 6
			sure := len(padded) * 8 / 6
			encoded := alphabet.EncodeToString(padded)
			if !s.short {
				s.wrapping(base64Encoding, encoded[first:sure])
			}
			s.ends(encoded[first:])
			s.ends(alphabet.EncodeToString(append(padded, '\n'))[first:])
		}
	}
}

// ends adds the end of an encoded text, with and without padding.
func (s *formSet) ends(encoded string) {
	s.wrapping(base64Encoding, strings.TrimRight(encoded, "="))
	s.wrapping(base64Encoding, encoded)
}

func (s *formSet) wrapping(encoding, text string) {
	s.put(form{text: []byte(text), encoding: encoding, wraps: true})
}

func (s *formSet) hex(text []byte) {
	lower := hex.EncodeToString(text)
	s.wrapping(hexEncoding, lower)
	s.wrapping(hexEncoding, strings.ToUpper(lower))
	s.add(hexEncoding, numbers(text, " ", "%02x")) // % x
	s.add(hexEncoding, numbers(text, " ", "%02X"))
}

// letters reports whether text consists of letters and digits, which most
// encoders leave unchanged.
func letters(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return !isWord(c) || c == '_' })
}

// percent adds the output of the various percent encoders. They differ in the
// characters that they leave unchanged.
func (s *formSet) percent(text []byte) {
	s.add(percentEncoding, append([]byte("%"), numbers(text, "%", "%02X")...))
	s.add(percentEncoding, append([]byte("%"), numbers(text, "%", "%02x")...))
	if letters(text) {
		return
	}
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
		percentExcept(text, "-_.~/"),                // Python's quote
		percentExcept(text, ""),
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

// lowerPercent converts the hex digits after each percent sign to lower case.
func lowerPercent(s string) string {
	parts := strings.Split(s, "%")
	for i, part := range parts[1:] {
		parts[i+1] = strings.ToLower(part[:2]) + part[2:]
	}
	return strings.Join(parts, "%")
}

// jsonStyle is a way to write a string in JSON. Encoders agree on the quote,
// the backslash and little else.
type jsonStyle struct {
	more   string // further characters that are escaped as \uXXXX
	ascii  bool   // everything outside ASCII is escaped
	slash  bool   // the slash is escaped
	upper  bool   // hex digits in upper case
	long   bool   // no \b and \f
	golang bool   // U+2028, U+2029 and invalid bytes are escaped
}

func jsonStyles() []jsonStyle {
	return []jsonStyle{
		{}, // JavaScript, Rust and many more
		{golang: true, more: "<>&"},
		{golang: true},
		{golang: true, long: true, more: "<>&"}, // Go before 1.22
		{golang: true, long: true},
		{ascii: true},              // Python
		{ascii: true, slash: true}, // PHP
		{slash: true},
		{upper: true}, // Java
		{upper: true, ascii: true},
		{golang: true, more: "<>&='"}, // Gson
		{ascii: true, upper: true, more: "\"<>&'+`"}, // .NET
	}
}

// json adds every style, and JSON inside a JSON string, such as a log line in a
// log line.
func (s *formSet) json(text []byte) {
	if letters(text) {
		return
	}
	t := string(text)
	if mostlyLost(t, func(rune) bool { return false }) {
		return
	}
	for _, style := range jsonStyles() {
		once := style.quote(t)
		s.add(jsonEncoding, []byte(once))
		s.add(jsonEncoding, []byte(style.quote(once)))
	}
}

// mostlyLost reports whether an encoder that replaces the lost characters
// leaves too little of t to be masked anywhere: the rest could be from any
// text.
func mostlyLost(t string, lost func(rune) bool) bool {
	n := 0
	for i, r := range t {
		if r == utf8.RuneError && t[i] != replacement || lost(r) {
			n++
		}
	}
	return n > 0 && len(t)-n < anywhere
}

// replacement is the first byte of U+FFFD in UTF-8.
const replacement = 0xef

// quote returns t as the inside of a JSON string. A byte that is not UTF-8
// becomes U+FFFD.
func (j jsonStyle) quote(t string) string {
	var b strings.Builder
	b.Grow(len(t) + len(t)/4)
	names := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	if j.slash {
		names['/'] = `\/`
	}
	if !j.long {
		names['\b'], names['\f'] = `\b`, `\f`
	}
	for i, r := range t {
		switch {
		case strings.ContainsRune(j.more, r):
			j.escape(&b, r)
		case names[r] != "":
			b.WriteString(names[r])
		case r < ' ', j.ascii && r >= 0x7f,
			j.golang && (r == 0x2028 || r == 0x2029 || r == utf8.RuneError && t[i] != replacement):
			j.escape(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escape writes r as \uXXXX, or as a surrogate pair.
func (j jsonStyle) escape(b *strings.Builder, r rune) {
	format := `\u%04x`
	if j.upper {
		format = `\u%04X`
	}
	for _, unit := range utf16.AppendRune(nil, r) {
		fmt.Fprintf(b, format, unit)
	}
}

// html adds the output of the various HTML and XML escapers: they agree on &, <
// and >, and differ in the quotes and a few other characters.
func (s *formSet) html(text []byte) {
	if letters(text) {
		return
	}
	lost := mostlyLost(string(text), func(r rune) bool { return inXML(r) != r })
	base := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(string(text))
	for _, more := range [][]string{
		{},
		{`"`, "&quot;"}, // PHP, Java
		{`"`, "&#34;", "'", "&#39;"},
		{`"`, "&#34;", "'", "&#39;", "+", "&#43;"},                                 // Go's html/template
		{`"`, "&#34;", "'", "&#39;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;"},  // Go's XML
		{`"`, "&quot;", "'", "&#39;"},                                              // Ruby, JavaScript
		{`"`, "&quot;", "'", "&#039;"},                                             // PHP
		{`"`, "&quot;", "'", "&apos;"},                                             // XML
		{`"`, "&quot;", "'", "&#x27;"},                                             // Python
		{`"`, "&quot;", "'", "&#x27;", "/", "&#x2F;"},                              // OWASP
		{`"`, "&quot;", "'", "&#39;", "/", "&#x2F;", "`", "&#x60;", "=", "&#x3D;"}, // Mustache
		{`"`, "&quot;", "'", "&#x27;", "/", "&#x2F;", `\`, "&#x5C;", "`", "&#96;"}, // validator.js
	} {
		escaped := strings.NewReplacer(more...).Replace(base)
		s.add(htmlEncoding, []byte(escaped))
		if !lost {
			s.add(htmlEncoding, []byte(strings.Map(inXML, escaped)))
		}
	}
}

// inXML replaces characters that XML cannot contain, as encoders do.
func inXML(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
		return utf8.RuneError
	}
	return r
}

// shell adds the ways in which shells, and programs that write for shells,
// quote a word, without the quotes around it, and the doubling of characters in
// SQL and YAML (quotes) and Compose (dollars).
func (s *formSet) shell(text []byte) {
	if letters(text) {
		return
	}
	t := string(text)
	double := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	forms := []string{
		strings.ReplaceAll(t, "'", `'\''`),
		strings.ReplaceAll(t, "'", `'"'"'`),
		dashQuoted(t),
		strings.ReplaceAll(t, "'", "''"),
		strings.ReplaceAll(t, "$", "$$"),
		strings.ReplaceAll(strings.ReplaceAll(t, "$", "$$"), "'", "''"),
		double.Replace(t),
		strings.ReplaceAll(double.Replace(t), "!", `\!`),
		backslashed(t, true),
		backslashed(t, false),
		backslashedExcept(t, "-.,:+/@\n"), // Ruby
		backslashedExcept(t, ""),          // Perl
		dollarQuoted(t, false),
		dollarQuoted(t, true),
	}
	for _, f := range forms {
		s.add(shellEncoding, []byte(f))
	}
}

// dashQuoted quotes a word like dash, without the first and the last quote:
// runs of single quotes are in double quotes, and everything else is in single
// quotes.
func dashQuoted(t string) string {
	quoted := regexp.MustCompile(`'+|[^']+`).ReplaceAllStringFunc(t, func(run string) string {
		if run[0] == '\'' {
			return `"` + run + `"`
		}
		return "'" + run + "'"
	})
	return quoted[1 : len(quoted)-1]
}

// backslashed is bash's printf %q for printable characters. It escapes a ~
// after : or =, and, if t is the beginning of a word, a # or ~ at its
// beginning.
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

// backslashedExcept puts a backslash before every character except letters,
// digits, underscores and those in keep, as Ruby's Shellwords and Perl's
// quotemeta do.
func backslashedExcept(t, keep string) string {
	var b strings.Builder
	for i, r := range t {
		_, size := utf8.DecodeRuneInString(t[i:])
		if r >= utf8.RuneSelf || !isWord(byte(r)) && strings.IndexByte(keep, byte(r)) < 0 {
			b.WriteByte('\\')
		}
		b.WriteString(t[i : i+size])
	}
	return b.String()
}

// dollarQuoted returns the inside of $'...'. Bash quotes a word with control
// characters this way, and in the C locale also one with characters outside
// ASCII.
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

// golang adds the output of Go's strconv and fmt, and lists of the bytes as
// numbers, as written by fmt and JavaScript's encoders.
func (s *formSet) golang(text []byte) {
	s.add(goEncoding, numbers(text, " ", "%d"))
	s.add(goEncoding, numbers(text, ",", "%d"))
	s.add(goEncoding, numbers(text, ", ", "0x%x"))
	if letters(text) {
		return
	}
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
}

// numbers lists the bytes of text, each in a format of fmt.
func numbers(text []byte, between, format string) []byte {
	b := make([]byte, 0, 4*len(text))
	for i, c := range text {
		if i > 0 {
			b = append(b, between...)
		}
		b = fmt.Appendf(b, format, c)
	}
	return b
}

// byteEscaped writes everything except printable ASCII as \xNN, like Python's
// repr of bytes, which also escapes the single quote.
func byteEscaped(text []byte) string {
	names := map[byte]string{'\\': `\\`, '\'': `\'`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	var b strings.Builder
	for _, c := range text {
		switch {
		case names[c] != "":
			b.WriteString(names[c])
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
