package execute

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

// errUnchanged is the cause if a service that the plan did not touch does not
// run.
var errUnchanged = errors.New("a service that was not changed does not run")

// errTasks is the cause if tasks of a service that was changed fail.
var errTasks = errors.New("tasks fail")

// watched is a service that must converge.
type watched struct {
	rollout.Watch
	id       string
	verdict  rollout.Verdict
	said     string
	after    time.Duration // until it had converged
	versions []string      // that its running tasks mount
}

// past returns the ids of the services' tasks that have failed already, by service.
func (e *execution) past(ctx context.Context, ids ...string) (map[string]map[string]bool, error) {
	var tasks []docker.Task
	err := e.again(ctx, func() (err error) {
		tasks, err = e.Tasks.Tasks(ctx, ids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	past := map[string]map[string]bool{}
	for _, id := range ids {
		past[id] = map[string]bool{}
	}
	for _, t := range tasks {
		if of, asked := past[t.ServiceID]; asked && (t.State == "failed" || t.State == "rejected") {
			of[t.ID] = true
		}
	}
	return past, nil
}

// watch begins to watch a service that was changed, by its specification as the
// Swarm has it now: what was sent, unless somebody else has changed it since, or
// the Swarm itself has put it back.
func (e *execution) watch(ctx context.Context, id string, past map[string]bool, sent docker.ServiceSpec) error {
	now, err := e.service(ctx, id)
	if err != nil {
		return err
	}
	if !e.same(now.Spec, sent) && !strings.HasPrefix(now.Update.State, "rollback") {
		return changedMeanwhile(now.Spec.Name)
	}
	e.watches[now.Spec.Name] = &watched{id: id, Watch: rollout.Watch{Spec: now.Spec, Job: now.Job, Past: past, Back: !e.forward}}
	return nil
}

// watchUnchanged begins to watch the services that the plan leaves as they are:
// that they were deployed once does not say that they run.
func (e *execution) watchUnchanged(ctx context.Context) error {
	unchanged := slices.DeleteFunc(slices.Clone(e.now.Services), func(s docker.Service) bool { return !slices.Contains(e.plan.Unchanged, s.Spec.Name) })
	var ids []string
	for _, service := range unchanged {
		ids = append(ids, service.ID)
	}
	past, err := e.past(ctx, ids...)
	if err != nil {
		return err
	}
	for _, service := range unchanged {
		e.watches[service.Spec.Name] = &watched{id: service.ID, Watch: rollout.Watch{Spec: service.Spec, Job: service.Job, Past: past[service.ID], Unchanged: true}}
	}
	return nil
}

// Observe looks at services without changing them, and returns what their tasks
// say, by name. A service that is still on its way, or whose tasks have
// failed before, is looked at again, for as long as its updates are monitored.
func (x *Executor) Observe(ctx context.Context, services []docker.Service) (map[string]rollout.Verdict, error) {
	e := &execution{Executor: x, watches: map[string]*watched{}, now: rollout.Current{Services: services}}
	patience := time.Duration(0)
	for _, s := range services {
		e.plan.Unchanged = append(e.plan.Unchanged, s.Spec.Name)
		patience = max(patience, s.Spec.Monitor+time.Second)
	}
	if err := e.watchUnchanged(ctx); err != nil {
		return nil, err
	}
	begun := x.Clock()
	err := x.until(ctx, func() (bool, error) {
		err := e.look(ctx)
		moving := slices.ContainsFunc(slices.Collect(maps.Values(e.watches)), func(w *watched) bool { return w.verdict.State == rollout.Converging })
		return err == nil && (!moving || x.Clock()-begun > patience), err
	})
	verdicts := map[string]rollout.Verdict{}
	for name, w := range e.watches {
		verdicts[name] = w.verdict
	}
	return verdicts, err
}

// service reads one service.
func (e *execution) service(ctx context.Context, id string) (service docker.Service, err error) {
	err = e.again(ctx, func() error {
		service, err = e.Services.Service(ctx, id)
		return err
	})
	return service, err
}

// everything is a wave after all others.
const everything = math.MaxInt

// converge waits until every service that is watched and of a wave before the
// given one has converged, or one that was changed has failed.
func (e *execution) converge(ctx context.Context, wave int) error {
	return e.until(ctx, func() (bool, error) {
		if err := e.look(ctx); err != nil {
			return false, err
		}
		all, stuck, failed := true, true, []string{}
		for _, name := range slices.Sorted(maps.Keys(e.watches)) {
			w := e.watches[name]
			if w.verdict.State == rollout.Failing && !w.Unchanged {
				failed = append(failed, name)
			}
			if e.plan.Waves[name] >= wave {
				continue
			}
			all = all && w.verdict.State == rollout.Converged
			stuck = stuck && w.verdict.State != rollout.Converging
		}
		if len(failed) > 0 {
			return true, &fault.Error{Code: fault.Failed, What: strings.Join(failed, ", ") + " failed", Cause: errTasks}
		}
		if !all && stuck { // what has not converged has failed, and was not changed
			return true, &fault.Error{Code: fault.Failed, What: "a service that was not changed does not run: " + e.summary(), Cause: errUnchanged}
		}
		return all, nil
	})
}

// look judges every service once.
func (e *execution) look(ctx context.Context) error {
	if len(e.watches) == 0 {
		return nil
	}
	ids := []string{}
	for _, w := range e.watches {
		ids = append(ids, w.id)
	}
	slices.Sort(ids)
	services, err := e.Services.Services(ctx)
	if err != nil {
		return err
	}
	tasks, err := e.Tasks.Tasks(ctx, ids...)
	if err != nil {
		return err
	}
	if e.nodes, err = e.Nodes.Nodes(ctx); err != nil {
		return err
	}
	byService := map[string][]docker.Task{}
	for _, t := range tasks {
		byService[t.ServiceID] = append(byService[t.ServiceID], t)
	}
	for _, name := range slices.Sorted(maps.Keys(e.watches)) {
		w := e.watches[name]
		i := slices.IndexFunc(services, func(s docker.Service) bool { return s.ID == w.id })
		if i < 0 {
			return &fault.Error{Code: fault.Failed, What: name + " was removed by somebody else", Next: "mage deploy:plan", Cause: docker.ErrNotFound}
		}
		e.see(name, w, services[i], byService[w.id])
	}
	return nil
}

// see judges one service and says what changed.
func (e *execution) see(name string, w *watched, service docker.Service, tasks []docker.Task) {
	was := w.verdict.State
	w.verdict = w.See(e.Clock(), service, tasks, e.nodes)
	w.versions = w.Spec.Task.SecretNames()
	if w.verdict.State == rollout.Converged && was != rollout.Converged {
		w.after = e.Clock() - e.begun
	}
	if now := w.verdict.String(); now != w.said && !(w.Unchanged && w.said == "" && w.verdict.State == rollout.Converged) {
		e.Progress.Say("%s: %s", name, now)
		w.said = now
	}
}

// verify judges the last look, in which all had converged at once: the Swarm must
// have the specifications of the plan, and the running tasks must mount the
// versions that the plan names.
func (e *execution) verify() error {
	var findings []fault.Finding
	for _, name := range slices.Sorted(maps.Keys(e.plan.Services)) {
		want := rollout.WithIDs(e.plan.Services[name], e.secrets, e.configs)
		w, ok := e.watches[name]
		switch {
		case !ok:
			findings = append(findings, fault.Finding{Subject: name, Problem: "was not looked at"})
		case !sameReferences(want.Task.Secrets, w.Spec.Task.Secrets):
			findings = append(findings, fault.Finding{Subject: name, Problem: "its running tasks mount other versions than the plan names"})
		}
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Failed, What: "the running tasks do not prove the plan", Findings: findings, Next: "mage deploy:status", Cause: errTasks}
	}
	return nil
}

// sameReferences reports whether two lists name the same ids at the same targets.
func sameReferences(a, b []docker.Reference) bool {
	keys := func(list []docker.Reference) []string {
		var all []string
		for _, r := range list {
			all = append(all, r.Target+" "+r.ID)
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(keys(a), keys(b))
}

// services says what became of each service: after a way back, of those that
// went forward.
func (e *execution) services(forward *execution) []Service {
	actions := map[string]string{}
	for _, t := range forward.touched {
		actions[t.name] = t.action
	}
	list := []Service{}
	for _, name := range slices.Sorted(maps.Keys(forward.plan.Services)) {
		r := Service{Service: name, Action: "unchanged"}
		if action, ok := actions[name]; ok {
			r.Action = action
		}
		w, ok := forward.watches[name]
		if ok && w.verdict.State != rollout.Converged {
			r.Cause, r.Problem, r.Attempts = string(w.verdict.Cause), w.verdict.Problem, w.verdict.Attempts
		}
		if e != forward && r.Action != "unchanged" {
			w, ok = e.watches[name]
			if !e.notBack[name] {
				r.Action = "restored"
			}
		}
		r.State = "absent"
		switch {
		case e.notBack[name]:
			r.State = "not put back"
		case ok:
			r.State, r.Versions, r.Seconds = w.verdict.String(), w.versions, w.after.Seconds()
		}
		list = append(list, r)
	}
	return list
}

// result is what is known of the execution so far.
func (e *execution) result() Result {
	return Result{Services: e.services(e)}
}

// summary says the state of every service that has not converged on one line.
func (e *execution) summary() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.watches)) {
		if w := e.watches[name]; w.verdict.State != rollout.Converged {
			parts = append(parts, name+" "+w.verdict.String())
		}
	}
	if len(parts) == 0 {
		return "all that was changed has converged"
	}
	return strings.Join(parts, ", ")
}

// findings says of each service that failed, why.
func (e *execution) findings() []fault.Finding {
	var findings []fault.Finding
	for _, name := range slices.Sorted(maps.Keys(e.watches)) {
		w := e.watches[name]
		if w.verdict.State == rollout.Converged || w.verdict.Cause == "" {
			continue
		}
		f := e.Place(name, string(w.verdict.Cause), adviceOn(w.verdict.Cause))
		if w.verdict.Problem != "" {
			f.Problem += ": " + fault.Printable(w.verdict.Problem)
		}
		if w.verdict.Attempts > 0 {
			f.Problem += fmt.Sprintf(" (%s)", fault.Count(w.verdict.Attempts, "attempt"))
		}
		findings = append(findings, f)
	}
	return findings
}

// adviceOn is the way out of a cause.
func adviceOn(cause rollout.Cause) string {
	return map[rollout.Cause]string{
		rollout.CausePull:       "docker pull the image on the node that rejected it; check the registry's credentials",
		rollout.CauseCrash:      "read the log: docker service logs SERVICE",
		rollout.CauseMemory:     "raise deploy.resources.limits.memory, or find out who killed it",
		rollout.CauseHealth:     "check the healthcheck and its start_period",
		rollout.CauseScheduling: "docker node ls; check constraints, reservations and ports",
		rollout.CauseStart:      "check image, entrypoint, mounts and user",
		rollout.CauseForeign:    "find out who changes it, then mage deploy:plan",
	}[cause]
}

// logLines is how much of a failed task's log is shown.
const logLines = 20

// showLogs says the last lines of failed tasks, masked, if the value of every
// version that the task mounts is known here.
func (e *execution) showLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(e.watches)) {
		w := e.watches[name]
		if w.verdict.State == rollout.Converged || len(w.verdict.Failed) == 0 {
			continue
		}
		task := w.verdict.Failed[len(w.verdict.Failed)-1]
		matcher, unknown := e.Matcher(ctx, task)
		if len(unknown) > 0 && !e.ShowLogs {
			e.Progress.Say("%s: log withheld: the value of %s is not known here and could not be masked; use -showLogs", name, strings.Join(unknown, ", "))
			continue
		}
		var log bytes.Buffer
		if err := e.Tasks.TaskLogs(ctx, task, logLines, &log, &log); err != nil {
			e.Progress.Say("%s: its log cannot be read: %s", name, fault.Text(err))
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(matcher.String(log.String())), "\n") {
			if line != "" {
				e.Progress.Say("%s | %s", name, fault.Printable(line))
			}
		}
	}
}
