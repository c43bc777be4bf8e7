package execute

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

// usualTimeout is how long all services together may take to converge, and to go
// back.
const usualTimeout = 5 * time.Minute

// execution is one walk over a plan.
type execution struct {
	*Executor
	plan    rollout.Plan
	now     rollout.Current
	nodes   []docker.Node
	forward bool // false: on the way back
	begun   time.Duration
	secrets map[string]string // ids by name
	configs map[string]string
	touched []touched // services, in the order of the changes
	made    []string  // what was made besides services
	watches map[string]*watched
	notBack map[string]bool // on the way back: services that could not be restored
}

// touched is a service that was changed, or may have been: what it was before, and
// what was sent.
type touched struct {
	name   string
	id     string // "": it is not known whether it was created
	action string // created, updated, removed
	before docker.Service
	sent   docker.ServiceSpec
}

// Run carries a plan out over what the Swarm had when it was made. It waits until
// every service has converged, for at most timeout (0: five minutes), and verifies
// from the running tasks. If something fails, every service that was touched goes
// back to what it was; the error's code is fault.RolledBack only if all of them
// have converged again. After a signal nothing is put back, nor after the cause of
// the context's end is that the stack's lock was lost.
func (x *Executor) Run(ctx context.Context, plan rollout.Plan, now rollout.Current, timeout time.Duration) (Result, error) {
	e := &execution{Executor: x, plan: plan, now: now, forward: true, begun: x.Clock(), watches: map[string]*watched{}, secrets: map[string]string{}, configs: map[string]string{}}
	for _, one := range now.Secrets {
		e.secrets[one.Name] = one.ID
	}
	for _, one := range now.Configs {
		e.configs[one.Name] = one.ID
	}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(timeout, usualTimeout))
	defer cancel()
	err := e.walk(limited)
	if err == nil {
		err = e.verify()
	}
	result := e.result()
	switch {
	case err == nil && e.plan.Empty():
		result.Outcome = Unchanged
		return result, nil
	case err == nil:
		result.Outcome = Deployed
		return result, nil
	case ctx.Err() != nil && fault.CodeOf(context.Cause(ctx)) == fault.Incomplete: // the lock is lost: whoever has it now decides
		result.Outcome = InBetween
		return result, &fault.Error{Code: fault.Incomplete, What: fault.Text(context.Cause(ctx)) + "; nothing was put back; so far: " + e.summary(), Next: "mage deploy:status, then " + e.Onward, Cause: context.Cause(ctx)}
	case ctx.Err() != nil:
		result.Outcome = Interrupted
		return result, e.interrupted()
	}
	return e.failed(ctx, limited, err, result)
}

// walk does the plan's steps: first what services need, then the services, wave
// by wave.
func (e *execution) walk(ctx context.Context) error {
	if err := e.watchUnchanged(ctx); err != nil {
		return err
	}
	wave := 1
	for _, step := range e.plan.Steps {
		if step.Wave > wave { // also if nothing of the waves before is changed: a run that was killed may have left it on its way
			wave = step.Wave
			if err := e.converge(ctx, wave); err != nil {
				return err
			}
		}
		if step.Kind == rollout.RemoveService { // last: nothing needs them any more
			if err := e.converge(ctx, everything); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.step(ctx, step); err != nil {
			return err
		}
	}
	return e.converge(ctx, everything)
}

// step does one step.
func (e *execution) step(ctx context.Context, step rollout.Step) error {
	e.Progress.Say("%s %s", step.Kind, step.Name)
	switch step.Kind {
	case rollout.CreateNetwork:
		return e.keep(e.network(ctx, step.Network), "network "+step.Name)
	case rollout.CreateConfig:
		return e.keep(e.config(ctx, step.Config), "config "+step.Name)
	case rollout.CreateService:
		return e.create(ctx, step)
	case rollout.UpdateService:
		return e.update(ctx, step)
	case rollout.RemoveService:
		return e.remove(ctx, step.Before)
	}
	return nil
}

// keep notes what was made besides services.
func (e *execution) keep(err error, what string) error {
	if err == nil {
		e.made = append(e.made, what)
	}
	return err
}

func (e *execution) warn(name string, warnings []string) {
	for _, w := range warnings {
		e.Progress.Say("warning of the engine about %s: %s", name, w)
	}
}

// network makes a network. One of that name was made meanwhile, by a try whose
// answer was lost or by somebody else, and is used.
func (e *execution) network(ctx context.Context, network docker.NetworkSpec) error {
	return e.again(ctx, func() error {
		id, err := e.Networks.CreateNetwork(ctx, network)
		if errors.Is(err, docker.ErrExists) {
			there, listed := e.Networks.Networks(ctx)
			i := slices.IndexFunc(there, func(n docker.Network) bool { return n.Name == network.Name && n.Scope == "swarm" })
			if listed != nil || i < 0 {
				return errors.Join(err, listed)
			}
			id, err = there[i].ID, nil
		}
		if err == nil {
			e.now.Networks = append(e.now.Networks, docker.Network{ID: id, Name: network.Name})
		}
		return err
	})
}

// config makes a config. One that is there with this content was made by a try
// whose answer was lost: only keepmum makes names with a version.
func (e *execution) config(ctx context.Context, config docker.ConfigSpec) error {
	return e.again(ctx, func() error {
		id, err := e.Configs.CreateConfig(ctx, config.Name, config.Labels, config.Data)
		if errors.Is(err, docker.ErrExists) {
			there, listed := e.Configs.Configs(ctx)
			i := slices.IndexFunc(there, func(c docker.SwarmConfig) bool {
				return c.Name == config.Name && bytes.Equal(c.Data, config.Data)
			})
			if listed != nil || i < 0 {
				return errors.Join(err, listed)
			}
			id, err = there[i].ID, nil
		}
		e.configs[config.Name] = id
		return err
	})
}

// touch notes a service before it is changed, and returns the function that takes
// the answer: only a refusal shows that nothing was changed. Without an answer it
// may have been, and the way back has to look.
func (e *execution) touch(t touched) func(error) error {
	at := len(e.touched)
	e.touched = append(e.touched, t)
	return func(err error) error {
		if err != nil && fault.CodeOf(err) != fault.NoEngine && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			e.touched = e.touched[:at]
		}
		return err
	}
}

