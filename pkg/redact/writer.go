package redact

import (
	"io"
	"sync"
)

// Writer masks what is written to it and writes the rest on. It keeps back
// only the longest end of the text that may still become a value: nothing
// depends on time, and what it keeps is never longer than the longest pattern.
// What cannot be part of a value leaves in the same Write, in one piece up to
// 32 KiB.
//
// A Writer may be used from several goroutines; each Write is one step. After
// an error of the writer below every later call returns that error, because
// what was lost cannot be told.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	masker *masker // nil: nothing to mask
	err    error
	closed bool
}

// Writer returns a Writer onto w. Close it, or the bytes that it keeps back
// are lost.
func (m *Matcher) Writer(w io.Writer) *Writer {
	if m.silent() {
		return &Writer{w: w}
	}
	return &Writer{w: w, masker: newMasker(m)}
}

// Write masks p. It keeps no reference to p. On an error the number of bytes
// is 0, whatever part of them was written.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, io.ErrClosedPipe
	case w.masker == nil:
		return w.w.Write(p)
	}
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), pieceSize)]
		rest = rest[len(piece):]
		if err := w.pass(w.masker.next(piece)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Close writes what was kept back. It does not close the writer below. A
// second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.err != nil {
		return w.err
	}
	w.closed = true
	if w.masker == nil {
		return nil
	}
	return w.pass(w.masker.last())
}

// pass writes masked bytes on and remembers an error.
func (w *Writer) pass(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := w.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return err
}
