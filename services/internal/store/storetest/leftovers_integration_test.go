//go:build integration && unix

package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/gofrs/flock"
	"github.com/testcontainers/testcontainers-go"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// A server whose lock is not held is removed, and none that is in use, here or
// elsewhere.
func TestLeftoversOfAKilledTestBinaryAreRemoved(t *testing.T) {
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	check(t, err)
	t.Cleanup(func() { docker.Close() })
	dir, image := t.TempDir(), image(t.Context(), t)
	ids := map[string]string{}
	for _, state := range []string{"killed", "at work", "elsewhere"} {
		made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: image, Labels: map[string]string{labelOwner: "test-" + state}}, nil, nil, nil, "")
		check(t, err)
		ids[state] = made.ID
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}) // it may be gone, as it has to be
		})
		if state == "elsewhere" {
			continue
		}
		lock := flock.New(filepath.Join(dir, "test-"+state+".lock"))
		if held, err := lock.TryLock(); err != nil || !held {
			t.Fatal(held, err)
		}
		if state == "killed" { // the system gives its lock back
			check(t, lock.Close())
		} else {
			defer lock.Close()
		}
	}
	me, err := own(t.Context(), docker, dir)
	check(t, err)
	check(t, me.release())
	for state, id := range ids {
		_, err := docker.ContainerInspect(t.Context(), id)
		if left := err == nil; left != (state != "killed") {
			t.Errorf("%s: still on the engine: %t (%v)", state, left, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != "test-at work.lock" {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

// victimVariable is set for a test binary that is to be killed.
const victimVariable = "KEEPMUM_TEST_VICTIM"

// TestKilledTestBinaryLeavesNoServer: its server goes without another run.
func TestKilledTestBinaryLeavesNoServer(t *testing.T) {
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	check(t, err)
	t.Cleanup(func() { docker.Close() })
	if os.Getenv(victimVariable) != "" {
		me, err := own(t.Context(), docker, locks())
		check(t, err)
		made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: image(t.Context(), t), Labels: map[string]string{labelOwner: me.name}}, nil, nil, nil, "")
		check(t, err)
		fmt.Println(made.ID)
		<-t.Context().Done()
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victimVariable+"=1", "TMPDIR="+t.TempDir()) // where its locks are: others do not clean up behind it
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	id := ""
	for lines := bufio.NewScanner(out); len(id) != 64 && lines.Scan(); {
		id = lines.Text()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}) // it is gone, as it has to be
	})
	_, made := docker.ContainerInspect(t.Context(), id)
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	check(t, made)
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if _, err := docker.ContainerInspect(t.Context(), id); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server of a killed test binary is still there")
		}
	}
}
