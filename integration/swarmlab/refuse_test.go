//go:build swarm && linux

package swarmlab

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// refused is a test that may fail.
type refused struct {
	testing.TB
	said string
}

func (r *refused) Fatal(args ...any) {
	r.said = strings.TrimSpace(fmt.Sprintln(args...))
	runtime.Goexit()
}

func (r *refused) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

// refusal is the message with which a function ends its test; empty: it does not.
func refusal(t *testing.T, do func(testing.TB)) string {
	t.Helper()
	r := &refused{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do(r)
	}()
	<-ended
	return r.said
}

func TestMissing_NamesEveryPackage(t *testing.T) {
	nothing := func(string) (string, error) { return "", exec.ErrNotFound }
	all := func(name string) (string, error) { return "/bin/" + name, nil }
	if err := missing(0, all); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	if err := missing(1000, all); err == nil || !strings.Contains(err.Error(), "run as root") || strings.Contains(err.Error(), "install") {
		t.Errorf("not root: %v", err)
	}
	err := missing(0, nothing)
	if err == nil || strings.Contains(err.Error(), "root") {
		t.Fatalf("nothing is there: %v", err)
	}
	for _, line := range []string{"dockerd is not found: install docker.io", "ip is not found: install iproute2", "iptables is not found: install iptables", "nsenter is not found: install util-linux", "unshare is not found: install util-linux"} {
		if !strings.Contains(err.Error(), "\n  "+line) {
			t.Errorf("no line %q in %v", line, err)
		}
	}
}

// find looks where an administrator's programs are, even if PATH does not.
func TestFind(t *testing.T) {
	t.Setenv("PATH", "/usr/bin")
	if found, err := find("dockerd"); err != nil || filepath.Base(found) != "dockerd" {
		t.Errorf("%q, %v", found, err)
	}
	if _, err := find("no-such-program"); !errors.Is(err, exec.ErrNotFound) && err == nil {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestUp_RefusesOptionsThatMakeNoLab(t *testing.T) {
	for want, o := range map[string]Options{
		"a lab has one node or more":    {},
		"workers need a manager":        {Workers: 2},
		"a lab has 20 nodes at most":    {Managers: 1, Alone: 20},
		"there is no node 2 to label":   {Managers: 1, Labels: map[int][]string{2: {"a=b"}}},
		"there is no node 0 to label":   {Managers: 1, Labels: map[int][]string{0: {"a=b"}}},
		"a lab has one node or more\n":  {Managers: -1, Alone: 3},
		"a lab has one node or more\n ": {Managers: 2, Workers: -1},
	} {
		if said := refusal(t, func(t testing.TB) { Up(t, o) }); said != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, should be %q", o, said, want)
		}
	}
}

// An engine that ends at once is not waited for, and the message has its log.
func TestUp_ShowsTheLogOfAnEngineThatDoesNotStart(t *testing.T) {
	t.Run("lab", func(t *testing.T) {
		said := refusal(t, func(t testing.TB) { Up(t, Options{Alone: 1, Arguments: []string{"--no-such-argument"}}) })
		if !strings.Contains(said, "dockerd has ended") || !strings.Contains(said, "unknown flag: --no-such-argument") {
			t.Errorf("%q", said)
		}
	})
	if err := exec.Command("pgrep", "-f", "no-such-argument").Run(); err == nil {
		t.Error("a process of the lab is left")
	}
}

func TestFaults_AreRefusedWhereTheyMeanNothing(t *testing.T) {
	l := Up(t, Options{Alone: 1})
	n := l.Node(1)
	want := func(what, part string, do func(testing.TB)) {
		t.Helper()
		if said := refusal(t, do); !strings.Contains(said, part) {
			t.Errorf("%s: %q, should have %q", what, said, part)
		}
	}
	want("start with power", "n1 has power", n.Start)
	want("restart without a crash", "n1 has not crashed", n.Restart)
	n.Crash(t)
	n.Restart(t)
	want("restart twice", "n1 has not crashed", n.Restart)
	n.Power(t)
	want("power twice", "n1 has no power", n.Power)
	want("restart without power", "n1 has not crashed", n.Restart)
	want("import without a node", "no node has power", func(t testing.TB) { l.LoadHelper(t) })
	n.Start(t)
}

// Whoever is connected to a node that loses its power hears nothing of it; the
// end of a process closes its connections.
func TestPower_IsSilent(t *testing.T) {
	l := Up(t, Options{Managers: 1, Alone: 1})
	const swarmPort = 2377
	for _, c := range []struct {
		name string
		end  func(testing.TB)
		want string
	}{{"crash", l.Node(1).Crash, "closed"}, {"power loss", l.Node(1).Power, "silent"}} {
		peer := l.Node(2).Command(t.Context(), "bash", "-c",
			fmt.Sprintf(`exec 3<>/dev/tcp/%s/%d && echo connected && read -r -t 2 -u 3; [ $? -gt 128 ] && echo silent || echo closed`, l.Node(1).IP(), swarmPort))
		out, err := peer.StdoutPipe()
		if err == nil {
			err = peer.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if lines.Scan(); lines.Text() != "connected" {
			t.Fatalf("%s: %q", c.name, lines.Text())
		}
		c.end(t)
		if lines.Scan(); lines.Text() != c.want {
			t.Errorf("a peer finds a %s %q, should be %q", c.name, lines.Text(), c.want)
		}
		_ = peer.Wait() // it has said how it ended
		if c.want == "closed" {
			l.Node(1).Restart(t)
			l.WaitReady(t)
		}
	}
}
