package ops_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/keepmum/keepmum/internal/ops"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestClassOfTakesTheFirstOfDesignsOrder(t *testing.T) {
	class := func(c ops.Class) error { return &ops.Error{Class: c, What: "x"} }
	plain := errors.New("plain")
	tests := []struct {
		err  error
		want ops.Class
	}{
		{nil, 0},
		{plain, ops.Failed},
		{class(ops.Invalid), ops.Invalid},
		{fmt.Errorf("around: %w", class(ops.NoEngine)), ops.NoEngine},
		{errors.Join(class(ops.Failed), class(ops.Pending)), ops.Pending},
		{errors.Join(class(ops.Pending), class(ops.Invalid)), ops.Invalid},
		{errors.Join(class(ops.Invalid), class(ops.NoEngine)), ops.NoEngine},
		{errors.Join(class(ops.NoEngine), class(ops.Incomplete)), ops.Incomplete},
		{errors.Join(class(ops.Incomplete), class(ops.RolledBack)), ops.RolledBack},
		{errors.Join(class(ops.RolledBack), class(ops.Leak)), ops.Leak},
		{errors.Join(class(ops.Leak), class(ops.Interrupted), plain), ops.Interrupted},
	}
	for _, test := range tests {
		if got := ops.ClassOf(test.err); got != test.want {
			t.Errorf("%v: class %d, want %d", test.err, got, test.want)
		}
	}
}

func TestAFindingNamesItsPlaceOnce(t *testing.T) {
	tests := map[string]ops.Finding{
		"a.yml:3: KEY: is bad":         {File: "a.yml", Line: 3, Subject: "KEY", Problem: "is bad"},
		"secrets/KEY: is bad":          {File: "secrets/KEY", Subject: "KEY", Problem: "is bad"},
		"KEY: is bad":                  {Subject: "KEY", Problem: "is bad"},
		"a.yml: is bad":                {File: "a.yml", Problem: "is bad"},
		"secrets/MYKEY:2: KEY: is bad": {File: "secrets/MYKEY", Line: 2, Subject: "KEY", Problem: "is bad"},
	}
	for want, f := range tests {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestGrantsDigestDiffersWithEveryPart(t *testing.T) {
	key := func(b byte) ops.Key {
		bytes := make([]byte, ops.KeySize)
		bytes[0] = b
		k, err := ops.NewKey(bytes)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	grant := func(name, target, value string) ops.Grant {
		return ops.Grant{Name: name, Target: target, Value: secrets.New([]byte(value))}
	}
	base := []ops.Grant{grant("A", "A", "one"), grant("B", "B", "two")}
	first := key(1).GrantsDigest("shop", "api", base)
	if again := key(1).GrantsDigest("shop", "api", []ops.Grant{base[1], base[0]}); again != first {
		t.Error("the order of the grants changes the digest")
	}
	for name, other := range map[string]string{
		"key":                   key(2).GrantsDigest("shop", "api", base),
		"stack":                 key(1).GrantsDigest("shop2", "api", base),
		"service":               key(1).GrantsDigest("shop", "worker", base),
		"value":                 key(1).GrantsDigest("shop", "api", []ops.Grant{grant("A", "A", "onf"), base[1]}),
		"target":                key(1).GrantsDigest("shop", "api", []ops.Grant{grant("A", "C", "one"), base[1]}),
		"name":                  key(1).GrantsDigest("shop", "api", []ops.Grant{grant("AB", "A", "one"), base[1]}),
		"one grant less":        key(1).GrantsDigest("shop", "api", base[:1]),
		"a border that moved":   key(1).GrantsDigest("shop", "api", []ops.Grant{grant("A", "Ao", "ne"), base[1]}),
		"stack against service": key(1).GrantsDigest("shopa", "pi", base),
	} {
		if other == first {
			t.Errorf("another %s gives the same digest", name)
		}
	}
	if _, err := ops.NewKey(make([]byte, 31)); !errors.Is(err, ops.ErrKeySize) {
		t.Errorf("a key of 31 bytes: %v", err)
	}
}
