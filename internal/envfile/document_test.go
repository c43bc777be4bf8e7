package envfile

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const (
	document   = "../../docs/ENV_FILES.md"
	tableBegin = "<!-- written by: go test ./internal/envfile -run TestDocument -update -->\n"
	tableEnd   = "<!-- end of what is written -->\n"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the tables of "+document)
	// Of rapid's default 100 cases too few are tricky; -rapid.checks overrides it.
	if err := flag.Set("rapid.checks", "3000"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	flag.Parse()
	m.Run()
}

// TestDocument compares docs/ENV_FILES.md, row by row, with the current results
// of the real parsers and a real bash for the corpus.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), tableBegin)
	written, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s lacks the marks around its tables", document)
	}
	var now strings.Builder
	for _, s := range corpus() {
		fmt.Fprintf(&now, "\n### %s\n\n| | file | godotenv 1.5.1 | Compose | bash | keepmum |\n|---|---|---|---|---|---|\n", s.heading)
		for _, r := range s.rows {
			line := documentRow(t, r)
			now.WriteString(line)
			t.Run(r.name, func(t *testing.T) {
				if !strings.Contains(written, line) && !updating() {
					t.Errorf("%s lacks this row, the current result of the readers:\n%s", document, line)
				}
			})
		}
	}
	now.WriteString("\n" + summary(t) + "\n")
	if updating() {
		if err := os.WriteFile(document, []byte(before+tableBegin+now.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if written != now.String() {
		t.Errorf("%s is out of date: run go test ./internal/envfile -run TestDocument -update, and check the difference", document)
	}
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// summary counts the rows, and fails if the corpus has become too small to mean
// anything.
func summary(t *testing.T) string {
	t.Helper()
	rows, accepted, seen := 0, 0, map[string]bool{}
	for _, s := range corpus() {
		for _, r := range s.rows {
			if seen[r.input] {
				t.Errorf("%s: this input is in the corpus twice", r.name)
			}
			seen[r.input] = true
			rows++
			if entries, problems := Parse([]byte(r.input), Options{}); len(entries) > 0 && len(problems) == 0 {
				accepted++
			}
		}
	}
	if rows < 75 || accepted < 35 {
		t.Errorf("%d rows, %d accepted: want 75 and 35", rows, accepted)
	}
	return fmt.Sprintf("%d inputs: in %d of them every key is accepted, in %d at least one is refused or there is none.", rows, accepted, rows-accepted)
}

// documentRow measures one input and returns its row.
func documentRow(t *testing.T, r row) string {
	t.Helper()
	input := code(r.input)
	if r.shown != "" {
		input = r.shown
	}
	cells := []string{escapeCell(r.name), input}
	godotenvVars, ok := wholeGodotenv([]byte(r.input))
	cells = append(cells, readerCell(godotenvVars, ok, "refuses"))
	composeVars, ok := wholeCompose([]byte(r.input))
	cells = append(cells, readerCell(composeVars, ok, "refuses"))
	shellVars, ok := wholeShell(t, []byte(r.input))
	cells = append(cells, readerCell(shellVars, ok, "error"))
	cells = append(cells, keepmumCell(t, r))
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// readerCell shows the result of a reader. A parser that refuses gives up on the
// whole file; a shell continues.
func readerCell(vars map[string]string, ok bool, failure string) string {
	switch {
	case !ok && (len(vars) == 0 || failure == "refuses"):
		return "*" + failure + "*"
	case !ok:
		return code(render(shorten(vars))) + " *and an " + failure + "*"
	case len(vars) == 0:
		return "*nothing*"
	}
	return code(render(shorten(vars)))
}

func keepmumCell(t *testing.T, r row) string {
	t.Helper()
	entries, problems := Parse([]byte(r.input), Options{})
	var parts []string
	for _, e := range entries {
		part := code(render(shorten(map[string]string{e.Key: e.Value.RevealString()})))
		if e.Note != "" {
			part += " with a note"
		}
		parts = append(parts, part)
	}
	for _, p := range problems {
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf("line %d ", p.Line)
		}
		parts = append(parts, "**"+where+"refused**: "+reasonWords()[reasonOf(t, p)])
	}
	if len(parts) == 0 {
		return "*nothing*"
	}
	return strings.Join(parts, "; ")
}

// reasonWords are the words for reasons in the tables.
func reasonWords() map[reason]string {
	return map[reason]string{
		reasonName: "not an assignment to a legal name", reasonNameBlank: "invisible blank at the name",
		reasonBare: "no value", reasonBase64: "looks like base64", reasonUnterminated: "quote never closed", reasonMispaired: "quote closed in the middle of a later line",
		reasonPEM: "PEM block without quotes", reasonAfterQuote: "text after the closing quote",
		reasonGlued: "directly after a quoted value", reasonColon: "`:` without a blank",
		reasonLoneCR: "carriage return without line feed", reasonQuoteEscape: "`\\'` in single quotes",
		reasonNUL: "NUL byte", reasonUTF8: "not UTF-8", reasonTooLarge: "too large", reasonDuplicate: "assigned twice",
		reasonDollar: "Compose expands `$`", reasonEscape: "Compose decodes an escape",
		reasonComment: "unclear where the comment begins", reasonBlank: "Compose trims an invisible blank",
		reasonComposeRefuses: "Compose refuses it", reasonComposeUnknown: "Compose's expansion cannot be known",
		reasonUTF16: "UTF-16",
	}
}

// shorten replaces values that are too large for a table.
func shorten(vars map[string]string) map[string]string {
	short := map[string]string{}
	for name, value := range vars {
		if len(value) > 100 {
			value = fmt.Sprintf("%d bytes", len(value))
		}
		short[name] = value
	}
	return short
}

// code returns s as a code span in a table, with symbols for invisible
// characters.
func code(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "‹byte %02X›", s[0])
		case r == '\n':
			b.WriteString("⏎")
		case r < ' ':
			b.WriteRune('␀' + r)
		case r == '\u00a0':
			b.WriteString("⍽")
		case r == '\ufeff':
			b.WriteString("‹BOM›")
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, "‹U+%04X›", r)
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	shown := strings.ReplaceAll(b.String(), "|", `\|`)
	switch {
	case shown == "":
		return "*empty*"
	case strings.Contains(shown, "`"):
		return "`` " + shown + " ``"
	case strings.HasPrefix(shown, " ") || strings.HasSuffix(shown, " "):
		return "` " + shown + " `"
	}
	return "`" + shown + "`"
}

// escapeCell escapes the characters in a name that are special in Markdown.
func escapeCell(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "#", `\#`, "`", "\\`", "$", `\$`).Replace(s)
}
