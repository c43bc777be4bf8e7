//go:build unix

package machine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/machine"
	"github.com/keepmum/keepmum/internal/ops/host"
	"golang.org/x/sys/unix"
)

// heard collects progress.
type heard struct{ lines []string }

// Say keeps the line.
func (h *heard) Say(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func shell(script string) host.Step {
	return host.Step{Args: []string{"sh", "-c", script}, Why: "try"}
}

func TestMachine_RunPassesLinesOn(t *testing.T) {
	var talk heard
	m := machine.New()
	if err := m.Run(t.Context(), shell("echo one; echo two >&2; printf three"), &talk); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(talk.lines, "|"); got != "  one|  two|  three" {
		t.Errorf("%q", got)
	}
}

func TestMachine_RunFailsWithTheLastLine(t *testing.T) {
	err := machine.New().Run(t.Context(), shell("echo first; echo E: no such package >&2; exit 100"), &heard{})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 100 || !strings.HasSuffix(err.Error(), ": E: no such package") {
		t.Errorf("%v", err)
	}
	if err := machine.New().Run(t.Context(), shell("exit 3"), &heard{}); err == nil || err.Error() != "exit status 3" {
		t.Errorf("%v", err)
	}
}

func TestMachine_RunFailsWithTheLineOfTheError(t *testing.T) {
	err := machine.New().Run(t.Context(), shell("echo start; echo 'dpkg: error: locked by 7'; echo 'Note: see the web'; exit 2"), &heard{})
	if err == nil || err.Error() != "exit status 2: dpkg: error: locked by 7" {
		t.Errorf("%v", err)
	}
}

func TestMachine_RunWaitsForAnotherProgram(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	step := shell("test -e " + mark + " && exit 0; touch " + mark + "; echo 'E: Could not get lock'; exit 100")
	if err := machine.New().Run(t.Context(), step, &heard{}); err == nil {
		t.Fatal("it waited without Busy")
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	step.Busy = "lock"
	var talk heard
	if err := machine.New().Run(t.Context(), step, &talk); err != nil || !strings.Contains(strings.Join(talk.lines, "|"), "lock|  waiting for another program to finish") {
		t.Errorf("%v %q", err, talk.lines)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	step.Args[2] = "echo lock; exit 1"
	began := time.Now()
	if err := machine.New().Run(ctx, step, &talk); err == nil || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestMachine_RunPassesNoValues(t *testing.T) {
	m := machine.New()
	m.LookupEnv = func(name string) (string, bool) {
		if name == "https_proxy" {
			return "proxy", true
		}
		return "canary", name == "DB_ADMIN_PASSWORD"
	}
	t.Setenv("DB_ADMIN_PASSWORD", "canary")
	var talk heard
	if err := m.Run(t.Context(), host.Step{Args: []string{"env"}}, &talk); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(talk.lines, "\n")
	for _, want := range []string{"DEBIAN_FRONTEND=noninteractive", "https_proxy=proxy", "PATH=", "LC_ALL=C.UTF-8"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(all, "canary") {
		t.Error("a value is in the environment of a step")
	}
}

func TestMachine_RunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := machine.New().Run(ctx, shell("sleep 300 & sleep 300"), &heard{})
	if took := time.Since(began); err == nil || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// daemonLogEnv names the file that TestMachine_DaemonOfAnother writes: it is run
// in another process, which ends at once.
const daemonLogEnv = "KEEPMUM_TEST_DAEMON_LOG"

// TestMachine_DaemonOutlivesUs starts a process that starts a daemon. The daemon must
// neither end with it, nor keep its output open, nor share its session.
func TestMachine_DaemonOutlivesUs(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMachine_DaemonOfAnother$", "-test.v")
	cmd.Env = append(os.Environ(), daemonLogEnv+"="+log)
	began := time.Now()
	out, err := cmd.CombinedOutput() // ends when no process has the pipe open
	if err != nil || !strings.Contains(string(out), "--- PASS: TestMachine_DaemonOfAnother") {
		t.Fatalf("%v\n%s", err, out)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the output was kept open for %v", took)
	}
	pid := 0
	for deadline := time.Now().Add(10 * time.Second); pid == 0; {
		data, _ := os.ReadFile(log)
		line, _, complete := strings.Cut(string(data), "\n")
		if complete {
			if pid, err = strconv.Atoi(line); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon wrote %q", data)
		}
		pause(t)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	if session, err := unix.Getsid(pid); err != nil || session != pid {
		t.Errorf("session %d of process %d, %v", session, pid, err)
	}
}

// TestMachine_DaemonOfAnother is the other half of TestMachine_DaemonOutlivesUs; alone it does
// nothing.
func TestMachine_DaemonOfAnother(t *testing.T) {
	log := os.Getenv(daemonLogEnv)
	if log == "" {
		return
	}
	step := shell("echo $$; exec sleep 300")
	step.Background, step.Log = true, log
	m := machine.New()
	if err := m.Run(t.Context(), step, &heard{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Ended(); err != nil {
		t.Error(err)
	}
}

func pause(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// ended waits for the end of a daemon.
func ended(t *testing.T, m *machine.Machine) error {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); pause(t) {
		if err := m.Ended(); err != nil {
			return err
		}
	}
	t.Fatal("it is still running")
	return nil
}

func TestMachine_EndedNoticesADaemon(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("failed to start daemon: of an earlier run\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"echo info; echo failed to start daemon: no driver; echo bye; exit 1": "failed to start daemon: no driver: see " + log,
		"echo only words": "only words: see " + log,
		"true":            "it wrote nothing: see " + log,
	} {
		step := shell(script)
		step.Background, step.Log = true, log
		m := machine.New()
		if err := m.Run(t.Context(), step, &heard{}); err != nil {
			t.Fatal(err)
		}
		if err := ended(t, m); err.Error() != want {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestMachine_FallbackReplacesTheFirst(t *testing.T) {
	m := machine.New()
	step := shell("exit 1")
	step.Background, step.Log = true, filepath.Join(t.TempDir(), "log")
	if err := m.Run(t.Context(), step, &heard{}); err != nil {
		t.Fatal(err)
	}
	_ = ended(t, m)
	step.Args = []string{"sleep", "2"}
	if err := m.Run(t.Context(), step, &heard{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Ended(); err != nil {
		t.Errorf("the first is still reported: %v", err)
	}
	_ = ended(t, m)
}

func TestMachine_DaemonCannotStart(t *testing.T) {
	dir := t.TempDir()
	step := shell("true")
	step.Background, step.Log = true, filepath.Join(dir, "none", "log")
	if err := machine.New().Run(t.Context(), step, &heard{}); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("%v", err)
	}
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	step.Args, step.Log = []string{program}, filepath.Join(dir, "log")
	if err := machine.New().Run(t.Context(), step, &heard{}); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Errorf("%v", err)
	}
}

func TestMachine_EndedWithoutALog(t *testing.T) {
	m, step := machine.New(), shell("true")
	step.Background, step.Log = true, filepath.Join(t.TempDir(), "log")
	if err := m.Run(t.Context(), step, &heard{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(step.Log); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, m); err.Error() != "it left no log: see "+step.Log {
		t.Errorf("%v", err)
	}
}

// The end of a long log is enough to find the reason.
func TestMachine_EndedReadsTheEndOfALongLog(t *testing.T) {
	m, step := machine.New(), shell("echo failed to start daemon: early; i=0; while [ $i -lt 400 ]; do echo 'level=info a line of more than twenty bytes'; i=$((i+1)); done; echo level=fatal late")
	step.Background, step.Log = true, filepath.Join(t.TempDir(), "log")
	if err := m.Run(t.Context(), step, &heard{}); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, m); err.Error() != "level=fatal late: see "+step.Log {
		t.Errorf("%v", err)
	}
}

// A systemctl that fails has an answer too: "inactive" comes with exit code 3.
func TestMachine_LookRunsSystemctl(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$*\" = 'is-active docker.service' ] && echo inactive\nexit 3\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	m := newMachine(map[string]string{"run/systemd/system/x": ""}, "/usr/bin/dockerd")
	m.Ask = machine.New().Ask
	if got := m.Look(t.Context()).Service; got != "inactive" {
		t.Errorf("%q", got)
	}
}

func TestMachine_FreeDisk(t *testing.T) {
	free, err := machine.New().FreeDisk(t.TempDir())
	if err != nil || free == 0 {
		t.Errorf("%d %v", free, err)
	}
	if _, err := machine.New().FreeDisk(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a path that does not exist has space")
	}
}
