package redact

import (
	"bytes"
	"slices"
)

// occurrence is a place in the text where a pattern is: bytes start to end,
// counted from the beginning of the text.
type occurrence struct {
	start, end int
	rule       int32
}

// lane searches the text with one automaton. The lane with widths skips the
// line breaks that an encoder put into its output; the other reads all bytes.
type lane struct {
	search walk
	rules  []rule
	widths []int  // line lengths after which a break is skipped; nil: none
	at     int    // bytes read
	run    int    // base64 letters at the end of the part of this line read so far
	cr     bool   // the last byte was a "\r" after a full line, not yet searched
	breaks []mark // line breaks skipped, in order
	hits   []hit
}

// mark is a line break of one or two bytes.
type mark struct{ at, size int }

// wrapWidths returns the line lengths at which encoders wrap: 76 for MIME,
// coreutils and Python, 64 for PEM and OpenSSL, 60 for the hex of xxd.
func wrapWidths() []int { return []int{60, 64, 76} }

// restart prepares the lane for another text.
func (l *lane) restart() {
	l.search.reset()
	l.at, l.run, l.cr, l.breaks = 0, 0, false, l.breaks[:0]
}

// feed reads the next piece and appends the occurrences that end in it.
func (l *lane) feed(piece []byte, found []occurrence) []occurrence {
	if len(l.widths) == 0 {
		return l.read(piece, found)
	}
	for len(piece) > 0 {
		line, rest, ended := bytes.Cut(piece, []byte{'\n'})
		found = l.line(line, ended, found)
		piece = rest
	}
	return found
}

// line reads the rest of a line, or a part of it if the line has not ended.
func (l *lane) line(line []byte, ended bool, found []occurrence) []occurrence {
	if l.cr {
		l.cr = false
		if len(line) == 0 { // "\n" follows the "\r"
			l.breaks = append(l.breaks, mark{l.at - 1, 2})
			l.at++
			l.run = 0
			return found
		}
		l.run = 0
		l.search.reset()
	}
	body, cr := bytes.CutSuffix(line, []byte{'\r'})
	run := trailingRun(body, l.widths[len(l.widths)-1]+1)
	if run == len(body) {
		run += l.run
	}
	found = l.read(body, found)
	l.run = run
	full := slices.Contains(l.widths, run)
	switch size := 1 + len(line) - len(body); {
	case ended:
		if full {
			l.breaks = append(l.breaks, mark{l.at, size})
		} else {
			l.search.reset()
		}
		l.at += size
		l.run = 0
	case cr:
		l.at++
		if l.cr = full; !full {
			l.run = 0
			l.search.reset()
		}
	}
	return found
}

// read searches bytes of the text without skipping any.
func (l *lane) read(piece []byte, found []occurrence) []occurrence {
	l.hits = l.search.feed(piece, l.hits[:0])
	for _, h := range l.hits {
		end := l.at + h.end
		found = append(found, occurrence{l.back(end, int(l.rules[h.rule].size)), end, h.rule})
	}
	l.at += len(piece)
	return found
}

// back returns the place n searched bytes before end, not counting skipped line
// breaks.
func (l *lane) back(end, n int) int {
	start := end - n
	for _, b := range slices.Backward(l.breaks) {
		if start >= b.at+b.size {
			break
		}
		start -= b.size
	}
	return start
}

// held returns the place from which the text may still become an occurrence, or
// the end of the text if there is none.
func (l *lane) held(alone func(back int) bool) int {
	n := l.search.held(alone)
	if n == 0 {
		return l.at
	}
	end := l.at
	if l.cr {
		end--
	}
	return l.back(end, n)
}

// forget drops the line breaks before a place beyond which nothing reaches
// back.
func (l *lane) forget(before int) {
	if len(l.breaks) > 0 && l.breaks[0].at < before {
		l.breaks = slices.DeleteFunc(l.breaks, func(b mark) bool { return b.at < before })
	}
}

// trailingRun counts the base64 letters, of both alphabets, at the end, up to
// most.
func trailingRun(line []byte, most int) int {
	n := 0
	for n < len(line) && n < most && inBase64(line[len(line)-1-n]) {
		n++
	}
	return n
}

func inBase64(c byte) bool {
	return isWord(c) || c == '+' || c == '/' || c == '-'
}

// isWord reports whether c is an ASCII letter, digit or underscore.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
