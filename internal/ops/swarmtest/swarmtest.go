// Package swarmtest has a Swarm in memory that schedules tasks, for tests of the
// use cases that deploy: [New] makes a [Sim]. It is for faults, and for the order
// of things; the real Swarm is in the integration tests.
package swarmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Sim is a Swarm in memory: each look at the tasks moves them one state on. How a
// task of an image behaves is in Images. The embedded Swarm has the secrets and
// configs.
type Sim struct {
	*clustertest.Swarm
	Images  map[string]string // behaviour by image: ok (default), crash, never, pull, done, slow
	Before  func(call string) error
	Lost    func(call string) bool // the answer to a call that was done is lost
	Looked  func()                 // after each look at the tasks
	Members []docker.Node
	Logs    string
	Login   []secrets.Known
	Reading func(id string) // before a service is read
	Warn    []string        // the engine's warnings of each change
	NoLog   error           // why no log can be read

	mu       sync.Mutex
	now      time.Duration
	index    uint64
	services map[string]*simService
	networks []docker.Network
	calls    []string
}

// simService is one service with its tasks.
type simService struct {
	docker.Service
	tasks []docker.Task
	count int
}

// ErrSilent is the error of a manager that does not answer.
var ErrSilent = &fault.Error{Code: fault.NoEngine, What: "the Swarm has no leader"}

// New makes a Swarm of one node.
func New() *Sim {
	node := docker.Node{ID: "n1", Hostname: "one", Manager: true, Reachable: true, State: "ready", Availability: "active", NanoCPUs: 2e9, Memory: 4 << 30}
	return &Sim{Swarm: clustertest.New(), Images: map[string]string{}, Members: []docker.Node{node}, services: map[string]*simService{},
		networks: []docker.Network{{ID: "host-of-node", Name: "host", Driver: "host", Scope: "local"}, {ID: "host-of-swarm", Name: "host", Driver: "host", Scope: "swarm"}}}
}

// Clock moves a second with each look, and a little with each question.
func (s *Sim) Clock() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += 100 * time.Millisecond
	return s.now
}

func (s *Sim) note(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if s.Before != nil {
		return s.Before(call)
	}
	return nil
}

// Changes are the calls that changed something, in order.
func (s *Sim) Changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Services lists the services.
func (s *Sim) Services(context.Context) ([]docker.Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []docker.Service
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		all = append(all, s.services[name].Service)
	}
	return all, nil
}

func (s *Sim) byID(id string) (*simService, error) {
	for _, one := range s.services {
		if one.ID == id {
			return one, nil
		}
	}
	return nil, &fault.Error{Code: fault.Failed, What: "no such service", Cause: docker.ErrNotFound}
}

