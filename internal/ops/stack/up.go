package stack

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	startDeadline  = 5 * time.Minute // from the start of Compose to healthy
	failedLogLines = 20
)

// UpOptions says how a stack is started.
type UpOptions struct {
	Legacy   bool          // values may come from the .env, by [project.LegacyFile]
	DryRun   bool          // check and say what would be done
	Deadline time.Duration // for the services to become healthy; 0: five minutes
}

// Action is what became of a service.
type Action string

// The actions.
const (
	Created   Action = "created"
	Recreated Action = "recreated"
	Started   Action = "started" // it had stopped
	Unchanged Action = "unchanged"
)

// UpResult says what was started.
type UpResult struct {
	Project  string        `json:"project"`
	DryRun   bool          `json:"dryRun"`
	Legacy   bool          `json:"legacy"`
	Visible  []string      `json:"visible"` // legacy: names whose values docker inspect shows
	Services []UpService   `json:"services"`
	Images   images.Result `json:"images"`
	Seconds  float64       `json:"seconds"`
}

// UpService is one service of the result.
type UpService struct {
	Service string  `json:"service"`
	Action  Action  `json:"action"`
	State   string  `json:"state"`   // as in stack:status
	Seconds float64 `json:"seconds"` // from the start of Compose until it was ready
	Reason  string  `json:"reason,omitempty"`
}

// startPlan is what a start knows before it changes anything.
type startPlan struct {
	options   UpOptions
	declared  *project.State     // docker-compose.yml and the values
	m         *manifest.Manifest // what is started: the same, or that of legacy mode
	project   string
	variables map[string]string
	visible   []string
	known     []secrets.Known
	digests   map[string]string // by service
	override  []byte
	before    map[string]docker.Container
}

// inFile reports whether a secret's value is in a file.
func (p *startPlan) inFile(name string) bool {
	_, there := p.declared.Values.Values[name]
	return there
}

// Up starts the stack and waits until all of it is healthy. It goes through
// validation, engine, images and preflight before it changes a running service.
func (s *Stack) Up(ctx context.Context, o UpOptions) (UpResult, error) {
	begun := time.Now()
	result := UpResult{DryRun: o.DryRun, Legacy: o.Legacy}
	if o.Deadline < 0 {
		return result, &fault.Error{Code: fault.Usage, What: "a deadline in the past: nothing can be healthy by then", Next: "mage stack:up -deadline=90s"}
	}
	plan, err := s.plan(ctx, o)
	if err != nil {
		return result, err
	}
	result.Project, result.Visible = plan.project, plan.visible
	at, err := s.Connect(ctx)
	if err != nil {
		return result, err
	}
	if at.Close != nil {
		defer func() { _ = at.Close() }()
	}
	if err := remoteFiles(plan.declared.Manifest, at.Engine.Endpoint()); err != nil {
		return result, err
	}
	if result.Images, err = s.build(ctx, at, plan); err != nil {
		return result, err
	}
	if err := s.preflight(ctx, at, plan); err != nil {
		return result, err
	}
	if o.DryRun {
		result.Services, result.Seconds = wouldDo(plan), time.Since(begun).Seconds()
		return result, nil
	}
	result.Services, err = s.start(ctx, at.Engine, plan)
	result.Seconds = time.Since(begun).Seconds()
	if err == nil {
		for _, id := range result.Images.InUse {
			_ = at.Images.RemoveImage(ctx, id, false) // no container of this stack runs it any more
		}
	}
	return result, err
}

// plan validates, and makes the plan as far as files say.
func (s *Stack) plan(ctx context.Context, o UpOptions) (*startPlan, error) {
	state, err := s.Project.LoadValid(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Values.Check(ctx, state, o.Legacy); err != nil {
		return nil, s.notStartable(err)
	}
	plan := &startPlan{options: o, declared: state, m: state.Manifest, variables: state.Variables, project: s.Project.ComposeProject(state.Manifest)}
	inEnv, err := s.Project.EnvSecrets(state.Manifest)
	if err != nil {
		return nil, err
	}
	plan.known = append(state.Values.Known(), inEnv...)
	if o.Legacy {
		if err := s.planLegacy(plan, inEnv); err != nil {
			return nil, err
		}
	}
	return plan, s.label(plan)
}

// notStartable makes the next command of a validation that failed: making the
// files from the .env, if that alone is wrong.
func (s *Stack) notStartable(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Invalid {
		return err
	}
	fromEnv := len(e.Findings) > 0
	for _, f := range e.Findings {
		fromEnv = fromEnv && f.Next == "mage secrets:fromEnv"
	}
	changed := *e
	changed.What = "the stack cannot be started: " + e.What
	if fromEnv {
		changed.What = "secrets have no files yet, and " + s.Project.EnvFileName() + " has their values"
		changed.Next = "mage secrets:fromEnv, or mage stack:up -legacyEnv for legacy mode"
	}
	return &changed
}

// planLegacy makes the plan one for legacy mode: a value that has no file comes
// from the .env, and inspect will show it.
func (s *Stack) planLegacy(plan *startPlan, known []secrets.Known) error {
	legacy, err := s.Project.LoadLegacy(plan.declared)
	if err != nil {
		return err
	}
	plan.m, plan.variables = legacy.Manifest, legacy.Variables
	file := s.Project.EnvFileName()
	var findings []fault.Finding
	for _, d := range plan.declared.Manifest.Secrets {
		switch {
		case plan.inFile(d.Name):
			plan.variables[d.Name] = "" // the file wins
		case slices.ContainsFunc(known, func(k secrets.Known) bool { return k.Name == d.Name }):
			plan.visible = append(plan.visible, d.Name)
		case !d.Optional:
			findings = append(findings, fault.Finding{File: file, Subject: d.Name, Problem: "no value: neither here nor in secrets/" + d.Name, Next: "mage secrets:set " + d.Name})
		default:
			plan.variables[d.Name] = "" // the .env may hold it in a way that only Compose reads, such as twice
		}
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: "the stack cannot be started: secrets have no value", Findings: findings, Next: findings[0].Next}
	}
	if len(plan.visible) > 0 {
		s.Project.Progress.Say("warning: docker inspect, and every process of the containers, will show the values of %s; mage secrets:fromEnv ends that", strings.Join(plan.visible, ", "))
	}
	return nil
}

