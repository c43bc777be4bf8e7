package redact

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// failing accepts a number of bytes and then fails, or writes short.
type failing struct {
	bytes.Buffer
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.left {
		n, _ := f.Buffer.Write(p[:f.left])
		f.left = 0
		return n, f.err
	}
	f.left -= len(p)
	return f.Buffer.Write(p)
}

func TestWriterErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	for name, c := range map[string]struct{ below, want error }{"an error": {broken, broken}, "a short write": {nil, io.ErrShortWrite}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(known("A", "correct-horse")).Writer(&failing{left: 5, err: c.below})
			if n, err := w.Write([]byte("hello")); n != 5 || err != nil {
				t.Fatalf("Write returned %d, %v", n, err)
			}
			for range 2 {
				if n, err := w.Write([]byte("hello")); n != 0 || !errors.Is(err, c.want) {
					t.Errorf("Write returned %d, %v, want 0, %v", n, err, c.want)
				}
			}
			if err := w.Close(); !errors.Is(err, c.want) {
				t.Errorf("Close returned %v, want %v", err, c.want)
			}
		})
	}
}

func TestWriterClose(t *testing.T) {
	t.Parallel()
	for _, m := range []*Matcher{nil, New(known("A", "correct-horse"))} {
		var out bytes.Buffer
		w := m.Writer(&out)
		if _, err := w.Write([]byte("correct-h")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != "correct-h" {
			t.Errorf("after Close: %q", out.String())
		}
		if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write after Close returned %d, %v", n, err)
		}
	}
	w := New(known("A", "correct-horse")).Writer(&failing{err: io.ErrUnexpectedEOF})
	if _, err := w.Write([]byte("correct-h")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Close returned %v", err)
	}
}

// TestWriterKeepsReturningItsError: even if the underlying writer has recovered,
// because it is not known what was lost.
func TestWriterKeepsReturningItsError(t *testing.T) {
	t.Parallel()
	below := &failing{err: io.ErrUnexpectedEOF}
	w := New(known("A", "correct-horse")).Writer(below)
	if _, err := w.Write([]byte("hello")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("Write returned %v", err)
	}
	below.left = 100
	if n, err := w.Write([]byte("hello")); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Write returned %d, %v", n, err)
	}
	if err := w.Close(); !errors.Is(err, io.ErrUnexpectedEOF) || below.Len() > 0 {
		t.Errorf("Close returned %v, and %d bytes were written", err, below.Len())
	}
}

// counting counts the calls of Write.
type counting struct {
	bytes.Buffer
	writes int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

// TestWriterWritesOnce: one Write must stay one Write of the underlying writer,
// so that the lines of several processes do not mix.
func TestWriterWritesOnce(t *testing.T) {
	t.Parallel()
	var out counting
	w := New(known("A", "correct-horse")).Writer(&out)
	if _, err := w.Write([]byte("")); err != nil || out.writes != 0 {
		t.Errorf("%d writes of nothing, %v", out.writes, err)
	}
	line := []byte("a correct-horse and a correct-horse and an end\n")
	if _, err := w.Write(line); err != nil {
		t.Fatal(err)
	}
	if out.writes != 1 || out.String() != "a ‹A› and a ‹A› and an end\n" {
		t.Errorf("%d writes: %q", out.writes, out.String())
	}
	if string(line) != "a correct-horse and a correct-horse and an end\n" {
		t.Error("Write changed its argument")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse", "B", "battery-staple"))
	var out bytes.Buffer
	w := m.Writer(&out)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if _, err := w.Write([]byte("say correct-horse.\n")); err != nil {
					t.Error(err)
				}
				if got := m.String("a battery-staple"); got != "a ‹B›" {
					t.Errorf("String returns %q", got)
				}
				if got := m.Find([]byte("correct-horse battery-staple")); len(got) != 2 {
					t.Errorf("Find returns %v", got)
				}
			}
		})
	}
	all.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("say ‹A›.\n", 1600); out.String() != want {
		t.Error("the lines are not whole")
	}
}