// create makes a service. If it is there already, it was made meanwhile: by a try
// whose answer was lost if it is as it was sent, else by somebody else.
func (e *execution) create(ctx context.Context, step rollout.Step) error {
	spec := rollout.WithIDs(step.Service, e.secrets, e.configs)
	answered := e.touch(touched{name: step.Name, action: "created", sent: spec})
	var id string
	err := answered(e.again(ctx, func() error {
		made, warnings, err := e.Services.CreateService(ctx, spec)
		if errors.Is(err, docker.ErrExists) {
			made, err = e.madeAs(ctx, spec, err)
		}
		id = made
		e.warn(step.Name, warnings)
		return err
	}))
	if err != nil {
		return err
	}
	e.touched[len(e.touched)-1].id = id
	return e.watch(ctx, id, nil, spec)
}

// madeAs returns the id of the service that a specification made; the error if it
// is another one's.
func (e *execution) madeAs(ctx context.Context, spec docker.ServiceSpec, taken error) (string, error) {
	services, err := e.Services.Services(ctx)
	for _, s := range services {
		if s.Spec.Name == spec.Name && e.same(s.Spec, spec) {
			return s.ID, nil
		}
	}
	return "", errors.Join(taken, err)
}

// same reports whether two specifications mean the same.
func (e *execution) same(a, b docker.ServiceSpec) bool {
	return rollout.SameSpec(a, b, e.now.Networks)
}

// update changes one service. Between reading and changing, somebody else may have
// changed it: that is not overwritten.
func (e *execution) update(ctx context.Context, step rollout.Step) error {
	spec := rollout.WithIDs(step.Service, e.secrets, e.configs)
	past, err := e.past(ctx, step.Before.ID)
	if err != nil {
		return err
	}
	answered := e.touch(touched{name: step.Name, id: step.Before.ID, action: "updated", before: step.Before, sent: spec})
	if err := answered(e.send(ctx, step.Before, spec)); err != nil {
		return err
	}
	return e.watch(ctx, step.Before.ID, past[step.Before.ID], spec)
}

// send gives a service another specification if it still has the one that was
// read. Its version alone may have moved: the Swarm moves it while an earlier
// update goes on, and a try whose answer was lost does.
func (e *execution) send(ctx context.Context, before docker.Service, spec docker.ServiceSpec) error {
	now := before
	for range updateTries {
		err := e.again(ctx, func() error {
			warnings, err := e.Services.UpdateService(ctx, now.ID, now.Version, spec)
			e.warn(spec.Name, warnings)
			return err
		})
		if err == nil || !errors.Is(err, docker.ErrOutOfDate) {
			return err
		}
		if now, err = e.service(ctx, before.ID); err != nil {
			return err
		}
		switch {
		case e.same(now.Spec, spec):
			return nil
		case !e.same(now.Spec, before.Spec):
			return changedMeanwhile(spec.Name)
		}
	}
	return &fault.Error{Code: fault.Failed, What: spec.Name + " is changed by somebody else all the time", Next: "docker service inspect " + spec.Name + ", then mage deploy:plan", Cause: docker.ErrOutOfDate}
}

// updateTries bounds how often an update is sent again because the service's
// version moved: the Swarm itself moves it while an earlier update goes on.
const updateTries = 10

// changedMeanwhile is the error of a service that is not as it was, nor as it was
// sent.
func changedMeanwhile(name string) error {
	return &fault.Error{Code: fault.Failed, What: name + " was changed by somebody else while the plan was carried out", Next: "mage deploy:plan", Cause: docker.ErrOutOfDate}
}

