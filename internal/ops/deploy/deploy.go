package deploy

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/execute"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Swarm is a connection to a Swarm's manager, for one stack.
type Swarm struct {
	Cluster  *cluster.Cluster
	Configs  cluster.Configs
	Services execute.Services
	Tasks    execute.Tasks
	Networks execute.Networks
	Fleet    Fleet
	Volumes  Volumes
	API      string // version of the engine's API that is spoken
	Close    func() error
}

// Converter makes the specifications of a stack from its compose file. The
// findings are what the file asks for and a Swarm cannot do; the notices, what
// has no effect there.
type Converter func(m *manifest.Manifest, stack, api string) (spec docker.StackSpec, findings, notices []fault.Finding)

// Renderer makes the file that docker stack deploy takes. The names of versions
// are by declared name; a config without one is written with its content's file.
type Renderer func(m *manifest.Manifest, stack, api string, secrets, configs map[string]string) ([]byte, error)

// Source is a directory of values that was read.
type Source interface {
	// Known returns the values, as their versions hold them.
	Known() []secrets.Known
	// Versions makes the versions that the Swarm has not, as secrets:toSwarm does,
	// and returns them by declared name; in a dry run those that it would make.
	Versions(ctx context.Context, dryRun bool) (map[string]rollout.Version, error)
}

// Config is what the use cases work with.
type Config struct {
	Project project.Project // of the Swarm file and the manifest
	Stack   string          // "": the name of the manifest's project
	Connect func(ctx context.Context) (Swarm, error)
	Convert Converter
	Render  Renderer

	// Source reads a directory of values, once. Nil: values are not looked at.
	Source func(ctx context.Context, from, reason string) (Source, error)

	Clock func() time.Duration // monotonic; nil: time since New
	Every time.Duration        // between two looks at the tasks; 0: 250 ms
}

// Deploy is the use cases over one stack.
type Deploy struct{ Config }

// New makes the use cases.
func New(c Config) *Deploy {
	if c.Clock == nil {
		begun := time.Now()
		c.Clock = func() time.Duration { return time.Since(begun) }
	}
	if c.Every == 0 {
		c.Every = 250 * time.Millisecond
	}
	return &Deploy{c}
}

// Options say how a stack is deployed.
type Options struct {
	Adopt       bool          // take over a stack that keepmum did not deploy
	Prune       bool          // remove services that the file does not have
	AllowOutage bool          // update also what cannot be updated without an outage
	ShowLogs    bool          // show logs of failed tasks also where masking is not certain
	From        string        // a directory of values: versions are made of those that are new, and logs can be masked; "": none
	Reason      string        // for the record
	Timeout     time.Duration // for all to converge; 0: five minutes
	DryRun      bool          // plan, and change nothing
}

// Result says what a deployment did, or would do.
type Result struct {
	cluster.Heading
	Plan rollout.Plan `json:"plan"`
	execute.Result
	Seconds float64 `json:"seconds"`
}

// session is one command over the stack: what it read, and the connection.
type session struct {
	*Deploy
	Swarm
	options Options
	file    *project.State // of the Swarm file
	state   *cluster.State
	want    docker.StackSpec
	now     rollout.Current
	all     []docker.Service // of every stack
	nodes   []docker.Node
	plan    rollout.Plan
	notices []string
	source  Source                     // nil: none is named
	making  map[string]rollout.Version // those that are to be made from the source
	given   []secrets.Known            // values of the source that can be masked
	onward  string                     // the command that goes on after a signal; "": the same one
	before  map[string]string          // digests of the specifications that the plan changes, by service
}

// check refuses options that cannot be meant.
func (o Options) check() error {
	if o.Timeout < 0 {
		return &fault.Error{Code: fault.Usage, What: "a deadline in the past: nothing can have converged by then", Next: "the same command with -timeout=5m"}
	}
	return nil
}

// flags are those of a plan that the deployment of it needs as well.
func (o Options) flags() string {
	words := ""
	if o.From != "" {
		words += " -from=" + o.From
	}
	if o.Adopt {
		words += " -adopt"
	}
	if o.Prune {
		words += " -prune"
	}
	return words
}

