package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// large makes a compose file with n secrets, all granted to one service.
func large(n int, rules string) []byte {
	var grants, declared strings.Builder
	for i := range n {
		fmt.Fprintf(&grants, "      - KEY_%d\n", i)
		fmt.Fprintf(&declared, "  KEY_%d:\n    file: ./secrets/KEY_%d\n%s", i, i, rules)
	}
	return []byte("services:\n  web:\n    image: x\n    secrets:\n" + grants.String() + "secrets:\n" + declared.String())
}

const someRules = "    x-keepmum: {min_length: 3, pattern: \"^[a-z0-9]+$$\", generate: {bytes: 16, alphabet: hex}}\n"

// Work must not grow with the square of the file, even if everything is wrong. BenchmarkParse has the times.
func TestParse_ThousandsOfSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		data     []byte
		findings int
	}{
		"good":         {large(2_000, someRules), 0},
		"all unknown":  {[]byte(strings.ReplaceAll(string(large(2_000, someRules)), "- KEY_", "- KEX_")), 4_000},
		"all bad keys": {large(2_000, "    fiel: x\n"), 2_000},
	} {
		started := time.Now()
		m, findings := Parse("x.yml", c.data)
		if len(findings) != c.findings || len(m.Secrets) != 2_000 {
			t.Errorf("%s: %d findings, want %d; %d secrets", name, len(findings), c.findings, len(m.Secrets))
		}
		if took := time.Since(started); took > 30*time.Second {
			t.Errorf("%s took %v", name, took)
		} else {
			t.Logf("%s took %v", name, took)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		data := large(n, someRules)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, findings := Parse("x.yml", data); len(findings) > 0 {
					b.Fatal(said(findings))
				}
			}
		})
	}
}
