package redact

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The oracle says what the package should do, in the simplest code that can be
// compared with the package comment: it looks at the whole text at once and
// uses no streams, automata or lanes.
type oracle struct {
	forms  []named
	widths []int
}

// joined returns the text without the line breaks that an encoder put in, and
// for each of its bytes the position in text, followed by len(text).
func (o oracle) joined(text string, more bool) (string, []int) {
	var b strings.Builder
	var place []int
	for at := 0; at < len(text); {
		line, ended := text[at:], false
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line, ended = line[:i+1], true
		}
		body := strings.TrimSuffix(line, "\n")
		body = strings.TrimSuffix(body, "\r")
		run := len(body) - len(strings.TrimRight(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"))
		keep := line
		// A "\r" at the end of the text so far may become a line break.
		if slices.Contains(o.widths, run) && (ended || more) {
			keep = body
		}
		for i := range len(keep) {
			b.WriteByte(keep[i])
			place = append(place, at+i)
		}
		at += len(line)
	}
	return b.String(), append(place, len(text))
}

// occurrences returns every place where a form counts.
func (o oracle) occurrences(text string) []occurrence {
	var all []occurrence
	joined, place := o.joined(text, false)
	for rule, f := range o.forms {
		in := text
		if f.wraps {
			in = joined
		}
		for i := range len(in) {
			if !strings.HasPrefix(in[i:], string(f.text)) {
				continue
			}
			start, end := i, i+len(f.text)
			if f.wraps {
				start, end = place[i], place[i+len(f.text)-1]+1
			}
			if f.alone && (start > 0 && isWord(text[start-1]) || end < len(text) && isWord(text[end])) {
				continue
			}
			all = append(all, occurrence{start, end, int32(rule)})
		}
	}
	slices.SortFunc(all, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rule, b.rule))
	})
	return all
}

// masked returns the text with the union of all occurrences masked.
func (o oracle) masked(text string) string {
	var b strings.Builder
	at, last := 0, ""
	all := o.occurrences(text)
	for i := 0; i < len(all); {
		start, end, name := all[i].start, all[i].end, o.forms[all[i].rule].name
		for i++; i < len(all) && all[i].start < end; i++ {
			end = max(end, all[i].end)
		}
		b.WriteString(text[at:start])
		if start != at || name != last {
			b.WriteString("‹" + name + "›")
		}
		at, last = end, name
	}
	return b.String() + text[at:]
}

// matches returns the result that Find should have: the occurrences of each
// name, merged where they overlap.
func (o oracle) matches(text string) []Match {
	var all []Match
	open := map[string]int{}
	for _, one := range o.occurrences(text) {
		f := o.forms[one.rule]
		if i, ok := open[f.name]; ok && one.start < all[i].End {
			all[i].End = max(all[i].End, one.end)
			continue
		}
		open[f.name] = len(all)
		all = append(all, Match{f.name, f.encoding, one.start, one.end, 1 + strings.Count(text[:one.start], "\n")})
	}
	slices.SortFunc(all, inOrder)
	return all
}

// settled returns the first position from which text may still become an
// occurrence when more of it comes.
func (o oracle) settled(text string) int {
	first := len(text)
	joined, place := o.joined(text, true)
	for _, f := range o.forms {
		in := text
		if f.wraps {
			in = joined
		}
		for i := range len(in) {
			start := i
			if f.wraps {
				start = place[i]
			}
			begun := len(in)-i < len(f.text) && strings.HasPrefix(string(f.text), in[i:])
			waits := f.alone && in[i:] == string(f.text)
			if f.alone && start > 0 && isWord(text[start-1]) {
				continue
			}
			if begun || waits {
				first = min(first, start)
			}
		}
	}
	return first
}

// matcher compiles the forms of the oracle.
func (o oracle) matcher() *Matcher {
	m := &Matcher{}
	m.compile(o.forms, o.widths)
	return m
}

// checkAll compares a matcher with the oracle for one text: whole, split in two
// at every byte, in single bytes, and with Find. It returns the first
// difference.
func (o oracle) checkAll(m *Matcher, text string) error {
	want := o.masked(text)
	if got := m.String(text); got != want {
		return fmt.Errorf("String(%q) = %q, the oracle says %q", text, got, want)
	}
	if got := string(m.Bytes([]byte(text))); got != want {
		return fmt.Errorf("Bytes(%q) = %q, the oracle says %q", text, got, want)
	}
	for cut := range len(text) + 1 {
		if got := written(m, text[:cut], text[cut:]); got != want {
			return fmt.Errorf("%q then %q gave %q, the oracle says %q", text[:cut], text[cut:], got, want)
		}
	}
	if got := written(m, strings.Split(text, "")...); got != want {
		return fmt.Errorf("single bytes of %q gave %q, the oracle says %q", text, got, want)
	}
	if err := o.checkHeld(m, text); err != nil {
		return err
	}
	if got, want := m.Find([]byte(text)), o.matches(text); !slices.Equal(got, want) {
		return fmt.Errorf("Find(%q) = %v, the oracle says %v", text, got, want)
	}
	return nil
}

