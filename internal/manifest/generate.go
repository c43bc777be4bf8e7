package manifest

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// ErrNoGenerate is the error of NewValue for a secret without a generate rule:
// a person must supply its value.
var ErrNoGenerate = errors.New("has no generate rule: a person must supply the value")

// NewValue makes up to maxTries values before it fails. Parse requires that one
// of parseTries keeps the rules: if one value in twenty does, NewValue fails once
// in 10^44 calls.
const (
	maxTries   = 2000
	parseTries = 50
)

// letters and numerals are the parts of the named alphabets.
const (
	numerals = "0123456789"
	letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// alphabetNames returns the names of the alphabets.
func alphabetNames() []string { return []string{"base62", "base64url", "hex", "digits"} }

// characters returns the characters of an alphabet, named or written out. "" is
// base62.
func characters(alphabet string) (string, error) {
	switch alphabet {
	case "", "base62":
		return numerals + letters, nil
	case "base64url":
		return numerals + letters + "-_", nil
	case "hex":
		return "0123456789abcdef", nil
	case "digits":
		return numerals, nil
	}
	if nearest(alphabet, alphabetNames()) != "" || len(alphabet) < 10 {
		return "", errors.New("neither a known name nor at least ten characters")
	}
	for i, c := range []byte(alphabet) {
		if c <= ' ' || c > '~' {
			return "", errors.New("contains a character that is not printable ASCII")
		}
		if strings.IndexByte(alphabet[:i], c) >= 0 {
			return "", errors.New("contains a character twice")
		}
	}
	return alphabet, nil
}

// NewValue makes a value by the generate rule: the prefix, then enough
// characters of the alphabet, each drawn uniformly from random, for the rule's
// number of random bytes. A value that breaks another rule of the declaration is
// discarded as a whole and made again. It fails with ErrNoGenerate, when random
// fails, and when no value keeps the rules. random must be crypto/rand's Reader
// for real values.
func (d Declaration) NewValue(random io.Reader) (secrets.Secret, error) {
	return d.newValue(random, maxTries)
}

func (d Declaration) newValue(random io.Reader, tries int) (secrets.Secret, error) {
	if d.Generate == nil {
		return secrets.Secret{}, ErrNoGenerate
	}
	alphabet, err := characters(d.Generate.Alphabet)
	if err != nil {
		return secrets.Secret{}, fmt.Errorf("alphabet: %w", err)
	}
	count := lengthFor(d.Generate.Bytes, len(alphabet))
	if d.MaxLength > 0 && len(d.Generate.Prefix)+count > d.MaxLength {
		return secrets.Secret{}, errors.New("it would break max_length")
	}
	if len(d.Generate.Prefix)+count < d.MinLength {
		return secrets.Secret{}, errors.New("it would break min_length")
	}
	var broken []Problem
	for range tries {
		buffer := append(make([]byte, 0, len(d.Generate.Prefix)+count), d.Generate.Prefix...)
		buffer, err = draw(buffer, count, alphabet, random)
		if err != nil {
			return secrets.Secret{}, fmt.Errorf("reading random bytes: %w", err)
		}
		value := secrets.New(buffer)
		clear(buffer)
		if broken = d.Check(value); len(broken) == 0 {
			return value, nil
		}
	}
	return secrets.Secret{}, errors.New("it would break " + broken[0].Rule)
}

// lengthFor returns how many characters of an alphabet carry that many bytes:
// the smallest n with size^n >= 256^bytes.
func lengthFor(bytes, size int) int {
	want := new(big.Int).Lsh(big.NewInt(1), uint(8*bytes))
	have, n := big.NewInt(1), 0
	for have.Cmp(want) < 0 {
		have.Mul(have, big.NewInt(int64(size)))
		n++
	}
	return n
}

// draw appends count characters, each drawn uniformly: bytes at and above the
// largest multiple of the alphabet's size are discarded.
func draw(into []byte, count int, alphabet string, random io.Reader) ([]byte, error) {
	limit := 256 - 256%len(alphabet)
	buffer := make([]byte, 256)
	defer clear(buffer)
	for count > 0 {
		if _, err := io.ReadFull(random, buffer); err != nil {
			return nil, err
		}
		for _, b := range buffer {
			if int(b) < limit && count > 0 {
				into = append(into, alphabet[int(b)%len(alphabet)])
				count--
			}
		}
	}
	return into, nil
}
