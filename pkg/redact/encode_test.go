package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"html/template"
	"log/slog"
	"maps"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// encoder is a real encoder, not one of ours.
type encoder struct {
	name     string
	encoding string
	encode   func(string) string
	loose    int  // bytes of the encoded value that may remain
	utf8Only bool // it replaces bytes that are not UTF-8
}

func encoders() []encoder {
	wrap := func(s string, width int, end string) string {
		var b strings.Builder
		for ; len(s) > width; s = s[width:] {
			b.WriteString(s[:width] + end)
		}
		return b.String() + s + end
	}
	std, web := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	return []encoder{
		{name: "raw", encoding: rawEncoding, encode: func(s string) string { return s }},
		{name: "base64 std", encoding: base64Encoding, encode: func(s string) string { return std([]byte(s)) }, loose: 3},
		{name: "base64 std unpadded", encoding: base64Encoding, encode: func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) }, loose: 3},
		{name: "base64 url", encoding: base64Encoding, encode: func(s string) string { return web([]byte(s)) }, loose: 3},
		{name: "base64 url unpadded", encoding: base64Encoding, encode: func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }, loose: 3},
		{name: "base64 of coreutils", encoding: base64Encoding, encode: func(s string) string { return wrap(std([]byte(s)), 76, "\n") }, loose: 5},
		{name: "base64 of openssl", encoding: base64Encoding, encode: func(s string) string { return wrap(std([]byte(s)), 64, "\n") }, loose: 5},
		{name: "base64 of mime", encoding: base64Encoding, encode: func(s string) string { return wrap(std([]byte(s)), 76, "\r\n") }, loose: 7},
		{name: "json of bytes", encoding: base64Encoding, encode: func(s string) string { return marshalled([]byte(s)) }, loose: 3},
		{name: "hex lower", encoding: hexEncoding, encode: func(s string) string { return hex.EncodeToString([]byte(s)) }},
		{name: "hex upper", encoding: hexEncoding, encode: func(s string) string { return fmt.Sprintf("%X", s) }},
		{name: "hex of xxd -p", encoding: hexEncoding, encode: func(s string) string { return wrap(hex.EncodeToString([]byte(s)), 60, "\n") }, loose: 3},
		{name: "hex spaced", encoding: hexEncoding, encode: func(s string) string { return fmt.Sprintf("% x", s) }, loose: 1},
		{name: "hex spaced, upper", encoding: hexEncoding, encode: func(s string) string { return fmt.Sprintf("% X", s) }, loose: 1},
		{name: "percent query", encoding: percentEncoding, encode: url.QueryEscape},
		{name: "percent path segment", encoding: percentEncoding, encode: url.PathEscape},
		{name: "percent of a url's query", encoding: percentEncoding, encode: func(s string) string {
			return (&url.URL{Scheme: "http", Host: "h", RawQuery: url.Values{"apiKey": {s}}.Encode()}).String()
		}},
		{name: "percent of a url's path", encoding: percentEncoding, encode: func(s string) string {
			return (&url.URL{Scheme: "http", Host: "h", Path: "/" + s}).String()
		}},
		{name: "percent of a url's user", encoding: percentEncoding, encode: func(s string) string {
			return (&url.URL{Scheme: "http", Host: "h", User: url.UserPassword("u", s)}).String()
		}},
		{name: "percent of a url's fragment", encoding: percentEncoding, encode: func(s string) string {
			return (&url.URL{Scheme: "http", Host: "h", Path: "/", Fragment: s}).String()
		}, loose: 1},
		{name: "percent lower", encoding: percentEncoding, encode: func(s string) string { return lowerAfterPercent(url.QueryEscape(s)) }},
		{name: "percent of everything", encoding: percentEncoding, encode: func(s string) string {
			return "%" + strings.ReplaceAll(fmt.Sprintf("% X", s), " ", "%")
		}},
		{name: "percent of everything, lower", encoding: percentEncoding, encode: func(s string) string {
			return "%" + strings.ReplaceAll(fmt.Sprintf("% x", s), " ", "%")
		}},
		{name: "json", encoding: jsonEncoding, encode: func(s string) string { return marshalled(s) }, utf8Only: true},
		{name: "json without html", encoding: jsonEncoding, encode: func(s string) string { return encoded(s) }, utf8Only: true},
		{name: "json in json", encoding: jsonEncoding, encode: func(s string) string { return encoded(encoded(map[string]string{"k": s})) }, utf8Only: true},
		{name: "json ascii", encoding: jsonEncoding, encode: func(s string) string { return escapedASCII(encoded(s)) }, utf8Only: true},
		{name: "slog json", encoding: jsonEncoding, encode: func(s string) string {
			return logged(s, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		}, utf8Only: true},
		{name: "slog text", encoding: goEncoding, encode: func(s string) string {
			return logged(s, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
		}},
		{name: "html", encoding: htmlEncoding, encode: html.EscapeString, utf8Only: true},
		{name: "html of templates", encoding: htmlEncoding, encode: rendered, utf8Only: true},
		{name: "xml", encoding: htmlEncoding, encode: func(s string) string {
			var b strings.Builder
			_ = xml.EscapeText(&b, []byte(s))
			return b.String()
		}, utf8Only: true},
		{name: "go %q", encoding: goEncoding, encode: strconv.Quote},
		{name: "go %+q", encoding: goEncoding, encode: strconv.QuoteToASCII},
		{name: "go QuoteToGraphic", encoding: goEncoding, encode: strconv.QuoteToGraphic},
		{name: "go %#v in a struct", encoding: goEncoding, encode: func(s string) string { return fmt.Sprintf("%#v", struct{ Key string }{s}) }},
		{name: "go %q of %q", encoding: goEncoding, encode: func(s string) string { return strconv.Quote(strconv.Quote(s)) }, loose: 4},
		{name: "go %v of bytes", encoding: goEncoding, encode: func(s string) string { return fmt.Sprint([]byte(s)) }, loose: 1},
		{name: "go %#v of bytes", encoding: goEncoding, encode: func(s string) string { return fmt.Sprintf("%#v", []byte(s)) }, loose: 2},
		{name: "numbers in json", encoding: goEncoding, encode: func(s string) string {
			numbers := make([]int, len(s))
			for i := range len(s) {
				numbers[i] = int(s[i])
			}
			return marshalled(numbers)
		}, loose: 1},
	}
}

