package swarm_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
)

const aDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// has answers as an engine whose registry has an image.
func has(digest string) http.HandlerFunc {
	return say(200, `{"Descriptor":{"digest":"`+digest+`","size":7},"Platforms":[]}`)
}

func TestResolveImage_AddsTagAndDigest(t *testing.T) {
	for image, want := range map[string]struct{ asked, resolved string }{
		"web":                              {"web:latest", "web:latest@" + aDigest},
		"web:1":                            {"web:1", "web:1@" + aDigest},
		"docker.io/library/web:1":          {"web:1", "web:1@" + aDigest},
		"team/web:1":                       {"team/web:1", "team/web:1@" + aDigest},
		"registry.example:5000/team/web:1": {"registry.example:5000/team/web:1", "registry.example:5000/team/web:1@" + aDigest},
	} {
		s, f := answering(t, "GET /distribution/"+want.asked+"/json", has(aDigest))
		for range 2 {
			if got, err := s.ResolveImage(t.Context(), image); got != want.resolved || err != nil {
				t.Errorf("%s: %q, %v", image, got, err)
			}
		}
		if lines := f.lines(); len(lines) != 1 {
			t.Errorf("%s: asked %q", image, lines)
		}
	}
}

func TestResolveImage_WithADigestIsNotAskedFor(t *testing.T) {
	f := &fake{}
	s := connect(t, f, settings{})
	f.requests()
	for _, image := range []string{"web@" + aDigest, "web:1@" + aDigest} {
		if got, err := s.ResolveImage(t.Context(), image); got != image || err != nil {
			t.Errorf("%s: %q, %v", image, got, err)
		}
	}
	for _, bad := range []string{"", "Web", "a b", "web:", "web@sha256:1", "a?b"} {
		if got, err := s.ResolveImage(t.Context(), bad); fault.CodeOf(err) != fault.Invalid || got != "" || !strings.HasSuffix(err.Error(), " is not the name of an image") {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
	if lines := f.lines(); len(lines) > 0 {
		t.Errorf("asked %q", lines)
	}
}

func TestResolveImage_NotFoundIsRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		words    string
		patience time.Duration
	}{
		"unknown":      {refuse(404, "manifest unknown"), "manifest unknown", 0},
		"denied":       {refuse(401, "unauthorized: authentication required"), "unauthorized", 0},
		"no such host": {refuse(500, "lookup registry.example: no such host\nmore"), "no such host", 0},
		"silence":      {hang, "no answer within 200ms", 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{other: c.answer}
			s := connect(t, f, settings{Options: swarm.Options{Registry: c.patience}})
			f.requests()
			for range 2 {
				got, err := s.ResolveImage(t.Context(), "web:1")
				if !errors.Is(err, docker.ErrNotFound) || fault.CodeOf(err) != fault.Failed || got != "web:1" || !strings.HasPrefix(err.Error(), "asking the registry for web:1: ") || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "more") {
					t.Errorf("%q, %v", got, err)
				}
			}
			if lines := f.lines(); !slices.Equal(lines, []string{"GET /distribution/web:1/json"}) {
				t.Errorf("asked %q", lines)
			}
		})
	}
}

// What says nothing about the image is asked again.
func TestResolveImage_OtherErrorsAreNotRemembered(t *testing.T) {
	f := &fake{answers: map[string]http.HandlerFunc{}}
	s := connect(t, f, settings{})
	try := func(ctx context.Context, answer http.HandlerFunc) error {
		t.Helper()
		f.answers["GET /distribution/web:1/json"] = answer
		_, err := s.ResolveImage(ctx, "web:1")
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := try(ctx, hang); fault.CodeOf(err) != fault.Incomplete || errors.Is(err, docker.ErrNotFound) {
		t.Errorf("a deadline: %v", err)
	}
	if err := try(t.Context(), broken("")); fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("an engine that stops: %v", err)
	}
	for _, digest := range []string{"", "sha256:12", "canary"} {
		if err := try(t.Context(), has(digest)); err == nil || !strings.HasSuffix(err.Error(), "is not understood") {
			t.Errorf("%q: %v", digest, err)
		}
	}
	if err := try(t.Context(), has(aDigest)); err != nil {
		t.Error(err)
	}
}

func TestHasImage_AsksTheEngine(t *testing.T) {
	s, _ := answering(t, "GET /images/web:1/json", say(200, `{"Id":"sha256:1"}`))
	for image, want := range map[string]bool{"web:1": true, "web:2": false} {
		if got, err := s.HasImage(t.Context(), image); got != want || err != nil {
			t.Errorf("%s: %v, %v", image, got, err)
		}
	}
}
