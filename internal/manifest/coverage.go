package manifest

import (
	"path"
	"slices"
	"strings"
)

// probe is a path whose ignoring Coverage asks for.
type probe struct {
	path    string
	ignored bool
	next    string
}

// Ignores is the text of the ignore files of a project, nil where there is none.
type Ignores struct {
	Git        []byte // .gitignore
	SecretsGit []byte // secrets/.gitignore
	Docker     []byte // .dockerignore
}

// Coverage looks at the ignore files and returns what they leave uncovered: a
// value, a .env, the key or a temporary file that version control or a build
// context would take, and a README, .gitignore or .example of secrets/ that
// version control would not.
func Coverage(ignores Ignores) []Finding {
	git := append(ignoreLines(string(ignores.Git), "", true), ignoreLines(string(ignores.SecretsGit), "secrets", true)...)
	findings := uncovered(".gitignore", git, true)
	return append(findings, uncovered(".dockerignore", ignoreLines(string(ignores.Docker), "", false), false)...)
}

// uncovered returns a finding for each path that the rules do not treat as
// they should.
func uncovered(file string, lines []ignoreLine, git bool) []Finding {
	var findings []Finding
	for _, p := range probes(git) {
		if covered(lines, p.path, git) == p.ignored {
			continue
		}
		problem := "does not cover " + p.path
		if !p.ignored {
			problem = "covers " + p.path + ", which a clone needs"
		}
		findings = append(findings, Finding{File: file, Subject: p.path, Problem: problem, Next: "write the line " + p.next + ", or run mage secrets:init"})
	}
	return findings
}

// probes returns the paths to ask for: each stands for a kind of file.
func probes(git bool) []probe {
	list := []probe{
		{"secrets/NAME", true, "/secrets/*"},
		{"secrets/.NAME.1.tmp", true, "/secrets/*"},
		{"secrets/.previous/NAME", true, "/secrets/*"},
		{".env", true, "/.env"},
		{".keepmum/key", true, "/.keepmum/"},
		{".env.1.tmp", true, ".*.tmp"},
	}
	if git {
		return append(list,
			probe{"secrets/README.md", false, "!/secrets/README.md"},
			probe{"secrets/.gitignore", false, "!/secrets/.gitignore"},
			probe{"secrets/NAME.example", false, "!/secrets/*.example"},
		)
	}
	return append(list, probe{"deep/.NAME.1.tmp", true, "**/.*.tmp"})
}

// ignoreLine is one rule of an ignore file.
type ignoreLine struct {
	parts      []string // path elements; ** is any number of them
	again      bool     // begins with !: takes the path back in
	folderOnly bool     // ends with /
}

// ignoreLines reads the rules of a file in a folder. git anchors a rule that
// has a slash before its end and lets others match at any depth; Docker anchors
// every rule.
func ignoreLines(text, folder string, git bool) []ignoreLine {
	var lines []ignoreLine
	for _, line := range strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if !git {
			line = strings.TrimSpace(line)
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var l ignoreLine
		line, l.again = strings.CutPrefix(line, "!")
		line, l.folderOnly = strings.CutSuffix(line, "/")
		l.folderOnly = l.folderOnly && git
		anchored := !git || strings.Contains(line, "/")
		line = strings.TrimPrefix(path.Clean("/"+line), "/")
		if line == "" {
			continue
		}
		l.parts = strings.Split(line, "/")
		if !anchored {
			l.parts = append([]string{"**"}, l.parts...)
		}
		if folder != "" {
			l.parts = append([]string{folder}, l.parts...)
		}
		lines = append(lines, l)
	}
	return lines
}

// covered reports whether the rules ignore a path. The last rule that matches
// decides. Below a folder that git ignores, nothing is taken back in; Docker
// does take back in.
func covered(lines []ignoreLine, name string, git bool) bool {
	parts := strings.Split(name, "/")
	if !git {
		ignored := false
		for _, l := range lines {
			for i := 1; i <= len(parts); i++ {
				if matchParts(l.parts, parts[:i]) {
					ignored = !l.again
				}
			}
		}
		return ignored
	}
	for i := 1; i <= len(parts); i++ {
		ignored := false
		for _, l := range lines {
			if matchParts(l.parts, parts[:i]) && (!l.folderOnly || i < len(parts)) {
				ignored = !l.again
			}
		}
		if ignored {
			return true
		}
	}
	return false
}

// matchParts matches path elements against those of a rule.
func matchParts(rule, parts []string) bool {
	if len(rule) == 0 {
		return len(parts) == 0
	}
	if rule[0] == "**" && len(rule) == 1 {
		return len(parts) > 0 // secrets/** is what is inside, not the folder
	}
	if rule[0] == "**" {
		return slices.ContainsFunc(tails(parts), func(tail []string) bool { return matchParts(rule[1:], tail) })
	}
	if len(parts) == 0 {
		return false
	}
	matched, err := path.Match(rule[0], parts[0])
	return err == nil && matched && matchParts(rule[1:], parts[1:])
}

// tails returns every tail of a list, the whole and the empty one included.
func tails(parts []string) [][]string {
	var all [][]string
	for i := range len(parts) + 1 {
		all = append(all, parts[i:])
	}
	return all
}