func marshalled(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func encoded(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}

// escapedASCII escapes characters outside ASCII in JSON, as Python does.
func escapedASCII(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x7f:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
	}
	return b.String()
}

func lowerAfterPercent(s string) string {
	parts := strings.Split(s, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

func logged(s string, handler func(*bytes.Buffer) slog.Handler) string {
	var b bytes.Buffer
	slog.New(handler(&b)).Info("failed", "url", s)
	_, line, _ := strings.Cut(b.String(), "level") // the length of the time varies
	return line
}

func rendered(s string) string {
	var b strings.Builder
	t := template.Must(template.New("").Parse(`<p title="{{.}}">`))
	_ = t.Execute(&b, s)
	return b.String()
}

// trickyValues are values for which encoders differ.
func trickyValues() map[string]string {
	pem := "-----BEGIN PRIVATE KEY-----\n" +
		"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDAbcdef+hijkl/\n" +
		"Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4\n" +
		"c2hvcnQ+bGluZQ==\n-----END PRIVATE KEY-----\n"
	return map[string]string{
		"letters":         "correctHorse7battery",
		"eight":           "eight888",
		"hex":             "0123456789abcdef0123456789abcdef",
		"punctuation":     `p@ss w/rd+"quo'te\back$lash` + "`tick`!#%&*()[]{}<>?;:,.~|^=",
		"no letters":      `<&>"'$/\` + "`?!=+",
		"snake":           "snake_case_of_letters",
		"begins with #":   "#hash#~tilde:~a=~b",
		"begins with ~":   "~tilde#hash and more",
		"unicode":         "pässwörd→日本語🔑 end",
		"separators":      "line\u2028separator\u2029x",
		"controls":        "bell\atab\tback\bform\fvert\vesc\x1b[31mdel\x7fone\x01",
		"two lines":       "first line of it\nsecond line of it",
		"crlf":            "first line of it\r\nsecond line of it",
		"pem":             pem,
		"not utf-8":       "broken\xff\xfe\x80bytes in the middle\xc3",
		"replacement":     "this is \ufffd not an invalid byte",
		"json":            `{"user": "someone else", "pass": "a \"quoted\" <word>"}`,
		"long":            strings.Repeat("0123456789+/abcdefghijklmnop", 12),
		"plus and tab":    "a \"plus+sign\"\tand 'quotes'",
		"quotes":          "'begins, has ''two'' and ends'",
		"not in xml":      "a <word> with \ufffe and \uffff\tand an end",
		"control in html": "ctl\x01<quoted \"word\">",
		"unicode+control": "pässwörd\x01to the end",
		"blanks around":   "  blanks around  ",
		"trailing break":  "with a trailing break\n",
		"looks like mask": "‹NAME› is not a value",
	}
}

// hidden returns an error unless the value is masked in text, which is an
// encoded context with a value in it; without is the same context, encoded
// without the value.
func hidden(m *Matcher, text, without string, e encoder) error {
	masked := m.String(text)
	found := m.Find([]byte(text))
	if len(found) == 0 {
		return fmt.Errorf("nothing is found in %d bytes", len(text))
	}
	if left := len(strings.ReplaceAll(masked, "‹S›", "")) - len(without); left > e.loose {
		return fmt.Errorf("%d bytes of the encoded value are left, at most %d may be", left, e.loose)
	}
	if masked == text {
		return fmt.Errorf("nothing is masked")
	}
	return nil
}

func TestEveryEncodingInEveryContext(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	values := trickyValues()
	for i := range 100 {
		values[fmt.Sprint("random letters ", i)] = randomText(r, 8+r.IntN(57), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
		values[fmt.Sprint("random printable ", i)] = "x" + randomText(r, 8+r.IntN(57), printable) + "x"
	}
	for i := range 50 {
		b := make([]byte, 8+r.IntN(200))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		b[len(b)-1] = 'x' // no trailing line break: that is a separate case
		values[fmt.Sprint("random bytes ", i)] = string(b)
	}
	contexts := map[string][2]string{
		"alone":             {"", ""},
		"after a prefix":    {"p", ""},
		"after a longer":    {"a longer one=", ""},
		"before a newline":  {"", "\n"},
		"prefix and suffix": {"user:", "@host"},
		"in the middle":     {strings.Repeat("prefix ", 9), strings.Repeat(" suffix", 9)},
	}
	matchers := map[string]*Matcher{}
	for name, value := range values {
		matchers[name] = New(known("S", value))
	}
	for _, e := range encoders() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for name, value := range values {
				if e.utf8Only && !utf8.ValidString(value) {
					continue
				}
				value = strings.TrimSuffix(value, "\n")
				m := matchers[name]
				for context, c := range contexts {
					loose := e
					if e.encoding == goEncoding || e.encoding == shellEncoding {
						loose.loose += 2 // slog quotes only if it has to
					}
					if err := hidden(m, e.encode(c[0]+value+c[1]), e.encode(c[0]+c[1]), loose); err != nil {
						t.Errorf("%s, %s: %v", name, context, err)
					}
				}
			}
		})
	}
}

