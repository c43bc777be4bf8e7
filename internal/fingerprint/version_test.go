package fingerprint_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// The fingerprint of the first known answer.
const tokenPrint = "v1:2adb267c2ea752f8.0001020304050607:e794641a821798bfe03af211bf9050f82edc686a0d22b5e0977a8669951c8e19"

func value(text string) secrets.Secret { return secrets.New([]byte(text)) }

// TestFingerprint_KnownAnswers pins the fingerprint: versions in Swarms carry it,
// so another one would make every value of every stack unknown. The answers were
// computed by another program, for example the first by
//
//	printf '\000\001\002\003\004\005\006\007shop\000TOKEN\000token-value' |
//	  openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
func TestFingerprint_KnownAnswers(t *testing.T) {
	for _, test := range []struct{ salt, stack, name, value, want string }{
		{"0001020304050607", "shop", "TOKEN", "token-value", tokenPrint},
		{"ffeeddccbbaa9988", "a-b_c", "DB_PASSWORD", "\x00\xff\n", "v1:2adb267c2ea752f8.ffeeddccbbaa9988:c1016830153dcd1be0ca00005b2c2f4de790740f1a99f8f50291353a3e17191f"},
	} {
		var salt [fingerprint.SaltSize]byte
		if _, err := hex.Decode(salt[:], []byte(test.salt)); err != nil {
			t.Fatal(err)
		}
		key := counting(t)
		if got := key.Fingerprint(salt, test.stack, test.name, value(test.value)); got != test.want {
			t.Errorf("%s of %s: %s, want %s", test.name, test.stack, got, test.want)
		}
		if got := key.Compare(test.want, test.stack, test.name, value(test.value)); got != fingerprint.Same {
			t.Errorf("%s of %s is %s by its known answer", test.name, test.stack, got)
		}
	}
}

func TestCompare_SaysChangedOnlyForTheKeyThatMadeIt(t *testing.T) {
	key := counting(t)
	other, err := fingerprint.NewKey([]byte(strings.Repeat("k", fingerprint.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	changed, unknown := fingerprint.Changed, fingerprint.Unknown
	for _, test := range []struct {
		what               string
		key                fingerprint.Key
		print, stack, name string
		value              string
		want               fingerprint.Match
	}{
		{"the same", key, tokenPrint, "shop", "TOKEN", "token-value", fingerprint.Same},
		{"another value", key, tokenPrint, "shop", "TOKEN", "token-valuf", changed},
		{"a value with one byte more", key, tokenPrint, "shop", "TOKEN", "token-value\n", changed},
		{"no value", key, tokenPrint, "shop", "TOKEN", "", changed},
		{"another stack", key, tokenPrint, "shop2", "TOKEN", "token-value", changed},
		{"another name", key, tokenPrint, "shop", "TOKEN2", "token-value", changed},
		{"another salt", key, strings.Replace(tokenPrint, ".00", ".01", 1), "shop", "TOKEN", "token-value", changed},
		{"another digest", key, strings.TrimSuffix(tokenPrint, "9") + "8", "shop", "TOKEN", "token-value", changed},
		{"another key", other, tokenPrint, "shop", "TOKEN", "token-value", unknown},
		{"another key and value", other, tokenPrint, "shop", "TOKEN", "x", unknown},
		{"no key", fingerprint.Key{}, tokenPrint, "shop", "TOKEN", "token-value", unknown},
		{"no key, and a fingerprint that anybody could make", fingerprint.Key{}, strings.Replace(tokenPrint, "2adb267c2ea752f8", fingerprint.Key{}.ID(), 1), "shop", "TOKEN", "token-value", unknown},
		{"no fingerprint", key, "", "shop", "TOKEN", "token-value", unknown},
		{"a newer form", key, "v2" + strings.TrimPrefix(tokenPrint, "v1"), "shop", "TOKEN", "token-value", unknown},
		{"a short digest", key, strings.TrimSuffix(tokenPrint, "19"), "shop", "TOKEN", "token-value", unknown},
		{"a short salt", key, strings.Replace(tokenPrint, ".00", ".", 1), "shop", "TOKEN", "token-value", unknown},
		{"no hexadecimal digest", key, strings.TrimSuffix(tokenPrint, "9") + "z", "shop", "TOKEN", "token-value", unknown},
		{"no hexadecimal salt", key, strings.Replace(tokenPrint, ".0", ".z", 1), "shop", "TOKEN", "token-value", unknown},
		{"no digest", key, strings.TrimSuffix(tokenPrint, ":e794641a821798bfe03af211bf9050f82edc686a0d22b5e0977a8669951c8e19"), "shop", "TOKEN", "token-value", unknown},
		{"no dot", key, strings.Replace(tokenPrint, ".", "", 1), "shop", "TOKEN", "token-value", unknown},
	} {
		if got := test.key.Compare(test.print, test.stack, test.name, value(test.value)); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

func TestFingerprint_IsEmptyWithoutAKey(t *testing.T) {
	if got := (fingerprint.Key{}).Fingerprint([fingerprint.SaltSize]byte{}, "shop", "TOKEN", value("token-value")); got != "" {
		t.Errorf("%q: anybody could test a guess", got)
	}
}

// Equal values give the same answer by every salt, and another value never
// does. The fingerprint never holds the value.
func TestFingerprint_FindsItsValueAgain(t *testing.T) {
	key := counting(t)
	rapid.Check(t, func(t *rapid.T) {
		var salt [fingerprint.SaltSize]byte
		copy(salt[:], rapid.SliceOfN(rapid.Byte(), len(salt), len(salt)).Draw(t, "salt"))
		name := rapid.StringMatching(`[A-Z_]{1,8}`).Draw(t, "name")
		a, b := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "a"), rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "b")
		print := key.Fingerprint(salt, "shop", name, secrets.New(a))
		if key.Compare(print, "shop", name, secrets.New(a)) != fingerprint.Same {
			t.Fatal("a value is not found again")
		}
		if want := fingerprint.Changed; string(a) != string(b) && key.Compare(print, "shop", name, secrets.New(b)) != want {
			t.Fatal("another value is not seen")
		}
	})
}
