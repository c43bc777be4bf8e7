package swarm

import (
	"context"
	"errors"
	"net/http"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// resolution is what a registry said of an image.
type resolution struct {
	image string
	err   error
}

// ResolveImage returns NAME:TAG@DIGEST with the digest that the image's registry
// has for it, asked by the engine with the stored credentials. An image with a
// digest is returned as it is, without a question. The error is
// docker.ErrNotFound if the registry has no such image, refuses the credentials,
// or does not answer in time; NAME:TAG comes with it. Each image is asked for once:
// the answer, also this error, stays for the life of the Swarm.
func (s *Swarm) ResolveImage(ctx context.Context, image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", &fault.Error{Code: fault.Invalid, What: fault.Printable(image) + " is not the name of an image"}
	}
	if _, ok := named.(reference.Digested); ok {
		return image, nil
	}
	named = reference.TagNameOnly(named)
	image = reference.FamiliarString(named)
	s.mu.Lock()
	before, asked := s.resolved[image]
	s.mu.Unlock()
	if asked {
		return before.image, before.err
	}
	answer := s.askRegistry(ctx, named, image)
	if answer.err == nil || errors.Is(answer.err, docker.ErrNotFound) {
		s.mu.Lock()
		s.resolved[image] = answer
		s.mu.Unlock()
	}
	return answer.image, answer.err
}

// askRegistry lets the engine ask the registry.
func (s *Swarm) askRegistry(ctx context.Context, named reference.Named, image string) resolution {
	doing := "asking the registry for " + image
	login, err := s.loginFor(ctx, image)
	if err != nil {
		return resolution{err: err}
	}
	inner, cancel := context.WithTimeout(ctx, s.registry)
	defer cancel()
	answer, err := s.engine.Ask(inner, engine.Request{Doing: doing, Method: http.MethodGet, Path: "/distribution/" + image + "/json", Auth: login.header})
	missing := func(why string) resolution {
		if login.problem != "" {
			why += "; no credentials were sent: " + login.problem
		}
		return resolution{image: image, err: &fault.Error{Code: fault.Failed, What: doing + ": " + why, Cause: docker.ErrNotFound}}
	}
	var refused *engine.Refusal
	switch {
	case err != nil && inner.Err() != nil && ctx.Err() == nil:
		return missing("no answer within " + s.registry.String())
	case errors.As(err, &refused):
		return missing(refused.Text)
	case err != nil:
		return resolution{err: err}
	}
	var found struct {
		Descriptor struct{ Digest digest.Digest }
	}
	if err := decode(doing, answer, &found); err != nil {
		return resolution{err: err}
	}
	pinned, err := reference.WithDigest(named, found.Descriptor.Digest)
	if err != nil || found.Descriptor.Digest.Validate() != nil {
		return resolution{err: notUnderstood(doing)}
	}
	return resolution{image: reference.FamiliarString(pinned)}
}

// HasImage reports whether the connected engine has the image.
func (s *Swarm) HasImage(ctx context.Context, image string) (bool, error) {
	_, found, err := s.engine.Image(ctx, image)
	return found, err
}
