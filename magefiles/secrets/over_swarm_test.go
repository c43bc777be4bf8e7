package secrets

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
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

const token = "token-value-88bb"

// text is a flag that is given.
func text(s string) *string { return &s }

// prodDir writes a directory of values.
func prodDir(t *testing.T) {
	t.Helper()
	if err := os.Mkdir("prod", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"LOGIN": login + "\n", "TOKEN": token, ".environment": "production"} {
		if err := os.WriteFile("prod/"+name, []byte(value), 0o444); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSwarmTargets_CheckFirstAndThenConnect(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	prodDir(t)
	s := Secrets{}
	run := func(input string, target func(context.Context) error) targettest.Result {
		return targettest.Run(t, input, target, login, token)
	}
	toSwarm := func(input string, from, environment, reason *string) targettest.Result {
		return run(input, func(ctx context.Context) error {
			return s.ToSwarm(ctx, from, environment, reason, nil, nil, nil, nil, nil, nil, nil, nil)
		})
	}
	toSwarm("", nil, nil, nil).Want(t, 3, "standard input is empty", "-from=DIR")
	toSwarm("TOKEN=short\n", nil, nil, nil).Want(t, 4, "no engine listens")
	toSwarm("LOGIN=short\n", nil, nil, nil).Want(t, 3, "standard input:1: LOGIN: is shorter")
	toSwarm("", text("nowhere"), nil, nil).Want(t, 3, "nowhere does not exist")
	toSwarm("", text("prod"), text("staging"), nil).Want(t, 3, "prod/.environment: is of production, and -environment says staging")
	toSwarm("", text("prod"), nil, text("for "+login)).Want(t, 2, "-reason holds the value of a secret")
	toSwarm("", text("prod"), nil, nil).Want(t, 4, "no engine listens")

	run("", func(ctx context.Context) error {
		return s.Diff(ctx, text("prod"), nil, nil, nil, nil, nil, nil, nil, nil)
	}).Want(t, 4, "no engine listens")
	run("", func(ctx context.Context) error { return s.Diff(ctx, nil, nil, nil, nil, nil, nil, nil, nil, nil) }).Want(t, 3, "standard input is empty")
	for name, target := range map[string]func(context.Context, *string, *string, *time.Duration) error{
		"where": func(ctx context.Context, stack, docker *string, limit *time.Duration) error {
			return s.Where(ctx, "TOKEN", stack, docker, limit, nil)
		},
		"whereService": func(ctx context.Context, stack, docker *string, limit *time.Duration) error {
			return s.WhereService(ctx, "api", stack, docker, limit, nil)
		},
		"history": func(ctx context.Context, stack, docker *string, limit *time.Duration) error {
			return s.History(ctx, "TOKEN", stack, docker, limit, nil)
		},
		"age": func(ctx context.Context, stack, docker *string, limit *time.Duration) error {
			return s.Age(ctx, stack, nil, docker, limit, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(stack, docker *string, limit *time.Duration) targettest.Result {
				return run("", func(ctx context.Context) error { return target(ctx, stack, docker, limit) })
			}
			call(nil, nil, nil).Want(t, 4, "no engine listens")
			call(text("Shop"), nil, nil).Want(t, 2, "Shop cannot be a stack's name")
			call(nil, text("nowhere"), nil).Want(t, 4, "the docker context nowhere does not exist")
			negative := -time.Second
			call(nil, nil, &negative).Want(t, 2, "negative")
			t.Setenv("KEEPMUM_STACK", "Other")
			call(nil, nil, nil).Want(t, 2, "Other cannot be a stack's name")
		})
	}
	run("", func(ctx context.Context) error { return s.Where(ctx, "-json", nil, nil, nil, nil) }).Want(t, 2, "a flag stands where a name is expected")
	if _, err := os.Stat("secrets"); err == nil {
		t.Error("secrets/ was made")
	}
}

func TestSwarmTargets_ReadTheSwarmFileThatIsNamed(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile,
		"other.yml": "services: {api: {image: a, secrets: [EXTRA]}}\nsecrets: {EXTRA: {external: true}}\n",
		"small.yml": "services: {api: {image: a, secrets: [TOKEN]}}\nsecrets: {TOKEN: {external: true}}\n"})
	prodDir(t)
	if err := os.WriteFile("prod/EXTRA", nil, 0o444); err != nil {
		t.Fatal(err)
	}
	s := Secrets{}
	for name, target := range map[string]func(ctx context.Context, file *string) error{
		"toSwarm": func(ctx context.Context, file *string) error {
			return s.ToSwarm(ctx, text("prod"), nil, nil, nil, nil, nil, file, nil, nil, nil, nil)
		},
		"diff": func(ctx context.Context, file *string) error {
			return s.Diff(ctx, text("prod"), nil, nil, nil, nil, file, nil, nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(file *string) targettest.Result {
				return targettest.Run(t, "", func(ctx context.Context) error { return target(ctx, file) }, login, token)
			}
			call(nil).Want(t, 4, "no engine listens")
			call(text("other.yml")).Want(t, 3, "EXTRA is empty")
			call(text("nowhere.yml")).Want(t, 3, "nowhere.yml")
			t.Setenv("KEEPMUM_SWARM_FILE", "other.yml")
			call(nil).Want(t, 3, "EXTRA is empty")
			call(text("small.yml")).Want(t, 4, "no engine listens") // -file wins
		})
	}
	targettest.Run(t, "", func(ctx context.Context) error { return s.Age(ctx, nil, text("nowhere.yml"), nil, nil, nil) }).Want(t, 3, "nowhere.yml")
}

