package stack

import (
	"context"
	"errors"
	"io/fs"
	"sort"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/redact"
)

const (
	legacyFile     = "docker-compose.env.yml"
	stackDeadline  = 5 * time.Minute // from the start of Compose to healthy
	failedLogLines = 20
)

// Ports is an engine that answers, as stack:up needs it.
type Ports struct {
	Engine Engine
	Images images.Store
	Puller images.Puller // nil: nothing is pulled
}

// Up starts the stack and waits until all of it is healthy.
type Up struct {
	Stack
	Modes    project.Modes
	Validate values.Validate // its Project, Values, Modes and files are set from here
	Build    images.Build    // its Project, Store, Puller, Talk and ComposeFile are set from here
	Connect  func(ctx context.Context) (Ports, error)
	Compose  func(ctx context.Context) (Composer, error)
	Ports    HostPorts // nil: published ports are not looked at

	Legacy   bool          // values may come from the .env, by docker-compose.env.yml
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

// UpResult tells what was started.
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

// startPlan is what stack:up knows before it changes anything.
type startPlan struct {
	declared  *manifest.Manifest // docker-compose.yml
	m         *manifest.Manifest // what is started: the same, or docker-compose.env.yml
	project   string
	variables map[string]string
	files     map[string]bool   // secrets whose values stand in files
	digests   map[string]string // by service
	before    map[string]docker.Container
	override  []byte
}

// Run goes through validation, engine, images and preflight before it changes
// a running service, and then starts the stack and waits.
func (u Up) Run(ctx context.Context) (UpResult, error) {
	begun := time.Now()
	result := UpResult{DryRun: u.DryRun, Legacy: u.Legacy, Visible: []string{}, Services: []UpService{}}
	if u.Deadline < 0 {
		return result, &fault.Error{Code: fault.Usage, What: "a deadline in the past: nothing can be healthy by then", Next: "mage stack:up -deadline=90s"}
	}
	plan, err := u.check(ctx, &result)
	if err != nil {
		return result, err
	}
	result.Project = plan.project
	ports, err := u.Connect(ctx)
	if err != nil {
		return result, err
	}
	if err := remoteFiles(plan.declared, ports.Engine.Endpoint()); err != nil {
		return result, err
	}
	if result.Images, err = u.images(ctx, ports); err != nil {
		return result, err
	}
	if result.Images.Postgres != "" {
		plan.variables[images.PostgresVariable] = result.Images.Postgres
	}
	if err := u.preflight(ctx, ports, plan); err != nil {
		return result, err
	}
	if u.DryRun {
		result.Services, result.Seconds = u.wouldDo(plan), time.Since(begun).Seconds()
		return result, nil
	}
	services, err := u.start(ctx, ports.Engine, plan)
	result.Services, result.Seconds = services, time.Since(begun).Seconds()
	if err == nil {
		for _, id := range result.Images.InUse {
			_ = ports.Images.RemoveImage(ctx, id, false) // no container of this stack runs it any more
		}
	}
	return result, err
}

// check validates, and makes the plan as far as files say.
func (u Up) check(ctx context.Context, result *UpResult) (*startPlan, error) {
	declared, variables, err := u.load(u.ComposeFile, nil)
	if err != nil {
		return nil, err
	}
	plan := &startPlan{declared: declared, m: declared, variables: variables, project: u.project(declared), files: map[string]bool{}, digests: map[string]string{}, before: map[string]docker.Container{}}
	validate := u.Validate
	validate.Project, validate.Values, validate.Modes = u.Project, u.Values, u.Modes
	validate.ComposeFile, validate.EnvFile, validate.SkipMissing = u.ComposeFile, u.EnvFile, u.Legacy
	if _, err := validate.Run(ctx); err != nil {
		return nil, u.missing(err)
	}
	for _, d := range declared.Secrets {
		if _, _, ok, err := project.Stored(u.Values, d.Name); err != nil {
			return nil, err
		} else if ok {
			plan.files[d.Name] = true
		}
	}
	if u.Legacy {
		if err := u.checkLegacy(plan, result); err != nil {
			return nil, err
		}
	}
	return plan, u.label(plan)
}

// missing makes the next command of a validation that failed: making the files
// of the .env, where that alone is wrong.
func (u Up) missing(err error) error {
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
		changed.What = "secrets have no files yet, and " + u.envFile() + " has their values"
		changed.Next = "mage secrets:fromEnv, or mage stack:up -legacyEnv for the old way"
	}
	return &changed
}

// checkLegacy makes the plan one for docker-compose.env.yml: what has no file
// comes from the .env, and inspect will show it.
func (u Up) checkLegacy(plan *startPlan, result *UpResult) error {
	m, variables, err := u.load(legacyFile, plan.declared)
	if err != nil {
		return err
	}
	entries, _, err := u.readEnv(plan.declared.Names())
	if err != nil {
		return err
	}
	inEnv := map[string]bool{}
	for _, entry := range entries {
		inEnv[entry.Key] = !entry.Empty
	}
	var findings []fault.Finding
	for _, d := range plan.declared.Secrets {
		switch {
		case plan.files[d.Name]:
			variables[d.Name] = "" // the file wins
		case inEnv[d.Name]:
			result.Visible = append(result.Visible, d.Name)
		case !d.Optional:
			findings = append(findings, fault.Finding{File: u.envFile(), Subject: d.Name, Problem: "no value: neither here nor in secrets/" + d.Name, Next: "mage secrets:set " + d.Name})
		}
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Invalid, What: "the stack cannot be started: secrets have no value", Findings: findings, Next: findings[0].Next}
	}
	sort.Strings(result.Visible)
	if len(result.Visible) > 0 {
		u.Progress.Say("warning: docker inspect, and every process of the containers, will show the values of %s; mage secrets:fromEnv ends that", strings.Join(result.Visible, ", "))
	}
	plan.m, plan.variables = m, variables
	return nil
}

