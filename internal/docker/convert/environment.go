package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/keepmum/keepmum/internal/fault"
)

// errNoFiles is what reading a file gives if Options.ReadFile is nil.
var errNoFiles = errors.New("no file can be read")

// environment returns NAME=value by name: from env_file, then from environment.
// A name without a value takes the value of Lookup; if there is none it stays
// alone, and the engine removes the image's own variable of that name.
func (s service) environment() []string {
	values := map[string]*string{}
	for i, file := range s.EnvFiles {
		place := s.entry(s.at("env_file"), i, len(s.EnvFiles))[2:]
		data, err := s.ReadFile(file.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !bool(file.Required):
		case err != nil:
			s.refuse("env_file "+file.Path+" cannot be read", "create it beside the compose file, or write required: false", place...)
		case file.Format != "" && file.Format != "raw":
			s.refuse("env_file has an unknown format", "write format: raw, or remove it", place...)
		default:
			s.readEnvFile(file.Path, string(data), file.Format == "raw", values)
		}
	}
	for name, value := range s.Environment {
		values[name] = s.resolved(name, value)
		if values[name] == nil {
			s.notice(name+" has no value in the environment, so it is not set", "set it, or write "+name+": with a value", "environment", name)
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; value != nil {
			all = append(all, name+"="+*value)
		} else {
			all = append(all, name)
		}
	}
	return all
}

// resolved returns a value, or that of the environment if there is none.
func (s service) resolved(name string, value *string) *string {
	if found, set := s.Lookup(name); value == nil && set {
		return &found
	}
	return value
}

// readEnvFile reads lines of NAME=value. A name alone is taken from the
// environment if it is there. A line that the readers of Docker do not read
// alike is refused; no line is quoted.
func (s service) readEnvFile(file, text string, raw bool, into map[string]*string) {
	if !utf8.ValidString(text) {
		s.converter.findings = append(s.converter.findings, fault.Finding{File: file, Subject: s.name, Problem: "is not UTF-8 text", Next: "write NAME=value in UTF-8, one a line"})
		return
	}
	text = strings.TrimPrefix(text, "\uFEFF")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(line, "=")
		problem := ""
		if name == "" || strings.ContainsAny(name, " \t'\"$") {
			problem = "has a line that is not NAME=value"
		} else if given && !raw {
			value, problem = unquoted(value)
		}
		if problem != "" {
			s.converter.findings = append(s.converter.findings, fault.Finding{File: file, Line: i + 1, Subject: s.name, Problem: problem, Next: "write NAME=value there without quotes and $, or write it under environment: of " + s.name})
			continue
		}
		if given {
			into[name] = &value
		} else if found, set := s.Lookup(name); set {
			into[name] = &found
		}
	}
}

// unquoted returns the value of a line as Compose reads it, or why it is not
// plain enough.
func unquoted(value string) (text, problem string) {
	if value == "" {
		return "", ""
	}
	if quote := value[0]; quote == '\'' || quote == '"' {
		inside, rest, closed := strings.Cut(value[1:], string(quote))
		switch {
		case !closed:
			return "", "has a value of several lines"
		case strings.TrimSpace(rest) != "" || strings.ContainsAny(inside, `\`) || quote == '"' && strings.Contains(inside, "$"):
			return "", "has a quoted value with $, \\ or text after it, which readers of such files do not read alike"
		}
		return inside, ""
	}
	if strings.ContainsAny(value, "$\\") || strings.Contains(value, " #") || strings.TrimSpace(value) != value {
		return "", "has a value with $, \\, a comment or blanks around it, which readers of such files do not read alike"
	}
	return value, ""
}

// number returns a numeric id of a user or group, "0" if none is given.
func (s service) number(kind, id string, place []string) string {
	if id == "" {
		return "0"
	}
	if _, err := strconv.ParseUint(id, 10, 32); err != nil {
		s.refuse(fmt.Sprintf("%s of a grant is not a number, and a Swarm takes no names", kind), "write "+kind+": \"1000\" or the like", place...)
	}
	return id
}
