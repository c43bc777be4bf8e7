// Package stack holds the use cases over a running stack: start it, look at it,
// read its logs, stop it.
//
// [New] makes the use cases for one project; each method reads the compose file
// and the values once, and connects to the engine when it needs it. A log is
// shown only if every value that its container was started with is known, for
// only a known value can be masked.
package stack

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
)

// Engine is what the use cases need of an engine.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	Endpoint() docker.Endpoint
	Containers(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	ContainerLogs(ctx context.Context, id string, opt docker.LogOptions, stdout, stderr io.Writer) error
	RunProbe(ctx context.Context, p docker.Probe) (docker.ProbeResult, error)
}

// Connection is an engine that answers.
type Connection struct {
	Engine Engine
	Images images.Store
	Puller images.Puller // nil: nothing is pulled
	Close  func() error
}

// Composition is one project as a Compose tool runs it.
type Composition struct {
	Project string   // name of the project: the label on everything it makes
	Dir     string   // absolute; relative paths in the files start here
	Files   []string // absolute, the later over the earlier

	// Variables are handed over for interpolation: never a declared secret's
	// value. A declared name may be here with an empty value, which hides what
	// EnvFile says of it.
	Variables map[string]string

	// EnvFile is read by Compose itself; "" keeps it from reading any, also the
	// .env that it would find. If it is set, what Compose says is withheld as far
	// as it could quote a value.
	EnvFile string
}

// Composer starts and stops compositions.
type Composer interface {
	// Up creates and starts what the composition names, and returns when all
	// that others depend on is healthy and the rest is started.
	Up(ctx context.Context, c Composition) error
	// Down stops and removes it; the volumes only if asked.
	Down(ctx context.Context, c Composition, volumes bool) error
}

// HostPorts looks at this machine's ports.
type HostPorts interface {
	// Holder reports whether a port is taken, and by whom as far as that can be
	// known: "" for a holder that cannot be named.
	Holder(ctx context.Context, ip, port, protocol string) (holder string, taken bool, err error)
}

// Config is what the use cases work with.
type Config struct {
	Project  project.Project
	Values   *values.Values // validates before a start
	Connect  func(ctx context.Context) (Connection, error)
	Compose  func(ctx context.Context) (Composer, error)
	Ports    HostPorts            // nil: published ports are not looked at
	Services images.ServiceMaker  // makes the images of the services
	Postgres images.PostgresMaker // makes an image of Postgres; nil: none is made
}

// Stack is the use cases over one project's stack.
type Stack struct{ Config }

// New makes the use cases.
func New(c Config) *Stack { return &Stack{c} }

// open loads the project and connects to the engine. The caller calls close.
func (s *Stack) open(ctx context.Context) (state *project.State, at Connection, closeAll func(), err error) {
	if at, err = s.Connect(ctx); err != nil {
		return nil, at, nil, err
	}
	closeAll = func() {
		if at.Close != nil {
			_ = at.Close()
		}
	}
	if state, err = s.Project.LoadValid(ctx); err != nil {
		closeAll()
		return nil, at, nil, err
	}
	return state, at, closeAll, nil
}

// wrongService is the usage error of a name that no service has.
func wrongService(m *manifest.Manifest, name string) error {
	var names []string
	for _, service := range m.Services {
		names = append(names, service.Name)
	}
	return &fault.Error{Code: fault.Usage, What: fmt.Sprintf("%s has no service %s; it has %s", m.File, fault.Printable(name), strings.Join(names, ", ")), Next: "mage stack:status"}
}
