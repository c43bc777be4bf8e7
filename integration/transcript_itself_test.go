package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keepmum/keepmum/pkg/redact"
)

// recorder is a testscript.T that keeps the output of a script instead of
// failing. The output may contain a value: it is searched, and never printed.
type recorder struct {
	said   strings.Builder
	failed bool
}

func (o *recorder) Log(args ...any)   { fmt.Fprintln(&o.said, args...) }
func (o *recorder) Fatal(args ...any) { o.Log(args...); o.FailNow() }
func (o *recorder) Skip(args ...any)  { o.Fatal(args...) }
func (o *recorder) FailNow()          { o.failed = true; runtime.Goexit() }
func (o *recorder) Parallel()         {}
func (o *recorder) Verbose() bool     { return false }

func (o *recorder) Run(_ string, script func(testscript.T)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				o.Log("a panic")
				o.failed = true
			}
		}()
		script(o)
	}()
	<-done
}

// requireScript runs a script in which `keepmum` is a shell, $VALUE a value of
// two lines and $FORM an encoding of it. It requires that the script passes if
// want is empty, and otherwise that it fails with that text.
func requireScript(t *testing.T, name, value, form, script, want string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "one.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	testscript.RunT(rec, params(t, dir, "KEEPMUM=/bin/sh", "VALUE="+value, "FORM="+form))
	switch {
	case want == "" && rec.failed:
		t.Errorf("%s: the script fails", name)
	case want != "" && !rec.failed:
		t.Errorf("%s: the script passes", name)
	case !strings.Contains(rec.said.String(), want):
		t.Errorf("%s: the script fails, and not because of: %s", name, want)
	}
}

// A value is found on standard output, on standard error, in a file, and in a
// file in a directory, even if the run failed.
func TestSilent_FindsValueInEachEncoding(t *testing.T) {
	value := newMultilineValue(t)
	forms := encoded(t, value)
	for _, encoding := range redact.Encodings() {
		form := forms[encoding]
		if form == "" {
			t.Fatalf("%s is not tested", encoding)
		}
		hit := "PASSWORD (" + encoding + ")"
		for place, c := range map[string]struct{ print, want string }{
			"standard output":           {`keepmum -c 'printf "x %s y" "$FORM"'`, "the output shows " + hit},
			"standard error":            {`keepmum -c 'printf "x %s y" "$FORM" >&2'`, "the output shows " + hit},
			"standard error of a crash": {`exits 2 -c 'printf "x %s y" "$FORM" >&2; exit 2'`, "the output shows " + hit},
			"a file":                    {`exec sh -c 'printf "x %s y" "$FORM" >left.txt'`, `"left.txt ` + hit},
			"a file below a directory":  {`exec sh -c 'mkdir -p a/b; printf "x %s y" "$FORM" >a/b/left.txt'`, `"a/b/left.txt ` + hit},
		} {
			requireScript(t, encoding+", "+place, value, form, "known PASSWORD $VALUE\n"+c.print+"\nsilent\n", c.want)
		}
	}
}

// Only secrets/ and the files and directories that the script names are not
// searched.
func TestSilent_ExceptsNamedFiles(t *testing.T) {
	value := newMultilineValue(t)
	put := func(path string) string {
		return `exec sh -c 'mkdir -p "$(dirname ` + path + `)"; printf %s "$VALUE" >` + path + "'\n"
	}
	for _, c := range []struct{ script, want string }{
		{"keepmum -c 'echo nothing'\nsilent\n! exists canary.txt\nsilent\n", ""},
		{put("secrets/PASSWORD") + "silent\n", ""},
		{put("below/secrets/PASSWORD") + "silent\n", ""},
		{put("a/b") + "silent a/b\n", ""},
		{put("a/b/c") + "silent a/b\n", ""},
		{put("a/b") + put("one") + "silent one a/b\n", ""},
		{put("a/b") + "silent b\n", `"a/b PASSWORD (raw)"`},
		{put("a/b") + put("a/c") + "silent a/b\n", `"a/c PASSWORD (raw)"`},
		{put("a/b/c") + put("one") + "silent a\n", `"one PASSWORD (raw)"`},
		{put("b") + "silent a/b\n", `"b PASSWORD (raw)"`},
		{put("secrets.txt") + "silent\n", `"secrets.txt PASSWORD (raw)"`},
		{put("secrets/PASSWORD") + "symlink link -> secrets/PASSWORD\nsymlink below -> secrets\nsilent\n", ""},
		{put("canary.txt") + "silent canary.txt\n", "want only the canary"}, // the search finds none
		{put("one") + "silent canary.txt\n", `"one PASSWORD (raw)"`},        // another file is not the canary
		{`keepmum -c 'echo "$VALUE"'` + "\nsilent a\n", "the output shows PASSWORD (raw)"},
	} {
		requireScript(t, c.script, value, "", "known PASSWORD $VALUE\n"+c.script, c.want)
	}
}

