package envfile

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// parseQuietly is Parse, and fails if anything was logged meanwhile.
func parseQuietly(t testing.TB, data []byte, opt Options) ([]Entry, []fault.Finding) {
	t.Helper()
	var logged bytes.Buffer
	logger := logrus.StandardLogger()
	defer logger.SetOutput(logger.Out)
	logger.SetOutput(&logged)
	entries, problems := Parse(data, opt)
	if logged.Len() > 0 {
		t.Fatal("something was logged: compose-go logs pieces of values")
	}
	return entries, problems
}

// checkFile checks the properties that hold for every input.
func checkFile(t testing.TB, data []byte) {
	t.Helper()
	entries, problems := parseQuietly(t, data, Options{File: "x.env"})
	checkShape(t, data, entries, problems)
	checkAgainstCompose(t, data, entries, problems)
	checkAgainstGodotenv(t, data, entries)
	checkOptionsSettle(t, data)
	checkCommentOut(t, data, entries)
}

// checkShape: a key has an entry or a problem; lines are in order; there are no
// messages except those of the reasons, and no illegal keys.
func checkShape(t testing.TB, data []byte, entries []Entry, problems []fault.Finding) {
	t.Helper()
	lines := bytes.Count(data, []byte("\n")) + 1
	seen, last := map[string]bool{}, 0
	for _, e := range entries {
		if seen[e.Key] || secrets.ValidName(e.Key) != nil || e.Line < last || e.Line > lines {
			t.Fatal("an entry is there twice, is out of order, or has no legal key")
		}
		if e.Empty != e.Value.IsZero() || e.Note != "" && e.Note != noteOtherwise {
			t.Fatal("an entry has a wrong Empty or Note")
		}
		seen[e.Key], last = true, e.Line
	}
	last = 0
	for _, p := range problems {
		reasonOf(t, p)
		if p.File != "x.env" || p.Line < last || p.Line > lines {
			t.Fatal("a problem is out of order, or of another file")
		}
		if p.Subject != "" && (seen[p.Subject] || secrets.ValidName(p.Subject) != nil) {
			t.Fatal("a problem has a key that also has an entry, or that is not legal")
		}
		last = p.Line
	}
}

// checkAgainstCompose: if Compose reads the whole file, it reads the values that
// we accept, and our pieces are its pieces; if it refuses the file, so do we.
func checkAgainstCompose(t testing.TB, data []byte, entries []Entry, problems []fault.Finding) {
	t.Helper()
	whole, ok := wholeCompose(data)
	if !ok {
		if len(problems) == 0 {
			t.Fatal("Compose refuses this file and we accept all of it")
		}
		return
	}
	for _, e := range entries {
		if value, found := whole[e.Key]; !found || value != e.Value.RevealString() {
			t.Fatalf("line %d: accepted, but Compose reads something else", e.Line)
		}
	}
	if isUTF16(data) {
		return
	}
	text := string(data)
	reader, pieces := newComposeReader(), map[string]string{}
	for _, st := range scan(text) {
		switch {
		case st.reason == reasonPEM:
			return // Compose reads on inside the block; we do not
		case st.form == broken:
			t.Fatalf("line %d: broken, but Compose reads the whole file", st.line)
		case st.form == assignment:
			r := reader.read(st, text[st.start:st.end])
			if r.state != readOK {
				return
			}
			pieces[st.key] = r.value
		}
	}
	if all := scan(text); len(all) > 0 && all[len(all)-1].form == bare {
		delete(whole, "") // a name at the end of the file: compose-go reads it as a value
		delete(pieces, "")
	}
	if !maps.Equal(whole, pieces) {
		t.Fatal("Compose reads the whole file and the pieces differently")
	}
}

// checkAgainstGodotenv: if godotenv reads the whole file and each of our pieces,
// an entry without a note has godotenv's value.
func checkAgainstGodotenv(t testing.TB, data []byte, entries []Entry) {
	t.Helper()
	whole, ok := wholeGodotenv(data)
	text := string(data)
	if !ok || isUTF16(data) || strings.Contains(text, "$") {
		return
	}
	for _, st := range scan(text) {
		if st.form != assignment {
			return
		}
		if vars, ok := readGodotenv(text[st.start:st.end]); !ok || len(vars) != 1 {
			return
		}
	}
	for _, e := range entries {
		if value, found := whole[e.Key]; e.Note == "" && (!found || value != e.Value.RevealString()) {
			t.Fatalf("line %d: accepted without a note, but godotenv reads something else", e.Line)
		}
	}
}

