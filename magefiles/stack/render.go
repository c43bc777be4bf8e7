package stack

import (
	"context"
	"fmt"
	"strings"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/fault"

	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/host"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// showUp prints what became of each service.
func showUp(c *console.Console, result stack.UpResult) error {
	var rows [][]string
	for _, s := range result.Services {
		action := string(s.Action)
		if result.DryRun && s.Action != stack.Unchanged {
			action = "would be " + action
		}
		rows = append(rows, []string{s.Service, action, s.State, s.Reason})
	}
	if err := c.Table([]string{"SERVICE", "CHANGE", "STATE", "WHY"}, rows); err != nil {
		return err
	}
	if len(result.Visible) > 0 {
		c.Say("docker inspect shows the values of %s", strings.Join(result.Visible, ", "))
	}
	if !result.DryRun {
		c.Say("all healthy after %.1f s", result.Seconds)
	}
	return nil
}

// showStatus prints one line a service.
func showStatus(c *console.Console, result stack.StatusResult) error {
	var rows [][]string
	for _, s := range result.Services {
		rows = append(rows, []string{s.Service, s.Status, s.Image, strings.Join(s.Grants, ","), string(s.Values), strings.Join(s.Visible, ",")})
	}
	return c.Table([]string{"SERVICE", "STATE", "IMAGE", "GRANTS", "VALUES", "SHOWN BY INSPECT"}, rows)
}

// showDown says what was removed.
func showDown(c *console.Console, result stack.DownResult) error {
	word := "removed"
	if result.DryRun {
		word = "would be removed"
	}
	what := fault.Count(len(result.Containers), "container")
	if result.Volumes {
		what += " and the volumes"
	}
	return c.Print("%s", fmt.Sprintf("%s of %s %s", what, result.Project, word))
}

// showDemo prints the prediction, how well each input did, and what was searched.
func showDemo(c *console.Console, result demo.Result) error {
	if err := showUp(c, result.Stack); err != nil {
		return err
	}
	p := result.Prediction
	lines := []string{
		"",
		"health      " + result.Health,
		fmt.Sprintf("prediction  %s at home against %s, %s", p.Home, p.Away, p.Commence.Format("2 Jan 2006 15:04")),
		fmt.Sprintf("            home wins with %.1f %%: market %.1f %%, Elo %.1f %%", 100*p.Pooled, 100*p.Market, 100*p.Elo),
	}
	for _, score := range result.Scores {
		lines = append(lines, fmt.Sprintf("log loss    %-7s %.4f over %d finished games", score.Input, score.LogLoss, score.Games))
	}
	lines = append(lines, fmt.Sprintf("logs        %d read, %d bytes: %d values found, %d canaries planted and found", result.Logs.Logs, result.Logs.Bytes, result.Logs.Hits, result.Logs.Canaries))
	if err := c.Print("%s", strings.Join(lines, "\n")); err != nil {
		return err
	}
	c.Say("the stack runs on; go tool mage demo -clean removes it")
	return nil
}

// showLogs shows nothing more: the logs were written as they came.
func showLogs(*console.Console, stack.LogsResult) error { return nil }

// openDemo makes sure of an engine and opens the demo.
func openDemo(ctx context.Context, c *console.Console, install bool) (*demo.Demo, func(), error) {
	if _, err := wire.Host(c).Up(ctx, host.UpOptions{Install: install}); err != nil {
		return nil, nil, err
	}
	return wire.Demo(c)
}