func (e *execution) remove(ctx context.Context, service docker.Service) error {
	answered := e.touch(touched{name: service.Spec.Name, id: service.ID, action: "removed", before: service})
	return answered(e.drop(ctx, service.ID))
}

// interrupted is the error after a signal: nothing was put back.
func (e *execution) interrupted() error {
	return &fault.Error{Code: fault.Interrupted, What: "stopped; nothing was put back; so far: " + e.summary(),
		Next: e.Onward + " goes on, mage deploy:rollback " + e.Stack + " undoes it", Cause: context.Canceled}
}

// failed puts everything back and says what happened.
func (e *execution) failed(ctx, limited context.Context, cause error, result Result) (Result, error) {
	what := fault.Text(cause)
	if limited.Err() != nil && ctx.Err() == nil {
		what = "not converged in time: " + e.summary()
	}
	f := &fault.Error{Code: fault.Failed, What: what, Findings: e.findings(), Cause: cause, Next: "mage deploy:plan"}
	e.showLogs(context.WithoutCancel(ctx))
	stay := ""
	if len(e.made) > 0 {
		stay = "; these stay: " + strings.Join(e.made, ", ")
	}
	if len(e.touched) == 0 {
		f.What += stay
		if limited.Err() != nil || errors.Is(cause, errUnchanged) {
			f.Code = fault.Incomplete
		} else if code := fault.CodeOf(cause); code != fault.Failed {
			f.Code = code
		}
		result.Outcome, result.Kept = Refused, e.made
		return result, f
	}
	back, err := e.goBack(ctx)
	result.Services, result.Kept = back.services(e), e.made
	switch {
	case err == nil:
		result.Outcome, f.Code = RolledBack, fault.RolledBack
		f.What += "; rolled back: every service that was touched is as it was and has converged"
	case ctx.Err() != nil:
		result.Outcome, f.Code = Interrupted, fault.Interrupted
		f.What += "; stopped on the way back: " + fault.Text(err)
		f.Next = "mage deploy:status, then mage deploy:rollback " + e.Stack
	default:
		result.Outcome, f.Code = InBetween, fault.Incomplete
		f.What += "; not everything is back: " + fault.Text(err)
		f.Next = "mage deploy:status, then mage deploy:rollback " + e.Stack
		if errors.Is(err, docker.ErrOutOfDate) { // a rollback would be refused, too
			f.Next = "mage deploy:plan"
		}
	}
	f.What += stay
	return result, f
}

// goBack puts every service that was touched back, the last one first, and waits
// until all have converged.
func (e *execution) goBack(ctx context.Context) (*execution, error) {
	e.Progress.Say("going back")
	limited, cancel := context.WithTimeout(ctx, usualTimeout)
	defer cancel()
	back := &execution{Executor: e.Executor, now: e.now, begun: e.begun, watches: map[string]*watched{}, notBack: map[string]bool{}}
	var failed []error
	for _, t := range slices.Backward(e.touched) {
		if err := back.restore(limited, t); err != nil {
			e.Progress.Say("%s is not back: %s", t.name, fault.Text(err))
			failed, back.notBack[t.name] = append(failed, err), true
		}
	}
	failed = append(failed, back.converge(limited, everything))
	return back, errors.Join(failed...)
}

// restore puts one service back to what it was.
func (e *execution) restore(ctx context.Context, t touched) error {
	switch t.action {
	case "created":
		return e.uncreate(ctx, t)
	case "removed":
		return e.create(ctx, rollout.Step{Name: t.name, Service: t.before.Spec})
	}
	past, err := e.past(ctx, t.id)
	if err != nil {
		return err
	}
	now, err := e.service(ctx, t.id)
	switch {
	case err != nil:
		return err
	case e.same(now.Spec, t.before.Spec): // the Swarm rolled it back itself, or it was never changed
	case !e.same(now.Spec, t.sent):
		return &fault.Error{Code: fault.Failed, What: t.name + " was changed by somebody else meanwhile, and is left as it is now", Next: "docker service inspect " + t.name, Cause: docker.ErrOutOfDate}
	default:
		if err := e.send(ctx, now, t.before.Spec); err != nil {
			return err
		}
	}
	return e.watch(ctx, t.id, past[t.id], t.before.Spec)
}

// uncreate removes a service that did not exist before. One whose create was not
// answered is looked for.
func (e *execution) uncreate(ctx context.Context, t touched) error {
	if t.id != "" {
		return e.vanish(ctx, t.id)
	}
	var services []docker.Service
	err := e.again(ctx, func() (err error) {
		services, err = e.Services.Services(ctx)
		return err
	})
	for _, s := range services {
		if s.Spec.Name == t.name && e.same(s.Spec, t.sent) {
			return e.vanish(ctx, s.ID)
		}
	}
	return err
}

// vanish removes a service that did not exist before, and waits until its tasks
// are gone.
func (e *execution) vanish(ctx context.Context, id string) error {
	if err := e.drop(ctx, id); err != nil {
		return err
	}
	return e.gone(ctx, id)
}
