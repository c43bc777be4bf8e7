package secrets

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unsafe"
)

// mask is what every formatter and every text encoding shows for a Secret.
const mask = "‹secret›"

// Secret carries the bytes of one value. Nothing that formats, encodes, logs
// or reflects on it shows them; the only ways to read them are
// [Secret.Reveal] and [Secret.RevealString].
//
// The zero Secret holds no value. A Secret is immutable, can be copied by
// assignment and is safe for concurrent use. It cannot be compared with ==,
// and reflect.DeepEqual reports any two as different: use [Secret.Equal].
type Secret struct {
	// A func is the only kind that printers, reflection and diff tools neither
	// follow nor call; the target of a pointer still shows in testify's diffs.
	reveal func() []byte
}

// New returns a Secret that holds a copy of value, or the zero Secret if value
// is empty.
func New(value []byte) Secret {
	return own(append([]byte(nil), value...))
}

// own is New without the copy: the caller must not use value afterwards.
func own(value []byte) Secret {
	if len(value) == 0 {
		return Secret{}
	}
	value = value[:len(value):len(value)]
	return Secret{reveal: func() []byte { return value }}
}

// Reveal returns the value, or nil for the zero Secret. The slice is not a
// copy: the caller must not modify it. Reveal does not allocate.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// RevealString returns the value as a string. It does not allocate.
func (s Secret) RevealString() string {
	value := s.Reveal()
	// The bytes are never modified: New copies, and Reveal forbids it.
	return unsafe.String(unsafe.SliceData(value), len(value))
}

// IsZero reports whether s holds no value.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal reports whether both hold the same value. The time it takes depends on
// the lengths only, never on the bytes or on how many of them match.
func (s Secret) Equal(other Secret) bool {
	// Digests first, because ConstantTimeCompare returns at once when the
	// lengths differ.
	a, b := sha256.Sum256(s.Reveal()), sha256.Sum256(other.Reveal())
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String returns the mask.
func (s Secret) String() string { return mask }

// GoString returns the mask.
func (s Secret) GoString() string { return mask }

// Format writes the mask for every verb; width, precision and flags are
// ignored.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, mask) }

// LogValue returns the mask, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText returns the mask; encoding/xml and map keys use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns the mask as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalYAML returns the mask, for every YAML package that uses the method.
func (s Secret) MarshalYAML() (any, error) { return mask, nil }

// MarshalBinary always returns an error: a program that decodes the data must
// not find a mask where it expects a value.
func (s Secret) MarshalBinary() ([]byte, error) { return nil, errNotEncoded }

// GobEncode always returns an error, as MarshalBinary does.
func (s Secret) GobEncode() ([]byte, error) { return nil, errNotEncoded }

// UnmarshalText always returns an error: a value comes from a source, not from
// a flag, a configuration file or a request. The error does not hold the text.
func (s *Secret) UnmarshalText([]byte) error { return errNotDecoded }

// UnmarshalJSON accepts a JSON string as the value, so that a field of a
// secret that is itself JSON (tag option json) can be a Secret. It rejects
// everything else, including the mask; null changes nothing. No error holds
// the input.
func (s *Secret) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if len(data) == 0 || data[0] != '"' || json.Unmarshal(data, &text) != nil {
		return errNotAString
	}
	if text == mask {
		return errMaskedValue
	}
	*s = own([]byte(text))
	return nil
}

var (
	errNotEncoded  = errors.New("secrets: a secret cannot be encoded in binary form")
	errNotDecoded  = errors.New("secrets: a secret cannot be decoded from text; load it from a source")
	errNotAString  = errors.New("secrets: a secret in json must be a string")
	errMaskedValue = errors.New("secrets: this is the mask of a printed secret, not a value")
)