// label makes the digests of the services' grants, and the second compose file.
func (s *Stack) label(plan *startPlan) error {
	digests, err := s.Project.Digests(plan.declared, !plan.options.DryRun)
	if err != nil || !digests.Keyed() { // in a dry run; without a key no container holds a digest of it
		return err
	}
	plan.digests = map[string]string{}
	for _, service := range plan.declared.Manifest.Services {
		if _, ok := plan.m.Service(service.Name); !ok {
			continue
		}
		if plan.digests[service.Name], err = digests.Of(service); err != nil {
			return err
		}
	}
	o := newOverride(plan.digests)
	if plan.options.Legacy {
		o.addGrants(plan.declared.Manifest, plan.inFile)
	}
	plan.override, err = o.write()
	return err
}

// build makes the images that changed, and sets which Postgres is used.
func (s *Stack) build(ctx context.Context, at Connection, plan *startPlan) (images.Result, error) {
	named, _ := s.Project.LookupEnv(images.PostgresVariable)
	build := images.New(images.Config{Store: at.Images, Puller: at.Puller, Services: s.Services, Postgres: s.Postgres, Progress: s.Project.Progress})
	result, err := build.Build(ctx, plan.declared.Manifest, images.Options{PostgresImage: named, DryRun: plan.options.DryRun})
	if result.Postgres != "" {
		plan.variables[images.PostgresVariable] = result.Postgres
	}
	return result, err
}

// preflight looks at what would make the start fail.
func (s *Stack) preflight(ctx context.Context, at Connection, plan *startPlan) error {
	all, err := project.ServiceContainers(ctx, at.Engine, plan.project)
	if err != nil {
		return err
	}
	plan.before = map[string]docker.Container{}
	running := map[string]bool{}
	for _, c := range all {
		plan.before[c.Service] = c
		running[c.Service] = running[c.Service] || c.State == "running" || c.State == "restarting"
	}
	findings, err := s.takenPorts(ctx, plan.m, running, at.Engine.Endpoint().Remote)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Failed, What: "the stack cannot be started; nothing was changed", Findings: findings, Next: findings[0].Next}
	}
	return s.readable(ctx, at, plan)
}

// wouldDo says for each service what its grants alone would make of it.
func wouldDo(plan *startPlan) []UpService {
	var services []UpService
	for _, service := range plan.m.Services {
		s := UpService{Service: service.Name, Action: Unchanged}
		c, ok := plan.before[service.Name]
		switch {
		case !ok:
			s.Action = Created
		case c.Labels[docker.LabelGrants] != plan.digests[service.Name]:
			s.Action, s.State, s.Reason = Recreated, c.Status(), "it holds an older value"
		default:
			s.State = c.Status()
		}
		services = append(services, s)
	}
	return services
}

// composition is the plan as Compose runs it.
func (s *Stack) composition(plan *startPlan) Composition {
	c := Composition{
		Project: plan.project, Dir: s.Project.Dir, Variables: plan.variables,
		Files: []string{s.Project.Path(plan.m.File), s.Project.Path(overridePath)},
	}
	if plan.options.Legacy {
		if _, err := s.Project.Workspace.Read(s.Project.EnvFileName()); !errors.Is(err, fs.ErrNotExist) {
			c.EnvFile = s.Project.Path(s.Project.EnvFileName())
		}
	}
	return c
}

// start runs Compose and watches the services until all are ready, one has
// failed, or the context or the deadline ends.
func (s *Stack) start(ctx context.Context, engine Engine, plan *startPlan) ([]UpService, error) {
	compose, err := s.Compose(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Project.Workspace.Scaffold(overridePath, plan.override); err != nil {
		return nil, err
	}
	if err := s.Project.Workspace.Replace(overridePath, plan.override); err != nil {
		return nil, err
	}
	deadline := plan.options.Deadline
	if deadline == 0 {
		deadline = startDeadline
	}
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- compose.Up(limited, s.composition(plan)) }()
	watch := newWatch(s.Project.Progress, engine, plan)
	err = watch.until(limited, ended)
	if err == nil {
		return watch.services(), nil
	}
	late := limited.Err() != nil
	cancel()
	if watch.composing {
		<-ended // it ends within its grace
	}
	return watch.services(), watch.explain(ctx, late, deadline, err)
}
