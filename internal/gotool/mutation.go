package gotool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keepmum/keepmum/internal/fault"
)

// resultsFile holds what became of each mutant, and is committed.
const resultsFile = MutantsDir + "/results.json"

// mutantTime bounds one run of go test. What hangs is no test that fails.
const mutantTime = 3 * time.Minute

// The outcomes of a mutant.
const (
	Killed   = "killed"   // a test failed
	Survived = "survived" // every test passed
	Unclear  = "unclear"  // it does not compile, hangs, or no test ran: nothing is known
)

// MutantResult is what became of a mutant.
type MutantResult struct {
	Mutant
	Outcome string `json:"outcome"`
	By      string `json:"by,omitempty"`  // the first test that failed
	Why     string `json:"why,omitempty"` // nothing is known
	Commit  string `json:"commit"`        // of the tree that was broken; +modified where it was not committed
	Date    string `json:"date"`          // of the run: 2006-01-02
	Of      string `json:"of"`            // digest of the mutant
	Tree    string `json:"tree"`          // digest of the file that is broken and of the tests' packages
}

// Mutation tries the mutants of a checkout, one change at a time, in an
// overlay: the tree is never changed.
type Mutation struct {
	Dir      string
	Progress fault.Progress
	Again    bool          // also what was tried before and has not changed since
	Limit    time.Duration // after it no further mutant is begun; 0: none
	Jobs     int           // at a time; 0: 2

	mu      sync.Mutex
	results map[string]MutantResult // by area and name
	left    int
}

// Run tries what has not been tried and returns the results of all mutants,
// sorted. They are stored after each: an interrupted run is gone on with. The
// error is of class Failed when a mutant survived or nothing is known of one, of
// class Incomplete when the time was up.
func (r *Mutation) Run(ctx context.Context) ([]MutantResult, error) {
	mutants, err := Mutants(r.Dir)
	if err != nil {
		return nil, err
	}
	if r.results, err = storedResults(r.Dir, mutants); err != nil {
		return nil, err
	}
	commit, err := r.commit(ctx)
	if err != nil {
		return nil, err
	}
	var todo []Mutant
	for _, m := range mutants {
		tree, err := r.tree(m)
		if err != nil {
			return nil, err
		}
		if was := r.results[m.key()]; r.Again || was.Of != m.Digest() || was.Tree != tree || was.Outcome != Killed {
			todo = append(todo, m)
		}
	}
	r.Progress.Say("%d mutants, %d to be tried", len(mutants), len(todo))
	failed := r.tryAll(ctx, todo, commit)
	all := slices.SortedFunc(maps.Values(r.results), func(a, b MutantResult) int { return strings.Compare(a.key(), b.key()) })
	if failed != nil {
		return all, failed
	}
	return all, r.verdict(mutants)
}

// key is area and name.
func (m Mutant) key() string { return m.Area + ": " + m.Name }

// verdict makes the error of a run.
func (r *Mutation) verdict(mutants []Mutant) error {
	var findings []fault.Finding
	for _, m := range mutants {
		if got, ok := r.results[m.key()]; ok && got.Outcome != Killed {
			findings = append(findings, fault.Finding{File: m.File, Subject: m.key(), Problem: strings.TrimSuffix(got.Outcome+": "+got.Why, ": ")})
		}
	}
	switch {
	case len(findings) > 0:
		return &fault.Error{Code: fault.Failed, What: fmt.Sprintf("of %d mutants %d were not seen by a test", len(mutants), len(findings)), Next: "write the test that is missing, then mage test:mutants", Findings: findings}
	case r.left > 0:
		return &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("the time is up: %d mutants are left", r.left), Next: "mage test:mutants"}
	}
	return nil
}

