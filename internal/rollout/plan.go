package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// Kind is what a step does.
type Kind string

// The kinds, in the order in which a plan has them.
const (
	CreateNetwork Kind = "create network"
	CreateVersion Kind = "create version" // of a secret; its value comes from a named source
	CreateConfig  Kind = "create config"  // a version of one
	CreateService Kind = "create service"
	UpdateService Kind = "update service"
	RemoveService Kind = "remove service"
)

// Step is one change of a Swarm.
type Step struct {
	Kind     Kind     `json:"kind"`
	Name     string   `json:"name"`              // in the Swarm
	Wave     int      `json:"wave,omitempty"`    // of a service, from 1: a wave begins when the one before has converged
	Restarts bool     `json:"restarts"`          // of an update: running tasks are replaced
	Changes  []Change `json:"changes,omitempty"` // of an update

	// Service is what a create or an update sends. A reference in it names a
	// version; its id is empty if an earlier step makes that version.
	Service docker.ServiceSpec `json:"-"`
	Network docker.NetworkSpec `json:"-"`
	Config  docker.ConfigSpec  `json:"-"` // its name is that of the version
	Before  docker.Service     `json:"-"` // of an update or removal: as it was read
}

// Plan is what a deployment does, in order. A dry run prints it, and the executor
// walks it.
type Plan struct {
	Stack     string   `json:"stack"`
	Steps     []Step   `json:"steps"`
	Unchanged []string `json:"unchanged"` // services
	Extra     []string `json:"extra"`     // services of the stack that the file does not have, and that stay
	Notices   []string `json:"notices"`

	// Services are those that the stack has when the plan is done, by name, as the
	// plan wants them.
	Services map[string]docker.ServiceSpec `json:"-"`

	// Waves are those of Services, from 1, also of those that stay as they are.
	Waves map[string]int `json:"-"`

	secrets, configs map[string]string
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Current is a stack and what it can use, as the Swarm has it.
type Current struct {
	Services []docker.Service // of the stack
	Networks []docker.Network // all that the manager sees
	Secrets  []docker.SwarmSecret
	Configs  []docker.SwarmConfig
}

// Options say what a plan may do.
type Options struct {
	Prune bool // remove services that the file does not have

	// Making are the versions of secrets that the plan makes, by declared name.
	Making map[string]Version
}

// Make plans the way from a stack as it is to the stack as it should be. The
// findings are what stands in the way; with findings the plan is not complete.
func Make(want docker.StackSpec, now Current, o Options) (Plan, []fault.Finding) {
	p := planner{want: want, now: now, options: o, plan: Plan{Stack: want.Name, Services: map[string]docker.ServiceSpec{}}}
	p.networks()
	p.secrets()
	p.configs()
	p.services()
	p.plan.secrets, p.plan.configs = names(p.bound), names(p.versions)
	return p.plan, p.findings
}

// names returns the names of versions that are in the Swarm.
func names(versions map[string]Version) map[string]string {
	all := map[string]string{}
	for declared, v := range versions {
		if v.ID != "" {
			all[declared] = v.Name
		}
	}
	return all
}

// planner is one run of Make.
type planner struct {
	want     docker.StackSpec
	now      Current
	options  Options
	plan     Plan
	findings []fault.Finding
	bound    map[string]Version // secrets, by declared name
	versions map[string]Version // configs, by declared name
	names    map[string]string  // networks, by id
}

func (p *planner) refuse(line int, subject, problem, next string) {
	p.findings = append(p.findings, fault.Finding{Line: line, Subject: subject, Problem: problem, Next: next})
}

func (p *planner) notice(format string, args ...any) {
	p.plan.Notices = append(p.plan.Notices, fmt.Sprintf(format, args...))
}

// networks plans the networks that are missing. One that is there must be as the
// file wants it, for a Swarm cannot change a network.
func (p *planner) networks() {
	p.names = map[string]string{}
	there := map[string]docker.Network{}
	for _, n := range p.now.Networks {
		p.names[n.ID] = n.Name
		if old, twice := there[n.Name]; !twice || old.Scope != "swarm" {
			there[n.Name] = n
		}
	}
	for _, n := range p.want.Networks {
		old, ok := there[n.Name]
		if !ok || old.Scope != "swarm" && n.Driver == "overlay" {
			p.plan.Steps = append(p.plan.Steps, Step{Kind: CreateNetwork, Name: n.Name, Network: n})
			continue
		}
		if what := differs(old, n); what != "" {
			p.refuse(0, n.Name, "the network is there with another "+what+", and a Swarm cannot change a network", "deploy:remove "+p.want.Name+" and deploy again, or give the network another name in the file")
		}
	}
	for _, name := range p.want.ExternalNetworks {
		if old, ok := there[name]; !ok {
			p.refuse(p.want.ExternalLines["network "+name], name, "is an external network, and there is none of this name", "docker network create --driver overlay --attachable "+name)
		} else if old.Scope == "local" && name != "host" && name != "bridge" && name != "none" {
			p.refuse(p.want.ExternalLines["network "+name], name, "is a network of one node alone; services of a Swarm need an overlay", "docker network create --driver overlay --attachable NAME, and use that name")
		}
	}
}

// differs names the first property in which a network is not as it should be.
func differs(is docker.Network, want docker.NetworkSpec) string {
	switch {
	case is.Driver == "": // it was made a moment ago, and the Swarm has not allocated it yet
		return ""
	case want.Driver != "" && is.Driver != want.Driver:
		return "driver"
	case is.Attachable != want.Attachable:
		return "attachable"
	case is.Internal != want.Internal:
		return "internal"
	case len(want.Subnets) > 0 && !slices.Equal(slices.Sorted(slices.Values(is.Subnets)), slices.Sorted(slices.Values(want.Subnets))):
		return "subnet"
	}
	for name, value := range want.Options {
		if is.Options[name] != value {
			return "option " + name
		}
	}
	return ""
}

// secrets finds the version that each granted secret means.
func (p *planner) secrets() {
	p.bound = map[string]Version{}
	byName := map[string]docker.SwarmSecret{}
	for _, s := range p.now.Secrets {
		byName[s.Name] = s
	}
	for _, making := range slices.Sorted(maps.Keys(p.options.Making)) {
		p.plan.Steps = append(p.plan.Steps, Step{Kind: CreateVersion, Name: p.options.Making[making].Name})
	}
	for _, s := range p.want.Secrets {
		stack := cmp.Or(s.From, p.want.Name)
		newest, ok := Newest(SecretVersions(stack, p.now.Secrets)[s.Name])
		made, making := p.options.Making[s.Name]
		fixed, isThere := byName[cmp.Or(s.Fixed, s.Name)]
		switch {
		case s.Fixed != "" && isThere:
			p.bound[s.Name] = Version{ID: fixed.ID, Name: fixed.Name}
		case s.Fixed != "":
			p.refuse(s.Line, s.Name, "is the external secret "+s.Fixed+", which is not in the Swarm", "docker secret create "+s.Fixed+" -, or remove name: and make a version: mage secrets:toSwarm -from=DIR")
		case making && s.From == "":
			p.bound[s.Name] = made
		case ok:
			p.bound[s.Name] = newest
		case isThere && fixed.Labels[docker.LabelSecret] == "":
			p.bound[s.Name] = Version{ID: fixed.ID, Name: fixed.Name}
			p.notice("%s has no version: the Swarm secret %s is used as it is; mage secrets:toSwarm -from=DIR makes a version", s.Name, s.Name)
		case s.Optional:
			p.notice("%s is optional and has no version: it is granted to nobody", s.Name)
		case s.From != "":
			p.refuse(s.Line, s.Name, "has no version in the stack "+s.From, "mage secrets:toSwarm -stack="+s.From+" -from=DIR")
		default:
			p.refuse(s.Line, s.Name, "has no version in the Swarm", "mage secrets:toSwarm -from=DIR")
		}
	}
}

// configs plans a version of each config whose content is not there yet.
func (p *planner) configs() {
	p.versions = map[string]Version{}
	data, names := map[string][]byte{}, []string{}
	byName := map[string]docker.SwarmConfig{}
	for _, c := range p.now.Configs {
		data[c.ID], byName[c.Name] = c.Data, c
		names = append(names, c.Name)
	}
	versions := ConfigVersions(p.want.Name, p.now.Configs)
	for _, c := range p.want.Configs {
		i := slices.IndexFunc(versions[c.Name], func(v Version) bool { return string(data[v.ID]) == string(c.Data) })
		if i >= 0 {
			p.versions[c.Name] = versions[c.Name][i]
			continue
		}
		number := NextNumber(p.want.Name, c.Name, names)
		version := Version{Name: VersionName(p.want.Name, c.Name, number), Stack: p.want.Name, Of: c.Name, Number: number}
		if problem := CheckName(version.Name); problem != "" {
			p.refuse(0, c.Name, problem, "give the config or the stack a shorter name")
		}
		spec := docker.ConfigSpec{Name: version.Name, Data: c.Data, Labels: maps.Clone(c.Labels)}
		if spec.Labels == nil {
			spec.Labels = map[string]string{}
		}
		spec.Labels[docker.LabelStack], spec.Labels[docker.LabelConfig], spec.Labels[docker.LabelVersion] = p.want.Name, c.Name, fmt.Sprint(number)
		p.versions[c.Name] = version
		p.plan.Steps = append(p.plan.Steps, Step{Kind: CreateConfig, Name: version.Name, Config: spec})
	}
	for _, name := range p.want.ExternalConfigs {
		if c, ok := byName[name]; ok {
			p.versions[name] = Version{ID: c.ID, Name: c.Name}
		} else {
			p.refuse(p.want.ExternalLines["config "+name], name, "is an external config, and there is none of this name", "docker config create "+name+" FILE")
		}
	}
}

// services plans what becomes of each service, in waves.
func (p *planner) services() {
	before := map[string]docker.Service{}
	for _, s := range p.now.Services {
		before[s.Spec.Name] = s
	}
	waves := Waves(p.want)
	p.plan.Waves = waves
	steps := []Step{}
	for _, want := range p.want.Services {
		spec := p.bind(want)
		old, is := before[want.Name]
		delete(before, want.Name)
		if !is {
			p.plan.Services[want.Name] = spec
			steps = append(steps, Step{Kind: CreateService, Name: want.Name, Wave: waves[want.Name], Service: spec})
			continue
		}
		step, changed := p.update(spec, old)
		p.plan.Services[want.Name] = step.Service
		if !changed {
			p.plan.Unchanged = append(p.plan.Unchanged, want.Name)
			continue
		}
		step.Wave = waves[want.Name]
		steps = append(steps, step)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Or(cmp.Compare(a.Wave, b.Wave), strings.Compare(a.Name, b.Name)) })
	p.plan.Steps = append(p.plan.Steps, steps...)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if !p.options.Prune {
			p.plan.Extra = append(p.plan.Extra, name)
			continue
		}
		p.plan.Steps = append(p.plan.Steps, Step{Kind: RemoveService, Name: name, Before: before[name]})
	}
	slices.Sort(p.plan.Unchanged)
}

