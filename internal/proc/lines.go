package proc

import (
	"bytes"
	"strings"
)

const (
	keptLines = 40      // of what a child said, for its error
	maxLine   = 4 << 10 // bytes; the rest of a longer line is dropped
)

// Lines cuts what is written into lines and hands each on, without those that
// repeat the one before. Runs of blanks become one. It is not safe for use by
// several goroutines; exec uses one where it is both Out and ErrOut.
type Lines struct {
	Say  func(line string)      // nil: the lines are only kept
	Pass func(line string) bool // nil: every line; a line that it refuses is counted, not kept

	part []byte
	kept []string
	prev string
	held int
}

// Write never fails.
func (w *Lines) Write(p []byte) (int, error) {
	rest := p
	for {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			w.grow(rest)
			return len(p), nil
		}
		w.grow(rest[:end])
		w.Flush()
		rest = rest[end+1:]
	}
}

// grow adds to the line that is being read, up to maxLine bytes.
func (w *Lines) grow(p []byte) {
	if room := maxLine - len(w.part); len(p) > room {
		p = p[:room]
	}
	w.part = append(w.part, p...)
}

// Flush ends the line that is being read.
func (w *Lines) Flush() {
	line := strings.Join(strings.Fields(string(w.part)), " ")
	w.part = w.part[:0]
	if line == "" || line == w.prev {
		return
	}
	w.prev = line
	if w.Pass != nil && !w.Pass(line) {
		w.held++
		return
	}
	if len(w.kept) == keptLines {
		w.kept = w.kept[1:]
	}
	w.kept = append(w.kept, line)
	if w.Say != nil {
		w.Say(line)
	}
}

// Last returns the last line, "" if there was none.
func (w *Lines) Last() string {
	if len(w.kept) == 0 {
		return ""
	}
	return w.kept[len(w.kept)-1]
}

// All returns the last forty lines.
func (w *Lines) All() []string { return w.kept }

// Held returns how many lines Pass refused.
func (w *Lines) Held() int { return w.held }
