package redact

import (
	"cmp"
	"slices"
)

// pieceSize bounds what is read at once, and so the memory of a stream.
const pieceSize = 32 << 10

// stream reads a text in pieces and reports which occurrences are in it, and up
// to which position that is settled.
type stream struct {
	*Matcher
	lanes  []lane
	base   int    // number of bytes that are settled and released
	before int    // the byte before base; -1 at the beginning
	text   []byte // the text read and not released
	kept   []byte // holds text between two pieces
	// waiting are occurrences at the end of the text that count only if the
	// next byte is not part of a word.
	waiting []occurrence
	found   []occurrence
	alone   func(back int) bool
}

// newStream returns a stream for a text in which m, which may be nil, searches.
func newStream(m *Matcher) *stream {
	if m == nil {
		m = &Matcher{}
	}
	s := &stream{Matcher: m, before: -1}
	for _, l := range m.tracks {
		s.lanes = append(s.lanes, lane{search: walk{automaton: l.automaton}, rules: m.rules, widths: l.widths})
	}
	s.alone = func(back int) bool {
		start := s.base + len(s.text) - back
		return start >= s.base && !s.word(start-1)
	}
	return s
}

// restart prepares the stream for another text.
func (s *stream) restart() {
	s.base, s.before = 0, -1
	s.text, s.kept = nil, s.kept[:0]
	s.waiting = s.waiting[:0]
	for i := range s.lanes {
		s.lanes[i].restart()
	}
}

// next reads a piece. It returns the occurrences that have become known, sorted
// by place, and the position up to which all are known: every later occurrence
// begins there or after it. The text from s.base on is in s.text until release
// is called; it may be the piece itself.
func (s *stream) next(piece []byte) ([]occurrence, int) {
	old := len(s.kept)
	s.text = piece
	if old > 0 {
		s.kept = append(s.kept, piece...)
		s.text = s.kept
	}
	end := s.base + len(s.text)
	raw := append(s.found[:0], s.waiting...)
	for i := range s.lanes {
		raw = s.lanes[i].feed(piece, raw)
	}
	s.waiting = s.waiting[:0]
	settled := end
	known := raw[:0]
	for _, o := range raw {
		switch {
		case !s.rules[o.rule].alone:
			known = append(known, o)
		case o.start < s.base || s.word(o.start-1):
			// It is part of a word, which is also why some of it may have been
			// released.
		case o.end == end:
			s.waiting = append(s.waiting, o)
			settled = min(settled, o.start)
		case !s.word(o.end):
			known = append(known, o)
		}
	}
	for i := range s.lanes {
		settled = min(settled, s.lanes[i].held(s.alone))
	}
	s.found = known
	return s.sorted(known), settled
}

// last returns the occurrences that become known at the end of the text.
func (s *stream) last() ([]occurrence, int) {
	s.text = s.kept
	known := append(s.found[:0], s.waiting...)
	s.waiting = s.waiting[:0]
	return s.sorted(known), s.base + len(s.text)
}

// sorted orders occurrences by their beginning, then the longest first, then by
// rule.
func (s *stream) sorted(list []occurrence) []occurrence {
	slices.SortFunc(list, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rule, b.rule))
	})
	return list
}

// release drops the text before a position and keeps the rest.
func (s *stream) release(to int) {
	if gone := to - s.base; gone > 0 {
		s.before = int(s.text[gone-1])
		s.text = s.text[gone:]
		s.base = to
	}
	s.kept = append(s.kept[:0], s.text...)
	s.text = s.kept
	for i := range s.lanes {
		s.lanes[i].forget(to)
	}
}

// word reports whether the byte at a position of the text is part of a word.
// The position is base-1 or later.
func (s *stream) word(at int) bool {
	if i := at - s.base; i >= 0 {
		return i < len(s.text) && isWord(s.text[i])
	}
	return s.before >= 0 && isWord(byte(s.before))
}
