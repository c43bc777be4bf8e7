package leaktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Secrets are values that may show nowhere, by the name that stands for them in
// a failure.
//
// What formats, logs or encodes Secrets gets the sorted names: fmt with every
// verb but %w and %p, which go vet reports; log/slog, JSON, XML and YAML; gob
// refuses. A value of the map on its own is bytes like any others.
//
// What goes around methods shows the values: fmt where Secrets stand in a field
// that is not exported; spew, kr/pretty, and the diffs of testify and go-cmp. A
// map cannot hide from them. Where such a tool is near, keep each value in a
// secrets.Secret, of this project's pkg/secrets, which hides from all of them,
// and Reveal it in the call.
type Secrets map[string][]byte

// names are the sorted names, never nil.
func (s Secrets) names() []string { return sortedNames(s) }

// sortedNames returns the names of values or texts, never nil.
func sortedNames(all map[string][]byte) []string {
	names := slices.AppendSeq([]string{}, maps.Keys(all))
	slices.Sort(names)
	return names
}

// String returns the names, in the form leaktest.Secrets[A B].
func (s Secrets) String() string { return "leaktest.Secrets[" + strings.Join(s.names(), " ") + "]" }

// Format writes String for every verb; width, precision and flags are ignored.
func (s Secrets) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// LogValue returns the names, for log/slog.
func (s Secrets) LogValue() slog.Value { return slog.AnyValue(s.names()) }

// MarshalJSON returns the names as an array.
func (s Secrets) MarshalJSON() ([]byte, error) { return json.Marshal(s.names()) }

// MarshalText returns String; encoding/xml and packages of YAML use it.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GobEncode refuses: who decodes expects values.
func (s Secrets) GobEncode() ([]byte, error) { return nil, errNotEncoded }

var errNotEncoded = errors.New("leaktest: secrets are not encoded in binary form")

// outline is what may be said of a Check.
type outline struct {
	Secrets       []string `json:"secrets"`
	Containers    int      `json:"containers"`
	InEnvironment []string `json:"inEnvironment"`
	Further       []string `json:"further"`
}

func (c Check) outline() outline {
	return outline{c.Secrets.names(), len(c.Containers), append([]string{}, c.InEnvironment...), sortedNames(c.Further)}
}

// String returns what is searched for what: names and numbers, neither values
// nor texts.
func (c Check) String() string { return fmt.Sprintf("leaktest.Check%+v", c.outline()) }

// Format writes String for every verb; width, precision and flags are ignored.
func (c Check) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, c.String()) }

// LogValue returns what String tells, for log/slog.
func (c Check) LogValue() slog.Value { return slog.AnyValue(c.outline()) }

// MarshalJSON returns what String tells, as an object.
func (c Check) MarshalJSON() ([]byte, error) { return json.Marshal(c.outline()) }

// MarshalText returns String; encoding/xml and packages of YAML use it.
func (c Check) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// GobEncode refuses, as that of Secrets does.
func (c Check) GobEncode() ([]byte, error) { return nil, errNotEncoded }
