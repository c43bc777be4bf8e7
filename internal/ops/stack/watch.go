package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/redact"
)

const (
	watchEvery = 400 * time.Millisecond
	// lastWords bounds how long the log of a failed service is read.
	lastWords = 5 * time.Second
)

// errService is the cause when a service failed.
var errService = errors.New("a service failed")

// watcher follows the services of a stack from Compose's start until all
// are ready.
type watcher struct {
	talk    fault.Progress
	engine  Engine
	plan    *startPlan
	matcher *redact.Matcher
	begun   time.Time

	composing bool                        // Compose runs
	now       map[string]docker.Container // by service
	said      map[string]string           // last state said, by service
	ready     map[string]time.Duration    // when a service first was
}

// newWatch begins a watch.
func newWatch(talk fault.Progress, engine Engine, plan *startPlan) *watcher {
	return &watcher{
		talk: talk, engine: engine, plan: plan, matcher: redact.New(plan.known), begun: time.Now(),
		composing: true, now: map[string]docker.Container{}, said: map[string]string{}, ready: map[string]time.Duration{},
	}
}

// until looks at the services until all are ready (nil), one has failed
// (errService), Compose has failed, the engine is gone, or ctx ends.
func (w *watcher) until(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var failed error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			w.composing, ended, failed = false, nil, err
		case <-tick.C:
		}
		if err := w.look(ctx); err != nil {
			return err
		}
		switch {
		case failed != nil && len(w.failing()) > 0:
			return errService
		case failed != nil:
			return failed
		case len(w.failing()) > 0:
			return errService
		case !w.composing && len(w.waiting()) == 0:
			return nil
		}
	}
}

// look reads the containers and says what changed.
func (w *watcher) look(ctx context.Context) error {
	all, err := project.ServiceContainers(ctx, w.engine, w.plan.project)
	if err != nil {
		return err
	}
	w.now = map[string]docker.Container{}
	for _, c := range all {
		w.now[c.Service] = c
	}
	for _, service := range w.plan.m.Services {
		c, ok := w.now[service.Name]
		if !ok {
			continue
		}
		state := c.Status()
		if readyService(w.plan.m, service, c) {
			if _, ok := w.ready[service.Name]; !ok && w.fresh(service.Name) {
				w.ready[service.Name] = time.Since(w.begun)
			}
		}
		if w.said[service.Name] == state || !w.fresh(service.Name) {
			continue
		}
		w.said[service.Name] = state
		w.talk.Say("%s: %s (%.1f s)", service.Name, state, time.Since(w.begun).Seconds())
	}
	return nil
}

// fresh reports whether a service's container is the one that this start is
// about: not one that Compose has yet to replace.
func (w *watcher) fresh(service string) bool {
	c, ok := w.now[service]
	return ok && c.Labels[docker.LabelGrants] == w.plan.digests[service]
}

// waiting names the services that are not ready.
func (w *watcher) waiting() []string {
	var names []string
	for _, service := range w.plan.m.Services {
		c, ok := w.now[service.Name]
		if len(service.Profiles) > 0 && !ok {
			continue
		}
		if !ok || !readyService(w.plan.m, service, c) {
			names = append(names, service.Name)
		}
	}
	return names
}

// failing names the services that will not become ready by waiting. One that
// ran before this start is given the time until Compose has looked at it.
func (w *watcher) failing() []string {
	var names []string
	for _, service := range w.plan.m.Services {
		c, ok := w.now[service.Name]
		if !ok || !w.fresh(service.Name) {
			continue
		}
		if old, was := w.plan.before[service.Name]; w.composing && was && old.ID == c.ID && old.Started.Equal(c.Started) {
			continue
		}
		if failedService(w.plan.m, service, c) {
			names = append(names, service.Name)
		}
	}
	return names
}

// oneShot reports whether others wait for a service's successful end.
func oneShot(m *manifest.Manifest, name string) bool {
	for _, service := range m.Services {
		if service.DependsOn[name].Condition == "service_completed_successfully" {
			return true
		}
	}
	return false
}

// readyService reports whether a service does what the stack needs of it.
func readyService(m *manifest.Manifest, service manifest.Service, c docker.Container) bool {
	switch {
	case oneShot(m, service.Name):
		return c.State == "exited" && c.ExitCode == 0
	case c.Health != "":
		return c.State == "running" && c.Health == "healthy"
	}
	return c.State == "running"
}

