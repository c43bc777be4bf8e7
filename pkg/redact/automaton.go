package redact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// pattern is one byte string to search for, and its rule.
type pattern struct {
	text []byte
	rule int32
	// alone: an occurrence counts only if no letter, digit or underscore is
	// next to it.
	alone bool
}

// hit is an occurrence of a pattern: it ends after end bytes of the piece that
// was fed.
type hit struct {
	end  int
	rule int32
}

// automaton finds every occurrence of a fixed set of patterns by the algorithm
// of Aho and Corasick ("Efficient string matching", CACM 18(6), 1975). The
// nodes of its trie are numbered by depth, so the children of a node are
// consecutive: 13 bytes per node. Time is linear in the text and in the
// occurrences found, whatever the patterns. An automaton is immutable and safe
// for concurrent use; a [walk] reads one text.
//
// While no pattern has begun it does not step byte by byte: it looks for the
// next place whose first few bytes are in a bit set of the beginnings of all
// patterns. In a typical log that is nearly all of the work.
type automaton struct {
	label []byte  // label[v] is the byte on the edge that leads to v
	child []int32 // the children of v are child[v] to child[v+1]-1
	fail  []int32 // the node of the longest proper suffix of v that is in the trie
	out   []int32 // the first of the entries of v and its suffixes, 0: none
	level []int32 // level[d] is the first node of depth d
	// open[v]: a pattern that need not be alone continues below v. Nil: no
	// pattern needs to be alone.
	open    []bool
	entries []entry // entries[0] is not used
	root    [256]int32
	deep    int32    // the first node of depth gram
	bits    []uint64 // hashes of the first gram bytes of each pattern
	shift   uint     // reduces a hash to the size of the set
}

// golden is 2^32 divided by the golden ratio, the multiplier of Knuth's hash.
const golden = 2654435769

// gram is the number of bytes of a pattern that are hashed. No pattern is
// shorter.
const gram = shortest

// entry is a pattern that ends at a node, and the next one to report there.
type entry struct {
	rule int32
	next int32
}

// newAutomaton compiles patterns of at least gram bytes. Their order is the
// order in which equal ones are reported.
func newAutomaton(patterns []pattern) *automaton {
	sorted := slices.Clone(patterns)
	slices.SortStableFunc(sorted, func(a, b pattern) int {
		return cmp.Or(bytes.Compare(a.text, b.text), cmp.Compare(a.rule, b.rule))
	})
	a := &automaton{entries: make([]entry, 1, len(sorted)+1)}
	a.grow(sorted)
	a.link()
	a.hash(sorted)
	return a
}

// hash fills the bit set: at least 16 bits for each beginning.
func (a *automaton) hash(sorted []pattern) {
	a.deep = a.level[gram]
	beginnings := len(a.label) - int(a.deep)
	if gram+1 < len(a.level) {
		beginnings = int(a.level[gram+1] - a.deep)
	}
	size := max(12, bits.Len(uint(16*beginnings)))
	a.bits = make([]uint64, 1<<size/64)
	a.shift = uint(32 - size)
	for _, p := range sorted {
		h := a.sum(p.text)
		a.bits[h>>6] |= 1 << (h & 63)
	}
}

// sum hashes the first gram bytes of text by Knuth's multiplicative hash.
func (a *automaton) sum(text []byte) uint32 {
	return binary.LittleEndian.Uint32(text) * golden >> (a.shift & 31)
}

// grow builds the trie depth by depth. A node is the range of the sorted
// patterns that begin with its bytes.
func (a *automaton) grow(sorted []pattern) {
	total := trieSize(sorted)
	plain := plainBefore(sorted)
	a.label = make([]byte, 1, total)
	a.child = make([]int32, 0, total+1)
	a.out = make([]int32, 1, total)
	a.level = []int32{0}
	low, high := make([]int32, 1, total), make([]int32, 1, total)
	high[0] = int32(len(sorted))
	depth, next := 0, int32(1)
	for v := int32(0); int(v) < len(a.label); v++ {
		if v == next {
			depth, next = depth+1, int32(len(a.label))
			a.level = append(a.level, v)
		}
		a.child = append(a.child, int32(len(a.label)))
		i, end := low[v], high[v]
		for ; i < end && len(sorted[i].text) == depth; i++ {
			a.entries = append(a.entries, entry{rule: sorted[i].rule})
			a.report(v, int32(len(a.entries)-1))
		}
		if plain != nil {
			a.open = append(a.open, plain[end] > plain[i])
		}
		for i < end {
			c, from := sorted[i].text[depth], i
			for ; i < end && sorted[i].text[depth] == c; i++ {
			}
			a.label = append(a.label, c)
			a.out = append(a.out, 0)
			low, high = append(low, from), append(high, i)
		}
	}
	a.child = append(a.child, int32(len(a.label)))
}

