package rollout_test

import (
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

func TestSecretVersions_AreThoseWhoseLabelsAgreeWithTheirNames(t *testing.T) {
	right := version("shop", "TOKEN", 2)
	right.Labels[docker.LabelBy], right.Labels[docker.LabelReason] = "ana@host", "quarterly"
	wrong := func(change func(*docker.SwarmSecret)) docker.SwarmSecret {
		s := version("shop", "TOKEN", 3)
		change(&s)
		return s
	}
	got := rollout.SecretVersions("shop", []docker.SwarmSecret{
		right, version("shop", "TOKEN", 1), version("shop", "LOGIN", 10), version("other", "TOKEN", 7),
		wrong(func(s *docker.SwarmSecret) { s.Name = "shop_TOKEN.v4" }),
		wrong(func(s *docker.SwarmSecret) { s.Labels[docker.LabelVersion] = "three" }),
		wrong(func(s *docker.SwarmSecret) { s.Labels = nil }),
		wrong(func(s *docker.SwarmSecret) { delete(s.Labels, docker.LabelSecret) }),
	})
	if len(got) != 2 || len(got["TOKEN"]) != 2 || got["TOKEN"][0].Number != 1 || len(got["LOGIN"]) != 1 {
		t.Fatalf("%+v", got)
	}
	want := rollout.Version{ID: right.ID, Name: "shop_TOKEN.v2", Stack: "shop", Of: "TOKEN", Number: 2, Environment: "staging", Fingerprint: "v1:x", By: "ana@host", Reason: "quarterly"}
	if newest, ok := rollout.Newest(got["TOKEN"]); !ok || newest != want {
		t.Errorf("%+v, want %+v", newest, want)
	}
	if _, ok := rollout.Newest(nil); ok {
		t.Error("there is a newest of none")
	}
}

func TestSecretVersions_OfStacksWhoseNamesRunTogetherStayApart(t *testing.T) {
	a, b := version("a", "b_c", 1), version("a_b", "c", 1)
	if a.Name != b.Name {
		t.Fatal("the example is none")
	}
	if got := rollout.SecretVersions("a", []docker.SwarmSecret{a, b}); len(got) != 1 || len(got["b_c"]) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestNextNumber_NeverUsesANumberTwice(t *testing.T) {
	for _, c := range []struct {
		taken []string
		want  int
	}{
		{nil, 1},
		{[]string{"shop_TOKEN.v1", "shop_TOKEN.v9", "shop_TOKEN.v10", "shop_TOKEN.vx", "shop_TOKENS.v50", "other_TOKEN.v70"}, 11},
		{[]string{"shop_TOKEN"}, 1},
	} {
		if got := rollout.NextNumber("shop", "TOKEN", c.taken); got != c.want {
			t.Errorf("%v: %d, want %d", c.taken, got, c.want)
		}
	}
}

func TestCheckName_HoldsTheSwarmsLimits(t *testing.T) {
	long := rollout.VersionName(strings.Repeat("s", 30), strings.Repeat("N", 30), 1) // 64
	for name, want := range map[string]string{
		long: "", long + "0": "65 characters long", "shop_a.b-c.v1": "", "shop_ä.v1": "a Swarm takes letters", "shop_a b.v1": "a Swarm takes letters", "a": "", "-a": "takes letters", "a-": "takes letters", "": "takes letters",
	} {
		if got := rollout.CheckName(name); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestCheckStack_IsAUsageError(t *testing.T) {
	for name, ok := range map[string]bool{"shop": true, "my-shop_2": true, "0": true, "": false, "Shop": false, "-x": false, "_x": false, "a.b": false, "a b": false, "a/b": false} {
		err := rollout.CheckStack(name)
		if (err == nil) != ok || err != nil && fault.CodeOf(err) != fault.Usage {
			t.Errorf("%q: %v", name, err)
		}
	}
}
