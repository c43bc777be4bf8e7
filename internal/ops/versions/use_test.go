package versions_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/versions"
)

// grant is a reference to a secret of the Swarm by its name.
func (w *world) grant(name, target string) docker.Reference {
	w.T.Helper()
	all, err := w.swarm.Secrets(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	for _, one := range all {
		if one.Name == name {
			return docker.Reference{ID: one.ID, Name: name, Target: target, UID: "0", GID: "10", Mode: 0o440}
		}
	}
	w.T.Fatalf("there is no secret %s", name)
	return docker.Reference{}
}

// running adds a service, and tasks on nodes with the grants that each has.
func (w *world) running(name string, labels map[string]string, grants []docker.Reference, tasks ...docker.Task) *docker.Service {
	id := "id of " + name
	w.swarm.Running = append(w.swarm.Running, docker.Service{ID: id, Spec: docker.ServiceSpec{Name: name, Labels: labels, Task: docker.TaskSpec{Secrets: grants}}})
	for _, task := range tasks {
		task.ServiceID = id
		w.swarm.Works = append(w.swarm.Works, task)
	}
	return &w.swarm.Running[len(w.swarm.Running)-1]
}

// task is a task in a state on a node.
func task(node, state string, grants ...docker.Reference) docker.Task {
	return docker.Task{NodeID: node, State: state, Spec: docker.TaskSpec{Secrets: grants}}
}

// busy is a world with three versions of TOKEN, two stacks and three nodes, in
// the middle of an update of shop_api from v1 to v2.
func busy(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.done(prod())
	for _, value := range []string{opstest.OtherValue, opstest.TokenValue} {
		w.Value("prod/TOKEN", value)
		w.done(prod())
	}
	w.swarm.Members = []docker.Node{{ID: "n1", Hostname: "alpha"}, {ID: "n2", Hostname: "beta"}}
	v1, v2, login := w.grant("shop_TOKEN.v1", "TOKEN"), w.grant("shop_TOKEN.v2", "TOKEN"), w.grant("shop_LOGIN.v1", "login.txt")
	api := w.running("shop_api", map[string]string{docker.LabelStack: "shop"}, []docker.Reference{v2, login},
		task("n1", "running", v2, login), task("n2", "running", v1, login), task("n2", "running", v1, login), task("n1", "shutdown", v1, login), task("n3", "starting", v2, login))
	api.Previous = &docker.ServiceSpec{Task: docker.TaskSpec{Secrets: []docker.Reference{v1, login}}}
	w.running("billing_web", map[string]string{docker.LabelNamespace: "billing"}, []docker.Reference{w.grant("shop_TOKEN.v2", "SHOP_TOKEN"), w.grant("shop_TOKEN.v2", "AGAIN")}, task("n9", "running", w.grant("shop_TOKEN.v2", "SHOP_TOKEN")))
	w.running("alone", nil, nil, task("n1", "running"))
	return w
}

func TestWhere_NamesEveryUseByVersion(t *testing.T) {
	w := busy(t)
	result, err := w.use().Where(t.Context(), "TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range result.Uses {
		got = append(got, fmt.Sprintf("%s %s/%s %s wanted=%v running=%d %v", row.Version, row.Stack, row.Service, row.Target, row.Wanted, row.Running, row.Nodes))
	}
	w.equal("uses", got,
		"shop_TOKEN.v3 /  wanted=false running=0 []",
		"shop_TOKEN.v2 billing/billing_web AGAIN wanted=true running=0 []",
		"shop_TOKEN.v2 billing/billing_web SHOP_TOKEN wanted=true running=1 [n9]",
		"shop_TOKEN.v2 shop/shop_api TOKEN wanted=true running=1 [alpha]",
		"shop_TOKEN.v1 shop/shop_api TOKEN wanted=false running=2 [beta]")
	if result.Environment != "production" || result.Name != "TOKEN" {
		t.Errorf("%+v", result)
	}
	if n := len(w.swarm.Calls("Tasks")) + len(w.swarm.Calls("Services")) + len(w.swarm.Calls("Nodes")); n != 3 {
		t.Errorf("%d calls", n)
	}
}

// A service that went on to another version, and whose old task still runs, is
// found by the specification that it had before.
func TestWhere_FindsTasksOfTheSpecificationBefore(t *testing.T) {
	w := busy(t)
	w.swarm.Running[0].Spec.Task.Secrets = nil
	result, err := w.use().Where(t.Context(), "TOKEN")
	if err != nil || len(result.Uses) != 5 {
		t.Fatalf("%+v, %v", result.Uses, err)
	}
	if last := result.Uses[4]; last.Version != "shop_TOKEN.v1" || last.Running != 2 || last.Wanted {
		t.Errorf("%+v", last)
	}
}

func TestWhere_NeedsASecretThatHasVersions(t *testing.T) {
	w := busy(t)
	_, err := w.use().Where(t.Context(), "NOWHERE")
	w.want(err, fault.Invalid, "stack shop has no version of NOWHERE in this Swarm", "mage secrets:toSwarm")
	_, err = w.use().History(t.Context(), opstest.TokenValue+"!")
	w.want(err, fault.Usage, "that is not the name of a secret")
	w.silent(nil, err)
	w.config.Stack = "billing"
	_, err = w.use().Where(t.Context(), "TOKEN")
	w.want(err, fault.Invalid, "stack billing has no version of TOKEN")
	closed := w.closed
	if _, _ = w.use().Where(t.Context(), "TOKEN"); w.closed != closed+1 {
		t.Error("the connection stays open")
	}
}

// With a stack's name no compose file is needed.
func TestWhere_NeedsNoComposeFileIfTheStackIsNamed(t *testing.T) {
	w := busy(t)
	w.remove("docker-compose.yml")
	_, err := w.use().Where(t.Context(), "TOKEN")
	w.want(err, fault.Invalid, "no compose file here")
	w.config.Stack = "shop"
	if result, err := w.use().Where(t.Context(), "TOKEN"); err != nil || len(result.Uses) != 5 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestWhereService_ShowsWhatAServiceIsGranted(t *testing.T) {
	w := busy(t)
	if _, err := w.swarm.CreateSecret(t.Context(), "certificate", nil, w.value()); err != nil {
		t.Fatal(err)
	}
	w.swarm.Running[0].Spec.Task.Secrets = append(w.swarm.Running[0].Spec.Task.Secrets, w.grant("certificate", "cert.pem"))
	for _, name := range []string{"api", "shop_api"} {
		result, err := w.use().WhereService(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range result.Grants {
			got = append(got, fmt.Sprintf("%s %s %s newest=%s %s:%s %s wanted=%v running=%d %v", row.Target, row.Version, row.Secret, row.Newest, row.UID, row.GID, row.Mode, row.Wanted, row.Running, row.Nodes))
		}
		w.equal(name, got,
			"TOKEN shop_TOKEN.v2 TOKEN newest=shop_TOKEN.v3 0:10 0440 wanted=true running=1 [alpha]",
			"TOKEN shop_TOKEN.v1 TOKEN newest=shop_TOKEN.v3 0:10 0440 wanted=false running=2 [beta]",
			"cert.pem certificate  newest= 0:10 0440 wanted=true running=0 []",
			"login.txt shop_LOGIN.v1 LOGIN newest=shop_LOGIN.v1 0:10 0440 wanted=true running=3 [alpha beta]")
		if result.Service != "shop_api" {
			t.Errorf("%q", result.Service)
		}
	}
	// a service of another stack, by its name in the Swarm
	result, err := w.use().WhereService(t.Context(), "billing_web")
	if err != nil || len(result.Grants) != 2 || result.Grants[0].Secret != "TOKEN" {
		t.Errorf("%+v, %v", result, err)
	}
	if result, err := w.use().WhereService(t.Context(), "alone"); err != nil || len(result.Grants) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	_, err = w.use().WhereService(t.Context(), "apx")
	w.want(err, fault.Invalid, "stack shop has no service apx in this Swarm", "name one of api")
	w.swarm.Running = nil
	_, err = w.use().WhereService(t.Context(), "api")
	w.want(err, fault.Invalid, "no service api", "docker service ls")
}

func TestHistory_ShowsTheNewestFirst(t *testing.T) {
	w := busy(t)
	o := prod()
	o.Reason = "audit 7"
	w.Value("prod/TOKEN", opstest.OtherValue)
	w.done(o)
	result, err := w.use().History(t.Context(), "TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range result.Versions {
		if time.Since(row.Created) > time.Hour {
			t.Errorf("%s was made at %s", row.Name, row.Created)
		}
		got = append(got, fmt.Sprintf("%s %d %s %s %q %v", row.Name, row.Number, row.By, row.Environment, row.Reason, row.Services))
	}
	w.equal("versions", got,
		`shop_TOKEN.v4 4 anna@here production "audit 7" []`,
		`shop_TOKEN.v3 3 anna@here production "" []`,
		`shop_TOKEN.v2 2 anna@here production "" [billing_web shop_api]`,
		`shop_TOKEN.v1 1 anna@here production "" [shop_api]`)
	w.silent(result, nil)
	_, err = w.use().History(t.Context(), "NOWHERE")
	w.want(err, fault.Invalid, "no version of NOWHERE")
}

func TestAge_FindsWhatIsOverdue(t *testing.T) {
	w := newWorld(t)
	made := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	w.swarm.Clock = func() time.Time { return made }
	w.config.Now = func() time.Time { return made }
	result, err := w.use().Age(t.Context())
	if err != nil || len(result.Secrets) != 1 || result.Secrets[0].Name != "LOGIN" || result.Secrets[0].RotateEvery != "90d" || result.Secrets[0].Created != nil || result.Secrets[0].Overdue {
		t.Errorf("without a version: %+v, %v", result, err)
	}
	w.done(prod())
	due := made.Add(90 * 24 * time.Hour)
	for _, test := range []struct {
		now     time.Time
		overdue bool
	}{{made, false}, {due.Add(-time.Second), false}, {due, true}, {due.Add(time.Hour), true}} {
		w.config.Now = func() time.Time { return test.now }
		result, err := w.use().Age(t.Context())
		if row := result.Secrets[0]; row.Overdue != test.overdue || !row.Created.Equal(made) || !row.Due.Equal(due) || row.Version != "shop_LOGIN.v1" {
			t.Errorf("at %s: %+v", test.now, row)
		}
		if test.overdue {
			w.want(err, fault.Invalid, "1 secret overdue", "LOGIN: shop_LOGIN.v1 is due since 2026-04-01", "mage secrets:toSwarm -from=DIR")
		} else if err != nil {
			t.Errorf("at %s: %v", test.now, err)
		}
	}
	w.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "rotate_every: 90d", "rotate_every: 36h", 1))
	if result, _ := w.use().Age(t.Context()); result.Secrets[0].RotateEvery != "36h" {
		t.Errorf("%+v", result.Secrets[0])
	}
	w.remove("docker-compose.yml")
	_, err = w.use().Age(t.Context())
	w.want(err, fault.Invalid, "no compose file")
}

func TestQuestions_ReturnWhatTheEngineSays(t *testing.T) {
	w := busy(t)
	gone := &fault.Error{Code: fault.NoEngine, What: "no engine", Next: "x"}
	for _, call := range []string{"Manager", "Secrets", "Services", "Tasks", "Nodes"} {
		w.swarm.Fail = func(_ context.Context, got string) error {
			if got == call {
				return gone
			}
			return nil
		}
		_, where := w.use().Where(t.Context(), "TOKEN")
		_, service := w.use().WhereService(t.Context(), "api")
		_, history := w.use().History(t.Context(), "TOKEN")
		for _, err := range []error{where, service, history} {
			w.want(err, fault.NoEngine, "no engine")
		}
	}
	w.swarm.Fail = nil
	w.config.Connect = func(context.Context) (c versions.Connection, err error) { return c, gone }
	_, err := w.use().Age(t.Context())
	w.want(err, fault.NoEngine, "no engine")
}
