package manifest

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/keepmum/keepmum/pkg/secrets"
	"go.yaml.in/yaml/v4"
)

// RulesKey is the key of a secret's entry that holds keepmum's rules.
const RulesKey = "x-keepmum"

// Manifest is what one compose file says about secrets and who gets them.
type Manifest struct {
	File      string        // as given to Parse
	Project   string        // top-level name, "" if there is none
	Secrets   []Declaration // sorted by name
	Services  []Service     // sorted by name
	Variables []Variable    // every use of an interpolated variable, by line

	// Model is compose-go's view of the whole file: short forms made long,
	// defaults and extends applied, every profile on, variables replaced by what
	// Options.Lookup says. Paths are as written. No value of a declared secret
	// and no x-keepmum is in it: Lookup is not asked for a secret, and a value
	// that the file itself holds is a finding. It is shared: do not change it.
	//
	// It is nil when Compose refuses the file, also when it refuses only because
	// a variable has neither a value nor a default (which is a finding in a Swarm
	// file only).
	Model *types.Project

	root *yaml.Node // the top-level mapping; nil if the file could not be read
}

// Type says what kind of content a value must have.
type Type string

// The types of a value.
const (
	Text   Type = "text"   // UTF-8 without control characters; the default
	PEM    Type = "pem"    // one PEM block or more
	JSON   Type = "json"   // one JSON document
	Binary Type = "binary" // anything
)

// Newline says what happens to a newline at the end of a value.
type Newline string

// The newline policies.
const (
	Strip Newline = "strip" // exactly one \n or \r\n is removed; the default
	Keep  Newline = "keep"  // nothing is removed
)

// Declaration is one entry of the top-level secrets: with its rules. The zero
// value of each rule is its default.
type Declaration struct {
	Name        string         // the secret's name
	File        string         // where its value is stored, slash-separated, relative: secrets/NAME; "" for an external secret and in a Swarm file
	Line        int            // of the name in the compose file
	Description string         // for people: what it is and where it comes from
	MinLength   int            // in bytes; 0 means 1
	MaxLength   int            // in bytes; 0 means secrets.MaxSize
	Pattern     *regexp.Regexp // nil: any value
	Type        Type           // "" means Text
	Newline     Newline        // "" means Strip
	Optional    bool           // the project works without it
	Default     secrets.Secret // only for an optional secret; zero: none
	Generate    *Generate      // nil: a person must supply the value
	RotateEvery time.Duration  // 0: no rule
	External    bool           // it exists in a Swarm, not in a file
	SwarmName   string         // of a Swarm file: the Swarm's secret that is used as it is; "": the newest version
	From        string         // of a Swarm file: the stack whose versions are used; "": the file's own
}

// Generate says how NewValue makes a value.
type Generate struct {
	Bytes    int    // strength: the value is as hard to guess as this many random bytes
	Alphabet string // base62, base64url, hex, digits, or the characters themselves
	Prefix   string // comes before the random part
}

// Service is one service of the compose file: compose-go's view of it, and
// what only the file's text shows. If Compose refuses the file, Name, Line,
// Grants and PortsLine are set and the rest is empty.
//
// Image is "" if it depends on a variable that has neither a value nor a
// default and without which Compose refuses the file.
type Service struct {
	Name      string  // as in the file
	Line      int     // of the name in the compose file
	Grants    []Grant // sorted by target; those that came by extends have the service's line
	PortsLine int     // of ports: in the compose file; 0 if there is none
	types.ServiceConfig
}

// Grant is one entry of a service's own secrets: list.
type Grant struct {
	Secret string // name of the declaration
	Target string // name of the file in /run/secrets; in a Swarm file also a path below it, or an absolute path
	Line   int    // of the entry in the compose file
}

// Variable is one use of an interpolated variable.
type Variable struct {
	Name       string
	Path       string // dotted keys down to the value, e.g. services.postgres.image
	Service    string // "" if it is not in a service
	Line       int
	Default    string // text of ${NAME:-default}, as written
	HasDefault bool
	MayBeUnset bool // the file says what holds then: by a default, or by ${NAME:+text}

	text string // the whole value that it is in
}

// Secret returns the declaration of that name.
func (m *Manifest) Secret(name string) (Declaration, bool) {
	i, found := slices.BinarySearchFunc(m.Secrets, name, func(d Declaration, name string) int { return strings.Compare(d.Name, name) })
	if !found {
		return Declaration{}, false
	}
	return m.Secrets[i], true
}

// Service returns the service of that name.
func (m *Manifest) Service(name string) (Service, bool) {
	i := slices.IndexFunc(m.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return m.Services[i], true
}

// GrantedTo returns the names of the services that are granted the secret,
// sorted, each once.
func (m *Manifest) GrantedTo(secret string) []string {
	var names []string
	for _, s := range m.Services {
		if slices.ContainsFunc(s.Grants, func(g Grant) bool { return g.Secret == secret }) {
			names = append(names, s.Name)
		}
	}
	return names
}

// Names returns the names of the declared secrets, sorted.
func (m *Manifest) Names() []string {
	names := make([]string, 0, len(m.Secrets))
	for _, d := range m.Secrets {
		names = append(names, d.Name)
	}
	return names
}
