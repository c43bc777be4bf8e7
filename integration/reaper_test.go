//go:build integration && unix

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/testcontainers/testcontainers-go"
)

const (
	// reaperVariable names the temporary directory of the tests in the
	// environment of their reaper: a process of this binary that waits for their
	// end, however they end, and then removes what they have left.
	reaperVariable = "KEEPMUM_TEST_REAPER"
	// victimVariable is set for a process that is to be killed.
	victimVariable = "KEEPMUM_TEST_VICTIM"
)

// reap is the life of a reaper. It tells whether this process is one.
func reap() bool {
	own, is := os.LookupEnv(reaperVariable)
	if !is {
		return false
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // its other end is closed by the system at the latest
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err == nil {
		defer docker.Close()
		_, err = removeLeft(ctx, docker, leftovers())
	}
	if err := errors.Join(err, os.RemoveAll(own)); err != nil {
		os.Exit(1) // nobody hears it: the next run tries again
	}
	return true
}

// standBy starts the reaper of this process, in a session of its own, which no
// signal to the tests reaches. What it returns ends it.
func standBy(own string) (end func(), err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), reaperVariable+"="+own, "TMPDIR="+sharedTemporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { _ = errors.Join(alive.Close(), cmd.Wait()) }, nil // it has nothing to do, so its verdict says nothing
}

// TestAKilledRunLeavesNothing: what a process of these tests has made on the
// engine and on the disk is removed when it is killed, without another run.
func TestAKilledRunLeavesNothing(t *testing.T) {
	if os.Getenv(victimVariable) != "" {
		beKilled(t)
	}
	p := &project{t: t}
	p.connect()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), victimVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	name, home := "", ""
	for lines := bufio.NewScanner(out); name == "" && lines.Scan(); {
		if made, is := strings.CutPrefix(lines.Text(), "victim "); is {
			name, home, _ = strings.Cut(made, " ")
		}
	}
	t.Cleanup(func() { // what the reaper has left, where it fails
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := removeProject(ctx, p.docker, name); name != "" && err != nil {
			t.Error(err)
		}
	})
	kill := errors.Join(cmd.Process.Kill(), cmd.Wait())
	if _, err := os.Stat(home); name == "" || err != nil || cmd.ProcessState.Success() {
		t.Fatalf("the process to be killed made nothing: %q, %v, %v", name, err, kill)
	}
	poll(t, time.Minute, "nothing of a killed run is left", func() bool {
		found, err := projectsOnEngine(t.Context(), p.docker)
		if err != nil {
			t.Fatal(err)
		}
		_, onEngine := found[name]
		_, err = os.Stat(home)
		return !onEngine && errors.Is(err, fs.ErrNotExist)
	})
}

// beKilled makes a project, says its name, and waits for its end.
func beKilled(t *testing.T) {
	p := &project{t: t}
	p.connect()
	p.takeHome()
	label := map[string]string{labelProject: p.name}
	_, nErr := p.docker.NetworkCreate(t.Context(), p.name+"_edge", network.CreateOptions{Labels: label})
	_, vErr := p.docker.VolumeCreate(t.Context(), volume.CreateOptions{Name: p.name + "_database", Labels: label})
	if err := errors.Join(nErr, vErr); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("victim %s %s\n", p.name, p.home)
	<-t.Context().Done()
}
