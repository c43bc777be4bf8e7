package gotool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// leastEfficacy is the floor of each package's efficacy, in percent: what is
// left below 100 is for mutants that change nothing that a test could see, such
// as < for <= where both cases give the same result.
const leastEfficacy = 85

// gremlinsFlags go with gremlins unleash. Arithmetic is off because most of its
// mutants put - between two strings: that does not compile, which gremlins
// counts as killed. -E=/ leaves out packages in subdirectories: they have a run
// each.
var gremlinsFlags = [...]string{"--silent", "--exclude-files=/", "--arithmetic-base=false", "--timeout-coefficient=6"}

// gremlinsGoFlags are for every go command that gremlins starts: no stored
// result, by whose time it would set its timeout; no vet, whose findings would
// count as failing tests; no test that takes seconds, because it builds another
// module or is about great amounts.
const gremlinsGoFlags = "-count=1 -vet=off -skip=^(TestImporterGetsNothingElse|TestLongestValue|TestManyValues|TestTime|TestThousandsOfSecrets)$"

// notMutated are packages that gremlins leaves out: the tests of this one
// build and test other modules, a minute for each mutant.
var notMutated = [...]string{"internal/gotool"}

// Score is what became of a package's mutants.
type Score struct {
	Of         string // the package's directory, or MutantsDir
	Killed     int    // a test failed
	Lived      int    // every test passed
	NotCovered int    // no test runs the line, or it is a case of a switch, for which Go has no coverage
	TimedOut   int    // the tests did not end
	Took       time.Duration
}

// Efficacy is the percentage of killed mutants of those that lived or were
// killed; 100 if there are none.
func (s Score) Efficacy() float64 {
	if s.Killed+s.Lived == 0 {
		return 100
	}
	return 100 * float64(s.Killed) / float64(s.Killed+s.Lived)
}

// problem says why the score is too low; it is empty if it is not.
func (s Score) problem() string {
	switch {
	case s.Efficacy() < leastEfficacy:
		return fmt.Sprintf("its tests see %.1f %% of the mutants that they run, less than %d %%", s.Efficacy(), leastEfficacy)
	case s.TimedOut > s.Killed+s.Lived: // an endless loop is rarer than that
		return fmt.Sprintf("%d mutants timed out, and only %d did not: is the machine busy?", s.TimedOut, s.Killed+s.Lived)
	}
	return ""
}

// Mutation runs the mutants that are written by hand, then those that gremlins
// makes, one package at a time, in a copy of a checkout.
type Mutation struct {
	Dir      string
	Progress fault.Progress
	Only     string        // a package's directory, mutants, or one of its files; empty: all
	Limit    time.Duration // for all of it
}

// Run returns the scores until its end, or until it was stopped. The error is of
// class Failed if a score is too low, Incomplete if the time was up.
func (m Mutation) Run(ctx context.Context) ([]Score, error) {
	byHand, err := Mutants(ctx, m.Dir)
	if err != nil {
		return nil, err
	}
	byHand = slices.DeleteFunc(byHand, func(one Mutant) bool { return !m.wants(one.File) })
	packages, err := m.packages(ctx)
	if err != nil {
		return nil, err
	}
	if len(byHand)+len(packages) == 0 {
		return nil, &fault.Error{Code: fault.Usage, What: "-only=" + m.Only + " names no package in pkg/ or internal/ and no mutant", Next: "mage test:mutants -only=pkg/redact"}
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err == nil {
		err = os.Chmod(dir, 0o711) // a test starts a program there as another user
	}
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: "no temporary directory could be made", Next: "set TMPDIR to a directory that can be written", Cause: err}
	}
	defer os.RemoveAll(dir)
	if err := copyCheckout(ctx, m.Dir, dir); err != nil {
		return nil, err
	}
	late := &fault.Error{Code: fault.Incomplete, What: "the time is up, and not everything was tried", Next: "mage test:mutants -only=PACKAGE, for each that is not in the table"}
	ctx, cancel := context.WithTimeoutCause(ctx, m.Limit, late)
	defer cancel()
	scores, err := m.scores(ctx, dir, byHand, packages)
	return scores, cmp.Or(context.Cause(ctx), err)
}

// wants reports whether a path is named by Only, or is below it.
func (m Mutation) wants(path string) bool {
	only := strings.TrimSuffix(strings.TrimPrefix(m.Only, "./"), "/")
	return only == "" || path == only || strings.HasPrefix(path, only+"/")
}

