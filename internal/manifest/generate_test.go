package manifest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestNewValue_HasEnoughRandomBits(t *testing.T) {
	for _, c := range []struct {
		alphabet      string
		bytes, length int
	}{
		{"", 24, 33}, {"base62", 24, 33}, {"base62", 16, 22}, {"base64url", 24, 32}, {"hex", 16, 32}, {"digits", 8, 20}, {"0123456789ab", 8, 18},
	} {
		d := Declaration{Generate: &Generate{Bytes: c.bytes, Alphabet: c.alphabet, Prefix: "pre:"}}
		value, err := d.NewValue(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text, prefixed := strings.CutPrefix(value.RevealString(), "pre:")
		set, _ := characters(c.alphabet)
		if !prefixed || len(text) != c.length || strings.Trim(text, set) != "" {
			t.Errorf("%s of %d bytes: prefix %v, %d characters, want %d of the alphabet", c.alphabet, c.bytes, prefixed, len(text), c.length)
		}
		if strength := float64(len(text)) * math.Log2(float64(len(set))); strength < float64(8*c.bytes) || strength-math.Log2(float64(len(set))) >= float64(8*c.bytes) {
			t.Errorf("%s: %.1f bits, want %d and no character more", c.alphabet, strength, 8*c.bytes)
		}
	}
}

// A chi-squared test of each alphabet over 200,000 characters: with df degrees
// of freedom the sum is about df ± sqrt(2 df); six deviations is one run in
// 10^8. Taking bytes modulo 62 without rejection gives 8 characters a quarter
// more often and a sum of thousands.
func TestNewValue_IsUnbiased(t *testing.T) {
	for _, alphabet := range append(alphabetNames(), "abcdefghijklmnopqrstuvw") {
		set, err := characters(alphabet)
		if err != nil {
			t.Fatal(err)
		}
		const total = 200_000
		text, err := draw(nil, total, set, rand.Reader)
		if err != nil || len(text) != total {
			t.Fatalf("%d characters: %v", len(text), err)
		}
		expected, sum := float64(total)/float64(len(set)), 0.0
		for _, c := range []byte(set) {
			off := float64(bytes.Count(text, []byte{c})) - expected
			sum += off * off / expected
		}
		df := float64(len(set) - 1)
		if sum > df+6*math.Sqrt(2*df)+10 {
			t.Errorf("%s: chi-squared %.0f with %.0f degrees of freedom", alphabet, sum, df)
		}
	}
}

func TestDraw_UsesEachCharacterEquallyOften(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	text, err := draw(nil, 248, numerals+letters, bytes.NewReader(every))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []byte(numerals + letters) {
		if n := bytes.Count(text, []byte{c}); n != 4 {
			t.Errorf("%q came %d times of all 256 bytes, want 4", c, n)
		}
	}
}

func TestNewValue_KeepsTheOtherRules(t *testing.T) {
	patterns := []*regexp.Regexp{nil, regexp.MustCompile("^[!-~]+$"), regexp.MustCompile("[0-9].*[0-9]"), regexp.MustCompile("^[^0]"), regexp.MustCompile("[a-f]$")}
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		d := Declaration{
			Name:      "KEY",
			MinLength: rapid.IntRange(0, 40).Draw(t, "min"),
			MaxLength: rapid.SampledFrom([]int{0, 30, 64}).Draw(t, "max"),
			Pattern:   rapid.SampledFrom(patterns).Draw(t, "pattern"),
			Generate: &Generate{
				Bytes:    rapid.IntRange(8, 48).Draw(t, "bytes"),
				Alphabet: rapid.SampledFrom(alphabetNames()).Draw(t, "alphabet"),
				Prefix:   rapid.SampledFrom([]string{"", "sk_", "app_a:"}).Draw(t, "prefix"),
			},
		}
		value, err := d.NewValue(rand.Reader)
		if err != nil {
			return // Parse reports such rules; that it agrees is another test
		}
		made++
		if problems := d.Check(value); len(problems) > 0 {
			t.Fatalf("made a value that breaks %s", problems[0].Rule)
		}
	})
	if made < 20 {
		t.Errorf("only %d values were made", made)
	}
}

func TestNewValue_Differs(t *testing.T) {
	d := Declaration{Generate: &Generate{Bytes: 16}}
	seen := map[string]bool{}
	for range 1000 {
		value, err := d.NewValue(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		seen[value.RevealString()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different values of 1000", len(seen))
	}
}

func TestNewValue_Fails(t *testing.T) {
	if _, err := (Declaration{}).NewValue(rand.Reader); !errors.Is(err, ErrNoGenerate) {
		t.Errorf("without a rule: %v", err)
	}
	broken := Declaration{Generate: &Generate{Bytes: 16}}
	if _, err := broken.NewValue(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("without random bytes: %v", err)
	}
	if _, err := broken.NewValue(bytes.NewReader(make([]byte, 10))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("with too few random bytes: %v", err)
	}
	never := Declaration{Generate: &Generate{Bytes: 16}, Pattern: regexp.MustCompile("!")}
	if _, err := never.NewValue(rand.Reader); err == nil || err.Error() != "it would break pattern" {
		t.Errorf("a pattern that no value keeps: %v", err)
	}
	unknown := Declaration{Generate: &Generate{Bytes: 16, Alphabet: "base63"}}
	if _, err := unknown.NewValue(rand.Reader); err == nil {
		t.Error("an unknown alphabet made a value")
	}
}

func TestCharacters(t *testing.T) {
	for _, bad := range []string{"b62", "Hex", "base64", "0123456789 abc", "0123456789é", "00123456789", "abc"} {
		if _, err := characters(bad); err == nil {
			t.Errorf("%q is accepted as an alphabet", bad)
		}
	}
	for _, good := range []string{"", "base62", "base64url", "hex", "digits", "abcdefghij", "0123456789abcdef-_"} {
		if set, err := characters(good); err != nil || len(set) < 10 {
			t.Errorf("%q: %v", good, err)
		}
	}
}
