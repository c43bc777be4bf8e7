package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/convert"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/swarmtest"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// swarmFile is a stack of an API that depends on a database, and a one-shot.
const swarmFile = `version: "3.9"
x-health: &health {test: [CMD, /x], interval: 1s}
services:
  api:
    image: shop/api:1
    secrets: [TOKEN, LOGIN]
    healthcheck: *health
    depends_on: [db]
    deploy: {replicas: 2, update_config: {order: start-first, failure_action: rollback}}
  db:
    image: shop/db:1
    secrets: [LOGIN]
    healthcheck: *health
    deploy: {placement: {constraints: [node.role == manager]}}
secrets:
  TOKEN: {external: true}
  LOGIN: {external: true}
`

// bench is a project and a Swarm in memory.
type bench struct {
	*opstest.Bench
	sim       *swarmtest.Sim
	values    map[string]string // of the source that -from names
	read      int               // how often it was read
	connected int
	make      func(reason string, dryRun bool) (map[string]rollout.Version, error)
	stack     string
}

func newBench(t *testing.T) *bench {
	b := &bench{Bench: opstest.New(t), sim: swarmtest.New(), values: map[string]string{}, stack: "shop"}
	b.Put("docker-compose.swarm.yml", swarmFile)
	b.version("TOKEN", 1)
	b.version("LOGIN", 1)
	return b
}

// edit replaces text in the Swarm file.
func (b *bench) edit(pairs ...string) {
	b.Put("docker-compose.swarm.yml", strings.NewReplacer(pairs...).Replace(swarmFile))
}

// version makes a version in the Swarm.
func (b *bench) version(name string, number int) {
	b.T.Helper()
	b.versionOf(name, number, fmt.Sprintf("%s-value-%d", name, number))
}

// versionOf makes a version of a value.
func (b *bench) versionOf(name string, number int, text string) {
	b.T.Helper()
	labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: name, docker.LabelVersion: fmt.Sprint(number), docker.LabelEnvironment: "staging"}
	value := secrets.New([]byte(text))
	if key, _, err := b.Workspace.Key(true); err == nil {
		labels[docker.LabelFingerprint] = key.Fingerprint([fingerprint.SaltSize]byte{1}, "shop", name, value)
	}
	if _, err := b.sim.CreateSecret(b.T.Context(), fmt.Sprintf("shop_%s.v%d", name, number), labels, value); err != nil {
		b.T.Fatal(err)
	}
}

func (b *bench) deploy() *deploy.Deploy {
	said := b.Bench
	p := project.Project{Workspace: b.Workspace, Store: b.Store, Dir: b.Dir, Progress: said}
	s := b.sim
	return deploy.New(deploy.Config{
		Project: p, Stack: b.stack, Every: time.Millisecond, Clock: s.Clock,
		Connect: func(context.Context) (deploy.Swarm, error) {
			b.connected++
			at := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, Progress: said, By: "ana@host"})
			return deploy.Swarm{Cluster: at, Configs: s, Services: s, Tasks: s, Networks: s, Fleet: s, Volumes: s, API: "1.41"}, nil
		},
		Convert: func(m *manifest.Manifest, stack, api string) (docker.StackSpec, []fault.Finding, []fault.Finding) {
			return convert.Convert(m, convert.Options{Stack: stack, API: api, Dir: b.Dir, ReadFile: b.Workspace.Read})
		},
		Render: func(_ *manifest.Manifest, _, _ string, secrets, configs map[string]string) ([]byte, error) {
			return []byte(fmt.Sprint(secrets, configs)), nil
		},
		Source: func(_ context.Context, from, reason string) (deploy.Source, error) {
			if from != "dir" {
				return nil, &fault.Error{Code: fault.Invalid, What: from + " does not exist", Next: "-from=DIR"}
			}
			b.read++
			return source{b, reason}, nil
		},
	})
}

// source is the directory that -from names.
type source struct {
	b      *bench
	reason string
}

func (s source) Known() []secrets.Known {
	var known []secrets.Known
	for name, value := range s.b.values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
	}
	return known
}

func (s source) Versions(_ context.Context, dryRun bool) (map[string]rollout.Version, error) {
	if s.b.make == nil {
		return nil, nil
	}
	return s.b.make(s.reason, dryRun)
}

// run deploys, and requires an outcome and an exit code.
func (b *bench) run(o deploy.Options, outcome execute.Outcome, code fault.Code) (deploy.Result, error) {
	b.T.Helper()
	result, err := b.deploy().Swarm(b.T.Context(), o)
	if result.Outcome != outcome || fault.CodeOf(err) != code {
		b.T.Fatalf("%s with %d: %v\n%s", result.Outcome, fault.CodeOf(err), err, b.Said.String())
	}
	return result, err
}

// since returns what changed in the Swarm while fn ran.
func (b *bench) since(fn func()) []string {
	before := len(b.sim.Changes())
	fn()
	return b.sim.Changes()[before:]
}

func (b *bench) want(got []string, want ...string) {
	b.T.Helper()
	if !slices.Equal(got, want) {
		b.T.Errorf("%q\nwant %q\n%s", got, want, b.Said.String())
	}
}