func TestToSwarm_PrintsADocumentAlongWithAnError(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	prodDir(t)
	failed := targettest.Run(t, "", func(ctx context.Context) error {
		return Secrets{}.ToSwarm(ctx, text("prod"), nil, nil, nil, nil, nil, nil, nil, nil, nil, yes())
	}, login, token)
	failed.Want(t, 4, `"source": "prod"`)
	var result versions.ToSwarmResult
	if err := json.Unmarshal([]byte(failed.Out), &result); err != nil || result.Secrets == nil || result.Warnings == nil {
		t.Errorf("%v in %q", err, failed.Out)
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

func TestSwarmTables_BeginWithTheStack(t *testing.T) {
	h := cluster.Heading{Context: "prod", Host: "ssh://m1", Cluster: "c1", Environment: "production", Stack: "shop"}
	top := []string{"context      prod (ssh://m1)", "cluster      c1", "environment  production", "stack        shop", ""}
	at := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	with := func(lines ...string) []string { return append(append([]string{}, top...), lines...) }

	out, said := shown(t, showToSwarm, versions.ToSwarmResult{Heading: h, DryRun: true, Undeclared: []string{"A", "B"}, Warnings: []string{"careful"}, Secrets: []versions.ToSwarmRow{
		{Name: "LOGIN", Change: project.Unchanged, Version: "shop_LOGIN.v1"}, {Name: "TOKEN", Change: project.Created, Version: "shop_TOKEN.v1"}, {Name: "X", Change: project.Ignored, Reason: "not in prod"}}})
	requireText(t, out, with(
		"SECRET  CHANGE            VERSION        REASON",
		"LOGIN   unchanged         shop_LOGIN.v1  -",
		"TOKEN   would be created  shop_TOKEN.v1  -",
		"X       ignored           -              not in prod")...)
	requireText(t, said, "not declared in the compose file, ignored: A, B", "warning: careful")

	out, said = shown(t, showDiff, versions.DiffResult{Heading: h, Warnings: []string{"careful"}, Secrets: []versions.DiffRow{{Name: "TOKEN", State: "changed", Version: "shop_TOKEN.v1", Services: []string{"api", "web"}}}})
	requireText(t, out, with("SECRET  STATE    VERSION        SERVICES", "TOKEN   changed  shop_TOKEN.v1  api,web")...)
	requireText(t, said, "warning: careful")

	out, _ = shown(t, showWhere, versions.WhereResult{Heading: h, Uses: []versions.WhereRow{
		{Version: "shop_TOKEN.v3"}, {Version: "shop_TOKEN.v2", Service: "shop_api", Target: "TOKEN", Wanted: true, Running: 2, Nodes: []string{"alpha", "beta"}}, {Version: "shop_TOKEN.v1", Service: "shop_api", Target: "TOKEN", Running: 1, Nodes: []string{"beta"}}}})
	requireText(t, out, with(
		"VERSION        SERVICE   TARGET  RUNNING TASKS                 NODES",
		"shop_TOKEN.v3  -         -       not used                      -",
		"shop_TOKEN.v2  shop_api  TOKEN   2                             alpha,beta",
		"shop_TOKEN.v1  shop_api  TOKEN   1, of an older specification  beta")...)

	out, _ = shown(t, showWhereService, versions.WhereServiceResult{Heading: h, Grants: []versions.GrantRow{
		{Target: "TOKEN", Version: "shop_TOKEN.v2", Newest: "shop_TOKEN.v3", UID: "0", GID: "0", Mode: "0444", Wanted: true, Running: 1, Nodes: []string{"alpha"}}, {Target: "X", Version: "shop_X.v1", Newest: "shop_X.v1", UID: "0", GID: "10", Mode: "0440", Wanted: true}}})
	requireText(t, out, with(
		"TARGET  VERSION        NEWEST         OWNER AND MODE  RUNNING TASKS  NODES",
		"TOKEN   shop_TOKEN.v2  shop_TOKEN.v3  0:0 0444        1              alpha",
		"X       shop_X.v1      yes            0:10 0440       0              -")...)

	out, _ = shown(t, showHistory, versions.HistoryResult{Heading: h, Versions: []versions.HistoryRow{{Version: rollout.Version{Name: "shop_TOKEN.v1", Created: at, By: "anna@here", Environment: "production", Reason: "audit 7"}, Services: []string{"shop_api"}}}})
	requireText(t, out, with("VERSION        CREATED               BY         ENVIRONMENT  REASON   SERVICES", "shop_TOKEN.v1  2026-11-28T10:00:00Z  anna@here  production   audit 7  shop_api")...)

	out, _ = shown(t, showAge, versions.AgeResult{Heading: h, Secrets: []versions.AgeRow{
		{Name: "A", RotateEvery: "90d"}, {Name: "B", RotateEvery: "90d", Version: "shop_B.v1", Created: &at, Due: &at}, {Name: "C", RotateEvery: "1d", Version: "shop_C.v1", Created: &at, Due: &at, Overdue: true}}})
	requireText(t, out, with(
		"SECRET  ROTATE EVERY  VERSION    CREATED     DUE         STATE",
		"A       90d           -          -           -           no version",
		"B       90d           shop_B.v1  2026-11-28  2026-11-28  ok",
		"C       1d            shop_C.v1  2026-11-28  2026-11-28  overdue")...)

	if out, said := shown(t, showAge, versions.AgeResult{}); out+said != "" {
		t.Errorf("without a Swarm: %q %q", out, said)
	}
	if out, _ := shown(t, showAge, versions.AgeResult{Heading: h}); strings.Contains(out, "ROTATE") || !strings.HasPrefix(out, top[0]) {
		t.Errorf("without rows: %q", out)
	}
}
