package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/execute"
)

// Volumes are the volumes of the connected engine.
type Volumes interface {
	// RemoveVolume removes a volume. The error matches docker.ErrNotFound and
	// docker.ErrInUse.
	RemoveVolume(ctx context.Context, name string) error
}

// RemoveOptions say what is removed besides services, networks and configs.
type RemoveOptions struct {
	Adopt   bool     // also a stack that keepmum did not deploy
	Volumes []string // names of data volumes on the connected engine
	DryRun  bool
	Reason  string
}

// RemoveResult says what was removed, after it was seen to be gone.
type RemoveResult struct {
	cluster.Heading
	DryRun   bool     `json:"dryRun"`
	Services []string `json:"services"`
	Networks []string `json:"networks"`
	Configs  []string `json:"configs"`
	Volumes  []string `json:"volumes"`
	Stay     []string `json:"stay"` // versions of secrets
}

// Remove removes the stack and waits until its tasks are gone. The versions of
// its secrets stay, and so do its volumes, except those that are named.
func (d *Deploy) Remove(ctx context.Context, o RemoveOptions) (RemoveResult, error) {
	s, err := d.attach(ctx, d.Stack, Options{Adopt: o.Adopt, Reason: o.Reason})
	if err != nil {
		return RemoveResult{}, err
	}
	defer s.close()
	result := s.removable(o)
	if o.DryRun {
		return result, nil
	}
	_, err = s.underLock(ctx, "remove", func(ctx context.Context) (Result, error) {
		err := s.removeAll(ctx, &result)
		end := s.result(execute.Removed)
		if err != nil {
			end.Outcome = execute.InBetween
		}
		s.end(ctx, "remove", end)
		return end, err
	})
	return result, err
}

// removable says what a removal takes.
func (s *session) removable(o RemoveOptions) RemoveResult {
	result := RemoveResult{Heading: s.state.Heading, DryRun: o.DryRun, Volumes: slices.Clone(o.Volumes)}
	for _, service := range s.now.Services {
		result.Services = append(result.Services, service.Spec.Name)
	}
	for _, n := range s.now.Networks {
		if n.Labels[docker.LabelNamespace] == s.want.Name {
			result.Networks = append(result.Networks, n.Name)
		}
	}
	for _, c := range s.state.Configs {
		if c.Labels[docker.LabelNamespace] == s.want.Name {
			result.Configs = append(result.Configs, c.Name)
		}
	}
	for _, versions := range s.state.Versions {
		for _, v := range versions {
			result.Stay = append(result.Stay, v.Name)
		}
	}
	for _, list := range [][]string{result.Services, result.Networks, result.Configs, result.Stay} {
		slices.Sort(list)
	}
	return result
}

// removeAll removes everything, and goes on after an error. What is still there
// then is taken out of the result.
func (s *session) removeAll(ctx context.Context, r *RemoveResult) error {
	x := s.executor()
	failed := []error{x.RemoveServices(ctx, s.now.Services)}
	if failed[0] != nil {
		there, err := s.Swarm.Services.Services(ctx)
		r.Services = slices.DeleteFunc(r.Services, func(name string) bool {
			return err != nil || slices.ContainsFunc(there, func(s docker.Service) bool { return s.Spec.Name == name })
		})
	}
	free := func(list *[]string, name string, remove func() error) {
		if err := x.Free(ctx, remove); err != nil {
			failed = append(failed, err)
			*list = slices.DeleteFunc(*list, func(one string) bool { return one == name })
		}
	}
	for _, n := range s.now.Networks {
		if n.Labels[docker.LabelNamespace] == s.want.Name {
			free(&r.Networks, n.Name, func() error { return s.Swarm.Networks.RemoveNetwork(ctx, n.ID) })
		}
	}
	for _, c := range s.state.Configs {
		if c.Labels[docker.LabelNamespace] == s.want.Name {
			free(&r.Configs, c.Name, func() error { return s.Configs.RemoveConfig(ctx, c.ID) })
		}
	}
	for _, name := range slices.Clone(r.Volumes) {
		free(&r.Volumes, name, func() error { return s.Volumes.RemoveVolume(ctx, name) })
	}
	err := errors.Join(failed...)
	if err == nil {
		return nil
	}
	var texts []string
	for _, one := range failed {
		if one != nil {
			texts = append(texts, strings.ReplaceAll(one.Error(), "\n", "; "))
		}
	}
	code := fault.CodeOf(err)
	if code == fault.Failed {
		code = fault.Incomplete
	}
	return &fault.Error{Code: code, What: "not all of " + s.want.Name + " is gone: " + strings.Join(texts, "; "), Next: "mage deploy:remove " + s.want.Name, Cause: err}
}
