package stack

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/magefiles/internal/targettest"
)

// yes is a flag that is given.
func yes() *bool { given := true; return &given }

func TestTargets_WithoutAnEngineExitWith4(t *testing.T) {
	for name, target := range map[string]func(context.Context) error{
		"status": func(ctx context.Context) error { return Stack{}.Status(ctx, nil) },
		"logs":   func(ctx context.Context) error { return Stack{}.Logs(ctx, nil, nil, nil) },
		"down":   func(ctx context.Context) error { return Stack{}.Down(ctx, nil, nil, nil) },
		"demo":   func(ctx context.Context) error { return Demo(ctx, nil, nil, nil) },
		"clean":  func(ctx context.Context) error { return Demo(ctx, nil, yes(), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
			targettest.Run(t, "", target).Want(t, 4, "no-engine.sock", "next: ")
		})
	}
}

func TestUp_ValidatesBeforeItAsksForAnEngine(t *testing.T) {
	targettest.Dir(t, map[string]string{"docker-compose.yml": targettest.ComposeFile})
	up := func(deadline *time.Duration, json *bool) targettest.Result {
		return targettest.Run(t, "", func(ctx context.Context) error { return Stack{}.Up(ctx, nil, deadline, nil, json) })
	}
	up(nil, nil).Want(t, 3, "the stack cannot be started: ", "secrets/LOGIN: no value")
	past := -time.Second
	up(&past, nil).Want(t, 2, "a deadline in the past")
	if result := up(nil, yes()); !strings.HasPrefix(result.Out, "{\n") || !strings.Contains(result.Out, `"services": []`) {
		t.Errorf("no document beside the error: %q", result.Out)
	}
}

// shown returns what a renderer prints: data, and talk.
func shown(t *testing.T, render func(*console.Console) error) (out, said string) {
	t.Helper()
	var data, talk bytes.Buffer
	if err := render(console.New(strings.NewReader(""), &data, &talk)); err != nil {
		t.Fatal(err)
	}
	return data.String(), talk.String()
}

// has fails the test unless text has every part.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestShowUp_SaysWhatWasAndWhatWouldBeDone(t *testing.T) {
	result := stack.UpResult{Seconds: 12.34, Services: []stack.UpService{{Service: "api", Action: stack.Recreated, State: "healthy", Reason: "it held an older value"}, {Service: "db", Action: stack.Unchanged, State: "healthy"}}}
	out, said := shown(t, func(c *console.Console) error { return showUp(c, result) })
	has(t, out, "api      recreated  healthy  it held an older value", "db       unchanged  healthy")
	has(t, said, "all healthy after 12.3 s")
	result.DryRun = true
	out, said = shown(t, func(c *console.Console) error { return showUp(c, result) })
	has(t, out, "would be recreated", "unchanged")
	if strings.Contains(said, "healthy") {
		t.Errorf("a dry run says that something is healthy: %s", said)
	}
}

func TestShowStatus_NamesWhoHoldsWhat(t *testing.T) {
	out, said := shown(t, func(c *console.Console) error {
		return showStatus(c, stack.StatusResult{Services: []stack.ServiceStatus{
			{Service: "api", Status: "healthy", Values: project.Stale, Grants: []string{"LOGIN", "TOKEN"}, Visible: []string{"TOKEN"}, Declared: true},
			{Service: "db", Status: "absent", Values: project.None, Declared: true},
		}})
	})
	has(t, out+said, "api", "healthy", "stale", "TOKEN", "db", "absent")
}

func TestShowDown_SaysWhatIsRemoved(t *testing.T) {
	for want, result := range map[string]stack.DownResult{
		"1 container of shop removed":                 {Project: "shop", Containers: []string{"shop-api-1"}},
		"1 container of shop would be removed":        {Project: "shop", Containers: []string{"shop-api-1"}, DryRun: true},
		"1 container and the volumes of shop removed": {Project: "shop", Containers: []string{"shop-api-1"}, Volumes: true},
		"0 containers of shop removed":                {Project: "shop"},
	} {
		if out, _ := shown(t, func(c *console.Console) error { return showDown(c, result) }); out != want+"\n" {
			t.Errorf("%q, want %q", out, want)
		}
	}
}

func TestShowDemo_ShowsThePredictionAndWhatWasSearched(t *testing.T) {
	out, said := shown(t, func(c *console.Console) error {
		return showDemo(c, demo.Result{
			Health: "ok", Prediction: demo.Prediction{Home: "Bulls", Away: "Heat", Pooled: 0.524, Market: 0.505, Elo: 0.782},
			Scores: []demo.Evaluation{{Input: "market", Games: 259, LogLoss: 0.6224}}, Logs: demo.LogsRead{Logs: 8, Bytes: 9099, Canaries: 16},
		})
	})
	has(t, out, "health      ok", "Bulls at home against Heat", "home wins with 52.4 %: market 50.5 %, Elo 78.2 %", "market  0.6224 over 259", "8 read, 9099 bytes: 0 values found, 16 canaries")
	has(t, said, "demo -clean removes it")
}
