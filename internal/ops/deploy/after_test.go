package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/deploy"
)

// images are the images of the stack's services, in order.
func (b *bench) images() []string {
	b.T.Helper()
	services, err := b.sim.Services(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	var all []string
	for _, s := range services {
		all = append(all, s.Spec.Task.Image)
	}
	return all
}

func TestRollback_UndoesTheLastOperationAlone(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/db:1", "shop/db:2")
	b.run(deploy.Options{AllowOutage: true}, "deployed", 0)
	b.edit("shop/db:1", "shop/db:2", "shop/api:1", "shop/api:2")
	b.run(deploy.Options{}, "deployed", 0)
	b.want(b.images(), "shop/api:2", "shop/db:2")

	r, err := b.deploy().Rollback(t.Context(), deploy.Options{Reason: "why", DryRun: true})
	if err != nil || r.Outcome != "planned" || len(r.Plan.Steps) != 1 || r.Plan.Steps[0].Changes[0].String() != "image: shop/api:2 -> shop/api:1" {
		t.Errorf("%+v, %v", r.Plan, err)
	}
	b.want(b.images(), "shop/api:2", "shop/db:2")
	if r, err = b.deploy().Rollback(t.Context(), deploy.Options{Reason: "why"}); err != nil || r.Outcome != "deployed" {
		t.Fatalf("%s, %v", r.Outcome, err)
	}
	b.want(b.images(), "shop/api:1", "shop/db:2") // the database was not part of it
	if r, err = b.deploy().Rollback(t.Context(), deploy.Options{}); err != nil {
		t.Fatal(err)
	}
	b.want(b.images(), "shop/api:2", "shop/db:2")
	b.want(recordOf(b)[:2], "rollback deployed", "rollback begun")
}

func TestRollback_WorksAfterARunThatWasKilled(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
	b.killedAt("update shop_api")
	b.want(b.images(), "shop/api:1", "shop/db:2")
	b.want(recordOf(b)[:1], "deploy begun")
	if _, err := b.deploy().Rollback(t.Context(), deploy.Options{}); err != nil {
		t.Fatal(err)
	}
	b.want(b.images(), "shop/api:1", "shop/db:1")
}

func TestRollback_LeavesWhatTheLastOperationDidNotReach(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2", "shop/db:1", "shop/db:2")
	b.run(deploy.Options{AllowOutage: true}, "deployed", 0) // both have a previous specification
	b.edit("shop/api:1", "shop/api:3", "shop/db:1", "shop/db:3")
	b.killedAt("update shop_api")
	b.want(b.images(), "shop/api:2", "shop/db:3")
	r, err := b.deploy().Rollback(t.Context(), deploy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.want(b.images(), "shop/api:2", "shop/db:2")
	b.want(r.Plan.Unchanged, "shop_api")
}

func TestRollback_ASignalNamesTheCommandThatGoesOn(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.run(deploy.Options{}, "deployed", 0)
	ctx, cancel := context.WithCancel(t.Context())
	b.sim.Before = func(call string) error {
		if strings.HasPrefix(call, "update shop_api") {
			cancel()
		}
		return nil
	}
	_, err := b.deploy().Rollback(ctx, deploy.Options{})
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Interrupted || e.Next != "mage deploy:swarm goes on, mage deploy:rollback shop undoes it" {
		t.Errorf("%v, next: %+v", err, e)
	}
}

func TestRollback_AfterOneThatFailedDoesNotBringTheFailureBack(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.sim.Images["shop/api:2"] = "crash"
	b.run(deploy.Options{}, "rolled back", fault.RolledBack)
	r, err := b.deploy().Rollback(t.Context(), deploy.Options{})
	if err != nil || len(r.Plan.Steps) != 0 {
		t.Errorf("%+v, %v", r.Plan, err)
	}
	b.want(b.images(), "shop/api:1", "shop/db:1")
	b.want(r.Plan.Notices, "shop_api is as it was before the last operation")
}

func TestRollback_IsRefusedIfSomebodyElseChangedTheServiceSince(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.By("shop_api", func(tree map[string]any) { tree["Labels"].(map[string]any)["changed"] = "by somebody" })
	changes := b.since(func() {
		_, err := b.deploy().Rollback(t.Context(), deploy.Options{})
		if fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		b.wantTexts(err, "shop_api: was changed by somebody else after the last operation: the specification before that is lost")
	})
	b.want(changes)
}

// killedAt runs a deployment that is killed right before a call that begins so.
// Its lock is removed, for a test does not wait until it is stale.
func (b *bench) killedAt(call string) {
	b.T.Helper()
	b.sim.Before = func(made string) error {
		if strings.HasPrefix(made, call) {
			panic("killed")
		}
		return nil
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = b.deploy().Swarm(b.T.Context(), deploy.Options{AllowOutage: true})
	}()
	b.sim.Before = nil
	b.unlock()
}

// unlock removes the lock of a run that was killed, for which a test does not
// wait.
func (b *bench) unlock() {
	b.T.Helper()
	configs, _ := b.sim.Configs(b.T.Context())
	for _, c := range configs {
		if strings.HasSuffix(c.Name, ".lock") {
			if err := b.sim.RemoveConfig(b.T.Context(), c.ID); err != nil {
				b.T.Fatal(err)
			}
		}
	}
}

func TestRollback_NeedsTheVersionsOfThen(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.version("TOKEN", 2)
	b.run(deploy.Options{}, "deployed", 0)
	secrets, _ := b.sim.Secrets(t.Context())
	for _, s := range secrets {
		if s.Name == "shop_TOKEN.v1" {
			if err := b.sim.RemoveSecret(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	changes := b.since(func() {
		_, err := b.deploy().Rollback(t.Context(), deploy.Options{})
		if fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		b.wantTexts(err, "shop_api: used shop_TOKEN.v1 before, which is not in the Swarm any more")
	})
	b.want(changes)
}

func TestRollback_OfAFirstDeploymentHasNothingToGoBackTo(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	r, err := b.deploy().Rollback(t.Context(), deploy.Options{})
	if err != nil || r.Outcome != "unchanged" || len(r.Plan.Notices) != 2 || !strings.Contains(r.Plan.Notices[0], "shop_api has nothing to go back to") {
		t.Errorf("%s %q, %v", r.Outcome, r.Plan.Notices, err)
	}
}

func TestRollback_OfNoStackOrAStrangersIsRefused(t *testing.T) {
	b := newBench(t)
	_, err := b.deploy().Rollback(t.Context(), deploy.Options{})
	if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "the stack shop has no services in this Swarm") {
		t.Error(err)
	}
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.By("shop_db", func(tree map[string]any) { delete(tree["Labels"].(map[string]any), docker.LabelStack) })
	if _, err = b.deploy().Rollback(t.Context(), deploy.Options{}); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "keepmum did not deploy the stack shop") {
		t.Error(err)
	}
}

func TestStatus_SaysWhatRunsAndWhatDiffers(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	r, err := b.deploy().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range r.Services {
		got = append(got, fmt.Sprint(s.Service, " ", s.Image, " ", s.Ready, "/", s.Want, " ", s.Versions, " ", s.Nodes))
	}
	b.want(got, "shop_api shop/api:1 2/2 [shop_LOGIN.v1 shop_TOKEN.v1] [one]", "shop_db shop/db:1 1/1 [shop_LOGIN.v1] [one]")
	b.want(r.Drift, "update service shop_api; image: shop/api:1 -> shop/api:2")
	if r.Last == nil || r.Last.Outcome != "deployed" || r.Last.By != "ana@host" {
		t.Errorf("last %+v", r.Last)
	}
}

func TestStatus_TakesTheStacksNameFromTheComposeFile(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.stack = ""
	b.Put("docker-compose.yml", "name: shop\nservices: {api: {image: shop/api}}\n")
	if r, err := b.deploy().Status(t.Context()); err != nil || r.Stack != "shop" || len(r.Services) != 2 {
		t.Errorf("%q with %d services, %v", r.Stack, len(r.Services), err)
	}
	if _, err := b.deploy().Rollback(t.Context(), deploy.Options{}); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a rollback names its stack: %v", err)
	}
}

func TestStatus_ExitsWith1IfSomethingDoesNotRun(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Images["shop/db:1"] = "crash"
	b.sim.Fail("shop_db")
	r, err := b.deploy().Status(t.Context())
	if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "shop_db 0/1 running") || len(r.Services) != 2 {
		t.Errorf("%+v, %v", r.Services, err)
	}
}

func TestRemove_TakesTheStackAndLeavesVersionsAndRecord(t *testing.T) {
	b := newBench(t)
	b.edit("secrets:\n  TOKEN", "configs: {site: {content: x}}\nsecrets:\n  TOKEN", "    depends_on: [db]", "    configs: [site]")
	b.run(deploy.Options{}, "deployed", 0)
	dry, err := b.deploy().Remove(t.Context(), deploy.RemoveOptions{DryRun: true})
	if err != nil || len(b.images()) != 2 {
		t.Fatal(err)
	}
	inUse := 2
	b.sim.Before = func(call string) error {
		if call == "remove network" && inUse > 0 {
			inUse--
			return &fault.Error{Code: fault.Failed, What: "in use", Cause: docker.ErrInUse}
		}
		return nil
	}
	changes := b.since(func() {
		r, err := b.deploy().Remove(t.Context(), deploy.RemoveOptions{Volumes: []string{"shop_data"}})
		if err != nil {
			t.Fatal(err)
		}
		for name, lists := range map[string][2][]string{
			"services": {r.Services, {"shop_api", "shop_db"}}, "networks": {r.Networks, {"shop_default"}}, "configs": {r.Configs, {"shop_site.v1"}},
			"volumes": {r.Volumes, {"shop_data"}}, "stay": {r.Stay, {"shop_LOGIN.v1", "shop_TOKEN.v1"}}, "dry run": {dry.Services, r.Services},
		} {
			if !slices.Equal(lists[0], lists[1]) {
				t.Errorf("%s: %q, want %q", name, lists[0], lists[1])
			}
		}
	})
	b.want(changes, "remove shop_api", "remove shop_db", "remove network", "remove network", "remove network", "remove volume shop_data")
	if secrets, _ := b.sim.Secrets(t.Context()); len(secrets) != 2 {
		t.Errorf("%d versions", len(secrets))
	}
	b.want(recordOf(b)[:1], "remove removed")
	b.sim.Before = nil
	b.run(deploy.Options{}, "deployed", 0)
}

func TestRemove_NeverSaysRemovedOfWhatStays(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Before = func(call string) error {
		if call == "remove shop_db" {
			return errors.New("no")
		}
		return nil
	}
	_, err := b.deploy().Remove(t.Context(), deploy.RemoveOptions{})
	if fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "not all of shop is gone: no") {
		t.Error(err)
	}
	b.want(b.images(), "shop/db:1") // the other went all the same
}

