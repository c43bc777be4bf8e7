package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proofFile is the document of what the tests have proven.
var proofFile = filepath.Join("..", "docs", "PROOF.md")

// requireProof requires that a part of docs/PROOF.md, between its two markers,
// is what a test has seen now. With -update it rewrites the part instead. The
// text must be the same on every machine: no times, no random names.
func requireProof(t *testing.T, part, seen string) {
	t.Helper()
	begin, end := "<!-- begin "+part+" -->\n", "<!-- end "+part+" -->\n"
	data, err := os.ReadFile(proofFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	was, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("docs/PROOF.md has no part %s between %q and %q", part, begin, end)
	}
	seen = strings.TrimSpace(seen) + "\n"
	if was == seen {
		return
	}
	if *update {
		if err := os.WriteFile(proofFile, []byte(before+begin+seen+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the part %s of docs/PROOF.md is not what was seen now; look at both, then rewrite it by -update; the first line that differs:\n%s", part, firstDifference(was, seen))
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(was, is string) string {
	old, now := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range max(len(old), len(now)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(nothing)"
		}
		if line(old) != line(now) {
			return "document: " + line(old) + "\nnow:      " + line(now)
		}
	}
	return ""
}

// TestADocumentThatDiffersIsSeen makes sure that the comparison can fail.
func TestADocumentThatDiffersIsSeen(t *testing.T) {
	for _, one := range []struct{ was, is, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\n", "a\nc\n", "document: b\nnow:      c"},
		{"a\n", "a\nb\n", "document: \nnow:      b"},
		{"a\nb", "a", "document: b\nnow:      (nothing)"},
	} {
		if got := firstDifference(one.was, one.is); got != one.want {
			t.Errorf("%q and %q: %q, want %q", one.was, one.is, got, one.want)
		}
	}
}