// TestForeignEncoders contains the real output of encoders of other languages
// for one value, without the quotes around it.
func TestForeignEncoders(t *testing.T) {
	t.Parallel()
	const value = "it's <a&b>/\"q\"\\ $x`!+=~#ü→🔑;(1)*,@:"
	m := New(known("S", value))
	for name, text := range map[string]string{
		"Python json.dumps":             `it's <a&b>/\"q\"\\ $x` + "`" + `!+=~#\u00fc\u2192\ud83d\udd11;(1)*,@:`,
		"JavaScript JSON.stringify":     `it's <a&b>/\"q\"\\ $x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"PHP json_encode":               `it's <a&b>\/\"q\"\\ $x` + "`" + `!+=~#\u00fc\u2192\ud83d\udd11;(1)*,@:`,
		"PHP json_encode, unicode":      `it's <a&b>\/\"q\"\\ $x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"Java, upper digits":            `it's <a&b>/\"q\"\\ $x` + "`" + `!+=~#\u00FC\u2192\uD83D\uDD11;(1)*,@:`,
		"Gson":                          `it\u0027s \u003ca\u0026b\u003e/\"q\"\\ $x` + "`" + `!+\u003d~#ü→🔑;(1)*,@:`,
		".NET JsonSerializer":           `it\u0027s \u003Ca\u0026b\u003E/\u0022q\u0022\\ $x\u0060!\u002B=~#\u00FC\u2192\uD83D\uDD11;(1)*,@:`,
		"Python html.escape":            "it&#x27;s &lt;a&amp;b&gt;/&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"PHP htmlspecialchars":          "it&#039;s &lt;a&amp;b&gt;/&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"PHP htmlspecialchars, compat":  "it's &lt;a&amp;b&gt;/&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"only the three":                "it's &lt;a&amp;b&gt;/\"q\"\\ $x`!+=~#ü→🔑;(1)*,@:",
		"lodash escape, Ruby":           "it&#39;s &lt;a&amp;b&gt;/&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"XML":                           "it&apos;s &lt;a&amp;b&gt;/&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"OWASP":                         "it&#x27;s &lt;a&amp;b&gt;&#x2F;&quot;q&quot;\\ $x`!+=~#ü→🔑;(1)*,@:",
		"Mustache":                      "it&#39;s &lt;a&amp;b&gt;&#x2F;&quot;q&quot;\\ $x&#x60;!+&#x3D;~#ü→🔑;(1)*,@:",
		"validator.js":                  "it&#x27;s &lt;a&amp;b&gt;&#x2F;&quot;q&quot;&#x5C; $x&#96;!+=~#ü→🔑;(1)*,@:",
		"encodeURIComponent":            "it's%20%3Ca%26b%3E%2F%22q%22%5C%20%24x%60!%2B%3D~%23%C3%BC%E2%86%92%F0%9F%94%91%3B(1)*%2C%40%3A",
		"encodeURI":                     "it's%20%3Ca&b%3E/%22q%22%5C%20$x%60!+=~#%C3%BC%E2%86%92%F0%9F%94%91;(1)*,@:",
		"Python quote":                  "it%27s%20%3Ca%26b%3E/%22q%22%5C%20%24x%60%21%2B%3D~%23%C3%BC%E2%86%92%F0%9F%94%91%3B%281%29%2A%2C%40%3A",
		"Python quote_plus":             "it%27s+%3Ca%26b%3E%2F%22q%22%5C+%24x%60%21%2B%3D~%23%C3%BC%E2%86%92%F0%9F%94%91%3B%281%29%2A%2C%40%3A",
		"curl --data-urlencode":         "it%27s%20%3Ca%26b%3E%2F%22q%22%5C%20%24x%60%21%2B%3D~%23%C3%BC%E2%86%92%F0%9F%94%91%3B%281%29%2A%2C%40%3A",
		"all but letters and digits":    "it%27s%20%3Ca%26b%3E%2F%22q%22%5C%20%24x%60%21%2B%3D%7E%23%C3%BC%E2%86%92%F0%9F%94%91%3B%281%29%2A%2C%40%3A",
		"Python shlex.quote":            `it'"'"'s <a&b>/"q"\ $x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"Python repr of bytes":          `it\'s <a&b>/"q"\\ $x` + "`" + `!+=~#\xc3\xbc\xe2\x86\x92\xf0\x9f\x94\x91;(1)*,@:`,
		"SQL literal":                   `it''s <a&b>/"q"\ $x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"docker compose config":         `it's <a&b>/"q"\ $$x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"docker compose config, quoted": `it''s <a&b>/"q"\ $$x` + "`" + `!+=~#ü→🔑;(1)*,@:`,
		"double quotes":                 `it's <a&b>/\"q\"\\ \$x` + "\\`" + `!+=~#ü→🔑;(1)*,@:`,
		"double quotes, history":        `it's <a&b>/\"q\"\\ \$x` + "\\`" + `\!+=~#ü→🔑;(1)*,@:`,
		"Ruby Shellwords":               `it\'s\ \<a\&b\>/\"q\"\\\ \$x` + "\\`" + `\!+\=\~\#\ü\→\🔑\;\(1\)\*,@:`,
	} {
		found := m.Find([]byte("<" + text + ">"))
		if len(found) != 1 || found[0].Start != 1 || found[0].End != len(text)+1 {
			t.Errorf("%s: found at %v of %d bytes", name, found, len(text))
		}
	}
	controls := New(known("S", "q\"<\b\x1b\u2028é/=\n"+"end"))
	for name, text := range map[string]string{
		"JavaScript":            "q\\\"<\\b\\u001b\u2028é/=\\nend",
		"Java":                  "q\\\"<\\b\\u001B\u2028é/=\\nend",
		"Go":                    "q\\\"\\u003c\\b\\u001b\\u2028é/=\\nend",
		"Go without html":       "q\\\"<\\b\\u001b\\u2028é/=\\nend",
		"Go 1.21":               "q\\\"\\u003c\\u0008\\u001b\\u2028é/=\\nend",
		"Go 1.21 without html":  "q\\\"<\\u0008\\u001b\\u2028é/=\\nend",
		"Go quoted":             "q\\\"<\\b\\x1b\\u2028é/=\\nend",
		"Gson":                  "q\\\"\\u003c\\b\\u001b\\u2028é/\\u003d\\nend",
		"in a pair of other ''": "q\"<\\b\\x1b\\u2028é/=\\nend",
	} {
		if got := controls.String("'" + text + "'"); got != "'‹S›'" {
			t.Errorf("control characters by %s are masked as %q", name, got)
		}
	}
	// By Python's json.dumps.
	if got := New(known("S", "\U00010000\uffff\U0001f511 key\r\nend\there")).String(`"\ud800\udc00\uffff\ud83d\udd11 key\r\nend\there"`); got != `"‹S›"` {
		t.Errorf("Python json.dumps with surrogate pairs is masked as %q", got)
	}
	// By Python's repr of bytes.
	if got := New(known("S", "it's \"q\" \\ \n\r\t\x01\x7f\xff end")).String(`b'it\'s "q" \\ \n\r\t\x01\x7f\xff end'`); got != "b'‹S›'" {
		t.Errorf("Python repr is masked as %q", got)
	}
	if got := New(known("S", "a form\ffeed \u2029 for <Go>")).String(`"a form\u000cfeed \u2029 for \u003cGo\u003e"`); got != `"‹S›"` {
		t.Errorf("JSON of Go 1.21 is masked as %q", got)
	}
	if got := New(known("S", "two''quotes")).String(`'two'"'"''"'"'quotes'`); got != "'‹S›'" {
		t.Errorf("Python shlex.quote is masked as %q", got)
	}
	if got := New(known("S", "two''quotes")).String(`'two'"''"'quotes'`); got != "'‹S›'" {
		t.Errorf("set -x of dash is masked as %q", got)
	}
	if got := New(known("S", "#hash ~x")).String(`\#hash\ ~x y\ #hash\ ~x`); got != `‹S› y\ ‹S›` {
		t.Errorf("printf %%q is masked as %q", got)
	}
	for value, quoted := range map[string]string{
		"~x and ~more":         `\~x\ and\ ~more`,
		"#a #b c":              `\#a\ #b\ c`,
		"a:~b=~c ~d":           `a:\~b=\~c\ ~d`,
		"it's\r\\one\n\x1btwo": `it\'s\r\\one\n\Etwo`,
		"é\xff\x01\x1btwo":     `é\377\001\Etwo`,
		"é\u2028two\x1bend":    `é\342\200\250two\Eend`,
		"\ufffd one\x1btwo":    "\ufffd" + ` one\Etwo`,
	} {
		if got := New(known("S", value)).String(quoted); got != "‹S›" {
			t.Errorf("printf %%q of %q is masked as %q", value, got)
		}
	}
	for i, quote := range []func(string) string{strconv.Quote, strconv.QuoteToASCII, strconv.QuoteToGraphic} {
		const value = "é\u00a0and\x01one"
		if got := New(known("S", value)).String(quote(value)); got != `"‹S›"` {
			t.Errorf("strconv, %d: masked as %q", i, got)
		}
	}
	if got := New(known("S", "a-b.c,d:e+f/g@h ı i")).String(`a-b.c,d:e+f/g@h\ \ı\ i`); got != "‹S›" {
		t.Errorf("Ruby Shellwords is masked as %q", got)
	}
	if got := New(known("S", "a'b ~c.d-e_f")).String(`a\'b\ \~c\.d\-e_f`); got != "‹S›" {
		t.Errorf("Perl quotemeta is masked as %q", got)
	}
}

