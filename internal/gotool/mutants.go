package gotool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// MutantsDir is where the mutants of a checkout stand.
const MutantsDir = "mutants"

// Mutant is one way to break a place that a promise rests on. A test has to
// fail for it.
//
// A file mutants/AREA.txt holds the mutants of one area:
//
//	== base64 is not searched
//	file: pkg/redact/forms.go
//	-	s.base64(text)
//	+	_ = text
//	test: ./pkg/redact -run TestEveryEncoding
//
// The lines behind - must stand in the file exactly once, one below the other;
// those behind +, of which there may be none, take their place. What follows
// test: is arguments of go test, which begin with `-C DIR` where the tests are
// of another module. Empty lines and lines that begin with # are
// left out.
type Mutant struct {
	Area   string   `json:"area"`
	Name   string   `json:"name"` // what is broken, unique in its area
	File   string   `json:"file"` // in the checkout, with slashes
	Before string   `json:"-"`
	After  string   `json:"-"`
	Test   []string `json:"-"` // arguments of go test

	line int // of its name
}

// Digest is over all of the mutant.
func (m Mutant) Digest() string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{m.Area, m.Name, m.File, m.Before, m.After}, m.Test...), "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Apply breaks a source. It fails unless the place is there exactly once.
func (m Mutant) Apply(source string) (string, error) {
	if n := strings.Count("\n"+source, "\n"+m.Before+"\n"); n != 1 {
		return "", fmt.Errorf("%s has the lines of %q %d times, not once", m.File, m.Name, n)
	}
	after := "\n" + m.After + "\n"
	if m.After == "" {
		after = "\n"
	}
	return strings.Replace("\n"+source, "\n"+m.Before+"\n", after, 1)[1:], nil
}

// module returns the directory of the module that the tests are of, and the
// arguments without it: `-C DIR` names another module than the checkout's own.
func (m Mutant) module() (dir string, args []string) {
	if len(m.Test) > 2 && m.Test[0] == "-C" {
		return m.Test[1], m.Test[2:]
	}
	return ".", m.Test
}

// Mutants reads the mutants of a checkout and requires that each applies. The
// error holds a finding for everything that is wrong.
func Mutants(dir string) ([]Mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, MutantsDir, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: "there are no mutants here: no " + MutantsDir + "/*.txt", Next: "read how to add one in CONTRIBUTING.md", Cause: err}
	}
	var all []Mutant
	var findings []fault.Finding
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, &fault.Error{Code: fault.Failed, What: filepath.Base(file) + " cannot be read", Next: "check its owner and mode", Cause: err}
		}
		area := strings.TrimSuffix(filepath.Base(file), ".txt")
		found, problems := parseMutants(area, string(text))
		problems = append(problems, notApplying(dir, found)...)
		for i := range problems {
			problems[i].File = MutantsDir + "/" + filepath.Base(file)
		}
		all, findings = append(all, found...), append(findings, problems...)
	}
	if len(findings) > 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: "mutants that cannot be tried", Next: "correct what is named", Findings: findings}
	}
	return all, nil
}

// notApplying returns a finding for each mutant whose place is not there once.
func notApplying(dir string, mutants []Mutant) []fault.Finding {
	var findings []fault.Finding
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(m.File)))
		if err == nil {
			_, err = m.Apply(string(source))
		} else {
			err = fmt.Errorf("%s cannot be read", m.File)
		}
		if err != nil {
			findings = append(findings, fault.Finding{Line: m.line, Subject: m.Name, Problem: err.Error()})
		}
	}
	return findings
}

// parseMutants reads one file.
func parseMutants(area, text string) ([]Mutant, []fault.Finding) {
	var all []Mutant
	var findings []fault.Finding
	var before, after []string
	say := func(line int, problem string) {
		findings = append(findings, fault.Finding{Line: line, Problem: problem})
	}
	finish := func() {
		if len(all) == 0 {
			return
		}
		m := &all[len(all)-1]
		m.Before, m.After = strings.Join(before, "\n"), strings.Join(after, "\n")
		switch {
		case m.File == "" || len(before) == 0 || len(m.Test) == 0:
			say(m.line, "a mutant needs file:, lines behind -, and test:")
		case m.Before == m.After:
			say(m.line, "it changes nothing")
		case slices.ContainsFunc(all[:len(all)-1], func(other Mutant) bool { return other.Name == m.Name }):
			say(m.line, "a second mutant of this name")
		}
		before, after = nil, nil
	}
	for i, line := range strings.Split(text, "\n") {
		name, isName := strings.CutPrefix(line, "== ")
		switch {
		case isName:
			finish()
			all = append(all, Mutant{Area: area, Name: name, line: i + 1})
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
		case len(all) == 0:
			say(i+1, "it stands before the first ==")
		case strings.HasPrefix(line, "-"):
			before = append(before, line[1:])
		case strings.HasPrefix(line, "+"):
			after = append(after, line[1:])
		case strings.HasPrefix(line, "file: "):
			all[len(all)-1].File = strings.TrimPrefix(line, "file: ")
		case strings.HasPrefix(line, "test: "):
			all[len(all)-1].Test = strings.Fields(strings.TrimPrefix(line, "test: "))
		default:
			say(i+1, "neither ==, file:, test:, - nor +")
		}
	}
	finish()
	return all, findings
}
