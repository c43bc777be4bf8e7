package clustertest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Contract requires that secrets and configs behave as the ports of package
// cluster say, and as its lock and its record need it. It makes objects whose
// names begin with the prefix, and removes them.
func Contract(t *testing.T, prefix string, s cluster.Secrets, c cluster.Configs) {
	t.Run("secrets", func(t *testing.T) { secretsContract(t, prefix, s) })
	t.Run("configs", func(t *testing.T) { configsContract(t, prefix, c) })
	t.Run("compare and swap", func(t *testing.T) { swapContract(t, prefix, c) })
	t.Run("names", func(t *testing.T) { namesContract(t, prefix, s, c) })
	t.Run("one of several creators", func(t *testing.T) { raceContract(t, prefix, c) })
}

// value is a value of n bytes.
func value(n int) secrets.Secret { return secrets.New(bytes.Repeat([]byte("v"), n)) }

// secretNamed finds a secret in the list.
func secretNamed(t *testing.T, s cluster.Secrets, name string) (docker.SwarmSecret, bool) {
	t.Helper()
	all, err := s.Secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(one docker.SwarmSecret) bool { return one.Name == name })
	if i < 0 {
		return docker.SwarmSecret{}, false
	}
	return all[i], true
}

// configNamed finds a config in the list.
func configNamed(t *testing.T, c cluster.Configs, name string) (docker.SwarmConfig, bool) {
	t.Helper()
	all, err := c.Configs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(one docker.SwarmConfig) bool { return one.Name == name })
	if i < 0 {
		return docker.SwarmConfig{}, false
	}
	return all[i], true
}

func secretsContract(t *testing.T, prefix string, s cluster.Secrets) {
	name, labels := prefix+"_A.v1", map[string]string{"a": "1", "empty": "", "two words": "x y"}
	id, err := s.CreateSecret(t.Context(), name, labels, value(1))
	if err != nil || id == "" {
		t.Fatalf("id %q, %v", id, err)
	}
	found, there := secretNamed(t, s, name)
	if !there || found.ID != id || !maps.Equal(found.Labels, labels) || found.Created.IsZero() || found.Version == 0 {
		t.Errorf("listed as %+v", found)
	}
	if _, err := s.CreateSecret(t.Context(), name, nil, value(1)); !errors.Is(err, docker.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := s.RemoveSecret(t.Context(), id); err != nil {
		t.Error(err)
	}
	if _, there := secretNamed(t, s, name); there {
		t.Error("it is still there")
	}
	if err := s.RemoveSecret(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for size, fits := range map[int]bool{0: false, 1: true, secrets.MaxSize: true, secrets.MaxSize + 1: false} {
		id, err := s.CreateSecret(t.Context(), prefix+"_B.v1", nil, value(size))
		if (err == nil) != fits {
			t.Errorf("%d bytes: %v", size, err)
		}
		if err == nil {
			if err := s.RemoveSecret(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	}
}

func configsContract(t *testing.T, prefix string, c cluster.Configs) {
	name, data := prefix+"_keepmum.x.1", []byte("{\"a\": 1}\n")
	id, err := c.CreateConfig(t.Context(), name, map[string]string{"a": "1"}, data)
	if err != nil || id == "" {
		t.Fatalf("id %q, %v", id, err)
	}
	found, there := configNamed(t, c, name)
	if !there || found.ID != id || !bytes.Equal(found.Data, data) || found.Labels["a"] != "1" || found.Version == 0 {
		t.Errorf("listed as %+v", found)
	}
	if _, err := c.CreateConfig(t.Context(), name, nil, data); !errors.Is(err, docker.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := c.RemoveConfig(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := c.RemoveConfig(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if err := c.RelabelConfig(t.Context(), id, found.Version, nil); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("relabelled after it was removed: %v", err)
	}
}

func swapContract(t *testing.T, prefix string, c cluster.Configs) {
	name := prefix + "_keepmum.swap"
	id, err := c.CreateConfig(t.Context(), name, map[string]string{"a": "1", "b": "2"}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := configNamed(t, c, name)
	if err := c.RelabelConfig(t.Context(), id, first.Version, map[string]string{"a": "3"}); err != nil {
		t.Fatal(err)
	}
	second, _ := configNamed(t, c, name)
	if second.Version == first.Version || !maps.Equal(second.Labels, map[string]string{"a": "3"}) || string(second.Data) != "x" {
		t.Errorf("it is %+v", second)
	}
	if err := c.RelabelConfig(t.Context(), id, first.Version, map[string]string{"a": "4"}); !errors.Is(err, docker.ErrOutOfDate) {
		t.Errorf("by an old version: %v", err)
	}
	if err := c.RelabelConfig(t.Context(), id, second.Version, second.Labels); err != nil {
		t.Errorf("by the same labels: %v", err)
	}
	if third, _ := configNamed(t, c, name); third.Version == second.Version {
		t.Error("the same labels give no new version: a heartbeat would not be seen")
	}
	if err := c.RemoveConfig(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func namesContract(t *testing.T, prefix string, s cluster.Secrets, c cluster.Configs) {
	long := prefix + "_" + strings.Repeat("N", 64-len(prefix)-len("_.v1")) + ".v1"
	for name, fits := range map[string]bool{long: true, long + "2": false, prefix + "_A B": false, prefix + "_A.": false, "_" + prefix: false} {
		id, err := s.CreateSecret(t.Context(), name, nil, value(1))
		if (err == nil) != fits {
			t.Errorf("the secret %s of %d characters: %v", name, len(name), err)
		}
		if err == nil {
			_ = s.RemoveSecret(t.Context(), id)
		}
		id, err = c.CreateConfig(t.Context(), name, nil, []byte("x"))
		if (err == nil) != fits {
			t.Errorf("the config %s of %d characters: %v", name, len(name), err)
		}
		if err == nil {
			_ = c.RemoveConfig(t.Context(), id)
		}
	}
}

// raceContract: of several that create or move one config, one succeeds.
func raceContract(t *testing.T, prefix string, c cluster.Configs) {
	const several = 8
	name := prefix + "_keepmum.race"
	ids := make([]string, several)
	atOnce(several, func(i int) { ids[i], _ = c.CreateConfig(context.WithoutCancel(t.Context()), name, nil, []byte("x")) })
	made := slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	if len(made) != 1 {
		t.Fatalf("%d of %d made it", len(made), several)
	}
	config, _ := configNamed(t, c, name)
	errs := make([]error, several)
	atOnce(several, func(i int) {
		errs[i] = c.RelabelConfig(context.WithoutCancel(t.Context()), config.ID, config.Version, map[string]string{"a": string(rune('a' + i))})
	})
	moved := 0
	for _, err := range errs {
		switch {
		case err == nil:
			moved++
		case !errors.Is(err, docker.ErrOutOfDate):
			t.Error(err)
		}
	}
	if moved != 1 {
		t.Errorf("%d of %d moved it", moved, several)
	}
	if err := c.RemoveConfig(t.Context(), config.ID); err != nil {
		t.Error(err)
	}
}

// atOnce calls work n times at once.
func atOnce(n int, work func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { work(i) })
	}
	all.Wait()
}
