package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/rollout"
)

// Rollback puts every service that the last operation on the stack changed back
// to the specification that it had before, as docker service rollback does for
// one. It works after a deployment, after one that was killed, and after another
// rollback, which it undoes.
func (d *Deploy) Rollback(ctx context.Context, o Options, dryRun bool) (Result, error) {
	s, err := d.attach(ctx, d.Stack, o)
	if err != nil {
		return refused(), err
	}
	defer s.close()
	if err := s.planBack(ctx); err != nil || dryRun {
		return s.result(outcome(err)), err
	}
	return s.underLock(ctx, "rollback", func(ctx context.Context) (Result, error) {
		if err := s.reread(ctx); err != nil {
			return s.result(execute.Refused), err
		}
		if err := s.planBack(ctx); err != nil {
			return s.result(execute.Refused), err
		}
		return s.recorded(ctx, "rollback")
	})
}

func outcome(err error) execute.Outcome {
	if err != nil {
		return execute.Refused
	}
	return execute.Planned
}

// attach is open for a command over what is in the Swarm, without a file.
func (d *Deploy) attach(ctx context.Context, stack string, o Options) (*session, error) {
	s := &session{Deploy: d, options: o}
	var err error
	if s.Swarm, err = d.Connect(ctx); err != nil {
		return nil, err
	}
	if s.state, err = s.Cluster.Open(ctx, stack); err == nil {
		s.want.Name = stack
		err = s.readSwarm(ctx)
	}
	if err == nil {
		err = s.known()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// reread reads the stack again, under the lock.
func (s *session) reread(ctx context.Context) (err error) {
	if s.state, err = s.state.Reload(ctx); err != nil {
		return err
	}
	return s.readSwarm(ctx)
}

// known refuses a stack that is not there, or that keepmum did not deploy.
func (s *session) known() error {
	if len(s.now.Services) == 0 {
		return &fault.Error{Code: fault.Invalid, What: "the stack " + s.want.Name + " has no services in this Swarm", Next: "docker stack ls; mage deploy:swarm"}
	}
	if findings := s.foreign(); len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: "keepmum did not deploy the stack " + s.want.Name, Findings: findings, Next: "the same command with -adopt"}
	}
	return nil
}

// planBack plans the way back of the last operation.
func (s *session) planBack(ctx context.Context) error {
	last, err := s.last(ctx)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, secret := range s.state.Secrets {
		ids[secret.ID] = true
	}
	for _, config := range s.state.Configs {
		ids[config.ID] = true
	}
	s.plan = rollout.Plan{Stack: s.want.Name, Services: map[string]docker.ServiceSpec{}}
	var findings []fault.Finding
	for _, service := range s.now.Services {
		name := service.Spec.Name
		s.plan.Services[name] = service.Spec
		switch {
		case !slices.Contains(last.Services, name):
			s.plan.Unchanged = append(s.plan.Unchanged, name)
			continue
		case service.Previous == nil:
			s.plan.Unchanged = append(s.plan.Unchanged, name)
			s.plan.Notices = append(s.plan.Notices, name+" has nothing to go back to: it was never updated, or the Swarm has rolled it back already")
			continue
		}
		for _, r := range append(slices.Clone(service.Previous.Task.Secrets), service.Previous.Task.Configs...) {
			if !ids[r.ID] {
				findings = append(findings, fault.Finding{Subject: name, Problem: "used " + r.Name + " before, which is not in the Swarm any more", Next: "mage deploy:swarm with a file that says what should run"})
			}
		}
		s.plan.Services[name] = *service.Previous
		s.plan.Steps = append(s.plan.Steps, rollout.Back(service))
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s cannot be rolled back; nothing was changed", s.want.Name), Findings: findings, Next: findings[0].Next}
	}
	return nil
}

// last returns the last operation that changed services.
func (s *session) last(ctx context.Context) (cluster.Entry, error) {
	history, err := s.state.History(ctx)
	if err != nil {
		return cluster.Entry{}, err
	}
	for _, e := range history {
		if len(e.Services) > 0 {
			return e, nil
		}
	}
	return cluster.Entry{}, &fault.Error{Code: fault.Invalid, What: "the record of " + s.want.Name + " has no operation that changed a service", Next: "docker service rollback SERVICE, for one service"}
}
