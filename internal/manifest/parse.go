package manifest

import (
	"cmp"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Options are what Parse does not know from the bytes alone.
type Options struct {
	// Environment is what ${NAME} in the compose file stands for. Nil means
	// that no variable is set, so that every default counts. Names of declared
	// secrets are ignored: their values never enter a Manifest.
	Environment map[string]string
}

// Parse reads a compose file as the manifest. file is the name that findings
// give; data is the file's content. The manifest is never nil; no finding means
// that Compose accepts the file and that every rule can be kept. Findings are
// sorted by line.
func Parse(file string, data []byte) (*Manifest, []Finding) {
	return Options{}.Parse(file, data)
}

// Parse reads a compose file as the package's Parse does, with these options.
func (o Options) Parse(file string, data []byte) (*Manifest, []Finding) {
	r := &reader{file: file, manifest: &Manifest{File: file}}
	if !r.readYAML(data) {
		return r.manifest, r.findings
	}
	r.checkTopLevel()
	r.readDeclarations()
	r.environment = o.withoutSecrets(r.manifest)
	r.readVariables()
	r.readServices()
	accepted := r.askCompose()
	r.checkGrants()
	r.checkExposure()
	r.checkReferences()
	r.addBlamed()
	if !accepted && len(r.findings) == 0 {
		r.add(0, "", "Compose does not accept this file, though each part of it alone is fine", "run docker compose config -q to see what it says")
	}
	r.finish()
	return r.manifest, r.findings
}

// withoutSecrets returns the environment without the declared names.
func (o Options) withoutSecrets(m *Manifest) map[string]string {
	environment := maps.Clone(o.Environment)
	for _, name := range m.Names() {
		delete(environment, name)
	}
	return environment
}

// reader is one run of Parse: what was read so far and what was wrong with it.
type reader struct {
	file        string
	environment map[string]string
	stoodIn     map[string]bool // variables that standIn gave a value
	root        *yaml.Node      // the top-level mapping
	model       map[string]any
	manifest    *Manifest
	declared    map[string]bool // secrets by name, also those with findings
	blamed      []blamed        // parts that compose-go refuses
	findings    []Finding
}

// add notes a finding.
func (r *reader) add(line int, subject, problem, next string) {
	r.findings = append(r.findings, Finding{File: r.file, Line: line, Subject: subject, Problem: problem, Next: next})
}

// finish sorts everything, and drops findings that stand there twice.
func (r *reader) finish() {
	m := r.manifest
	slices.SortFunc(m.Secrets, func(a, b Declaration) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Problem, b.Problem))
	})
	r.findings = slices.Compact(r.findings)
}
