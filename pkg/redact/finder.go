package redact

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"sync"
)

// Match says where a value stands in a text. It holds no part of the value.
type Match struct {
	Name     string // of the secret
	Encoding string // one of Encodings
	Start    int    // bytes before it
	End      int    // Start and the bytes that it takes
	Line     int    // of the byte at Start, from 1
}

// Find returns where the values stand in text, in order. Occurrences of one
// name that overlap are one Match, with the encoding of the first and longest
// of them; values of two names that overlap are two, the longer first.
func (m *Matcher) Find(text []byte) []Match {
	var all []Match
	f := m.Finder(func(one Match) { all = append(all, one) })
	_, _ = f.Write(text)
	_ = f.Close()
	slices.SortFunc(all, inOrder)
	return all
}

// inOrder puts what begins first before what begins later, the longer before
// the shorter.
func inOrder(a, b Match) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(a.Name, b.Name))
}

// Finder reports where the values stand in a text that is written to it, in
// bounded memory. It may be used from several goroutines.
type Finder struct {
	mu     sync.Mutex
	stream *stream // nil: nothing to find
	names  []string
	found  func(Match)
	spans  []span // those that reach behind the settled place
	lines  int    // line breaks before the settled place
	closed bool
}

// Finder returns a Finder that calls found for each Match, roughly in order:
// when no later byte can change it. Close it to get the last ones. found must
// not use the Finder.
func (m *Matcher) Finder(found func(Match)) *Finder {
	if m.silent() {
		return &Finder{}
	}
	return &Finder{stream: newStream(m), names: m.names, found: found}
}

// Write searches p. It fails only after Close.
func (f *Finder) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	if f.stream == nil {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), pieceSize)]
		rest = rest[len(piece):]
		f.settle(f.stream.next(piece))
	}
	return len(p), nil
}

// Close reports what the end of the text settles. It never fails.
func (f *Finder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && f.stream != nil {
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
			f.found(Match{f.names[r.name], r.encoding, one.start, one.end, one.line})
		} else {
			rest = append(rest, one)
		}
	}
	f.spans = rest
}

// join makes one span of those of the same name that overlap.
func (f *Finder) join() {
	name := func(s span) int32 { return f.stream.rules[s.rule].name }
	slices.SortFunc(f.spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(name(a), name(b)), before(a, b))
	})
	joined := f.spans[:0]
	for _, s := range f.spans {
		if n := len(joined); n > 0 && name(joined[n-1]) == name(s) && s.start < joined[n-1].end {
			joined[n-1].end = max(joined[n-1].end, s.end)
			continue
		}
		joined = append(joined, s)
	}
	slices.SortFunc(joined, before)
	f.spans = joined
}