// report adds entries to those of v, after those that it has.
func (a *automaton) report(v, first int32) {
	at := &a.out[v]
	for *at != 0 {
		at = &a.entries[*at].next
	}
	*at = first
}

// trieSize counts the nodes that the sorted patterns need.
func trieSize(sorted []pattern) int {
	total := 1
	var before []byte
	for _, p := range sorted {
		shared := 0
		for shared < len(before) && shared < len(p.text) && before[shared] == p.text[shared] {
			shared++
		}
		total += len(p.text) - shared
		before = p.text
	}
	return total
}

// plainBefore counts, for each place in the list, the patterns before it that
// need not be alone. It returns nil if no pattern has to be.
func plainBefore(sorted []pattern) []int32 {
	if !slices.ContainsFunc(sorted, func(p pattern) bool { return p.alone }) {
		return nil
	}
	count := make([]int32, len(sorted)+1)
	for i, p := range sorted {
		if count[i+1] = count[i]; !p.alone {
			count[i+1]++
		}
	}
	return count
}

// link computes the failure links, and appends the entries of each node's
// suffix to those of the node.
func (a *automaton) link() {
	a.fail = make([]int32, len(a.label))
	for w := a.child[0]; w < a.child[1]; w++ {
		a.root[a.label[w]] = w
	}
	for v := range int32(len(a.label)) {
		for w := a.child[v]; w < a.child[v+1]; w++ {
			if v != 0 {
				a.fail[w] = a.step(a.fail[v], a.label[w])
			}
			a.report(w, a.out[a.fail[w]])
		}
	}
}

// step returns the node after v on byte c.
func (a *automaton) step(v int32, c byte) int32 {
	for v != 0 {
		first := a.child[v]
		row := a.label[first:a.child[v+1]]
		if len(row) == 1 {
			if row[0] == c {
				return first
			}
		} else if i := bytes.IndexByte(row, c); i >= 0 {
			return first + int32(i)
		}
		v = a.fail[v]
	}
	return a.root[c]
}

// depth is the number of bytes that lead to v.
func (a *automaton) depth(v int32) int {
	return sort.Search(len(a.level), func(d int) bool { return a.level[d] > v }) - 1
}

// walk is the search of one text. It is at the node of the longest suffix of
// the text read so far that is in the trie.
type walk struct {
	*automaton
	node int32
}

// reset makes the search forget what it has read: no occurrence spans this
// place.
func (w *walk) reset() { w.node = 0 }

// feed reads the next piece of the text and appends to found every occurrence
// that ends in it, including overlapping ones, in the order of their ends. It
// does not look at the bytes next to an occurrence.
func (w *walk) feed(piece []byte, found []hit) []hit {
	a, v := w.automaton, w.node
	for i := 0; i < len(piece); {
		begun := 0
		if v != 0 && v < a.deep {
			begun = a.depth(v)
		}
		if v < a.deep && begun <= i {
			i = a.next(piece, i-begun)
			end := min(i+gram, len(piece))
			v = a.after(piece[i:end])
			i = end
		} else {
			v = a.step(v, piece[i])
			i++
		}
		for e := a.out[v]; e != 0; e = a.entries[e].next {
			found = append(found, hit{end: i, rule: a.entries[e].rule})
		}
	}
	w.node = v
	return found
}

// next returns the first place at or after i where a pattern may begin,
// judging by the hash of the bytes there. If there is none, it returns the
// first place with fewer than gram bytes left.
func (a *automaton) next(piece []byte, i int) int {
	for set := a.bits; i <= len(piece)-gram; i++ {
		h := a.sum(piece[i:])
		if set[h>>6]&(1<<(h&63)) != 0 {
			break
		}
	}
	return i
}

// after returns the node after text, if nothing before it is part of a pattern.
func (a *automaton) after(text []byte) int32 {
	v := int32(0)
	for _, c := range text {
		v = a.step(v, c)
	}
	return v
}

// held returns how many of the last bytes read could be the beginning of an
// occurrence that is not complete yet: the largest such number. If all patterns
// in question have to be alone, it asks alone whether one may begin that many
// bytes back.
func (w *walk) held(alone func(back int) bool) int {
	for v := w.node; v != 0; v = w.fail[v] {
		if w.child[v] == w.child[v+1] {
			continue // the pattern is complete, and no longer one continues it
		}
		depth := w.depth(v)
		if w.open == nil || w.open[v] || alone(depth) {
			return depth
		}
	}
	return 0
}