func TestAttach_TakesNoStackButTheOneThatIsNamed(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.stack = "" // name: of docker-compose.yml is shop all the same
	if r, err := b.deploy().Status(t.Context()); err != nil || r.Stack != "shop" {
		t.Errorf("status of %q: %v", r.Stack, err)
	}
	b.want(b.since(func() {
		if _, err := b.deploy().Remove(t.Context(), deploy.RemoveOptions{}); fault.CodeOf(err) != fault.Usage {
			t.Errorf("remove: %v", err)
		}
		if _, err := b.deploy().Rollback(t.Context(), deploy.Options{}); fault.CodeOf(err) != fault.Usage {
			t.Errorf("rollback: %v", err)
		}
	}))
}

func TestRollback_APastDeadlineIsAUsageError(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	if _, err := b.deploy().Rollback(t.Context(), deploy.Options{Timeout: -1}); fault.CodeOf(err) != fault.Usage {
		t.Error(err)
	}
}

func TestRollback_ThatFailsSaysWhyWithoutAFile(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.edit("shop/api:1", "shop/api:2")
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Images["shop/api:1"] = "pull"
	r, err := b.deploy().Rollback(t.Context(), deploy.Options{})
	if r.Outcome != "rolled back" || fault.CodeOf(err) != fault.RolledBack {
		t.Fatalf("%s: %v", r.Outcome, err)
	}
	b.wantTexts(err, "shop_api: pull: No such image: shop/api:1")
	b.want(b.images(), "shop/api:2", "shop/db:1")
}

