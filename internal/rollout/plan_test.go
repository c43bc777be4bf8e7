package rollout_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

// shop is a stack of one service with one secret and one network.
func shop(t *testing.T, services ...docker.ServiceSpec) docker.StackSpec {
	t.Helper()
	if len(services) == 0 {
		services = []docker.ServiceSpec{web(t)}
	}
	return docker.StackSpec{
		Name: "shop", Services: services,
		Networks: []docker.NetworkSpec{{Name: "shop_default", Driver: "overlay", JSON: []byte(`{"Name":"shop_default"}`)}},
		Secrets:  []docker.StackSecret{{Name: "TOKEN", Line: 7}},
	}
}

// running is the same stack in the Swarm, deployed by a first plan.
func running(t *testing.T, want docker.StackSpec, secrets ...docker.SwarmSecret) rollout.Current {
	t.Helper()
	now := rollout.Current{Secrets: secrets, Networks: []docker.Network{{ID: "net1", Name: "shop_default", Driver: "overlay", Scope: "swarm"}}}
	plan, findings := rollout.Make(want, now, rollout.Options{})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	for _, step := range plan.Steps {
		now.Services = append(now.Services, docker.Service{ID: "id-" + step.Name, Version: 11, Spec: asStored(t, step.Service)})
	}
	return now
}

func mustMake(t *testing.T, want docker.StackSpec, now rollout.Current, o rollout.Options) rollout.Plan {
	t.Helper()
	plan, findings := rollout.Make(want, now, o)
	if len(findings) > 0 {
		t.Fatalf("findings: %v", findings)
	}
	return plan
}

// lines are the steps of a plan as text.
func lines(plan rollout.Plan) []string {
	all := []string{}
	for _, s := range plan.Steps {
		line := fmt.Sprintf("%s %s", s.Kind, s.Name)
		for _, c := range s.Changes {
			line += "; " + c.String()
		}
		if s.Restarts {
			line += "; restarts"
		}
		all = append(all, line)
	}
	return all
}

func wantLines(t *testing.T, plan rollout.Plan, want ...string) {
	t.Helper()
	if got := lines(plan); !slices.Equal(got, want) {
		t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMake_FromNothingMakesWhatServicesNeedFirst(t *testing.T) {
	now := rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1), version("shop", "TOKEN", 2), version("other", "TOKEN", 9)}}
	plan := mustMake(t, shop(t), now, rollout.Options{})
	wantLines(t, plan, "create network shop_default", "create service shop_web")
	got := plan.Steps[1].Service.Task.Secrets
	if len(got) != 1 || got[0].ID != "id-shop_TOKEN.v2" || got[0].Name != "shop_TOKEN.v2" || got[0].Target != "TOKEN" || got[0].Mode != 0o444 {
		t.Errorf("bound to %+v", got)
	}
	if secrets, _ := plan.Names(); secrets["TOKEN"] != "shop_TOKEN.v2" {
		t.Errorf("names %v", secrets)
	}
}

func TestMake_TheSameAgainChangesNothing(t *testing.T) {
	want := shop(t)
	now := running(t, want, version("shop", "TOKEN", 1))
	plan := mustMake(t, want, now, rollout.Options{})
	if !plan.Empty() || !slices.Equal(plan.Unchanged, []string{"shop_web"}) {
		t.Errorf("steps %v, unchanged %v", lines(plan), plan.Unchanged)
	}
	if plan.Services["shop_web"].Name != "shop_web" {
		t.Error("the plan does not say what should run")
	}
}

func TestMake_ANewVersionRestartsItsUsersAlone(t *testing.T) {
	other := web(t, with("Name", "shop_other"), with("TaskTemplate.ContainerSpec.Secrets", nil))
	want := shop(t, other, web(t))
	now := running(t, want, version("shop", "TOKEN", 1))
	now.Secrets = append(now.Secrets, version("shop", "TOKEN", 2))
	plan := mustMake(t, want, now, rollout.Options{})
	wantLines(t, plan, "update service shop_web; secrets: shop_TOKEN.v1 at TOKEN -> shop_TOKEN.v2 at TOKEN; restarts")
	if before := plan.Steps[0].Before; before.Version != 11 || before.Spec.Task.Secrets[0].Name != "shop_TOKEN.v1" {
		t.Errorf("the step does not know what was there: %+v", before)
	}
}

