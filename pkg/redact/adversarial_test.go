package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// known builds the argument of New from alternating names and values.
func known(pairs ...string) []secrets.Known {
	var all []secrets.Known
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, secrets.Known{Name: pairs[i], Value: secrets.New([]byte(pairs[i+1]))})
	}
	return all
}

// oracleOf returns the oracle for the forms that New compiles.
func oracleOf(known []secrets.Known) oracle {
	o := oracle{widths: wrapWidths()}
	for _, k := range known {
		for _, f := range formsOf(k.Value.Reveal()) {
			o.forms = append(o.forms, named{k.Name, f})
		}
	}
	return o
}

// TestAdversarial runs cases in which some other product leaks, damages,
// reorders or holds back its output: split in two at every byte, and in single
// bytes.
func TestAdversarial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known []secrets.Known
		text  string
		want  string
	}{
		{"A1 plain value", known("A", "correct-horse"), "say correct-horse now", "say ‹A› now"},
		{"A2 first byte repeated before it", known("A", "xxyabcde"), "xxxyabcde xxxxxyabcde", "x‹A› xxx‹A›"},
		{"A3 periodic prefix", known("A", "ababcdefg"), "abababcdefg", "ab‹A›"},
		{"A4 starts inside a failed match of another", known("A", "abcdefgh-long", "B", "efgh-lost"), "abcdefgh-lost", "abcd‹B›"},
		{"A5 one a prefix of another", known("A", "prefix-of", "B", "prefix-of-more"), "prefix-of-mor prefix-of-more", "‹A›-mor ‹B›"},
		{"A6 in the tail of a failed longer one", known("A", "0123456789abcdefX", "B", "9abcdefY"), "0123456789abcdefY", "012345678‹B›"},
		{"A6 inside a failed longer one", known("A", "0123456789abcdefX", "B", "3456789a"), "0123456789abcdefY", "012‹B›bcdefY"},
		{"A7 two overlap", known("A", "abcdefgh", "B", "fghijklm"), ">abcdefghijklm<", ">‹A›<"},
		{"A7 three overlap", known("A", "abcdefgh", "B", "fghijklm", "C", "lmnopqrs"), ">abcdefghijklmnopqrs<", ">‹A›<"},
		{"A8 nested", known("A", "outer-inner1-outer", "B", "er-inner"), ">outer-inner1-outer< outer-inner", ">‹A›< out‹B›"},
		{"A8 nested at the beginning", known("A", "inner123-outer", "B", "inner123"), ">inner123-outer<", ">‹A›<"},
		{"A9 adjacent", known("A", "abcdefgh", "B", "ijklmnop"), "abcdefghijklmnop", "‹A›‹B›"},
		{"A9 adjacent, the same", known("A", "abcdefgh"), "abcdefghabcdefgh", "‹A›"},
		{"A10 no newline", known("A", "correct-horse"), "correct-horse", "‹A›"},
		{"A12 one repeated byte", known("A", "aaaaaaaa"), "-" + strings.Repeat("a", 60) + "-", "-‹A›-"},
		{"A12 one byte short", known("A", "aaaaaaaa"), "-aaaaaaa-", "-aaaaaaa-"},
		{"A12 a period of two", known("A", "abababab"), "b" + strings.Repeat("ab", 30) + "a", "b‹A›a"},
		{"short value", known("A", "1234"), "1234 pin=1234,x1234 1234x 12345 _1234", "‹A› pin=‹A›,x1234 1234x 12345 _1234"},
		{"short inside long", known("A", "12-4", "B", "abc 12-4 def"), "abc 12-4 def", "‹B›"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := oracleOf(c.known)
			m := New(c.known)
			if got := o.masked(c.text); got != c.want {
				t.Fatalf("the oracle says %q, want %q", got, c.want)
			}
			if err := o.checkAll(m, c.text); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestWrapped splits wrapped base64 and hex at every byte, including inside
// line breaks, and asks the oracle.
func TestWrapped(t *testing.T) {
	t.Parallel()
	k := known("A", strings.Repeat("0123456789-correct-horse-", 4))
	o, m := oracleOf(k), New(k)
	encoded := base64.StdEncoding.EncodeToString([]byte("before " + string(k[0].Value.Reveal()) + " behind"))
	inHex := hex.EncodeToString(k[0].Value.Reveal())
	for _, c := range []struct {
		text, end string
		width     int
		hidden    bool
	}{
		{encoded, "\n", 76, true}, {encoded, "\r\n", 76, true}, {encoded, "\n", 64, true}, {encoded, "\r\n", 64, true},
		{inHex, "\n", 60, true}, {encoded, "\n", 75, false}, {encoded, "\n\n", 76, false}, {encoded, "\r", 76, false}, {encoded, "\r\r\n", 76, false},
	} {
		var lines []string
		for rest := c.text; rest != ""; {
			n := min(c.width, len(rest))
			lines, rest = append(lines, rest[:n]), rest[n:]
		}
		text := "key: " + strings.Join(lines, c.end) + c.end
		if hidden := strings.Contains(m.String(text), "‹A›"); hidden != c.hidden {
			t.Errorf("at %d with %q: masked is %v", c.width, c.end, hidden)
		}
		if err := o.checkAll(m, text); err != nil {
			t.Errorf("at %d with %q: %v", c.width, c.end, err)
		}
	}
}

// TestWrappingCountsBase64Letters: the number of base64 letters at the end of
// a line decides whether its line break is skipped. All letters of both
// alphabets count, and nothing else does.
func TestWrappingCountsBase64Letters(t *testing.T) {
	t.Parallel()
	m := oracle{[]named{{"W", form{text: []byte("QUJDe"), wraps: true}}}, []int{4}}.matcher()
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_"
	for c := range 256 {
		before := string([]byte{byte(c)})
		letter := strings.IndexByte(letters, byte(c)) >= 0
		for _, one := range []struct {
			line   string
			masked bool
		}{{before, letter}, {before + "a", !letter}} {
			text, want := one.line+"QUJ\nDe", one.line+"QUJ\nDe"
			if one.masked {
				want = one.line + "‹W›"
			}
			if got := m.String(text); got != want {
				t.Errorf("%q is masked as %q, want %q", text, got, want)
			}
			if got := written(m, strings.Split(text, "")...); got != want {
				t.Errorf("%q in pieces is masked as %q, want %q", text, got, want)
			}
		}
	}
}

// TestLongLine is A11: 70 KB without a line break, longer than any buffer.
func TestLongLine(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse"))
	fill := strings.Repeat("correct-hors", 3000)
	text := fill + "correct-horse" + fill + "correct-horse"
	want := fill + "‹A›" + fill + "‹A›"
	for _, size := range []int{1, 7, 1000, 32 << 10, 32<<10 + 1, len(text)} {
		var pieces []string
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if written(m, pieces...) != want {
			t.Errorf("the text in pieces of %d bytes is not masked like the whole text", size)
		}
	}
	if m.String(text) != want {
		t.Error("String does not mask the text")
	}
}

// TestValueEndsInTheNextPiece: texts are read in pieces, and a value may end with
// the first byte of the last piece.
func TestValueEndsInTheNextPiece(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse"))
	fill := strings.Repeat(".", pieceSize+1-len("correct-horse"))
	for name, got := range map[string]string{
		"String":   m.String(fill + "correct-horse"),
		"Bytes":    string(m.Bytes([]byte(fill + "correct-horse"))),
		"a Writer": written(m, fill+"correct-horse"),
	} {
		if got != fill+"‹A›" {
			t.Errorf("%s does not mask it", name)
		}
	}
	if got := m.Find([]byte(fill + "correct-horse")); len(got) != 1 || got[0].End != pieceSize+1 {
		t.Errorf("Find returns %v", got)
	}
}

// TestWriterPassesOnAtOnce checks which bytes are passed on in which Write.
func TestWriterPassesOnAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		known  []secrets.Known
		writes []string
		want   []string // the output so far after each write
	}{
		{"a prompt", known("A", "correct-horse"), []string{"password: ", "x"}, []string{"password: ", "password: x"}},
		{"a prompt that ends as a value begins", known("A", "correct-horse"), []string{"is it c", "ool"}, []string{"is it ", "is it cool"}},
		{"halves", known("A", "correct-horse"), []string{"<correct", "-horse>"}, []string{"<", "<‹A›>"}},
		{"the mask when the value is complete", known("A", "correct-horse"), []string{"<correct-hors", "e"}, []string{"<", "<‹A›"}},
		{"not before a longer one is ruled out", known("A", "correct-horse", "B", "correct-horses"), []string{"correct-horse", "x"}, []string{"", "‹A›x"}},
		{"a periodic value at once", known("A", "aaaaaaaa"), []string{strings.Repeat("a", 100), strings.Repeat("a", 5), "b"}, []string{"‹A›", "‹A›", "‹A›b"}},
		{"a short value waits for the next byte", known("A", "1234"), []string{"pin 1234", "5", " 1234", "\n"}, []string{"pin ", "pin 12345", "pin 12345 ", "pin 12345 ‹A›\n"}},
		{"a short value in a word does not", known("A", "1234"), []string{"x123", "4"}, []string{"x123", "x1234"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := New(c.known).Writer(&out)
			for i, p := range c.writes {
				if _, err := w.Write([]byte(p)); err != nil {
					t.Fatal(err)
				}
				if out.String() != c.want[i] {
					t.Errorf("after write %d: %q, want %q", i+1, out.String(), c.want[i])
				}
			}
		})
	}
}

