package swarm

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// service is a service in the engine's JSON.
type service struct {
	meta
	Spec         json.RawMessage
	PreviousSpec *json.RawMessage // nil for null
	UpdateStatus *struct{ State, Message string }
	JobStatus    *struct{ JobIteration struct{ Index uint64 } }
}

// Services returns all services of the Swarm, sorted by name.
func (s *Swarm) Services(ctx context.Context) ([]docker.Service, error) {
	const doing = "listing the Swarm's services"
	answer, err := s.get(ctx, doing, "/services", nil)
	if err != nil {
		return nil, err
	}
	var list []service
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.Service, len(list))
	for i, one := range list {
		if all[i], err = s.serviceOf(doing, one); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b docker.Service) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return all, nil
}

// Service returns the service that id names: an id, the beginning of one, or a
// name.
func (s *Swarm) Service(ctx context.Context, id string) (docker.Service, error) {
	doing := "inspecting the service " + fault.Printable(id)
	if err := known(doing, "service", id); err != nil {
		return docker.Service{}, err
	}
	answer, err := s.get(ctx, doing, "/services/"+id, nil)
	if err != nil {
		return docker.Service{}, err
	}
	var one service
	if err := decode(doing, answer, &one); err != nil {
		return docker.Service{}, err
	}
	return s.serviceOf(doing, one)
}

// CreateService creates a service with its image's registry credentials, and
// returns its id and what the engine warns of.
func (s *Swarm) CreateService(ctx context.Context, spec docker.ServiceSpec) (string, []string, error) {
	doing := "creating the service " + fault.Printable(spec.Name)
	login, err := s.loginFor(ctx, spec.Task.Image)
	if err != nil {
		return "", nil, err
	}
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodPost, Path: "/services/create", Auth: login.header, Body: spec.JSON})
	if err != nil {
		return "", nil, s.explain(err)
	}
	id, err := createdID(doing, answer)
	if err != nil {
		return "", nil, err
	}
	s.remember(id, spec.Name)
	warnings, err := warningsOf(doing, answer)
	return id, warnings, err
}

// UpdateService gives a service another specification if it still has that
// version; otherwise the error is docker.ErrOutOfDate. Without stored
// credentials for its image's registry it keeps those that it has.
func (s *Swarm) UpdateService(ctx context.Context, id string, index uint64, spec docker.ServiceSpec) ([]string, error) {
	doing := "updating the service " + fault.Printable(spec.Name)
	if err := known(doing, "service", id); err != nil {
		return nil, err
	}
	login, err := s.loginFor(ctx, spec.Task.Image)
	if err != nil {
		return nil, err
	}
	query := version(index)
	if login.header.IsZero() {
		query.Set("registryAuthFrom", "spec")
	}
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodPost, Path: "/services/" + id + "/update", Query: query, Auth: login.header, Body: spec.JSON})
	if err != nil {
		return nil, s.explain(err)
	}
	return warningsOf(doing, answer)
}

// RemoveService removes a service by its id. Its tasks end after that.
func (s *Swarm) RemoveService(ctx context.Context, id string) error {
	return s.remove(ctx, "service", id)
}

// serviceOf reads a service, and remembers its name.
func (s *Swarm) serviceOf(doing string, raw service) (docker.Service, error) {
	spec, err := docker.ParseServiceSpec(raw.Spec)
	if err != nil || raw.ID == "" {
		return docker.Service{}, notUnderstood(doing)
	}
	one := docker.Service{ID: raw.ID, Version: raw.Version.Index, Spec: spec, Created: raw.CreatedAt, Updated: raw.UpdatedAt}
	if raw.PreviousSpec != nil {
		previous, err := docker.ParseServiceSpec(*raw.PreviousSpec)
		if err != nil {
			return docker.Service{}, notUnderstood(doing)
		}
		one.Previous = &previous
	}
	if u := raw.UpdateStatus; u != nil {
		one.Update = docker.UpdateStatus{State: u.State, Message: engine.OneLine(u.Message)}
	}
	if raw.JobStatus != nil {
		one.Job = raw.JobStatus.JobIteration.Index
	}
	s.remember(one.ID, spec.Name)
	return one, nil
}

// remember keeps a service's name, which never changes, for those of its tasks.
func (s *Swarm) remember(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[id] = name
}

// warningsOf reads the warnings of a create or an update.
func warningsOf(doing string, answer []byte) ([]string, error) {
	var said struct{ Warnings []string }
	if err := decode(doing, answer, &said); err != nil {
		return nil, err
	}
	for i, one := range said.Warnings {
		said.Warnings[i] = engine.OneLine(one)
	}
	return said.Warnings, nil
}
