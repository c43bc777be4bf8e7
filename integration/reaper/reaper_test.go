//go:build unix

package reaper

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// endVariable says how a victim has to end.
	endVariable = "KEEPMUM_TEST_END"
	// cleanedVariable names the file that the reaper of a victim writes when it
	// cleans.
	cleanedVariable = "KEEPMUM_TEST_CLEANED"
)

// TestMain has a reaper, as in every package that uses this one. That of a victim
// writes the mark into a file.
func TestMain(m *testing.M) {
	os.Exit(Main(func(mark string) int {
		if how, is := os.LookupEnv(endVariable); is {
			return end(how, mark)
		}
		return m.Run()
	}, func(ctx context.Context, mark string) error {
		if path, is := os.LookupEnv(cleanedVariable); is {
			return os.WriteFile(path, []byte(mark), 0o600)
		}
		return nil
	}))
}

// end is what a victim does: it prints its mark, and ends.
func end(how, mark string) int {
	fmt.Println(mark)
	switch how {
	case "returns":
		return 0
	case "fails":
		return 1
	case "exits":
		os.Exit(0)
	case "panics":
		panic("as a test does that runs out of time")
	}
	select {} // until it is killed
}

// TestMain_CleansUp: the reaper cleans only if the tests did not return, and has
// their mark.
func TestMain_CleansUp(t *testing.T) {
	for _, c := range []struct {
		how     string
		kill    func(pid int) error
		cleaned bool
	}{
		{"returns", nil, false},
		{"fails", nil, false},
		{"exits", nil, true},
		{"panics", nil, true},
		{"is killed", func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }, true},
		{"is killed with all of its group", func(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }, true},
		{"is interrupted at a terminal", func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, true},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cleaned")
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), endVariable+"="+c.how, cleanedVariable+"="+path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			lines.Scan()
			mark := lines.Text()
			if c.kill != nil {
				if err := c.kill(cmd.Process.Pid); err != nil {
					t.Error(err)
				}
			}
			_ = cmd.Wait() // most victims fail
			if len(mark) != 12 || strings.Trim(mark, "abcdefghijklmnopqrstuvwxyz234567") != "" {
				t.Fatalf("the mark is %q", mark)
			}
			if !c.cleaned {
				if _, err := os.Stat(path); err == nil { // its reaper has already ended
					t.Error("the reaper cleaned after tests that returned")
				}
				return
			}
			for deadline := time.Now().Add(20 * time.Second); ; {
				if text, err := os.ReadFile(path); err == nil && string(text) == mark {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("the reaper did not clean, or had another mark")
				}
				<-time.After(5 * time.Millisecond)
			}
		})
	}
}

// TestRemove_ShortMark: an empty mark would be part of every label. The engine is
// not called.
func TestRemove_ShortMark(t *testing.T) {
	for _, mark := range []string{"", "latest", "1234567"} {
		if _, err := Remove(t.Context(), nil, mark); err == nil {
			t.Errorf("the mark %q is accepted", mark)
		}
	}
}