// checkOptionsSettle: with -asCompose for every key, Compose reads each entry's
// value; with -literal, no accepted entry changes.
func checkOptionsSettle(t testing.TB, data []byte) {
	t.Helper()
	before, problems := Parse(data, Options{})
	var keys []string
	for _, p := range problems {
		if p.Subject != "" && reasonOf(t, p) != reasonDuplicate {
			keys = append(keys, p.Subject)
		}
	}
	whole, ok := wholeCompose(data)
	asCompose, _ := parseQuietly(t, data, Options{AsCompose: keys})
	literal, _ := parseQuietly(t, data, Options{Literal: keys})
	for _, e := range asCompose {
		if value, found := whole[e.Key]; ok && (!found || value != e.Value.RevealString()) {
			t.Fatalf("line %d: Compose reads something else, in spite of -asCompose", e.Line)
		}
	}
	for _, e := range before {
		for _, with := range [][]Entry{asCompose, literal} {
			i := slices.IndexFunc(with, func(o Entry) bool { return o.Key == e.Key })
			if i < 0 || !with[i].Value.Equal(e.Value) {
				t.Fatalf("line %d: changed by an option for another key", e.Line)
			}
		}
	}
}

// checkCommentOut: the keys are gone, only # and line ends were inserted, the
// other entries stay, and a second call changes nothing.
func checkCommentOut(t testing.TB, data []byte, entries []Entry) {
	t.Helper()
	var keys []string
	for i, e := range entries {
		if i%2 == 0 {
			keys = append(keys, e.Key)
		}
	}
	out, done := CommentOut(data, keys)
	if !onlyInserted(data, out) {
		t.Fatal("bytes were lost, or something other than # and line ends was inserted")
	}
	if again, more := CommentOut(out, keys); !bytes.Equal(again, out) || len(more) > 0 {
		t.Fatal("a second call changes the file")
	}
	left, _ := parseQuietly(t, out, Options{})
	for _, e := range left {
		if slices.Contains(done, e.Key) {
			t.Fatalf("line %d: commented out, but still read", e.Line)
		}
	}
	for _, key := range keys {
		if !slices.Contains(done, key) && !brokenToo(data, key) {
			t.Fatal("an accepted key was left in the file")
		}
	}
}

// brokenToo reports whether a key is also in a statement that does not end.
func brokenToo(data []byte, key string) bool {
	return slices.ContainsFunc(scan(string(data)), func(st *statement) bool { return st.form == broken && st.key == key })
}

// onlyInserted reports whether out is data with # and line ends inserted.
func onlyInserted(data, out []byte) bool {
	for _, b := range out {
		if len(data) > 0 && data[0] == b {
			data = data[1:]
		} else if b != '#' && b != '\n' && b != '\r' {
			return false
		}
	}
	return len(data) == 0
}

// trickyFile draws a file from tokens that are difficult for parsers.
func trickyFile() *rapid.Generator[string] {
	tokens := []string{
		"A", "B", "C", "A=", "B=", "C=", "D=", "E=", "=", ":", ": ", "\n", "\n", "\n", "\r\n", "\r", "'", "'", `"`, `"`, `\`, `\"`, `\'`, `\n`, `\t`, `\$`, `\0044`,
		"$", "$A", "${A}", "${B:-x}", "${B-x}", "${A+y}", "${C-$D}", "${", "${C-", "$D", "}", "$$", "#", " #", " ", "\t", "\u00a0", "\ufeff", "\x00", "\xe4", "é", "x", "yz",
		"export ", "export", "-", ".", "+", "==", "-----BEGIN K-----\n", "-----END K-----\n", "abcdefg==\n",
	}
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(tokens), 0, 40).Draw(t, "tokens"), "")
	})
}

func TestParseTrickyFiles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { checkFile(rapidTB{t, rt}, []byte(trickyFile().Draw(rt, "file"))) })
}

// rapidTB lets the checks, which take a testing.TB, fail a rapid case.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (t rapidTB) Helper()                   {}
func (t rapidTB) Fatal(args ...any)         { t.rt.Fatal(args...) }
func (t rapidTB) Fatalf(f string, a ...any) { t.rt.Fatalf(f, a...) }

func TestCorpusProperties(t *testing.T) {
	for _, s := range corpus() {
		for _, r := range s.rows {
			t.Run(r.name, func(t *testing.T) { checkFile(t, []byte(r.input)) })
		}
	}
}

// intended is an assignment in a form whose meaning is beyond doubt.
type intended struct{ key, value, source string }