// texts are the findings of an error.
func texts(t *testing.T, err error) []string {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *fault.Error", err)
	}
	var all []string
	for _, f := range e.Findings {
		all = append(all, f.String()+" / "+f.Next)
	}
	return all
}

func (b *bench) wantTexts(err error, parts ...string) {
	b.T.Helper()
	all := texts(b.T, err)
	if len(all) != len(parts) {
		b.T.Errorf("%d findings: %q", len(all), all)
		return
	}
	for i, part := range parts {
		if !strings.Contains(all[i], part) {
			b.T.Errorf("finding %q, want %q", all[i], part)
		}
	}
}

func TestSwarm_FromNothingDeploysInOrderAndProvesIt(t *testing.T) {
	b := newBench(t)
	changes := b.since(func() {
		r, _ := b.run(deploy.Options{Reason: "first"}, "deployed", 0)
		if r.Context != "test" || r.Cluster != "cluster1" || r.Environment != "staging" || r.Stack != "shop" {
			t.Errorf("heading %+v", r.Heading)
		}
		var got []string
		for _, s := range r.Services {
			got = append(got, fmt.Sprint(s.Service, " ", s.Action, " ", s.State, " ", s.Versions))
		}
		b.want(got, "shop_api created 2/2 running [shop_LOGIN.v1 shop_TOKEN.v1]", "shop_db created 1/1 running [shop_LOGIN.v1]")
	})
	b.want(changes, "network shop_default", "create shop_db", "create shop_api")
	if said := b.Said.String(); strings.Index(said, "shop_db: 1/1 running") > strings.Index(said, "create service shop_api") {
		t.Errorf("the API did not wait for the database:\n%s", said)
	}
	services, _ := b.sim.Services(t.Context())
	for _, s := range services {
		if s.Spec.Labels[docker.LabelNamespace] != "shop" || s.Spec.Labels[docker.LabelStack] != "shop" {
			t.Errorf("labels of %s: %v", s.Spec.Name, s.Spec.Labels)
		}
	}
	b.wantRecord("deploy deployed first [shop_api shop_db]", "deploy begun first [shop_db shop_api]")
}

func TestSwarm_WaitsForWhatAServiceNeedsAlsoIfThatIsNotChanged(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Images["shop/db:1"] = "never" // as a run that was killed may leave it
	b.sim.Fail("shop_db")
	b.edit("shop/api:1", "shop/api:2")
	changes := b.since(func() {
		_, err := b.deploy().Swarm(t.Context(), deploy.Options{Timeout: 200 * time.Millisecond})
		if fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "shop_db 0/1 running") {
			t.Error(err)
		}
	})
	b.want(changes)
}

func TestSwarm_DoesNotWaitForServicesOfTheSameWaveFirst(t *testing.T) {
	b := newBench(t)
	web := "  web:\n    image: shop/web:1\n    depends_on: [db]\n  db:"
	b.edit("  db:", web)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Images["shop/web:1"] = "never"
	b.sim.Fail("shop_web")
	b.edit("  db:", web, "shop/api:1", "shop/api:2")
	changes := b.since(func() { b.run(deploy.Options{Timeout: time.Second}, "rolled back", fault.RolledBack) })
	b.want(changes, "update shop_api shop/api:2", "update shop_api shop/api:1")
}

// wantRecord requires the entries of the stack's record, the newest first.
func (b *bench) wantRecord(want ...string) {
	b.T.Helper()
	s := b.sim
	state, err := cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s}).Open(b.T.Context(), "shop")
	if err != nil {
		b.T.Fatal(err)
	}
	history, err := state.History(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	var got []string
	for _, e := range history {
		got = append(got, fmt.Sprint(e.Operation, " ", e.Outcome, " ", e.Reason, " ", e.Services))
	}
	b.want(got, want...)
}

func TestSwarm_TheSameAgainChangesNothingAndSaysThatItRuns(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	changes := b.since(func() {
		r, _ := b.run(deploy.Options{}, "unchanged", 0)
		if len(r.Services) != 2 || r.Services[0].Action != "unchanged" || r.Services[0].State != "2/2 running" {
			t.Errorf("%+v", r.Services)
		}
	})
	b.want(changes)
	b.wantRecord("deploy deployed  [shop_api shop_db]", "deploy begun  [shop_db shop_api]")
}

func TestSwarm_UnchangedIsNotSaidOfWhatDoesNotRun(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Fail("shop_db")
	b.sim.Images["shop/db:1"] = "crash"
	changes := b.since(func() {
		_, err := b.run(deploy.Options{}, "refused", fault.Incomplete)
		if !strings.Contains(err.Error(), "shop_db") || !strings.Contains(err.Error(), "crash") {
			t.Error(err)
		}
	})
	b.want(changes)
}

