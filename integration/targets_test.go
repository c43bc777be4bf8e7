package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every target that `keepmum -l` lists is run by a script, and each engine target
// by one with an engine too.
func TestTargets_HaveTranscripts(t *testing.T) {
	scripts := map[string]string{}
	for _, dir := range []string{"script", "engine"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no scripts in testdata/%s: %v", dir, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			scripts[dir] += string(data) + "\n"
		}
	}
	targets := targetNames(t)
	if missing := withoutTranscript(targets, scripts["script"]); len(missing) > 0 {
		t.Errorf("no script of testdata/script runs %v", missing)
	}
	var withEngine []string
	for _, target := range targets {
		if group, _, _ := strings.Cut(target, ":"); slices.Contains([]string{"engine", "stack", "demo"}, group) || target == "build:images" {
			withEngine = append(withEngine, target)
		}
	}
	if missing := withoutTranscript(withEngine, scripts["engine"]); len(missing) > 0 {
		t.Errorf("no script of testdata/engine runs %v", missing)
	}
	if missing := withoutTranscript([]string{"secrets:list", "secrets:lists", "stack"}, scripts["script"]); !slices.Equal(missing, []string{"secrets:lists", "stack"}) {
		t.Errorf("of made-up targets %v have no script: the test cannot fail", missing)
	}
}

// withoutTranscript returns the targets that no command of the scripts runs.
func withoutTranscript(targets []string, scripts string) []string {
	run := map[string]bool{}
	for _, line := range strings.Split(scripts, "\n") {
		if regexp.MustCompile(`^(! )?(keepmum|exits [0-9|]+|refused [0-9]+|interrupts|cutoff) `).MatchString(line) {
			for _, word := range strings.Fields(line) {
				run[word] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(targets), func(target string) bool { return run[target] })
}