// packages returns the directories of the packages with tests that gremlins
// can work on. Programs are not among them: it looks for a package's tests in a
// directory of its name.
func (m Mutation) packages(ctx context.Context) ([]string, error) {
	const form = `{{if and (ne .Name "main") (or .TestGoFiles .XTestGoFiles)}}{{.ImportPath}} {{.Module.Path}}{{end}}`
	out, err := Command{Dir: m.Dir, Args: []string{"list", "-f", form, "./pkg/...", "./internal/..."}}.Output(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(out) {
		path, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		path = strings.TrimPrefix(path, module+"/")
		if path != "" && m.wants(path) && !slices.Contains(notMutated[:], path) {
			all = append(all, path)
		}
	}
	return all, nil
}

// scores tries everything and judges it.
func (m Mutation) scores(ctx context.Context, dir string, byHand []Mutant, packages []string) ([]Score, error) {
	var scores []Score
	var findings []fault.Finding
	if len(byHand) > 0 {
		score, lived, err := TryMutants(ctx, filepath.Join(dir, "checkout"), byHand, m.Progress)
		if scores, findings = append(scores, score), lived; err != nil {
			return scores, err
		}
	}
	for _, path := range packages {
		m.Progress.Say("%s …", path)
		score, err := m.unleash(ctx, dir, path)
		if err != nil {
			return scores, err
		}
		scores = append(scores, score)
		if problem := score.problem(); problem != "" {
			findings = append(findings, fault.Finding{File: path, Problem: problem})
		}
	}
	if len(findings) > 0 {
		return scores, &fault.Error{Code: fault.Failed, What: "the tests do not see enough of what was broken", Next: "write the tests that are missing, then mage test:mutants -only=" + findings[0].File, Findings: findings}
	}
	return scores, nil
}

// mostMemory is how much address space, in KiB, a process of gremlins may have. A
// loop that never ends and allocates would else take all of the machine's memory
// before its time is over.
const mostMemory = "6291456"

// limited is a go command whose processes have mostMemory each, where there is a
// shell that can limit it.
func limited(c Command) Command {
	if runtime.GOOS == "windows" {
		return c
	}
	c.Program, c.Args = "sh", append([]string{"-c", "ulimit -v " + mostMemory + " 2>/dev/null; exec go \"$@\"", "go"}, c.Args...)
	return c
}

// unleash runs gremlins over one package.
func (m Mutation) unleash(ctx context.Context, dir, path string) (Score, error) {
	score, started := Score{Of: path}, time.Now()
	report := filepath.Join(dir, strings.ReplaceAll(path, "/", "-")+".json")
	_, err := limited(Command{Dir: filepath.Join(dir, "checkout"), Env: []string{"TMPDIR=" + dir, "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" "+gremlinsGoFlags)},
		Args: append([]string{"tool", "-modfile=tools/gremlins.mod", "gremlins", "unleash", "./" + path, "--output=" + report}, gremlinsFlags[:]...)}).Output(ctx)
	if err != nil {
		return score, err
	}
	score.Took = time.Since(started)
	data, err := os.ReadFile(report)
	if errors.Is(err, fs.ErrNotExist) {
		return score, nil // it has nothing that gremlins changes
	}
	var result struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []struct {
				Type, Status string
				Line, Column int
			}
		}
	}
	if err := cmp.Or(err, json.Unmarshal(data, &result)); err != nil {
		return score, &fault.Error{Code: fault.Failed, What: "the report of gremlins cannot be read", Next: "go tool -modfile=tools/gremlins.mod gremlins unleash ./" + path, Cause: err}
	}
	count := map[string]int{}
	for _, file := range result.Files {
		for _, one := range file.Mutations {
			count[one.Status]++
			if one.Status == "LIVED" {
				m.Progress.Say("LIVED   %s/%s:%d:%d %s", path, file.Name, one.Line, one.Column, one.Type)
			}
		}
	}
	score.Killed, score.Lived, score.NotCovered, score.TimedOut = count["KILLED"], count["LIVED"], count["NOT COVERED"], count["TIMED OUT"]
	return score, nil
}

// copyCheckout copies the files of a checkout that git does not ignore, as they
// are on disk, to the directory checkout below a temporary one. So no secret of
// whoever works here gets into the copy. The repository is not written to.
func copyCheckout(ctx context.Context, from, dir string) error {
	objects := filepath.Join(dir, "objects")
	if err := os.Mkdir(objects, 0o700); err != nil {
		return err
	}
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index"), "GIT_OBJECT_DIRECTORY=" + objects}
	for _, args := range [][]string{{"add", "--all"}, {"checkout-index", "--all", "--prefix=" + filepath.ToSlash(dir) + "/checkout/"}} {
		if _, err := (Command{Program: "git", Dir: from, Env: env, Args: args}).Output(ctx); err != nil {
			return err
		}
	}
	return nil
}
