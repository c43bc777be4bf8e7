package project

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// ErrContent is the cause of a [Value]'s error if the file can be read and its
// content cannot be a value: it is empty or too large. Writing a value fixes it.
var ErrContent = errors.New("the content cannot be a value")

// Snapshot is what was in secrets/ at one moment. The zero value is that of a
// directory that does not exist.
type Snapshot struct {
	Dir    string      // path of the directory as the user knows it, slash-separated
	Exists bool        // the directory is there
	Mode   fs.FileMode // permission bits of the directory
	Strays []string    // entries that are neither values nor part of the scaffold, sorted
	Values map[string]Value
}

// Value is one file of secrets/.
type Value struct {
	Secret  secrets.Secret // zero if Err is set
	Written time.Time
	Mode    fs.FileMode // permission bits of the file
	Err     error       // why the file cannot be read as a value
}

// Names returns the names of the files, sorted; those that cannot be read are
// among them.
func (s *Snapshot) Names() []string { return slices.Sorted(maps.Keys(s.Values)) }

// Read returns the value of name and whether there is a file for it. The error
// says why that file cannot be read; it matches [ErrContent] if a new value
// would fix it.
func (s *Snapshot) Read(name string) (value secrets.Secret, there bool, err error) {
	found, there := s.Values[name]
	return found.Secret, there, found.Err
}

// Compare returns what storing value as name would do: Created, Updated or
// Unchanged.
func (s *Snapshot) Compare(name string, value secrets.Secret) (Change, error) {
	old, there, err := s.Read(name)
	switch {
	case err != nil && !errors.Is(err, ErrContent):
		return "", err
	case !there:
		return Created, nil
	case err == nil && old.Equal(value):
		return Unchanged, nil
	}
	return Updated, nil
}

// Lookup returns the value of name as a source of package secrets does, so that
// a Snapshot can stand where the directory's own source would.
func (s *Snapshot) Lookup(name string) (secrets.Found, error) {
	value, there, err := s.Read(name)
	switch {
	case err != nil:
		return secrets.Found{}, err
	case !there:
		return secrets.Found{}, secrets.ErrAbsent
	}
	return secrets.Found{Value: value, Kind: secrets.KindFile}, nil
}

// Known returns every value that can be read, for masking and searching.
func (s *Snapshot) Known() []secrets.Known {
	var known []secrets.Known
	for _, name := range s.Names() {
		if value := s.Values[name]; value.Err == nil {
			known = append(known, secrets.Known{Name: name, Value: value.Secret})
		}
	}
	return known
}

// After returns the snapshot with a batch done at the given time.
func (s *Snapshot) After(batch Batch, now time.Time) *Snapshot {
	after := *s
	after.Values = maps.Clone(s.Values)
	if after.Values == nil {
		after.Values = map[string]Value{}
	}
	for _, name := range batch.Remove {
		delete(after.Values, name)
	}
	for name, value := range batch.Write {
		after.Values[name] = Value{Secret: value, Written: now, Mode: 0o444}
	}
	return &after
}

// Change is what becomes of one file.
type Change string

// The changes.
const (
	Created   Change = "created"
	Updated   Change = "updated"
	Unchanged Change = "unchanged"
	Ignored   Change = "ignored" // nothing was given for it
	Removed   Change = "removed"
)