// The search fails if it knows no value, or one that is too short. It finds a
// value that becomes known after the output.
func TestSilent_NeedsKnownValues(t *testing.T) {
	value := newMultilineValue(t)
	for _, c := range []struct{ script, want string }{
		{"silent\n", "no value is known"},
		{"known PIN 123\nsilent\n", "the search cannot fail"},
		{"known OTHER another-value\nknown PIN 123\nsilent\n", "too short to be searched: [PIN]"},
		{"known OTHER another-value\nknown PASSWORD $VALUE\nkeepmum -c 'echo \"$VALUE\"'\nsilent\n", "the output shows PASSWORD (raw)"},
		{"keepmum -c 'echo \"$VALUE\"'\nknown PASSWORD $VALUE\nsilent\n", "the output shows PASSWORD (raw)"},
		{"known PASSWORD $VALUE\nkeepmum -c 'echo \"$VALUE\"'\nkeepmum -c 'echo nothing'\nsilent\n", "the output shows PASSWORD (raw)"},
		{"known PASSWORD $VALUE\n! keepmum -c 'echo \"$VALUE\"; exit 1'\nsilent\n", "the output shows PASSWORD (raw)"},
	} {
		requireScript(t, c.script, value, "", c.script, c.want)
	}
}

// The other commands fail on a wrong exit code, count or mode.
func TestScriptCommands_Fail(t *testing.T) {
	const leave = "exec sh -c 'umask 0; echo x >a; echo x >b; chmod 640 a'\n"
	for _, c := range []struct{ script, want string }{
		{"keepmum -c true\n! keepmum -c false\nexits 0 -c true\nexits 4 -c 'exit 4'\nexits 3|4 -c 'exit 4'\n", ""},
		{"keepmum -c false\n", "ended with exit status 1"},
		{"! keepmum -c true\n", "ended with <nil>"},
		{"exits 0 -c 'exit 3'\n", "exit code 3, want 0"},
		{"exits 3 -c true\n", "exit code 0, want 3"},
		{"exits 3|5 -c 'exit 4'\n", "exit code 4, want 3|5"},
		{"env KEEPMUM=/nonexistent\nexits 1 -c true\n", "not run: "},
		{leave + "files [ab] 2\nmode a 640\nmode b 666\n", ""},
		{leave + "files [ab] 1\n", "2 files match [ab]"},
		{leave + "mode a 600\n", "a has mode 640, want 600"},
		{"mode none 600\n", "no such file"},
	} {
		requireScript(t, c.script, "", "", c.script, c.want)
	}
}

// A script without silent at its end is an error, and so is a directory without
// scripts.
func TestScripts_MissingSilent(t *testing.T) {
	w := &recordingTB{TB: t}
	dir := t.TempDir()
	requireSilentEnds(w, filepath.Join(dir, "*.txtar"))
	w.requireErrors(t, 1, "no scripts")
	path := filepath.Join(dir, "one.txtar")
	for script, ends := range map[string]bool{
		"known A b\nsilent\n": true, "silent a b\n\n": true, "silent\n-- file --\ntext\n": true, "silent\n\n-- file --\nsilent\n": true,
		"": false, "keepmum\n": false, "silent\nkeepmum\n": false, "# silent\n": false, "silently\n": false, "keepmum\n-- file --\nsilent\n": false,
	} {
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if requireSilentEnds(w, filepath.Join(dir, "*.txtar")); ends != (len(w.errors) == 0) {
			t.Errorf("%q: %q", script, w.errors)
		}
		w.errors = nil
	}
	if err := os.WriteFile(path, []byte("silent\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	requireSilentEnds(w, path, filepath.Join(dir, "engine", "*.txtar"))
	w.requireErrors(t, 1, "no scripts")
}
