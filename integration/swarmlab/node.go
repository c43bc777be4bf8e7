//go:build swarm && linux

package swarmlab

import (
	"context"
	_ "embed" // node.sh
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/docker/docker/client"
)

//go:embed node.sh
var nodeScript string

// Node is an engine of a lab. Its hostname is n1, n2, and so on.
type Node struct {
	room      *room
	number    int
	dir       string
	client    *client.Client
	arguments []string // of dockerd

	mu     sync.Mutex
	pid    int           // of the node's first process
	ended  chan struct{} // closed when that has ended; nil: never started
	linked bool
}

// newNode makes the files of a node.
func newNode(r *room, number int, o Options) (*Node, error) {
	n := &Node{room: r, number: number}
	n.dir = filepath.Join(r.dir, n.Name())
	err := errors.Join(os.Mkdir(n.dir, 0o700),
		os.WriteFile(n.file("node.sh"), []byte(nodeScript), 0o600),
		// Not the machine's: a setting that is an argument too is refused.
		os.WriteFile(n.file("daemon.json"), []byte("{}"), 0o600))
	if err != nil {
		return nil, err
	}
	n.arguments = []string{"--host", n.Host(), "--data-root", n.file("data"), "--config-file", n.file("daemon.json"),
		"--cgroup-parent", "/" + r.name + "/" + n.Name()}
	for _, label := range o.Labels[number] {
		n.arguments = append(n.arguments, "--label", label)
	}
	n.arguments = append(n.arguments, o.Arguments...)
	n.client, err = connect(n.Host())
	return n, err
}

// Name is the node's hostname, which is unique in the lab.
func (n *Node) Name() string { return "n" + strconv.Itoa(n.number) }

// Host is the address of the engine on this machine, for DOCKER_HOST.
func (n *Node) Host() string { return "unix://" + n.file("docker.sock") }

// Client is a client of the engine, also of one that has lost its power.
func (n *Node) Client() *client.Client { return n.client }

// IP is the node's address in the lab.
func (n *Node) IP() string { return subnet + strconv.Itoa(firstAt+n.number-1) }

// file is a file of the node.
func (n *Node) file(name string) string { return filepath.Join(n.dir, name) }

// port is the node's interface in the switch.
func (n *Node) port() string { return "p" + strconv.Itoa(n.number) }

// start powers the node on and waits for its engine.
func (n *Node) start(ctx context.Context) error {
	for _, state := range []string{"pid", "exited", "restart"} {
		if err := os.RemoveAll(n.file(state)); err != nil {
			return err
		}
	}
	args := append([]string{"--target", strconv.Itoa(n.room.pid), "--pid",
		"unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
		"sh", n.file("node.sh"), n.dir, n.Name(), n.IP() + "/24", switchAt}, n.arguments...)
	cmd := exec.Command("nsenter", args...)
	cmd.Env = []string{path(), "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := logTo(cmd, n.file("node.log")); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	pid, err := pidIn(ctx, n.file("pid"), ended)
	if err != nil {
		return n.room.explained(err, filepath.Join(n.Name(), "node.log"))
	}
	n.mu.Lock()
	n.pid, n.ended, n.linked = pid, ended, true
	n.mu.Unlock()
	// The address of the interface stays the same, so that no neighbour has an old one.
	err = n.room.links(ctx, fmt.Sprintf("link add %s type veth peer name eth0 address 02:6b:6d:00:00:%02x netns %d", n.port(), n.number, pid),
		"link set "+n.port()+" master br0 up")
	if err != nil {
		return err
	}
	return n.answers(ctx)
}

// answers waits until the engine does.
func (n *Node) answers(ctx context.Context) error {
	err := await(ctx, "the engine of "+n.Name(), func(ctx context.Context) error {
		if n.off() {
			return final{errors.New("the node has ended")}
		}
		if n.crashed() {
			return final{errors.New("dockerd has ended")}
		}
		_, err := n.client.Ping(ctx)
		return err
	})
	if err != nil {
		err = n.room.explained(err, filepath.Join(n.Name(), "node.log"))
	}
	return n.room.explained(err, filepath.Join(n.Name(), "dockerd.log"))
}

// state is where the node's first process is, and whether the node is linked.
func (n *Node) state() (pid int, ended chan struct{}, linked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pid, n.ended, n.linked
}

// off reports whether the node has no power.
func (n *Node) off() bool {
	_, ended, _ := n.state()
	if ended == nil {
		return true
	}
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// reachable reports whether other nodes can reach this one.
func (n *Node) reachable() bool {
	_, _, linked := n.state()
	return linked && !n.off()
}

// Power takes the node's power away: its link is cut first, so that no connection
// is closed in good order, and then all of its processes are killed. Its disk
// stays.
func (n *Node) Power(t testing.TB) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	if n.off() {
		t.Fatalf("%s has no power", n.Name())
	}
	pid, ended, _ := n.state()
	n.link(false)
	if err := errors.Join(n.room.links(ctx, "link del "+n.port()), syscall.Kill(pid, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatalf("the processes of %s do not end", n.Name())
	}
}

// Start powers a node on that has no power, and waits for its engine.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	if !n.off() {
		t.Fatalf("%s has power", n.Name())
	}
	if err := n.start(ctx); err != nil {
		t.Fatal(err)
	}
}

// Crash kills dockerd with SIGKILL. The containers of the node run on.
func (n *Node) Crash(t testing.TB) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	pid, _, _ := n.state()
	err := run(exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(pid), "--mount", "--pid", "sh", "-c", "kill -9 $(cat /run/docker.pid)"))
	if err == nil {
		err = await(ctx, "the end of dockerd on "+n.Name(), func(context.Context) error {
			_, err := os.Stat(n.file("exited"))
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crashed reports whether dockerd has ended, and was not run again.
func (n *Node) crashed() bool {
	_, err := os.Stat(n.file("exited"))
	return err == nil
}

// Restart runs dockerd again after a crash and waits for the engine.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	if n.off() || !n.crashed() {
		t.Fatalf("dockerd of %s has not crashed", n.Name())
	}
	err := errors.Join(os.Remove(n.file("exited")), os.WriteFile(n.file("restart"), nil, 0o600))
	if err == nil {
		err = n.answers(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Link cuts the node's link or makes it again.
func (n *Node) Link(t testing.TB, up bool) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	word := map[bool]string{true: "up", false: "down"}[up]
	if err := n.room.links(ctx, "link set "+n.port()+" "+word); err != nil {
		t.Fatal(err)
	}
	n.link(up)
}

// link notes whether the node is linked.
func (n *Node) link(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linked = up
}

// Command is a program of this machine in the node's network. It ends with the
// context and with the test process. The node needs power.
func (n *Node) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	pid, _, _ := n.state()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net", "setpriv", "--pdeathsig", "KILL", program}, args...)...)
	cmd.Env = []string{path()}
	return cmd
}
