package secrets

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/magefiles/internal/wire"
)

func toSwarm(ctx context.Context, over wire.OverSwarm, json *bool, o versions.ToSwarmOptions) error {
	frame := wire.Target[versions.ToSwarmResult]{Over: over, Limit: over.Limit(wire.Long), Alone: true, JSON: json, Show: showToSwarm, Always: true}
	return frame.Run(ctx, func(ctx context.Context, t *wire.Tools) (versions.ToSwarmResult, error) {
		o.Stdin = t.Console.Piped()
		return t.Versions(over).ToSwarm(ctx, o)
	})
}

func diff(ctx context.Context, over wire.OverSwarm, json *bool, source versions.Source) error {
	frame := wire.Target[versions.DiffResult]{Over: over, Limit: over.Limit(wire.Short), JSON: json, Show: showDiff, Always: true}
	return frame.Run(ctx, func(ctx context.Context, t *wire.Tools) (versions.DiffResult, error) {
		source.Stdin = t.Console.Piped()
		return t.Versions(over).Diff(ctx, source)
	})
}

// ask is the frame of a question. Its answer is shown along with an error too.
func ask[R any](ctx context.Context, over wire.OverSwarm, name string, json *bool, show func(*console.Console, R) error, question func(*versions.Versions, context.Context, string) (R, error)) error {
	frame := wire.Target[R]{Over: over, Limit: over.Limit(wire.Short), ReadOnly: true, Name: name, JSON: json, Show: show, Always: true}
	return frame.Run(ctx, func(ctx context.Context, t *wire.Tools) (R, error) { return question(t.Versions(over), ctx, name) })
}

func ages(ctx context.Context, over wire.OverSwarm, json *bool) error {
	return ask(ctx, over, "", json, showAge, func(v *versions.Versions, ctx context.Context, _ string) (versions.AgeResult, error) {
		return v.Age(ctx)
	})
}

// table prints the heading, and rows if there are any.
func table(c *console.Console, h cluster.Heading, headers []string, rows [][]string) error {
	if err := wire.Heading(c, h); err != nil || len(rows) == 0 {
		return err
	}
	return c.Table(headers, rows)
}

// sayNotes says what a person should know of a source.
func sayNotes(c *console.Console, undeclared, warnings []string) {
	if len(undeclared) > 0 {
		c.Say("not declared in the compose file, ignored: %s", strings.Join(undeclared, ", "))
	}
	for _, warning := range warnings {
		c.Say("warning: %s", warning)
	}
}

// showToSwarm prints what became of each secret.
func showToSwarm(c *console.Console, result versions.ToSwarmResult) error {
	var rows [][]string
	for _, row := range result.Secrets {
		rows = append(rows, []string{row.Name, dry(result.DryRun, row.Change), row.Version, row.Reason})
	}
	if err := table(c, result.Heading, []string{"SECRET", "CHANGE", "VERSION", "REASON"}, rows); err != nil {
		return err
	}
	sayNotes(c, result.Undeclared, result.Warnings)
	return nil
}

// showDiff prints one line a secret.
func showDiff(c *console.Console, result versions.DiffResult) error {
	var rows [][]string
	for _, row := range result.Secrets {
		rows = append(rows, []string{row.Name, row.State, row.Version, strings.Join(row.Services, ",")})
	}
	if err := table(c, result.Heading, []string{"SECRET", "STATE", "VERSION", "SERVICES"}, rows); err != nil {
		return err
	}
	sayNotes(c, result.Undeclared, result.Warnings)
	return nil
}

// showWhere prints one line for each use of a version.
func showWhere(c *console.Console, result versions.WhereResult) error {
	var rows [][]string
	for _, row := range result.Uses {
		rows = append(rows, []string{row.Version, row.Service, row.Target, tasks(row.Service != "", row.Wanted, row.Running), strings.Join(row.Nodes, ",")})
	}
	return table(c, result.Heading, []string{"VERSION", "SERVICE", "TARGET", "RUNNING TASKS", "NODES"}, rows)
}

// showWhereService prints one line for each grant.
func showWhereService(c *console.Console, result versions.WhereServiceResult) error {
	var rows [][]string
	for _, row := range result.Grants {
		newest := row.Newest
		if newest == row.Version {
			newest = "yes"
		}
		rows = append(rows, []string{row.Target, row.Version, newest, row.UID + ":" + row.GID + " " + row.Mode, tasks(true, row.Wanted, row.Running), strings.Join(row.Nodes, ",")})
	}
	return table(c, result.Heading, []string{"TARGET", "VERSION", "NEWEST", "OWNER AND MODE", "RUNNING TASKS", "NODES"}, rows)
}

// tasks counts the tasks of a use.
func tasks(used, wanted bool, running int) string {
	switch {
	case !used:
		return "not used"
	case !wanted:
		return fmt.Sprintf("%d, of an older specification", running)
	}
	return fmt.Sprint(running)
}

// showHistory prints one line a version.
func showHistory(c *console.Console, result versions.HistoryResult) error {
	var rows [][]string
	for _, row := range result.Versions {
		rows = append(rows, []string{row.Name, row.Created.UTC().Format(time.RFC3339), row.By, row.Environment, row.Reason, strings.Join(row.Services, ",")})
	}
	return table(c, result.Heading, []string{"VERSION", "CREATED", "BY", "ENVIRONMENT", "REASON", "SERVICES"}, rows)
}

// showAge prints one line a secret.
func showAge(c *console.Console, result versions.AgeResult) error {
	var rows [][]string
	for _, row := range result.Secrets {
		created, due, state := "", "", "no version"
		if row.Created != nil {
			created, due, state = row.Created.UTC().Format(time.DateOnly), row.Due.UTC().Format(time.DateOnly), "ok"
		}
		if row.Overdue {
			state = "overdue"
		}
		rows = append(rows, []string{row.Name, row.RotateEvery, row.Version, created, due, state})
	}
	return table(c, result.Heading, []string{"SECRET", "ROTATE EVERY", "VERSION", "CREATED", "DUE", "STATE"}, rows)
}
