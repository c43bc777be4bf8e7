package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// bearer knows the one token that opens the API. It keeps a keyed digest of it
// and compares digests, so that the time a comparison takes reveals neither the
// token's bytes nor its length. The key is random and lasts as long as the
// process.
type bearer struct {
	key    []byte
	wanted []byte
}

// newBearer returns a bearer for the token.
func newBearer(token secrets.Secret) *bearer {
	b := &bearer{key: make([]byte, sha256.Size)}
	rand.Read(b.key) // never fails: it ends the program instead
	b.wanted = b.digest(token.RevealString())
	return b
}

func (b *bearer) digest(candidate string) []byte {
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte(candidate))
	return mac.Sum(nil)
}

func (b *bearer) is(candidate string) bool {
	return hmac.Equal(b.digest(candidate), b.wanted)
}

// credentials is how a request presents itself.
type credentials int

const (
	noToken    credentials = iota // no Authorization header
	wrongToken                    // a header that is not exactly one "Bearer TOKEN" with the right token
	rightToken
)

// of classifies the Authorization header of a request.
func (b *bearer) of(r *http.Request) credentials {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return noToken
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || !b.is(token) {
		return wrongToken
	}
	return rightToken
}

// misplaced reports whether a query contains a token: a parameter with a typical
// name of a token, or the right token anywhere. Query strings end in the logs of
// proxies and in the history of browsers, so such a request is refused even if
// its header is right.
func (b *bearer) misplaced(query url.Values) bool {
	found := false
	for name, values := range query {
		switch strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name)) {
		case "token", "accesstoken", "authtoken", "authorization", "bearer", "key", "apikey", "secret", "password", "strictapitoken":
			found = true
		}
		for _, v := range append(values, name) {
			v = strings.TrimSpace(v)
			if len(v) > 7 && strings.EqualFold(v[:7], "Bearer ") {
				v = v[7:]
			}
			found = b.is(v) || found
		}
	}
	return found
}