// open connects, and reads the Swarm file and the stack. Everything that is
// wrong with the file is in the error.
func (d *Deploy) open(ctx context.Context, o Options) (*session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &session{Deploy: d, options: o}
	var err error
	if s.file, err = d.Project.LoadSwarm(); err != nil {
		return nil, d.refused(s.file, err)
	}
	stack, err := d.stack()
	if err != nil {
		return nil, err
	}
	if err := s.readSource(ctx); err != nil {
		return nil, err
	}
	if s.Swarm, err = d.Connect(ctx); err != nil {
		return nil, err
	}
	if err := s.read(ctx, stack); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// refused adds to the findings of a file what no Swarm can do, so that all are said
// at once. What depends on the engine is not among them.
func (d *Deploy) refused(file *project.State, err error) error {
	if file == nil || len(file.Findings) == 0 {
		return err
	}
	_, more, _ := d.Convert(file.Manifest, "stack", newestAPI)
	file.Findings = append(file.Findings, more...)
	slices.SortStableFunc(file.Findings, func(a, b fault.Finding) int { return cmp.Compare(a.Line, b.Line) })
	return file.Valid()
}

// newestAPI is that of an engine that has everything.
const newestAPI = "1.999"

// readSource reads the source that is named. A value that is too short to be masked
// does not count as known: a log with it is withheld.
func (s *session) readSource(ctx context.Context) (err error) {
	if s.options.From == "" || s.Source == nil {
		return nil
	}
	if s.source, err = s.Source(ctx, s.options.From, s.options.Reason); err != nil {
		return err
	}
	known := s.source.Known()
	short := redact.New(known).Unmasked()
	s.given = slices.DeleteFunc(known, func(k secrets.Known) bool { return slices.Contains(short, k.Name) })
	return nil
}

func (s *session) close() {
	if s.Close != nil {
		_ = s.Close()
	}
}

// stack returns the stack's name: the one that was asked for, else that of the
// manifest's project.
func (d *Deploy) stack() (string, error) {
	name := d.Stack
	if name == "" {
		state, err := d.Project.LoadManifest()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err == nil {
			name = state.Manifest.Project
		}
	}
	return name, rollout.CheckStack(name)
}

// read converts the file and reads what the Swarm has.
func (s *session) read(ctx context.Context, stack string) error {
	var err error
	if s.state, err = s.Cluster.Open(ctx, stack); err != nil {
		return err
	}
	if err := s.convert(stack); err != nil {
		return err
	}
	return s.readSwarm(ctx)
}

// convert makes the specifications of the file.
func (s *session) convert(stack string) error {
	want, findings, notices := s.Convert(s.file.Manifest, stack, s.API)
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: s.file.Manifest.File + " has " + fault.Count(len(findings), "field") + " that a Swarm cannot honour", Findings: findings, Next: "change them, then mage deploy:plan"}
	}
	s.want, s.notices = want, nil
	for _, n := range notices {
		s.notices = append(s.notices, n.String())
	}
	return nil
}

// readSwarm reads what the Swarm has now.
func (s *session) readSwarm(ctx context.Context) error {
	s.now = rollout.Current{Secrets: s.state.Secrets, Configs: s.state.Configs}
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.all, err = s.Swarm.Services.Services(inGroup)
		return err
	})
	group.Go(func() (err error) {
		s.now.Networks, err = s.Swarm.Networks.Networks(inGroup)
		return err
	})
	group.Go(func() (err error) {
		s.nodes, err = s.Fleet.Nodes(inGroup)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, service := range s.all {
		if service.Spec.Labels[docker.LabelNamespace] == s.want.Name {
			s.now.Services = append(s.now.Services, service)
		}
	}
	return nil
}

// makePlan plans, and checks all that can be known before the first change.
func (s *session) makePlan(ctx context.Context) error {
	images, err := s.resolveImages(ctx)
	if err != nil {
		return err
	}
	plan, findings := rollout.Make(s.want, s.now, rollout.Options{Prune: s.options.Prune, Making: s.making})
	plan.Notices = append(slices.Clone(s.notices), plan.Notices...)
	s.plan = plan
	findings = slices.Concat(s.state.Findings, s.inFile(findings), images, s.preflight(ctx))
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: s.want.Name + " cannot be deployed: " + fault.Count(len(findings), "problem") + "; nothing was changed", Findings: findings, Next: findings[0].Next}
	}
	return nil
}

// makeFirstPlan is makePlan with the versions that are to be made.
func (s *session) makeFirstPlan(ctx context.Context) (err error) {
	if s.source != nil {
		if s.making, err = s.source.Versions(ctx, true); err != nil {
			return err
		}
	}
	return s.makePlan(ctx)
}

// inFile names the file of findings that have a line of it.
func (s *session) inFile(findings []fault.Finding) []fault.Finding {
	for i, f := range findings {
		if f.File == "" && f.Line > 0 {
			findings[i].File = s.file.Manifest.File
		}
	}
	return findings
}

// result is what is known of a command that carried nothing out.
func (s *session) result(outcome execute.Outcome) Result {
	return Result{Heading: s.state.Heading, Plan: s.plan, Result: execute.Result{Outcome: outcome}}
}

// refused is the result of a command that found out nothing.
func refused() Result { return Result{Result: execute.Result{Outcome: execute.Refused}} }

// Plan says what a deployment would do. Its error has the code fault.Pending if
// that is anything.
func (d *Deploy) Plan(ctx context.Context, o Options) (Result, error) {
	s, err := d.open(ctx, o)
	if err != nil {
		return refused(), err
	}
	defer s.close()
	return s.planned(ctx)
}

// planned plans, and returns the plan as the result.
func (s *session) planned(ctx context.Context) (Result, error) {
	err := s.makeFirstPlan(ctx)
	result := s.result(execute.Planned)
	if err == nil && s.plan.Empty() {
		result.Outcome = execute.Unchanged
		return result, nil
	}
	if err == nil {
		err = &fault.Error{Code: fault.Pending, What: fault.Count(len(s.plan.Steps), "change") + " due", Next: "mage deploy:swarm" + s.options.flags()}
	}
	return result, err
}

// Rendered returns the file that docker stack deploy takes, with the newest
// versions.
func (d *Deploy) Rendered(ctx context.Context) ([]byte, error) {
	s, err := d.open(ctx, Options{})
	if err != nil {
		return nil, err
	}
	defer s.close()
	plan, findings := rollout.Make(s.want, s.now, rollout.Options{})
	if len(findings) > 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: "the file cannot be rendered", Findings: s.inFile(findings), Next: findings[0].Next}
	}
	secrets, configs := plan.Names()
	return s.Render(s.file.Manifest, s.want.Name, s.API, secrets, configs)
}
