package ops

import (
	"context"
	"errors"
	"io/fs"
	"sort"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/pkg/redact"
)

const (
	legacyFile     = "docker-compose.env.yml"
	stackDeadline  = 5 * time.Minute // from the start of Compose to healthy
	failedLogLines = 20
)

// StackPorts is an engine that answers, as stack:up needs it.
type StackPorts struct {
	Engine StackEngine
	Images ImageStore
	Puller ImagePuller // nil: nothing is pulled
}

// StackUp starts the stack and waits until all of it is healthy.
type StackUp struct {
	Stack
	Modes    Modes
	Validate Validate    // its Project, Values, Modes and files are set from here
	Build    BuildImages // its Project, Store, Puller, Talk and ComposeFile are set from here
	Connect  func(ctx context.Context) (StackPorts, error)
	Compose  func(ctx context.Context) (Composer, error)
	Ports    HostPorts // nil: published ports are not looked at

	Legacy   bool          // values may come from the .env, by docker-compose.env.yml
	DryRun   bool          // check and say what would be done
	Deadline time.Duration // for the services to become healthy; 0: five minutes
}

// StackAction is what became of a service.
type StackAction string

// The actions.
const (
	StackCreated   StackAction = "created"
	StackRecreated StackAction = "recreated"
	StackStarted   StackAction = "started" // it had stopped
	StackUnchanged StackAction = "unchanged"
)

// StackUpResult tells what was started.
type StackUpResult struct {
	Project  string            `json:"project"`
	DryRun   bool              `json:"dryRun"`
	Legacy   bool              `json:"legacy"`
	Visible  []string          `json:"visible"` // legacy: names whose values docker inspect shows
	Services []StackUpService  `json:"services"`
	Images   BuildImagesResult `json:"images"`
	Seconds  float64           `json:"seconds"`
}

// StackUpService is one service of the result.
type StackUpService struct {
	Service string      `json:"service"`
	Action  StackAction `json:"action"`
	State   string      `json:"state"`   // as in stack:status
	Seconds float64     `json:"seconds"` // from the start of Compose until it was ready
	Reason  string      `json:"reason,omitempty"`
}

// stackPlan is what stack:up knows before it changes anything.
type stackPlan struct {
	declared  *manifest.Manifest // docker-compose.yml
	m         *manifest.Manifest // what is started: the same, or docker-compose.env.yml
	project   string
	variables map[string]string
	files     map[string]bool   // secrets whose values stand in files
	digests   map[string]string // by service
	before    map[string]EngineContainer
	override  []byte
}

// Run goes through validation, engine, images and preflight before it changes
// a running service, and then starts the stack and waits.
func (u StackUp) Run(ctx context.Context) (StackUpResult, error) {
	begun := time.Now()
	result := StackUpResult{DryRun: u.DryRun, Legacy: u.Legacy, Visible: []string{}, Services: []StackUpService{}}
	if u.Deadline < 0 {
		return result, &Error{Class: Usage, What: "a deadline in the past: nothing can be healthy by then", Next: "mage stack:up -deadline=90s"}
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
		plan.variables[PostgresVariable] = result.Images.Postgres
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
		for _, id := range result.Images.inUse {
			_ = ports.Images.RemoveImage(ctx, id, false) // no container of this stack runs it any more
		}
	}
	return result, err
}