func TestMake_SaysEachFieldInTheFilesWords(t *testing.T) {
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   string
		keeps  bool // running tasks
	}{
		"image":        {with("TaskTemplate.ContainerSpec.Image", "example/web:2"), "image: example/web:1 -> example/web:2", false},
		"replicas":     {with("Mode.Replicated.Replicas", 5), "deploy.mode: 2 replicas -> 5 replicas", true},
		"no replicas":  {with("Mode.Replicated.Replicas", 0), "deploy.mode: 2 replicas -> 0 replicas", true},
		"memory":       {with("TaskTemplate.Resources.Limits.MemoryBytes", 268435456), "deploy.resources.limits.memory: 128M -> 256M", false},
		"odd memory":   {with("TaskTemplate.Resources.Limits.MemoryBytes", 1025), "deploy.resources.limits.memory: 128M -> 1025", false},
		"cpus":         {with("TaskTemplate.Resources.Limits.NanoCPUs", 1250000000), "deploy.resources.limits.cpus: 0.5 -> 1.25", false},
		"no limit":     {with("TaskTemplate.Resources.Limits.NanoCPUs", nil), "deploy.resources.limits.cpus: 0.5 (gone)", false},
		"pids":         {with("TaskTemplate.Resources.Limits.Pids", 64), "deploy.resources.limits.pids: 64 (new)", false},
		"reservation":  {with("TaskTemplate.Resources.Reservations.MemoryBytes", 1048576), "deploy.resources.reservations.memory: 1M (new)", false},
		"environment":  {with("TaskTemplate.ContainerSpec.Env", []any{"LEVEL=hunter2", "NEW=hunter2"}), "environment LEVEL changed; environment NEW added; environment TOKEN_FILE removed", false},
		"command":      {with("TaskTemplate.ContainerSpec.Args", []any{"-password=hunter2"}), "command", false},
		"label":        {with("TaskTemplate.ContainerSpec.Labels", map[string]any{"auth": "hunter2"}), "labels auth added", false},
		"deploy label": {with("Labels.auth", "hunter2"), "deploy.labels auth added", true},
		"healthcheck":  {with("TaskTemplate.ContainerSpec.Healthcheck.Test", []any{"CMD", "hunter2"}), "healthcheck", false},
		"user":         {with("TaskTemplate.ContainerSpec.User", "65532"), "user: 65532 (new)", false},
		"order":        {with("UpdateConfig.Order", "stop-first"), "deploy.update_config.order: start-first (gone)", true},
		"parallelism":  {with("UpdateConfig.Parallelism", 0), "deploy.update_config.parallelism: 0 (new)", true},
		"monitor":      {with("UpdateConfig.Monitor", 1e9), "deploy.update_config.monitor: 1s (new)", true},
		"endpoint":     {with("EndpointSpec.Mode", "vip"), "deploy.endpoint_mode: dnsrr (gone)", false},
		"ports":        {with("EndpointSpec.Ports", []any{map[string]any{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}}), "ports: 8080:80 host (new)", false},
		"mount":        {with("TaskTemplate.ContainerSpec.Mounts", []any{map[string]any{"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": true}}), "volumes: volume data at /data read-only (new)", false},
		"tmpfs":        {with("TaskTemplate.ContainerSpec.Mounts", []any{map[string]any{"Type": "tmpfs", "Target": "/tmp"}}), "volumes: tmpfs at /tmp (new)", false},
		"constraint":   {with("TaskTemplate.Placement.Constraints", []any{"node.role == manager", "node.labels.x == y"}), "deploy.placement.constraints: node.labels.x == y, node.role == manager (new)", false},
		"network":      {with("TaskTemplate.Networks", []any{map[string]any{"Target": "shop_other"}}), "networks: shop_default as web -> shop_other", false},
		"owner":        {with("TaskTemplate.ContainerSpec.Secrets", []any{map[string]any{"SecretName": "TOKEN", "File": map[string]any{"Name": "t", "UID": "5", "GID": "0", "Mode": 256}}}), "secrets: shop_TOKEN.v1 at TOKEN -> shop_TOKEN.v1 at t (uid 5, gid 0, mode 0400)", false},
		"grace":        {with("TaskTemplate.ContainerSpec.StopGracePeriod", 30e9), "stop_grace_period: 30s (new)", false},
		"no grace":     {with("TaskTemplate.ContainerSpec.StopGracePeriod", 0), "stop_grace_period: 0s (new)", false},
		"capability":   {with("TaskTemplate.ContainerSpec.CapabilityDrop", []any{"ALL"}), "cap_drop: ALL (new)", false},
		"unknown":      {with("TaskTemplate.ContainerSpec.Marvel", map[string]any{"Deep": "hunter2"}), "TaskTemplate.ContainerSpec.Marvel.Deep", false},
		"logging":      {with("TaskTemplate.LogDriver", map[string]any{"Name": "json-file"}), "logging", false},
	} {
		t.Run(name, func(t *testing.T) {
			now := running(t, shop(t), version("shop", "TOKEN", 1))
			now.Networks = append(now.Networks, docker.Network{ID: "net2", Name: "shop_other", Driver: "overlay", Scope: "swarm"})
			plan := mustMake(t, shop(t, web(t, c.change)), now, rollout.Options{})
			want := "update service shop_web; " + c.want
			if !c.keeps {
				want += "; restarts"
			}
			wantLines(t, plan, want)
			if data, err := json.Marshal(plan); err != nil || strings.Contains(string(data), "hunter2") {
				t.Errorf("a value is in the plan: %s, %v", data, err)
			}
		})
	}
}

