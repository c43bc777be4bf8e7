//go:build swarm && linux

package swarm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/internal/docker"
)

// waitTime is how long a stage waits for a state of the Swarm.
const waitTime = 2 * time.Minute

// state is a stack as the Swarm's API has it.
type state struct {
	services map[string]string   // specification as JSON, by name without the stack's
	running  map[string][]string // ids of the tasks that run, by service, sorted
	versions []string            // names of secrets that begin with the stack's
	lock     bool
	records  int
}

// look reads the state of the stage's stack.
func (s *stage) look() state {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	got, err := s.read(ctx)
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// ofStack selects what the docker command counts to a stack.
func ofStack(stack string) filters.Args {
	return filters.NewArgs(filters.Arg("label", docker.LabelNamespace+"="+stack))
}

func (s *stage) read(ctx context.Context) (state, error) {
	got := state{services: map[string]string{}, running: map[string][]string{}}
	c := s.node.Client()
	services, err := c.ServiceList(ctx, swarmapi.ServiceListOptions{Filters: ofStack(s.stack)})
	if err != nil {
		return got, err
	}
	names := map[string]string{}
	for _, one := range services {
		spec, err := json.Marshal(one.Spec)
		if err != nil {
			return got, err
		}
		name := strings.TrimPrefix(one.Spec.Name, s.stack+"_")
		got.services[name], names[one.ID] = string(spec), name
	}
	tasks, err := c.TaskList(ctx, swarmapi.TaskListOptions{Filters: ofStack(s.stack)})
	if err != nil {
		return got, err
	}
	for _, one := range tasks {
		if name, ok := names[one.ServiceID]; ok && one.Status.State == swarmapi.TaskStateRunning && one.DesiredState == swarmapi.TaskStateRunning {
			got.running[name] = append(got.running[name], one.ID)
		}
	}
	for _, ids := range got.running {
		slices.Sort(ids)
	}
	secrets, err := c.SecretList(ctx, swarmapi.SecretListOptions{})
	if err != nil {
		return got, err
	}
	for _, one := range secrets {
		if strings.HasPrefix(one.Spec.Name, s.stack+"_") {
			got.versions = append(got.versions, one.Spec.Name)
		}
	}
	slices.Sort(got.versions)
	configs, err := c.ConfigList(ctx, swarmapi.ConfigListOptions{})
	for _, one := range configs {
		got.lock = got.lock || one.Spec.Name == s.stack+"_keepmum.lock"
		if strings.HasPrefix(one.Spec.Name, s.stack+"_keepmum.record.") {
			got.records++
		}
	}
	return got, err
}

// differs says what of two states is not the same: "" if nothing.
func (a state) differs(b state, tasks bool) string {
	var all []string
	for name, spec := range a.services {
		if b.services[name] == "" {
			all = append(all, name+" is gone")
		} else if b.services[name] != spec {
			all = append(all, name+" has another specification")
		}
		if tasks && !slices.Equal(a.running[name], b.running[name]) {
			all = append(all, fmt.Sprintf("%s has other tasks: %v, %v", name, a.running[name], b.running[name]))
		}
	}
	for name := range b.services {
		if a.services[name] == "" {
			all = append(all, name+" is new")
		}
	}
	if !slices.Equal(a.versions, b.versions) {
		all = append(all, fmt.Sprintf("other versions: %q, %q", a.versions, b.versions))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// as requires that the stack is as it was: the same services, with the same
// specifications; with tasks, also the same tasks.
func (s *stage) as(before state, tasks bool) {
	s.Helper()
	if what := before.differs(s.look(), tasks); what != "" {
		s.Fatal("the stack is not as before: ", what)
	}
	s.unlocked()
}

// unlocked requires that nobody holds the stack's lock.
func (s *stage) unlocked() {
	s.Helper()
	if s.look().lock {
		s.Fatal("the lock is still there")
	}
}

// poll waits until something holds.
func (s *stage) poll(what string, holds func(ctx context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.TB.Context(), waitTime)
	defer cancel()
	for {
		one, end := context.WithTimeout(ctx, 10*time.Second)
		err := holds(one)
		end()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.Fatalf("waiting for %s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// well waits until as many tasks of each service run as should, and returns the
// time since a command began. A job has none.
func (s *stage) well(since time.Time) time.Duration {
	s.Helper()
	want := map[string]int{"db": 1, "api": 2}
	s.poll("all to run", func(ctx context.Context) error {
		got, err := s.read(ctx)
		if err != nil {
			return err
		}
		for name, count := range want {
			if len(got.running[name]) != count {
				return fmt.Errorf("%s has %d of %d tasks", name, len(got.running[name]), count)
			}
		}
		return nil
	})
	return time.Since(since)
}

// service returns a service of the stack.
func (s *stage) service(name string) swarmapi.Service {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	one, _, err := s.node.Client().ServiceInspectWithRaw(ctx, s.stack+"_"+name, swarmapi.ServiceInspectOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return one
}

// change updates a service as somebody else would.
func (s *stage) change(name string, how func(*swarmapi.ServiceSpec)) {
	s.Helper()
	s.poll("the update of "+name, func(ctx context.Context) error { // the Swarm moves its version as well
		one, _, err := s.node.Client().ServiceInspectWithRaw(ctx, s.stack+"_"+name, swarmapi.ServiceInspectOptions{})
		if err != nil {
			return err
		}
		how(&one.Spec)
		_, err = s.node.Client().ServiceUpdate(ctx, one.ID, one.Version, one.Spec, swarmapi.ServiceUpdateOptions{})
		return err
	})
}
