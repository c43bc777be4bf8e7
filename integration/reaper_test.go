//go:build integration && unix

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/integration/reaper"
)

// victimVariable is set for a process that will be killed.
const victimVariable = "KEEPMUM_TEST_VICTIM"

// clean removes the containers, networks and files that these tests, or an
// earlier run, left when they were killed.
func clean(ctx context.Context, mark string) error {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err == nil {
		defer docker.Close()
		_, err = removeLeft(ctx, docker, leftovers())
	}
	return errors.Join(err, os.RemoveAll(ownTemporary(mark)))
}

// When a test process is killed, the reaper removes what it made on the engine
// and on disk, without another run.
func TestReaper_CleansUpAfterKill(t *testing.T) {
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
	t.Cleanup(func() { // in case the reaper fails
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if name == "" {
			return
		}
		if _, err := reaper.Remove(ctx, p.docker, name); err != nil {
			t.Error(err)
		}
	})
	kill := errors.Join(cmd.Process.Kill(), cmd.Wait())
	if _, err := os.Stat(home); name == "" || err != nil || cmd.ProcessState.Success() {
		t.Fatalf("the process that was killed made nothing: %q, %v, %v", name, err, kill)
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

// beKilled makes a project, prints its name, and waits to be killed.
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
