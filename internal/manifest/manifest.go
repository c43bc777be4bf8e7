package manifest

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// MaxSize is the largest value in bytes that a Swarm secret can hold, and so
// the largest that a rule allows.
const MaxSize = 511_999

// RulesKey is the key of a secret's entry that holds keepmum's rules.
const RulesKey = "x-keepmum"

// Finding is one thing that is wrong with a compose file.
type Finding = fault.Finding

// Manifest is what one compose file says about secrets and who gets them.
type Manifest struct {
	File      string        // as given to Parse
	Project   string        // top-level name, "" where there is none
	Secrets   []Declaration // sorted by name
	Services  []Service     // sorted by name
	Variables []Variable    // every use of an interpolated variable, by line
	Networks  []string      // declared names, sorted
	Volumes   []string      // declared names, sorted
}

// Type says what bytes a value must be made of.
type Type string

// The types of a value.
const (
	Text   Type = "text"   // UTF-8 without control characters; the default
	PEM    Type = "pem"    // one PEM block or more
	JSON   Type = "json"   // one JSON document
	Binary Type = "binary" // anything
)

// Newline says what happens to a line end at the end of a value.
type Newline string

// The newline policies.
const (
	Strip Newline = "strip" // exactly one \n or \r\n is taken away; the default
	Keep  Newline = "keep"  // nothing is taken away
)

// Declaration is one entry of the top-level secrets: with its rules. The zero
// value of each rule is its default.
type Declaration struct {
	Name        string         // the secret's name
	File        string         // where its value lives, slash-separated, relative: secrets/NAME; "" for an external secret
	Line        int            // of the name in the compose file
	Description string         // for people: what it is and where it comes from
	MinLength   int            // in bytes; 0 means 1
	MaxLength   int            // in bytes; 0 means MaxSize
	Pattern     *regexp.Regexp // nil: any value
	Type        Type           // "" means Text
	Newline     Newline        // "" means Strip
	Optional    bool           // the project works without it
	Default     secrets.Secret // only for an optional secret; zero: none
	Generate    *Generate      // nil: a person must supply the value
	RotateEvery time.Duration  // 0: no rule
	External    bool           // it exists in a Swarm, not in a file
}

// Generate says how NewValue makes a value.
type Generate struct {
	Bytes    int    // strength: the value holds at least this many random bytes' worth of choice
	Alphabet string // base62, base64url, hex, digits, or the characters themselves
	Prefix   string // stands before the random part
}

// Service is one service of the compose file, as Compose understands it:
// short forms made long, variables replaced by their defaults (or by the
// environment given to ParseWith).
type Service struct {
	Name        string
	Line        int // of the name in the compose file
	Image       string
	PullPolicy  string
	Build       *Build // nil where the image is not built by Compose
	User        string // "" means the image's own
	Entrypoint  []string
	Command     []string
	ReadOnly    bool
	Privileged  bool
	CapAdd      []string // sorted
	CapDrop     []string // sorted
	SecurityOpt []string // sorted
	Tmpfs       []string // sorted
	Restart     string
	Init        bool
	Profiles    []string
	Logging     *Logging
	Grants      []Grant           // sorted by target
	Environment map[string]string // declared variables; a pass-through without a value is ""
	EnvFiles    []string          // paths as written
	Ports       []Port            // sorted by target, published
	Mounts      []Mount           // sorted by target
	Networks    []string          // sorted
	DependsOn   []Dependency      // sorted by service
	Health      *Health           // nil: none declared here
	Labels      map[string]string
}

// Grant is one entry of a service's own secrets: list.
type Grant struct {
	Secret string // name of the declaration
	Target string // name of the file in /run/secrets
	Line   int    // of the entry in the compose file
}

// Build says what Compose would build an image from.
type Build struct {
	Context    string
	Dockerfile string
}

// Logging is a service's log driver and its limits.
type Logging struct {
	Driver  string
	Options map[string]string
}

// Port is a published port of a service.
type Port struct {
	HostIP    string // "" means every address
	Published string // port or range on the host, "" means any
	Target    int    // in the container
	Protocol  string // tcp or udp
	Line      int    // of ports: in the compose file
}

// Mount is a volume, bind mount or tmpfs of a service.
type Mount struct {
	Type     string // volume, bind, tmpfs, ...
	Source   string // name of the volume, or path as written
	Target   string
	ReadOnly bool
}

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string
	Condition string // service_started, service_healthy, service_completed_successfully
	Required  bool
}

// Health is a service's health check.
type Health struct {
	Test        []string
	Interval    time.Duration // 0: Compose's default
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
	Disabled    bool
}

// Variable is one use of an interpolated variable.
type Variable struct {
	Name       string
	Path       string // dotted keys down to the value, e.g. services.postgres.image
	Service    string // "" where it is not in a service
	Assigned   string // NAME where the use stands in a list entry NAME=...
	Line       int
	Default    string // text of ${NAME:-default}, as written
	HasDefault bool
	Required   bool // ${NAME:?}
	Whole      bool // the whole value is this one use

	text string // the whole value it stands in
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
	for _, s := range m.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
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
	slices.Sort(names)
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

// Targets returns the names of the files in /run/secrets under which the
// service finds the secret, sorted; none where it is not granted.
func (s Service) Targets(secret string) []string {
	var targets []string
	for _, g := range s.Grants {
		if g.Secret == secret {
			targets = append(targets, g.Target)
		}
	}
	slices.Sort(targets)
	return targets
}
