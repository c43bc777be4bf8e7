package execute_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/ops/swarmtest"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/redact"
)

// bench is an executor over a Swarm in memory.
type bench struct {
	*testing.T
	*swarmtest.Sim
	said    strings.Builder
	unknown []string // versions whose values are not known
	show    bool
}

func newBench(t *testing.T) *bench { return &bench{T: t, Sim: swarmtest.New()} }

// Say keeps what is said.
func (b *bench) Say(format string, args ...any) { fmt.Fprintf(&b.said, format+"\n", args...) }

func (b *bench) executor() *execute.Executor {
	return execute.New(execute.Config{
		Services: b, Tasks: b, Networks: b, Configs: b, Nodes: b, Progress: b, Clock: b.Clock, Every: time.Millisecond, Stack: "s", ShowLogs: b.show,
		Place: func(service, problem, next string) fault.Finding {
			return fault.Finding{File: "file.yml", Subject: service, Problem: problem, Next: next}
		},
		Matcher: func(context.Context, docker.Task) (*redact.Matcher, []string) { return redact.New(nil), b.unknown },
	})
}

// service is a specification of two tasks with a health check.
func (b *bench) service(name, image string, more ...string) docker.ServiceSpec {
	b.Helper()
	spec, err := docker.ParseServiceSpec([]byte(`{"Name": "` + name + `", "TaskTemplate": {"ContainerSpec": {"Image": "` + image + `", "Healthcheck": {"Test": ["CMD", "x"]}` + strings.Join(more, "") + `}}, "Mode": {"Replicated": {"Replicas": 2}}}`))
	if err != nil {
		b.Fatal(err)
	}
	return spec
}

