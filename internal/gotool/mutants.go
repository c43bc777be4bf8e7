package gotool

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// MutantsDir holds the mutants of a checkout that are written by hand.
const MutantsDir = "mutants"

// mostMutants is how many mutants may be written by hand: each costs
// maintenance, so only those are kept that no generator makes.
const mostMutants = 40

// Mutant breaks the code in one place that a promise rests on. A test must fail
// for it. A file mutants/NAME.patch holds one, as text above a unified diff:
//
//	A value in base64 is not found.
//	Test: ./pkg/redact -run TestEveryEncoding
//
//	--- a/pkg/redact/forms.go
//	+++ b/pkg/redact/forms.go
//	…
//
// After `Test:` come arguments of go test. They begin with `-C DIR` if the tests
// are in another module.
type Mutant struct {
	File string // relative to the checkout, with slashes
	What string // the first line
	Test []string

	changes []string // the files that it changes, as in the diff
}

// Mutants returns the mutants of a checkout that are written by hand, in the
// order of their names. The error lists every one that does not apply to the
// code or names no test.
func Mutants(ctx context.Context, dir string) ([]Mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, MutantsDir, "*.patch"))
	if err != nil || len(files) == 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: "there are no mutants here: no " + MutantsDir + "/*.patch", Next: "read how to add one in CONTRIBUTING.md", Cause: err}
	}
	if len(files) > mostMutants {
		return nil, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %d patches; at most %d are allowed", MutantsDir, len(files), mostMutants), Next: "remove those that gremlins makes too"}
	}
	var all []Mutant
	var findings []fault.Finding
	for _, file := range files {
		m := Mutant{File: path.Join(MutantsDir, filepath.Base(file))}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, &fault.Error{Code: fault.Failed, What: m.File + " cannot be read", Next: "check its owner and mode", Cause: err}
		}
		head, diff, _ := strings.Cut(string(text), "\n--- ")
		for line := range strings.Lines(diff) {
			if name, ok := strings.CutPrefix(line, "+++ b/"); ok {
				m.changes = append(m.changes, strings.TrimSpace(name))
			}
		}
		for line := range strings.Lines(head) {
			if args, ok := strings.CutPrefix(line, "Test: "); ok {
				m.Test = strings.Fields(args)
			} else if m.What == "" {
				m.What = strings.TrimSpace(line)
			}
		}
		if m.What == "" || len(m.Test) == 0 {
			findings = append(findings, fault.Finding{File: m.File, Problem: "it needs a line of text and a line `Test: ARGUMENTS` above the diff"})
		}
		if m.apply(ctx, dir, "--check") != nil {
			findings = append(findings, fault.Finding{File: m.File, Problem: "it does not apply to the code"})
		}
		all = append(all, m)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(findings) > 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: "some mutants cannot be used", Next: "fix each patch: git apply --check FILE", Findings: findings}
	}
	return all, nil
}

// apply calls git apply in a checkout, or in a copy that is not a repository.
func (m Mutant) apply(ctx context.Context, dir string, flags ...string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	_, err = Command{Program: "git", Dir: root, Env: []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(root)},
		Args: append(append([]string{"apply"}, flags...), filepath.FromSlash(m.File))}.Output(ctx)
	return err
}

// save returns a function that puts back the files that the mutant changes. A
// patch that applied at another line than its own may not apply in reverse.
func (m Mutant) save(dir string) (restore func() error, err error) {
	before := map[string][]byte{}
	for _, name := range m.changes {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if before[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return func() error {
		for path, text := range before {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// test runs the mutant's tests, with further arguments of go test.
func (m Mutant) test(ctx context.Context, dir string, args ...string) (Tally, error) {
	own := m.Test
	if len(own) > 2 && own[0] == "-C" {
		dir, own = filepath.Join(dir, filepath.FromSlash(own[1])), own[2:]
	}
	return Test(ctx, dir, fault.Quiet{}, slices.Concat([]string{"-vet=off"}, args, own)...)
}

// TryMutants breaks a copy of a checkout by one mutant after the other. It
// returns how many a test failed for, with a finding for each of the others. It
// is an error if the tests do not pass without the mutant, or if the code does
// not compile with it: then nothing is known.
func TryMutants(ctx context.Context, dir string, mutants []Mutant, talk fault.Progress) (Score, []fault.Finding, error) {
	score, started := Score{Of: MutantsDir}, time.Now()
	var findings []fault.Finding
	sound := map[string]bool{}
	for _, m := range mutants {
		if test := strings.Join(m.Test, " "); !sound[test] {
			if _, err := m.test(ctx, dir); err != nil {
				return score, findings, m.fault(ctx, "without it, `go test "+test+"` does not pass or runs no test", err)
			}
			sound[test] = true
		}
		restore, err := m.save(dir)
		if err == nil {
			err = m.apply(ctx, dir)
		}
		if err != nil {
			return score, findings, m.fault(ctx, "it does not apply to the code", err)
		}
		tally, failed := m.test(ctx, dir, "-failfast")
		if ctx.Err() != nil || tally.Unbuilt {
			return score, findings, m.fault(ctx, "with it, the code does not compile", failed)
		}
		if failed != nil {
			score.Killed++
			talk.Say("killed  %s", m.File)
		} else {
			score.Lived++
			talk.Say("LIVED   %s: %s", m.File, m.What)
			findings = append(findings, fault.Finding{File: m.File, Problem: "no test fails for it: " + m.What})
		}
		if err := restore(); err != nil {
			return score, findings, m.fault(ctx, "it cannot be taken back", err)
		}
	}
	score.Took = time.Since(started)
	return score, findings, nil
}

// fault is the error of a mutant of which nothing is known.
func (m Mutant) fault(ctx context.Context, what string, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &fault.Error{Code: fault.Failed, What: m.File + ": " + what, Next: "fix the patch, then mage test:mutants -only=" + m.File, Cause: cause}
}