func TestStatus_DoesNotTakeACrashLoopForRunning(t *testing.T) {
	b := newBench(t)
	b.edit("    healthcheck: *health\n    deploy: {placement", "    deploy: {placement")
	b.run(deploy.Options{}, "deployed", 0)
	if _, err := b.deploy().Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sim.Fail("shop_db") // another task runs in its place, and fails when it has run for a moment
	b.sim.Looked = func() { b.sim.FailRunning("shop_db") }
	_, err := b.deploy().Status(t.Context())
	if fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "shop_db 0/1 running") {
		t.Error(err)
	}
}

func TestStatus_SaysThatADifferenceIsNotKnown(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	connected := b.connected
	b.edit("shop/api:1", "nowhere/api:1")
	r, err := b.deploy().Status(t.Context())
	if err != nil || len(r.Drift) > 0 || !strings.Contains(b.Said.String(), "what differs from the file is not known: shop cannot be deployed: 1 problem") {
		t.Errorf("%v, %q\n%s", err, r.Drift, b.Said.String())
	}
	if b.connected != connected+1 {
		t.Errorf("connected %d times", b.connected-connected)
	}
}

func TestRemove_NamesOnlyWhatIsGone(t *testing.T) {
	b := newBench(t)
	b.run(deploy.Options{}, "deployed", 0)
	b.sim.Before = func(call string) error {
		if call == "remove shop_db" || call == "remove volume held" {
			return errors.New("no")
		}
		return nil
	}
	r, err := b.deploy().Remove(t.Context(), deploy.RemoveOptions{Volumes: []string{"held", "free"}})
	if err == nil || !slices.Equal(r.Services, []string{"shop_api"}) || !slices.Equal(r.Volumes, []string{"free"}) || !slices.Equal(r.Networks, []string{"shop_default"}) {
		t.Errorf("%v: services %q, volumes %q, networks %q", err, r.Services, r.Volumes, r.Networks)
	}
}
