package manifest

import (
	"regexp"
	"slices"
	"strings"
)

// standIn makes up a value for each variable that has neither a value nor a
// default, so that a file such as `ports: ["${PORT:?}:80"]` is judged by what it
// says and not by the environment. It reports whether there was any.
func (r *reader) standIn() bool {
	r.stoodIn = map[string]bool{}
	for _, v := range r.manifest.Variables {
		if _, set := r.environment[v.Name]; !set && !v.HasDefault {
			r.stoodIn[v.Name] = true
			r.environment[v.Name] = standInFor(v)
		}
	}
	return len(r.stoodIn) > 0
}

// standInFor returns a text that Compose accepts at the variable's place.
func standInFor(v Variable) string {
	keys := strings.Split(v.Path, ".")
	switch last := keys[len(keys)-1]; {
	case slices.Contains([]string{
		"read_only", "privileged", "init", "tty", "stdin_open", "external", "internal", "attachable",
		"enable_ipv4", "enable_ipv6", "disable", "required", "restart", "oom_kill_disable", "nocopy",
	}, last) && !(last == "restart" && len(keys) == 3):
		return "true"
	case slices.Contains([]string{"interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "window", "monitor"}, last):
		return "1s"
	case last == "host_ip", len(keys) == 4 && keys[2] == "ports" && beforeTwoPorts(v):
		return "127.0.0.1"
	case last == "restart":
		return "always"
	}
	return "1"
}

// beforeTwoPorts reports whether the variable is the address in a short form
// such as ${ADDRESS}:80:80.
func beforeTwoPorts(v Variable) bool {
	_, rest, found := strings.Cut(v.text, "$"+v.Name+":")
	if after, braced := strings.CutPrefix(v.text, "${"+v.Name); braced {
		_, rest, found = strings.Cut(after, "}:")
	}
	rest = regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(rest, "") // the : of a default is not one of the port's
	return found && strings.Contains(rest, ":")
}