// checkHeld writes single bytes and compares the text held back after each of
// them with the text that may still become a value.
func (o oracle) checkHeld(m *Matcher, text string) error {
	k := newMasker(m)
	for i := range len(text) {
		k.next([]byte{text[i]})
		if got, want := k.stream.base, o.settled(text[:i+1]); got != want {
			return fmt.Errorf("after %q the text is settled up to %d, want %d", text[:i+1], got, want)
		}
		if kept := len(k.stream.kept); kept != i+1-k.stream.base {
			return fmt.Errorf("after %q %d bytes are kept, want %d", text[:i+1], kept, i+1-k.stream.base)
		}
	}
	return nil
}

// written returns the output of a Writer for the pieces.
func written(m *Matcher, pieces ...string) string {
	var out bytes.Buffer
	w := m.Writer(&out)
	for _, p := range pieces {
		buffer := []byte(p)
		if n, err := w.Write(buffer); n != len(p) || err != nil {
			return fmt.Sprintf("Write returned %d, %v", n, err)
		}
		clear(buffer) // a Writer keeps no reference to its argument
	}
	if err := w.Close(); err != nil {
		return err.Error()
	}
	return out.String()
}

// checks has rapid check a property n times.
func checks(t *testing.T, n string, property func(*rapid.T)) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Value.Set(before) }()
	rapid.Check(t, property)
}

// drawForms draws a small set of forms over an alphabet.
func drawForms(t *rapid.T, alphabet string, wraps bool) []named {
	letters := rapid.SampledFrom([]byte(alphabet))
	least := rapid.IntRange(shortest, 6).Draw(t, "shortest")
	var forms []named
	for i := range rapid.IntRange(1, 5).Draw(t, "forms") {
		f := form{text: rapid.SliceOfN(letters, least, 9).Draw(t, "form"), encoding: fmt.Sprint("e", i)}
		f.wraps = wraps && !bytes.ContainsAny(f.text, "\r\n") && rapid.Bool().Draw(t, "wraps")
		f.alone = !f.wraps && rapid.IntRange(0, 2).Draw(t, "alone") == 0
		forms = append(forms, named{rapid.SampledFrom([]string{"X", "Y", "Z"}).Draw(t, "name"), f})
	}
	return forms
}

func TestMatchesOracleOnSmallAlphabets(t *testing.T) {
	for _, c := range []struct {
		alphabet string
		wraps    bool
	}{{"ab", false}, {"abc", false}, {"ab ", false}, {"a.b-", false}, {"ab\n", true}, {"a=b\r\n", true}, {"abc\r\n", true}} {
		t.Run(fmt.Sprintf("%q", c.alphabet), func(t *testing.T) {
			checks(t, "6000", func(t *rapid.T) {
				o := oracle{drawForms(t, c.alphabet, c.wraps), []int{2, 3}}
				text := string(rapid.SliceOfN(rapid.SampledFrom([]byte(c.alphabet)), 0, 32).Draw(t, "text"))
				if err := o.checkAll(o.matcher(), text); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestOracle checks the oracle with cases worked out by hand.
func TestOracle(t *testing.T) {
	t.Parallel()
	raw := func(name, text string) named { return named{name, form{text: []byte(text), encoding: "raw"}} }
	for _, c := range []struct {
		text, want string
		forms      []named
	}{
		{"xabcx", "x‹A›x", []named{raw("A", "abc")}},
		{"abcde", "‹A›", []named{raw("A", "abc"), raw("B", "cde")}},
		{"abcde", "‹B›", []named{raw("A", "bc"), raw("B", "abcde")}},
		{"abab", "‹A›", []named{raw("A", "ab")}},
		{"abcd", "‹A›‹B›", []named{raw("A", "ab"), raw("B", "cd")}},
		{"x1234 1234", "x1234 ‹P›", []named{{"P", form{text: []byte("1234"), alone: true}}}},
		{"aQUJ\nDeq", "a‹W›q", []named{{"W", form{text: []byte("QUJDe"), wraps: true}}}},
		{"aQUJ\nDe\n", "a‹W›\n", []named{{"W", form{text: []byte("QUJDe"), wraps: true}}}},
		{"QUJ\nDe", "QUJ\nDe", []named{{"W", form{text: []byte("QUJDe"), wraps: true}}}},
	} {
		o := oracle{c.forms, []int{4}}
		if got := o.masked(c.text); got != c.want {
			t.Errorf("the oracle masks %q as %q, want %q", c.text, got, c.want)
		}
	}
}