// TestPercentUnescapedCharacters: the characters that each encoder leaves
// unchanged, according to its standard.
func TestPercentUnescapedCharacters(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{
		"encodeURIComponent of ECMA-262":  "-_.!~*'()",
		"encodeURI of ECMA-262":           "-_.!~*'();,/?:@&=+$#",
		"quote of Python":                 "-_.~/",
		"the unreserved ones of RFC 3986": "-_.~",
	} {
		if got := New(known("S", left+" <and> more")).String("<" + left + "%20%3Cand%3E%20more>"); got != "<‹S›>" {
			t.Errorf("%s: masked as %q", name, got)
		}
	}
	if got := New(known("S", "-_.~ is nothing")).String("%2D%5F%2E%7E%20is%20nothing"); got != "‹S›" {
		t.Errorf("all but letters and digits: masked as %q", got)
	}
	if got := New(known("S", "snake_case_of_letters")).String("snake%5Fcase%5Fof%5Fletters"); got != "‹S›" {
		t.Errorf("underscores: masked as %q", got)
	}
}

// TestMostlyLostValuesAreNotSearched: if an encoder replaces most
// characters of a value, the rest could be from any text.
func TestMostlyLostValuesAreNotSearched(t *testing.T) {
	t.Parallel()
	broken := strings.Repeat("\xff", 9)
	for value, text := range map[string]string{
		"\xffseven77":                         "\ufffdseven77",
		broken + "seven77":                    strings.Repeat("\ufffd", 9) + "seven77",
		strings.Repeat("\x01", 9) + "<seven7": strings.Repeat("\ufffd", 9) + "&lt;seven7",
	} {
		if got := New(known("S", value)).String(text); got != text {
			t.Errorf("%q is masked as %q", text, got)
		}
	}
	// If more is left, it is searched for, and U+FFFD itself is valid.
	for _, value := range []string{broken + "eight888", "é\xffeight888", "\ufffd\"four", "\ufffd<five>"} {
		text := marshalled(value)
		if found := New(known("S", value)).Find([]byte(text)); len(found) != 1 || found[0].Encoding != jsonEncoding || found[0].End-found[0].Start != len(text)-2 {
			t.Errorf("%q is found as %v", text, found)
		}
	}
}

