//go:build swarm && linux

package swarmlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// The limits of one call.
const (
	upTime    = 3 * time.Minute // a lab of five on a busy machine
	waitTime  = 2 * time.Minute // for a state of the Swarm; an election may take 30 s
	closeTime = 90 * time.Second
	askTime   = 5 * time.Second // for one answer, where the question is repeated
)

// The addresses are the same in each lab.
const (
	subnet   = "10.77.0."
	switchAt = subnet + "1"
	firstAt  = 11 // node 1
)

// Options says which lab [Up] makes. Without a node it is refused.
type Options struct {
	Managers int // the nodes from 1 on: one, three or five
	Workers  int // the nodes after the managers
	Alone    int // engines that are in no Swarm, after the workers

	// Heartbeat is how often a node reports to the leader; 0 is the engine's
	// 5 s. A node is down after three that are missed. With less than 1 s, nodes
	// seem to be down around elections.
	Heartbeat time.Duration

	// Labels are labels of engines, such as "disk=fast", by the number of the node.
	Labels map[int][]string

	// Arguments are further arguments of every dockerd.
	Arguments []string
}

// refused says what is wrong with the options; empty: nothing.
func (o Options) refused() string {
	switch {
	case o.Managers < 0 || o.Workers < 0 || o.Alone < 0 || o.nodes() == 0:
		return "a lab has one node or more"
	case o.nodes() > 20:
		return "a lab has 20 nodes at most"
	case o.Managers == 0 && o.Workers > 0:
		return "workers need a manager"
	}
	for number := range o.Labels {
		if number < 1 || number > o.nodes() {
			return fmt.Sprintf("there is no node %d to label", number)
		}
	}
	return ""
}

func (o Options) nodes() int { return o.Managers + o.Workers + o.Alone }

// Lab is a Swarm that runs. Its methods fail the test that they are given. They
// may be called from several goroutines, but not two that change the same node.
type Lab struct {
	options Options
	room    *room
	nodes   []*Node
}

// Up makes a lab, which ends with the test, and removes those that killed
// processes left. It returns when all nodes of the Swarm are ready.
func Up(t testing.TB, o Options) *Lab {
	t.Helper()
	if problem := errors.Join(missing(os.Geteuid(), find), optionsError(o)); problem != nil {
		t.Fatal(problem)
	}
	ctx, cancel := context.WithTimeout(t.Context(), upTime)
	defer cancel()
	r, left, err := openRoom(ctx)
	if r != nil {
		t.Cleanup(func() {
			if err := r.close(); err != nil {
				t.Error(err)
			}
		})
	}
	if len(left) > 0 {
		t.Logf("removed labs of processes that were killed: %v", left)
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{options: o, room: r}
	if err := l.build(ctx, t); err != nil {
		t.Fatal(err)
	}
	return l
}

// optionsError is refused as an error.
func optionsError(o Options) error {
	if problem := o.refused(); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// build starts switch, nodes and Swarm.
func (l *Lab) build(ctx context.Context, t testing.TB) error {
	if err := l.room.furnish(ctx); err != nil {
		return err
	}
	for number := 1; number <= l.options.nodes(); number++ {
		n, err := newNode(l.room, number, l.options)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = n.client.Close() }) // its engine ends too
		l.nodes = append(l.nodes, n)
	}
	if err := each(l.nodes, func(n *Node) error { return n.start(ctx) }); err != nil {
		return err
	}
	if l.options.Managers == 0 {
		return nil
	}
	if err := l.form(ctx); err != nil {
		return err
	}
	return l.awaitReady(ctx, l.members())
}

// each does something with all nodes at a time and joins the errors.
func each(nodes []*Node, do func(*Node) error) error {
	failed := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { failed <- do(n) }()
	}
	var all []error
	for range nodes {
		all = append(all, <-failed)
	}
	return errors.Join(all...)
}

// Nodes returns all nodes, the first first.
func (l *Lab) Nodes() []*Node { return slices.Clone(l.nodes) }

// Node returns a node by its number, from 1: managers first, then workers, then
// engines in no Swarm.
func (l *Lab) Node(number int) *Node { return l.nodes[number-1] }

// members are the nodes of the Swarm.
func (l *Lab) members() []*Node { return l.nodes[:l.options.Managers+l.options.Workers] }

// managers are the managers that are meant to answer.
func (l *Lab) managers() []*Node {
	return slices.DeleteFunc(slices.Clone(l.nodes[:l.options.Managers]), func(n *Node) bool { return !n.reachable() })
}

// final is an answer that will not change.
type final struct{ error }

// await asks until there is no error, a tenth of a second after each answer. At
// the end of the context it returns the last error, and a final one at once.
func await(ctx context.Context, what string, ask func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, askTime)
		err := ask(one)
		cancel()
		if err == nil {
			return nil
		}
		var end final
		if errors.As(err, &end) {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; the last answer: %w", what, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// waiting is the context of a call that waits.
func waiting(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), waitTime)
}

// packages are the programs that a lab needs, by the Debian package.
var packages = [...]struct {
	name     string
	programs []string
}{
	{"docker.io", []string{"dockerd", "containerd", "runc"}},
	{"iproute2", []string{"ip"}},
	{"iptables", []string{"iptables"}},
	{"util-linux", []string{"nsenter", "unshare", "setpriv", "mount"}},
	{"Go", []string{"go"}},
}

// missing names everything that a lab needs and this machine does not have.
func missing(user int, find func(string) (string, error)) error {
	var problems []string
	if user != 0 {
		problems = append(problems, "it makes namespaces and mounts, so it has to run as root")
	}
	for _, p := range packages {
		for _, program := range p.programs {
			if _, err := find(program); err != nil {
				problems = append(problems, fmt.Sprintf("%s is not found: install %s", program, p.name))
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New("no lab can be made here:\n  " + strings.Join(problems, "\n  "))
}

// further directories hold programs of the administrator.
const further = "/usr/local/sbin:/usr/sbin:/sbin"

// path is the PATH of everything that a lab runs.
func path() string { return "PATH=" + os.Getenv("PATH") + ":" + further }

// find is exec.LookPath that looks in further too.
func find(program string) (string, error) {
	found, err := exec.LookPath(program)
	for _, dir := range strings.Split(further, ":") {
		if err != nil {
			found, err = exec.LookPath(filepath.Join(dir, program))
		}
	}
	return found, err
}

// connect makes a client for an engine that may not run yet.
func connect(host string) (*client.Client, error) {
	return client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
}
