package compose

import (
	"regexp"
	"slices"
	"strings"
)

// step returns what a progress line says about a named object, "" for any other
// line.
func step(line string) string {
	found := regexp.MustCompile(`^(?:Container|Network|Volume|Image) "?[A-Za-z0-9][A-Za-z0-9_./:@-]*"? (Creating|Created|Recreate|Recreated|Starting|Started|Running|Waiting|Healthy|Exited|Stopping|Stopped|Removing|Removed|Killing|Killed|Restarting|Restarted|Pulling|Pulled|Error)$`).FindStringSubmatch(line)
	if found == nil {
		return ""
	}
	return found[1]
}

// underWay reports whether a progress line is not worth showing: a step has only
// begun, or is a container's state, which the use case shows.
func underWay(line string) bool {
	switch step(line) {
	case "", "Removed", "Killed", "Pulling", "Pulled", "Error":
		return false
	}
	return true
}

// quotesNothing reports whether a line of Compose cannot quote a line of an
// environment file: progress of a named object, and the engine's own errors.
func quotesNothing(line string) bool {
	signs := []string{
		"Error response from daemon: ", "dependency failed to start: ", "Cannot connect to the Docker daemon",
		"error during connect", "failed to connect to the docker API",
	}
	return step(line) != "" || slices.ContainsFunc(signs, func(sign string) bool { return strings.HasPrefix(line, sign) })
}
