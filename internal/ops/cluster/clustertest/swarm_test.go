package clustertest_test

import (
	"errors"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestSwarm_KeepsTheContract(t *testing.T) {
	s := clustertest.New()
	clustertest.Contract(t, "contract", s, s)
}

func TestSwarm_KeepsWhatAServiceUses(t *testing.T) {
	s := clustertest.New()
	secret, err := s.CreateSecret(t.Context(), "shop_TOKEN.v1", nil, secrets.New([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.CreateConfig(t.Context(), "shop_page.v1", nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	s.Running = []docker.Service{{ID: "api", Spec: docker.ServiceSpec{Task: docker.TaskSpec{Secrets: []docker.Reference{{ID: secret}}, Configs: []docker.Reference{{ID: config}}}}}}
	if err := s.RemoveSecret(t.Context(), secret); !errors.Is(err, docker.ErrInUse) {
		t.Errorf("a secret in use: %v", err)
	}
	if err := s.RemoveConfig(t.Context(), config); !errors.Is(err, docker.ErrInUse) {
		t.Errorf("a config in use: %v", err)
	}
	s.Running = nil
	if err := errors.Join(s.RemoveSecret(t.Context(), secret), s.RemoveConfig(t.Context(), config)); err != nil {
		t.Errorf("without a service: %v", err)
	}
}
