package swarm

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// config is a config in the engine's JSON.
type config struct {
	meta
	Spec annotated
}

// Configs returns all configs of the Swarm with their data, sorted by name.
func (s *Swarm) Configs(ctx context.Context) ([]docker.SwarmConfig, error) {
	const doing = "listing the Swarm's configs"
	answer, err := s.get(ctx, doing, "/configs", nil)
	if err != nil {
		return nil, err
	}
	var list []config
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.SwarmConfig, len(list))
	for i, c := range list {
		all[i] = docker.SwarmConfig{ID: c.ID, Version: c.Version.Index, Name: c.Spec.Name, Labels: c.Spec.Labels, Data: c.Spec.Data, Created: c.CreatedAt, Updated: c.UpdatedAt}
	}
	slices.SortFunc(all, func(a, b docker.SwarmConfig) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// CreateConfig creates a config and returns its id.
func (s *Swarm) CreateConfig(ctx context.Context, name string, labels map[string]string, data []byte) (string, error) {
	doing := "creating the Swarm config " + fault.Printable(name)
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodPost, Path: "/configs/create", Body: encode(annotated{name, labels, data})})
	if err != nil {
		return "", s.explain(err)
	}
	return createdID(doing, answer)
}

// RelabelConfig replaces all labels of a config if it still has that version;
// otherwise the error is docker.ErrOutOfDate.
func (s *Swarm) RelabelConfig(ctx context.Context, id string, index uint64, labels map[string]string) error {
	doing := "labelling the Swarm config " + fault.Printable(id)
	if err := known(doing, "config", id); err != nil {
		return err
	}
	answer, err := s.get(ctx, doing, "/configs/"+id, nil) // an update must repeat the name
	if err != nil {
		return err
	}
	var now config
	if err := decode(doing, answer, &now); err != nil {
		return err
	}
	_, err = s.engine.Ask(ctx, engine.Request{
		Doing: doing, Method: http.MethodPost, Path: "/configs/" + id + "/update", Query: version(index),
		Body: encode(annotated{Name: now.Spec.Name, Labels: labels}),
	})
	return s.explain(err)
}

// RemoveConfig removes a config by its id.
func (s *Swarm) RemoveConfig(ctx context.Context, id string) error {
	return s.remove(ctx, "config", id)
}
