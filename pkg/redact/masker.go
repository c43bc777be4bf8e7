package redact

import (
	"cmp"
	"slices"
)

// span is a part of the text to mask: the union of occurrences that overlap.
// Its leader, which determines the name, is the occurrence that begins first;
// of several, the longest.
type span struct {
	occurrence     // the union, and the leader's rule
	leaderEnd  int // where the leader ends
	line       int // the line on which the span begins; only Finder sets it
	written    bool
}

// before orders spans by place, then by the precedence of their leaders.
func before(a, b span) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.leaderEnd, a.leaderEnd), cmp.Compare(a.rule, b.rule))
}

// merge joins consecutive spans that overlap and belong together. Adjacent
// spans stay separate.
func merge(spans []span, together func(a, b span) bool) []span {
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && together(merged[n-1], s) && s.start < merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, s.end)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// masker masks the text of a stream.
type masker struct {
	stream *stream
	spans  []span // those that extend past the settled position, in order
	// The last mask written and the end of its span: an adjacent span of the
	// same name needs no second mask.
	lastEnd  int
	lastMask string
	masked   bool // something was masked
	out      []byte
}

func newMasker(m *Matcher) *masker {
	return &masker{stream: newStream(m), lastEnd: -1}
}

// restart prepares the masker for another text.
func (k *masker) restart() {
	k.stream.restart()
	k.spans, k.lastEnd, k.lastMask, k.masked = k.spans[:0], -1, "", false
}

// next reads a piece and returns the output that is settled. It is valid until
// the next call and may be the piece itself.
func (k *masker) next(piece []byte) []byte {
	found, settled := k.stream.next(piece)
	return k.settle(found, settled)
}

// last returns the text that was held back.
func (k *masker) last() []byte {
	found, settled := k.stream.last()
	return k.settle(found, settled)
}

func (k *masker) settle(found []occurrence, settled int) []byte {
	s := k.stream
	defer s.release(settled)
	if len(found) == 0 && len(k.spans) == 0 {
		if len(s.kept) == 0 {
			return s.text[:settled-s.base]
		}
		k.out = append(k.out[:0], s.text[:settled-s.base]...)
		return k.out
	}
	for _, o := range found {
		k.spans = append(k.spans, span{occurrence: o, leaderEnd: o.end})
	}
	slices.SortFunc(k.spans, before)
	k.spans = merge(k.spans, func(span, span) bool { return true })
	k.out = k.out[:0]
	at := s.base
	rest := k.spans[:0]
	for _, one := range k.spans {
		if one.start < settled {
			if !one.written {
				k.out = append(k.out, s.text[at-s.base:one.start-s.base]...)
				k.mask(one)
				one.written = true
			}
			at = min(one.end, settled)
			k.lastEnd = one.end
		}
		if one.end > settled {
			rest = append(rest, one)
		}
	}
	k.spans = rest
	k.out = append(k.out, s.text[at-s.base:settled-s.base]...)
	return k.out
}

// mask writes the mask of a span, unless the span just before it is adjacent
// and has the same mask.
func (k *masker) mask(s span) {
	mask := k.stream.masks[k.stream.rules[s.rule].name]
	if s.start != k.lastEnd || mask != k.lastMask {
		k.out = append(k.out, mask...)
	}
	k.lastMask = mask
	k.masked = true
}