func TestSwarm_FromASourceMakesWhatIsMissingFirst(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	var asked []string
	b.make = func(reason string, dryRun bool) (map[string]rollout.Version, error) {
		asked = append(asked, fmt.Sprint(reason, " ", dryRun))
		secrets, _ := b.sim.Secrets(t.Context())
		if len(secrets) > 2 {
			return nil, nil
		}
		if !dryRun {
			b.version("TOKEN", 2)
		}
		return map[string]rollout.Version{"TOKEN": {Name: "shop_TOKEN.v2", Of: "TOKEN"}}, nil
	}
	r, err := b.deploy().Plan(t.Context(), deploy.Options{From: "dir"})
	if fault.CodeOf(err) != fault.Pending || len(r.Plan.Steps) != 2 || r.Plan.Steps[0].Kind != rollout.CreateVersion || r.Plan.Steps[0].Name != "shop_TOKEN.v2" {
		t.Errorf("%v, %v", r.Plan.Steps, err)
	}
	r, _ = b.run(deploy.Options{From: "dir", Reason: "new"}, "deployed", 0)
	if v := r.Services[0].Versions; !slices.Equal(v, []string{"shop_LOGIN.v1", "shop_TOKEN.v2"}) {
		t.Errorf("%v", v)
	}
	b.want(asked, " true", "new true", "new false")
	if b.read != 2 {
		t.Errorf("the source was read %d times by two commands", b.read)
	}
	b.run(deploy.Options{From: "dir"}, "unchanged", 0)
	b.make = func(string, bool) (map[string]rollout.Version, error) {
		return nil, &fault.Error{Code: fault.Invalid, What: "unknown"}
	}
	changes := b.since(func() { b.run(deploy.Options{From: "dir"}, "refused", fault.Invalid) })
	b.want(changes)
}

func TestSwarm_ANewVersionRePointsItsUsers(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.version("TOKEN", 2)
	changes := b.since(func() {
		r, _ := b.run(deploy.Options{}, "deployed", 0)
		if v := r.Services[0].Versions; !slices.Equal(v, []string{"shop_LOGIN.v1", "shop_TOKEN.v2"}) {
			t.Errorf("%v", v)
		}
	})
	b.want(changes, "update shop_api shop/api:1")
}

func TestSwarm_AFailureGoesBackInReverseOrder(t *testing.T) {
	for name, behaviour := range map[string]struct{ does, cause string }{"crash": {"crash", "crash"}, "pull": {"pull", "pull"}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.run(deploy.Options{}, "deployed", 0)
			b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
			b.sim.Images["shop/api:2"] = behaviour.does
			var result deploy.Result
			changes := b.since(func() {
				var err error
				result, err = b.run(deploy.Options{AllowOutage: true}, "rolled back", fault.RolledBack)
				if !strings.Contains(err.Error(), "shop_api failed") || !strings.Contains(err.Error(), "every service that was touched is as it was") {
					t.Error(err)
				}
				b.wantTexts(err, behaviour.cause)
			})
			wanted := []string{"update shop_db shop/db:2", "update shop_api shop/api:2", "update shop_api shop/api:1", "update shop_db shop/db:1"}
			if name == "crash" { // the Swarm itself had put it back
				wanted = slices.Delete(wanted, 2, 3)
			}
			b.want(changes, wanted...)
			if s := result.Services[0]; s.Action != "restored" || s.State != "2/2 running" || s.Cause != behaviour.cause || s.Attempts == 0 {
				t.Errorf("%+v", s)
			}
			b.wantRecord("deploy rolled back  [shop_api shop_db]", "deploy begun  [shop_db shop_api]", "deploy deployed  [shop_api shop_db]", "deploy begun  [shop_db shop_api]")
		})
	}
}

func TestSwarm_AFirstDeploymentThatFailsLeavesNoService(t *testing.T) {
	b := newBench(t)
	b.sim.Images["shop/api:1"] = "crash"
	r, err := b.run(deploy.Options{}, "rolled back", fault.RolledBack)
	if services, _ := b.sim.Services(t.Context()); len(services) > 0 {
		t.Errorf("%d services stay", len(services))
	}
	if !slices.Equal(r.Kept, []string{"network shop_default"}) || !strings.Contains(err.Error(), "these stay: network shop_default") {
		t.Errorf("kept %v: %v", r.Kept, err)
	}
}

func TestSwarm_WhatCannotGoBackIsInBetween(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
	b.sim.Images["shop/api:2"] = "pull"
	b.sim.Before = func(call string) error {
		if call == "update shop_db shop/db:1" {
			return &fault.Error{Code: fault.Failed, What: "the manager refuses"}
		}
		return nil
	}
	_, err := b.run(deploy.Options{AllowOutage: true}, "in between", fault.Incomplete)
	if !strings.Contains(err.Error(), "not everything is back: the manager refuses") || !strings.Contains(b.Said.String(), "shop_db is not back") {
		t.Error(err)
	}
	var e *fault.Error
	if errors.As(err, &e); e.Next != "mage deploy:status, then mage deploy:rollback shop" {
		t.Errorf("next: %s", e.Next)
	}
	if services, _ := b.sim.Services(t.Context()); services[0].Spec.Task.Image != "shop/api:1" {
		t.Error("the other service was not put back")
	}
}

