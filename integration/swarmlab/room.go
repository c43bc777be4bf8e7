//go:build swarm && linux

package swarmlab

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed" // keeper.sh
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed keeper.sh
var keeperScript string

// index is the directory of one file for each lab of this machine. The file has
// the path of the lab's directory, and a lock that the system takes back when the
// process of the lab ends, however it ends.
const index = "/run/keepmum-swarmlab"

// room is what the nodes of a lab are in: a process namespace, the network
// namespace of the switch, a directory. Its keeper removes all of it when the
// pipe alive is closed, by close or by the end of this process.
type room struct {
	name   string // of the lab; of its cgroups too
	dir    string
	pid    int // first process of the process namespace
	lock   *os.File
	alive  io.Closer
	held   chan struct{} // closed when the keeper has ended; nil: never started
	failed error         // how the keeper ended
}

// openRoom makes a room and removes those of processes that do not live; left
// are their names. With an error there may be a room to close.
func openRoom(ctx context.Context) (r *room, left []string, err error) {
	unlock, err := lockIndex(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	left, failed := removeLeft(ctx)
	r, err = takeRoom()
	if err != nil {
		return nil, left, errors.Join(failed, err)
	}
	return r, left, errors.Join(failed, r.hold(ctx))
}

// lockIndex waits until no other process takes or removes rooms.
func lockIndex(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(index, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(index)
	if err != nil {
		return nil, err
	}
	err = await(ctx, "the lock of "+index, func(context.Context) error { return lock(dir) })
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return func() { _ = dir.Close() }, nil
}

// lock takes the lock of a file unless another open file has it.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// removeLeft removes the rooms whose lock is free and returns their names.
func removeLeft(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(index)
	if err != nil {
		return nil, err
	}
	var left []string
	var failed []error
	for _, entry := range entries {
		file, err := os.Open(filepath.Join(index, entry.Name()))
		if err != nil {
			continue // its keeper was faster
		}
		if lock(file) == nil {
			left = append(left, entry.Name())
			failed = append(failed, removeRoom(ctx, file))
		}
		failed = append(failed, file.Close())
	}
	return left, errors.Join(failed...)
}

// removeRoom removes the room of a file of the index.
func removeRoom(ctx context.Context, file *os.File) error {
	dir, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if len(dir) == 0 { // its process was killed before it made a directory
		return os.Remove(file.Name())
	}
	script := exec.CommandContext(ctx, "sh", "-s", "--", "clear", string(dir), index)
	script.Stdin = strings.NewReader(keeperScript)
	return run(script)
}

// takeRoom makes the directory of a room and its file in the index.
func takeRoom() (*room, error) {
	r := &room{name: "keepmum-lab-" + strings.ToLower(rand.Text()[:8])}
	r.dir = filepath.Join(os.TempDir(), r.name)
	if longest := filepath.Join(r.dir, "n20", "docker.sock"); len(longest) > 107 {
		return nil, fmt.Errorf("%s is too long for the address of a socket: set TMPDIR", longest)
	}
	file, err := os.OpenFile(filepath.Join(index, r.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r.lock = file
	_, err = file.WriteString(r.dir)
	if err := errors.Join(err, lock(file), os.Mkdir(r.dir, 0o700)); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return r, nil
}

// hold starts the keeper and waits for the room's first process.
func (r *room) hold(ctx context.Context) error {
	script := filepath.Join(r.dir, "keeper.sh")
	if err := os.WriteFile(script, []byte(keeperScript), 0o600); err != nil {
		return err
	}
	keeper := exec.Command("sh", script, "hold", r.dir, index)
	keeper.Env = []string{path()}
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal to the tests reaches it
	alive, err := keeper.StdinPipe()
	if err == nil {
		err = logTo(keeper, filepath.Join(r.dir, "keeper.log"))
	}
	if err != nil {
		return err
	}
	r.alive, r.held = alive, make(chan struct{})
	go func() {
		r.failed = keeper.Wait()
		close(r.held)
	}()
	r.pid, err = pidIn(ctx, filepath.Join(r.dir, "room"), r.held)
	return r.explained(err, "keeper.log")
}

// logTo starts a command whose output goes to a file, which it shares with nobody.
func logTo(cmd *exec.Cmd, path string) error {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	return errors.Join(cmd.Start(), log.Close())
}

// pidIn waits for a file with a process id that a process writes. It ends early
// when that process has ended.
func pidIn(ctx context.Context, path string, ended <-chan struct{}) (pid int, err error) {
	err = await(ctx, "process "+filepath.Base(path), func(context.Context) error {
		text, err := os.ReadFile(path)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		select {
		case <-ended:
			return final{errors.New("it has ended")}
		default:
			return err
		}
	})
	return pid, err
}

// explained adds the end of a log of the room to an error.
func (r *room) explained(err error, log string) error {
	if err == nil {
		return nil
	}
	text, _ := os.ReadFile(filepath.Join(r.dir, log)) // there may be none
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%w\n%s ends with:\n%s", err, log, strings.Join(lines[max(0, len(lines)-8):], "\n"))
}

// furnish makes the switch and starts the name server. It compiles the helper.
func (r *room) furnish(ctx context.Context) error {
	if err := r.buildHelper(ctx); err != nil {
		return err
	}
	err := r.links(ctx, "link set lo up", "link add br0 type bridge", "link set br0 up", "addr add "+switchAt+"/24 dev br0")
	if err != nil {
		return err
	}
	server := exec.Command("nsenter", "--target", strconv.Itoa(r.pid), "--net", "--pid", r.helperPath(), "resolver", switchAt+":53")
	server.Env = []string{path()}
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := logTo(server, filepath.Join(r.dir, "resolver.log")); err != nil {
		return err
	}
	go func() { _ = server.Wait() }() // it ends with the room
	return nil
}

// links runs lines of ip in the network namespace of the switch.
func (r *room) links(ctx context.Context, lines ...string) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(r.pid), "--net", "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	cmd.Env = []string{path()}
	return run(cmd)
}

// run runs a command to its end. The error has what it printed.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// close lets the keeper remove the room and waits for it.
func (r *room) close() error {
	defer r.lock.Close()
	if r.held == nil { // it could not be started
		return errors.Join(os.RemoveAll(r.dir), os.Remove(r.lock.Name()))
	}
	_ = r.alive.Close() // closed already if the keeper has ended
	select {
	case <-r.held:
		if r.failed != nil {
			return r.explained(fmt.Errorf("%s is not removed: %w", r.name, r.failed), "keeper.log")
		}
		return nil
	case <-time.After(closeTime):
		return fmt.Errorf("%s is not removed after %s", r.name, closeTime)
	}
}
