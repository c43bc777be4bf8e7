//go:build integration && unix

package storetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/gofrs/flock"
	"github.com/testcontainers/testcontainers-go"
)

// TestWhatAKilledTestBinaryLeftIsRemoved: a server whose lock nobody holds is
// removed, and none that somebody works with, here or elsewhere.
func TestWhatAKilledTestBinaryLeftIsRemoved(t *testing.T) {
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