// TestMaskIsExact compares whole masked texts: nothing around the value may
// change.
func TestMaskIsExact(t *testing.T) {
	t.Parallel()
	const value = "p@ss/wörd+1"
	m := New(known("KEY", value))
	for _, c := range []struct{ text, want string }{
		{"https://h/v4?apiKey=" + url.QueryEscape(value) + "&x=1", "https://h/v4?apiKey=‹KEY›&x=1"},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("user"+value)), "Basic dXNlcn‹KEY›"},
		{base64.StdEncoding.EncodeToString([]byte(value)) + "\n", "‹KEY›\n"},
		{base64.StdEncoding.EncodeToString([]byte(value+"\n")) + "\n", "‹KEY›\n"},
		{`{"key":` + marshalled(value) + `}`, `{"key":"‹KEY›"}`},
		{"x" + hex.EncodeToString([]byte(value)) + "g", "x‹KEY›g"},
	} {
		if got := m.String(c.text); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestEncodingNames: a Match names the encoding in which the value was found.
func TestEncodingNames(t *testing.T) {
	t.Parallel()
	const value = "tricky \"value\" <&> of 'ü' $x"
	m := New(known("S", value))
	seen := map[string]bool{}
	for _, e := range encoders() {
		found := m.Find([]byte(e.encode(value)))
		if len(found) != 1 {
			t.Fatalf("%s: %d matches, want 1", e.name, len(found))
		}
		if !slices.Contains(Encodings(), found[0].Encoding) {
			t.Errorf("%s: %q is not one of Encodings", e.name, found[0].Encoding)
		}
		if found[0].Name != "S" {
			t.Errorf("%s: name %q", e.name, found[0].Name)
		}
		// For some values two encoders have the same output.
		if found[0].Encoding == e.encoding {
			seen[e.encoding] = true
		}
	}
	for _, encoding := range []string{rawEncoding, base64Encoding, hexEncoding, percentEncoding, jsonEncoding, htmlEncoding, goEncoding} {
		if !seen[encoding] {
			t.Errorf("no encoder led to a Match with encoding %q", encoding)
		}
	}
}

// TestEncodingsMatchTheForms: every encoding of a form is in the list, and
// every one in the list has forms.
func TestEncodingsMatchTheForms(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, value := range trickyValues() {
		for _, f := range formsOf([]byte(value)) {
			have[f.encoding] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(have)), slices.Sorted(slices.Values(Encodings())); !slices.Equal(got, want) {
		t.Errorf("forms have %q, Encodings has %q", got, want)
	}
}

// TestQuotedPrintableIsNotPromised checks the list of promises: an encoding
// that is not searched for must not be named.
func TestQuotedPrintableIsNotPromised(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte("schlüssel=wörter"))
	_ = w.Close()
	if New(known("S", "schlüssel=wörter")).String(b.String()) != b.String() {
		t.Error("quoted-printable is searched for: say so in the package comment")
	}
	if slices.Contains(Encodings(), "quoted-printable") {
		t.Error("quoted-printable is named")
	}
}
