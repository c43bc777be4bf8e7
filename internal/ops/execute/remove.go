package execute

import (
	"context"
	"errors"
	"slices"

	"github.com/keepmum/keepmum/internal/docker"
)

// RemoveServices removes services, and waits until none of their tasks has a
// container. It goes on after an error.
func (x *Executor) RemoveServices(ctx context.Context, services []docker.Service) error {
	var gone []string
	var failed []error
	for _, service := range services {
		x.Progress.Say("remove service %s", service.Spec.Name)
		if err := x.drop(ctx, service.ID); err != nil {
			failed = append(failed, err)
			continue
		}
		gone = append(gone, service.ID)
	}
	return errors.Join(append(failed, x.gone(ctx, gone...))...)
}

// drop removes a service. One that is not there any more is removed.
func (x *Executor) drop(ctx context.Context, id string) error {
	err := x.again(ctx, func() error { return x.Services.RemoveService(ctx, id) })
	if errors.Is(err, docker.ErrNotFound) {
		return nil
	}
	return err
}

// gone waits until no task of services that were removed has a container.
func (x *Executor) gone(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return x.until(ctx, func() (bool, error) {
		tasks, err := x.Tasks.Tasks(ctx, ids...)
		if errors.Is(err, docker.ErrNotFound) {
			return true, nil
		}
		return !slices.ContainsFunc(tasks, func(t docker.Task) bool { return !t.Over() }), err
	})
}

// Free removes something, again while it is still in use. What is not there any
// more is removed.
func (x *Executor) Free(ctx context.Context, remove func() error) error {
	var last error
	err := x.until(ctx, func() (bool, error) {
		last = remove()
		switch {
		case errors.Is(last, docker.ErrInUse):
			return false, nil
		case errors.Is(last, docker.ErrNotFound):
			last = nil
		}
		return last == nil, last
	})
	if last != nil {
		return last
	}
	return err
}