// plan is the way from what is there to these services, each of a wave after the
// one before.
func (b *bench) plan(o rollout.Options, services ...docker.ServiceSpec) (rollout.Plan, rollout.Current) {
	b.Helper()
	want := docker.StackSpec{Name: "s", Services: services, After: map[string]map[string]string{}}
	for i, s := range services[min(1, len(services)):] {
		want.After[strings.TrimPrefix(s.Name, "s_")] = map[string]string{strings.TrimPrefix(services[i].Name, "s_"): "started"}
	}
	there, err := b.Services(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	now := rollout.Current{Services: there}
	plan, findings := rollout.Make(want, now, o)
	if len(findings) > 0 {
		b.Fatal(findings)
	}
	return plan, now
}

// run carries out the plan to these services.
func (b *bench) run(ctx context.Context, outcome execute.Outcome, code fault.Code, services ...docker.ServiceSpec) (execute.Result, error) {
	b.Helper()
	plan, now := b.plan(rollout.Options{}, services...)
	result, err := b.executor().Run(ctx, plan, now, 0)
	if result.Outcome != outcome || fault.CodeOf(err) != code {
		b.Fatalf("%s with %d: %v\n%s", result.Outcome, fault.CodeOf(err), err, b.said.String())
	}
	return result, err
}

func (b *bench) want(got []string, want ...string) {
	b.Helper()
	if !slices.Equal(got, want) {
		b.Errorf("%q\nwant %q\n%s", got, want, b.said.String())
	}
}

func TestRun_AWaveBeginsWhenTheOneBeforeHasConverged(t *testing.T) {
	b := newBench(t)
	result, _ := b.run(t.Context(), execute.Deployed, 0, b.service("s_z", "z:1"), b.service("s_a", "a:1"))
	b.want(b.Changes(), "create s_z", "create s_a")
	said := b.said.String()
	if first, second := strings.Index(said, "s_z: 2/2 running"), strings.Index(said, "create service s_a"); first < 0 || second < first {
		t.Error(said)
	}
	if len(result.Services) != 2 || result.Services[0].Action != "created" || result.Services[0].State != "2/2 running" || result.Services[0].Seconds <= 0 {
		t.Errorf("%+v", result.Services)
	}
}

func TestRun_LooksAtWhatIsUnchanged(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	b.run(t.Context(), execute.Unchanged, 0, b.service("s_a", "a:1"))
	b.want(b.Changes(), "create s_a")
	b.Images["a:1"] = "crash"
	b.Sim.Fail("s_a")
	_, err := b.run(t.Context(), execute.Refused, fault.Incomplete, b.service("s_a", "a:1"))
	if !strings.Contains(err.Error(), "a service that was not changed does not run: s_a") {
		t.Error(err)
	}
}

func TestRun_GoesBackInReverseOrderAndSaysWhy(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"), b.service("s_b", "b:1"))
	b.Images["b:2"] = "pull"
	before := len(b.Changes())
	result, err := b.run(t.Context(), execute.RolledBack, fault.RolledBack, b.service("s_a", "a:2"), b.service("s_b", "b:2"), b.service("s_c", "c:1"))
	b.want(b.Changes()[before:], "update s_a a:2", "update s_b b:2", "update s_b b:1", "update s_a a:1")
	b.want(b.Sim.Running(), "a:1", "b:1")
	var e *fault.Error
	if !errors.As(err, &e) || len(e.Findings) != 1 || !strings.HasPrefix(e.Findings[0].String(), "file.yml: s_b: pull: No such image: b:2") || e.Findings[0].Next == "" {
		t.Errorf("%v", err)
	}
	if s := result.Services[1]; s.Action != "restored" || s.Cause != "pull" || s.State != "2/2 running" {
		t.Errorf("%+v", s)
	}
	if s := result.Services[2]; s.State != "absent" {
		t.Errorf("%+v", s)
	}
}

func TestRun_WhatWasRemovedComesBack(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"), b.service("s_b", "b:1"))
	plan, now := b.plan(rollout.Options{Prune: true}, b.service("s_a", "a:1"))
	plan.Steps = append(plan.Steps, rollout.Step{Kind: rollout.CreateService, Name: "s_c", Service: b.service("s_c", "c:1")})
	b.Images["c:1"] = "pull"
	result, err := b.executor().Run(t.Context(), plan, now, 0)
	if result.Outcome != execute.RolledBack {
		t.Fatalf("%s: %v", result.Outcome, err)
	}
	b.want(b.Sim.Running(), "a:1", "b:1")
}

func TestRun_ATimeoutGoesBackToo(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	b.Images["a:2"] = "never"
	plan, now := b.plan(rollout.Options{}, b.service("s_a", "a:2"))
	result, err := b.executor().Run(t.Context(), plan, now, time.Second)
	if result.Outcome != execute.RolledBack || !strings.Contains(err.Error(), "not converged in time: s_a 0/2 running") {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestRun_ASignalPutsNothingBack(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	ctx, cancel := context.WithCancel(t.Context())
	b.Before = func(string) error { cancel(); return nil }
	_, err := b.run(ctx, execute.Interrupted, fault.Interrupted, b.service("s_a", "a:2"))
	b.want(b.Sim.Running(), "a:2")
	if !strings.Contains(err.Error(), "nothing was put back") {
		t.Error(err)
	}
}

func TestRun_ALostLockIsNoSignal(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	ctx, cancel := context.WithCancelCause(t.Context())
	b.Before = func(string) error {
		cancel(&fault.Error{Code: fault.Incomplete, What: "the lock was taken over"})
		return nil
	}
	_, err := b.run(ctx, execute.InBetween, fault.Incomplete, b.service("s_a", "a:2"))
	if !strings.Contains(err.Error(), "the lock was taken over; nothing was put back") {
		t.Error(err)
	}
}

func TestRun_ProvesTheVersionsOfThePlan(t *testing.T) {
	b := newBench(t)
	granted := b.service("s_a", "a:1", `, "Secrets": [{"File": {"Name": "T"}, "SecretName": "s_T.v1", "SecretID": "right"}]`)
	plan, now := b.plan(rollout.Options{}, b.service("s_a", "a:1", `, "Secrets": [{"File": {"Name": "T"}, "SecretName": "s_T.v1", "SecretID": "other"}]`))
	plan.Services["s_a"] = granted
	plan.Steps[len(plan.Steps)-1].Service = b.service("s_a", "a:1", `, "Secrets": [{"File": {"Name": "T"}, "SecretName": "s_T.v1", "SecretID": "other"}]`)
	result, err := b.executor().Run(t.Context(), plan, now, 0)
	if result.Outcome != execute.RolledBack || !strings.Contains(err.Error(), "the running tasks do not prove the plan") {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestRun_ShowsLogsOnlyWhereItMay(t *testing.T) {
	for _, c := range []struct {
		unknown []string
		show    bool
		want    string
	}{{nil, false, "s_a | last words"}, {[]string{"s_T.v1"}, false, "s_a: log withheld: the value of s_T.v1 is not known"}, {[]string{"s_T.v1"}, true, "s_a | last words"}} {
		b := newBench(t)
		b.Images["a:1"], b.Logs, b.unknown, b.show = "crash", "last words\n", c.unknown, c.show
		b.run(t.Context(), execute.RolledBack, fault.RolledBack, b.service("s_a", "a:1"))
		if !strings.Contains(b.said.String(), c.want) || strings.Contains(b.said.String(), "last words") == (len(c.unknown) > 0 && !c.show) {
			t.Errorf("%+v: %s", c, b.said.String())
		}
	}
}

func TestRun_AServiceThatVanishesIsAFailure(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"), b.service("s_b", "b:1"))
	b.Images["a:2"] = "never"
	looks := 0
	plan, now := b.plan(rollout.Options{}, b.service("s_a", "a:2"), b.service("s_b", "b:1"))
	b.Looked = func() {
		if looks++; looks == 3 {
			there, _ := b.Services(t.Context())
			_ = b.RemoveService(t.Context(), there[1].ID)
		}
	}
	_, err := b.executor().Run(t.Context(), plan, now, 0)
	if err == nil || !strings.Contains(err.Error(), "s_b was removed by somebody else") {
		t.Error(err)
	}
}

func TestRemoveServices_WaitsForTheirTasksAndGoesOnAfterAnError(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"), b.service("s_b", "b:1"), b.service("s_c", "c:1"))
	there, _ := b.Services(t.Context())
	b.Before = func(call string) error {
		if call == "remove s_b" {
			return errors.New("refused")
		}
		return nil
	}
	if err := b.executor().RemoveServices(t.Context(), there); err == nil || err.Error() != "refused" {
		t.Error(err)
	}
	b.want(b.Sim.Running(), "b:1")
	b.Before = nil
	if err := b.executor().RemoveServices(t.Context(), there); err != nil { // two are gone already
		t.Error(err)
	}
	b.want(b.Sim.Running())
}

func TestFree_TriesAgainWhileItIsInUse(t *testing.T) {
	b := newBench(t)
	answers := []error{docker.ErrInUse, docker.ErrInUse, nil}
	calls := 0
	remove := func() error { calls++; return answers[calls-1] }
	if err := b.executor().Free(t.Context(), remove); err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if err := b.executor().Free(t.Context(), func() error { return docker.ErrNotFound }); err != nil {
		t.Error(err)
	}
	other := errors.New("other")
	if err := b.executor().Free(t.Context(), func() error { return other }); !errors.Is(err, other) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.executor().Free(ctx, func() error { return docker.ErrInUse }); !errors.Is(err, docker.ErrInUse) {
		t.Error(err)
	}
}

// gone makes the manager silent after a change that it did.
func (b *bench) gone(call string) {
	silent := false
	b.Lost = func(c string) bool { silent = silent || c == call; return c == call }
	b.Before = func(string) error {
		if silent {
			return swarmtest.ErrSilent
		}
		return nil
	}
}

func TestRun_AChangeWithoutAnAnswerIsNotCalledRolledBack(t *testing.T) {
	for name, service := range map[string]string{"update": "s_a", "create": "s_b"} {
		b := newBench(t)
		b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
		b.gone(name + " " + service)
		services := []docker.ServiceSpec{b.service("s_a", "a:2")}
		if name == "create" {
			services = []docker.ServiceSpec{b.service("s_a", "a:1"), b.service("s_b", "b:1")}
		}
		_, err := b.run(t.Context(), execute.InBetween, fault.Incomplete, services...)
		if !strings.Contains(err.Error(), "not everything is back") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRun_AChangeWhoseAnswerNeverCameIsTakenBack(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	for name, services := range map[string][]docker.ServiceSpec{"update s_a": {b.service("s_a", "a:2")}, "create s_b": {b.service("s_a", "a:1"), b.service("s_b", "b:1")}} {
		b.gone(name)
		for range 3 { // the manager is back when the way back begins
			before := b.Before
			b.Before = func(call string) error {
				if strings.Contains(b.said.String(), "going back") {
					return nil
				}
				return before(call)
			}
		}
		b.said.Reset()
		b.run(t.Context(), execute.RolledBack, fault.RolledBack, services...)
		b.want(b.Sim.Running(), "a:1")
		b.Before, b.Lost = nil, nil
	}
}

func TestRun_TheWayBackLeavesWhatSomebodyElseChanged(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"), b.service("s_b", "b:1"))
	b.Images["b:2"] = "pull"
	once := false
	b.Looked = func() {
		if !once && strings.Contains(b.said.String(), "update service s_b") {
			once = true
			b.By("s_a", func(tree map[string]any) { tree["Labels"] = map[string]any{"hand": "made"} })
		}
	}
	result, err := b.run(t.Context(), execute.InBetween, fault.Incomplete, b.service("s_a", "a:2"), b.service("s_b", "b:2"))
	var e *fault.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "s_a was changed by somebody else meanwhile, and is left as it is now") || e.Next != "mage deploy:plan" {
		t.Errorf("%v, next: %+v", err, e)
	}
	if a, b := result.Services[0], result.Services[1]; a.Action != "updated" || a.State != "not put back" || b.Action != "restored" {
		t.Errorf("%+v %+v", a, b)
	}
	b.want(b.Sim.Running(), "a:2", "b:1")
}

func TestRun_AConfigWhoseAnswerIsLostIsUsed(t *testing.T) {
	b := newBench(t)
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{b.service("s_a", "a:1", `, "Configs": [{"File": {"Name": "/c"}, "ConfigName": "c"}]`)}, Configs: []docker.ConfigSpec{{Name: "c", Data: []byte("text")}}}
	plan, findings := rollout.Make(want, rollout.Current{}, rollout.Options{})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	lost := false
	b.Swarm.After = func(call string) error {
		if strings.HasPrefix(call, "CreateConfig") && !lost {
			lost = true
			return swarmtest.ErrSilent
		}
		return nil
	}
	result, err := b.executor().Run(t.Context(), plan, rollout.Current{}, 0)
	if result.Outcome != execute.Deployed || !lost {
		t.Fatalf("%s: %v", result.Outcome, err)
	}
	services, _ := b.Services(t.Context())
	configs, _ := b.Sim.Configs(t.Context())
	if len(configs) != 1 || services[0].Spec.Task.Configs[0].ID != configs[0].ID {
		t.Errorf("%d configs, the service has %+v", len(configs), services[0].Spec.Task.Configs)
	}
}

func TestRun_AConfigOfThatNameWithOtherContentIsNotTaken(t *testing.T) {
	b := newBench(t)
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{b.service("s_a", "a:1")}, Configs: []docker.ConfigSpec{{Name: "c", Data: []byte("text")}}}
	plan, _ := rollout.Make(want, rollout.Current{}, rollout.Options{})
	if _, err := b.CreateConfig(t.Context(), "s_c.v1", nil, []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	result, err := b.executor().Run(t.Context(), plan, rollout.Current{}, 0)
	if result.Outcome != execute.Refused || !errors.Is(err, docker.ErrExists) {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestObserve_LooksAgainOnlyAtWhatIsNotSettled(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	there, _ := b.Services(t.Context())
	looks := 0
	b.Looked = func() { looks++ }
	if verdicts, err := b.executor().Observe(t.Context(), there); err != nil || verdicts["s_a"].State != rollout.Converged || looks != 2 { // one for the tasks that failed before
		t.Errorf("%v, %v after %d looks", verdicts, err, looks)
	}
	b.Images["a:1"] = "never"
	b.Sim.Fail("s_a")
	if verdicts, err := b.executor().Observe(t.Context(), there); err != nil || verdicts["s_a"].State != rollout.Converging || looks < 5 {
		t.Errorf("%v, %v after %d looks", verdicts, err, looks)
	}
	if verdicts, err := b.executor().Observe(t.Context(), nil); err != nil || len(verdicts) > 0 {
		t.Errorf("of none: %v, %v", verdicts, err)
	}
}

// byHand changes the image of a service as somebody else would.
func (b *bench) byHand(service, image string) {
	b.By(service, func(tree map[string]any) {
		tree["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = image
	})
}

// once returns a function that does something at its first call only.
func once(do func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			do()
		}
	}
}

func TestRun_WhatSomebodyElseChangesRightAfterIsNotTakenForThePlan(t *testing.T) {
	for name, services := range map[string]int{"update": 1, "create": 2} {
		b := newBench(t)
		b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
		target, want := "s_a", []docker.ServiceSpec{b.service("s_a", "a:2")}
		if name == "create" {
			target, want = "s_b", []docker.ServiceSpec{b.service("s_a", "a:1"), b.service("s_b", "b:1")}
		}
		change := once(func() { b.byHand(target, "theirs:1") })
		b.Reading = func(id string) {
			if all, _ := b.Services(t.Context()); len(all) == services && all[services-1].ID == id && strings.Contains(b.said.String(), name+" service "+target) {
				change()
			}
		}
		code, outcome := fault.Incomplete, execute.InBetween
		if name == "create" { // a service that is not to be there is removed, whoever changed it
			code, outcome = fault.RolledBack, execute.RolledBack
		}
		_, err := b.run(t.Context(), outcome, code, want...)
		if !strings.Contains(err.Error(), target+" was changed by somebody else while the plan was carried out") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRun_AnUpdateWhoseVersionMovesIsSentAgain(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	move := once(func() { b.By("s_a", func(map[string]any) {}) })
	b.Before = func(call string) error {
		if strings.HasPrefix(call, "update") {
			move()
		}
		return nil
	}
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:2"))
	b.want(b.Sim.Running(), "a:2")

	b.Before = func(call string) error { // and not for ever
		if strings.HasPrefix(call, "update") {
			b.By("s_a", func(map[string]any) {})
		}
		return nil
	}
	before := len(b.Changes())
	_, err := b.run(t.Context(), execute.Refused, fault.Failed, b.service("s_a", "a:3"))
	if tries := len(b.Changes()[before:]); !strings.Contains(err.Error(), "s_a is changed by somebody else all the time") || tries != 10 {
		t.Errorf("%d tries: %v", tries, err)
	}
}

func TestRun_AServiceThatSomebodyElseMadeMeanwhileIsTheirs(t *testing.T) {
	b := newBench(t)
	make := once(func() {
		if _, _, err := b.CreateService(t.Context(), b.service("s_a", "theirs:1")); err != nil {
			t.Error(err)
		}
	})
	b.Before = func(call string) error {
		if call == "create s_a" {
			make()
		}
		return nil
	}
	_, err := b.run(t.Context(), execute.Refused, fault.Failed, b.service("s_a", "a:1"))
	if !errors.Is(err, docker.ErrExists) {
		t.Error(err)
	}
	b.want(b.Sim.Running(), "theirs:1")
}

func TestRun_ACreateWhoseAnswerIsLostIsFoundAgain(t *testing.T) {
	b := newBench(t)
	lost := map[string]bool{}
	b.Lost = func(call string) bool { first := !lost[call]; lost[call] = true; return first }
	spec := b.service("s_a", "a:1")
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{spec}, Networks: []docker.NetworkSpec{{Name: "s_net", Driver: "overlay"}}}
	plan, findings := rollout.Make(want, rollout.Current{}, rollout.Options{})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	result, err := b.executor().Run(t.Context(), plan, rollout.Current{}, 0)
	if result.Outcome != execute.Deployed || len(lost) != 2 {
		t.Fatalf("%s, lost %v: %v", result.Outcome, lost, err)
	}
	services, _ := b.Services(t.Context())
	networks, _ := b.Sim.Networks(t.Context())
	if len(services) != 1 || len(networks) != 3 { // with the two named host
		t.Errorf("%d services, %d networks", len(services), len(networks))
	}
}

func TestRun_ANetworkThatIsThereMeanwhileIsUsed(t *testing.T) {
	b := newBench(t)
	spec, err := docker.ParseServiceSpec([]byte(`{"Name": "s_a", "TaskTemplate": {"ContainerSpec": {"Image": "a:1"}, "Networks": [{"Target": "s_net"}]}, "Mode": {"Replicated": {"Replicas": 1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{spec}, Networks: []docker.NetworkSpec{{Name: "s_net", Driver: "overlay"}}}
	plan, _ := rollout.Make(want, rollout.Current{}, rollout.Options{})
	if _, err := b.CreateNetwork(t.Context(), want.Networks[0]); err != nil {
		t.Fatal(err)
	}
	if result, err := b.executor().Run(t.Context(), plan, rollout.Current{}, 0); result.Outcome != execute.Deployed {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestRun_SaysTheEnginesWarnings(t *testing.T) {
	b := newBench(t)
	b.Warn = []string{"unable to pin image"}
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	if !strings.Contains(b.said.String(), "warning of the engine about s_a: unable to pin image") {
		t.Error(b.said.String())
	}
}

func TestRun_ALogThatCannotBeReadDoesNotStopTheWayBack(t *testing.T) {
	b := newBench(t)
	b.Images["a:1"], b.NoLog = "crash", errors.New("the node is gone")
	b.run(t.Context(), execute.RolledBack, fault.RolledBack, b.service("s_a", "a:1"))
	if !strings.Contains(b.said.String(), "s_a: its log cannot be read: the node is gone") {
		t.Error(b.said.String())
	}
}

func TestRun_ASignalOnTheWayBackSaysWhereItStopped(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	b.Images["a:2"] = "pull"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.Before = func(call string) error {
		if call == "update s_a a:1" {
			cancel()
		}
		return nil
	}
	_, err := b.run(ctx, execute.Interrupted, fault.Interrupted, b.service("s_a", "a:2"))
	var e *fault.Error
	if !errors.As(err, &e) || !strings.Contains(e.What, "stopped on the way back") || e.Next != "mage deploy:status, then mage deploy:rollback s" {
		t.Errorf("%v, next: %+v", err, e)
	}
}

func TestRun_NamesWhatStaysAlsoIfNoServiceWasTouched(t *testing.T) {
	b := newBench(t)
	want := docker.StackSpec{Name: "s", Services: []docker.ServiceSpec{b.service("s_a", "a:1")}, Networks: []docker.NetworkSpec{{Name: "s_net", Driver: "overlay"}}}
	plan, _ := rollout.Make(want, rollout.Current{}, rollout.Options{})
	b.Before = func(call string) error {
		if call == "create s_a" {
			return &fault.Error{Code: fault.Failed, What: "no"}
		}
		return nil
	}
	result, err := b.executor().Run(t.Context(), plan, rollout.Current{}, 0)
	if result.Outcome != execute.Refused || fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "no; these stay: network s_net") || !slices.Equal(result.Kept, []string{"network s_net"}) {
		t.Errorf("%s, kept %q: %v", result.Outcome, result.Kept, err)
	}
}

func TestRun_GivesUpOnAManagerThatStaysSilent(t *testing.T) {
	b := newBench(t)
	b.Before = func(string) error { return swarmtest.ErrSilent }
	_, err := b.run(t.Context(), execute.RolledBack, fault.RolledBack, b.service("s_a", "a:1")) // it answers when the way back looks
	if !strings.Contains(b.said.String(), "the manager does not answer; waiting for up to 1m0s: the Swarm has no leader") || !strings.Contains(err.Error(), "the Swarm has no leader") {
		t.Errorf("%v\n%s", err, b.said.String())
	}
}

func TestRun_TheSwarmsOwnRollbackIsNotSomebodyElse(t *testing.T) {
	b := newBench(t)
	spec := func(image string) docker.ServiceSpec {
		one, err := docker.ParseServiceSpec([]byte(`{"Name": "s_a", "TaskTemplate": {"ContainerSpec": {"Image": "` + image + `", "Healthcheck": {"Test": ["CMD", "x"]}}}, "Mode": {"Replicated": {"Replicas": 1}}, "UpdateConfig": {"FailureAction": "rollback"}}`))
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	b.run(t.Context(), execute.Deployed, 0, spec("a:1"))
	b.Images["a:2"] = "crash"
	before := len(b.Changes())
	_, err := b.run(t.Context(), execute.RolledBack, fault.RolledBack, spec("a:2"))
	if strings.Contains(err.Error(), "somebody else") {
		t.Error(err)
	}
	b.want(b.Changes()[before:], "update s_a a:2") // the Swarm went back itself
}

func TestRemoveServices_EndsWithItsDeadline(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), execute.Deployed, 0, b.service("s_a", "a:1"))
	there, _ := b.Services(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	b.Before = func(string) error { cancel(); return swarmtest.ErrSilent }
	if err := b.executor().RemoveServices(ctx, there); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.want(b.Sim.Running(), "a:1")
}
