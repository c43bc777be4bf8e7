package fingerprint_test

import (
	"errors"
	"testing"

	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// counting is the key of the vectors: the bytes 0 to 31.
func counting(t *testing.T) fingerprint.Key {
	t.Helper()
	bytes := make([]byte, fingerprint.KeySize)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	key, err := fingerprint.NewKey(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestGrantsDigest_KnownAnswers pins the digest: running services carry it, so
// another one would recreate every service of every project on an upgrade. The
// answers were computed by another program, Python's hmac over the construction
// in the comments of Key.
func TestGrantsDigest_KnownAnswers(t *testing.T) {
	key := counting(t)
	if id := key.ID(); id != "2adb267c2ea752f8" {
		t.Errorf("the key's id is %s", id)
	}
	grant := func(name, target, value string) fingerprint.Grant {
		return fingerprint.Grant{Name: name, Target: target, Value: secrets.New([]byte(value))}
	}
	for _, test := range []struct {
		service string
		grants  []fingerprint.Grant
		want    string
	}{
		{"api", nil, "v1:2adb267c2ea752f8.a75597d0b3a21d8d:df44922adefc2ca9e73b89dfe1ed0b7d1490e3b21027239734c0e94c7cb04da9"},
		{"api", []fingerprint.Grant{grant("TOKEN", "TOKEN", "one"), grant("LOGIN", "LOGIN", "two")}, "v1:2adb267c2ea752f8.a75597d0b3a21d8d:6dbd0dd77ec5e02a9f06959986af3b3c6fb620a468b533ac3959a953e9c797d9"},
		{"worker", []fingerprint.Grant{grant("B", "a", "\x00\xff\n"), grant("A", "x", "one"), grant("A", "b", "one")}, "v1:2adb267c2ea752f8.8869343b1c35d818:49d1064085a27daf1306eba0fbefa72d02288ffd2bf264649ef17990bcc72d8f"},
	} {
		if got := key.GrantsDigest("shop", test.service, test.grants); got != test.want {
			t.Errorf("%s with %d grants: %s, want %s", test.service, len(test.grants), got, test.want)
		}
	}
}

func TestGrantsDigest_DiffersWithEveryPart(t *testing.T) {
	key := func(b byte) fingerprint.Key {
		bytes := make([]byte, fingerprint.KeySize)
		bytes[0] = b
		k, err := fingerprint.NewKey(bytes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	grant := func(name, target, value string) fingerprint.Grant {
		return fingerprint.Grant{Name: name, Target: target, Value: secrets.New([]byte(value))}
	}
	base := []fingerprint.Grant{grant("A", "A", "one"), grant("B", "B", "two")}
	first := key(1).GrantsDigest("shop", "api", base)
	if again := key(1).GrantsDigest("shop", "api", []fingerprint.Grant{base[1], base[0]}); again != first {
		t.Error("the order of the grants changes the digest")
	}
	for name, other := range map[string]string{
		"key":                   key(2).GrantsDigest("shop", "api", base),
		"stack":                 key(1).GrantsDigest("shop2", "api", base),
		"service":               key(1).GrantsDigest("shop", "worker", base),
		"value":                 key(1).GrantsDigest("shop", "api", []fingerprint.Grant{grant("A", "A", "onf"), base[1]}),
		"target":                key(1).GrantsDigest("shop", "api", []fingerprint.Grant{grant("A", "C", "one"), base[1]}),
		"name":                  key(1).GrantsDigest("shop", "api", []fingerprint.Grant{grant("AB", "A", "one"), base[1]}),
		"one grant less":        key(1).GrantsDigest("shop", "api", base[:1]),
		"a border that moved":   key(1).GrantsDigest("shop", "api", []fingerprint.Grant{grant("A", "Ao", "ne"), base[1]}),
		"stack against service": key(1).GrantsDigest("shopa", "pi", base),
	} {
		if other == first {
			t.Errorf("another %s gives the same digest", name)
		}
	}
	if _, err := fingerprint.NewKey(make([]byte, 31)); !errors.Is(err, fingerprint.ErrKeySize) {
		t.Errorf("a key of 31 bytes: %v", err)
	}
}
