package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

const swarmFile = `services:
  api:
    image: shop/api:1
    secrets: [TOKEN, LOGIN]
secrets:
  TOKEN: {external: true}
  LOGIN: {external: true}
`

// text and yes are flags that are given.
func text(s string) *string { return &s }
func yes() *bool            { given := true; return &given }

// flags are those that every target over a Swarm has.
type flags struct {
	stack, file, context *string
	timeout              *time.Duration
	json                 *bool
}

// overFile are the targets that read the Swarm file.
var overFile = map[string]func(context.Context, flags) error{
	"plan": func(ctx context.Context, f flags) error {
		return Deploy{}.Plan(ctx, f.stack, f.file, f.context, nil, nil, nil, f.timeout, f.json)
	},
	"swarm": func(ctx context.Context, f flags) error {
		return Deploy{}.Swarm(ctx, f.stack, f.file, f.context, nil, nil, nil, nil, nil, nil, f.timeout, nil, f.json)
	},
	"swarm -dryRun": func(ctx context.Context, f flags) error {
		return Deploy{}.Swarm(ctx, f.stack, f.file, f.context, nil, nil, nil, nil, nil, nil, f.timeout, yes(), f.json)
	},
	"render": func(ctx context.Context, f flags) error {
		return Deploy{}.Render(ctx, f.stack, f.file, f.context)
	},
}

// overStack are the targets that take the stack as a positional.
var overStack = map[string]func(context.Context, string, flags) error{
	"rollback": func(ctx context.Context, stack string, f flags) error {
		return Deploy{}.Rollback(ctx, stack, f.context, nil, nil, f.timeout, nil, f.json)
	},
	"remove": func(ctx context.Context, stack string, f flags) error {
		return Deploy{}.Remove(ctx, stack, f.context, nil, nil, nil, f.timeout, nil, f.json)
	},
}

func TestTargets_CheckTheFileFirstAndThenConnect(t *testing.T) {
	for name, target := range overFile {
		t.Run(name, func(t *testing.T) {
			targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile, "docker-compose.swarm.yml": swarmFile,
				"twice.yml": "name: shop\nservices:\n  api: {image: a, secrets: [NOWHERE]}\n"})
			call := func(f flags) targettest.Result {
				return targettest.Run(t, "", func(ctx context.Context) error { return target(ctx, f) })
			}
			call(flags{}).Want(t, 4, "no engine listens")
			call(flags{file: text("nowhere.yml")}).Want(t, 3, "nowhere.yml")
			call(flags{file: text("twice.yml")}).Want(t, 3, "2 findings", "twice.yml:1", "twice.yml:3", "NOWHERE", "next: fix it, then mage deploy:plan -file=twice.yml\n")
			call(flags{stack: text("Shop")}).Want(t, 2, "Shop cannot be a stack's name")
			t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
			call(flags{context: text("nowhere")}).Want(t, 4, "the docker context nowhere does not exist") // it wins over DOCKER_HOST
			t.Setenv("KEEPMUM_SWARM_FILE", "twice.yml")
			call(flags{}).Want(t, 3, "twice.yml:1")
			call(flags{file: text("docker-compose.swarm.yml")}).Want(t, 4, "refuses the connection") // -file wins
			t.Setenv("KEEPMUM_STACK", "Other")
			call(flags{file: text("docker-compose.swarm.yml")}).Want(t, 2, "Other cannot be a stack's name")
			call(flags{file: text("docker-compose.swarm.yml"), stack: text("shop")}).Want(t, 4) // -stack wins
		})
	}
}

func TestTargets_TakeAStackAsAPositional(t *testing.T) {
	for name, target := range overStack {
		t.Run(name, func(t *testing.T) {
			targettest.Dir(t, nil)
			call := func(stack string, f flags) targettest.Result {
				return targettest.Run(t, "", func(ctx context.Context) error { return target(ctx, stack, f) })
			}
			call("shop", flags{}).Want(t, 4, "no engine listens")
			call("Shop", flags{}).Want(t, 2, "Shop cannot be a stack's name")
			call("-dryRun", flags{}).Want(t, 2, "a flag stands where a name is expected")
			call("shop", flags{context: text("nowhere")}).Want(t, 4, "the docker context nowhere does not exist")
			call("", flags{}).Want(t, 2)
		})
	}
}

func TestStatus_NeedsNoFile(t *testing.T) {
	targettest.Dir(t, nil)
	status := func(stack *string) targettest.Result {
		return targettest.Run(t, "", func(ctx context.Context) error { return Deploy{}.Status(ctx, stack, nil, nil, nil) })
	}
	status(text("shop")).Want(t, 4, "no engine listens")
	status(text("Shop")).Want(t, 2, "Shop cannot be a stack's name")
}