// TestBoundedMemory writes a lot of text that could make a Writer hold back
// more and more.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	long := randomText(rand.New(rand.NewPCG(1, 2)), 200<<10, printable)
	for name, c := range map[string]struct {
		known []secrets.Known
		unit  string
		most  int
	}{
		"one byte":            {known("A", strings.Repeat("a", 500)), "a", 500},
		"a period of three":   {known("A", strings.Repeat("abc", 100)), "abc", 3000},
		"only values":         {known("A", "correct-horse"), "correct-horse", 100},
		"wrapped lines":       {known("A", strings.Repeat("a", 500)), strings.Repeat("YWFh", 19) + "\r\n", 1000},
		"a very long value":   {known("A", long), long, 30 << 10},
		"nested periodic set": {known("A", strings.Repeat("a", 8), "B", strings.Repeat("a", 9), "C", strings.Repeat("a", 30)), "a", 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newMasker(New(c.known))
			piece := []byte(strings.Repeat(c.unit, 1+1000/len(c.unit)))
			for range max(10, 300_000/len(piece)) {
				k.next(piece)
				if n := len(k.stream.kept); n > c.most {
					t.Fatalf("%d bytes are kept, want at most %d", n, c.most)
				}
				breaks := 0
				for _, l := range k.stream.lanes {
					breaks += len(l.breaks)
				}
				if len(k.spans) > 100 || breaks > 100 || len(k.stream.waiting) > 2 {
					t.Fatalf("%d spans, %d breaks and %d waiting are kept", len(k.spans), breaks, len(k.stream.waiting))
				}
			}
			if !k.masked {
				t.Error("nothing was masked")
			}
		})
	}
}

const printable = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()*+,-./:;<=>?@[]^_{|}~\"\\ "

func randomText(r *rand.Rand, n int, letters string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// TestManyValues masks random logs with values planted in random forms, split
// at random, and asks the oracle.
func TestManyValues(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	var pairs []string
	for i := range 12 {
		pairs = append(pairs, fmt.Sprintf("S%d", i), randomText(r, 8+r.IntN(40), printable))
	}
	k := known(pairs...)
	o, m := oracleOf(k), New(k)
	for round := range 6 {
		var text strings.Builder
		for range 20 {
			text.WriteString(randomText(r, r.IntN(60), printable+"\n"))
			form := o.forms[r.IntN(len(o.forms))].text
			if r.IntN(4) == 0 { // a part of it
				form = form[r.IntN(len(form)):]
			}
			text.Write(form)
		}
		want := o.masked(text.String())
		for range 5 {
			var pieces []string
			for rest := text.String(); rest != ""; {
				n := min(1+r.IntN(100), len(rest))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			if written(m, pieces...) != want {
				t.Fatalf("round %d: the output differs from the oracle", round)
			}
		}
		if got, want := m.Find([]byte(text.String())), o.matches(text.String()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: Find differs from the oracle: %v, %v", round, got, want)
		}
	}
}
