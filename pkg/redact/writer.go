package redact

import (
	"io"
	"slices"
	"sync"
)

// Writer masks the text written to it and passes it on to another writer. It
// holds back only the longest suffix that may still become a value: nothing
// depends on time, and the suffix is never longer than the longest pattern.
// Everything else is passed on in the same Write, in one piece up to 32 KiB.
//
// A Writer is safe for concurrent use; each Write is atomic. After an error of
// the underlying writer every later call returns that error, because it is not
// known what was lost.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	masker *masker
	err    error
	closed bool
}

// Writer returns a Writer that writes to w. If it is not closed, the bytes that
// it holds back are lost.
func (m *Matcher) Writer(w io.Writer) *Writer {
	return &Writer{w: w, masker: newMasker(m)}
}

// Write masks p. It keeps no reference to p. On an error it returns 0, even if
// part of p was written.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, io.ErrClosedPipe
	}
	for piece := range slices.Chunk(p, pieceSize) {
		if err := w.pass(w.masker.next(piece)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Close writes the bytes held back. It does not close the underlying writer. A
// second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.err != nil {
		return w.err
	}
	w.closed = true
	return w.pass(w.masker.last())
}

// pass writes masked bytes to the underlying writer and remembers its error.
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