func TestMake_OrderAndDefaultsAreNoChange(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"environment in another order": with("TaskTemplate.ContainerSpec.Env", []any{"TOKEN_FILE=/run/secrets/TOKEN", "LEVEL=info"}),
		"default restart policy":       with("TaskTemplate.RestartPolicy", map[string]any{"Condition": "any", "Delay": 5e9}),
		"default monitor":              with("UpdateConfig.Monitor", 5e9),
		"default rollback":             with("RollbackConfig", map[string]any{"Parallelism": 1, "FailureAction": "pause", "Order": "stop-first"}),
		"empty lists":                  with("TaskTemplate.ContainerSpec.Mounts", []any{}),
		"default grace period":         with("TaskTemplate.ContainerSpec.StopGracePeriod", 10e9),
	} {
		t.Run(name, func(t *testing.T) {
			now := running(t, shop(t), version("shop", "TOKEN", 1))
			if plan := mustMake(t, shop(t, web(t, change)), now, rollout.Options{}); !plan.Empty() {
				t.Errorf("%v", lines(plan))
			}
		})
	}
}

func TestMake_OneReplicaIsTheDefault(t *testing.T) {
	one := func(value any) docker.StackSpec { return shop(t, web(t, with("Mode", value))) }
	now := running(t, one(map[string]any{"Replicated": map[string]any{"Replicas": 1}}), version("shop", "TOKEN", 1))
	for name, mode := range map[string]any{"absent": nil, "empty": map[string]any{"Replicated": map[string]any{}}} {
		if plan := mustMake(t, one(mode), now, rollout.Options{}); !plan.Empty() {
			t.Errorf("%s: %v", name, lines(plan))
		}
	}
}

func TestMake_WhatTheEngineCountsStays(t *testing.T) {
	want := shop(t)
	now := running(t, want, version("shop", "TOKEN", 1))
	now.Services[0].Spec = asStored(t, now.Services[0].Spec, with("TaskTemplate.ForceUpdate", 3))
	if plan := mustMake(t, want, now, rollout.Options{}); !plan.Empty() || plan.Services["shop_web"].Task.ForceUpdate != 3 {
		t.Errorf("%v, forced %d times", lines(plan), plan.Services["shop_web"].Task.ForceUpdate)
	}
}

func TestMake_AChangeOfModeIsRefused(t *testing.T) {
	now := running(t, shop(t), version("shop", "TOKEN", 1))
	_, findings := rollout.Make(shop(t, web(t, with("Mode", map[string]any{"Global": map[string]any{}}))), now, rollout.Options{})
	wantFinding(t, findings, "shop_web", "is replicated and should be global", "docker service rm shop_web")
}

// wantFinding requires one finding with these words.
func wantFinding(t *testing.T, findings []fault.Finding, subject, problem, next string) {
	t.Helper()
	if len(findings) != 1 || findings[0].Subject != subject || !strings.Contains(findings[0].Problem, problem) || !strings.Contains(findings[0].Next, next) {
		t.Errorf("findings %+v, want %s: %s (%s)", findings, subject, problem, next)
	}
}

