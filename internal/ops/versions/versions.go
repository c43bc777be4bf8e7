// Package versions holds the use cases over the versions of a stack's secrets in
// a Swarm: make them from a directory or a .env, compare them, and say where they
// are used, how they came about and which are due.
//
// [New] makes the use cases for one project. Each method reads the compose file
// and the values once, checks everything that needs no Swarm, connects, reads the
// secrets of the Swarm once, and only then changes anything. No result holds a
// value.
//
// Values cannot be read back from a Swarm. Whether a version holds a value is
// known by its fingerprint, which needs the project's key: without the key that
// made it, the answer is unknown, and nothing is changed.
package versions

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/rollout"
)

// Runtime is what runs in a Swarm. Its methods are those of the ports of package
// deploy.
type Runtime interface {
	Services(ctx context.Context) ([]docker.Service, error)
	Tasks(ctx context.Context, services ...string) ([]docker.Task, error)
	Nodes(ctx context.Context) ([]docker.Node, error)
}

// Directory is a directory of values.
type Directory interface {
	Snapshot(ctx context.Context) (*project.Snapshot, error)
	Close() error
}

// Connection is a connection to a manager.
type Connection struct {
	Cluster *cluster.Cluster
	Runtime Runtime
	Close   func() error // nil: there is nothing to close
}

// Config is what the use cases work with.
type Config struct {
	Project project.Project
	Stack   string                                        // "": the compose file's name:
	Connect func(ctx context.Context) (Connection, error) // to the manager that is meant
	OpenDir func(path string) (Directory, error)          // a directory that the user named; it changes nothing there
	Now     func() time.Time                              // nil: time.Now
}

// Versions is the use cases over the versions of one project's stack.
type Versions struct{ Config }

// New makes the use cases.
func New(c Config) *Versions {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Versions{c}
}

// need is a secret that is declared, and who is granted it.
type need struct {
	manifest.Declaration
	services []string
}

// declared returns the secrets of the stack by name. What somebody else manages
// has no versions and is left out.
func declared(state *project.State) []need {
	var needs []need
	for _, d := range state.Manifest.Secrets {
		if !d.External {
			needs = append(needs, need{d, state.Manifest.GrantedTo(d.Name)})
		}
	}
	return needs
}

// session is a stack of a Swarm, as a command found it.
type session struct {
	*cluster.State
	Connection
}

// open connects and reads the stack. Close the session.
func (v *Versions) open(ctx context.Context, state *project.State) (*session, error) {
	stack := v.Stack
	if stack == "" && state != nil {
		stack = state.Manifest.Project
	}
	if err := rollout.CheckStack(stack); err != nil {
		return nil, err
	}
	connection, err := v.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Connection: connection}
	if s.State, err = connection.Cluster.Open(ctx, stack); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// look is open for a question that needs the compose file only for the stack's
// name.
func (v *Versions) look(ctx context.Context) (*session, error) {
	if v.Stack != "" {
		return v.open(ctx, nil)
	}
	state, err := v.Project.LoadStack(ctx)
	if err != nil {
		return nil, err
	}
	return v.open(ctx, state)
}

func (s *session) close() {
	if s.Connection.Close != nil {
		_ = s.Connection.Close()
	}
}

// key returns the project's key; the zero key if there is none.
func (v *Versions) key() (fingerprint.Key, error) {
	key, _, err := v.Project.Workspace.Key(false)
	if errors.Is(err, fs.ErrNotExist) {
		return fingerprint.Key{}, nil
	}
	return key, err
}

// invalid is the error of findings, which are all that there are.
func invalid(what string, findings []fault.Finding, next string) error {
	return &fault.Error{Code: fault.Invalid, What: what, Findings: findings, Next: cmp.Or(next, findings[0].Next)}
}
