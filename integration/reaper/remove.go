package reaper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Clean is [Remove] on the engine that the environment names, for [Main].
func Clean(ctx context.Context, mark string) error {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = Remove(ctx, docker, mark)
	return err
}

// settling is how long something may seem to be in use while its user is being
// removed.
const settling = 10 * time.Second

// removeNetwork removes a network. It is stuck if the engine refuses that as if
// something was attached, and nothing is.
func removeNetwork(ctx context.Context, docker client.APIClient, id string, patience time.Duration) (stuck bool, err error) {
	for deadline := time.Now().Add(patience); ; {
		err := docker.NetworkRemove(ctx, id)
		if err == nil || errdefs.IsNotFound(err) {
			return false, nil
		}
		if time.Now().After(deadline) {
			seen, unseen := docker.NetworkInspect(ctx, id, network.InspectOptions{})
			if errdefs.IsPermissionDenied(err) && unseen == nil && len(seen.Containers) == 0 {
				return true, nil
			}
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Remove removes every container, network, volume and image of the engine that
// has the mark in the value of a label, and every reference to an image that has
// it, in this order. It is not an error if something is already gone. Everything
// is tried; the errors are joined. A mark of fewer than eight bytes, which could
// be part of anything, is an error and removes nothing.
//
// Stuck are the names of networks that the engine keeps as used although nothing
// is attached to them: under load it miscounts (moby/moby#42119, seen with Engine
// 20.10), and they can be removed after its next start.
func Remove(ctx context.Context, docker client.APIClient, mark string) (stuck []string, err error) {
	if len(mark) < 8 {
		return nil, fmt.Errorf("the mark %q is too short: it could match something of others", mark)
	}
	marked := func(labels map[string]string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(labels)), func(v string) bool { return strings.Contains(v, mark) })
	}
	var failed []error
	note := func(err error) {
		if err != nil && !errdefs.IsNotFound(err) {
			failed = append(failed, err)
		}
	}
	containers, err := docker.ContainerList(ctx, container.ListOptions{All: true})
	note(err)
	for _, c := range containers {
		if marked(c.Labels) {
			err := docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			if !errdefs.IsConflict(err) { // a conflict: it is being removed
				note(err)
			}
		}
	}
	networks, err := docker.NetworkList(ctx, network.ListOptions{})
	note(err)
	for _, n := range networks {
		if marked(n.Labels) {
			held, err := removeNetwork(ctx, docker, n.ID, settling)
			note(err)
			if held {
				stuck = append(stuck, n.Name)
			}
		}
	}
	volumes, err := docker.VolumeList(ctx, volume.ListOptions{})
	note(err)
	for _, v := range volumes.Volumes {
		if marked(v.Labels) {
			note(docker.VolumeRemove(ctx, v.Name, true))
		}
	}
	images, err := docker.ImageList(ctx, image.ListOptions{})
	note(err)
	for _, i := range images {
		refs := slices.DeleteFunc(slices.Clone(i.RepoTags), func(ref string) bool { return !strings.Contains(ref, mark) })
		if marked(i.Labels) {
			refs = []string{i.ID}
		}
		for _, ref := range refs {
			_, err := docker.ImageRemove(ctx, ref, image.RemoveOptions{Force: true, PruneChildren: true})
			note(err)
		}
	}
	return stuck, errors.Join(failed...)
}
