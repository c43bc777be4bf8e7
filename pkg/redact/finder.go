package redact

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"sync"
)

// Match says where in a text a value is. It holds no part of the value.
type Match struct {
	Name     string // of the secret
	Encoding string // one of Encodings
	Start    int    // offset of the first byte
	End      int    // offset of the byte after the last
	Line     int    // of the byte at Start, from 1
}

// Find returns where the values are in text, in order. Overlapping occurrences
// of one name are one Match, with the encoding of the first of them (of
// several, the longest). Overlapping values of two names are two, the longer
// first if both begin at the same byte.
func (m *Matcher) Find(text []byte) []Match {
	var all []Match
	f := m.Finder(func(one Match) { all = append(all, one) })
	_, _ = f.Write(text)
	_ = f.Close()
	slices.SortFunc(all, inOrder)
	return all
}

// inOrder orders matches by their beginning, then the longer before the
// shorter, then by name.
func inOrder(a, b Match) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(a.Name, b.Name))
}

// Finder reports where the values are in a text that is written to it, in
// bounded memory. It is safe for concurrent use.
type Finder struct {
	mu     sync.Mutex
	stream *stream
	found  func(Match)
	spans  []span // those that extend past the settled position
	lines  int    // line breaks before the settled position
	closed bool
}

// Finder returns a Finder that calls found for each Match, roughly in order, as
// soon as no later byte can change it. Close it to get the last ones. found
// must not use the Finder.
func (m *Matcher) Finder(found func(Match)) *Finder {
	return &Finder{stream: newStream(m), found: found}
}

// Write searches p. It fails only after Close.
func (f *Finder) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	for piece := range slices.Chunk(p, pieceSize) {
		f.settle(f.stream.next(piece))
	}
	return len(p), nil
}

// Close reports the remaining matches. It never fails.
func (f *Finder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.settle(f.stream.last())
	}
	f.closed = true
	return nil
}

func (f *Finder) settle(found []occurrence, settled int) {
	s := f.stream
	defer s.release(settled)
	line, at := f.lines, s.base
	for _, o := range found { // in order of their starts, none before base
		line += bytes.Count(s.text[at-s.base:o.start-s.base], []byte{'\n'})
		at = o.start
		f.spans = append(f.spans, span{occurrence: o, leaderEnd: o.end, line: line + 1})
	}
	f.lines += bytes.Count(s.text[:settled-s.base], []byte{'\n'})
	if len(f.spans) == 0 {
		return
	}
	f.join()
	rest := f.spans[:0]
	for _, one := range f.spans {
		if one.end <= settled {
			r := f.stream.rules[one.rule]
			f.found(Match{f.stream.names[r.name], r.encoding, one.start, one.end, one.line})
		} else {
			rest = append(rest, one)
		}
	}
	f.spans = rest
}

// join merges overlapping spans of the same name.
func (f *Finder) join() {
	name := func(s span) int32 { return f.stream.rules[s.rule].name }
	slices.SortFunc(f.spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(name(a), name(b)), before(a, b))
	})
	f.spans = merge(f.spans, func(a, b span) bool { return name(a) == name(b) })
	slices.SortFunc(f.spans, before)
}