// drawIntended draws one without the help of the code under test.
func drawIntended(t *rapid.T, key, eol string) intended {
	blanks := rapid.SampledFrom([]string{"", "", " ", "\t"})
	tail := rapid.SampledFrom([]string{"", "", " ", " # it's \"c\" $X", "  #"}).Draw(t, "tail")
	lead := blanks.Draw(t, "lead") + rapid.SampledFrom([]string{"", "", "export "}).Draw(t, "export")
	name := lead + key + blanks.Draw(t, "before") + "=" + blanks.Draw(t, "after")
	switch rapid.IntRange(0, 2).Draw(t, "form") {
	case 0:
		value := rapid.StringMatching(`[A-Za-z0-9_./:@%+,;=&?~é☃{}-][A-Za-z0-9_./:@%+,;=&?~#é☃{}-]{0,20}`).Draw(t, "value")
		return intended{key, value, name + value + tail + eol}
	case 1:
		value := rapid.StringMatching("[ -&(-\\[\\]-~\néЖ]{0,30}").Draw(t, "value")
		return intended{key, value, name + "'" + value + "'" + tail + eol}
	}
	value := rapid.StringMatching("([ -~\néЖ]{0,30}[a-z])?").Draw(t, "value")
	value = regexp.MustCompile(`\$[^ ]`).ReplaceAllString(value, "")
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value)
	return intended{key, value, name + `"` + escaped + `"` + tail + eol}
}

// TestParseIntendedValues: an assignment whose meaning is beyond doubt is
// accepted, among noise, with the intended value.
func TestParseIntendedValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")
		file := rapid.SampledFrom([]string{"", bom}).Draw(t, "bom")
		var want []intended
		for i := range rapid.IntRange(0, 8).Draw(t, "n") {
			file += rapid.SampledFrom([]string{"", eol, "# A='" + eol, "  " + eol, "#" + eol}).Draw(t, "noise")
			want = append(want, drawIntended(t, "KEY_"+string(rune('a'+i)), eol))
			file += want[i].source
		}
		entries, problems := Parse([]byte(file), Options{})
		if len(problems) > 0 || len(entries) != len(want) {
			t.Fatalf("%d entries of %d, %d problems, the first on line %d", len(entries), len(want), len(problems), append(problems, fault.Finding{})[0].Line)
		}
		for i, w := range want {
			if entries[i].Key != w.key || entries[i].Value.RevealString() != w.value {
				t.Fatalf("line %d: not the value that was written", entries[i].Line)
			}
		}
	})
}

// TestProblemsHoldNoValue: values are drawn from letters that are in no message.
func TestProblemsHoldNoValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := []string{"ЖЩ", "ЮЯ", "$", "${", "}", `"`, "'", `\`, `\t`, "\n", "\r", " #", "\x00", "=", ":", "$ЖЩ", "ЩA=", "-----BEGIN "}
		value := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 12).Draw(t, "value"), "")
		quote := rapid.SampledFrom([]string{"", "'", `"`}).Draw(t, "quote")
		_, problems := Parse([]byte("KEY="+quote+value+quote+"\nЖЩ\nЖ=Щ\n"), Options{Literal: []string{"ЖЩЮ"}})
		if len(problems) == 0 {
			t.Fatal("there are no problems, but the file has some")
		}
		for _, p := range problems {
			for _, s := range []string{p.Subject, p.Problem, p.Next} {
				if strings.ContainsAny(s, "ЖЩЮЯ") {
					t.Fatalf("line %d: the problem holds a piece of the file", p.Line)
				}
			}
		}
	})
}

// TestParseRefusesEveryDifference: the rule in reverse. A value whose readings
// differ is refused, whatever the difference.
func TestParseRefusesEveryDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.StringMatching(`[a-z!?%]{0,5}`).Draw(t, "before")
		middle := rapid.SampledFrom([]string{"$A", "$a", "${A}", "$$", "${A:-x}", "${A-x}", "$_", "${A:+x}"}).Draw(t, "middle")
		after := rapid.StringMatching(`[ !?%]?[a-z!?%]{0,5}`).Draw(t, "after")
		quote := rapid.SampledFrom([]string{"", `"`}).Draw(t, "quote")
		entries, problems := Parse([]byte("KEY="+quote+before+middle+after+quote+"\nB=1\n"), Options{})
		if len(entries) != 1 || entries[0].Key != "B" || len(problems) != 1 || problems[0].Subject != "KEY" {
			t.Fatal("a value that Compose expands was not refused")
		}
	})
}