// tryAll tries mutants, a few at a time, each after its tests passed on the tree
// as it is.
func (r *Mutation) tryAll(ctx context.Context, todo []Mutant, commit string) error {
	if len(todo) == 0 {
		return nil
	}
	begun, dir := time.Now(), ""
	dir, err := os.MkdirTemp("", "keepmum-mutants-")
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "no temporary directory could be made", Next: "set TMPDIR to a directory that can be written", Cause: err}
	}
	defer os.RemoveAll(dir)
	sound := &soundness{run: map[string]func() error{}}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(max(r.Jobs, 1))
	if r.Jobs == 0 {
		group.SetLimit(2)
	}
	for i, m := range todo {
		group.Go(func() error {
			if r.Limit > 0 && time.Since(begun) > r.Limit {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.left++
				return nil
			}
			if err := sound.of(m, func() error { return r.passes(inner, m) }); err != nil {
				return err
			}
			result, err := r.try(inner, m, filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return err
			}
			result.Commit, result.Date = commit, time.Now().Format(time.DateOnly)
			r.Progress.Say("%-8s %s%s", result.Outcome, m.key(), strings.TrimSuffix(" ("+result.By+result.Why+")", " ()"))
			return r.store(result)
		})
	}
	err = group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// soundness remembers which tests pass on the tree as it is.
type soundness struct {
	mu  sync.Mutex
	run map[string]func() error
}

// of runs a mutant's tests once, whoever asks first.
func (s *soundness) of(m Mutant, passes func() error) error {
	s.mu.Lock()
	key := strings.Join(m.Test, " ")
	once, ok := s.run[key]
	if !ok {
		once = sync.OnceValue(passes)
		s.run[key] = once
	}
	s.mu.Unlock()
	return once()
}

// passes requires that the tests pass, and are some, where nothing is broken.
func (r *Mutation) passes(ctx context.Context, m Mutant) error {
	said, err := r.test(ctx, m, "")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || said.ran == 0 {
		return &fault.Error{Code: fault.Failed, What: "without a mutant `go test " + strings.Join(m.Test, " ") + "` does not pass, or runs no test: it proves nothing", Next: "go test " + strings.Join(m.Test, " "), Cause: err}
	}
	return nil
}

// try breaks one place and runs its tests.
func (r *Mutation) try(ctx context.Context, m Mutant, dir string) (MutantResult, error) {
	result := MutantResult{Mutant: m, Of: m.Digest()}
	tree, err := r.tree(m)
	if err != nil {
		return result, err
	}
	result.Tree = tree
	overlay, err := r.overlay(m, dir)
	if err != nil {
		return result, err
	}
	said, err := r.test(ctx, m, overlay)
	switch {
	case ctx.Err() != nil:
		return result, ctx.Err()
	case err == nil && said.ran > 0:
		result.Outcome = Survived
	case err == nil:
		result.Outcome, result.Why = Unclear, "no test ran"
	case said.hung:
		result.Outcome, result.Why = Unclear, "the tests hang"
	case said.failed == "":
		result.Outcome, result.Why = Unclear, "it does not compile"
	default:
		result.Outcome, result.By = Killed, said.failed
	}
	return result, nil
}

// overlay writes the broken file and the file that shows it to the go command.
func (r *Mutation) overlay(m Mutant, dir string) (string, error) {
	root, err := filepath.Abs(r.Dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, filepath.FromSlash(m.File))
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	broken, err := m.Apply(string(source))
	if err != nil {
		return "", err
	}
	stand := filepath.Join(dir, filepath.Base(m.File))
	data, err := json.Marshal(map[string]any{"Replace": map[string]string{path: stand}})
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(err, os.Mkdir(dir, 0o700), os.WriteFile(stand, []byte(broken), 0o600), os.WriteFile(overlay, data, 0o600))
}

// saidTests is what a run of go test came to.
type saidTests struct {
	ran    int
	failed string // the first test that failed, without its parts, or during which the process died
	hung   bool
}

// test runs a mutant's tests.
func (r *Mutation) test(ctx context.Context, m Mutant, overlay string) (saidTests, error) {
	args := []string{"test", "-json", "-vet=off", "-timeout", mutantTime.String()}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	var said saidTests
	dir, rest := m.module()
	out, err := Command{Dir: filepath.Join(r.Dir, dir), Args: append(args, rest...)}.Output(ctx)
	if err != nil {
		out = err.Error()
	}
	begun := "" // the latest test that began and has not ended
	for line := range strings.Lines(out) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		said.hung = said.hung || strings.Contains(e.Output, "panic: test timed out")
		if e.Test == "" {
			continue
		}
		switch e.Action {
		case "run", "cont":
			begun = e.Test
		case "pass", "fail":
			said.ran++
			if begun == e.Test {
				begun = ""
			}
			if e.Action == "fail" && (said.failed == "" || strings.HasPrefix(said.failed, e.Test+"/")) {
				said.failed = e.Test
			}
		}
	}
	if err != nil && said.failed == "" {
		said.failed = begun
	}
	said.failed, _, _ = strings.Cut(said.failed, "/")
	return said, err
}

