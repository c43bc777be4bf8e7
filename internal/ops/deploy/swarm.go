package deploy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Swarm deploys the stack: it plans, checks, makes the versions that are missing,
// takes the lock, plans again over what it then reads, and has the plan carried
// out. If that fails, every service that was touched goes back to what it was.
func (d *Deploy) Swarm(ctx context.Context, o Options) (Result, error) {
	s, err := d.open(ctx, o)
	if err != nil {
		return refused(), err
	}
	defer s.close()
	if o.DryRun {
		return s.planned(ctx)
	}
	if err := s.makeFirstPlan(ctx); err != nil {
		return s.result(execute.Refused), err
	}
	if len(s.making) > 0 {
		if _, err := s.source.Versions(ctx, false); err != nil {
			return s.result(execute.Refused), err
		}
		s.making = nil // they are in the Swarm now
	}
	if result, settled, err := s.settled(ctx); settled {
		return result, err
	}
	return s.underLock(ctx, "deploy", func(ctx context.Context) (Result, error) {
		if err := s.again(ctx); err != nil {
			return s.result(execute.Refused), err
		}
		return s.recorded(ctx, "deploy")
	})
}

// settled looks whether a stack that is not to be changed runs: without the lock,
// because it changes nothing. It reports false if there is something to change, or
// if somebody else is changing the stack, whose end is to be waited for.
func (s *session) settled(ctx context.Context) (result Result, settled bool, err error) {
	if !s.plan.Empty() || s.state.Locked() {
		return result, false, nil
	}
	begun := s.Clock()
	result, err = s.execute(ctx)
	result.Seconds = (s.Clock() - begun).Seconds()
	if err != nil && ctx.Err() == nil && (s.again(ctx) != nil || !s.plan.Empty() || s.state.Locked()) {
		return result, false, nil
	}
	return result, true, err
}

// recorded executes the plan, with a record of it.
func (s *session) recorded(ctx context.Context, operation string) (Result, error) {
	if s.plan.Empty() {
		return s.execute(ctx)
	}
	if err := s.begin(ctx, operation); err != nil {
		return s.result(execute.Refused), err
	}
	result, err := s.execute(ctx)
	s.end(ctx, operation, result)
	return result, err
}

// again reads the Swarm once more and plans: somebody else may have changed it
// before the lock was taken.
func (s *session) again(ctx context.Context) error {
	if err := s.read(ctx, s.want.Name); err != nil {
		return err
	}
	return s.makePlan(ctx)
}

// underLock runs fn while the stack's lock is held, and writes the record: before
// the first change, so that a run that is killed leaves a trace, and at the end.
func (s *session) underLock(ctx context.Context, operation string, fn func(context.Context) (Result, error)) (Result, error) {
	begun := s.Clock()
	result := s.result(execute.Refused)
	err := s.state.Under(ctx, operation, func(ctx context.Context) (err error) {
		result, err = fn(ctx)
		return err
	})
	result.Seconds = (s.Clock() - begun).Seconds()
	return result, err
}

// begin writes the record of what is going to be changed.
func (s *session) begin(ctx context.Context, operation string) error {
	var names []string
	s.before = map[string]string{}
	for _, step := range s.plan.Steps {
		switch step.Kind {
		case rollout.CreateService:
			names, s.before[step.Name] = append(names, step.Name), ""
		case rollout.UpdateService, rollout.RemoveService:
			names, s.before[step.Name] = append(names, step.Name), digest(step.Before.Spec)
		}
	}
	return s.state.Record(ctx, cluster.Entry{Operation: operation, Outcome: "begun", Reason: s.options.Reason, Services: names, Before: s.before})
}

// digest is a short name of a specification, which holds no value.
func digest(spec docker.ServiceSpec) string {
	sum := sha256.Sum256(spec.JSON)
	return hex.EncodeToString(sum[:8])
}

// end writes the record of how it ended, for which there is a second if ctx has
// ended.
func (s *session) end(ctx context.Context, operation string, result Result) {
	e := cluster.Entry{Operation: operation, Outcome: string(result.Outcome), Reason: s.options.Reason, Before: s.before}
	for _, service := range result.Services {
		if service.Action != "unchanged" {
			e.Services = append(e.Services, service.Service)
		}
	}
	if err := s.state.Record(ctx, e); err != nil {
		s.Project.Progress.Say("warning: the record was not written: %s", fault.Text(err))
	}
}

// execute carries the plan out.
func (s *session) execute(ctx context.Context) (Result, error) {
	done, err := s.executor().Run(ctx, s.plan, s.now, s.options.Timeout)
	return Result{Heading: s.state.Heading, Plan: s.plan, Result: done}, err
}

// executor is what carries plans out for this command.
func (s *session) executor() *execute.Executor {
	return execute.New(execute.Config{
		Services: s.Swarm.Services, Tasks: s.Swarm.Tasks, Networks: s.Swarm.Networks, Configs: s.Configs, Nodes: s.Fleet,
		Progress: s.Project.Progress, Clock: s.Clock, Every: s.Every, Stack: s.want.Name, Onward: cmp.Or(s.onward, "the same command"), Place: s.at, Matcher: s.matcher, ShowLogs: s.options.ShowLogs,
	})
}

// matcher masks what is known, and names the versions of a task whose values are
// not.
func (s *session) matcher(ctx context.Context, task docker.Task) (*redact.Matcher, []string) {
	key, _, err := s.Project.Workspace.Key(false)
	var unknown []string
	for _, r := range task.Spec.Secrets {
		if err != nil || !s.isKnown(key, r) {
			unknown = append(unknown, r.Name)
		}
	}
	return redact.New(append(slices.Clone(s.given), s.Fleet.Credentials(ctx, task.Spec.Image)...)), unknown
}

// isKnown reports whether one of the given values is that of the version that a
// task mounts.
func (s *session) isKnown(key fingerprint.Key, r docker.Reference) bool {
	for _, version := range s.state.Secrets {
		of, stack := version.Labels[docker.LabelSecret], version.Labels[docker.LabelStack]
		if version.ID != r.ID {
			continue
		}
		return slices.ContainsFunc(s.given, func(k secrets.Known) bool {
			return k.Name == of && key.Compare(version.Labels[docker.LabelFingerprint], stack, of, k.Value) == fingerprint.Same
		})
	}
	return false
}
