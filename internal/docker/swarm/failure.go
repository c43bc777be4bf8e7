package swarm

import (
	"errors"
	"net/http"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// explain finds the cause of a refused request. The engine gives several of them
// no status of their own, so its words decide.
func (s *Swarm) explain(err error) error {
	var refused *engine.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	if problem := s.unusable(refused.Text); problem != nil {
		return problem
	}
	failed := &fault.Error{Code: fault.Failed, What: fault.Text(err), Cause: causeOf(refused)}
	if errors.Is(failed, docker.ErrOutOfDate) {
		failed.Next = "the same command again"
	}
	return failed
}

// causeOf returns the cause of a refusal, nil if it has none of the four.
func causeOf(r *engine.Refusal) error {
	says := func(text string) bool { return strings.Contains(r.Text, text) }
	switch {
	case says("update out of sequence"):
		return docker.ErrOutOfDate
	case says("is in use by"), says("has active endpoints"), says("volume is in use"):
		return docker.ErrInUse
	case r.Status == http.StatusNotFound:
		return docker.ErrNotFound
	case r.Status == http.StatusConflict:
		return docker.ErrExists
	}
	return nil
}

// unusable returns the error of words that say that the Swarm cannot be used
// here at all, nil for others.
func (s *Swarm) unusable(words string) error {
	says := func(text string) bool { return strings.Contains(words, text) }
	switch {
	case says("does not have a leader"), says("lost leader status"), says("context deadline exceeded"), says("code = Unavailable"):
		return s.refuse("no leader", "is a manager of a Swarm without a leader: at least half of its managers are offline, or the others elect a new one",
			"wait half a minute and try again; if that does not help, start the other managers")
	case says("needs to be unlocked"):
		return s.role(docker.Swarm{State: "locked"})
	case says("Worker nodes can't"):
		return s.role(docker.Swarm{State: "active"})
	case says("not a swarm manager"), says("not part of a swarm"):
		return s.role(docker.Swarm{})
	}
	return nil
}

// role returns why an engine with this role cannot be used, nil if it can.
func (s *Swarm) role(role docker.Swarm) error {
	switch {
	case role.State == "active" && role.Manager:
		return nil
	case role.State == "active":
		return s.refuse(role.State, "is a worker of its Swarm: only a manager can change it", "choose a manager by docker context use, or DOCKER_HOST")
	case role.State == "locked":
		return s.refuse(role.State, "is in a Swarm that is locked", "docker swarm unlock")
	case role.State == "pending" || role.State == "error":
		what := "has not joined its Swarm: " + role.State
		if role.Error != "" {
			what += ": " + role.Error
		}
		return s.refuse(role.State, what, "docker info here, docker node ls on another manager")
	}
	return s.refuse("inactive", "is not in a Swarm", "docker swarm init")
}

// refuse returns the error that the engine is no manager that can be used.
func (s *Swarm) refuse(detail, what, next string) error {
	at := s.Endpoint()
	return &fault.Error{
		Code: fault.NoEngine, What: "the engine at " + at.Host + " (" + at.Source + ") " + what, Next: next,
		Cause: &docker.Failure{Cause: docker.CauseSwarm, Endpoint: at, Detail: detail},
	}
}