// update plans the update of one service, and reports whether there is anything
// to update. What only the engine counts stays as it is.
func (p *planner) update(spec docker.ServiceSpec, old docker.Service) (Step, bool) {
	want := parse(spec.JSON)
	if n := old.Spec.Task.ForceUpdate; n > 0 {
		put(want, float64(n), "TaskTemplate", "ForceUpdate")
		spec = respec(spec, want)
	}
	is, _ := canonical("", p.named(parse(old.Spec.JSON))).(tree)
	should, _ := canonical("", p.named(want)).(tree)
	step := Step{Kind: UpdateService, Name: spec.Name, Service: spec, Before: old, Changes: compare(is, should), Restarts: restarts(is, should)}
	if old.Spec.Mode != spec.Mode {
		p.refuse(0, spec.Name, "is "+old.Spec.Mode+" and should be "+spec.Mode+"; a Swarm cannot change the mode of a service", "docker service rm "+spec.Name+", then deploy again; or give it another name in the file")
	}
	return step, len(step.Changes) > 0
}

// named returns a specification in which networks are called by their names, and
// references by theirs alone: ids say the same twice.
func (p *planner) named(spec tree) tree {
	list, _ := at(spec, "TaskTemplate", "Networks").([]any)
	for _, one := range list {
		if network, ok := one.(tree); ok {
			if name, known := p.names[text(network["Target"])]; known {
				network["Target"] = name
			}
		}
	}
	for _, kind := range []string{"Secret", "Config"} {
		list, _ := at(spec, "TaskTemplate", "ContainerSpec", kind+"s").([]any)
		for _, one := range list {
			if reference, ok := one.(tree); ok {
				delete(reference, kind+"ID")
			}
		}
	}
	return spec
}

