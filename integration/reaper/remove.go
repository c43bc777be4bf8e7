package reaper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Clean is Remove on the engine that the environment names. It can be handed to
// Main.
func Clean(ctx context.Context, mark string) error {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer docker.Close()
	return Remove(ctx, docker, mark)
}

// Remove removes every container, network, volume and image of the engine that
// has the mark in the value of a label, and every reference to an image that
// has it, in this order. What goes away meanwhile is no error. Everything is
// tried; the errors are joined. A mark of fewer than eight bytes, which could be
// part of anything, is an error and removes nothing.
func Remove(ctx context.Context, docker client.APIClient, mark string) error {
	if len(mark) < 8 {
		return fmt.Errorf("%q is too short for a mark: things of others may have it", mark)
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
			note(docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		}
	}
	networks, err := docker.NetworkList(ctx, network.ListOptions{})
	note(err)
	for _, n := range networks {
		if marked(n.Labels) {
			note(docker.NetworkRemove(ctx, n.ID))
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
	return errors.Join(failed...)
}
