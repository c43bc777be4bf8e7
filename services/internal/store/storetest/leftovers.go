//go:build integration && unix

package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/gofrs/flock"
	"github.com/testcontainers/testcontainers-go"
)

const (
	// labelOwner names the lock of the test binary that a server belongs to.
	labelOwner = "io.keepmum.storetest"
	// abandoned is the age from which a server without a lock here cannot be in
	// use any more.
	abandoned = 2 * time.Hour
)

// owner is this test binary, as other runs see it: a lock that ends with the
// process however it ends.
type owner struct {
	name string
	lock *flock.Flock
}

// own removes the servers of test binaries that were killed, and takes a name.
func own(ctx context.Context, docker *testcontainers.DockerClient, dir string) (*owner, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := removeLeft(ctx, docker, dir); err != nil {
		return nil, err
	}
	o := &owner{name: strings.ToLower(rand.Text())}
	o.lock = flock.New(filepath.Join(dir, o.name+".lock"))
	if held, err := o.lock.TryLock(); err != nil || !held {
		return nil, fmt.Errorf("the lock of this test binary cannot be taken: %w", err)
	}
	return o, nil
}

// release gives the lock back.
func (o *owner) release() error { return errors.Join(os.Remove(o.lock.Path()), o.lock.Close()) }

// locks is the directory of the locks.
func locks() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("keepmum-storetest-%d", os.Getuid()))
}

// removeLeft removes the servers whose lock is not held, and those of other
// machines that are too old to be in use.
func removeLeft(ctx context.Context, docker *testcontainers.DockerClient, dir string) error {
	all, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelOwner))})
	if err != nil {
		return err
	}
	var failed []error
	for _, one := range all {
		path := filepath.Join(dir, filepath.Base(one.Labels[labelOwner])+".lock")
		if _, err := os.Stat(path); err != nil {
			if time.Since(time.Unix(one.Created, 0)) < abandoned {
				continue // of another machine, or of another user
			}
		} else {
			lock := flock.New(path)
			if held, err := lock.TryLock(); err != nil || !held {
				continue // in use
			}
			defer lock.Close()
			defer os.Remove(path)
		}
		failed = append(failed, docker.ContainerRemove(ctx, one.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	return errors.Join(failed...)
}
