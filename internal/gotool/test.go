package gotool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// Tally counts what a run did.
type Tally struct {
	Passed  int // tests and subtests
	Failed  int
	Skipped []string // package and name
	Unbuilt bool     // some code did not compile
	Proof   Proof
}

// Plus adds two tallies.
func (t Tally) Plus(other Tally) Tally {
	return Tally{Passed: t.Passed + other.Passed, Failed: t.Failed + other.Failed, Unbuilt: t.Unbuilt || other.Unbuilt,
		Skipped: slices.Concat(t.Skipped, other.Skipped), Proof: t.Proof.plus(other.Proof)}
}

// Tagged returns the packages that have more test files with a build tag than
// without it.
func Tagged(ctx context.Context, dir, tag string) ([]string, error) {
	list := func(tags string) ([]string, error) {
		out, err := Command{Dir: dir, Args: []string{"list", "-tags", tags, "-f", "{{.ImportPath}} {{.TestGoFiles}} {{.XTestGoFiles}}", "./..."}}.Output(ctx)
		return strings.Split(strings.TrimSpace(out), "\n"), err
	}
	plain, err := list("")
	if err != nil {
		return nil, err
	}
	tagged, err := list(tag)
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, line := range tagged {
		if path, _, _ := strings.Cut(line, " "); !slices.Contains(plain, line) {
			packages = append(packages, path)
		}
	}
	if len(packages) == 0 {
		return nil, &fault.Error{Code: fault.Failed, What: "no package has tests with the tag " + tag, Next: "run this in keepmum's own checkout"}
	}
	return packages, nil
}

// event is a line of go test -json; see cmd/test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// Test runs go test with arguments in a directory and returns the tally. It prints
// a line at the end of each package, and each failure. The error is of class
// Failed when a test fails, is skipped, or none ran.
func Test(ctx context.Context, dir string, progress fault.Progress, args ...string) (Tally, error) {
	var talk strings.Builder
	events, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		// It gets its own process group, so programs that tests start end with it.
		err := Command{Dir: dir, Args: append([]string{"test", "-json"}, args...)}.run(ctx, in, &talk)
		in.Close()
		ended <- err
	}()
	tally := count(events, progress)
	err := <-ended
	if ctx.Err() != nil {
		return tally, ctx.Err()
	}
	return tally, tally.verdict(err, talk.String())
}

// verdict returns the error of a run.
func (t Tally) verdict(ended error, talk string) error {
	switch {
	case t.Failed > 0:
		return &fault.Error{Code: fault.Failed, What: fmt.Sprintf("%d tests failed", t.Failed), Next: "read their output above"}
	case ended != nil:
		return &fault.Error{Code: fault.Failed, What: "go test failed outside a test\n" + strings.TrimSpace(talk), Next: "go build ./..."}
	case len(t.Skipped) > 0:
		return &fault.Error{Code: fault.Failed, What: "skipped tests: " + strings.Join(t.Skipped, ", "), Next: "make them run, or remove them"}
	case t.Passed == 0:
		return &fault.Error{Code: fault.Failed, What: "no test ran", Next: "check the packages and tags"}
	}
	return nil
}

// String is the last line of a run, in the form that CI systems read.
func (t Tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.Passed, t.Failed, len(t.Skipped))
}

// count reads events to the end and passes on what a person should see.
func count(events io.Reader, talk fault.Progress) Tally {
	var tally Tally
	output := map[string][]string{}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			talk.Say("%s", lines.Text())
			continue
		}
		tally.add(e, output, talk)
	}
	_, _ = io.Copy(io.Discard, events)
	return tally
}

// add counts one event. One that names no test is about a package, and one of a
// package without test files is a skip.
func (t *Tally) add(e event, output map[string][]string, talk fault.Progress) {
	key, ofPackage := e.Package+" "+e.Test, e.Test == ""
	switch e.Action {
	case "output":
		output[key] = append(output[key], strings.TrimRight(e.Output, "\n"))
		t.Proof = t.Proof.plus(proofIn(e.Output))
	case "build-output":
		talk.Say("%s", strings.TrimRight(e.Output, "\n"))
	case "build-fail":
		t.Unbuilt = true
	case "pass":
		if ofPackage {
			talk.Say("ok    %-60s %6.1f s", e.Package, e.Elapsed)
		} else {
			t.Passed++
		}
	case "skip":
		if !ofPackage {
			t.Skipped = append(t.Skipped, e.Package+"."+e.Test)
		}
	case "fail":
		if !ofPackage || t.Failed == 0 { // a package with no failed test did not build, or ended outside a test
			t.Failed++
		}
		if ofPackage {
			talk.Say("FAIL  %-60s %6.1f s", e.Package, e.Elapsed)
		}
		talk.Say("%s", strings.Join(output[key], "\n"))
	}
	if e.Action == "pass" || e.Action == "skip" || e.Action == "fail" {
		delete(output, key)
	}
}
