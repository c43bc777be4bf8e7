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
// or reflects on it shows them; the only way out is Reveal or RevealString.
//
// The zero Secret holds no value. A Secret is immutable, is copied by
// assignment and may be used by several goroutines. It cannot be compared with
// ==, and reflect.DeepEqual calls two of them different: use Equal.
type Secret struct {
	// A func is the one kind that printers, reflection and diff tools neither
	// follow nor call: a pointer still shows in testify's diffs.
	reveal func() []byte
}

// New returns a Secret that holds a copy of value. An empty value gives the
// zero Secret.
func New(value []byte) Secret {
	return own(append([]byte(nil), value...))
}

// own is New without the copy: the caller gives value away.
func own(value []byte) Secret {
	if len(value) == 0 {
		return Secret{}
	}
	value = value[:len(value):len(value)]
	return Secret{reveal: func() []byte { return value }}
}

// Reveal returns the value, nil for the zero Secret. It is not a copy: the
// caller must not modify it. It does not allocate.
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

// IsZero tells whether s holds no value.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal tells whether both hold the same value. The time it takes depends on
// the lengths, never on the bytes or on how far they agree.
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

// MarshalYAML returns the mask, for every YAML package that knows the method.
func (s Secret) MarshalYAML() (any, error) { return mask, nil }

// MarshalBinary refuses: what is encoded for a program must not hold a mask
// where the reader expects a value.
func (s Secret) MarshalBinary() ([]byte, error) { return nil, errNotEncoded }

// GobEncode refuses, as MarshalBinary does.
func (s Secret) GobEncode() ([]byte, error) { return nil, errNotEncoded }

// UnmarshalText refuses: a value comes from a source, not from a flag, a
// configuration file or a request. The error does not hold the text.
func (s *Secret) UnmarshalText([]byte) error { return errNotDecoded }

// UnmarshalJSON takes a JSON string as the value, so that a field of a secret
// that is itself JSON (tag option json) can be a Secret. It refuses everything
// else, and the mask; null changes nothing. No error holds the input.
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
	errNotEncoded  = errors.New("secrets: a secret is not encoded in binary form")
	errNotDecoded  = errors.New("secrets: a secret is not decoded from text; load it from a source")
	errNotAString  = errors.New("secrets: a secret in json must be a string")
	errMaskedValue = errors.New("secrets: this is the mask of a printed secret, not a value")
)
