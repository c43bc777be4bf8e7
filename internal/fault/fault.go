// Package fault holds the words in which every layer reports what is wrong: an
// [Error] with its exit [Code], the next command, and all its [Finding]s at
// once; and [Progress], where a command says what it is doing.
//
// No text in any of them holds a value, the length of one, or a digest of one.
// An error of a library that may quote its input is replaced by an [Error], not
// wrapped in one.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code says how a command ended. It is the exit code of DESIGN section 8.
type Code int

// The codes of DESIGN section 8.
const (
	Failed      Code = 1   // something went wrong
	Usage       Code = 2   // the command line cannot be what was meant
	Invalid     Code = 3   // validation failed; nothing was changed
	NoEngine    Code = 4   // no engine answers, or it is not a Swarm manager
	RolledBack  Code = 5   // everything touched is back and converged
	Incomplete  Code = 6   // a deadline passed, something was left in between, or a requested surface was not read
	Pending     Code = 7   // changes are due
	Leak        Code = 8   // a value was found where it must not be
	Interrupted Code = 130 // stopped by a signal
)

// Finding is one thing that validation found. No field holds a value, the
// length of one, or a digest of one.
type Finding struct {
	File    string `json:"file,omitempty"`    // slash-separated, relative to the project
	Line    int    `json:"line,omitempty"`    // from 1; 0 where the file as a whole is meant
	Subject string `json:"subject,omitempty"` // name of the secret, service or key
	Problem string `json:"problem"`           // what is wrong, in lower case
	Next    string `json:"next,omitempty"`    // what to do: a command, or an edit
}

// String renders the finding on one line: where, subject, problem. A subject
// that the file is named after is not said twice.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Subject != "" && f.File != f.Subject && !strings.HasSuffix(f.File, "/"+f.Subject) {
		b.WriteString(f.Subject + ": ")
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Error is how a command fails.
type Error struct {
	Code     Code
	What     string // what is wrong, in lower case, without a value
	Next     string // the command that goes on from here
	Findings []Finding
	Cause    error // for errors.Is and errors.As; its text is not shown
}

// Error returns What and the findings, one a line, without the hints.
func (e *Error) Error() string {
	lines := []string{e.What}
	for _, f := range e.Findings {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of err: that of the first *Error in its chain, [Failed]
// for any other error, 0 for nil. Of several joined errors the one whose code
// comes first in DESIGN section 8 wins.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	best := Failed
	var visit func(error)
	visit = func(err error) {
		var e *Error
		switch joined := err.(type) {
		case interface{ Unwrap() []error }:
			for _, one := range joined.Unwrap() {
				visit(one)
			}
			return
		case *Error:
			e = joined
		default:
			if inner := errors.Unwrap(err); inner != nil {
				visit(inner)
			}
			return
		}
		if rank(e.Code) < rank(best) {
			best = e.Code
		}
	}
	visit(err)
	return best
}

// rank orders codes: the lowest wins when several apply.
func rank(c Code) int {
	for i, one := range []Code{Interrupted, Leak, RolledBack, Incomplete, NoEngine, Invalid, Pending, Usage, Failed} {
		if one == c {
			return i
		}
	}
	return 99
}

// Progress is where a command says what it is doing: one plain line for each
// call, on standard error, masked.
type Progress interface {
	Say(format string, args ...any)
}

// Quiet is a Progress that says nothing.
type Quiet struct{}

// Say does nothing.
func (Quiet) Say(string, ...any) {}
