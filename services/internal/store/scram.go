package store

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// The parameters of a SCRAM verifier, as Postgres chooses them.
const (
	scramIterations = 4096
	scramSaltBytes  = 16
)

// verifier is what Postgres stores for a password: SCRAM-SHA-256, RFC 5802 and
// RFC 7677. Setting a role's password to it sets the password without sending
// it to the server. The password is printable ASCII, which SASLprep leaves as
// it is.
func verifier(password secrets.Secret, salt []byte) (secrets.Secret, error) {
	salted, err := pbkdf2.Key(sha256.New, password.RevealString(), salt, scramIterations, sha256.Size)
	if err != nil {
		return secrets.Secret{}, fmt.Errorf("the password's verifier cannot be computed")
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return secrets.New(fmt.Appendf(nil, "SCRAM-SHA-256$%d:%s$%s:%s",
		scramIterations, encode(salt), encode(stored[:]), encode(mac(salted, "Server Key")))), nil
}

// mac is HMAC-SHA-256.
func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text) // a hash cannot fail
	return h.Sum(nil)
}
