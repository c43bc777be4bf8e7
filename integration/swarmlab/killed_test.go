//go:build swarm && linux

package swarmlab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimVariable is set for a process that will be killed.
const victimVariable = "KEEPMUM_TEST_VICTIM"

// victim is a process with a lab.
type victim struct {
	process *exec.Cmd
	name    string // of its lab
	dir     string
	members map[string]string // directories of the lab's processes, and when they started
}

// beKilled makes a lab, prints its directory, and waits to be killed.
func beKilled(t *testing.T) {
	l := Up(t, Options{Managers: 1})
	l.LoadHelper(t)
	tasks(t, l.Node(1), create(t, l.Node(1), service("runs", "wait")), "running", 1)
	fmt.Printf("lab %s\n", l.room.dir)
	<-t.Context().Done()
}

// newVictim starts a process with a lab and waits until a container runs in it.
func newVictim(t *testing.T) victim {
	t.Helper()
	v := victim{process: exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestUp_KilledProcessLeavesNothing$", "-test.v"), members: map[string]string{}}
	v.process.Env = append(os.Environ(), victimVariable+"=1")
	out, err := v.process.StdoutPipe()
	if err == nil {
		err = v.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); v.dir == "" && lines.Scan(); said += lines.Text() + "\n" {
		v.dir, _ = strings.CutPrefix(lines.Text(), "lab ")
		if v.dir == lines.Text() {
			v.dir = ""
		}
	}
	if v.name = filepath.Base(v.dir); v.dir == "" {
		t.Fatalf("the process has no lab:\n%s", said)
	}
	v.note(t)
	return v
}

// note notes all processes that are in a namespace that a process with the name of
// the lab in its arguments is in, such as those of containers. Later they are
// known by their start: the system gives numbers of namespaces again.
func (v victim) note(t *testing.T) {
	t.Helper()
	spaces := map[string]bool{}
	for _, dir := range processes(t) {
		if v.named(dir) {
			for _, one := range namespaces(dir) {
				spaces[one] = true
			}
		}
	}
	for _, one := range namespaces("/proc/self") {
		spaces[one] = false
	}
	for _, dir := range processes(t) {
		if slices.ContainsFunc(namespaces(dir), func(one string) bool { return spaces[one] }) {
			v.members[dir] = begun(dir)
		}
	}
}

// named reports whether a process has the lab's name in its arguments.
func (v victim) named(dir string) bool {
	text, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // it may have ended
	return strings.Contains(string(text), v.name)
}

// begun is when a process started; empty: it has ended, or is a zombie.
func begun(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	_, after, ok := strings.Cut(string(text), ") ") // the name before may have any character
	fields := strings.Fields(after)
	if err != nil || !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19] // field 22 of proc_pid_stat(5)
}

// namespaces are those of a process that ends with a lab.
func namespaces(dir string) []string {
	var found []string
	for _, kind := range []string{"net", "mnt", "pid", "ipc", "uts"} {
		if at, err := os.Readlink(filepath.Join(dir, "ns", kind)); err == nil {
			found = append(found, at)
		}
	}
	return found
}

// processes of the lab that live.
func (v victim) processes(t *testing.T) (found []int) {
	t.Helper()
	for _, dir := range processes(t) {
		at, member := v.members[dir]
		if !v.named(dir) && !(member && at != "" && at == begun(dir)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

// traces is what the machine has of the lab, by kind.
func (v victim) traces(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	if n := len(v.processes(t)); n > 0 {
		found["process"] = n
	}
	for kind, pattern := range map[string]string{"file": v.dir, "index": filepath.Join(index, v.name), "cgroup": "/sys/fs/cgroup/*/" + v.name, "cgroup v2": "/sys/fs/cgroup/" + v.name} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) > 0 {
			found[kind] = len(paths)
		}
	}
	return found
}

// keeper is the process of the lab's keeper.
func (v victim) keeper(t *testing.T) int {
	t.Helper()
	for _, pid := range v.processes(t) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(text), "keeper.sh\x00hold\x00") {
			return pid
		}
	}
	t.Fatal("the lab has no keeper")
	return 0
}

// gone waits until the machine has nothing of these kinds, or of any.
func (v victim) gone(t *testing.T, limit time.Duration, kinds ...string) {
	t.Helper()
	begun := time.Now()
	for {
		found := v.traces(t)
		left := len(found)
		if len(kinds) > 0 {
			left = 0
			for _, kind := range kinds {
				left += found[kind]
			}
		}
		if left == 0 {
			t.Logf("nothing is left after %.1f s", time.Since(begun).Seconds())
			return
		}
		if time.Since(begun) > limit {
			t.Fatalf("left: %v, processes %v", found, v.processes(t))
		}
		<-time.After(50 * time.Millisecond)
	}
}

// A killed process leaves nothing, by its keeper alone. Until then no other Up
// touches its lab.
func TestUp_KilledProcessLeavesNothing(t *testing.T) {
	if os.Getenv(victimVariable) != "" {
		beKilled(t)
	}
	v := newVictim(t)
	for _, kind := range []string{"process", "file", "index"} {
		if v.traces(t)[kind] == 0 {
			t.Errorf("no %s of the lab is found: the test cannot fail", kind)
		}
	}
	if found := v.traces(t); found["cgroup"]+found["cgroup v2"] == 0 || len(v.processes(t)) < 8 {
		t.Errorf("found of the lab: %v, processes %v", found, v.processes(t))
	}
	t.Run("another lab meanwhile", func(t *testing.T) {
		Up(t, Options{Alone: 1})
		own, err := connect("unix://" + filepath.Join(v.dir, "n1", "docker.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if info, err := own.Info(t.Context()); err != nil || info.ContainersRunning != 1 {
			t.Errorf("the lab of another process was touched: %d containers, %v", info.ContainersRunning, err)
		}
	})
	mounted, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || len(mounted) == 0 || strings.Contains(string(mounted), v.name) {
		t.Errorf("the machine itself has mounts of the lab: %v", err)
	}
	_ = errors.Join(v.process.Process.Kill(), v.process.Wait())
	v.gone(t, 30*time.Second)
}

// If the keeper is killed first, the processes end at once, and the next Up
// removes the rest.
func TestUp_RemovesWhatAKilledKeeperLeft(t *testing.T) {
	v := newVictim(t)
	if err := syscall.Kill(v.keeper(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = errors.Join(v.process.Process.Kill(), v.process.Wait())
	v.gone(t, 30*time.Second, "process")
	if found := v.traces(t); found["file"] != 1 || found["index"] != 1 || found["cgroup"]+found["cgroup v2"] == 0 {
		t.Errorf("left is %v: the test cannot fail", found)
	}
	t.Run("the next", func(t *testing.T) { Up(t, Options{Alone: 1}) })
	v.gone(t, time.Second)
}

// The script touches nothing that does not have the name of a lab.
func TestKeeper_RefusesOtherDirectories(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/tmp", "/", "", "keepmum-lab-", filepath.Join(t.TempDir(), "keepmum-lab-123456789")} {
		if dir != "" && filepath.IsAbs(dir) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		script := exec.CommandContext(t.Context(), "sh", "-s", "--", "clear", dir, t.TempDir())
		script.Stdin = strings.NewReader(keeperScript)
		if out, err := script.CombinedOutput(); script.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "is not the directory of a lab") {
			t.Errorf("%q: %v, %s", dir, err, out)
		}
	}
}
