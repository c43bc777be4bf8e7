package engine

import (
	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/ops/host"
)

// showUp prints how it ended, and the steps that were or would be run.
func showUp(c *console.Console, result host.UpResult) error {
	for _, step := range result.Steps {
		c.Say("%s", step.String())
	}
	for _, line := range result.Manual {
		c.Say("%s", line)
	}
	if result.Version == "" {
		return c.Print("%s", result.State)
	}
	return c.Print("%s: engine %s at %s (%s)", result.State, result.Version, result.Endpoint.Host, result.Endpoint.Source)
}

// showDoctor prints a line for each check, and below the table what to do.
func showDoctor(c *console.Console, result host.DoctorResult) error {
	var rows [][]string
	for _, check := range result.Checks {
		rows = append(rows, []string{string(check.State), check.Name, check.Detail})
	}
	if err := c.Table([]string{"STATE", "CHECK", "DETAIL"}, rows); err != nil {
		return err
	}
	for _, check := range result.Checks {
		if check.Next != "" && check.State == host.Warn {
			c.Say("%s: %s", check.Name, check.Next)
		}
	}
	return nil
}
