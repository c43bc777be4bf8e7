package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// RunProbe runs a container once, without a network, capabilities or a way to
// gain privileges, and returns how it ended. A probe that exits with another
// code than 0 is not an error. The container is always removed, also when ctx is
// cancelled, unless the engine hangs.
func (e *Engine) RunProbe(ctx context.Context, p docker.Probe) (result docker.ProbeResult, err error) {
	doing := "running a probe in " + p.Image
	p.Deadline, p.MaxOutput = cmp.Or(p.Deadline, time.Minute), cmp.Or(p.MaxOutput, 64<<10)
	inner, cancel := context.WithTimeout(ctx, p.Deadline)
	defer cancel()
	name := "keepmum-probe-" + rand.Text()
	created := e.createProbe(ctx, name, p)
	defer func() {
		if cleanup := e.removeProbe(ctx, name, created); err == nil && cleanup != nil {
			err = cleanup
		}
	}()
	select {
	case err = <-created:
		created <- err // for the removal
	case <-inner.Done():
		err = inner.Err()
	}
	if err == nil {
		result, err = e.runCreated(inner, name, p.MaxOutput)
	}
	if inner.Err() != nil && ctx.Err() == nil {
		return docker.ProbeResult{}, &fault.Error{Code: fault.Failed, What: doing + ": it did not end within " + p.Deadline.String(), Cause: context.DeadlineExceeded}
	}
	if err != nil {
		return docker.ProbeResult{}, e.fail(ctx, doing, err)
	}
	return result, nil
}

// createProbe creates the container in the background and sends the result. It
// is not cancelled with ctx: an engine finishes a create even if the caller has
// left, and that container would never be removed.
func (e *Engine) createProbe(ctx context.Context, name string, p docker.Probe) chan error {
	done := make(chan error, 1)
	config, host := probeConfig(p)
	go func() {
		inner, cancel := e.quick(context.WithoutCancel(ctx))
		defer cancel()
		_, err := e.client.ContainerCreate(inner, config, host, nil, nil, name)
		done <- err
	}()
	return done
}

func probeConfig(p docker.Probe) (*container.Config, *container.HostConfig) {
	labels := map[string]string{docker.LabelProbe: "1"}
	for name, value := range p.Labels {
		labels[name] = value
	}
	config := &container.Config{Image: p.Image, Entrypoint: p.Entrypoint, Cmd: p.Cmd, User: p.User, Labels: labels,
		AttachStdout: true, AttachStderr: true, NetworkDisabled: true, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}}
	host := &container.HostConfig{NetworkMode: "none", AutoRemove: true, ReadonlyRootfs: p.ReadOnly, CapDrop: []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges"}, LogConfig: container.LogConfig{Type: "none"}}
	for _, m := range p.Mounts {
		source := m.Source
		if m.Type == "volume" {
			source = m.Name
		}
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.Type(m.Type), Source: source, Target: m.Destination, ReadOnly: m.ReadOnly})
	}
	return config, host
}

// runCreated attaches, starts and waits.
func (e *Engine) runCreated(ctx context.Context, name string, limit int) (docker.ProbeResult, error) {
	stream, err := e.client.ContainerAttach(ctx, name, container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return docker.ProbeResult{}, err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := e.await(waiting, name)
	if err := e.client.ContainerStart(ctx, name, container.StartOptions{}); err != nil {
		return docker.ProbeResult{}, err
	}
	stdout, stderr := capped{limit: limit}, capped{limit: limit}
	if err := demultiplex(stream.Reader, &stdout, &stderr); err != nil && ctx.Err() == nil {
		return docker.ProbeResult{}, err
	}
	end := <-ended
	return docker.ProbeResult{ExitCode: end.code, Stdout: stdout.kept, Stderr: stderr.kept}, end.err
}

// ending is how a container ended, or why that is unknown.
type ending struct {
	code int
	err  error
}

// await sends how the container ends next. When it returns, the engine is
// already watching. ctx must end eventually.
func (e *Engine) await(ctx context.Context, name string) <-chan ending {
	ended, failed := e.client.ContainerWait(ctx, name, container.WaitConditionNextExit)
	result := make(chan ending, 1)
	go func() { // the client sends to one of the two
		select {
		case status := <-ended:
			end := ending{code: int(status.StatusCode)}
			if status.Error != nil {
				end.err = errors.New(status.Error.Message)
			}
			result <- end
		case err := <-failed:
			result <- ending{err: err}
		}
	}()
	return result
}

// removeProbe waits briefly for a create in progress and removes the container,
// even after ctx was cancelled.
func (e *Engine) removeProbe(ctx context.Context, name string, created <-chan error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	select {
	case <-created:
	case <-ctx.Done():
	}
	return e.removeContainer(ctx, name)
}

// capped keeps the first bytes of a stream and discards the rest, so that the
// writing program does not block.
type capped struct {
	kept  []byte
	limit int
}

// Write keeps what fits.
func (c *capped) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p[:min(len(p), c.limit-len(c.kept))]...)
	return len(p), nil
}