func TestSwarm_ADeadlineGoesBackToo(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.sim.Images["shop/api:2"] = "never"
	_, err := b.run(deploy.Options{Timeout: time.Second}, "rolled back", fault.RolledBack)
	if !strings.Contains(err.Error(), "not converged in time: shop_api 0/2 running") || !strings.Contains(err.Error(), "health") {
		t.Error(err)
	}
}

func TestSwarm_ASignalPutsNothingBack(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
	ctx, cancel := context.WithCancel(t.Context())
	b.sim.Before = func(call string) error {
		if call == "update shop_api shop/api:2" {
			cancel()
		}
		return nil
	}
	changes := b.since(func() {
		r, err := b.deploy().Swarm(ctx, deploy.Options{AllowOutage: true})
		if r.Outcome != "interrupted" || fault.CodeOf(err) != fault.Interrupted {
			t.Errorf("%s: %v", r.Outcome, err)
		}
		var e *fault.Error
		if errors.As(err, &e); !strings.Contains(e.Next, "the same command goes on, mage deploy:rollback shop undoes it") {
			t.Errorf("next: %s", e.Next)
		}
	})
	b.want(changes, "update shop_db shop/db:2", "update shop_api shop/api:2")
	if configs, _ := b.sim.Configs(t.Context()); slices.ContainsFunc(configs, func(c docker.SwarmConfig) bool { return c.Name == "shop_keepmum.lock" }) {
		t.Error("the lock stays")
	}
	b.sim.Before = nil
	b.run(deploy.Options{AllowOutage: true}, "unchanged", 0) // what was sent goes on by itself
	b.want(recordOf(b)[:1], "deploy interrupted")
}

func recordOf(b *bench) []string {
	state, err := cluster.New(cluster.Config{Manager: b.sim, Secrets: b.sim, Configs: b.sim}).Open(b.T.Context(), "shop")
	if err != nil {
		b.T.Fatal(err)
	}
	history, err := state.History(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	var all []string
	for _, e := range history {
		all = append(all, e.Operation+" "+e.Outcome)
	}
	return all
}

func TestSwarm_SomebodyElsesChangeIsNotOverwritten(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	once := true
	b.sim.Before = func(call string) error {
		if strings.HasPrefix(call, "update shop_api") && once {
			once = false
			b.sim.By("shop_api", func(tree map[string]any) { tree["Labels"].(map[string]any)["hand"] = "made" })
		}
		return nil
	}
	_, err := b.run(deploy.Options{}, "refused", fault.Failed)
	if !strings.Contains(err.Error(), "shop_api was changed by somebody else") {
		t.Error(err)
	}
	services, _ := b.sim.Services(t.Context())
	if services[0].Spec.Labels["hand"] != "made" || services[0].Spec.Task.Image != "shop/api:1" {
		t.Errorf("%+v", services[0].Spec)
	}
}

func TestSwarm_AVersionThatOnlyMovedIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	tries := 0
	b.sim.Before = func(call string) error {
		if tries++; strings.HasPrefix(call, "update shop_api") && tries < 4 {
			b.sim.By("shop_api", func(map[string]any) {})
		}
		return nil
	}
	b.run(deploy.Options{}, "deployed", 0)
}

func TestSwarm_WaitsForAManagerThatElectsALeader(t *testing.T) {
	b := newBench(t)
	silence := 5
	b.sim.Before = func(call string) error {
		if strings.HasPrefix(call, "create shop_api") && silence > 0 {
			silence--
			return swarmtest.ErrSilent
		}
		return nil
	}
	b.run(deploy.Options{}, "deployed", 0)
	if strings.Count(b.Said.String(), "the manager does not answer") != 1 {
		t.Error(b.Said.String())
	}
}

func TestSwarm_AManagerThatStaysSilentIsInBetween(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
	b.sim.Before = func(call string) error {
		if !strings.HasPrefix(call, "update shop_db shop/db:2") {
			return swarmtest.ErrSilent
		}
		return nil
	}
	_, err := b.run(deploy.Options{AllowOutage: true}, "in between", fault.Incomplete)
	if !strings.Contains(err.Error(), "the Swarm has no leader; not everything is back: the Swarm has no leader") {
		t.Error(err)
	}
}

func TestSwarm_AnAnswerThatIsLostIsFoundOut(t *testing.T) {
	b := newBench(t)
	lost := map[string]bool{}
	b.sim.Lost = func(call string) bool {
		first := !lost[call]
		lost[call] = true
		return first
	}
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	clear(lost)
	b.run(deploy.Options{}, "deployed", 0)
	b.want(b.images(), "shop/api:2", "shop/db:1")
}

func TestSwarm_AServiceOfThatNameThatAppearsMeanwhileIsNotTaken(t *testing.T) {
	b := newBench(t)
	b.sim.Before = func(call string) error {
		if call == "create shop_db" {
			spec, err := docker.ParseServiceSpec([]byte(`{"Name": "shop_db", "TaskTemplate": {"ContainerSpec": {"Image": "theirs"}}}`))
			if err != nil {
				return err
			}
			b.sim.Before = nil
			_, _, err = b.sim.CreateService(t.Context(), spec)
			return err
		}
		return nil
	}
	_, err := b.run(deploy.Options{}, "refused", fault.Failed)
	if !strings.Contains(err.Error(), "name conflict") {
		t.Error(err)
	}
	b.want(b.images(), "theirs")
}

