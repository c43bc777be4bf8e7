package leaktest

import (
	"bytes"
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

func TestACheckOfNothingIsAnError(t *testing.T) {
	for want, check := range map[string]Check{
		"no secrets were given":                {},
		"no containers were given":             {Secrets: Secrets{"A": []byte("some long value")}},
		"A is empty":                           {Secrets: Secrets{"A": nil}},
		"B is excepted and no secret":          {Secrets: Secrets{"A": []byte("some long value")}, InEnvironment: []string{"B"}},
		"LEAKTEST_CANARY is the canary's name": {Secrets: Secrets{canaryName: []byte("some long value")}},
	} {
		if report, err := check.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) || report != (Report{}) {
			t.Errorf("%q: %v, %v", want, report, err)
		}
	}
}

// The canary is told in each encoding that is searched, and in no other.
func TestTheCanaryHasEveryEncoding(t *testing.T) {
	c := newCanary()
	if got, want := slices.Sorted(maps.Keys(forms(c.value))), slices.Sorted(slices.Values(redact.Encodings())); !slices.Equal(got, want) {
		t.Errorf("told %v, searched %v", got, want)
	}
	if n := strings.Count(c.text(), "a canary, "); n != len(redact.Encodings()) {
		t.Errorf("%d lines", n)
	}
	if other := newCanary(); other.value == c.value || other.plain == c.plain {
		t.Error("two canaries are the same")
	}
}

// TestTheVerdictFails on each thing that is no silence.
func TestTheVerdictFails(t *testing.T) {
	hit := func(surface, name string) sweep.Report {
		return sweep.Report{Results: []sweep.Result{{Surface: surface, Hits: []sweep.Hit{{Name: name, Encoding: "hex", Surface: surface, Place: "stderr", Line: 7}}}}}
	}
	for name, one := range map[string]struct {
		check Check
		seen  sweep.Report
		want  string // empty: silence
	}{
		"silence":                   {Check{}, sweep.Report{Results: []sweep.Result{{Surface: "log of a"}}}, ""},
		"a value in a log":          {Check{}, hit("log of a", "A"), "log of a tells A: hex, stderr, line 7"},
		"an excepted one, in a log": {Check{InEnvironment: []string{"A"}}, hit("log of a", "A"), "log of a tells A"},
		"an excepted one, shown":    {Check{InEnvironment: []string{"A"}}, hit("inspect of a", "A"), ""},
		"another one, shown":        {Check{InEnvironment: []string{"B"}}, hit("inspect of a", "A"), "inspect of a tells A"},
		"an exception for nothing":  {Check{InEnvironment: []string{"A"}}, sweep.Report{}, "A is excepted from inspect, and inspect does not show it"},
		"something not read":        {Check{}, sweep.Report{Unread: []sweep.Unread{{Surface: "log of a", Why: "gone"}}}, "log of a was not read: gone"},
		"too much to be kept":       {Check{}, sweep.Report{Results: []sweep.Result{{Surface: "log of a", More: 3}}}, "log of a tells values 3 times more"},
	} {
		err := one.check.verdict(one.seen)
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v, want %q", name, err, one.want)
		}
	}
}

func TestAProgramIsAnExecutable(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		binary, err := program(architecture, output{1, "hello"})
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(binary))
		if err != nil || file.Machine != machine || file.Type != elf.ET_EXEC || len(file.Progs) != 1 || file.Progs[0].Filesz != uint64(len(binary)) {
			t.Errorf("%s: %v, %+v", architecture, err, file)
		}
	}
	if _, err := program("riscv64", output{1, "hello"}); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("riscv64: %v", err)
	}
	if _, err := program("amd64", output{1, strings.Repeat("x", 1<<16)}); err == nil {
		t.Error("a text that is too long is taken")
	}
}

// TestAProgramTells runs a program of this machine's architecture.
func TestAProgramTells(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return // it is Linux that runs it
	}
	long := strings.Repeat("0123456789abcdef", 4095)
	binary, err := program(runtime.GOARCH, output{1, "one\n"}, output{2, long}, output{1, "three\x00é\n"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stdout.String() != "one\nthree\x00é\n" || stderr.String() != long {
		t.Errorf("%v: %q, %d bytes", err, stdout.String(), stderr.Len())
	}
}
