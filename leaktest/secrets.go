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

// Secrets are values that must not appear anywhere, by the names that stand for
// them in failures.
//
// Formatting, logging or encoding Secrets yields the sorted names: with every
// verb of fmt but %w and %p, which go vet reports, with log/slog, JSON, XML and
// YAML; gob refuses. A single value of the map is plain bytes.
//
// Tools that bypass methods show the values: fmt if Secrets are in an unexported
// field; spew, kr/pretty, and the diffs of testify and go-cmp. A map cannot hide
// from them. If you use such a tool, keep each value in a secrets.Secret of this
// project's pkg/secrets, which hides from all of them, and Reveal it in the call.
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

// MarshalText returns String; encoding/xml and YAML packages use it.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GobEncode refuses, because a decoder would expect values.
func (s Secrets) GobEncode() ([]byte, error) { return nil, errNotEncoded }

var errNotEncoded = errors.New("leaktest: secrets are not encoded in binary form")

// outline is the part of a Check that may be printed.
type outline struct {
	Secrets       []string `json:"secrets"`
	Containers    int      `json:"containers"`
	InEnvironment []string `json:"inEnvironment"`
	Further       []string `json:"further"`
}

func (c Check) outline() outline {
	return outline{c.Secrets.names(), len(c.Containers), append([]string{}, c.InEnvironment...), sortedNames(c.Further)}
}

// String returns the names and the number of containers, without values and
// texts.
func (c Check) String() string { return fmt.Sprintf("leaktest.Check%+v", c.outline()) }

// Format writes String for every verb; width, precision and flags are ignored.
func (c Check) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, c.String()) }

// LogValue returns what String shows, for log/slog.
func (c Check) LogValue() slog.Value { return slog.AnyValue(c.outline()) }

// MarshalJSON returns what String shows, as an object.
func (c Check) MarshalJSON() ([]byte, error) { return json.Marshal(c.outline()) }

// MarshalText returns String; encoding/xml and YAML packages use it.
func (c Check) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// GobEncode refuses, as [Secrets.GobEncode] does.
func (c Check) GobEncode() ([]byte, error) { return nil, errNotEncoded }
