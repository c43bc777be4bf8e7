package secrets

import (
	"errors"
	"fmt"
	"strings"
)

// MaxSize is the largest size of a value in bytes: Swarm's limit is 512,000,
// exclusive.
const MaxSize = 511_999

// Kind is the kind of source that a value came from.
type Kind string

// The kinds of the sources in this package. A source of another package may
// define another kind, which production mode accepts.
const (
	KindDocker  Kind = "docker"  // a file that Docker mounted
	KindFile    Kind = "file"    // a file in a directory of the project
	KindEnv     Kind = "env"     // $NAME, or the file that $NAME_FILE names
	KindDefault Kind = "default" // written in the program
	KindMap     Kind = "map"     // passed in by the program or a test
)

// The classes of error. Match them with errors.Is; a [LoadError] matches the
// classes of all its problems.
var (
	ErrAbsent     = errors.New("secret is absent")                 // a source does not have it; the next is asked
	ErrMissing    = errors.New("secret is missing")                // no source has it
	ErrUnreadable = errors.New("secret cannot be read")            // a source has it but cannot return it
	ErrRefused    = errors.New("source refused")                   // production mode refuses the source that has it
	ErrInvalid    = errors.New("invalid value")                    // size, JSON, PEM
	ErrUsage      = errors.New("package secrets used incorrectly") // a bug in the program: a bad tag, a bad destination
)

// Found is the result of a lookup. Place says where the value is, as a path or
// the name of a variable; it never holds a value.
type Found struct {
	Value Secret
	Kind  Kind
	Place string

	byFile bool // of kind env: the variable names a file, so production takes it
}

// Source is a place where values are looked up.
//
// Lookup returns an error that matches [ErrAbsent] when the source does not
// have the secret: then the next source is asked. Any other error means that
// the source has it, or may have it, but cannot return it: that stops the
// search, because falling through to an older or weaker value would hide the
// fault. Found.Place is always set. No error may hold a value.
type Source interface {
	Lookup(name string) (Found, error)
}

// ValidName returns an error unless name matches ^[A-Za-z_][A-Za-z0-9_]*$: the
// same string is a file name and an environment variable. The error does not
// quote name, because it may be a value in the wrong place.
func ValidName(name string) error {
	if name == "" {
		return errors.New("a secret needs a name")
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return errors.New("not a valid secret name: use letters, digits and _, and do not start with a digit")
		}
	}
	return nil
}

// absence is the error of a source that does not have a secret.
type absence struct{ places []string }

// Error lists the places searched.
func (a *absence) Error() string { return "not found in " + strings.Join(a.places, ", ") }

// Unwrap returns the class.
func (a *absence) Unwrap() error { return ErrAbsent }

// fault is any other error of this package about one secret. None of its
// strings holds a value.
type fault struct {
	class               error
	place, reason, hint string
}

// Error names the place and the reason, without the hint.
func (f *fault) Error() string { return f.place + ": " + f.reason }

// Unwrap returns the class.
func (f *fault) Unwrap() error { return f.class }

// Map returns a source over values, for programs that already have them and
// for tests. An entry with an empty value is an error, not absent. The map is
// not copied; it is read at each lookup.
func Map(values map[string]string) Source { return mapSource{values, KindMap, "map"} }

// Default returns a source over values that are written in the program.
// Production mode refuses it.
func Default(values map[string]string) Source { return mapSource{values, KindDefault, "default"} }

type mapSource struct {
	values map[string]string
	kind   Kind
	place  string
}

// Lookup implements Source.
func (m mapSource) Lookup(name string) (Found, error) {
	found := Found{Kind: m.kind, Place: m.place}
	if err := ValidName(name); err != nil {
		return found, err
	}
	value, ok := m.values[name]
	if !ok {
		return found, &absence{[]string{m.place}}
	}
	if err := checkSize(m.place, len(value), MaxSize); err != nil {
		return found, err
	}
	found.Value = own([]byte(value))
	return found, nil
}

// checkSize returns an error unless size is 1 to limit. The error does not
// show the size.
func checkSize(place string, size, limit int) error {
	switch {
	case size == 0:
		return &fault{class: ErrInvalid, place: place, reason: "is empty"}
	case size > limit:
		return &fault{class: ErrInvalid, place: place, reason: fmt.Sprintf("is larger than %d bytes", limit)}
	}
	return nil
}

// Chain returns a source that asks each of sources in turn. The first that
// has the secret wins; an error that is not [ErrAbsent] ends the search. Nil
// sources are skipped.
func Chain(sources ...Source) Source {
	var flat chain
	for _, one := range sources {
		switch one := one.(type) {
		case nil:
		case chain:
			flat = append(flat, one...)
		default:
			flat = append(flat, one)
		}
	}
	return flat
}

type chain []Source

// Lookup implements Source.
func (c chain) Lookup(name string) (Found, error) {
	var places []string
	for _, one := range c {
		found, err := one.Lookup(name)
		if !errors.Is(err, ErrAbsent) {
			return found, err
		}
		places = append(places, placesOf(found, err)...)
	}
	return Found{Place: strings.Join(places, ", ")}, &absence{places}
}

// placesOf lists where a source without the secret has looked.
func placesOf(found Found, err error) []string {
	var missing *absence
	if errors.As(err, &missing) {
		return missing.places
	}
	if found.Place != "" {
		return []string{found.Place}
	}
	return []string{string(found.Kind)}
}
