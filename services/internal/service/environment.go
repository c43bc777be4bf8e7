package service

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// problem is one reason not to start. No field holds a value, not even of a
// setting: a secret may be in the wrong variable.
type problem struct {
	name   string
	what   string
	next   string
	places []string
}

// attributes renders the problem for slog.
func (p problem) attributes() []any {
	attributes := []any{"name", p.name}
	if len(p.places) > 0 {
		attributes = append(attributes, "places", p.places)
	}
	if p.next != "" {
		attributes = append(attributes, "next", p.next)
	}
	return attributes
}

// String renders the problem on one line.
func (p problem) String() string {
	text := p.name + ": " + p.what
	if len(p.places) > 0 {
		text += " (looked in " + strings.Join(p.places, ", ") + ")"
	}
	if p.next != "" {
		text += "; " + p.next
	}
	return text
}

// secretProblems turns the loader's error into problems, one a secret.
func secretProblems(err error) []problem {
	if err == nil {
		return nil
	}
	var load *secrets.LoadError
	if !errors.As(err, &load) {
		return []problem{{name: "secrets", what: "the program declares its secrets wrongly: " + err.Error()}}
	}
	var problems []problem
	for _, one := range load.Problems {
		problems = append(problems, problem{name: one.Name, what: one.Reason, places: one.Places, next: one.Hint})
	}
	return problems
}

// loadEnvironment fills the fields of the struct at config that are tagged
// `env:"NAME"` or `env:"NAME,default=TEXT"`, also those of embedded structs, and
// returns all problems. An empty variable counts as absent, because Compose's
// ${NAME:-} sets it empty.
//
// Kinds: string, uint64, uint16 (a port), float64, time.Duration (not negative),
// *url.URL (http or https, without user and query).
func loadEnvironment(config any, lookup func(string) (string, bool)) []problem {
	var problems []problem
	fields := reflect.ValueOf(config).Elem()
	for i := range fields.NumField() {
		field := fields.Type().Field(i)
		tag, tagged := field.Tag.Lookup("env")
		switch {
		case tagged:
			problems = append(problems, loadField(fields.Field(i), tag, lookup)...)
		case field.Anonymous && field.Type.Kind() == reflect.Struct:
			problems = append(problems, loadEnvironment(fields.Field(i).Addr().Interface(), lookup)...)
		}
	}
	return problems
}

// loadField fills one field by its tag.
func loadField(field reflect.Value, tag string, lookup func(string) (string, bool)) []problem {
	name, fallback, _ := strings.Cut(tag, ",default=")
	text, _ := lookup(name)
	if text = cmp.Or(text, fallback); text == "" {
		return []problem{{name: name, what: "not set", next: "set it under environment: of this service in the compose file"}}
	}
	if what := setField(field, text); what != "" {
		return []problem{{name: name, what: what, next: "correct it under environment: of this service in the compose file"}}
	}
	return nil
}

// setField parses text into field and returns the problem, or "".
func setField(field reflect.Value, text string) string {
	switch to := field.Addr().Interface().(type) {
	case *string:
		*to = text
		return ""
	case *uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		*to = n
		return unless(err == nil, "not a whole number of 0 or more")
	case *uint16:
		n, err := strconv.ParseUint(text, 10, 16)
		*to = uint16(n)
		return unless(err == nil && n > 0, "not a port: a number from 1 to 65535")
	case *float64:
		n, err := strconv.ParseFloat(text, 64)
		*to = n
		return unless(err == nil && !math.IsNaN(n) && !math.IsInf(n, 0), "not a number")
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*to = d
		return unless(err == nil && d >= 0, "not a duration such as 30s, 5m or 2h")
	case **url.URL:
		u, err := url.Parse(text)
		*to = u
		return unless(err == nil && isBase(u), "not an address such as http://host:port, without user, query and fragment")
	}
	return fmt.Sprintf("the program declares a field of type %s for it, which cannot be read from the environment", field.Type())
}

// isBase reports whether u is a plain address to put a path behind.
func isBase(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// unless returns what when ok is false.
func unless(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}
