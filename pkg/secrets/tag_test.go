package secrets

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzParseTag: a tag is accepted or rejected as a whole; an accepted tag obeys
// the rules, and an error holds no part of the tag.
func FuzzParseTag(f *testing.F) {
	seeds := []string{"A", "A,optional", "A,optional,default=x,y", "A,json", "A,pem,optional", "P_,prefix", "", ",", "A,default=", "A,,", "a-b,json,pem"}
	for _, seed := range seeds {
		f.Add(seed)
	}
	name := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	texts := []string{
		"a secret needs a name",
		"not a valid secret name: use letters, digits and _, and do not start with a digit",
		"use json or pem, and only once",
		"an option is empty",
		"unknown option; the options are optional, default=, json, pem and prefix",
		"prefix cannot be combined with other options",
		"default is for an optional secret: write optional,default=",
		"default is empty: leave it out",
		"default is larger than 511999 bytes",
	}
	f.Fuzz(func(t *testing.T, text string) {
		tag, err := parseTag(text)
		if err != nil {
			if !slices.Contains(texts, err.Error()) {
				t.Errorf("the error is not one of the texts, so it may quote the tag")
			}
			return
		}
		if !name.MatchString(tag.name) || !strings.HasPrefix(text, tag.name) {
			t.Errorf("the name is wrong")
		}
		if tag.hasDefault != (tag.fallback != "") || tag.hasDefault && !tag.optional {
			t.Errorf("the default is wrong")
		}
		if tag.hasDefault && !strings.HasSuffix(text, ",default="+tag.fallback) {
			t.Errorf("the default is not the rest of the tag")
		}
		if tag.prefix && (tag.optional || tag.form != formPlain) {
			t.Errorf("prefix is combined with another option")
		}
	})
}
