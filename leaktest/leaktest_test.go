package leaktest

import (
	"bytes"
	"context"
	"crypto/rand"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestCheckOfNothingIsAnError(t *testing.T) {
	for want, check := range map[string]Check{
		"no secrets were given":                     {},
		"no containers were given":                  {Secrets: Secrets{"A": []byte("some long value")}},
		"A is empty":                                {Secrets: Secrets{"A": nil}},
		"B is in InEnvironment but not":             {Secrets: Secrets{"A": []byte("some long value")}, InEnvironment: []string{"B"}},
		"LEAKTEST_CANARY is the canary's name":      {Secrets: Secrets{canaryName: []byte("some long value")}},
		"KEEPMUM_CANARY":                            {Secrets: Secrets{sweep.CanaryName: []byte("some long value")}, Containers: []Container{&testcontainers.DockerContainer{}}},
		"a container is nil":                        {Secrets: Secrets{"A": []byte("some long value")}, Containers: []Container{nil}},
		"is nil: it was not started":                {Secrets: Secrets{"A": []byte("some long value")}, Containers: []Container{(*testcontainers.DockerContainer)(nil)}},
		"exceptions apply to names that begin with": {Secrets: Secrets{"A": []byte("some long value")}, Further: map[string][]byte{"environment of a": nil}},
		"too short to be searched: PIN":             {Secrets: Secrets{"A": []byte("some long value"), "PIN": []byte("123")}, Containers: []Container{&testcontainers.DockerContainer{}}},
	} {
		if report, err := check.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) || report != (Report{}) {
			t.Errorf("%q: %v, %v", want, report, err)
		}
	}
}

// TestCanaryHasEveryEncoding that the search knows, and no other.
func TestCanaryHasEveryEncoding(t *testing.T) {
	c := newCanary()
	if got, want := slices.Sorted(maps.Keys(forms(c.value))), slices.Sorted(slices.Values(redact.Encodings())); !slices.Equal(got, want) {
		t.Errorf("printed %v, searched for %v", got, want)
	}
	if n := strings.Count(c.text(), "a canary, "); n != len(redact.Encodings()) {
		t.Errorf("%d lines", n)
	}
	if other := newCanary(); other.value == c.value || other.plain == c.plain {
		t.Error("two canaries are the same")
	}
}

// TestVerdict fails on everything but silence.
func TestVerdict(t *testing.T) {
	hit := func(surface, name string) sweep.Report {
		return sweep.Report{Results: []sweep.Result{{Surface: surface, Hits: []sweep.Hit{{Name: name, Encoding: "hex", Surface: surface, Place: "stderr", Line: 7}}}}}
	}
	for name, one := range map[string]struct {
		check Check
		seen  sweep.Report
		want  string // empty: silence
	}{
		"silence":                     {Check{}, sweep.Report{Results: []sweep.Result{{Surface: "log of a"}}}, ""},
		"a value in a log":            {Check{}, hit("log of a", "A"), "log of a shows A: hex, stderr, line 7"},
		"an excepted one, in a log":   {Check{InEnvironment: []string{"A"}}, hit("log of a", "A"), "log of a shows A"},
		"an excepted one, shown":      {Check{InEnvironment: []string{"A"}}, hit("environment of a", "A"), ""},
		"an excepted one, in a label": {Check{InEnvironment: []string{"A"}}, hit("inspect of a", "A"), "inspect of a shows A"},
		"another one, shown":          {Check{InEnvironment: []string{"B"}}, hit("environment of a", "A"), "environment of a shows A"},
		"an exception for nothing":    {Check{InEnvironment: []string{"A"}}, sweep.Report{}, "A is in InEnvironment but in no container's environment"},
		"something not read":          {Check{}, sweep.Report{Unread: []sweep.Unread{{Surface: "log of a", Why: "gone"}}}, "log of a was not read: gone"},
		"too much to be kept":         {Check{}, sweep.Report{Results: []sweep.Result{{Surface: "log of a", More: 3}}}, "log of a shows values 3 more times"},
	} {
		err := one.check.verdict(one.seen)
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v, want %q", name, err, one.want)
		}
	}
}

