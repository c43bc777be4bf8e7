package convert

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
)

// Options are what Convert does not know from the file.
type Options struct {
	// Stack is the name of the stack.
	Stack string

	// API is the version of the engine's API, such as "1.41", which "" means.
	// What an older one would silently leave out is refused.
	API string

	// Dir is the absolute path of the compose file's directory: relative sources of
	// bind mounts are below it. "" refuses them.
	Dir string

	// ReadFile returns the content of a file of configs or env_file; the path is as
	// in the compose file, so relative to its directory. Nil: no file can be read.
	ReadFile func(path string) ([]byte, error)

	// Lookup returns a variable of the environment, for `environment: [NAME]` and
	// for configs from the environment. Nil: no variable is set.
	Lookup func(name string) (string, bool)
}

// converter is one run of Convert.
type converter struct {
	Options
	m        *manifest.Manifest
	project  *types.Project
	spec     docker.StackSpec
	findings []fault.Finding
	notices  []fault.Finding
}

// Convert returns the stack that a Swarm file describes. findings are what is
// refused; the specification is then not to be used. notices are what has no
// effect in a Swarm and changes nothing that runs. Both are sorted by line. A
// manifest without a Model gives an empty stack: its own findings say why.
func Convert(m *manifest.Manifest, o Options) (spec docker.StackSpec, findings, notices []fault.Finding) {
	c := newConverter(m, o)
	if c.project == nil {
		return c.spec, nil, nil
	}
	c.inspect()
	c.unsetVariables()
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		c.addService(name)
	}
	c.networks()
	c.configs()
	c.secrets()
	c.unused()
	return c.spec, sorted(c.findings), sorted(c.notices)
}

func newConverter(m *manifest.Manifest, o Options) *converter {
	if o.API == "" {
		o.API = "1.41"
	}
	if o.ReadFile == nil {
		o.ReadFile = func(string) ([]byte, error) { return nil, errNoFiles }
	}
	if o.Lookup == nil {
		o.Lookup = func(string) (string, bool) { return "", false }
	}
	return &converter{Options: o, m: m, project: m.Model, spec: docker.StackSpec{Name: o.Stack}}
}

// addService converts one service.
func (c *converter) addService(name string) {
	s := service{c, name, c.project.Services[name]}
	if s.Deploy == nil {
		s.Deploy = &types.DeployConfig{}
	}
	data, err := json.Marshal(s.spec())
	if err != nil {
		s.refuse("it cannot be written as JSON", "report this as a bug of keepmum")
		return
	}
	spec, err := docker.ParseServiceSpec(data)
	if err != nil {
		s.refuse(err.Error(), "report this as a bug of keepmum")
		return
	}
	c.spec.Services = append(c.spec.Services, spec)
	if after := s.after(); len(after) > 0 {
		if c.spec.After == nil {
			c.spec.After = map[string]map[string]string{}
		}
		c.spec.After[name] = after
	}
}

// since reports whether the engine's API is at least 1.minor.
func (c *converter) since(minor int) bool {
	major, rest, _ := strings.Cut(c.API, ".")
	have, err := strconv.Atoi(rest)
	return err == nil && (major == "1" && have >= minor || major > "1")
}

// needs refuses a place that an older API would silently leave out. It reports
// whether the engine's API has it.
func (s service) needs(minor int, what string, path ...string) bool {
	if s.since(minor) {
		return true
	}
	s.refuse(what+" needs an engine with API 1."+strconv.Itoa(minor)+"; this one has "+s.API+" and would leave it out", "remove it, or update the engines", path...)
	return false
}

// scope returns the name in the Swarm of something that the stack makes.
func (c *converter) scope(name string) string { return c.Stack + "_" + name }

// named returns the explicit name: of an entry, "" if it has none. compose-go
// sets one in any case.
func (c *converter) named(section, key, name string) string {
	if name == c.project.Name+"_"+key && !c.m.Declares(section, key, "name") {
		return ""
	}
	return name
}

// refuse adds a finding at a place of the file.
func (c *converter) refuse(subject, problem, next string, path ...string) {
	c.findings = append(c.findings, fault.Finding{File: c.m.File, Line: c.m.LineOf(path...), Subject: subject, Problem: problem, Next: next})
}

// notice adds a notice at a place of the file.
func (c *converter) notice(subject, problem, next string, path ...string) {
	c.notices = append(c.notices, fault.Finding{File: c.m.File, Line: c.m.LineOf(path...), Subject: subject, Problem: problem, Next: next})
}

// entry returns the place of entry i of a list that has n in the model: only if
// the file's list has as many, because short forms can stand for several.
func (c *converter) entry(list []string, i, n int) []string {
	at := func(i int) []string { return append(slices.Clone(list), strconv.Itoa(i)) }
	if c.m.Declares(at(n-1)...) && !c.m.Declares(at(n)...) {
		return at(i)
	}
	return list
}

// labels returns labels of the file with those of the stack. The keys of docker
// and of keepmum cannot be in the file.
func (c *converter) labels(of map[string]string, subject string, path ...string) map[string]string {
	all := map[string]string{docker.LabelNamespace: c.Stack}
	for key, value := range of {
		if docker.Reserved(key) {
			c.refuse(subject, "sets the label "+key+", which docker or keepmum sets", "remove it", path...)
		}
		all[key] = value
	}
	return all
}

// unsetVariables gives a notice for each variable that is replaced by nothing.
func (c *converter) unsetVariables() {
	for _, v := range c.m.Variables {
		if _, set := c.Lookup(v.Name); !set && !v.MayBeUnset {
			c.notices = append(c.notices, fault.Finding{File: c.m.File, Line: v.Line, Subject: v.Name, Problem: "this variable is not set, so nothing stands in its place in " + v.Path, Next: "set it, or write ${" + v.Name + ":?} to require it"})
		}
	}
}

// unused gives a notice for what no service uses and the stack does not make.
func (c *converter) unused() {
	used := map[string]map[string]bool{"networks": {}, "volumes": {}, "configs": {}, "secrets": {}}
	for _, s := range c.project.Services {
		for name := range s.Networks {
			used["networks"][name] = true
		}
		for _, v := range s.Volumes {
			used["volumes"][v.Source] = true
		}
		for _, one := range s.Configs {
			used["configs"][one.Source] = true
		}
		for _, one := range s.Secrets {
			used["secrets"][one.Source] = true
		}
	}
	declared := map[string][]string{
		"networks": slices.Collect(maps.Keys(c.project.Networks)), "volumes": slices.Collect(maps.Keys(c.project.Volumes)),
		"configs": slices.Collect(maps.Keys(c.project.Configs)), "secrets": slices.Collect(maps.Keys(c.project.Secrets)),
	}
	for section, names := range declared {
		for _, name := range names {
			if !used[section][name] && c.m.Declares(section, name) {
				c.notice(name, "no service uses it, so it is not made", "remove it from "+section+":", section, name)
			}
		}
	}
}

// sorted returns findings by line, each once.
func sorted(findings []fault.Finding) []fault.Finding {
	slices.SortStableFunc(findings, func(a, b fault.Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Problem, b.Problem))
	})
	return slices.Compact(findings)
}
