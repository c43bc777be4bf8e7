package redact

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// Matcher searches texts for a set of known values and masks them. It is
// immutable and safe for concurrent use. A nil Matcher and the zero Matcher
// know no values and change nothing.
type Matcher struct {
	tracks   []track
	rules    []rule
	names    []string
	masks    []string // by name
	unmasked []string
	maskers  *sync.Pool
}

// track is the immutable part of a lane.
type track struct {
	automaton *automaton
	widths    []int
}

// rule describes a pattern.
type rule struct {
	name     int32 // index of names and masks
	size     int32 // length of the pattern
	encoding string
	alone    bool
}

// New compiles the known values. Their order matters only if two names have the
// same bytes: then the mask has the first name.
//
// A trailing line break is not part of the search. A value of 1 to 3 bytes, or
// of white space only, is not searched for: see [Matcher.Unmasked].
func New(known []secrets.Known) *Matcher {
	m := &Matcher{}
	var all []named
	for _, k := range known {
		if k.Value.IsZero() {
			continue
		}
		forms := formsOf(k.Value.Reveal())
		if len(forms) == 0 {
			m.unmasked = append(m.unmasked, k.Name)
		}
		for _, f := range forms {
			all = append(all, named{k.Name, f})
		}
	}
	slices.Sort(m.unmasked)
	m.unmasked = slices.Compact(m.unmasked)
	m.compile(all, wrapWidths())
	return m
}

// named is a form with the name of its value.
type named struct {
	name string
	form
}

// compile builds the rules and the tracks.
func (m *Matcher) compile(all []named, widths []int) {
	index := map[string]int32{}
	var plain, wrapped []pattern
	for i, f := range all {
		name, seen := index[f.name]
		if !seen {
			name = int32(len(m.names))
			index[f.name] = name
			m.names = append(m.names, f.name)
			m.masks = append(m.masks, Mask(f.name))
		}
		m.rules = append(m.rules, rule{name: name, size: int32(len(f.text)), encoding: f.encoding, alone: f.alone})
		p := pattern{text: f.text, rule: int32(i), alone: f.alone}
		if f.wraps {
			wrapped = append(wrapped, p)
		} else {
			plain = append(plain, p)
		}
	}
	if len(plain) > 0 {
		m.tracks = append(m.tracks, track{automaton: newAutomaton(plain)})
	}
	if len(wrapped) > 0 {
		m.tracks = append(m.tracks, track{automaton: newAutomaton(wrapped), widths: widths})
	}
	m.maskers = &sync.Pool{}
}

// Mask returns the text that replaces the value of name.
func Mask(name string) string {
	if name == "" {
		name = "secret"
	}
	return "‹" + name + "›"
}

// Unmasked returns, sorted, the names whose values are not searched for: those
// of 1 to 3 bytes and those of white space only. A program that promises to
// mask everything must report them.
func (m *Matcher) Unmasked() []string {
	if m == nil {
		return nil
	}
	return slices.Clone(m.unmasked)
}

// silent reports whether there is nothing to search for.
func (m *Matcher) silent() bool { return m == nil || len(m.tracks) == 0 }

// String returns s with every value masked, and s itself if it holds none.
func (m *Matcher) String(s string) string {
	if m.silent() || len(s) == 0 {
		return s
	}
	// mask only reads the bytes.
	masked, changed := m.mask(unsafe.Slice(unsafe.StringData(s), len(s)))
	if !changed {
		return s
	}
	return string(masked)
}

// Bytes returns b with every value masked, and b itself if it holds none. It
// does not change b.
func (m *Matcher) Bytes(b []byte) []byte {
	if m.silent() || len(b) == 0 {
		return b
	}
	masked, changed := m.mask(b)
	if !changed {
		return b
	}
	return masked
}

// mask returns the masked text and true, or nil and false if text holds no
// value.
func (m *Matcher) mask(text []byte) ([]byte, bool) {
	k, ok := m.maskers.Get().(*masker)
	if !ok {
		k = newMasker(m)
	}
	var out []byte
	gather := func(masked []byte, settled int) {
		switch {
		case out != nil:
			out = append(out, masked...)
		case k.masked:
			out = append(append(make([]byte, 0, len(text)+64), text[:settled]...), masked...)
		}
	}
	for piece := range slices.Chunk(text, pieceSize) {
		settled := k.stream.base
		gather(k.next(piece), settled)
	}
	settled := k.stream.base
	gather(k.last(), settled)
	k.restart()
	m.maskers.Put(k)
	return out, out != nil
}
