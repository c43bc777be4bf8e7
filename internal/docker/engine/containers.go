package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// Containers returns the containers, running or not, with all of the labels,
// sorted by name. A label with the value "" matches any value.
func (e *Engine) Containers(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	args, err := selection(labels)
	if err != nil {
		return nil, err
	}
	inner, cancel := e.quick(ctx)
	defer cancel()
	list, err := e.client.ContainerList(inner, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, e.fail(ctx, "listing containers", err)
	}
	var all []docker.Container
	for _, one := range list {
		c, err := e.Container(ctx, one.ID)
		if errors.Is(err, ErrNotFound) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b docker.Container) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Container describes the container that id names: an id, the beginning of
// one, or a name.
func (e *Engine) Container(ctx context.Context, id string) (docker.Container, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	raw, err := e.client.ContainerInspect(inner, id)
	return containerOf(raw), e.fail(ctx, "inspecting the container "+id, err)
}

// InspectContainer returns the engine's raw JSON about a container. It may
// contain values.
func (e *Engine) InspectContainer(ctx context.Context, id string) ([]byte, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	_, raw, err := e.client.ContainerInspectWithRaw(inner, id, false)
	return raw, e.fail(ctx, "inspecting the container "+id, err)
}

func containerOf(raw container.InspectResponse) docker.Container {
	var c docker.Container
	if base := raw.ContainerJSONBase; base != nil {
		c.ID, c.Name, c.ImageID, c.Restarts = base.ID, strings.TrimPrefix(base.Name, "/"), base.Image, base.RestartCount
		if s := base.State; s != nil {
			c.State, c.ExitCode, c.OOMKilled, c.Problem = string(s.Status), s.ExitCode, s.OOMKilled, OneLine(s.Error)
			c.Started, c.Finished = timeOf(s.StartedAt), timeOf(s.FinishedAt)
			if s.Health != nil && string(s.Health.Status) != "none" {
				c.Health = string(s.Health.Status)
			}
		}
	}
	if config := raw.Config; config != nil {
		c.Image, c.Labels, c.TTY = config.Image, config.Labels, config.Tty
		c.Service, c.Project = config.Labels[docker.LabelService], config.Labels[docker.LabelProject]
		for _, line := range config.Env {
			if name, value, _ := strings.Cut(line, "="); value != "" {
				c.EnvNames = append(c.EnvNames, name)
			}
		}
		slices.Sort(c.EnvNames)
	}
	for _, m := range raw.Mounts {
		c.Mounts = append(c.Mounts, docker.Mount{Type: string(m.Type), Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW})
	}
	slices.SortFunc(c.Mounts, func(a, b docker.Mount) int { return strings.Compare(a.Destination, b.Destination) })
	return c
}

// timeOf parses an engine's time; its "never" is the zero time.
func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() <= 1 {
		return time.Time{}
	}
	return at
}

// selection returns the engine's filter for labels. It refuses an empty one.
func selection(labels map[string]string) (filters.Args, error) {
	args := filters.NewArgs()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name == "" {
			continue
		}
		one := name
		if labels[name] != "" {
			one += "=" + labels[name]
		}
		args.Add("label", one)
	}
	if args.Len() == 0 {
		return args, &fault.Error{Code: fault.Failed, What: "no label to select by: this would select everything on the engine"}
	}
	return args, nil
}

// removeContainer removes a container, or waits for a removal that is already in
// progress. A missing container is not an error.
func (e *Engine) removeContainer(ctx context.Context, id string) error {
	inner, cancel := e.quick(ctx)
	defer cancel()
	for {
		err := e.client.ContainerRemove(inner, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil || errdefs.IsNotFound(err):
			return nil
		case !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "already in progress"):
			return e.fail(ctx, "removing the container "+id, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-inner.Done():
			return e.fail(ctx, "removing the container "+id, inner.Err())
		}
	}
}
