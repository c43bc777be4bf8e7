//go:build unix

package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/services/internal/service"
)

// childMode makes the test binary a service, so that Main can be tried with
// real signals, real streams and a real exit code.
const childMode = "KEEPMUM_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(service.Program[config]{Name: "child", OneShot: true, Run: child(mode)}.Main())
	}
	os.Exit(m.Run())
}

// child is what the service does in a mode.
func child(mode string) func(context.Context, *service.Kit, *config) error {
	return func(ctx context.Context, kit *service.Kit, c *config) error {
		value := every(c.Key.RevealString())
		switch mode {
		case "panic":
			kit.Go("other", func(context.Context) error { panic(value) })
		case "loggers":
			log.Println("standard log: " + value)
			slog.Error("default slog", "value", value)
			return nil
		case "deaf":
			kit.Log.Info("ready")
			select {}
		}
		kit.Log.Info("ready")
		<-ctx.Done()
		return ctx.Err()
	}
}

// begin starts a child with its secrets in ./secrets and returns it with its
// output so far, up to "ready".
func begin(t *testing.T, mode string) (*exec.Cmd, *bufio.Reader, *strings.Builder) {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"UPSTREAM_KEY": keyValue, "LOGIN": "app_a:" + passwordValue} {
		path := filepath.Join(dir, "secrets", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self)
	command.Dir = dir
	command.Env = []string{childMode + "=" + mode}
	pipe, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command, bufio.NewReader(pipe), &strings.Builder{}
}

// end reads the rest of the output and returns it with the exit code.
func end(t *testing.T, command *exec.Cmd, from *bufio.Reader, output *strings.Builder) (int, string) {
	t.Helper()
	_, _ = io.Copy(output, from)
	err := command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), output.String()
}

func TestSignals(t *testing.T) {
	for name, test := range map[string]struct {
		mode   string
		signal os.Signal
		code   int
		says   string
	}{
		"SIGTERM":                  {"wait", syscall.SIGTERM, 0, `"msg":"stopped"`},
		"SIGINT":                   {"wait", os.Interrupt, 0, `"msg":"stopped"`},
		"SIGQUIT dumps goroutines": {"wait", syscall.SIGQUIT, 2, `"msg":"quit: goroutines follow"`},
		"a second SIGTERM":         {"deaf", syscall.SIGTERM, -1, `"msg":"stopping"`},
	} {
		t.Run(name, func(t *testing.T) {
			command, from, output := begin(t, test.mode)
			readUntil(t, from, output, `"msg":"ready"`)
			if err := command.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if test.mode == "deaf" {
				go func() { // until it is gone: the first of these may come too early
					for command.Process.Signal(test.signal) == nil {
						<-time.After(20 * time.Millisecond)
					}
				}()
			}
			code, text := end(t, command, from, output)
			if code != test.code || !strings.Contains(text, test.says) {
				t.Errorf("exit code %d, want %d; the log should say %s:\n%s", code, test.code, test.says, text)
			}
			records(t, text)
		})
	}
}

// readUntil reads lines up to one that holds what.
func readUntil(t *testing.T, from *bufio.Reader, output *strings.Builder, what string) {
	t.Helper()
	for {
		line, err := from.ReadString('\n')
		output.WriteString(line)
		if strings.Contains(line, what) {
			return
		}
		if err != nil {
			t.Fatalf("the child ended before it said %s:\n%s", what, output)
		}
	}
}

// Nothing of a panic and nothing of the standard loggers reaches the real
// standard error unmasked, and every line there is ours.
func TestRealStandardErrorIsMasked(t *testing.T) {
	for mode, want := range map[string]struct {
		code int
		says []string
	}{
		"panic":   {2, []string{`"msg":"panic"`, "‹UPSTREAM_KEY›", `"goroutine":"other"`}},
		"loggers": {0, []string{"standard log: ‹UPSTREAM_KEY›", `"msg":"default slog"`, "‹UPSTREAM_KEY›"}},
	} {
		t.Run(mode, func(t *testing.T) {
			command, from, output := begin(t, mode)
			code, text := end(t, command, from, output)
			if code != want.code {
				t.Errorf("exit code %d, want %d", code, want.code)
			}
			for _, says := range want.says {
				if !strings.Contains(text, says) {
					t.Errorf("the log does not say %s", says)
				}
			}
			if found := leaks(t, text); len(found) > 0 {
				t.Errorf("the output shows values: %v", found)
			}
			records(t, text)
		})
	}
}

// The canary of the test above: a panic that is not recovered does show the
// value, and the search finds it.
func TestRawPanicShowsTheValue(t *testing.T) {
	if os.Getenv("KEEPMUM_TEST_RAW_PANIC") != "" {
		go func() { panic(every(keyValue)) }()
		<-time.After(time.Minute)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, "-test.run=^TestRawPanicShowsTheValue$")
	command.Env = []string{"KEEPMUM_TEST_RAW_PANIC=1"}
	output, err := command.CombinedOutput()
	if err == nil || len(leaks(t, string(output))) == 0 {
		t.Error("a raw panic does not show the value, or the search does not find it: " + fmt.Sprint(err))
	}
}