func TestMake_NamesEverySecretWithoutAVersionAtOnce(t *testing.T) {
	want := shop(t)
	want.Secrets = []docker.StackSecret{{Name: "TOKEN", Line: 7}, {Name: "LOGIN", Line: 9}, {Name: "EXTRA", Line: 11, Optional: true}, {Name: "SHARED", From: "base"}, {Name: "OWN", Fixed: "own-secret"}}
	plan, findings := rollout.Make(want, rollout.Current{}, rollout.Options{})
	var got []string
	for _, f := range findings {
		got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Subject, f.Next))
	}
	wanted := []string{
		"7 TOKEN mage secrets:toSwarm -from=DIR", "9 LOGIN mage secrets:toSwarm -from=DIR", "0 SHARED mage secrets:toSwarm -stack=base -from=DIR",
		"0 OWN docker secret create own-secret -, or remove name: and make a version: mage secrets:toSwarm -from=DIR",
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("findings %q\nwant %q", got, wanted)
	}
	if len(plan.Notices) != 1 || !strings.Contains(plan.Notices[0], "EXTRA is optional") {
		t.Errorf("notices %q", plan.Notices)
	}
}

func TestMake_FindsTheVersionASecretMeans(t *testing.T) {
	plain := docker.SwarmSecret{ID: "id-plain", Name: "TOKEN"}
	for name, c := range map[string]struct {
		secret  docker.StackSecret
		there   []docker.SwarmSecret
		options rollout.Options
		want    string
		notice  string
	}{
		"the newest":       {docker.StackSecret{Name: "TOKEN"}, []docker.SwarmSecret{version("shop", "TOKEN", 10), version("shop", "TOKEN", 9)}, rollout.Options{}, "shop_TOKEN.v10", ""},
		"of another stack": {docker.StackSecret{Name: "TOKEN", From: "base"}, []docker.SwarmSecret{version("shop", "TOKEN", 3), version("base", "TOKEN", 1)}, rollout.Options{}, "base_TOKEN.v1", ""},
		"fixed":            {docker.StackSecret{Name: "TOKEN", Fixed: "elsewhere"}, []docker.SwarmSecret{version("shop", "TOKEN", 3), {ID: "e", Name: "elsewhere"}}, rollout.Options{}, "elsewhere", ""},
		"as it is":         {docker.StackSecret{Name: "TOKEN"}, []docker.SwarmSecret{plain}, rollout.Options{}, "TOKEN", "the Swarm secret TOKEN is used as it is"},
		"being made":       {docker.StackSecret{Name: "TOKEN"}, []docker.SwarmSecret{version("shop", "TOKEN", 3)}, rollout.Options{Making: map[string]rollout.Version{"TOKEN": {Name: "shop_TOKEN.v4"}}}, "shop_TOKEN.v4", ""},
		"a version of its own before one as it is": {docker.StackSecret{Name: "TOKEN"}, []docker.SwarmSecret{plain, version("shop", "TOKEN", 1)}, rollout.Options{}, "shop_TOKEN.v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := shop(t)
			want.Secrets = []docker.StackSecret{c.secret}
			plan := mustMake(t, want, rollout.Current{Secrets: c.there}, c.options)
			if got := plan.Services["shop_web"].Task.Secrets; len(got) != 1 || got[0].Name != c.want {
				t.Errorf("bound to %+v, want %s", got, c.want)
			}
			if strings.Join(plan.Notices, "") != "" != (c.notice != "") || !strings.Contains(strings.Join(plan.Notices, ""), c.notice) {
				t.Errorf("notices %q", plan.Notices)
			}
		})
	}
}

func TestMake_AVersionThatIsMadeHasNoIDUntilThen(t *testing.T) {
	o := rollout.Options{Making: map[string]rollout.Version{"TOKEN": {Name: "shop_TOKEN.v1"}}}
	plan := mustMake(t, shop(t), rollout.Current{}, o)
	wantLines(t, plan, "create network shop_default", "create version shop_TOKEN.v1", "create service shop_web")
	before := plan.Services["shop_web"]
	after := rollout.WithIDs(before, map[string]string{"shop_TOKEN.v1": "new"}, nil)
	if before.Task.Secrets[0].ID != "" || after.Task.Secrets[0].ID != "new" || after.Task.Secrets[0].Target != "TOKEN" {
		t.Errorf("before %+v, after %+v", before.Task.Secrets, after.Task.Secrets)
	}
	again := rollout.WithIDs(after, map[string]string{"shop_TOKEN.v1": "other"}, nil)
	if again.Task.Secrets[0].ID != "new" {
		t.Error("an id was replaced")
	}
}