func TestSwarm_ALockThatIsLostStopsWhereItIs(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.sim.Images["shop/api:2"] = "never"
	b.sim.Before = func(call string) error {
		if strings.HasPrefix(call, "update shop_api") {
			b.unlock()
		}
		return nil
	}
	changes := b.since(func() {
		_, err := b.run(deploy.Options{}, "in between", fault.Incomplete)
		if !strings.Contains(err.Error(), "the lock of stack shop is gone") {
			t.Error(err)
		}
	})
	b.want(changes, "update shop_api shop/api:2")
}

func TestPreflight_CredentialsGoOverNoNetworkInClear(t *testing.T) {
	b := newBench(t)
	b.sim.Refuse = &fault.Error{Code: fault.NoEngine, What: "TCP without TLS"}
	b.run(deploy.Options{}, "deployed", 0) // there are none
	b.sim.Login = []secrets.Known{{Name: "registry", Value: secrets.New([]byte("x"))}}
	_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "credentials of a registry: TCP without TLS")
}

func TestPreflight_SaysThatTheQuorumIsAtItsEnd(t *testing.T) {
	b := newBench(t)
	for n, reachable := range []bool{true, true, false} {
		node := b.sim.Members[0]
		node.ID, node.Reachable = fmt.Sprint("m", n), reachable
		b.sim.Members = append(b.sim.Members, node)
	}
	b.sim.Members = b.sim.Members[1:]
	r, _ := b.deploy().Plan(t.Context(), deploy.Options{})
	if len(r.Plan.Notices) != 1 || r.Plan.Notices[0] != "2 of 3 managers reachable: if one more fails, the Swarm cannot be changed" {
		t.Errorf("%q", r.Plan.Notices)
	}
	b.sim.Members[1].Reachable = false
	_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "the Swarm: 1 of 3 managers reachable: it takes 2 to change anything")
	b.sim.Members[1].Reachable, b.sim.Members[2].Reachable = true, true
	if r, _ = b.deploy().Plan(t.Context(), deploy.Options{}); len(r.Plan.Notices) > 0 {
		t.Errorf("%q", r.Plan.Notices)
	}
}

func TestSwarm_PruneRemovesWhatTheFileLacksAtTheEnd(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("    depends_on: [db]\n", "", swarmFile[strings.Index(swarmFile, "  db:"):strings.Index(swarmFile, "secrets:\n  TOKEN")], "")
	changes := b.since(func() {
		r, _ := b.run(deploy.Options{}, "unchanged", 0)
		if !slices.Equal(r.Plan.Extra, []string{"shop_db"}) {
			t.Errorf("extra %v", r.Plan.Extra)
		}
		b.run(deploy.Options{Prune: true}, "deployed", 0)
	})
	b.want(changes, "remove shop_db")
}

func TestPlan_IsPendingUntilItIsDone(t *testing.T) {
	b := newBench(t)
	r, err := b.deploy().Plan(t.Context(), deploy.Options{})
	if fault.CodeOf(err) != fault.Pending || r.Outcome != "planned" || len(r.Plan.Steps) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	b.want(b.sim.Changes())
	b.run(deploy.Options{}, "deployed", 0)
	if r, err = b.deploy().Plan(t.Context(), deploy.Options{}); err != nil || r.Outcome != "unchanged" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSwarm_EveryProblemIsFoundBeforeTheFirstChange(t *testing.T) {
	b := newBench(t)
	b.edit(
		"shop/api:1", "nowhere/api:1",
		"node.role == manager", "node.labels.data == true",
		"TOKEN: {external: true}", "TOKEN: {external: true}\n  NONE: {external: true}",
		"[TOKEN, LOGIN]", "[TOKEN, LOGIN, NONE]",
	)
	_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err,
		"docker-compose.swarm.yml:17: NONE: has no version in the Swarm / mage secrets:toSwarm -from=DIR",
		"docker-compose.swarm.yml:4: shop_api: the image nowhere/api:1 is in no registry that answers",
		"docker-compose.swarm.yml:10: shop_db: no node satisfies node.labels.data == true / docker node update --label-add data=true NODE",
	)
	b.want(b.sim.Changes())
}