// Service returns one service.
func (s *Sim) Service(_ context.Context, id string) (docker.Service, error) {
	if s.Reading != nil {
		s.Reading(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.byID(id)
	if err != nil {
		return docker.Service{}, err
	}
	return one.Service, nil
}

// stored is a specification as the engine keeps it: networks by id.
func (s *Sim) stored(spec docker.ServiceSpec) docker.ServiceSpec {
	text := strings.ReplaceAll(string(spec.JSON), `"Target":"host"`, `"Target":"host-of-swarm"`)
	for _, n := range s.networks {
		text = strings.ReplaceAll(text, `"Target":"`+n.Name+`"`, `"Target":"`+n.ID+`"`)
	}
	stored, err := docker.ParseServiceSpec([]byte(text))
	if err != nil {
		panic(err)
	}
	return stored
}

// CreateService makes a service.
func (s *Sim) CreateService(_ context.Context, spec docker.ServiceSpec) (id string, _ []string, err error) {
	if err := s.note("create %s", spec.Name); err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.services[spec.Name]; there {
		return "", nil, &fault.Error{Code: fault.Failed, What: "name conflict", Cause: docker.ErrExists}
	}
	for _, r := range spec.Task.Secrets {
		if r.ID == "" {
			return "", nil, &fault.Error{Code: fault.Failed, What: "secret not found: " + r.Name}
		}
	}
	s.index++
	if s.Lost != nil && s.Lost("create "+spec.Name) {
		defer func() { id, err = "", ErrSilent }()
	}
	one := &simService{Service: docker.Service{ID: fmt.Sprintf("service%d", s.index), Version: s.index, Spec: s.stored(spec), Job: s.index}}
	s.services[spec.Name] = one
	return one.ID, s.Warn, nil
}

// UpdateService changes a service that still has the version.
func (s *Sim) UpdateService(_ context.Context, id string, version uint64, spec docker.ServiceSpec) ([]string, error) {
	if err := s.note("update %s %s", spec.Name, spec.Task.Image); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.byID(id)
	if err != nil {
		return nil, err
	}
	if one.Version != version {
		return nil, &fault.Error{Code: fault.Failed, What: "update out of sequence", Cause: docker.ErrOutOfDate}
	}
	s.set(one, s.stored(spec))
	if s.Lost != nil && s.Lost("update "+spec.Name) {
		return nil, ErrSilent
	}
	return s.Warn, nil
}

// set gives a service another specification.
func (s *Sim) set(one *simService, spec docker.ServiceSpec) {
	s.index++
	previous := one.Spec
	one.Previous, one.Spec, one.Version, one.Job, one.Update = &previous, spec, s.index, s.index, docker.UpdateStatus{}
}

// RemoveService removes a service and its tasks.
func (s *Sim) RemoveService(_ context.Context, id string) error {
	s.mu.Lock()
	one, err := s.byID(id)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.note("remove %s", one.Spec.Name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.services, one.Spec.Name)
	return nil
}

// Tasks returns the tasks after one more tick.
func (s *Sim) Tasks(_ context.Context, ids ...string) ([]docker.Task, error) {
	if s.Looked != nil {
		defer s.Looked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += time.Second
	var all []docker.Task
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		if one := s.services[name]; slices.Contains(ids, one.ID) {
			s.tick(one)
			all = append(all, one.tasks...)
		}
	}
	return all, nil
}

// tick moves the tasks of one service one state on.
func (s *Sim) tick(one *simService) {
	live := 0
	for i := range one.tasks {
		t := &one.tasks[i]
		if t.Over() {
			continue
		}
		if string(t.Spec.JSON) != string(one.Spec.Task.JSON) {
			if s.replaced(one) {
				t.State, t.Desired = "shutdown", "shutdown"
			}
			continue
		}
		live++
		s.advance(one, t)
	}
	for ; live < int(one.Spec.Replicas) && !s.rests(one); live++ {
		one.count++
		one.tasks = append(one.tasks, docker.Task{ID: fmt.Sprintf("%s-%d", one.ID, one.count), Name: fmt.Sprintf("%s.%d", one.Spec.Name, live+1), ServiceID: one.ID, NodeID: "n1", Slot: live + 1,
			State: "preparing", Desired: "running", Job: one.Job, Spec: one.Spec.Task, Changed: time.Unix(int64(one.count), 0)})
	}
}

// replaced reports whether a running task of the new specification takes over.
func (s *Sim) replaced(one *simService) bool {
	return slices.ContainsFunc(one.tasks, func(t docker.Task) bool {
		return string(t.Spec.JSON) == string(one.Spec.Task.JSON) && t.State == "running"
	})
}

// rests reports whether a one-shot has ended.
func (s *Sim) rests(one *simService) bool {
	return slices.ContainsFunc(one.tasks, func(t docker.Task) bool {
		return t.State == "complete" && string(t.Spec.JSON) == string(one.Spec.Task.JSON)
	})
}

// advance moves one task by what its image does.
func (s *Sim) advance(one *simService, t *docker.Task) {
	image, _, _ := strings.Cut(t.Spec.Image, "@")
	switch does := s.Images[image]; {
	case does == "pull":
		t.State, t.Desired, t.Problem = "rejected", "shutdown", "No such image: "+image
	case t.State == "preparing":
		t.State = "starting"
	case does == "crash":
		t.State, t.Desired, t.Problem, t.ExitCode = "failed", "shutdown", "task: non-zero exit (3)", 3
		if one.Spec.OnFailure == "rollback" && one.Previous != nil {
			previous := *one.Previous
			s.set(one, previous)
			one.Previous, one.Update.State = nil, "rollback_started"
		}
	case does == "done":
		t.State, t.Desired = "complete", "shutdown"
	case does == "never":
	case does == "slow" && one.count < 1000:
		one.count += 100
	default:
		t.State = "running"
	}
}

// TaskLogs writes Logs.
func (s *Sim) TaskLogs(_ context.Context, _ docker.Task, _ int, stdout, _ io.Writer) error {
	_, err := io.WriteString(stdout, s.Logs)
	return errors.Join(err, s.NoLog)
}

// Networks lists the networks.
func (s *Sim) Networks(context.Context) ([]docker.Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.networks), nil
}

// CreateNetwork makes a network.
func (s *Sim) CreateNetwork(_ context.Context, spec docker.NetworkSpec) (string, error) {
	if err := s.note("network %s", spec.Name); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.networks, func(n docker.Network) bool { return n.Name == spec.Name && n.Scope == "swarm" }) {
		return "", &fault.Error{Code: fault.Failed, What: "network exists", Cause: docker.ErrExists}
	}
	s.index++
	n := docker.Network{ID: fmt.Sprintf("network%d", s.index), Name: spec.Name, Driver: spec.Driver, Scope: "swarm", Labels: spec.Labels, Options: spec.Options, Attachable: spec.Attachable, Internal: spec.Internal}
	s.networks = append(s.networks, n)
	if s.Lost != nil && s.Lost("network "+spec.Name) {
		return "", ErrSilent
	}
	return n.ID, nil
}