// failedService reports whether a service has ended for good, or is unhealthy.
func failedService(m *manifest.Manifest, service manifest.Service, c docker.Container) bool {
	switch c.State {
	case "exited", "dead":
		return !(oneShot(m, service.Name) && c.ExitCode == 0)
	case "running":
		return c.Health == "unhealthy"
	}
	return false
}

// services says what became of each service.
func (w *watcher) services() []UpService {
	list := []UpService{}
	for _, service := range w.plan.m.Services {
		s := UpService{Service: service.Name, Action: Unchanged, State: "absent", Seconds: w.ready[service.Name].Seconds()}
		c, ok := w.now[service.Name]
		old, was := w.plan.before[service.Name]
		if ok {
			s.State = c.Status()
		}
		switch {
		case ok && !was:
			s.Action = Created
		case ok && old.ID != c.ID:
			s.Action = Recreated
			if old.Labels[docker.LabelGrants] != c.Labels[docker.LabelGrants] {
				s.Reason = "it held an older value"
			}
		case ok && !old.Started.Equal(c.Started):
			s.Action = Started
		}
		list = append(list, s)
	}
	return list
}

// explain makes the error of a start that did not succeed. parent is the
// caller's context; late says that the start's own deadline passed.
func (w *watcher) explain(parent context.Context, late bool, deadline time.Duration, err error) error {
	state := w.summary()
	switch {
	case parent.Err() != nil && !errors.Is(parent.Err(), context.DeadlineExceeded):
		return &fault.Error{Code: fault.Interrupted, What: "stopped; so far: " + state, Next: "mage stack:up continues, mage stack:down undoes it", Cause: context.Canceled}
	case fault.CodeOf(err) == fault.NoEngine:
		return &fault.Error{Code: fault.NoEngine, What: fault.Text(err) + "; last seen: " + state, Next: "mage engine:doctor, then mage stack:up", Cause: err}
	case errors.Is(err, errService):
		names := w.failing()
		w.showLogs(parent, names)
		return w.failed(names)
	case late:
		names := w.waiting()
		w.showLogs(parent, names)
		return &fault.Error{
			Code: fault.Incomplete, What: fmt.Sprintf("not healthy after %s: %s; all: %s", deadline, strings.Join(names, ", "), state),
			Next: "mage stack:logs, then mage stack:up", Cause: context.DeadlineExceeded,
		}
	}
	var e *fault.Error
	if errors.As(err, &e) {
		with := *e
		with.What = w.matcher.String(with.What) + "; so far: " + state
		return &with
	}
	return err
}

// failed is the error of services that failed.
func (w *watcher) failed(names []string) error {
	e := &fault.Error{Code: fault.Failed, What: strings.Join(names, ", ") + " failed; " + w.summary(), Next: "mage stack:logs, then mage stack:up"}
	for _, name := range names {
		c := w.now[name]
		f := fault.Finding{Subject: name, Problem: c.Status()}
		switch {
		case c.ExitCode == 3 && c.State == "exited":
			f.Problem += ": its secrets are missing or cannot be used"
			f.Next = "mage secrets:validate"
		case c.Problem != "":
			f.Problem += ": " + w.matcher.String(c.Problem)
		}
		e.Findings = append(e.Findings, f)
	}
	return e
}

// summary says the state of every service on one line.
func (w *watcher) summary() string {
	var parts []string
	for _, service := range w.plan.m.Services {
		state := "not started"
		if c, ok := w.now[service.Name]; ok {
			state = c.Status()
		}
		parts = append(parts, service.Name+" "+state)
	}
	return strings.Join(parts, ", ")
}

// showLogs says the last lines of services' logs, masked. The values that a
// container of this start can hold are all known.
func (w *watcher) showLogs(ctx context.Context, names []string) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	for _, name := range names {
		c, ok := w.now[name]
		if !ok || !w.fresh(name) {
			continue
		}
		var log bytes.Buffer
		if err := w.engine.ContainerLogs(ctx, c.ID, docker.LogOptions{Tail: failedLogLines}, &log, &log); err != nil {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(w.matcher.String(log.String())), "\n") {
			if line != "" {
				w.talk.Say("%s | %s", name, fault.Printable(line))
			}
		}
	}
}
