//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/proc"
)

// shell runs a script in sh with the given environment.
func shell(ctx context.Context, script string, env map[string]string) (string, string, error) {
	var out, errOut bytes.Buffer
	err := proc.Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: env, Out: &out, ErrOut: &errOut}.Run(ctx)
	return out.String(), errOut.String(), err
}

func TestRun_StreamsAndExitCode(t *testing.T) {
	out, errOut, err := shell(t.Context(), "echo out; echo err >&2; exit 7", nil)
	var exit *exec.ExitError
	if out != "out\n" || errOut != "err\n" || !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %q, %q, %v", out, errOut, err)
	}
}

func TestRun_EmptyEnvironment(t *testing.T) {
	t.Setenv("KEEPMUM_CANARY", "exported")
	out, _, err := shell(t.Context(), "echo ${KEEPMUM_CANARY-none}; cat", nil)
	if err != nil || out != "none\n" {
		t.Errorf("the child saw %q, %v", out, err)
	}
}

func TestRun_Input(t *testing.T) {
	var out bytes.Buffer
	err := proc.Command{Path: "/bin/cat", In: strings.NewReader("a line\nand more"), Out: &out}.Run(t.Context())
	if err != nil || out.String() != "a line\nand more" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestInherit(t *testing.T) {
	lookup := func(name string) (string, bool) { return "of " + name, name != "HOME" }
	env := proc.Inherit(lookup, []string{"HOME", "PATH"})
	if len(env) != 1 || env["PATH"] != "of PATH" {
		t.Errorf("got %v", env)
	}
}

func TestNames_HaveNoPlaceForValues(t *testing.T) {
	for _, name := range slices.Concat(proc.EngineNames(), proc.GoNames()) {
		for _, bad := range []string{"PASSWORD", "TOKEN", "SECRET", "KEY", "KEEPMUM_", "POSTGRES"} {
			if strings.Contains(name, bad) {
				t.Errorf("%s is handed to every child", name)
			}
		}
	}
	if !slices.Contains(proc.GoNames(), "GOPROXY") || !slices.Contains(proc.EngineNames(), "DOCKER_HOST") || !slices.Contains(proc.GoNames(), "PATH") {
		t.Error("a needed name is missing")
	}
}

func TestRun_KillsStubbornGroup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	// The pipe stays open as long as anything that the shell started is running.
	alive := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(alive)
		gone <- err
	}()
	// The shell and its child ignore the interrupt and keep the pipe open.
	_, _, err := shell(ctx, "trap '' INT; sleep 300 4>$ALIVE & sleep 300", map[string]string{"PATH": "/usr/bin:/bin", "ALIVE": alive})
	if err == nil || ctx.Err() == nil {
		t.Fatalf("ended without an interrupt: %v", err)
	}
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("took %s", took)
	}
	select {
	case err := <-gone:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a grandchild is still running")
	}
}

func TestRun_InterruptedChildEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	out, _, _ := shell(ctx, "trap 'echo caught; exit 130' INT; while :; do :; done", nil)
	if took := time.Since(begun); took > proc.Grace || out != "caught\n" {
		t.Errorf("said %q after %s", out, took)
	}
}
