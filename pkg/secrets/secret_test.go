package secrets_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
	"pgregory.net/rapid"
)

func TestRevealReturnsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		s := secrets.New(value)
		if !bytes.Equal(s.Reveal(), value) || s.RevealString() != string(value) {
			t.Fatal("the value is not the one passed to New")
		}
		if s.IsZero() != (len(value) == 0) {
			t.Fatal("IsZero is wrong")
		}
	})
}

func TestEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 4).Draw(t, "a")
		b := rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 4).Draw(t, "b")
		if secrets.New(a).Equal(secrets.New(b)) != bytes.Equal(a, b) {
			t.Fatal("Equal and bytes.Equal differ")
		}
	})
	if !(secrets.Secret{}).Equal(secrets.New(nil)) {
		t.Error("two zero secrets differ")
	}
}

func TestNewCopies(t *testing.T) {
	value := []byte("before")
	s := secrets.New(value)
	copy(value, "after.")
	secretstest.Holds(t, s, "before")
	s = secrets.New([]byte("before"))
	grown := append(s.Reveal(), 'm')
	grown[0] = 'X'
	secretstest.Holds(t, s, "before")
}

func TestRevealDoesNotAllocate(t *testing.T) {
	var config struct {
		S secrets.Secret `secret:"S"`
	}
	if _, err := secretstest.Loader(secretstest.Write(t, map[string]string{"S": "value"}, nil)).Load(&config); err != nil {
		t.Fatal(err)
	}
	other, n := secrets.New([]byte("other")), 0
	for what, do := range map[string]func(){
		"Reveal":       func() { n += len(config.S.Reveal()) },
		"RevealString": func() { n += len(config.S.RevealString()) },
		"IsZero":       func() { n += len(config.S.Reveal()) },
		"Equal":        func() { config.S.Equal(other) },
	} {
		if allocs := testing.AllocsPerRun(1000, do); allocs != 0 {
			t.Errorf("%s allocates %v times", what, allocs)
		}
	}
	if n == 0 {
		t.Error("nothing was revealed")
	}
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"A", "_", "a", "A1", "_1", "DB_ADMIN_PASSWORD", "aZ09_", strings.Repeat("N", 300)} {
		if err := secrets.ValidName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	bad := []string{
		"", "1", "1A", "A-B", "A.B", "A B", " A", "A ", "A/B", "..", ".", "../A", "A\x00", "A\n", "Ä", "ＡＢ", "A=B", "$A",
		"A\\B", "A:B", "\xff", "@", "[", "`", "{",
	}
	for _, name := range bad {
		err := secrets.ValidName(name)
		if err == nil {
			t.Errorf("%q is accepted", name)
		} else if len(name) > 3 && strings.Contains(err.Error(), name) {
			t.Errorf("%q is quoted, although it may be a value", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]*`).Draw(t, "name")
		if secrets.ValidName(name) != nil {
			t.Fatalf("%q is rejected", name)
		}
		if secrets.ValidName(name+rapid.SampledFrom([]string{"-", ".", "/", "é", "\n"}).Draw(t, "bad")) == nil {
			t.Fatal("a bad character is accepted")
		}
	})
}

func TestSourcesRejectBadNames(t *testing.T) {
	sources := map[string]secrets.Source{
		"docker": secrets.Docker(""), "dir": secrets.Dir(""), "env": secrets.Env(nil),
		"map": secrets.Map(map[string]string{"../A": "x"}), "default": secrets.Default(map[string]string{"../A": "x"}),
	}
	for kind, source := range sources {
		found, err := source.Lookup("../A")
		if err == nil || errors.Is(err, secrets.ErrAbsent) || !found.Value.IsZero() {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}