// TestNoAllocation: a Writer in its steady state, and String without a value to
// mask, do not allocate.
func TestNoAllocation(t *testing.T) {
	m := New(known("A", "correct-horse", "P", "1234"))
	w := m.Writer(io.Discard)
	line := []byte(`{"level":"INFO","msg":"correct-horse and corr","pin":1234}` + "\n")
	for name, run := range map[string]func(){
		"Write":  func() { _, _ = w.Write(line) },
		"String": func() { _ = m.String("nothing to mask in this line, really") },
	} {
		for range 10 {
			run()
		}
		if n := testing.AllocsPerRun(200, run); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// TestPoolForgets: a masker that is reused remembers nothing of the last text.
func TestPoolForgets(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse", "P", "1234"))
	for range 20 {
		for _, c := range [][2]string{
			{"x correct-ho", "x correct-ho"}, {"rse", "rse"}, {"1234", "‹P›"}, {"x1234", "x1234"}, {"correct-horse", "‹A›"},
			{"thirteen-bytecorrect-horse", "thirteen-byte‹A›"},
			{strings.Repeat("A", 76) + "\n", strings.Repeat("A", 76) + "\n"}, {"\n", "\n"}, {strings.Repeat("A", 64) + "\r", strings.Repeat("A", 64) + "\r"},
		} {
			if got := m.String(c[0]); got != c[1] {
				t.Fatalf("%q is masked as %q", c[0], got)
			}
		}
	}
}

// TestCleanTextIsNotCopied: even if the text before it held a value.
func TestCleanTextIsNotCopied(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse"))
	clean, text := []byte("nothing to mask"), "nothing to mask"
	for range 20 {
		if got := m.String("a correct-horse"); got != "a ‹A›" {
			t.Fatalf("String returns %q", got)
		}
		if got := m.Bytes(clean); len(got) != len(clean) || &got[0] != &clean[0] {
			t.Fatal("Bytes returns a copy")
		}
		if got := m.String("a correct-horse"); got != "a ‹A›" {
			t.Fatalf("String returns %q", got)
		}
		if got := m.String(text); len(got) != len(text) || unsafe.StringData(got) != unsafe.StringData(text) {
			t.Fatal("String returns a copy")
		}
	}
}

// TestMaskedTextIsNotReused: the matcher does not reuse the memory of its
// result.
func TestMaskedTextIsNotReused(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse"))
	text := []byte("a correct-horse")
	first := m.Bytes(text)
	_ = m.Bytes([]byte("much longer, and another correct-horse"))
	if string(first) != "a ‹A›" || string(text) != "a correct-horse" {
		t.Errorf("the masked text became %q, its source %q", first, text)
	}
}

func TestFinderInPieces(t *testing.T) {
	t.Parallel()
	m := New(known("A", "correct-horse", "B", "horse-tail"))
	const text = "one\ntwo correct-horse-tail\nthree correct-horse\n"
	want := m.Find([]byte(text))
	if len(want) != 3 || want[0] != (Match{"A", "raw", 8, 21, 2}) || want[1] != (Match{"B", "raw", 16, 26, 2}) || want[2].Line != 3 {
		t.Fatalf("Find returns %v", want)
	}
	for cut := range text {
		var got []Match
		f := m.Finder(func(one Match) { got = append(got, one) })
		for _, p := range []string{text[:cut], text[cut:]} {
			if n, err := io.WriteString(f, p); n != len(p) || err != nil {
				t.Fatalf("Write returned %d, %v", n, err)
			}
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("cut at %d: %v", cut, got)
		}
		if n, err := f.Write([]byte("x")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write after Close: %d, %v", n, err)
		}
	}
	var got []Match
	f := m.Finder(func(one Match) { got = append(got, one) })
	for _, c := range []byte(text) {
		_, _ = f.Write([]byte{c})
	}
	if _ = f.Close(); !slices.Equal(got, want) {
		t.Errorf("in single bytes: %v", got)
	}
}

// TestFindOrder: matches are ordered by beginning, then the longer first, then
// by name.
func TestFindOrder(t *testing.T) {
	t.Parallel()
	m := New(known("A", "horse-tail", "C", "correct-h", "Z", "correct-horse", "D", "correct-horse", "B", "correct-horse"))
	var got []string
	for _, one := range m.Find([]byte("a correct-horse-tail")) {
		got = append(got, one.Name)
	}
	if !slices.Equal(got, []string{"B", "D", "Z", "C", "A"}) {
		t.Errorf("Find returns %v", got)
	}
}

// TestFinderReportsAtOnce: a match is reported as soon as no later byte can
// change it, not at the end.
func TestFinderReportsAtOnce(t *testing.T) {
	t.Parallel()
	var got []Match
	f := New(known("A", "correct-horse")).Finder(func(one Match) { got = append(got, one) })
	_, _ = f.Write([]byte("a correct-horse"))
	if len(got) != 1 {
		t.Errorf("%d matches before Close", len(got))
	}
}
