package manifest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "12h": 12 * time.Hour, "2w": 14 * day, "1w2d3h4m5s": 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second, "007d": 7 * day,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "90", "d", "0d", "-1d", "+1d", "1.5d", "1y", "1h1d", "1d1d", "90 d", "1d ", "90D", "99999999999999999999d", "2147483647w", "1dd", "d1"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestParseDuration_AddsItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, h, s := rapid.IntRange(0, 9999).Draw(t, "d"), rapid.IntRange(0, 99).Draw(t, "h"), rapid.IntRange(1, 99).Draw(t, "s")
		got, err := parseDuration(fmt.Sprintf("%dd%dh%ds", d, h, s))
		if want := time.Duration(d)*24*time.Hour + time.Duration(h)*time.Hour + time.Duration(s)*time.Second; err != nil || got != want {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"API_KEY", "DB_PASSWORD", "base62", "hex", "text"}
	for name, want := range map[string]string{
		"API_KYE": "API_KEY", "api-key": "API_KEY", "ApiKey": "API_KEY", "DB_PASWORD": "DB_PASSWORD", "base64": "base62", "hexx": "hex", "txt": "text",
		"": "", "TOKEN": "", "he": "hex", "h": "", "abc": "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

func TestEdits_IsADistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching("[abc]{0,6}")
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := edits(a, b)
		if d != edits(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)) {
			t.Fatalf("edits(%q, %q) = %d, back %d", a, b, d, edits(b, a))
		}
	})
}
