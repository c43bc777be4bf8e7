package deploy

import (
	"cmp"
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
func (d *Deploy) Rollback(ctx context.Context, o Options) (Result, error) {
	s, err := d.attach(ctx, d.Stack, o)
	if err != nil {
		return refused(), err
	}
	defer s.close()
	s.onward = "mage deploy:swarm" // another rollback would undo this one
	if err := s.planBack(ctx); err != nil || o.DryRun {
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
	err := cmp.Or(rollout.CheckStack(stack), o.check())
	if err != nil {
		return nil, err
	}
	s := &session{Deploy: d, options: o}
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
		back, notice, finding := wayBack(service, last)
		switch {
		case finding != nil:
			findings = append(findings, *finding)
		case !back:
			s.plan.Unchanged = append(s.plan.Unchanged, name)
			if notice != "" {
				s.plan.Notices = append(s.plan.Notices, name+" "+notice)
			}
		default:
			findings = append(findings, missing(service, ids)...)
			s.plan.Services[name] = *service.Previous
			s.plan.Steps = append(s.plan.Steps, rollout.Back(service))
		}
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s cannot be rolled back; nothing was changed", s.want.Name), Findings: findings, Next: findings[0].Next}
	}
	return nil
}

// wayBack reports whether a service goes back, as far as the last operation
// changed it; else a notice or a finding may say why not. An operation that was
// stopped did not change all that it was going to.
func wayBack(service docker.Service, last cluster.Entry) (back bool, notice string, finding *fault.Finding) {
	before, known := last.Before[service.Spec.Name]
	switch {
	case !slices.Contains(last.Services, service.Spec.Name):
		return false, "", nil
	case known && before == digest(service.Spec):
		return false, "is as it was before the last operation", nil
	case service.Previous == nil || known && before == "":
		return false, "has nothing to go back to: the last operation made it, or the Swarm has rolled it back already", nil
	case known && before != digest(*service.Previous):
		return false, "", &fault.Finding{Subject: service.Spec.Name, Problem: "was changed by somebody else after the last operation: the specification before that is lost",
			Next: "mage deploy:swarm with a file that says what should run, or docker service rollback " + service.Spec.Name}
	}
	return true, "", nil
}

// missing finds the versions that a service used before and that are gone.
func missing(service docker.Service, ids map[string]bool) []fault.Finding {
	var findings []fault.Finding
	for _, r := range append(slices.Clone(service.Previous.Task.Secrets), service.Previous.Task.Configs...) {
		if !ids[r.ID] {
			findings = append(findings, fault.Finding{Subject: service.Spec.Name, Problem: "used " + r.Name + " before, which is not in the Swarm any more", Next: "mage deploy:swarm with a file that says what should run"})
		}
	}
	return findings
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
