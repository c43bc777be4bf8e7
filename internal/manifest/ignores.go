package manifest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignoreRule is a kind of file that an ignore file must cover, or must not.
type ignoreRule struct {
	what   string   // the kind of file, for people
	line   string   // the line to add
	paths  []string // files of that kind, to ask for
	needed bool     // a clone needs them: they must not be covered
}

// CheckGitignore returns a finding for each line that .gitignore lacks: a
// value, .env, the key and temporary files must be ignored, and what explains
// secrets/ must not be. root is the text of .gitignore and nested that of
// secrets/.gitignore, nil if there is none.
//
// ignored returns those of the paths that git ignores; its error is returned
// as it is. If ignored is nil, because git is not there to ask, only the lines
// of the two files are compared.
func (m *Manifest) CheckGitignore(root, nested []byte, ignored func(paths []string) ([]string, error)) ([]fault.Finding, error) {
	rules := m.ignoreRules("/secrets/*", "/.env", "/.keepmum/", ".*.tmp")
	var paths, covered []string
	if ignored == nil {
		inSecrets := holdsLine(nested, "*") || holdsLine(root, "/secrets") || holdsLine(root, "/secrets/")
		for _, r := range rules {
			if holdsLine(root, r.line) || inSecrets && r.line == "/secrets/*" {
				covered = append(covered, r.paths...)
			}
		}
		return findingsOf(".gitignore", root, rules, covered), nil
	}
	rules = append(rules, ignoreRule{"secrets/README.md", "!/secrets/README.md", []string{"secrets/README.md"}, true},
		ignoreRule{"secrets/.gitignore", "!/secrets/.gitignore", []string{"secrets/.gitignore"}, true},
		ignoreRule{"examples of secrets/", "!/secrets/*.example", m.inSecrets("", ".example"), true})
	for _, r := range rules {
		paths = append(paths, r.paths...)
	}
	covered, err := ignored(paths)
	if err != nil {
		return nil, err
	}
	return findingsOf(".gitignore", root, rules, covered), nil
}

// CheckDockerignore returns a finding for each line that .dockerignore lacks:
// no value, .env, key or temporary file may enter a build context. data is the
// file's text, nil if there is none.
func (m *Manifest) CheckDockerignore(data []byte) []fault.Finding {
	const file = ".dockerignore"
	unreadable := []fault.Finding{{File: file, Problem: "has a line that Docker does not accept as a pattern", Next: "correct it: see .dockerignore in Docker's documentation"}}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(data))
	if err != nil {
		return unreadable
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return unreadable
	}
	rules := m.ignoreRules("secrets/", ".env", ".keepmum/", "**/.*.tmp")
	last := &rules[len(rules)-1]
	last.paths = append(last.paths, "services/.env.1.tmp") // Docker's patterns begin at the root, git's match in every folder
	var covered []string
	for _, r := range rules {
		for _, path := range r.paths {
			matched, err := matcher.MatchesOrParentMatches(path)
			if err != nil { // a pattern that is looked at only here, such as [z-a]
				return unreadable
			}
			if matched {
				covered = append(covered, path)
			}
		}
	}
	return findingsOf(file, data, rules, covered)
}

// ignoreRules returns what both ignore files must cover, and by which lines.
func (m *Manifest) ignoreRules(ofSecrets, ofEnv, ofKey, ofTemporary string) []ignoreRule {
	return []ignoreRule{
		{"values in secrets/", ofSecrets, append(m.inSecrets("", ""), m.inSecrets(".previous/", "")...), false},
		{"temporary files of secrets/", ofSecrets, m.inSecrets(".", ".1.tmp"), false},
		{".env", ofEnv, []string{".env"}, false},
		{"the key in .keepmum/", ofKey, []string{".keepmum/key"}, false},
		{"temporary files of .env", ofTemporary, []string{".env.1.tmp"}, false},
	}
}

// inSecrets returns a path in secrets/ for each declared secret, or for one of
// any name if none is declared.
func (m *Manifest) inSecrets(before, after string) []string {
	names := m.Names()
	if len(names) == 0 {
		names = []string{"NAME"}
	}
	for i, name := range names {
		names[i] = "secrets/" + before + name + after
	}
	return names
}

// findingsOf returns one finding for each line whose rules are not kept.
func findingsOf(file string, data []byte, rules []ignoreRule, covered []string) []fault.Finding {
	isCovered := map[string]bool{}
	for _, path := range covered {
		isCovered[path] = true
	}
	var findings []fault.Finding
	broken := map[string][]string{}
	for _, r := range rules {
		if slices.ContainsFunc(r.paths, func(path string) bool { return isCovered[path] == r.needed }) {
			broken[r.line] = append(broken[r.line], r.what)
		}
	}
	for _, r := range rules {
		what := strings.Join(broken[r.line], " and ")
		if delete(broken, r.line); what == "" {
			continue
		}
		f := fault.Finding{File: file, Problem: "does not cover " + what + ": add the line " + r.line, Next: "mage secrets:init"}
		switch {
		case r.needed:
			f.Problem = "covers " + what + ", which a clone needs: add the line " + r.line
			f.Next = "edit it (/secrets/* instead of /secrets/, which would hide the folder as a whole), then mage secrets:validate"
		case holdsLine(data, r.line):
			f.Problem = "does not cover " + what + ": a later line includes it again; move the line " + r.line + " to the end"
			f.Next = "edit it, then mage secrets:validate"
		}
		findings = append(findings, f)
	}
	return findings
}

// holdsLine reports whether an ignore file has that line, with or without the
// slash at its beginning.
func holdsLine(data []byte, line string) bool {
	for _, one := range strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n") {
		if strings.TrimPrefix(strings.TrimSpace(one), "/") == strings.TrimPrefix(line, "/") {
			return true
		}
	}
	return false
}
