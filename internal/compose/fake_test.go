//go:build unix

package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A program that stands in for docker, docker-compose and go: this test binary
// under that name. What it does is in NAME.json next to it, and what it was
// given goes to NAME.seen, one JSON document a call.
type behaviour struct {
	Version string   // what it answers to a question for its version; "": it fails
	Stdout  string   //
	Stderr  []string // lines
	Code    int
	Hang    string // "interruptible": until SIGINT; "stubborn": for ever, and so does a grandchild
	Builds  bool   // go: writes a docker-compose of BuildVersion to the place after -o
	Slow    time.Duration
}

// seen is one call of a stand-in.
type seen struct {
	Args []string
	Env  []string
	Dir  string
	Read map[string]string // content of the file after --env-file and of go.mod
}

func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	switch name {
	case "docker", "docker-compose", "go", "built":
		syscall.Exit(standIn(os.Args[0], os.Args[1:]))
	}
	os.Exit(m.Run())
}

// standIn is the main function of a stand-in.
func standIn(path string, args []string) int {
	var b behaviour
	data, err := os.ReadFile(path + ".json")
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no behaviour:", err)
		return 99
	}
	if joined := strings.Join(args, " "); strings.HasSuffix(joined, "version --short") {
		if b.Version == "" {
			return 1
		}
		fmt.Println(b.Version)
		return 0
	}
	record(path, args)
	fmt.Print(b.Stdout)
	for _, line := range b.Stderr {
		fmt.Fprintln(os.Stderr, line)
	}
	if b.Hang != "" {
		hang(path, b.Hang)
	}
	<-time.After(b.Slow)
	if b.Builds {
		return fakeBuild(path, args)
	}
	return b.Code
}

// record writes down a call.
func record(path string, args []string) {
	call := seen{Args: args, Env: os.Environ(), Read: map[string]string{}}
	call.Dir, _ = os.Getwd()
	for i, arg := range args {
		if arg == "--env-file" {
			if data, err := os.ReadFile(args[i+1]); err == nil {
				call.Read["env-file"] = string(data)
			}
		}
	}
	if data, err := os.ReadFile("go.mod"); err == nil {
		call.Read["go.mod"] = string(data)
	}
	data, _ := json.Marshal(call)
	file, err := os.OpenFile(path+".seen", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	_, _ = file.Write(append(data, '\n'))
}

// hang waits for a signal, or ignores it.
func hang(path, how string) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	if how == "stubborn" {
		signal.Ignore(os.Interrupt) // the grandchild inherits this
		grandchild := exec.Command("sleep", "300")
		if err := grandchild.Start(); err == nil {
			_ = os.WriteFile(path+".grandchild", []byte(fmt.Sprint(grandchild.Process.Pid)), 0o600)
		}
		<-time.After(time.Hour)
	}
	_ = os.WriteFile(path+".ready", nil, 0o600)
	<-interrupts
	_ = os.WriteFile(path+".interrupted", nil, 0o600)
	syscall.Exit(130) // not os.Exit: under -cover that would write to standard error
}

// fakeBuild puts a stand-in where go build would put its binary.
func fakeBuild(path string, args []string) int {
	target := ""
	for i, arg := range args {
		if arg == "-o" {
			target = args[i+1]
		}
	}
	self, err := os.Executable()
	if err != nil {
		return 97
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return 98
	}
	if err := os.WriteFile(target, data, 0o700); err != nil {
		return 96
	}
	return 0
}

// programs is a directory of stand-ins.
type programs struct {
	t   *testing.T
	dir string
}

func newPrograms(t *testing.T) programs { return programs{t, t.TempDir()} }

// add puts a stand-in under a name.
func (p programs) add(name string, b behaviour) {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(p.dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
		p.t.Fatal(err)
	}
	data, _ := json.Marshal(b)
	if err := os.WriteFile(filepath.Join(p.dir, name+".json"), data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// lookPath finds stand-ins only.
func (p programs) lookPath(name string) (string, error) {
	path := filepath.Join(p.dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", exec.ErrNotFound
	}
	return path, nil
}

// calls returns what a stand-in was given.
func (p programs) calls(name string) []seen {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, name+".seen"))
	if err != nil {
		return nil
	}
	var all []seen
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var one seen
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// alive reports whether a process is there and is not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(status), ") Z ")
}

// recorder is an ops.Talk that keeps what is said.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

// Say keeps the line.
func (r *recorder) Say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// text returns all that was said.
func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}
