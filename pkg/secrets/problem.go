package secrets

import (
	"errors"
	"fmt"
	"strings"
)

// LoadError is the error of [Load]: every problem of every secret. With
// errors.Is it matches the class of each problem. No part of it holds a value,
// the length of one, or a digest of one.
type LoadError struct {
	Problems []Problem
}

// Problem is what is wrong with one secret.
type Problem struct {
	Name   string   `json:"name,omitempty"`   // of the secret, or of the field if its tag is bad
	Reason string   `json:"reason"`           // what is wrong, in lower case
	Places []string `json:"places,omitempty"` // every place searched
	Hint   string   `json:"hint,omitempty"`   // what to do next
	Err    error    `json:"-"`                // the class: ErrMissing, ErrUnreadable, ErrRefused, ErrInvalid, ErrUsage
}

// Error returns one line per problem, each followed by its hint.
func (e *LoadError) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("secrets: 1 problem:")
	} else {
		fmt.Fprintf(&b, "secrets: %d problems:", len(e.Problems))
	}
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		if p.Name != "" {
			b.WriteString(p.Name + ": ")
		}
		b.WriteString(p.Reason)
		if len(p.Places) > 0 {
			b.WriteString("; looked in " + strings.Join(p.Places, ", "))
		}
		if p.Hint != "" {
			b.WriteString("\n    " + p.Hint)
		}
	}
	return b.String()
}

// Unwrap returns the classes of the problems.
func (e *LoadError) Unwrap() []error {
	var classes []error
	for _, p := range e.Problems {
		if p.Err != nil {
			classes = append(classes, p.Err)
		}
	}
	return classes
}

// problemOf converts an error of a source or decoder to a Problem.
func problemOf(name string, err error, places []string) Problem {
	p := Problem{Name: name, Reason: err.Error(), Places: places, Err: ErrUnreadable}
	var f *fault
	if errors.As(err, &f) {
		p.Hint, p.Err = f.hint, f.class
	}
	if p.Hint == "" {
		p.Hint = "store it again with: mage secrets:set " + name
	}
	return p
}
