package wire

import (
	"cmp"
	"context"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/console"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/internal/secretdir"
)

// OverSwarm is what every target over a Swarm takes.
type OverSwarm struct {
	Stack   *string        // else KEEPMUM_STACK, else the compose file's name:
	Context *string        // of the docker command; it wins over DOCKER_HOST and DOCKER_CONTEXT
	Timeout *time.Duration // else that of the target
	File    *string        // else KEEPMUM_SWARM_FILE, else docker-compose.swarm.yml
}

// stack is the name that was asked for, "" for that of the compose file. A name
// that was given and is empty, as of a shell's variable that is not set, is never
// replaced by that of another stack.
func (o OverSwarm) stack() string {
	if o.Stack != nil {
		return *o.Stack
	}
	return os.Getenv("KEEPMUM_STACK")
}

// connect connects to the Swarm's manager.
func (o OverSwarm) connect(ctx context.Context) (manager, error) {
	return openSwarm(ctx, engine.Options{LookupEnv: withContext(Value(o.Context))})
}

// over sets the project up for use cases over a Swarm.
func (t *Tools) over(o OverSwarm) {
	t.Project.Dir, t.Project.LookupEnv = t.dir, os.LookupEnv
	t.Project.SwarmFile = cmp.Or(Value(o.File), os.Getenv("KEEPMUM_SWARM_FILE"))
}

// Limit is the target's deadline, or the standard one.
func (o OverSwarm) Limit(standard time.Duration) time.Duration {
	return cmp.Or(Value(o.Timeout), standard)
}

// Versions is the use cases over the versions of a stack's secrets.
func (t *Tools) Versions(o OverSwarm) *versions.Versions {
	t.over(o)
	return versions.New(versions.Config{
		Project: t.Project,
		Stack:   o.stack(),
		Connect: func(ctx context.Context) (versions.Connection, error) {
			s, err := o.connect(ctx)
			if err != nil {
				return versions.Connection{}, err
			}
			return versions.Connection{Cluster: clusterOver(s, t.Console), Runtime: s, Close: s.Close}, nil
		},
		OpenDir: func(path string) (versions.Directory, error) { return secretdir.Look(path) },
	})
}

// Heading prints the first lines of a plan. A command that ended before it knew
// its Swarm has none.
func Heading(c *console.Console, h cluster.Heading) error {
	if h.Cluster == "" {
		return nil
	}
	return c.Print("%s\n", strings.Join(h.Lines(), "\n"))
}

// manager is a connection to a Swarm's manager.
type manager struct {
	*swarm.Swarm
	engine *engine.Engine
}

// Close closes the connection.
func (m manager) Close() error { return m.engine.Close() }

// openSwarm connects to the manager that the options name.
func openSwarm(ctx context.Context, o engine.Options) (manager, error) {
	e, err := engine.Connect(ctx, o)
	if err != nil {
		return manager{}, err
	}
	return manager{swarm.New(e, swarm.Options{}), e}, nil
}

// clusterOver is the use cases that every command over a Swarm starts from.
func clusterOver(s manager, talk fault.Progress) *cluster.Cluster {
	return cluster.New(cluster.Config{Manager: s, Secrets: s, Configs: s, Progress: talk, By: who()})
}

// withContext is the environment in which a docker context is chosen; that of
// this process if name is empty.
func withContext(name string) func(string) (string, bool) {
	if name == "" {
		return os.LookupEnv
	}
	return func(variable string) (string, bool) {
		switch variable {
		case "DOCKER_HOST":
			return "", false
		case "DOCKER_CONTEXT":
			return name, true
		}
		return os.LookupEnv(variable)
	}
}

// who is who works here: USER@HOST.
func who() string {
	name, host := "somebody", "somewhere"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		host = h
	}
	return name + "@" + host
}

// alone refuses a target that changes a Swarm and shares the command line with
// another one: mage runs targets one after the other, and notices a stray
// argument only after a target has run. args are those of the process; positionals
// is how many the target takes.
func alone(args []string, positionals int) error {
	words := 0
	for i := 0; i < len(args); i++ {
		switch {
		case words == 0 && (args[i] == "-t" || args[i] == "--t"): // mage's own flag, with its value
			i++
		case !strings.HasPrefix(args[i], "-"):
			words++
		}
	}
	if words > positionals+1 {
		return &fault.Error{Code: fault.Usage, What: "a target that changes a Swarm must be alone on the command line; nothing was changed", Next: "run it as a command by itself, with its flags as -flag=value"}
	}
	return nil
}