func TestTargets_ThatChangeAreAloneOnTheCommandLine(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile, "docker-compose.swarm.yml": swarmFile})
	args := os.Args
	t.Cleanup(func() { os.Args = args })
	run := func(line string, target func(context.Context) error) targettest.Result {
		os.Args = append([]string{"keepmum"}, strings.Fields(line)...)
		return targettest.Run(t, "", target)
	}
	swarm := func(ctx context.Context) error { return overFile["swarm"](ctx, flags{}) }
	run("deploy:swarm -allowOutage", swarm).Want(t, 4)
	run("deploy:swarm shop", swarm).Want(t, 2, "must be alone on the command line; nothing was changed")
	run("secrets:list deploy:swarm", swarm).Want(t, 2, "must be alone")
	for name, target := range overStack {
		one := func(ctx context.Context) error { return target(ctx, "shop", flags{}) }
		run("deploy:"+name+" shop -adopt", one).Want(t, 4)
		run("deploy:"+name+" shop other", one).Want(t, 2, "must be alone")
	}
	run("deploy:plan secrets:list", func(ctx context.Context) error { return overFile["plan"](ctx, flags{}) }).Want(t, 4) // it changes nothing
}

func TestTargets_RefuseADeadlineInThePast(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile, "docker-compose.swarm.yml": swarmFile})
	past := -time.Second
	for name, target := range overFile {
		if name != "render" { // it has no deadline to name
			targettest.Run(t, "", func(ctx context.Context) error { return target(ctx, flags{timeout: &past}) }).Want(t, 2)
		}
	}
	for _, target := range overStack {
		targettest.Run(t, "", func(ctx context.Context) error { return target(ctx, "shop", flags{timeout: &past}) }).Want(t, 2)
	}
}

// requireDocument requires one JSON document, with the fields as lists.
func requireDocument(t *testing.T, out string, lists ...string) {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Errorf("%v in %q", err, out)
		return
	}
	for _, name := range lists {
		if _, ok := document[name].([]any); !ok {
			t.Errorf("%s is %v, want a list, in\n%s", name, document[name], out)
		}
	}
}

func TestJSON_IsOneDocumentAlsoBesideAnError(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile, "docker-compose.swarm.yml": swarmFile})
	with := flags{json: yes()}
	for _, name := range []string{"plan", "swarm", "swarm -dryRun"} {
		r := targettest.Run(t, "", func(ctx context.Context) error { return overFile[name](ctx, with) })
		r.Want(t, 4, `"outcome": "refused"`)
		requireDocument(t, r.Out, "services", "kept")
	}
	r := targettest.Run(t, "", func(ctx context.Context) error { return overStack["rollback"](ctx, "shop", with) })
	r.Want(t, 4, `"outcome": "refused"`)
	requireDocument(t, r.Out, "services", "kept")
	r = targettest.Run(t, "", func(ctx context.Context) error { return overStack["remove"](ctx, "shop", with) })
	r.Want(t, 4)
	requireDocument(t, r.Out, "services", "networks", "configs", "volumes", "stay")
	r = targettest.Run(t, "", func(ctx context.Context) error { return Deploy{}.Status(ctx, text("shop"), nil, nil, yes()) })
	r.Want(t, 4)
	requireDocument(t, r.Out, "services", "drift")
	if strings.Contains(r.Out, "null") {
		t.Errorf("a null in\n%s", r.Out)
	}
}

// shown renders a result.
func shown[R any](t *testing.T, show func(*console.Console, R) error, result R) (out, said string) {
	t.Helper()
	var o, e bytes.Buffer
	if err := show(console.New(strings.NewReader(""), &o, &e), result); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String()
}

// requireText requires a text, shown as lines.
func requireText(t *testing.T, got string, lines ...string) {
	t.Helper()
	if want := strings.Join(lines, "\n") + "\n"; got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}

var heading = cluster.Heading{Context: "prod", Host: "ssh://m1", Cluster: "c1", Environment: "production", Stack: "shop"}

// under returns lines under the heading.
func under(lines ...string) []string {
	return append([]string{"context      prod (ssh://m1)", "cluster      c1", "environment  production", "stack        shop", ""}, lines...)
}

