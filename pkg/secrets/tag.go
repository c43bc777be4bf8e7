package secrets

import (
	"fmt"
	"strings"
)

// form says how the bytes of a value become a field.
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
	prefix     bool // name is put before the names of a nested struct
	hasDefault bool
	fallback   string // the default
}

// parseTag reads NAME[,OPTION...]. The option default takes the rest of the
// tag, commas and all. No error holds the default.
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
			return fmt.Errorf("one of json and pem, once")
		}
		t.form = map[string]form{"json": formJSON, "pem": formPEM}[option]
	case "":
		return fmt.Errorf("an option is empty")
	default:
		// Not quoted: it may be a default with its key misspelt.
		return fmt.Errorf("an option is unknown; there are optional, default=, json, pem and prefix")
	}
	return nil
}

// check refuses what does not go together.
func (t tag) check() error {
	if err := ValidName(t.name); err != nil {
		return err
	}
	switch {
	case t.prefix && (t.optional || t.hasDefault || t.form != formPlain):
		return fmt.Errorf("prefix goes with no other option")
	case t.hasDefault && !t.optional:
		return fmt.Errorf("default is for an optional secret: write optional,default=")
	case t.hasDefault && t.fallback == "":
		return fmt.Errorf("default is empty: leave it out")
	case len(t.fallback) > MaxSize:
		return fmt.Errorf("default is larger than %d bytes", MaxSize)
	}
	return nil
}