func TestPreflight_NamesWhatWouldGoWrong(t *testing.T) {
	two := func(b *bench) {
		second := b.sim.Members[0]
		second.ID, second.Hostname, second.Manager = "n2", "two", false
		b.sim.Members = append(b.sim.Members, second)
	}
	for name, c := range map[string]struct {
		pairs  []string
		before func(*bench)
		want   string
	}{
		"host port start-first": {[]string{"    depends_on: [db]", "    ports: [{target: 80, published: 8080, mode: host}]"}, nil, "shop_api: publishes port 8080 in host mode and updates start-first"},
		"cpu":                   {[]string{"{replicas: 2,", "{replicas: 2, resources: {reservations: {cpus: \"9\"}},"}, nil, "shop_api: reserves more CPU or memory than any node"},
		"memory":                {[]string{"{replicas: 2,", "{replicas: 2, resources: {reservations: {memory: 5G}},"}, nil, "shop_api: reserves more CPU or memory than any node"},
		"local volume":          {[]string{"    deploy: {placement: {constraints: [node.role == manager]}}", "    volumes: [\"data:/data\"]", "secrets:\n  TOKEN", "volumes: {data: {}}\nsecrets:\n  TOKEN"}, two, "shop_db: has the local volume shop_data and may run on any of 2 nodes"},
		"drained":               {nil, func(b *bench) { b.sim.Members[0].Availability = "drain" }, "shop_api: no node that is ready and active satisfies its constraints"},
		"a malformed condition": {[]string{"node.role == manager", "nonsense"}, nil, "shop_db: no node satisfies nonsense / correct deploy.placement.constraints"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.edit(c.pairs...)
			if c.before != nil {
				c.before(b)
			}
			_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
			if all := texts(t, err); !slices.ContainsFunc(all, func(one string) bool { return strings.Contains(one, c.want) }) {
				t.Errorf("%q", all)
			}
			b.want(b.sim.Changes())
		})
	}
}

func TestPreflight_ALocalVolumeIsFineWhereItCannotMove(t *testing.T) {
	b := newBench(t)
	b.edit("    deploy: {placement: {constraints: [node.role == manager]}}", "    volumes: [\"data:/data\"]", "secrets:\n  TOKEN", "volumes: {data: {}}\nsecrets:\n  TOKEN")
	b.run(deploy.Options{}, "deployed", 0)
}

