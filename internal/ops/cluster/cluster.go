package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

// Config is what the use cases work with.
type Config struct {
	Manager  Manager
	Secrets  Secrets
	Configs  Configs
	Progress fault.Progress   // nil: nothing is said
	By       string           // who works here, USER@HOST; it is in versions, lock and record
	Now      func() time.Time // the time of a record; nil: time.Now
}

// Cluster is a Swarm, over a connection to one of its managers.
type Cluster struct{ Config }

// New makes the use cases.
func New(c Config) *Cluster {
	if c.Progress == nil {
		c.Progress = fault.Quiet{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.By = cmp.Or(c.By, "somebody")
	return &Cluster{c}
}

// Heading says which stack of which Swarm is meant. It is the beginning of every
// plan.
type Heading struct {
	Context     string `json:"context"` // name of the docker context, or DOCKER_HOST
	Host        string `json:"host"`    // address of the manager, without a password
	Cluster     string `json:"cluster"` // id of the Swarm
	Environment string `json:"environment"`
	Stack       string `json:"stack"`
}

// Lines are the heading for a person: the first lines of a plan.
func (h Heading) Lines() []string {
	return []string{
		"context      " + h.Context + " (" + h.Host + ")",
		"cluster      " + h.Cluster,
		"environment  " + cmp.Or(h.Environment, "none yet"),
		"stack        " + h.Stack,
	}
}

// State is a stack's secrets and configs at one moment, and those of all other
// stacks.
type State struct {
	Heading
	Versions map[string][]rollout.Version // of the stack, by declared name, the oldest first
	Secrets  []docker.SwarmSecret         // all of the Swarm
	Configs  []docker.SwarmConfig         // all of the Swarm
	Findings []fault.Finding              // the stack's versions disagree about the environment

	cluster *Cluster
}

// Open checks the stack's name and the manager, and reads all secrets and
// configs, each once. The environment is that of the stack's versions, "" if
// there is none or if they disagree.
func (c *Cluster) Open(ctx context.Context, stack string) (*State, error) {
	if err := rollout.CheckStack(stack); err != nil {
		return nil, err
	}
	if problem := rollout.CheckName(recordName(stack, 999_999)); problem != "" {
		return nil, &fault.Error{Code: fault.Usage, What: "the stack's name is too long for its record: " + problem, Next: "the same command with a shorter name"}
	}
	swarm, err := c.Manager.Manager(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := c.Manager.Endpoint()
	s := &State{cluster: c, Heading: Heading{Context: strings.TrimPrefix(endpoint.Source, "context "), Host: endpoint.Host, Cluster: swarm.Cluster, Stack: stack}}
	return s, s.read(ctx)
}

// Reload reads the stack again: under the lock, what counts is what is there now.
func (s *State) Reload(ctx context.Context) (*State, error) {
	now := &State{cluster: s.cluster, Heading: s.Heading}
	return now, now.read(ctx)
}

// TakesValues returns an error unless values may be sent to the manager.
func (s *State) TakesValues() error { return s.cluster.Manager.TakesValues() }

// SecretNames returns the names of all secrets of the Swarm: a new one cannot
// have them.
func (s *State) SecretNames() []string {
	names := make([]string, 0, len(s.Secrets))
	for _, secret := range s.Secrets {
		names = append(names, secret.Name)
	}
	return names
}

// read reads all secrets and configs.
func (s *State) read(ctx context.Context) (err error) {
	if s.Secrets, err = s.cluster.Secrets.Secrets(ctx); err != nil {
		return err
	}
	if s.Configs, err = s.cluster.Configs.Configs(ctx); err != nil {
		return err
	}
	s.Versions = rollout.SecretVersions(s.Stack, s.Secrets)
	s.Environment, s.Findings = environment(s.Stack, s.Versions)
	return nil
}

// environment returns the environment on which a stack's versions agree, or a
// finding that names an example of each.
func environment(stack string, versions map[string][]rollout.Version) (string, []fault.Finding) {
	examples := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		for _, v := range versions[name] {
			if v.Environment != "" && examples[v.Environment] == "" {
				examples[v.Environment] = v.Name
			}
		}
	}
	names := slices.Sorted(maps.Keys(examples))
	switch len(names) {
	case 0:
		return "", nil
	case 1:
		return names[0], nil
	}
	var words []string
	for _, name := range names {
		words = append(words, fmt.Sprintf("%s is of %s", examples[name], fault.Printable(name)))
	}
	return "", []fault.Finding{{Subject: stack, Problem: "its versions are of different environments: " + strings.Join(words, ", "),
		Next: "remove the versions of the wrong environment: docker secret rm NAME"}}
}

// closing returns a context for what must still be done when ctx may have ended:
// it then lasts for limit, and for ten seconds otherwise.
func closing(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		limit = 10 * time.Second
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