// label makes the digests of the services' grants, and the second compose file.
func (u Up) label(plan *startPlan) error {
	read := u.key
	if u.DryRun {
		read = u.Project.Key
	}
	key, err := read()
	if u.DryRun && errors.Is(err, fs.ErrNotExist) {
		return nil // without a key no container holds a digest of it
	}
	if err != nil {
		return err
	}
	for _, service := range plan.declared.Services {
		if _, ok := plan.m.Service(service.Name); !ok {
			continue
		}
		digest, err := project.ServiceDigest(key, plan.project, service, u.Values)
		if err != nil {
			return err
		}
		plan.digests[service.Name] = digest
	}
	o := newOverride(plan.digests)
	if u.Legacy {
		o.addGrants(plan.declared, func(name string) bool { return plan.files[name] })
	}
	plan.override, err = o.write()
	return err
}

// images builds what changed.
func (u Up) images(ctx context.Context, ports Ports) (images.Result, error) {
	build := u.Build
	build.Project, build.ComposeFile, build.Progress = u.Project, u.ComposeFile, u.Progress
	build.Store, build.Puller, build.DryRun = ports.Images, ports.Puller, u.DryRun
	if named, ok := u.LookupEnv(images.PostgresVariable); ok {
		build.PostgresImage = named
	}
	return build.Run(ctx)
}

// preflight looks at what would make the start fail.
func (u Up) preflight(ctx context.Context, ports Ports, plan *startPlan) error {
	all, err := Containers(ctx, ports.Engine, plan.project)
	if err != nil {
		return err
	}
	running := map[string]bool{}
	for _, c := range all {
		plan.before[c.Service] = c
		running[c.Service] = running[c.Service] || c.State == "running" || c.State == "restarting"
	}
	findings, err := u.ports(ctx, plan.m, running, ports.Engine.Endpoint().Remote)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return &fault.Error{Code: fault.Failed, What: "the stack cannot be started; nothing was changed", Findings: findings, Next: findings[0].Next}
	}
	_, hasProbe, err := ports.Images.Image(ctx, images.ProbeImage)
	if err != nil {
		return err
	}
	named := *plan.declared
	named.Services = append([]manifest.Service(nil), plan.declared.Services...)
	for i, service := range named.Services {
		if started, ok := plan.m.Service(service.Name); ok && started.Image != "" {
			named.Services[i].Image, named.Services[i].User = started.Image, started.User
		}
		if v, ok := images.PostgresVariableUse(plan.m); ok && v.Service == service.Name {
			named.Services[i].Image = plan.variables[images.PostgresVariable]
		}
	}
	return u.readable(ctx, ports.Engine, &named, hasProbe, func(name string) bool { return plan.files[name] })
}

// wouldDo tells for each service what its grants alone would make of it.
func (u Up) wouldDo(plan *startPlan) []UpService {
	var services []UpService
	for _, service := range plan.m.Services {
		s := UpService{Service: service.Name, Action: Unchanged}
		c, ok := plan.before[service.Name]
		switch {
		case !ok:
			s.Action = Created
		case c.Labels[docker.LabelGrants] != plan.digests[service.Name]:
			s.Action, s.State, s.Reason = Recreated, stateOf(c), "it holds an older value"
		default:
			s.State = stateOf(c)
		}
		services = append(services, s)
	}
	return services
}

// composition is the plan as Compose runs it.
func (u Up) composition(plan *startPlan) Composition {
	c := Composition{
		Project: plan.project, Dir: u.Dir, Variables: plan.variables,
		Files: []string{u.path(plan.m.File), u.path(overridePath)},
	}
	if u.Legacy {
		if _, err := u.Project.Read(u.envFile()); !errors.Is(err, fs.ErrNotExist) {
			c.EnvFile = u.path(u.envFile())
		}
	}
	return c
}

// start runs Compose and watches the services until all are ready, one has
// failed, or the context or the deadline ends.
func (u Up) start(ctx context.Context, engine Engine, plan *startPlan) ([]UpService, error) {
	compose, err := u.Compose(ctx)
	if err != nil {
		return nil, err
	}
	known, err := u.Known(plan.declared)
	if err != nil {
		return nil, err
	}
	if _, err := u.Project.Scaffold(overridePath, plan.override); err != nil {
		return nil, err
	}
	if err := u.Project.Replace(overridePath, plan.override); err != nil {
		return nil, err
	}
	deadline := u.Deadline
	if deadline == 0 {
		deadline = stackDeadline
	}
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- compose.Up(limited, u.composition(plan)) }()
	watch := newWatch(u.Progress, engine, plan, redact.New(known))
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