// bind replaces the declared names in a service's references by versions. A
// reference to an optional secret without a version goes.
func (p *planner) bind(spec docker.ServiceSpec) docker.ServiceSpec {
	if len(spec.Task.Secrets)+len(spec.Task.Configs) == 0 {
		return spec
	}
	t := parse(spec.JSON)
	p.bindList(t, "Secret", p.bound)
	p.bindList(t, "Config", p.versions)
	return respec(spec, t)
}

func (p *planner) bindList(spec tree, kind string, versions map[string]Version) {
	list, _ := at(spec, "TaskTemplate", "ContainerSpec", kind+"s").([]any)
	var kept []any
	for _, one := range list {
		reference, ok := one.(tree)
		if !ok {
			continue
		}
		version, bound := versions[text(reference[kind+"Name"])]
		if !bound {
			continue // a finding, or optional
		}
		reference[kind+"Name"], reference[kind+"ID"] = version.Name, version.ID
		kept = append(kept, reference)
	}
	if list != nil {
		put(spec, kept, "TaskTemplate", "ContainerSpec", kind+"s")
	}
}

// respec returns the specification that a tree says, or the old one if it says
// none.
func respec(old docker.ServiceSpec, t tree) docker.ServiceSpec {
	data, err := json.Marshal(t)
	if err != nil {
		return old
	}
	spec, err := docker.ParseServiceSpec(data)
	if err != nil {
		return old
	}
	return spec
}

