package secrets

import (
	"errors"
	"fmt"
	"strings"
)

// form says how the bytes of a value are turned into a field.
type form int

const (
	formPlain form = iota
	formJSON
	formPEM
)

// tag is a parsed `secret:"..."`.
type tag struct {
	name       string
	form       form
	optional   bool
	prefix     bool // name is prepended to the names in a nested struct
	hasDefault bool
	fallback   string // the default
}

// parseTag parses NAME[,OPTION...]. The option default takes the rest of the
// tag, including commas. No error holds the default.
func parseTag(text string) (tag, error) {
	name, rest, more := strings.Cut(text, ",")
	t := tag{name: name}
	for more {
		var option string
		if value, ok := strings.CutPrefix(rest, "default="); ok {
			t.hasDefault, t.fallback = true, value
			break
		}
		option, rest, more = strings.Cut(rest, ",")
		if err := t.set(option); err != nil {
			return tag{}, err
		}
	}
	return t, t.check()
}

// set applies one option.
func (t *tag) set(option string) error {
	switch option {
	case "optional":
		t.optional = true
	case "prefix":
		t.prefix = true
	case "json", "pem":
		if t.form != formPlain {
			return errors.New("use json or pem, and only once")
		}
		t.form = map[string]form{"json": formJSON, "pem": formPEM}[option]
	case "":
		return errors.New("an option is empty")
	default:
		// Not quoted: it may be a default with its key misspelled.
		return errors.New("unknown option; the options are optional, default=, json, pem and prefix")
	}
	return nil
}

// check rejects combinations that do not make sense.
func (t tag) check() error {
	if err := ValidName(t.name); err != nil {
		return err
	}
	switch {
	case t.prefix && (t.optional || t.hasDefault || t.form != formPlain):
		return errors.New("prefix cannot be combined with other options")
	case t.hasDefault && !t.optional:
		return errors.New("default is for an optional secret: write optional,default=")
	case t.hasDefault && t.fallback == "":
		return errors.New("default is empty: leave it out")
	case len(t.fallback) > MaxSize:
		return fmt.Errorf("default is larger than %d bytes", MaxSize)
	}
	return nil
}