// TestErrorHidesValues whatever the engine quotes, and keeps the cause for
// errors.Is.
func TestErrorHidesValues(t *testing.T) {
	value := "s3cret\"word&" + rand.Text()
	values := redact.New([]secrets.Known{{Name: "A", Value: secrets.New([]byte(value))}})
	quoted := fmt.Errorf("no such image: example/%s: %w", value, context.DeadlineExceeded)
	inURL := fmt.Errorf("GET /images/%s/json: %w", url.PathEscape(value), context.Canceled)
	for name, one := range map[string]struct{ err, is error }{
		"of the engine": {quoted, context.DeadlineExceeded},
		"encoded":       {inURL, context.Canceled},
		"of the check":  {&Error{Problems: []string{"log of " + value + " was not read: " + quoted.Error()}}, nil},
	} {
		said := mute(values, one.err)
		if strings.Contains(said.Error(), value) || !strings.Contains(said.Error(), "‹A›") {
			t.Errorf("%s: the error shows the value", name)
		}
		if one.is != nil && !errors.Is(said, one.is) {
			t.Errorf("%s: errors.Is does not find the cause", name)
		}
		for err := said; err != nil; err = errors.Unwrap(err) {
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, value) {
				t.Errorf("%s: a wrapped error shows the value", name)
			}
		}
	}
	if err := mute(values, nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

// TestCheckWithEndedContext fails and names the fix.
func TestCheckWithEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Check{Secrets: Secrets{"A": []byte("some long value")}, Containers: []Container{&testcontainers.DockerContainer{}}}.Run(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "t.Cleanup: pass context.Background() to Run") {
		t.Errorf("%v", err)
	}
}

// TestInspectSeparatesEnvironment from the rest, which stays as it is.
func TestInspectSeparatesEnvironment(t *testing.T) {
	environment, rest, err := parted([]byte(`{"Id":"1","Config":{"Env":["A=<x>&"],"Labels":{"l":"<y>&"}},"Args":["z"]}`))
	if err != nil || string(environment) != `environment: ["A=<x>&"]` || string(rest) != `{"Args":["z"],"Config":{"Labels":{"l":"<y>&"}},"Id":"1"}`+"\n" {
		t.Errorf("%s, %s, %v", environment, rest, err)
	}
	if environment, _, err := parted([]byte(`{"Config":{}}`)); err != nil || string(environment) != "environment: " {
		t.Errorf("no environment: %q, %v", environment, err)
	}
	for _, broken := range []string{"", "value", "[]", `{"Config":"value"}`, `{}`} {
		if _, _, err := parted([]byte(broken)); err == nil || strings.Contains(err.Error(), "value") {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

// TestPlantsPickEachWayOfLogging once: image, log driver, options, terminal.
func TestPlantsPickEachWayOfLogging(t *testing.T) {
	file := container.LogConfig{Type: "json-file", Config: map[string]string{"a": "1", "b": "2"}}
	one := target{id: "1", image: "i", log: file}
	image, driver, option, tty, same := one, one, one, one, one
	image.image, tty.tty, same.id = "j", true, "2"
	driver.log = container.LogConfig{Type: "local", Config: file.Config}
	option.log = container.LogConfig{Type: "json-file", Config: map[string]string{"a": "1", "b": "3"}}
	if got := plants([]target{one, same, image, driver, option, tty}); len(got) != 5 {
		t.Errorf("%d canaries, want 5", len(got))
	}
}

func TestProgramIsExecutable(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		binary, err := program(architecture, "hello", "")
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(binary))
		if err != nil || file.Machine != machine || file.Type != elf.ET_EXEC || len(file.Progs) != 1 || file.Progs[0].Filesz != uint64(len(binary)) {
			t.Errorf("%s: %v, %+v", architecture, err, file)
		}
	}
	if _, err := program("riscv64", "hello", ""); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("riscv64: %v", err)
	}
}

// TestProgramPrints runs a program for this machine's architecture.
func TestProgramPrints(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return // only Linux can run it
	}
	long := strings.Repeat("0123456789abcdef", 4095)
	binary, err := program(runtime.GOARCH, "one\nthree\x00é\n", long)
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
