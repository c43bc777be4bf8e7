package compose

import (
	"regexp"
	"strings"
)

// quotesNothing accepts the lines of Compose that cannot hold a line of an
// environment file: progress of a named object, and the engine's own errors.
func quotesNothing(line string) bool {
	progress := regexp.MustCompile(`^(Container|Network|Volume|Image) "?[A-Za-z0-9][A-Za-z0-9_./:@-]*"? (Creating|Created|Recreate|Recreated|Starting|Started|Running|Waiting|Healthy|Exited|Stopping|Stopped|Removing|Removed|Killing|Killed|Restarting|Restarted|Pulling|Pulled|Error)$`)
	if progress.MatchString(line) {
		return true
	}
	for _, sign := range []string{
		"Error response from daemon: ", "dependency failed to start: ", "Cannot connect to the Docker daemon",
		"error during connect", "failed to connect to the docker API",
	} {
		if strings.HasPrefix(line, sign) {
			return true
		}
	}
	return false
}
