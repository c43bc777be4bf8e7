package redact

import (
	"cmp"
	"slices"
)

// pieceSize bounds what is read at once, and so the memory of a stream.
const pieceSize = 32 << 10

// stream reads a text in pieces and says which occurrences stand in it, and up
// to where that is settled.
type stream struct {
	lanes  []lane
	rules  []rule
	base   int    // bytes that are settled and gone
	before int    // the byte before base; -1 at the beginning
	text   []byte // what was read and is not gone
	kept   []byte // the memory of text between two pieces
	// waiting are occurrences at the end of the text that count if the byte
	// that comes next is no part of a word.
	waiting []occurrence
	found   []occurrence
	alone   func(back int) bool
}

func newStream(m *Matcher) *stream {
	s := &stream{rules: m.rules, before: -1}
	for _, l := range m.lanes {
		s.lanes = append(s.lanes, lane{search: l.engine.begin(), rules: m.rules, widths: l.widths})
	}
	s.alone = func(back int) bool {
		start := s.base + len(s.text) - back
		return start >= s.base && !s.word(start-1)
	}
	return s
}

// restart makes the stream ready for another text.
func (s *stream) restart() {
	s.base, s.before = 0, -1
	s.text, s.kept = nil, s.kept[:0]
	s.waiting = s.waiting[:0]
	for i := range s.lanes {
		s.lanes[i].restart()
	}
}

// next reads a piece. It returns the occurrences that are now known and were
// not before, sorted by place, and the place up to which all are known: every
// later occurrence begins there or after. The text from s.base on is in s.text
// until release is called; it may be the piece itself.
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
			// It is part of a word; that is also why some of it may be gone.
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

// last returns what the end of the text settles: nothing comes after it.
func (s *stream) last() ([]occurrence, int) {
	s.text = s.kept
	known := append(s.found[:0], s.waiting...)
	s.waiting = s.waiting[:0]
	return s.sorted(known), s.base + len(s.text)
}

// sorted puts occurrences in the order of the text, of those at one place the
// longest first, of equal ones the first rule.
func (s *stream) sorted(list []occurrence) []occurrence {
	slices.SortFunc(list, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rule, b.rule))
	})
	return list
}

// release lets the text before a place go and keeps the rest.
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

// word tells whether the byte at a place of the text is part of a word. The
// place is the one before base, or later.
func (s *stream) word(at int) bool {
	if i := at - s.base; i >= 0 {
		return i < len(s.text) && isWord(s.text[i])
	}
	return s.before >= 0 && isWord(byte(s.before))
}