// RemoveNetwork removes a network.
func (s *Sim) RemoveNetwork(_ context.Context, id string) error {
	if err := s.note("remove network"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.networks = slices.DeleteFunc(s.networks, func(n docker.Network) bool { return n.ID == id })
	return nil
}

// Nodes returns Members.
func (s *Sim) Nodes(context.Context) ([]docker.Node, error) { return s.Members, nil }

// ResolveImage knows the images whose names begin with registry/.
func (s *Sim) ResolveImage(_ context.Context, image string) (string, error) {
	if strings.HasPrefix(image, "registry/") {
		return image + "@sha256:abc", nil
	}
	return image, &fault.Error{Code: fault.Failed, What: "no registry", Cause: docker.ErrNotFound}
}

// HasImage knows every image that is not from nowhere.
func (s *Sim) HasImage(_ context.Context, image string) (bool, error) {
	return !strings.Contains(image, "nowhere"), nil
}

// Credentials returns Login.
func (s *Sim) Credentials(context.Context, ...string) []secrets.Known { return s.Login }

// RemoveVolume removes a volume.
func (s *Sim) RemoveVolume(_ context.Context, name string) error {
	return s.note("remove volume %s", name)
}

// By makes somebody else change a service.
func (s *Sim) By(name string, change func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.services[name]
	var tree map[string]any
	if err := json.Unmarshal(one.Spec.JSON, &tree); err != nil {
		panic(err)
	}
	change(tree)
	data, _ := json.Marshal(tree)
	spec, err := docker.ParseServiceSpec(data)
	if err != nil {
		panic(err)
	}
	s.set(one, spec)
}

// Fail ends the first task of a service with an error.
func (s *Sim) Fail(service string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	task := &s.services[service].tasks[0]
	task.State, task.Desired = "failed", "shutdown"
}

// FailRunning ends every running task of a service with an error.
func (s *Sim) FailRunning(service string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := s.services[service].tasks
	for i := range tasks {
		if tasks[i].State == "running" {
			tasks[i].State, tasks[i].Desired = "failed", "shutdown"
		}
	}
}

// Running are the images of the services, by name of the service.
func (s *Sim) Running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		all = append(all, s.services[name].Spec.Task.Image)
	}
	return all
}
