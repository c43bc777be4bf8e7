package redact

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// automaton is the engine of Aho and Corasick ("Efficient string matching",
// CACM 18(6), 1975) over a trie whose nodes are numbered in the order of their
// depth, so that the children of a node stand in a row: 13 bytes a node. Time
// is linear in the text and in the occurrences found, whatever the patterns.
//
// At its root it reads two bytes at a time and goes on while no pattern begins
// with them, which is most of the time.
type automaton struct {
	label []byte  // label[v] is the byte on the edge that leads to v
	child []int32 // the children of v are child[v] to child[v+1]-1
	fail  []int32 // the node of the longest proper suffix of v that is in the trie
	out   []int32 // the first of the entries of v and its suffixes, 0: none
	level []int32 // level[d] is the first node of depth d
	// open[v]: a pattern that need not stand alone goes on below v. Nil: all
	// of them are such.
	open    []bool
	entries []entry // entries[0] is not used
	root    [256]int32
	pairs   [1 << 10]uint64 // bit set of the first two bytes of the patterns
}

// entry is a pattern that ends at a node, and the next one to report there.
type entry struct {
	rule int32
	next int32
}

// newAutomaton compiles patterns of two bytes at least. Their order is the
// order in which equal ones are reported.
func newAutomaton(patterns []pattern) engine {
	sorted := slices.Clone(patterns)
	slices.SortStableFunc(sorted, func(a, b pattern) int {
		return cmp.Or(bytes.Compare(a.text, b.text), cmp.Compare(a.rule, b.rule))
	})
	a := &automaton{entries: make([]entry, 1, len(sorted)+1)}
	a.grow(sorted)
	a.link()
	for _, p := range sorted {
		pair := uint(p.text[0])<<8 | uint(p.text[1])
		a.pairs[pair>>6] |= 1 << (pair & 63)
	}
	return a
}

// grow builds the trie, one depth after the other. A node is the range of the
// sorted patterns that begin with its bytes.
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
			a.end(v, sorted[i].rule)
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

// end notes that the pattern of rule ends at v, behind those that do already.
func (a *automaton) end(v, rule int32) {
	a.entries = append(a.entries, entry{rule: rule})
	added := int32(len(a.entries) - 1)
	last := a.out[v]
	if last == 0 {
		a.out[v] = added
		return
	}
	for a.entries[last].next != 0 {
		last = a.entries[last].next
	}
	a.entries[last].next = added
}

// trieSize counts the nodes that the sorted patterns make.
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
// need not stand alone. It returns nil where none has to.
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

// link computes the failure links, and lets each node report what its
// suffixes do.
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
			suffix := a.out[a.fail[w]]
			last := a.out[w]
			if last == 0 {
				a.out[w] = suffix
				continue
			}
			for a.entries[last].next != 0 {
				last = a.entries[last].next
			}
			a.entries[last].next = suffix
		}
	}
}

// step goes from v over one byte.
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

func (a *automaton) begin() search { return &walk{automaton: a} }

// walk is a search: it stands at the node of the longest suffix of what was
// read that is in the trie.
type walk struct {
	*automaton
	node int32
}

func (w *walk) reset() { w.node = 0 }

func (w *walk) feed(piece []byte, found []hit) []hit {
	a, v := w.automaton, w.node
	for i := 0; i < len(piece); i++ {
		if v == 0 {
			if i = a.skip(piece, i); i == len(piece) {
				break
			}
		}
		v = a.step(v, piece[i])
		for e := a.out[v]; e != 0; e = a.entries[e].next {
			found = append(found, hit{end: i + 1, rule: a.entries[e].rule})
		}
	}
	w.node = v
	return found
}

// skip returns the first place at or after i where a pattern may begin.
func (a *automaton) skip(piece []byte, i int) int {
	for ; i+1 < len(piece); i++ {
		pair := uint(piece[i])<<8 | uint(piece[i+1])
		if a.pairs[pair>>6]&(1<<(pair&63)) != 0 {
			return i
		}
	}
	for ; i < len(piece) && a.root[piece[i]] == 0; i++ {
	}
	return i
}

func (w *walk) held(alone func(back int) bool) int {
	for v := w.node; v != 0; v = w.fail[v] {
		if w.child[v] == w.child[v+1] {
			continue // the pattern is complete, and no longer one goes on
		}
		depth := w.depth(v)
		if w.open == nil || w.open[v] || alone(depth) {
			return depth
		}
	}
	return 0
}
