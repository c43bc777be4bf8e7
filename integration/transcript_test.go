package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keepmum/keepmum/internal/gotool"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// binary compiles keepmum once for all tests of the package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "keepmum-binary-")
	if err != nil {
		return "", err
	}
	return gotool.Binary{Dir: "..", Path: filepath.Join(dir, "keepmum")}.Build(context.Background())
})

func keepmumBinary(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// transcript is the output of a script so far, and the values that must not be in
// it.
type transcript struct {
	mu     sync.Mutex
	output bytes.Buffer
	known  []secrets.Known

	last      said                                                 // output of the last run
	under     []string                                             // a command that runs the binary
	elsewhere func(*testscript.TestScript, []string) (said, error) // runs the binary in place of testscript
	held      func()                                               // releases the lock that the script holds
}

// said is the output of one run of the binary.
type said struct{ stdout, stderr string }

type transcriptKey struct{}

func of(ts *testscript.TestScript) *transcript { return ts.Value(transcriptKey{}).(*transcript) }

// run runs the binary and keeps its output. A script checks success and failure
// by `keepmum` and `! keepmum`, a code by `exits`.
func run(ts *testscript.TestScript, args []string) error {
	t := of(ts)
	var err error
	if t.elsewhere != nil {
		t.last, err = t.elsewhere(ts, args)
		_, _ = io.WriteString(ts.Stdout(), t.last.stdout)
		_, _ = io.WriteString(ts.Stderr(), t.last.stderr)
	} else {
		line := append(append(slices.Clone(t.under), ts.Getenv("KEEPMUM")), args...)
		err = ts.Exec(line[0], line[1:]...)
		t.last = said{ts.ReadFile("stdout"), ts.ReadFile("stderr")}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.output.WriteString(t.last.stdout)
	t.output.WriteString(t.last.stderr)
	return err
}

// runFor is run that returns the exit code.
func runFor(ts *testscript.TestScript, args []string) int {
	err := run(ts, args)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		ts.Fatalf("not run: %v", err)
	}
	return exit.ExitCode()
}

// commands are the commands of scripts in addition to those of testscript.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	// keepmum ARGS...: run the binary.
	"keepmum": func(ts *testscript.TestScript, neg bool, args []string) {
		if err := run(ts, args); (err != nil) != neg {
			ts.Fatalf("ended with %v", err)
		}
	},
	// exits CODE ARGS...: run the binary and require its exit code, or one of
	// several as 0|3.
	"exits": func(ts *testscript.TestScript, _ bool, args []string) {
		if got := runFor(ts, args[1:]); !slices.Contains(strings.Split(args[0], "|"), strconv.Itoa(got)) {
			ts.Fatalf("exit code %d, want %s", got, args[0])
		}
	},
	// known NAME VALUE: this value must not appear from now on.
	"known": func(ts *testscript.TestScript, _ bool, args []string) {
		t := of(ts)
		t.known = append(t.known, secrets.Known{Name: args[0], Value: secrets.New([]byte(args[1]))})
	},
	// silent [FILE...]: no known value is in the output, or in any file of the
	// work directory outside secrets/ and the named files.
	"silent": func(ts *testscript.TestScript, _ bool, args []string) { silent(ts, args) },
	// files GLOB COUNT: so many files match.
	"files": func(ts *testscript.TestScript, _ bool, args []string) {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if strconv.Itoa(len(found)) != args[1] {
			ts.Fatalf("%d files match %s: %q", len(found), args[0], found)
		}
	},
	// mode FILE OCTAL: the file has these permission bits.
	"mode": func(ts *testscript.TestScript, _ bool, args []string) {
		info, err := os.Stat(ts.MkAbs(args[0]))
		ts.Check(err)
		if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
			ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
		}
	},
}

// silent searches the output and the work directory. It first plants a value in
// both and requires that the search finds it.
func silent(ts *testscript.TestScript, except []string) {
	t := of(ts)
	if len(t.known) == 0 {
		ts.Fatalf("no value is known: the search could not find anything")
	}
	matcher := redact.New(t.known)
	canary := append([]byte("canary "), t.known[0].Value.Reveal()...)
	if len(matcher.Find(append(slices.Clone(t.output.Bytes()), canary...))) == 0 {
		ts.Fatalf("the canary was not found: the search cannot fail")
	}
	if short := matcher.Unmasked(); len(short) > 0 {
		ts.Fatalf("too short to be searched: %v", short)
	}
	for _, hit := range matcher.Find(t.output.Bytes()) {
		ts.Fatalf("the output shows %s (%s)", hit.Name, hit.Encoding)
	}
	planted := ts.MkAbs("canary.txt")
	ts.Check(os.WriteFile(planted, canary, 0o600))
	if hits := searchFiles(ts, matcher, except); len(hits) != 1 || !strings.HasPrefix(hits[0], "canary.txt ") {
		ts.Fatalf("files that show a value: %q, want only the canary", hits)
	}
	ts.Check(os.Remove(planted))
}

// searchFiles returns "path NAME (encoding)" for each hit in the work directory.
func searchFiles(ts *testscript.TestScript, matcher *redact.Matcher, except []string) []string {
	root := ts.MkAbs(".")
	var hits []string
	ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if entry.Name() == "secrets" || slices.Contains(except, relative) {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.Contains(except, relative) || !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, hit := range matcher.Find(data) {
			hits = append(hits, relative+" "+hit.Name+" ("+hit.Encoding+")")
		}
		return nil
	}))
	return hits
}

// allCommands are the commands of every script.
func allCommands() map[string]func(*testscript.TestScript, bool, []string) {
	all := maps.Clone(commands)
	maps.Copy(all, faultCommands())
	maps.Copy(all, unixCommands())
	return all
}

// params are those of all scripts under dir.
func params(t *testing.T, dir string, env ...string) testscript.Params {
	t.Helper()
	path := keepmumBinary(t)
	caches, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	goCache, modCache, _ := strings.Cut(strings.TrimSpace(string(caches)), "\n")
	env = append([]string{"GOCACHE=" + goCache, "GOMODCACHE=" + modCache}, env...)
	return testscript.Params{
		Dir:                 dir,
		Cmds:                allCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			t := &transcript{}
			e.Defer(func() {
				if t.held != nil {
					t.held()
				}
			})
			e.Values[transcriptKey{}] = t
			e.Setenv("KEEPMUM", path)
			for _, pair := range env {
				name, value, _ := strings.Cut(pair, "=")
				e.Setenv(name, value)
			}
			return os.CopyFS(filepath.Join(e.WorkDir, "manifest"), os.DirFS("testdata/manifest"))
		},
	}
}

func TestTranscripts(t *testing.T) {
	testscript.Run(t, params(t, "testdata/script", "DOCKER_HOST=unix:///nonexistent/docker.sock"))
}

// Every script has to end with a search of its output.
func TestScripts_EndWithSilent(t *testing.T) {
	requireSilentEnds(t, "testdata/script/*.txtar", "testdata/engine/*.txtar")
}

func requireSilentEnds(t testing.TB, patterns ...string) {
	t.Helper()
	last := regexp.MustCompile(`(?:\A|\n)silent(?: .*)?\s*\z`)
	files := regexp.MustCompile(`(?m)^-- .+ --$`)
	for _, pattern := range patterns {
		scripts, err := filepath.Glob(pattern)
		if err != nil || len(scripts) == 0 {
			t.Errorf("no scripts: %s, %v", pattern, err)
		}
		for _, script := range scripts {
			data, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			if !last.MatchString(files.Split(string(data), 2)[0]) {
				t.Errorf("%s does not end with the command silent", script)
			}
		}
	}
}