func TestPreflight_APortOfAnotherStackIsTaken(t *testing.T) {
	b := newBench(t)
	spec, err := docker.ParseServiceSpec([]byte(`{"Name": "other_web", "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp", "PublishMode": "ingress"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.sim.CreateService(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	b.edit("    depends_on: [db]", "    ports: [\"8080:80\"]")
	_, err = b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "shop_api: publishes port 8080, which the service other_web has")
}

func TestPreflight_AnOutageNeedsConsent(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/db:1", "shop/db:2")
	_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "shop_db: cannot be updated without an outage: 1 replica, stop-first / the same command with -allowOutage")
	b.edit("shop/db:1\n    secrets: [LOGIN]\n    healthcheck: *health", "shop/db:1\n    secrets: [LOGIN]")
	_, err = b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "1 replica, stop-first, no health check")
	b.edit("shop/db:1", "shop/db:2")
	b.run(deploy.Options{AllowOutage: true}, "deployed", 0)
	b.edit("shop/db:1", "shop/db:2", "{placement:", "{replicas: 0, placement:") // restarts nothing
	b.run(deploy.Options{}, "deployed", 0)
}

func TestPlan_SaysWhatNeedsConsentToAnOutage(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/db:1", "shop/db:2")
	r, err := b.deploy().Plan(t.Context(), deploy.Options{AllowOutage: true})
	if fault.CodeOf(err) != fault.Pending || len(r.Plan.Notices) != 1 || r.Plan.Notices[0] != "shop_db cannot be updated without an outage: 1 replica, stop-first; deploy:swarm needs -allowOutage for it" {
		t.Errorf("%v, %q", err, r.Plan.Notices)
	}
}

func TestPreflight_AStackOfSomebodyElseIsAdoptedOnlyWithConsent(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.By("shop_db", func(tree map[string]any) { delete(tree["Labels"].(map[string]any), docker.LabelStack) })
	_, err := b.run(deploy.Options{AllowOutage: true}, "refused", fault.Invalid)
	b.wantTexts(err, "shop_db: belongs to the stack shop, but keepmum did not deploy it / look at the plan (mage deploy:plan -adopt)")
	b.run(deploy.Options{Adopt: true, AllowOutage: true}, "deployed", 0)
	b.run(deploy.Options{}, "unchanged", 0)
}

func TestPreflight_EnvironmentsThatDisagreeAreAFinding(t *testing.T) {
	b := newBench(t)
	labels := map[string]string{docker.LabelStack: "shop", docker.LabelSecret: "TOKEN", docker.LabelVersion: "9", docker.LabelEnvironment: "production"}
	if _, err := b.sim.CreateSecret(t.Context(), "shop_TOKEN.v9", labels, secrets.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	_, err := b.run(deploy.Options{}, "refused", fault.Invalid)
	b.wantTexts(err, "its versions are of different environments")
}

func TestImages_ArePinnedWhereARegistryAnswers(t *testing.T) {
	b := newBench(t)
	b.edit("shop/api:1", "registry/api:1")
	b.run(deploy.Options{}, "deployed", 0)
	services, _ := b.sim.Services(t.Context())
	if got := services[0].Spec; got.Task.Image != "registry/api:1@sha256:abc" || got.Labels[docker.LabelStackImage] != "registry/api:1" {
		t.Errorf("%s, %v", got.Task.Image, got.Labels)
	}
	if services[1].Spec.Task.Image != "shop/db:1" {
		t.Errorf("%s", services[1].Spec.Task.Image)
	}
}

func TestImages_ThatRunKeepTheirDigestWhileNoRegistryAnswers(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.By("shop_db", func(tree map[string]any) {
		tree["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = "shop/db:1@sha256:def"
	})
	b.run(deploy.Options{}, "unchanged", 0)
}

func TestLogs_AreShownOnlyWhereEveryValueIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]string
		show   bool
		want   string
	}{
		"none is known":      {nil, false, "shop_api: log withheld: the value of shop_LOGIN.v1, shop_TOKEN.v1 is not known here"},
		"one is known":       {map[string]string{"TOKEN": "TOKEN-value-1"}, false, "shop_api: log withheld: the value of shop_LOGIN.v1 is not known here"},
		"one is an old one":  {map[string]string{"TOKEN": "TOKEN-value-0", "LOGIN": "LOGIN-value-1"}, false, "shop_api: log withheld: the value of shop_TOKEN.v1 is"},
		"both are known":     {map[string]string{"TOKEN": "TOKEN-value-1", "LOGIN": "LOGIN-value-1"}, false, "shop_api | token ‹TOKEN› and registry ‹registry›"},
		"shown all the same": {nil, true, "shop_api | token TOKEN-value-1 and registry ‹registry›"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.sim.Images["shop/api:1"], b.sim.Logs = "crash", "token TOKEN-value-1 and registry registry-password\n"
			b.sim.Login = []secrets.Known{{Name: "registry", Value: secrets.New([]byte("registry-password"))}}
			b.values = c.values
			b.run(deploy.Options{From: "dir", ShowLogs: c.show}, "rolled back", fault.RolledBack)
			if !strings.Contains(b.Said.String(), c.want) {
				t.Errorf("want %q:\n%s", c.want, b.Said.String())
			}
			if !c.show && strings.Contains(b.Said.String(), "-value-1") {
				t.Error("a value was shown")
			}
		})
	}
}

// What is too short to be masked is as good as not known.
func TestLogs_AreWithheldIfAValueCannotBeMasked(t *testing.T) {
	b := newBench(t)
	b.versionOf("TOKEN", 2, "abc")
	b.sim.Images["shop/api:1"], b.sim.Logs = "crash", "token abc\n"
	b.values = map[string]string{"TOKEN": "abc", "LOGIN": "LOGIN-value-1"}
	b.run(deploy.Options{From: "dir"}, "rolled back", fault.RolledBack)
	if said := b.Said.String(); !strings.Contains(said, "log withheld: the value of shop_TOKEN.v2 is not known here") || strings.Contains(said, "abc") {
		t.Error(said)
	}
}

func TestSwarm_OneShotsEndAsDone(t *testing.T) {
	b := newBench(t)
	b.edit("    healthcheck: *health\n    deploy: {placement: {constraints: [node.role == manager]}}", "    deploy: {restart_policy: {condition: on-failure}}")
	b.sim.Images["shop/db:1"] = "done"
	r, _ := b.run(deploy.Options{}, "deployed", 0)
	if r.Services[1].State != "done" {
		t.Errorf("%+v", r.Services[1])
	}
	b.run(deploy.Options{}, "unchanged", 0)
}

func TestSwarm_WithoutAStacksNameIsAUsageError(t *testing.T) {
	b := newBench(t)
	b.stack = ""
	b.run(deploy.Options{}, "deployed", 0) // name: of docker-compose.yml
	b.Put("docker-compose.yml", strings.TrimPrefix(opstest.ComposeFile, "name: shop\n"))
	b.run(deploy.Options{}, "refused", fault.Usage)
	b.stack = "Shop"
	b.run(deploy.Options{}, "refused", fault.Usage)
}

func TestSwarm_APastDeadlineIsAUsageError(t *testing.T) {
	newBench(t).run(deploy.Options{Timeout: -time.Second}, "refused", fault.Usage)
}

func TestRendered_NamesTheNewestVersions(t *testing.T) {
	b := newBench(t)
	b.version("TOKEN", 2)
	file, err := b.deploy().Rendered(t.Context())
	if err != nil || string(file) != "map[LOGIN:shop_LOGIN.v1 TOKEN:shop_TOKEN.v2] map[]" {
		t.Errorf("%s, %v", file, err)
	}
}

func TestSwarm_RefusesASourceThatCannotBeReadBeforeItConnects(t *testing.T) {
	b := newBench(t)
	d := b.deploy()
	d.Connect = func(context.Context) (deploy.Swarm, error) {
		t.Error("connected")
		return deploy.Swarm{}, nil
	}
	result, err := d.Swarm(t.Context(), deploy.Options{From: "nowhere"})
	if fault.CodeOf(err) != fault.Invalid || result.Outcome != "refused" || !strings.Contains(err.Error(), "nowhere does not exist") {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestPlan_NamesTheCommandThatDeploysIt(t *testing.T) {
	b := newBench(t)
	for want, o := range map[string]deploy.Options{
		"mage deploy:swarm":                         {},
		"mage deploy:swarm -adopt":                  {Adopt: true},
		"mage deploy:swarm -from=dir -adopt -prune": {From: "dir", Adopt: true, Prune: true},
	} {
		_, err := b.deploy().Plan(t.Context(), o)
		var said *fault.Error
		if !errors.As(err, &said) || said.Code != fault.Pending || said.Next != want {
			t.Errorf("%v, want the next command %q", err, want)
		}
	}
}

// What the reader of the file finds does not hide what no Swarm can do.
func TestPlan_SaysAllThatIsWrongWithAFileAtOnce(t *testing.T) {
	b := newBench(t)
	b.edit("    secrets: [LOGIN]\n", "    secrets: [LOGIN]\n    command: a && b\n    shm_size: 1g\n")
	_, err := b.deploy().Plan(t.Context(), deploy.Options{})
	if said := strings.Join(texts(t, err), "; "); fault.CodeOf(err) != fault.Invalid || !strings.Contains(said, "unquoted &") || !strings.Contains(said, "shm_size is not possible in a Swarm") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestRendered_NamesTheFileOfItsFindings(t *testing.T) {
	b := newBench(t)
	b.stack = "other" // has no versions
	_, err := b.deploy().Rendered(t.Context())
	if said := texts(t, err); len(said) != 2 || !strings.HasPrefix(said[0], "docker-compose.swarm.yml:") || !strings.Contains(said[0], "has no version in the Swarm") {
		t.Errorf("%v: %q", err, said)
	}
}

func TestSwarm_ThatChangesNothingTakesNoLock(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	before := len(b.sim.Calls("CreateConfig"))
	b.run(deploy.Options{}, "unchanged", 0)
	if made := b.sim.Calls("CreateConfig")[before:]; len(made) > 0 {
		t.Errorf("it looked, and made %q", made)
	}
}

func TestSwarm_ThatChangesNothingWaitsForSomebodyElsesLock(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	if _, err := b.sim.CreateConfig(t.Context(), "shop_keepmum.lock", map[string]string{docker.LabelLock: "theirs"}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks := 0
	b.sim.Swarm.Fail = func(_ context.Context, call string) error {
		if call == "Configs" {
			looks++
		}
		if looks > 1 { // the first one is that of the plan
			cancel()
		}
		return nil
	}
	result, err := b.deploy().Swarm(ctx, deploy.Options{})
	if result.Outcome != "refused" || fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("%s: %v", result.Outcome, err)
	}
}

func TestSwarm_ThatChangesNothingPlansAgainIfSomebodyElseDoes(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Fail("shop_db") // it takes more than one look until its next task runs
	once := false
	b.sim.Looked = func() {
		if !once {
			once = true
			b.sim.By("shop_api", func(tree map[string]any) {
				tree["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = "shop/api:9"
			})
		}
	}
	b.run(deploy.Options{}, "deployed", 0)
	b.want(b.images(), "shop/api:1", "shop/db:1")
}

func TestSwarm_ThatChangesNothingSaysIfItDoesNotRun(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Images["shop/db:1"] = "crash"
	b.sim.Fail("shop_db")
	before := len(b.sim.Calls("CreateConfig"))
	_, err := b.run(deploy.Options{}, "refused", fault.Incomplete)
	b.wantTexts(err, "shop_db: crash")
	if made := b.sim.Calls("CreateConfig")[before:]; len(made) > 0 {
		t.Errorf("it looked, and made %q", made)
	}
}

func TestSwarm_WithoutARegistryKeepsTheDigestOfTheSameImageOnly(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	image := func(service, image string) {
		b.sim.By(service, func(tree map[string]any) {
			tree["TaskTemplate"].(map[string]any)["ContainerSpec"].(map[string]any)["Image"] = image
		})
	}
	image("shop_api", "shop/api:9")            // by hand: the label still names the one of the file
	image("shop_db", "shop/db:1@sha256:abcde") // pinned while a registry answered
	b.run(deploy.Options{AllowOutage: true}, "deployed", 0)
	b.want(b.images(), "shop/api:1", "shop/db:1@sha256:abcde")
}

func TestSwarm_KnowsTheHostNetworkAgain(t *testing.T) {
	b := newBench(t)
	b.Put("docker-compose.swarm.yml", strings.Replace(swarmFile, "    image: shop/db:1\n", "    image: shop/db:1\n    networks: [outer]\n", 1)+"networks: {outer: {external: true, name: host}}\n")
	b.run(deploy.Options{}, "deployed", 0)
	services, _ := b.sim.Services(t.Context())
	if i := slices.IndexFunc(services, func(s docker.Service) bool { return s.Spec.Name == "shop_db" }); !slices.Equal(services[i].Spec.Task.Networks, []string{"host-of-swarm"}) {
		t.Fatalf("%q", services[i].Spec.Task.Networks)
	}
	b.run(deploy.Options{}, "unchanged", 0)
}