func TestMake_ConfigsAreVersionedByContent(t *testing.T) {
	service := web(t, with("TaskTemplate.ContainerSpec.Configs", []any{map[string]any{"ConfigName": "site", "File": map[string]any{"Name": "/etc/site"}}}))
	want := shop(t, service)
	want.Configs = []docker.ConfigSpec{{Name: "site", Data: []byte("one"), Labels: map[string]string{"a": "b"}}}
	now := rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1)}}
	plan := mustMake(t, want, now, rollout.Options{})
	wantLines(t, plan, "create network shop_default", "create config shop_site.v1", "create service shop_web")
	made := plan.Steps[1].Config
	if made.Labels[docker.LabelConfig] != "site" || made.Labels[docker.LabelVersion] != "1" || made.Labels["a"] != "b" || string(made.Data) != "one" {
		t.Errorf("made %+v", made)
	}
	if len(want.Configs[0].Labels) != 1 {
		t.Error("the stack's own labels were changed")
	}
	now.Configs = []docker.SwarmConfig{{ID: "c1", Name: "shop_site.v1", Labels: made.Labels, Data: []byte("one")}}
	if plan = mustMake(t, want, now, rollout.Options{}); plan.Services["shop_web"].Task.Configs[0].ID != "c1" || len(plan.Steps) != 2 {
		t.Errorf("the content is there: %v", lines(plan))
	}
	want.Configs[0].Data = []byte("two")
	now.Configs = append(now.Configs, docker.SwarmConfig{ID: "x", Name: "shop_site.v7"}) // somebody's, by hand
	if plan = mustMake(t, want, now, rollout.Options{}); plan.Steps[1].Name != "shop_site.v8" {
		t.Errorf("another content: %v", lines(plan))
	}
}

func TestMake_ALongNameIsFoundBeforeTheEngineRefusesIt(t *testing.T) {
	want := shop(t)
	want.Configs = []docker.ConfigSpec{{Name: strings.Repeat("n", 60), Data: []byte("x")}}
	_, findings := rollout.Make(want, rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1)}}, rollout.Options{})
	wantFinding(t, findings, strings.Repeat("n", 60), "68 characters long; a Swarm takes 64", "shorter name")
}

func TestMake_ExternalNetworksAndConfigsMustBeThere(t *testing.T) {
	want := shop(t)
	want.ExternalNetworks, want.ExternalConfigs = []string{"proxy", "host"}, []string{"site"}
	want.ExternalLines = map[string]int{"network proxy": 7, "config site": 9}
	now := rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1)}, Networks: []docker.Network{{Name: "host", Scope: "local"}, {Name: "proxy", Scope: "local", Driver: "bridge"}}}
	_, findings := rollout.Make(want, now, rollout.Options{})
	if len(findings) != 2 || !strings.Contains(findings[0].Problem, "one node alone") || !strings.Contains(findings[1].Problem, "external config") || findings[0].Line != 7 || findings[1].Line != 9 {
		t.Errorf("%+v", findings)
	}
	now.Networks[1] = docker.Network{Name: "proxy", Scope: "swarm", Driver: "overlay"}
	now.Configs = []docker.SwarmConfig{{ID: "c", Name: "site"}}
	mustMake(t, want, now, rollout.Options{})
	now.Networks = now.Networks[:1]
	_, findings = rollout.Make(want, now, rollout.Options{})
	if len(findings) != 1 || findings[0].Line != 7 {
		t.Errorf("%+v", findings)
	}
	wantFinding(t, findings, "proxy", "there is none of this name", "docker network create --driver overlay --attachable proxy")
}

