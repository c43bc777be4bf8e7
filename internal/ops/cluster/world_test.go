package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

var errElection = errors.New("the swarm does not have a leader")

// talk keeps what is said.
type talk struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *talk) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.text, format+"\n", args...)
}

func (p *talk) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// open opens the stack shop as somebody.
func open(t *testing.T, s *clustertest.Swarm, by string) (*cluster.State, *talk) {
	t.Helper()
	said := &talk{}
	state, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, Progress: said, By: by}).Open(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return state, said
}

// version makes a version of a secret.
func version(t *testing.T, s *clustertest.Swarm, stack, name, number, environment string) {
	t.Helper()
	labels := map[string]string{docker.LabelStack: stack, docker.LabelSecret: name, docker.LabelVersion: number, docker.LabelEnvironment: environment}
	if _, err := s.CreateSecret(t.Context(), stack+"_"+name+".v"+number, labels, secrets.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
}

// config returns the config of that name.
func config(t *testing.T, s *clustertest.Swarm, name string) (docker.SwarmConfig, bool) {
	t.Helper()
	all, err := s.Configs(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Name == name {
			return one, true
		}
	}
	return docker.SwarmConfig{}, false
}

// want requires an error of the code whose text has each part.
func want(t *testing.T, err error, code fault.Code, parts ...string) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code {
		t.Errorf("code %d, want %d: %v", fault.CodeOf(err), code, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
	var said *fault.Error
	if errors.As(err, &said) && said.Next == "" {
		t.Errorf("no way out is named: %v", err)
	}
}
