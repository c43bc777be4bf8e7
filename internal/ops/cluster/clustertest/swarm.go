// Package clustertest has what tests of use cases over a Swarm work with: [New]
// makes a [Swarm] in memory that keeps the rules of a real one as far as secrets
// and configs go, and [Contract] is the suite that says which rules these are. It
// runs against the Swarm in memory here, and against a real one in the
// integration tests.
package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// The limits of a real Swarm.
const (
	maxName = 64
	maxData = secrets.MaxSize // bytes, of a secret or a config
)

var validName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$`)

// Swarm is a Swarm in memory. Set its fields before the first call, or hold no
// call while you do.
type Swarm struct {
	Role    docker.Swarm
	At      docker.Endpoint
	Refuse  error                               // of TakesValues
	Fail    func(context.Context, string) error // asked before each call, by its name; nil: none fails
	After   func(string) error                  // asked after each call that changed something: an answer that is lost
	Clock   func() time.Time                    // of the manager, for the times that it writes; nil: time.Now
	Running []docker.Service
	Works   []docker.Task
	Members []docker.Node

	mu      sync.Mutex
	index   uint64
	secrets map[string]docker.SwarmSecret
	values  map[string]secrets.Secret
	configs map[string]docker.SwarmConfig
	calls   []string
}

// New makes an empty Swarm, seen from a manager.
func New() *Swarm {
	return &Swarm{
		Role:    docker.Swarm{State: "active", Manager: true, NodeID: "node1", Cluster: "cluster1"},
		At:      docker.Endpoint{Host: "unix:///run/test.sock", Source: "context test"},
		secrets: map[string]docker.SwarmSecret{}, values: map[string]secrets.Secret{}, configs: map[string]docker.SwarmConfig{},
	}
}

// Endpoint returns At.
func (s *Swarm) Endpoint() docker.Endpoint { return s.At }

// Manager returns Role, or an error if that is no manager's.
func (s *Swarm) Manager(ctx context.Context) (docker.Swarm, error) {
	if err := s.call(ctx, "Manager"); err != nil {
		return docker.Swarm{}, err
	}
	if !s.Role.Manager {
		return s.Role, &fault.Error{Code: fault.NoEngine, What: "this engine is no manager", Next: "docker context use MANAGER"}
	}
	return s.Role, nil
}

// TakesValues returns Refuse.
func (s *Swarm) TakesValues() error { return s.Refuse }

// Secrets lists the secrets by name.
func (s *Swarm) Secrets(ctx context.Context) ([]docker.SwarmSecret, error) {
	if err := s.call(ctx, "Secrets"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.secrets), func(a, b docker.SwarmSecret) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		all[i].Labels = maps.Clone(all[i].Labels)
	}
	return all, nil
}

// CreateSecret makes a secret.
func (s *Swarm) CreateSecret(ctx context.Context, name string, labels map[string]string, value secrets.Secret) (string, error) {
	if err := s.call(ctx, "CreateSecret "+name); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.secrets {
		if other.Name == name {
			return "", fmt.Errorf("secret %s: %w", name, docker.ErrExists)
		}
	}
	if err := check(name, len(value.Reveal())); err != nil {
		return "", err
	}
	id, now := s.next("secret"), s.now()
	s.secrets[id] = docker.SwarmSecret{ID: id, Version: s.index, Name: name, Labels: maps.Clone(labels), Created: now, Updated: now}
	s.values[id] = value
	return id, s.after("CreateSecret " + name)
}

// RemoveSecret removes a secret that no service uses.
func (s *Swarm) RemoveSecret(ctx context.Context, id string) error {
	if err := s.call(ctx, "RemoveSecret "+id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.secrets[id]; !there {
		return docker.ErrNotFound
	}
	if s.used(id, func(t docker.TaskSpec) []docker.Reference { return t.Secrets }) {
		return docker.ErrInUse
	}
	delete(s.secrets, id)
	delete(s.values, id)
	return s.after("RemoveSecret " + id)
}

// Configs lists the configs by name.
func (s *Swarm) Configs(ctx context.Context) ([]docker.SwarmConfig, error) {
	if err := s.call(ctx, "Configs"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.configs), func(a, b docker.SwarmConfig) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		all[i].Labels, all[i].Data = maps.Clone(all[i].Labels), bytes.Clone(all[i].Data)
	}
	return all, nil
}

// CreateConfig makes a config.
func (s *Swarm) CreateConfig(ctx context.Context, name string, labels map[string]string, data []byte) (string, error) {
	if err := s.call(ctx, "CreateConfig "+name); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.configs {
		if other.Name == name {
			return "", fmt.Errorf("config %s: %w", name, docker.ErrExists)
		}
	}
	if err := check(name, len(data)); err != nil {
		return "", err
	}
	id, now := s.next("config"), s.now()
	s.configs[id] = docker.SwarmConfig{ID: id, Version: s.index, Name: name, Labels: maps.Clone(labels), Data: bytes.Clone(data), Created: now, Updated: now}
	return id, s.after("CreateConfig " + name)
}

// RelabelConfig replaces the labels of a config that still has the version.
func (s *Swarm) RelabelConfig(ctx context.Context, id string, version uint64, labels map[string]string) error {
	if err := s.call(ctx, "RelabelConfig "+id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	config, there := s.configs[id]
	switch {
	case !there:
		return docker.ErrNotFound
	case config.Version != version:
		return docker.ErrOutOfDate
	}
	s.index++
	config.Version, config.Labels, config.Updated = s.index, maps.Clone(labels), s.now()
	s.configs[id] = config
	return s.after("RelabelConfig " + id)
}

// RemoveConfig removes a config that no service uses.
func (s *Swarm) RemoveConfig(ctx context.Context, id string) error {
	if err := s.call(ctx, "RemoveConfig "+id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.configs[id]; !there {
		return docker.ErrNotFound
	}
	if s.used(id, func(t docker.TaskSpec) []docker.Reference { return t.Configs }) {
		return docker.ErrInUse
	}
	delete(s.configs, id)
	return s.after("RemoveConfig " + id)
}

// Services returns Running.
func (s *Swarm) Services(ctx context.Context) ([]docker.Service, error) {
	return s.Running, s.call(ctx, "Services")
}

// Tasks returns those of Works that belong to the services.
func (s *Swarm) Tasks(ctx context.Context, services ...string) ([]docker.Task, error) {
	var found []docker.Task
	for _, task := range s.Works {
		if slices.Contains(services, task.ServiceID) {
			found = append(found, task)
		}
	}
	return found, s.call(ctx, "Tasks")
}

// Nodes returns Members.
func (s *Swarm) Nodes(ctx context.Context) ([]docker.Node, error) {
	return s.Members, s.call(ctx, "Nodes")
}

// Value returns the value of a secret by its name, for tests alone: a real Swarm
// returns none.
func (s *Swarm) Value(name string) (value secrets.Secret, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, secret := range s.secrets {
		if secret.Name == name {
			return s.values[id], true
		}
	}
	return value, false
}

// Calls returns the calls so far that begin with the given word.
func (s *Swarm) Calls(word string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(call string) bool { return !strings.HasPrefix(call, word) })
}

// call notes a call, and fails if its context has ended or Fail says so.
func (s *Swarm) call(ctx context.Context, call string) error {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	fail := s.Fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, call); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Swarm) after(call string) error {
	if s.After == nil {
		return nil
	}
	return s.After(call)
}

// next counts a change and returns the id of a new object.
func (s *Swarm) next(kind string) string {
	s.index++
	return fmt.Sprintf("%s-%d", kind, s.index)
}

func (s *Swarm) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

// used reports whether a service refers to an object.
func (s *Swarm) used(id string, references func(docker.TaskSpec) []docker.Reference) bool {
	return slices.ContainsFunc(s.Running, func(service docker.Service) bool {
		return slices.ContainsFunc(references(service.Spec.Task), func(r docker.Reference) bool { return r.ID == id })
	})
}

// check refuses what a real Swarm refuses.
func check(name string, size int) error {
	switch {
	case len(name) > maxName || !validName.MatchString(name):
		return &fault.Error{Code: fault.Failed, What: "the engine refuses the name"}
	case size == 0 || size > maxData:
		return &fault.Error{Code: fault.Failed, What: "the engine refuses the size"}
	}
	return nil
}
