package sweep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/pkg/redact"
)

// reading is one reading of one surface.
type reading struct {
	ctx    context.Context
	sweep  *Sweep
	result Result
	set    []string        // places where a canary was planted
	seen   map[string]bool // places where one was found
	own    int64           // bytes of planted canaries
}

// close decides whether the surface counts as read.
func (r *reading) close(mayBeEmpty bool) (Result, error) {
	r.result.Bytes -= r.own
	r.result.Canaries = len(r.seen)
	slices.Sort(r.result.Opaque)
	if len(r.set) == 0 {
		return r.result, errors.New("no canary was planted in it")
	}
	for _, place := range r.set {
		if !r.seen[place] {
			return r.result, errors.New("the canary that was planted was not found: " + strings.TrimSpace("in "+place))
		}
	}
	if r.result.Bytes == 0 && !mayBeEmpty {
		return r.result, errors.New("nothing was read")
	}
	return r.result, nil
}

// watched searches the bytes of one stream.
type watched struct {
	r      *reading
	place  string
	finder *redact.Finder
	bytes  int
	lines  int
	marks  []mark
	plant  bool
}

// mark says that another place begins at a byte of the stream.
type mark struct {
	at    int
	lines int
	place string
}

// mostMarks is the number of marks kept for a stream. A match is reported soon
// after its place.
const mostMarks = 4096

// watch begins a stream with a canary planted at its end.
func (r *reading) watch(place string) *watched {
	w := r.search(place)
	w.plant = true
	r.set = append(r.set, w.place)
	return w
}

// search begins a stream without a canary.
func (r *reading) search(place string) *watched {
	w := &watched{r: r, place: r.sweep.matcher.String(place)}
	w.finder = r.sweep.matcher.Finder(w.found)
	return w
}

// Write searches p, until the context ends.
func (w *watched) Write(p []byte) (int, error) {
	if err := w.r.ctx.Err(); err != nil {
		return 0, err
	}
	w.r.result.Bytes += int64(len(p))
	w.bytes += len(p)
	w.lines += bytes.Count(p, []byte{'\n'})
	return w.finder.Write(p)
}

// mark records that the place begins here.
func (w *watched) mark(place string) {
	if len(w.marks) == mostMarks {
		w.marks = slices.Delete(w.marks, 0, mostMarks/2)
	}
	w.marks = append(w.marks, mark{w.bytes, w.lines, w.r.sweep.matcher.String(place)})
}

// finish plants the canary and reports the last matches.
func (w *watched) finish() error {
	if w.plant {
		w.mark(w.place)
		canary := "\n" + w.r.sweep.canary + "\n"
		w.r.own += int64(len(canary))
		if _, err := io.WriteString(w, canary); err != nil {
			return err
		}
	}
	return w.finder.Close()
}

// found records a match.
func (w *watched) found(m redact.Match) {
	place, line := w.place, m.Line
	for _, one := range slices.Backward(w.marks) {
		if one.at <= m.Start {
			place, line = one.place, m.Line-one.lines
			break
		}
	}
	r := w.r
	switch {
	case m.Name == CanaryName:
		r.seen[place] = true
	case len(r.result.Hits) == mostHits:
		r.result.More++
	default:
		r.result.Hits = append(r.result.Hits, Hit{m.Name, m.Encoding, r.result.Surface, place, line})
	}
}

// stream reads a stream and the archives in it.
func (r *reading) stream(place string, src io.Reader) error {
	w := r.watch(place)
	if err := r.through(w, place, src, deepest, false); err != nil {
		return err
	}
	return w.finish()
}
