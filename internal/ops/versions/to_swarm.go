package versions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	toSwarm   = "secrets:toSwarm"
	maxReason = 200             // bytes
	sayEvery  = 2 * time.Second // how far it is
)

// ToSwarmOptions says from what versions are made.
type ToSwarmOptions struct {
	Source
	Reason string // in the versions' labels and in the record; never a value
	DryRun bool   // say what would be done and do nothing
}

// ToSwarmResult says what ToSwarm did, or with DryRun would do.
type ToSwarmResult struct {
	cluster.Heading
	Source     string       `json:"source"`
	DryRun     bool         `json:"dryRun"`
	Secrets    []ToSwarmRow `json:"secrets"`    // one for each secret that a service is granted
	Undeclared []string     `json:"undeclared"` // what the source has and the compose file does not declare
	Warnings   []string     `json:"warnings"`
}

// ToSwarmRow is one secret's part.
type ToSwarmRow struct {
	Name    string         `json:"name"`
	Change  project.Change `json:"change"`
	Version string         `json:"version,omitempty"` // name in the Swarm of the newest version, as it is afterwards
	Reason  string         `json:"reason,omitempty"`  // why it is ignored
}

// ToSwarm makes a version of each granted secret whose value in the source is new
// or differs from the newest version; none of a value that is there already. It
// checks everything before the first version is made. After a crash it makes what
// is missing.
func (v *Versions) ToSwarm(ctx context.Context, o ToSwarmOptions) (ToSwarmResult, error) {
	g, err := v.Read(ctx, o.Source, o.Reason)
	if err != nil {
		return ToSwarmResult{DryRun: o.DryRun}, err
	}
	return g.ToSwarm(ctx, o.DryRun)
}

// Given is a source of values that was read, once, and whose values keep the rules
// of the compose file.
type Given struct {
	of     *Versions
	state  *project.State
	given  given
	reason string
}

// Read reads a source of values.
func (v *Versions) Read(ctx context.Context, o Source, reason string) (*Given, error) {
	state, err := v.Project.LoadStack(ctx)
	if err != nil {
		return nil, err
	}
	g, err := v.read(ctx, state, o)
	if err != nil {
		return nil, err
	}
	return &Given{v, state, g, reason}, checkReason(reason, g)
}

// Known returns the values, as their versions hold them, for masking.
func (g *Given) Known() []secrets.Known {
	known := make([]secrets.Known, 0, len(g.given.values))
	for _, name := range slices.Sorted(maps.Keys(g.given.values)) {
		known = append(known, secrets.Known{Name: name, Value: g.given.values[name]})
	}
	return known
}

// Versions makes versions as ToSwarm does, and returns those that were made by
// declared name; in a dry run those that would be.
func (g *Given) Versions(ctx context.Context, dryRun bool) (map[string]rollout.Version, error) {
	result, err := g.ToSwarm(ctx, dryRun)
	made := map[string]rollout.Version{}
	for _, row := range result.Secrets {
		if row.Change == project.Created || row.Change == project.Updated {
			made[row.Name] = rollout.Version{Name: row.Version, Stack: result.Stack, Of: row.Name}
		}
	}
	return made, err
}

// ToSwarm makes the versions that the Swarm has not, from the values that were
// read.
func (g *Given) ToSwarm(ctx context.Context, dryRun bool) (ToSwarmResult, error) {
	result := ToSwarmResult{DryRun: dryRun, Source: g.given.name, Undeclared: g.given.undeclared, Warnings: slices.Clone(g.given.notes)}
	made, err := g.toSwarm(ctx, dryRun, &result)
	if err != nil && !dryRun {
		result.unmade(made)
	}
	return result, err
}

// toSwarm is ToSwarm; it returns the names of the versions that it made.
func (g *Given) toSwarm(ctx context.Context, dryRun bool, result *ToSwarmResult) (made []string, err error) {
	key, err := g.of.key()
	if err != nil {
		return nil, err
	}
	s, err := g.of.open(ctx, g.state)
	if err != nil {
		return nil, err
	}
	defer s.close()
	result.Heading = s.Heading
	plan, err := g.of.plan(g.state, g.given, s.State, key)
	result.show(plan, s.State)
	if err != nil {
		return nil, err
	}
	result.Warnings = append(result.Warnings, g.given.fromDevelopment(g.state.Values, plan.environment)...)
	if err := s.TakesValues(); err != nil || dryRun || plan.due() == 0 {
		return nil, err
	}
	err = s.Under(ctx, toSwarm, func(ctx context.Context) error {
		now, err := s.Reload(ctx)
		if err != nil {
			return err
		}
		if plan, err = g.of.plan(g.state, g.given, now, key); err != nil {
			return err
		}
		result.show(plan, now)
		m := maker{session: s, state: now, plan: plan, key: key, reason: g.reason, next: "mage " + toSwarm + " " + g.given.next, rows: result.Secrets}
		made, err = m.make(ctx)
		return err
	})
	return made, err
}

