package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestClassOfTakesTheFirstOfDesignsOrder(t *testing.T) {
	class := func(c fault.Code) error { return &fault.Error{Code: c, What: "x"} }
	plain := errors.New("plain")
	tests := []struct {
		err  error
		want fault.Code
	}{
		{nil, 0},
		{plain, fault.Failed},
		{class(fault.Invalid), fault.Invalid},
		{fmt.Errorf("around: %w", class(fault.NoEngine)), fault.NoEngine},
		{errors.Join(class(fault.Failed), class(fault.Pending)), fault.Pending},
		{errors.Join(class(fault.Pending), class(fault.Invalid)), fault.Invalid},
		{errors.Join(class(fault.Invalid), class(fault.NoEngine)), fault.NoEngine},
		{errors.Join(class(fault.NoEngine), class(fault.Incomplete)), fault.Incomplete},
		{errors.Join(class(fault.Incomplete), class(fault.RolledBack)), fault.RolledBack},
		{errors.Join(class(fault.RolledBack), class(fault.Leak)), fault.Leak},
		{errors.Join(class(fault.Leak), class(fault.Interrupted), plain), fault.Interrupted},
	}
	for _, test := range tests {
		if got := fault.CodeOf(test.err); got != test.want {
			t.Errorf("%v: class %d, want %d", test.err, got, test.want)
		}
	}
}

func TestAFindingNamesItsPlaceOnce(t *testing.T) {
	tests := map[string]fault.Finding{
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
