package manifest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/keepmum/keepmum/internal/fault"
	"go.yaml.in/yaml/v4"
)

// Options are what Parse does not know from the bytes alone.
type Options struct {
	// Lookup returns the value of a variable that the file interpolates, and
	// whether it is set. It is asked once for each variable, in the order of
	// their names, and never for a declared secret. Nil: no variable is set, so
	// every default counts.
	Lookup func(name string) (string, bool)

	// Secret reports whether a name is a secret that another file declares:
	// Lookup is not asked for it either. Nil: there is none.
	Secret func(name string) bool

	// Swarm reads the file in the dialect of a Swarm, as docker-compose.swarm.yml
	// and other people's stack files are written: see the package comment.
	Swarm bool
}

// Parse reads a compose file as the manifest. file is the name that findings
// give; data is the file's content. The manifest is never nil; no finding means
// that Compose accepts the file and that every rule can be kept. Findings are
// sorted by line.
func Parse(file string, data []byte) (*Manifest, []fault.Finding) {
	return Options{}.Parse(file, data)
}

// Parse reads a compose file as the package's Parse does, with these options.
func (o Options) Parse(file string, data []byte) (*Manifest, []fault.Finding) {
	r := &reader{file: file, swarm: o.Swarm, manifest: &Manifest{File: file}}
	if !r.readYAML(data) {
		return r.manifest, r.findings
	}
	r.manifest.root = r.root
	r.checkTopLevel()
	r.readDeclarations()
	r.readVariables()
	r.lookUp(o)
	r.readServices()
	refused := r.askCompose()
	r.checkGrants()
	r.checkExposure()
	r.checkReferences()
	if r.swarm {
		r.checkSwarm()
	}
	if r.blame(refused); refused != nil && len(r.findings) == 0 {
		r.add(0, "", "Compose does not accept this file, though each part of it alone is fine", "run docker compose config -q to see why")
	}
	r.finish()
	return r.manifest, r.findings
}

// lookUp asks for the variables that the file uses and are not secrets.
func (r *reader) lookUp(o Options) {
	r.environment = map[string]string{}
	if o.Lookup == nil {
		return
	}
	names := map[string]bool{}
	for _, v := range r.manifest.Variables {
		names[v.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if r.declared[name] || r.sources[name] || o.Secret != nil && o.Secret(name) {
			continue
		}
		if value, set := o.Lookup(name); set {
			r.environment[name] = value
		}
	}
}

// reader is one run of Parse: what it has read and found so far.
type reader struct {
	file        string
	environment map[string]string
	stoodIn     map[string]bool // variables that standIn made up a value for
	root        *yaml.Node      // the top-level mapping
	model       map[string]any
	manifest    *Manifest
	declared    map[string]bool // secrets by name, also those with findings
	sources     map[string]bool // variables from which a secret of a Swarm file says that it comes
	swarm       bool
	findings    []fault.Finding

	extendsElsewhere bool // a service extends one of another file
}

// add adds a finding.
func (r *reader) add(line int, subject, problem, next string) {
	r.findings = append(r.findings, fault.Finding{File: r.file, Line: line, Subject: subject, Problem: problem, Next: next})
}

// section returns the entries of a top-level key.
func (r *reader) section(key string) []field {
	value, _ := get(r.root, key)
	return fields(value)
}

// finish sorts everything and drops duplicate findings.
func (r *reader) finish() {
	m := r.manifest
	slices.SortFunc(m.Secrets, func(a, b Declaration) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.findings, func(a, b fault.Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Problem, b.Problem))
	})
	r.findings = slices.Compact(r.findings)
}
