package secrets

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/console"

	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
)

// showScaffold prints the files that secrets:init made or found.
func showScaffold(c *console.Console, result values.InitResult) error {
	var rows [][]string
	for _, file := range result.Files {
		rows = append(rows, []string{file.Path, dry(result.DryRun, file.Change)})
	}
	return c.Table([]string{"FILE", "CHANGE"}, rows)
}

// dry words a change that did not happen.
func dry(dryRun bool, change project.Change) string {
	if dryRun && change != project.Unchanged && change != project.Ignored {
		return "would be " + string(change)
	}
	return string(change)
}

// showFromEnv prints what became of each secret, and says what is left to do.
func showFromEnv(c *console.Console, result values.FromEnvResult) error {
	var rows [][]string
	for _, row := range result.Secrets {
		where := row.Reason
		if row.Line > 0 {
			where = strings.TrimSuffix(fmt.Sprintf("%s:%d, %s", result.File, row.Line, row.Reason), ", ")
		}
		rows = append(rows, []string{row.Name, dry(result.DryRun, row.Change), where})
	}
	if err := c.Table([]string{"SECRET", "CHANGE", "FROM"}, rows); err != nil {
		return err
	}
	for _, row := range result.Secrets {
		if row.Note != "" {
			c.Say("%s:%d: %s: %s", result.File, row.Line, row.Name, row.Note)
		}
	}
	if len(result.Undeclared) > 0 {
		c.Say("not declared in the compose file, ignored: %s", strings.Join(result.Undeclared, ", "))
	}
	sayStale(c, result.Stale)
	switch {
	case len(result.Pruned) > 0:
		c.Say("commented out in %s: %s. The values are still in those comments: delete the lines when the stack runs without them", result.File, strings.Join(result.Pruned, ", "))
	case len(result.Remaining) > 0 && !result.DryRun:
		c.Say("the values are still in %s too: comment them out with mage secrets:fromEnv -prune", result.File)
	}
	return nil
}

// sayStale names the services that hold an older value.
func sayStale(c *console.Console, stale []project.StaleService) {
	for _, one := range stale {
		c.Say("%s runs with an older value of %s: mage stack:up recreates it", one.Service, strings.Join(one.Secrets, ", "))
	}
}

// showEdit prints what became of one secret.
func showEdit(c *console.Console, result values.EditResult) error {
	if err := c.Print("%s %s", result.Name, dry(result.DryRun, result.Change)); err != nil {
		return err
	}
	sayStale(c, result.Stale)
	return nil
}

// showList prints one line a secret.
func showList(c *console.Console, result values.ListResult) error {
	var rows [][]string
	for _, row := range result.Secrets {
		source := row.Source
		if len(row.Shadows) > 0 {
			source += " (not " + strings.Join(row.Shadows, ", ") + ")"
		}
		rows = append(rows, []string{row.Name, strings.Join(row.Services, ","), source, row.Type, row.LastByte, age(row.Age), string(row.State)})
	}
	return c.Table([]string{"SECRET", "SERVICES", "SOURCE", "TYPE", "ENDS IN", "AGE", "STATE"}, rows)
}

// age words a number of seconds.
func age(seconds int64) string {
	switch d := time.Duration(seconds) * time.Second; {
	case seconds < 0:
		return ""
	case d < time.Minute:
		return strconv.FormatInt(seconds, 10) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}

// showValidate says that nothing was found: findings are the error's.
func showValidate(c *console.Console, result values.ValidateResult) error {
	for _, warning := range result.Warnings {
		c.Say("warning: %s", warning)
	}
	c.Say("%d secrets checked, nothing found", len(result.Checked))
	return nil
}
