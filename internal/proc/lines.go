package proc

import (
	"bytes"
	"strings"
)

const (
	keptLines = 40      // of a child's output, for its error
	maxLine   = 4 << 10 // bytes; the rest of a longer line is dropped
)

// Lines splits what is written into lines and drops those that repeat the line
// before. Runs of blanks become one. It is not safe for concurrent use; as both
// Out and ErrOut of a [Command] it is used by one goroutine.
type Lines struct {
	Say  func(line string)      // nil: the lines are only kept
	Pass func(line string) bool // nil: every line; a refused line is counted, but not kept

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

// grow adds to the current line, up to maxLine bytes.
func (w *Lines) grow(p []byte) {
	if left := maxLine - len(w.part); len(p) > left {
		p = p[:left]
	}
	w.part = append(w.part, p...)
}

// Flush ends the current line.
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
