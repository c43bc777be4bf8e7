package gotool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/proc"
)

// Tests describes a run of go test.
type Tests struct {
	Dir      string         // where go.mod is
	Tags     []string       // build tags
	Packages []string       // empty: ./...
	Args     []string       // further arguments of go test
	Env      []string       // added to the process's own environment
	Progress fault.Progress // gets a line at the end of each package, and each failure
}

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
		Skipped: append(append([]string{}, t.Skipped...), other.Skipped...), Proof: t.Proof.plus(other.Proof)}
}

// Tagged returns the packages that have more test files with a build tag than
// without it.
func Tagged(ctx context.Context, dir, tag string) ([]string, error) {
	const form = "{{.ImportPath}} {{.TestGoFiles}} {{.XTestGoFiles}}"
	plain, err := Command{Dir: dir, Args: []string{"list", "-f", form, "./..."}}.Output(ctx)
	if err != nil {
		return nil, err
	}
	tagged, err := Command{Dir: dir, Args: []string{"list", "-tags", tag, "-f", form, "./..."}}.Output(ctx)
	if err != nil {
		return nil, err
	}
	without := map[string]bool{}
	for _, line := range strings.Split(plain, "\n") {
		without[line] = true
	}
	var packages []string
	for _, line := range strings.Split(tagged, "\n") {
		if path, _, ok := strings.Cut(line, " "); ok && !without[line] {
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
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// Run runs go test and returns the tally. The error is of class Failed when a
// test fails, is skipped, or none ran.
func (r Tests) Run(ctx context.Context) (Tally, error) {
	packages := r.Packages
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	args := []string{"test", "-json"}
	if len(r.Tags) > 0 {
		args = append(args, "-tags", strings.Join(r.Tags, ","))
	}
	path, err := exec.LookPath("go")
	if err != nil {
		return Tally{}, &fault.Error{Code: fault.Failed, What: "go is not on the PATH: it is needed to run the tests", Next: "install Go, then go version", Cause: err}
	}
	args = append(append(args, r.Args...), packages...)
	var talk strings.Builder
	events, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		// It gets its own process group, so programs that tests start end with it.
		err := proc.Command{Path: path, Args: args, Dir: r.Dir, Env: environment(r.Env), Out: in, ErrOut: &talk}.Run(ctx)
		in.Close()
		ended <- err
	}()
	tally := count(events, r.Progress)
	err = <-ended
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
	tally := Tally{Skipped: []string{}, Proof: Proof{}}
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

// add counts one event.
func (t *Tally) add(e event, output map[string][]string, talk fault.Progress) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		output[key] = append(output[key], strings.TrimRight(e.Output, "\n"))
		t.Proof = t.Proof.plus(proofIn(e.Output))
	case "build-output":
		talk.Say("%s", strings.TrimRight(e.Output, "\n"))
	case "build-fail":
		t.Unbuilt = true
	case "pass", "fail", "skip":
		t.end(e, output[key], talk)
		delete(output, key)
	}
}

// end counts the end of a test, or of a package if the event names no test.
func (t *Tally) end(e event, output []string, talk fault.Progress) {
	if e.Test == "" {
		t.endPackage(e, output, talk)
		return
	}
	switch e.Action {
	case "pass":
		t.Passed++
	case "skip":
		t.Skipped = append(t.Skipped, e.Package+"."+e.Test)
	case "fail":
		t.Failed++
		talk.Say("%s", strings.Join(output, "\n"))
	}
}

// endPackage reports the end of a package, unless it has no test files.
func (t *Tally) endPackage(e event, output []string, talk fault.Progress) {
	switch e.Action {
	case "pass":
		talk.Say("ok    %-60s %6.1f s", e.Package, e.Elapsed)
	case "fail":
		if t.Failed == 0 {
			t.Failed++ // it did not build, or ended outside a test
		}
		talk.Say("FAIL  %-60s %6.1f s", e.Package, e.Elapsed)
		talk.Say("%s", strings.Join(output, "\n"))
	}
}
