package deploy

import (
	"fmt"
	"strings"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/deploy"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

// showPlan prints the heading of a plan, its steps, and what stays.
func showPlan(c *console.Console, r deploy.Result) error {
	if r.Stack == "" {
		return nil // it was refused before there was a plan
	}
	if err := wire.Heading(c, r.Heading); err != nil {
		return err
	}
	var lines []string
	for _, step := range r.Plan.Steps {
		lines = append(lines, stepLines(step)...)
	}
	if len(r.Plan.Steps) == 0 && r.Outcome == execute.Unchanged {
		lines = append(lines, "nothing to change: "+fault.Count(len(r.Plan.Unchanged), "service")+" as in the file")
	} else if len(r.Plan.Unchanged) > 0 {
		lines = append(lines, "  unchanged       "+strings.Join(r.Plan.Unchanged, ", "))
	}
	if len(r.Plan.Extra) > 0 {
		lines = append(lines, "  not in the file "+strings.Join(r.Plan.Extra, ", ")+" (deploy:swarm -prune removes them)")
	}
	for _, notice := range r.Plan.Notices {
		lines = append(lines, "  note: "+notice)
	}
	return c.Print("%s", strings.Join(lines, "\n"))
}

// stepLines are a step and its changes.
func stepLines(step rollout.Step) []string {
	line := fmt.Sprintf("  %-15s %s", step.Kind, step.Name)
	switch {
	case step.Wave > 1 && step.Restarts:
		line += fmt.Sprintf(" (restarts its tasks, in wave %d)", step.Wave)
	case step.Wave > 1:
		line += fmt.Sprintf(" (in wave %d)", step.Wave)
	case step.Restarts:
		line += " (restarts its tasks)"
	}
	lines := []string{line}
	for _, change := range step.Changes {
		lines = append(lines, "      "+change.String())
	}
	return lines
}

// showResult prints what became of each service; of a dry run, the plan.
func showResult(c *console.Console, r deploy.Result) error {
	if r.Stack == "" || r.Outcome == execute.Planned || len(r.Services) == 0 {
		return showPlan(c, r)
	}
	if err := wire.Heading(c, r.Heading); err != nil {
		return err
	}
	var rows [][]string
	for _, s := range r.Services {
		rows = append(rows, []string{s.Service, s.Action, s.State, strings.Join(s.Versions, ","), s.Cause})
	}
	if err := c.Table([]string{"SERVICE", "CHANGE", "STATE", "VERSIONS", "CAUSE"}, rows); err != nil {
		return err
	}
	switch r.Outcome {
	case execute.Deployed:
		c.Say("deployed: every task runs the plan, after %.1f s", r.Seconds)
	case execute.Unchanged:
		c.Say("nothing to change: every task runs what the file says")
	default:
		c.Say("%s after %.1f s", r.Outcome, r.Seconds)
	}
	return nil
}

// showFile prints a file as it is.
func showFile(c *console.Console, file []byte) error {
	return c.Print("%s", strings.TrimSuffix(string(file), "\n"))
}

// showStatus prints one line a service, the last operation, and what a deployment
// would change.
func showStatus(c *console.Console, r deploy.StatusResult) error {
	if r.Stack == "" {
		return nil
	}
	if err := wire.Heading(c, r.Heading); err != nil {
		return err
	}
	var rows [][]string
	for _, s := range r.Services {
		rows = append(rows, []string{s.Service, s.State, s.Image, strings.Join(s.Versions, ","), strings.Join(s.Nodes, ",")})
	}
	if err := c.Table([]string{"SERVICE", "STATE", "IMAGE", "VERSIONS", "NODES"}, rows); err != nil {
		return err
	}
	if r.Last != nil {
		c.Say("last: %s by %s on %s: %s", r.Last.Operation, r.Last.By, r.Last.Time.Format("2006-01-02 15:04"), r.Last.Outcome)
	}
	for _, line := range r.Drift {
		c.Say("differs from the file: %s", line)
	}
	return nil
}

// showRemoved says what is gone and what stays.
func showRemoved(c *console.Console, r deploy.RemoveResult) error {
	word := "removed"
	if r.DryRun {
		word = "would be removed"
	}
	what := []string{fault.Count(len(r.Services), "service"), fault.Count(len(r.Networks), "network"), fault.Count(len(r.Configs), "config")}
	if len(r.Volumes) > 0 {
		what = append(what, "the volumes "+strings.Join(r.Volumes, ", "))
	}
	lines := []string{fmt.Sprintf("%s of %s %s", strings.Join(what, ", "), r.Stack, word)}
	if len(r.Stay) > 0 {
		lines = append(lines, "these versions stay: "+strings.Join(r.Stay, ", "))
	}
	return c.Print("%s", strings.Join(lines, "\n"))
}
