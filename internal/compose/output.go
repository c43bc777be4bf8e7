package compose

import (
	"bytes"
	"regexp"
	"strings"
)

const (
	keptLines = 40      // of what Compose said, for its error
	maxLine   = 4 << 10 // bytes; the rest of a longer line is dropped
)

// lineWriter cuts what is written into lines and hands each on, without those
// that repeat the one before. A line that pass refuses is kept back.
type lineWriter struct {
	say  func(line string)
	pass func(line string) bool // nil: every line
	part []byte
	kept []string
	prev string
	held int // lines that were kept back
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	rest := p
	for {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			w.grow(rest)
			return len(p), nil
		}
		w.grow(rest[:end])
		w.flush()
		rest = rest[end+1:]
	}
}

// grow adds to the line that is being read, up to maxLine bytes.
func (w *lineWriter) grow(p []byte) {
	if room := maxLine - len(w.part); len(p) > room {
		p = p[:room]
	}
	w.part = append(w.part, p...)
}

// flush ends the line that is being read.
func (w *lineWriter) flush() {
	line := strings.Join(strings.Fields(string(w.part)), " ")
	w.part = w.part[:0]
	if line == "" || line == w.prev {
		return
	}
	w.prev = line
	if w.pass != nil && !w.pass(line) {
		w.held++
		return
	}
	if len(w.kept) == keptLines {
		w.kept = w.kept[1:]
	}
	w.kept = append(w.kept, line)
	w.say(line)
}

// last returns the last line, "" if there was none.
func (w *lineWriter) last() string {
	if len(w.kept) == 0 {
		return ""
	}
	return w.kept[len(w.kept)-1]
}

// all returns the last lines.
func (w *lineWriter) all() []string { return w.kept }

// quotesNothing accepts the lines of Compose that cannot hold a line of an
// environment file: progress of a named object, and the engine's own errors.
func quotesNothing(line string) bool {
	progress := regexp.MustCompile(`^(Container|Network|Volume|Image) "?[A-Za-z0-9][A-Za-z0-9_./:@-]*"? (Creating|Created|Recreate|Recreated|Starting|Started|Running|Waiting|Healthy|Exited|Stopping|Stopped|Removing|Removed|Killing|Killed|Restarting|Restarted|Pulling|Pulled|Error)$`)
	engine := []string{
		"Error response from daemon: ", "dependency failed to start: ", "Cannot connect to the Docker daemon",
		"error during connect", "failed to connect to the docker API",
	}
	if progress.MatchString(line) {
		return true
	}
	for _, sign := range engine {
		if strings.HasPrefix(line, sign) {
			return true
		}
	}
	return false
}