// unmade takes back what the rows of a plan say of versions that were not made.
func (r *ToSwarmResult) unmade(made []string) {
	for n, row := range r.Secrets {
		due := row.Change == project.Created || row.Change == project.Updated
		if due && !slices.Contains(made, row.Version) {
			r.Secrets[n] = ToSwarmRow{Name: row.Name, Change: project.Ignored, Reason: "not made"}
		}
	}
}

// checkReason refuses a reason that is no line of text, or that holds a value.
func checkReason(reason string, g given) error {
	if reason == "" {
		return nil
	}
	var known []secrets.Known
	for name, value := range g.values {
		known = append(known, secrets.Known{Name: name, Value: value})
	}
	problem := ""
	for _, r := range reason {
		if !unicode.IsPrint(r) {
			problem = "holds what cannot be printed"
		}
	}
	switch {
	case len(reason) > maxReason:
		problem = "is longer than " + strconv.Itoa(maxReason) + " bytes"
	case len(redact.New(known).Find([]byte(reason))) > 0:
		problem = "holds the value of a secret; everybody who may use the Swarm could read it"
	}
	if problem == "" {
		return nil
	}
	return &fault.Error{Code: fault.Usage, What: "-reason " + problem, Next: "-reason=\"a line of text\""}
}

// show fills in the rows of a plan.
func (r *ToSwarmResult) show(p plan, s *cluster.State) {
	r.Environment = p.environment
	r.Secrets = r.Secrets[:0]
	taken := s.SecretNames()
	for _, i := range p.items {
		row := ToSwarmRow{Name: i.Name, Change: project.Unchanged, Version: i.newest.Name}
		switch {
		case i.due():
			row.Change, row.Version = project.Created, rollout.VersionName(s.Stack, i.Name, rollout.NextNumber(s.Stack, i.Name, taken))
			if i.there {
				row.Change = project.Updated
			}
		case !i.given && !i.there && !i.Optional:
			row.Change, row.Reason = project.Ignored, i.absent+", and it has no version yet"
		case !i.given:
			row.Change, row.Reason = project.Ignored, i.absent
		case i.there && i.match == fingerprint.Unknown:
			row.Change, row.Reason = project.Ignored, "unknown, for lack of the key that made the version"
		}
		r.Secrets = append(r.Secrets, row)
	}
}

// maker makes the versions of a plan.
type maker struct {
	*session
	state  *cluster.State // as it is under the lock
	plan   plan
	key    fingerprint.Key
	reason string
	next   string
	rows   []ToSwarmRow // as the plan has them
}

// make makes one version after the other, and records them. Several at once would
// gain nothing: a Swarm writes them one after the other.
func (m maker) make(ctx context.Context) (made []string, failed error) {
	total, said := m.plan.due(), time.Now()
	for n, i := range m.plan.items {
		if !i.due() {
			continue
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			m.Cluster.Progress.Say("%d of %d versions made", len(made), total)
		}
		name, err := m.one(ctx, i, m.rows[n].Version)
		if err != nil {
			failed = m.failure(ctx, err, name, len(made), total)
			break
		}
		m.rows[n].Version = name
		made = append(made, name)
	}
	m.record(ctx, made, failed)
	return made, failed
}

// one makes one version, and returns its name. If somebody took the name
// meanwhile it takes the next number, once.
func (m maker) one(ctx context.Context, i item, name string) (string, error) {
	number := rollout.NextNumber(m.state.Stack, i.Name, m.state.SecretNames())
	for try := 0; ; try++ {
		labels := m.plan.labels(m.state, i, strconv.Itoa(number), m.Cluster.By, m.reason, m.key)
		_, err := m.Cluster.Secrets.CreateSecret(ctx, name, labels, i.value)
		if try > 0 || !errors.Is(err, docker.ErrExists) {
			return name, err
		}
		number++
		name = rollout.VersionName(m.state.Stack, i.Name, number)
	}
}

// failure is the error of a version that could not be made.
func (m maker) failure(ctx context.Context, err error, name string, made, total int) error {
	e := &fault.Error{Code: fault.CodeOf(err), What: fmt.Sprintf("%s was not made: %s", name, fault.Text(err)), Next: m.next, Cause: err}
	switch {
	case ctx.Err() != nil:
		e.Code, e.What, e.Cause = stopped(ctx), "stopped before "+name+" was made", ctx.Err()
	case made > 0:
		e.Code = fault.Incomplete
	}
	e.What += fmt.Sprintf("; %d of %d versions are made, and stay", made, total)
	return e
}

// record puts the operation into the stack's record. That it is not there does
// not undo it, but is said.
func (m maker) record(ctx context.Context, made []string, failed error) {
	entry := cluster.Entry{Operation: toSwarm, Environment: m.plan.environment, Outcome: "done", Reason: m.reason, Versions: made}
	if failed != nil {
		entry.Outcome = "incomplete"
	}
	if len(made) > 0 {
		if err := m.state.Record(ctx, entry); err != nil {
			m.Cluster.Progress.Say("%s", fault.Text(err))
		}
	}
}