// tree is a digest of what a mutant's result rests on, as far as it stands in
// the directories of the broken file and of its tests.
func (r *Mutation) tree(m Mutant) (string, error) {
	dirs := map[string]bool{filepath.Dir(filepath.FromSlash(m.File)): true}
	module, args := m.module()
	for _, arg := range args {
		if path, ok := strings.CutPrefix(arg, "."); ok {
			dirs[filepath.Join(module, filepath.FromSlash(strings.TrimSuffix(path, "/...")))] = true
		}
	}
	sum := sha256.New()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		files, err := filepath.Glob(filepath.Join(r.Dir, dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(data), data)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// commit names the tree that is broken.
func (r *Mutation) commit(ctx context.Context) (string, error) {
	head, err := Command{Program: "git", Dir: r.Dir, Args: []string{"rev-parse", "--short=12", "HEAD"}}.Output(ctx)
	if err != nil {
		return "", err
	}
	changed, err := Command{Program: "git", Dir: r.Dir, Args: []string{"status", "--porcelain", "--", "*.go"}}.Output(ctx)
	if err != nil {
		return "", err
	}
	if head = strings.TrimSpace(head); changed != "" {
		head += "+modified"
	}
	return head, nil
}

// StoredMutants returns the results that a checkout holds, of the mutants that
// it has, sorted.
func StoredMutants(dir string) ([]MutantResult, error) {
	mutants, err := Mutants(dir)
	if err != nil {
		return nil, err
	}
	results, err := storedResults(dir, mutants)
	if err != nil {
		return nil, err
	}
	all := make([]MutantResult, 0, len(mutants))
	for _, m := range mutants {
		got, ok := results[m.key()]
		if !ok || got.Of != m.Digest() {
			got = MutantResult{Mutant: m, Outcome: Unclear, Why: "not tried"}
		}
		all = append(all, got)
	}
	slices.SortFunc(all, func(a, b MutantResult) int { return strings.Compare(a.key(), b.key()) })
	return all, nil
}

// storedResults reads the results of the mutants that there are.
func storedResults(dir string, mutants []Mutant) (map[string]MutantResult, error) {
	all := map[string]MutantResult{}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(resultsFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	var stored []MutantResult
	if err == nil {
		err = json.Unmarshal(data, &stored)
	}
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: resultsFile + " cannot be read", Next: "git checkout " + resultsFile, Cause: err}
	}
	for _, m := range mutants {
		if i := slices.IndexFunc(stored, func(one MutantResult) bool { return one.key() == m.key() }); i >= 0 {
			all[m.key()] = stored[i]
		}
	}
	return all, nil
}

// store keeps a result, in the file too, which is old or new at any moment.
func (r *Mutation) store(result MutantResult) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[result.key()] = result
	all := slices.SortedFunc(maps.Values(r.results), func(a, b MutantResult) int { return strings.Compare(a.key(), b.key()) })
	data, err := json.MarshalIndent(all, "", " ")
	path := filepath.Join(r.Dir, filepath.FromSlash(resultsFile))
	if err == nil {
		err = os.WriteFile(path+".tmp", append(data, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: resultsFile + " cannot be written", Next: "check its owner and mode", Cause: err}
	}
	return nil
}

// MutantTable is the results as a table in Markdown, with the commits and dates
// of the runs above it.
func MutantTable(results []MutantResult) string {
	runs, killed := map[string]bool{}, 0
	var rows strings.Builder
	for _, r := range results {
		seen := r.Outcome
		if r.Outcome == Killed {
			killed++
			seen = r.By
		}
		if r.Commit != "" {
			runs["commit "+r.Commit+" on "+r.Date] = true
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", r.Area, strings.ReplaceAll(r.Name, "|", "\\|"), r.File, seen)
	}
	return fmt.Sprintf("%d breakages, %d seen by a test; tried at %s.\n\n| area | what is broken | in | red |\n| --- | --- | --- | --- |\n%s",
		len(results), killed, strings.Join(slices.Sorted(maps.Keys(runs)), ", "), rows.String())
}