func TestShowPlan_SaysEveryStepAndWhatStays(t *testing.T) {
	plan := rollout.Plan{Stack: "shop", Unchanged: []string{"shop_db", "shop_web"}, Extra: []string{"shop_old"}, Notices: []string{"a.yml:3: api: expose has no effect"}, Steps: []rollout.Step{
		{Kind: rollout.CreateNetwork, Name: "shop_default"},
		{Kind: rollout.CreateService, Name: "shop_queue", Wave: 1},
		{Kind: rollout.CreateService, Name: "shop_worker", Wave: 2},
		{Kind: rollout.UpdateService, Name: "shop_api", Wave: 2, Restarts: true, Changes: []rollout.Change{{Field: "image", From: "shop/api:1", To: "shop/api:2"}, {Field: "environment LEVEL changed"}}},
		{Kind: rollout.UpdateService, Name: "shop_edge", Wave: 1, Restarts: true, Changes: []rollout.Change{{Field: "deploy.replicas", From: "2", To: "3"}}},
	}}
	out, said := shown(t, showPlan, deploy.Result{Heading: heading, Plan: plan, Result: execute.Result{Outcome: execute.Planned}})
	requireText(t, out, under(
		"  create network  shop_default",
		"  create service  shop_queue",
		"  create service  shop_worker (in wave 2)",
		"  update service  shop_api (restarts its tasks, in wave 2)",
		"      image: shop/api:1 -> shop/api:2",
		"      environment LEVEL changed",
		"  update service  shop_edge (restarts its tasks)",
		"      deploy.replicas: 2 -> 3",
		"  unchanged       shop_db, shop_web",
		"  not in the file shop_old (deploy:swarm -prune removes them)",
		"  note: a.yml:3: api: expose has no effect")...)
	if said != "" {
		t.Errorf("said %q", said)
	}
	out, _ = shown(t, showPlan, deploy.Result{Heading: heading, Plan: rollout.Plan{Unchanged: []string{"shop_db"}}, Result: execute.Result{Outcome: execute.Unchanged}})
	requireText(t, out, under("nothing to change: 1 service as in the file")...)
	if out, said := shown(t, showPlan, deploy.Result{Result: execute.Result{Outcome: execute.Refused}}); out+said != "" {
		t.Errorf("before there was a plan: %q %q", out, said)
	}
}

func TestShowResult_SaysWhatBecameOfEachService(t *testing.T) {
	services := []execute.Service{
		{Service: "shop_api", Action: "restored", State: "2/2 running", Versions: []string{"shop_LOGIN.v1", "shop_TOKEN.v2"}, Cause: "crash"},
		{Service: "shop_db", Action: "unchanged", State: "1/1 running"},
	}
	table := under(
		"SERVICE   CHANGE     STATE        VERSIONS                     CAUSE",
		"shop_api  restored   2/2 running  shop_LOGIN.v1,shop_TOKEN.v2  crash",
		"shop_db   unchanged  1/1 running  -                            -")
	for outcome, want := range map[execute.Outcome]string{
		"rolled back": "rolled back after 3.8 s",
		"in between":  "in between after 3.8 s",
		"deployed":    "deployed: every task runs the plan, after 3.8 s",
		"unchanged":   "nothing to change: every task runs what the file says",
	} {
		out, said := shown(t, showResult, deploy.Result{Heading: heading, Result: execute.Result{Outcome: outcome, Services: services}, Seconds: 3.82})
		requireText(t, out, table...)
		requireText(t, said, want)
	}
	step := rollout.Plan{Steps: []rollout.Step{{Kind: rollout.CreateService, Name: "shop_api"}}}
	out, said := shown(t, showResult, deploy.Result{Heading: heading, Plan: step, Result: execute.Result{Outcome: execute.Refused}})
	requireText(t, out, under("  create service  shop_api")...)
	if said != "" {
		t.Errorf("said %q", said)
	}
}

func TestShowStatus_SaysTheLastOperationAndTheDrift(t *testing.T) {
	last := cluster.Entry{Operation: "deploy", By: "anna@here", Outcome: "rolled back", Time: time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)}
	out, said := shown(t, showStatus, deploy.StatusResult{Heading: heading, Last: &last, Drift: []string{"update service shop_api; image: a -> b"}, Services: []deploy.ServiceStatus{
		{Service: "shop_api", State: "1/2 running", Image: "shop/api:1", Versions: []string{"shop_TOKEN.v1"}, Nodes: []string{"alpha", "beta"}}, {Service: "shop_init", State: "done", Image: "shop/init:1"}}})
	requireText(t, out, under(
		"SERVICE    STATE        IMAGE        VERSIONS       NODES",
		"shop_api   1/2 running  shop/api:1   shop_TOKEN.v1  alpha,beta",
		"shop_init  done         shop/init:1  -              -")...)
	requireText(t, said, "last: deploy by anna@here on 2026-11-28 10:30: rolled back", "differs from the file: update service shop_api; image: a -> b")
	if out, said := shown(t, showStatus, deploy.StatusResult{}); out+said != "" {
		t.Errorf("without a stack: %q %q", out, said)
	}
}

func TestShowRemoved_SaysWhatIsGoneAndWhatStays(t *testing.T) {
	r := deploy.RemoveResult{Heading: heading, Services: []string{"shop_api", "shop_db"}, Networks: []string{"shop_default"}, Stay: []string{"shop_TOKEN.v1", "shop_TOKEN.v2"}}
	out, _ := shown(t, showRemoved, r)
	requireText(t, out, "2 services, 1 network, 0 configs of shop removed", "these versions stay: shop_TOKEN.v1, shop_TOKEN.v2")
	r.DryRun, r.Volumes, r.Stay = true, []string{"shop_data"}, nil
	out, _ = shown(t, showRemoved, r)
	requireText(t, out, "2 services, 1 network, 0 configs, the volumes shop_data of shop would be removed")
}

func TestShowFile_PrintsItAsItIs(t *testing.T) {
	out, _ := shown(t, showFile, []byte("services:\n  api: {}\n"))
	requireText(t, out, "services:", "  api: {}")
}
