package redact

// pattern is one byte string to search, and the rule it stands for.
type pattern struct {
	text []byte
	rule int32
	// alone: an occurrence counts only where no letter, digit or underscore
	// stands beside it.
	alone bool
}

// hit is an occurrence of a pattern: it ends after end bytes of the piece that
// was fed.
type hit struct {
	end  int
	rule int32
}

// engine finds every occurrence of a fixed set of patterns. It is immutable
// and may be used from many goroutines; each text has a search of its own.
//
// The rest of the package knows no more of it than this. Another engine takes
// the automaton's place by these two interfaces.
type engine interface {
	begin() search
}

// search is the reading of one text by an engine.
type search interface {
	// feed reads the next piece of the text and appends to found every
	// occurrence that ends in it, overlapping ones too, in the order of their
	// ends. It does not look at the neighbours of an occurrence.
	feed(piece []byte, found []hit) []hit

	// reset makes the search forget what it has read: no occurrence reaches
	// over this place.
	reset()

	// held says how many of the last bytes read could be the beginning of an
	// occurrence that is not complete yet: the longest such number. Where all
	// occurrences in question have to stand alone, it asks alone whether one
	// may begin that many bytes back.
	held(alone func(back int) bool) int
}
