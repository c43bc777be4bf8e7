package docker

import "fmt"

// Status says a container's state in one to three words, for a person.
func (c Container) Status() string {
	switch {
	case c.State == "running" && c.Health != "" && c.Health != "none":
		return c.Health
	case c.State == "exited" && c.OOMKilled:
		return "killed: out of memory"
	case c.State == "exited" && c.ExitCode == 0:
		return "done"
	case c.State == "exited" || c.State == "dead":
		return fmt.Sprintf("ended with %d", c.ExitCode)
	case c.State == "restarting":
		return fmt.Sprintf("restarting after %d", c.ExitCode)
	}
	return c.State
}
