//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/gofrs/flock"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/integration/reaper"
)

const (
	// namePrefix begins the name of every project of this test. Nothing else on
	// the engine is touched.
	namePrefix = "keepmum-it-"
	// imagePrefix begins the name of every image that the test builds: crash
	// variants and the helper. The tag is the name of the project.
	imagePrefix = "keepmum-integration/"
	// abandoned is the age from which on a project without a lock here cannot be
	// in use.
	abandoned = 2 * time.Hour

	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
)

// takeHome takes a name and a directory for the project, under a lock that ends
// with this process however it ends. Projects whose lock is not held are removed.
func (p *project) takeHome() {
	p.t.Helper()
	base := leftovers()
	if err := os.MkdirAll(base, 0o700); err != nil {
		p.t.Fatal(err)
	}
	removed, err := removeLeft(p.t.Context(), p.docker, base)
	if err != nil {
		p.t.Error(err)
	}
	if len(removed) > 0 {
		p.t.Logf("removed what a killed run left: %v", removed)
	}
	p.name = namePrefix + random(p.t, "abcdefghijklmnopqrstuvwxyz0123456789", 8)
	p.home = filepath.Join(base, p.name)
	if err := os.Mkdir(p.home, 0o700); err != nil {
		p.t.Fatal(err)
	}
	lock := flock.New(p.home + ".lock")
	if held, err := lock.TryLock(); err != nil || !held {
		p.t.Fatalf("the project's lock cannot be taken: %v", err)
	}
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		stuck, err := reaper.Remove(ctx, p.docker, p.name)
		if err != nil {
			p.t.Error(err)
		}
		if len(stuck) > 0 {
			p.t.Logf("the engine does not remove %v, to which nothing is attached: remove them after its next start", stuck)
		} else if left, err := projectsOnEngine(ctx, p.docker); err != nil || !left[p.name].IsZero() {
			p.t.Errorf("the engine still has parts of %s: %v", p.name, err)
		}
		if err := errors.Join(os.RemoveAll(p.home), lock.Unlock(), os.Remove(p.home+".lock")); err != nil {
			p.t.Error(err)
		}
	})
}

// leftovers is the directory of locks, and of the files of projects.
func leftovers() string {
	return filepath.Join(sharedTemporary, fmt.Sprintf("keepmum-integration-%d", os.Getuid()))
}

// stay has the projects that the engine cannot remove completely: waiting for
// that once is enough.
var stay sync.Map

// removeLeft removes the projects of runs that were killed, and returns their
// names.
func removeLeft(ctx context.Context, docker *testcontainers.DockerClient, base string) ([]string, error) {
	dead := map[string]bool{}
	locks, err := filepath.Glob(filepath.Join(base, namePrefix+"*.lock"))
	if err != nil {
		return nil, err
	}
	alive := map[string]bool{}
	for _, path := range locks {
		name := strings.TrimSuffix(filepath.Base(path), ".lock")
		lock := flock.New(path)
		held, err := lock.TryLock()
		if err != nil || !held {
			alive[name] = true
			continue
		}
		defer lock.Unlock()
		dead[name] = true
	}
	found, err := projectsOnEngine(ctx, docker)
	if err != nil {
		return nil, err
	}
	for name, made := range found {
		if !alive[name] && time.Since(made) > abandoned {
			dead[name] = true
		}
	}
	removed, failed := []string{}, []error{}
	for _, name := range slices.Sorted(maps.Keys(dead)) {
		if _, tried := stay.Load(name); tried {
			continue
		}
		home := filepath.Join(base, name)
		stuck, err := reaper.Remove(ctx, docker, name)
		if len(stuck) > 0 {
			stay.Store(name, true)
		} else {
			removed = append(removed, name)
		}
		failed = append(failed, err, os.RemoveAll(home), os.RemoveAll(home+".lock"))
	}
	return removed, errors.Join(failed...)
}

// projectsOnEngine returns the projects of this test that the engine has parts
// of, with the time of the latest part.
func projectsOnEngine(ctx context.Context, docker *testcontainers.DockerClient) (map[string]time.Time, error) {
	found := map[string]time.Time{}
	seen := func(name string, at time.Time) {
		if strings.HasPrefix(name, namePrefix) && !at.Before(found[name]) {
			found[name] = at
		}
	}
	containers, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	for _, c := range containers {
		seen(c.Labels[labelProject], time.Unix(c.Created, 0))
	}
	networks, nErr := docker.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	for _, n := range networks {
		seen(n.Labels[labelProject], n.Created)
	}
	volumes, vErr := docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	for _, v := range volumes.Volumes {
		made, _ := time.Parse(time.RFC3339, v.CreatedAt)
		seen(v.Labels[labelProject], made)
	}
	images, iErr := docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", imagePrefix+"*"))})
	for _, i := range images {
		for _, tag := range i.RepoTags {
			// The images of services have no real date; that of the helper, which
			// is built first, has.
			seen(tag[strings.LastIndex(tag, ":")+1:], time.Unix(i.Created, 0))
		}
	}
	return found, errors.Join(err, nErr, vErr, iErr)
}

// A project whose lock is not held is removed, and one that is in use, here or on
// another machine, is not.
func TestRemoveLeft(t *testing.T) {
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	base := t.TempDir()
	names := map[string]string{}
	for _, state := range []string{"killed", "in use", "elsewhere"} {
		name := namePrefix + random(t, "abcdefghijklmnopqrstuvwxyz", 8)
		names[state] = name
		t.Cleanup(func() {
			if _, err := reaper.Remove(context.Background(), docker, name); err != nil {
				t.Error(err)
			}
		})
		label := map[string]string{labelProject: name}
		_, nErr := docker.NetworkCreate(t.Context(), name+"_edge", network.CreateOptions{Labels: label})
		_, vErr := docker.VolumeCreate(t.Context(), volume.CreateOptions{Name: name + "_database", Labels: label})
		if err := errors.Join(nErr, vErr); err != nil {
			t.Fatal(err)
		}
		if state == "elsewhere" {
			continue
		}
		lock := flock.New(filepath.Join(base, name+".lock"))
		if held, err := lock.TryLock(); err != nil || !held {
			t.Fatal(held, err)
		}
		if state == "killed" { // the system gives its lock back
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			defer lock.Close()
		}
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := removeLeft(t.Context(), docker, base)
	if err != nil || !slices.Contains(removed, names["killed"]) || slices.Contains(removed, names["in use"]) {
		t.Errorf("removed %v: %v", removed, err)
	}
	found, err := projectsOnEngine(t.Context(), docker)
	if err != nil {
		t.Fatal(err)
	}
	for state, name := range names {
		if _, left := found[name]; left != (state != "killed") {
			t.Errorf("%s: still on the engine: %t", state, left)
		}
	}
	if left, err := filepath.Glob(filepath.Join(base, "*")); err != nil || len(left) != 2 || !strings.HasPrefix(filepath.Base(left[0]), names["in use"]) {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}
