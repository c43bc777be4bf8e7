// Package fingerprint makes keyed digests of values: they show whether two
// values are the same to whoever has the project's key, and nothing to anybody
// else.
package fingerprint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// KeySize is the size of the project's key, in bytes.
const KeySize = 32

// ErrKeySize says that a key does not have KeySize bytes.
var ErrKeySize = errors.New("the key is not 32 bytes long")

// Key is the project's key of DESIGN section 7. It keys every digest of a
// value that leaves the program, so that a guess cannot be tested without it.
type Key struct{ bytes secrets.Secret }

// NewKey makes a key of 32 random bytes.
func NewKey(random []byte) (Key, error) {
	if len(random) != KeySize {
		return Key{}, ErrKeySize
	}
	return Key{bytes: secrets.New(random)}, nil
}

// ID returns the key's id, 16 hexadecimal digits, which distinguishes two keys
// and reveals nothing else about them.
func (k Key) ID() string {
	return hex.EncodeToString(k.sum("keepmum key id")[:8])
}

// Grant is one secret as a service sees it: its value under a target.
type Grant struct {
	Name   string
	Target string
	Value  secrets.Secret
}

// GrantsDigest returns the digest of all that a service is granted, in the
// form v1:ID.SALT:MAC. It is the same for the same grants of the same service,
// and differs as soon as a name, a target or one byte of a value does.
//
// The salt is derived from stack and service, so that two services with the
// same grants differ and the digest can be made without reading the old one.
func (k Key) GrantsDigest(stack, service string, grants []Grant) string {
	sorted := append([]Grant(nil), grants...)
	sort.Slice(sorted, func(i, j int) bool {
		if sorted[i].Name != sorted[j].Name {
			return sorted[i].Name < sorted[j].Name
		}
		return sorted[i].Target < sorted[j].Target
	})
	salt := hex.EncodeToString(k.sum("salt", stack, service)[:8])
	parts := []string{"grants", salt, stack, service}
	for _, g := range sorted {
		parts = append(parts, g.Name, g.Target, g.Value.RevealString())
	}
	return strings.Join([]string{"v1", k.ID() + "." + salt, hex.EncodeToString(k.sum(parts...))}, ":")
}

// sum is HMAC-SHA-256 over the parts, each preceded by its length so that no
// two lists of parts give the same input.
func (k Key) sum(parts ...string) []byte {
	mac := hmac.New(sha256.New, k.bytes.Reveal())
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
