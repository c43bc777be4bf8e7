package fingerprint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// SaltSize is the size of a fingerprint's salt, in bytes.
const SaltSize = 8

// Match says whether a fingerprint is that of a value.
type Match string

// The answers.
const (
	Same    Match = "same"
	Changed Match = "changed"
	Unknown Match = "unknown" // there is no key, the fingerprint is of another one, or it is not understood
)

// Absent reports whether k is the zero Key, which stands for no key.
func (k Key) Absent() bool { return k.bytes.IsZero() }

// Fingerprint returns the fingerprint of a value that belongs to a stack's
// secret, in the form v1:ID.SALT:MAC, where MAC is HMAC-SHA-256 with the key
// over the salt, the stack's name, 0, the secret's name, 0, and the value. Take
// a random salt for each version, so that two versions with the same value
// differ. Without a key the answer is "".
func (k Key) Fingerprint(salt [SaltSize]byte, stack, name string, value secrets.Secret) string {
	if k.Absent() {
		return ""
	}
	mac := k.mac(salt[:], stack, name, value)
	return "v1:" + k.ID() + "." + hex.EncodeToString(salt[:]) + ":" + hex.EncodeToString(mac)
}

// Compare says whether a fingerprint is that of value. Only a fingerprint that
// was made with this very key can be Changed.
func (k Key) Compare(fingerprint, stack, name string, value secrets.Secret) Match {
	id, salt, mac, ok := parse(fingerprint)
	switch {
	case !ok || k.Absent() || id != k.ID():
		return Unknown
	case hmac.Equal(mac, k.mac(salt, stack, name, value)):
		return Same
	}
	return Changed
}

// mac is the keyed part of a fingerprint. A name holds no 0, and the salt has
// one size, so no two inputs are the same bytes.
func (k Key) mac(salt []byte, stack, name string, value secrets.Secret) []byte {
	mac := hmac.New(sha256.New, k.bytes.Reveal())
	mac.Write(salt)
	mac.Write([]byte(stack + "\x00" + name + "\x00"))
	mac.Write(value.Reveal())
	return mac.Sum(nil)
}

// parse takes a fingerprint apart.
func parse(fingerprint string) (id string, salt, mac []byte, ok bool) {
	rest, v1 := strings.CutPrefix(fingerprint, "v1:")
	head, tail, whole := strings.Cut(rest, ":")
	id, salted, dotted := strings.Cut(head, ".")
	salt, saltErr := hex.DecodeString(salted)
	mac, macErr := hex.DecodeString(tail)
	ok = v1 && whole && dotted && saltErr == nil && macErr == nil && len(salt) == SaltSize && len(mac) == sha256.Size
	return id, salt, mac, ok
}
