// Package host brings a Docker engine to this machine and examines it.
//
// [Host.Up] makes sure that an engine answers: it connects, and if no engine runs
// here it shows, or with Install runs, the [Plan] that the [Machine] has for it.
// It never touches another engine that DOCKER_HOST or a docker context names.
//
// [Host.Doctor] changes nothing. It checks the connection, the engine and this
// machine, and says for each [Check] that is not OK what to do.
package host

import (
	"context"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// Engine is an engine that answers.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	Endpoint() docker.Endpoint
	Close() error
}

// Machine is this machine.
type Machine interface {
	// Look collects the facts about it.
	Look(ctx context.Context) Facts
	// Plan returns the way to an engine on a machine with these facts.
	Plan(facts Facts) Plan
	// Run runs a step and passes on its output; if it is a daemon, it returns
	// as soon as that is started.
	Run(ctx context.Context, step Step, talk fault.Progress) error
	// Ended returns an error if a daemon that Run started has ended.
	Ended() error
	// FreeDisk returns how many bytes a user may still write below path.
	FreeDisk(path string) (uint64, error)
}

// Facts is what this machine is, as far as an engine on it is concerned.
type Facts struct {
	OS           string   `json:"os"` // Go's word: linux, darwin, windows
	Distribution string   `json:"distribution,omitempty"`
	Version      string   `json:"version,omitempty"`
	Like         []string `json:"like,omitempty"` // distributions that it descends from
	Pretty       string   `json:"pretty,omitempty"`
	Root         bool     `json:"root"`
	User         string   `json:"user,omitempty"`
	WSL          bool     `json:"wsl"`
	Container    string   `json:"container,omitempty"` // docker, podman, lxc …; "" outside containers
	Init         string   `json:"init"`                // systemd, openrc, sysv, none
	Dockerd      string   `json:"dockerd,omitempty"`   // path of an installed engine
	Docker       string   `json:"docker,omitempty"`    // path of the docker command
	Package      string   `json:"package,omitempty"`   // docker.io, docker-ce, moby-engine, snap …
	Service      string   `json:"service,omitempty"`   // systemd's state of the engine's unit; "" if there is none
	Iptables     string   `json:"iptables,omitempty"`  // path
	GroupExists  bool     `json:"groupExists"`         // there is a group docker
	GroupListed  bool     `json:"groupListed"`         // this user is a member in /etc/group
	GroupActive  bool     `json:"groupActive"`         // this process has it
	DpkgBroken   bool     `json:"dpkgBroken"`          // an installation was interrupted
}

// Plan is the way to an engine on this machine.
type Plan struct {
	System    string   // for messages: "Debian GNU/Linux 12"
	Automatic bool     // keepmum may install: Debian or Ubuntu
	Install   []Step   // before Start, if no engine is installed
	Start     []Step   // if one is; empty if a person must do it
	Fallback  *Step    // instead of the daemon of Start, if its storage does not work
	Manual    []string // lines for a person, in addition to the commands
}

// Step is one command of a plan.
type Step struct {
	Args       []string      `json:"args"`
	Why        string        `json:"why"`
	Background bool          `json:"background,omitempty"` // a daemon: it outlives keepmum
	Log        string        `json:"log,omitempty"`        // where a daemon writes
	Deadline   time.Duration `json:"-"`                    // 0: none
	Busy       string        `json:"-"`                    // in its output: another program is at work, so it is tried again
	Seconds    float64       `json:"seconds,omitempty"`    // how long it took, if it was run
}

// String returns the step as a line for a shell.
func (s Step) String() string {
	words := make([]string, len(s.Args))
	for i, arg := range s.Args {
		if words[i] = arg; arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	line := strings.Join(words, " ")
	if s.Background {
		line = "setsid " + line + " </dev/null >>" + s.Log + " 2>&1 &"
	}
	return line
}

// Config configures a [Host].
type Config struct {
	Connect   func(context.Context) (Engine, error)
	Machine   Machine
	LookupEnv func(name string) (string, bool) // for proxy settings; nil: none is set
	Progress  fault.Progress                   // nil: nothing is said
}

// Host is the use cases over this machine. [New] makes it.
type Host struct{ Config }

// New makes the use cases.
func New(c Config) *Host {
	if c.LookupEnv == nil {
		c.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if c.Progress == nil {
		c.Progress = fault.Quiet{}
	}
	return &Host{c}
}

// localSocket reports whether this machine's own engine listens there by
// default.
func localSocket(host string) bool {
	return host == "unix:///var/run/docker.sock" || host == "unix:///run/docker.sock"
}

// firstLine is an error without its findings.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
