package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// maxSecret is the largest value that a Swarm takes, in bytes.
const maxSecret = 511_999

// Secrets returns all secrets of the Swarm, sorted by name.
func (s *Swarm) Secrets(ctx context.Context) ([]docker.SwarmSecret, error) {
	const doing = "listing the Swarm's secrets"
	answer, err := s.get(ctx, doing, "/secrets", nil)
	if err != nil {
		return nil, err
	}
	var list []struct {
		meta
		Spec annotated
	}
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.SwarmSecret, len(list))
	for i, one := range list {
		all[i] = docker.SwarmSecret{ID: one.ID, Version: one.Version.Index, Name: one.Spec.Name, Labels: one.Spec.Labels, Created: one.CreatedAt, Updated: one.UpdatedAt}
	}
	slices.SortFunc(all, func(a, b docker.SwarmSecret) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// CreateSecret creates a secret and returns its id. The value goes into the
// request and nowhere else; it must have 1 to 511,999 bytes.
func (s *Swarm) CreateSecret(ctx context.Context, name string, labels map[string]string, value secrets.Secret) (string, error) {
	doing := "creating the Swarm secret " + fault.Printable(name)
	if err := s.TakesValues(); err != nil {
		return "", err
	}
	if err := checkSize(doing, value); err != nil {
		return "", err
	}
	body := encode(annotated{Name: name, Labels: labels, Data: value.Reveal()})
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodPost, Path: "/secrets/create", Body: body})
	if err != nil {
		return "", s.withheld(doing, err)
	}
	return createdID(doing, answer)
}

// RemoveSecret removes a secret by its id.
func (s *Swarm) RemoveSecret(ctx context.Context, id string) error {
	return s.remove(ctx, "secret", id)
}

// checkSize returns an error unless the Swarm takes a value of this size.
func checkSize(doing string, value secrets.Secret) error {
	problem := ""
	switch size := len(value.Reveal()); {
	case size == 0:
		problem = "its value is empty"
	case size > maxSecret:
		problem = "its value is too long"
	default:
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s: %s; a Swarm takes 1 to %d bytes", doing, problem, maxSecret)}
}

// withheld is explain for a request with a value: what answered it, an engine or
// something in between, could quote it, so only known words are passed on.
func (s *Swarm) withheld(doing string, err error) error {
	var refused *engine.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	if problem := s.unusable(refused.Text); problem != nil {
		return problem
	}
	failed := &fault.Error{Code: fault.Failed, Cause: causeOf(refused)}
	switch {
	case errors.Is(failed, docker.ErrExists):
		failed.What = doing + ": there is one of this name"
	case strings.Contains(refused.Text, "invalid name"):
		failed.What = doing + ": a Swarm takes names of 1 to 64 letters, digits, and - _ . between them"
	default:
		failed.What = fmt.Sprintf("%s: the engine refused it with status %d; its words are withheld, because they could quote the value", doing, refused.Status)
		failed.Next = "look for the reason in the engine's log"
	}
	return failed
}

// createdID reads the answer to a create.
func createdID(doing string, answer []byte) (string, error) {
	var made struct{ ID string }
	if err := decode(doing, answer, &made); err != nil {
		return "", err
	}
	if made.ID == "" {
		return "", notUnderstood(doing)
	}
	return made.ID, nil
}