// check validates, and makes the plan as far as files say.
func (u StackUp) check(ctx context.Context, result *StackUpResult) (*stackPlan, error) {
	declared, variables, err := u.load(u.ComposeFile, nil)
	if err != nil {
		return nil, err
	}
	plan := &stackPlan{declared: declared, m: declared, variables: variables, project: u.project(declared), files: map[string]bool{}, digests: map[string]string{}, before: map[string]EngineContainer{}}
	validate := u.Validate
	validate.Project, validate.Values, validate.Modes = u.Project, u.Values, u.Modes
	validate.ComposeFile, validate.EnvFile, validate.SkipMissing = u.ComposeFile, u.EnvFile, u.Legacy
	if _, err := validate.Run(ctx); err != nil {
		return nil, u.missing(err)
	}
	for _, d := range declared.Secrets {
		if _, _, ok, err := stored(u.Values, d.Name); err != nil {
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
func (u StackUp) missing(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Class != Invalid {
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
func (u StackUp) checkLegacy(plan *stackPlan, result *StackUpResult) error {
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
	var findings []Finding
	for _, d := range plan.declared.Secrets {
		switch {
		case plan.files[d.Name]:
			variables[d.Name] = "" // the file wins
		case inEnv[d.Name]:
			result.Visible = append(result.Visible, d.Name)
		case !d.Optional:
			findings = append(findings, Finding{File: u.envFile(), Subject: d.Name, Problem: "no value: neither here nor in secrets/" + d.Name, Next: "mage secrets:set " + d.Name})
		}
	}
	if len(findings) > 0 {
		return &Error{Class: Invalid, What: "the stack cannot be started: secrets have no value", Findings: findings, Next: findings[0].Next}
	}
	sort.Strings(result.Visible)
	if len(result.Visible) > 0 {
		u.Talk.Say("warning: docker inspect, and every process of the containers, will show the values of %s; mage secrets:fromEnv ends that", strings.Join(result.Visible, ", "))
	}
	plan.m, plan.variables = m, variables
	return nil
}

// label makes the digests of the services' grants, and the second compose file.
func (u StackUp) label(plan *stackPlan) error {
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
		digest, err := ServiceDigest(key, plan.project, service, u.Values)
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
func (u StackUp) images(ctx context.Context, ports StackPorts) (BuildImagesResult, error) {
	build := u.Build
	build.Project, build.ComposeFile, build.Talk = u.Project, u.ComposeFile, u.Talk
	build.Store, build.Puller, build.DryRun = ports.Images, ports.Puller, u.DryRun
	if named, ok := u.LookupEnv(PostgresVariable); ok {
		build.PostgresImage = named
	}
	return build.Run(ctx)
}

// preflight looks at what would make the start fail.
func (u StackUp) preflight(ctx context.Context, ports StackPorts, plan *stackPlan) error {
	all, err := containers(ctx, ports.Engine, plan.project)
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
		return &Error{Class: Failed, What: "the stack cannot be started; nothing was changed", Findings: findings, Next: findings[0].Next}
	}
	_, hasProbe, err := ports.Images.Image(ctx, ProbeImage)
	if err != nil {
		return err
	}
	named := *plan.declared
	named.Services = append([]manifest.Service(nil), plan.declared.Services...)
	for i, service := range named.Services {
		if started, ok := plan.m.Service(service.Name); ok && started.Image != "" {
			named.Services[i].Image, named.Services[i].User = started.Image, started.User
		}
		if v, ok := postgresVariable(plan.m); ok && v.Service == service.Name {
			named.Services[i].Image = plan.variables[PostgresVariable]
		}
	}
	return u.readable(ctx, ports.Engine, &named, hasProbe, func(name string) bool { return plan.files[name] })
}

// wouldDo tells for each service what its grants alone would make of it.
func (u StackUp) wouldDo(plan *stackPlan) []StackUpService {
	var services []StackUpService
	for _, service := range plan.m.Services {
		s := StackUpService{Service: service.Name, Action: StackUnchanged}
		c, ok := plan.before[service.Name]
		switch {
		case !ok:
			s.Action = StackCreated
		case c.Labels[LabelGrants] != plan.digests[service.Name]:
			s.Action, s.State, s.Reason = StackRecreated, stateOf(c), "it holds an older value"
		default:
			s.State = stateOf(c)
		}
		services = append(services, s)
	}
	return services
}

// composition is the plan as Compose runs it.
func (u StackUp) composition(plan *stackPlan) Composition {
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
func (u StackUp) start(ctx context.Context, engine StackEngine, plan *stackPlan) ([]StackUpService, error) {
	compose, err := u.Compose(ctx)
	if err != nil {
		return nil, err
	}
	known, err := u.known(plan.declared)
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
	watch := newWatch(u.Talk, engine, plan, redact.New(known))
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