// WithIDs returns a specification whose references have ids, by the names of
// what they mean. A reference that has an id keeps it.
func WithIDs(spec docker.ServiceSpec, secrets, configs map[string]string) docker.ServiceSpec {
	t := parse(spec.JSON)
	changed := false
	for kind, ids := range map[string]map[string]string{"Secret": secrets, "Config": configs} {
		list, _ := at(t, "TaskTemplate", "ContainerSpec", kind+"s").([]any)
		for _, one := range list {
			reference, ok := one.(tree)
			if ok && text(reference[kind+"ID"]) == "" {
				reference[kind+"ID"], changed = ids[text(reference[kind+"Name"])], true
			}
		}
	}
	if !changed {
		return spec
	}
	return respec(spec, t)
}

// WithImage returns a specification with another image.
func WithImage(spec docker.ServiceSpec, image string) docker.ServiceSpec {
	if spec.Task.Image == image {
		return spec
	}
	t := parse(spec.JSON)
	put(t, image, "TaskTemplate", "ContainerSpec", "Image")
	return respec(spec, t)
}

// Waves returns for each service the number of its wave, from 1: one more than
// the highest of those that it depends on.
func Waves(want docker.StackSpec) map[string]int {
	waves := map[string]int{}
	var wave func(name string, depth int) int
	wave = func(name string, depth int) int {
		if n, known := waves[name]; known || depth > len(want.Services) {
			return n
		}
		n := 1
		for other := range want.After[strings.TrimPrefix(name, want.Name+"_")] {
			n = max(n, wave(want.Name+"_"+other, depth+1)+1)
		}
		waves[name] = n
		return n
	}
	for _, s := range want.Services {
		wave(s.Name, 0)
	}
	return waves
}

// Names returns the names in the Swarm of the versions that the plan's services
// use and that are there already, by the names in their stack: of secrets and of
// configs.
func (p Plan) Names() (secrets, configs map[string]string) { return p.secrets, p.configs }

// SameSpec reports whether two specifications of a service mean the same, where
// networks are called by id in one and by name in the other.
func SameSpec(a, b docker.ServiceSpec, networks []docker.Network) bool {
	p := planner{names: map[string]string{}}
	for _, n := range networks {
		p.names[n.ID] = n.Name
	}
	return equal(canonical("", p.named(parse(a.JSON))), canonical("", p.named(parse(b.JSON))))
}

// Back is the step that puts a service back to its previous specification.
func Back(service docker.Service) Step {
	is, _ := canonical("", parse(service.Spec.JSON)).(tree)
	should, _ := canonical("", parse(service.Previous.JSON)).(tree)
	return Step{Kind: UpdateService, Name: service.Spec.Name, Wave: 1, Service: *service.Previous, Before: service, Changes: compare(is, should), Restarts: restarts(is, should)}
}

// restarts reports whether the Swarm replaces the tasks of a service whose
// specification changes like this.
//
// Source: IsTaskDirty of swarmkit's orchestrator.
func restarts(is, should tree) bool {
	return !equal(is["TaskTemplate"], should["TaskTemplate"]) || !equal(is["EndpointSpec"], should["EndpointSpec"])
}
