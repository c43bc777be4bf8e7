package cluster_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func TestOpen_ReadsTheStackOnce(t *testing.T) {
	s := clustertest.New()
	version(t, s, "shop", "TOKEN", "1", "production")
	version(t, s, "shop", "TOKEN", "2", "production")
	version(t, s, "other", "TOKEN", "1", "staging")
	if _, err := s.CreateSecret(t.Context(), "shop_TOKEN.v9", nil, secrets.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	state, _ := open(t, s, "anna@here")
	if want := (cluster.Heading{Context: "test", Host: "unix:///run/test.sock", Cluster: "cluster1", Environment: "production", Stack: "shop"}); state.Heading != want {
		t.Errorf("%+v, want %+v", state.Heading, want)
	}
	if versions := state.Versions["TOKEN"]; len(state.Versions) != 1 || len(versions) != 2 || versions[1].Number != 2 {
		t.Errorf("versions: %+v", state.Versions)
	}
	if names := state.SecretNames(); !slices.Equal(names, []string{"other_TOKEN.v1", "shop_TOKEN.v1", "shop_TOKEN.v2", "shop_TOKEN.v9"}) {
		t.Errorf("names: %q", names)
	}
	for _, call := range []string{"Manager", "Secrets", "Configs"} {
		if n := len(s.Calls(call)); n != 1 {
			t.Errorf("%s was called %d times", call, n)
		}
	}
	if err := state.TakesValues(); err != nil {
		t.Error(err)
	}
	s.Refuse = &fault.Error{Code: fault.NoEngine, What: "no TLS"}
	if err := state.TakesValues(); err == nil {
		t.Error("a manager that takes no values is not refused")
	}
}

func TestHeading_IsTheFirstLinesOfAPlan(t *testing.T) {
	state, _ := open(t, clustertest.New(), "anna@here")
	lines := strings.Join(state.Lines(), "\n")
	if want := "context      test (unix:///run/test.sock)\ncluster      cluster1\nenvironment  none yet\nstack        shop"; lines != want {
		t.Errorf("%s\nwant\n%s", lines, want)
	}
	data, err := json.Marshal(struct{ cluster.Heading }{state.Heading})
	if want := `{"context":"test","host":"unix:///run/test.sock","cluster":"cluster1","environment":"","stack":"shop"}`; err != nil || string(data) != want {
		t.Errorf("%s, want %s (%v)", data, want, err)
	}
}

func TestOpen_FindsEnvironmentsThatDisagree(t *testing.T) {
	s := clustertest.New()
	version(t, s, "shop", "TOKEN", "1", "production")
	version(t, s, "shop", "LOGIN", "1", "staging")
	version(t, s, "shop", "EXTRA", "1", "")
	state, _ := open(t, s, "anna@here")
	if state.Environment != "" || len(state.Findings) != 1 {
		t.Fatalf("environment %q, findings %v", state.Environment, state.Findings)
	}
	for _, part := range []string{"shop_TOKEN.v1 is of production", "shop_LOGIN.v1 is of staging"} {
		if !strings.Contains(state.Findings[0].Problem, part) {
			t.Errorf("no %q in %s", part, state.Findings[0])
		}
	}
}

func TestOpen_RefusesBeforeItReadsAnything(t *testing.T) {
	for name, problem := range map[string]string{
		"":                       "no stack is named",
		"Shop":                   "cannot be a stack's name",
		"-x":                     "cannot be a stack's name",
		strings.Repeat("s", 43):  "too long",
		"a\x1bb":                 "a?b cannot be",
		strings.Repeat("s", 65):  "too long",
		"shop_" + "keepmum.lock": "cannot be a stack's name",
		strings.Repeat("s", 42):  "",
	} {
		s := clustertest.New()
		_, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s}).Open(t.Context(), name)
		if problem == "" {
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			continue
		}
		want(t, err, fault.Usage, problem)
		if calls := s.Calls(""); len(calls) > 0 {
			t.Errorf("%q: %q were called", name, calls)
		}
	}
	s := clustertest.New()
	s.Role.Manager = false
	_, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s}).Open(t.Context(), "shop")
	want(t, err, fault.NoEngine, "no manager")
	if len(s.Calls("Secrets")) > 0 {
		t.Error("secrets were listed at an engine that is no manager")
	}
}

func TestOpen_ReturnsWhatTheManagerRefuses(t *testing.T) {
	for _, call := range []string{"Manager", "Secrets", "Configs"} {
		s := clustertest.New()
		s.Fail = func(_ context.Context, got string) error {
			if got == call {
				return errElection
			}
			return nil
		}
		if _, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s}).Open(t.Context(), "shop"); err != errElection {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestReload_SeesWhatCameMeanwhile(t *testing.T) {
	s := clustertest.New()
	state, _ := open(t, s, "anna@here")
	version(t, s, "shop", "TOKEN", "1", "staging")
	now, err := state.Reload(t.Context())
	if err != nil || now.Environment != "staging" || len(now.Versions["TOKEN"]) != 1 || now.Cluster != "cluster1" {
		t.Errorf("%+v, %v", now, err)
	}
	if state.Environment != "" || len(state.Versions) != 0 {
		t.Error("the old state changed")
	}
	if len(s.Calls("Manager")) != 1 {
		t.Error("the manager was checked again")
	}
}