func TestMake_ANetworkThatDiffersIsRefused(t *testing.T) {
	right := docker.Network{ID: "net1", Name: "shop_default", Driver: "overlay", Scope: "swarm", Options: map[string]string{"encrypted": "", "com.docker.network.driver.overlay.vxlanid_list": "4097"}, Subnets: []string{"10.1.0.0/24"}}
	want := shop(t)
	want.Networks[0].Options, want.Networks[0].Subnets = map[string]string{"encrypted": ""}, []string{"10.1.0.0/24"}
	secrets := []docker.SwarmSecret{version("shop", "TOKEN", 1)}
	mustMake(t, want, rollout.Current{Secrets: secrets, Networks: []docker.Network{right}}, rollout.Options{})
	mustMake(t, want, rollout.Current{Secrets: secrets, Networks: []docker.Network{{ID: "new", Name: "shop_default", Scope: "swarm"}}}, rollout.Options{})
	for what, change := range map[string]func(*docker.Network){
		"driver":           func(n *docker.Network) { n.Driver = "weave" },
		"attachable":       func(n *docker.Network) { n.Attachable = true },
		"internal":         func(n *docker.Network) { n.Internal = true },
		"subnet":           func(n *docker.Network) { n.Subnets = []string{"10.2.0.0/24"} },
		"option encrypted": func(n *docker.Network) { n.Options = map[string]string{"encrypted": "true"} },
	} {
		other := right
		change(&other)
		_, findings := rollout.Make(want, rollout.Current{Secrets: secrets, Networks: []docker.Network{other}}, rollout.Options{})
		wantFinding(t, findings, "shop_default", "another "+what+",", "deploy:remove shop")
	}
}

func TestMake_ALocalNetworkOfThatNameIsNotTheOverlay(t *testing.T) {
	now := rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1)}, Networks: []docker.Network{{ID: "b", Name: "shop_default", Driver: "bridge", Scope: "local"}}}
	wantLines(t, mustMake(t, shop(t), now, rollout.Options{}), "create network shop_default", "create service shop_web")
}

func TestMake_ServicesThatTheFileLacksStayUnlessPruned(t *testing.T) {
	want := shop(t)
	now := running(t, want, version("shop", "TOKEN", 1))
	now.Services = append(now.Services, docker.Service{ID: "id-old", Spec: web(t, with("Name", "shop_old"))})
	if plan := mustMake(t, want, now, rollout.Options{}); !plan.Empty() || !slices.Equal(plan.Extra, []string{"shop_old"}) {
		t.Errorf("%v, extra %v", lines(plan), plan.Extra)
	}
	plan := mustMake(t, want, now, rollout.Options{Prune: true})
	wantLines(t, plan, "remove service shop_old")
	if plan.Steps[0].Before.ID != "id-old" || len(plan.Extra) > 0 {
		t.Errorf("%+v", plan)
	}
}

func TestMake_DependentsComeInLaterWaves(t *testing.T) {
	name := func(n string) docker.ServiceSpec { return web(t, with("Name", n)) }
	want := shop(t, name("shop_a"), name("shop_b"), name("shop_c"), name("shop_d"))
	want.After = map[string]map[string]string{"a": {"b": "healthy", "c": "started"}, "b": {"c": "completed"}}
	plan := mustMake(t, want, rollout.Current{Secrets: []docker.SwarmSecret{version("shop", "TOKEN", 1)}}, rollout.Options{})
	var got []string
	for _, s := range plan.Steps {
		got = append(got, fmt.Sprintf("%s %d", s.Name, s.Wave))
	}
	if want := []string{"shop_default 0", "shop_c 1", "shop_d 1", "shop_b 2", "shop_a 3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWaves_ACircleEnds(t *testing.T) {
	name := func(n string) docker.ServiceSpec { return docker.ServiceSpec{Name: n} }
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{name("s_a"), name("s_b")}, After: map[string]map[string]string{"a": {"b": "started"}, "b": {"a": "started"}}}
	if waves := rollout.Waves(want); waves["s_a"] < 1 || waves["s_b"] < 1 {
		t.Errorf("%v", waves)
	}
}

func TestBack_GoesToThePreviousSpecification(t *testing.T) {
	old, now := web(t), web(t, with("TaskTemplate.ContainerSpec.Image", "example/web:2"))
	step := rollout.Back(docker.Service{ID: "x", Version: 4, Spec: now, Previous: &old})
	if step.Kind != rollout.UpdateService || step.Service.Task.Image != "example/web:1" || step.Before.Version != 4 || !step.Restarts || len(step.Changes) != 1 || step.Changes[0].To != "example/web:1" {
		t.Errorf("%+v", step)
	}
}

func TestWithImage_ChangesTheImageAlone(t *testing.T) {
	pinned := rollout.WithImage(web(t), "example/web:1@sha256:abc")
	want := web(t, with("TaskTemplate.ContainerSpec.Image", "example/web:1@sha256:abc"))
	if pinned.Task.Image != want.Task.Image || !rollout.SameTask(pinned.Task.JSON, want.Task.JSON) {
		t.Errorf("%s", pinned.JSON)
	}
}
