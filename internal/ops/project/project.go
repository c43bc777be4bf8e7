package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// LegacyFile is the compose file of legacy mode, in which values come from the
// .env through the containers' environment.
const LegacyFile = "docker-compose.env.yml"

// swarmFiles are the names that a Swarm file is looked for under.
var swarmFiles = [...]string{"docker-compose.swarm.yml", "docker-compose.swarm.yaml", "compose.swarm.yaml", "compose.swarm.yml"}

// composeFiles are the names a manifest is looked for under, in the order of
// the Compose specification.
var composeFiles = [...]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// Project is a team's project, as a command finds it.
type Project struct {
	Workspace Workspace
	Store     SecretStore
	Progress  fault.Progress

	Name        string                      // of the Compose project; empty: the manifest's
	Dir         string                      // absolute path; needed by the use cases of a stack
	ComposeFile string                      // empty: the first of Compose's own names that exists
	SwarmFile   string                      // empty: docker-compose.swarm.yml, or one of its other names
	EnvFile     string                      // empty: .env
	LookupEnv   func(string) (string, bool) // the environment, for what the compose file interpolates; nil: nothing is interpolated
}

// State is a project at one moment: what its compose file says and what is in
// secrets/.
type State struct {
	Manifest  *manifest.Manifest
	Findings  []fault.Finding   // what is wrong with the compose file
	Variables map[string]string // what the compose file interpolates and is set; never a declared secret
	Values    *Snapshot

	check string // the command that reports the findings
}

// Load reads the compose file and the values, each once. The error says why
// there is nothing to work with; what is wrong with the compose file itself is
// in the state's findings.
func (p Project) Load(ctx context.Context) (*State, error) {
	state, err := p.loadManifest()
	if err != nil {
		return nil, err
	}
	state.Values, err = p.Store.Snapshot(ctx)
	return state, err
}

// LoadValid is Load for a use case that goes on only without findings.
func (p Project) LoadValid(ctx context.Context) (*State, error) {
	state, err := p.Load(ctx)
	if err == nil {
		err = state.Valid()
	}
	return state, err
}

// LoadManifest reads the compose file alone, for a use case that goes on only
// without findings.
func (p Project) LoadManifest() (*State, error) {
	state, err := p.loadManifest()
	if err == nil {
		err = state.Valid()
	}
	return state, err
}

// HasManifest returns an error if there is no compose file that can be read.
func (p Project) HasManifest() error {
	_, err := p.loadManifest()
	return err
}

// LoadLegacy reads the compose file of legacy mode, over the values that state
// has. What the manifest declares as a secret is a secret there too.
func (p Project) LoadLegacy(state *State) (*State, error) {
	declared := func(name string) bool { _, is := state.Manifest.Secret(name); return is }
	legacy, err := p.loadFile([]string{LegacyFile}, manifest.Options{Secret: declared}, "")
	if err != nil {
		return nil, err
	}
	legacy.Values = state.Values
	return legacy, legacy.Valid()
}

// Valid returns an error that holds the findings, nil if there are none.
func (s *State) Valid() error {
	switch {
	case len(s.Findings) == 0:
		return nil
	case len(s.Variables) > 0:
		return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %s, with the variables that are set", s.Manifest.File, fault.Count(len(s.Findings), "finding")), Findings: s.Findings,
			Next: "fix it, or look at " + strings.Join(slices.Sorted(maps.Keys(s.Variables)), ", ") + "; then " + s.check}
	}
	return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %s", s.Manifest.File, fault.Count(len(s.Findings), "finding")), Findings: s.Findings, Next: "fix it, then " + s.check}
}

// ComposeProject returns the name that Compose gives to everything of the
// project.
func (p Project) ComposeProject(m *manifest.Manifest) string {
	switch {
	case p.Name != "":
		return p.Name
	case m.Project != "":
		return m.Project
	}
	return "keepmum"
}

// EnvFileName is the name of the file that Compose would read.
func (p Project) EnvFileName() string {
	if p.EnvFile == "" {
		return ".env"
	}
	return p.EnvFile
}

// Path joins a path of the project to its directory.
func (p Project) Path(name string) string {
	return strings.TrimSuffix(p.Dir, "/") + "/" + strings.TrimPrefix(name, "./")
}

// LoadSwarm reads the file of the stack in a Swarm, in a Swarm's dialect, for a
// use case that goes on only without findings. No value is read.
func (p Project) LoadSwarm() (*State, error) {
	candidates := swarmFiles[:]
	if p.SwarmFile != "" {
		candidates = []string{p.SwarmFile}
	}
	state, err := p.loadFile(candidates, manifest.Options{Swarm: true}, "name it by -file, or set KEEPMUM_SWARM_FILE")
	if err == nil {
		err = state.Valid()
	}
	return state, err
}

// LoadStack reads the manifest, the Swarm file and the values, for the versions of
// a stack's secrets: rules and names are the manifest's, grants are the Swarm
// file's, and a secret that only the Swarm file declares is declared. Either file
// may be missing. In the result, External is a secret whose versions are not this
// stack's.
func (p Project) LoadStack(ctx context.Context) (*State, error) {
	state, err := p.LoadManifest()
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	swarm, err := p.LoadSwarm()
	switch {
	case errors.Is(err, fs.ErrNotExist) && !missing && p.SwarmFile == "":
	case err != nil:
		return nil, err
	case missing:
		state = swarm
		state.Manifest.Secrets = managed(swarm.Manifest.Secrets)
	default:
		state.Manifest.Services = swarm.Manifest.Services
		for _, d := range managed(swarm.Manifest.Secrets) {
			if _, is := state.Manifest.Secret(d.Name); !is {
				state.Manifest.Secrets = append(state.Manifest.Secrets, d)
			}
		}
		slices.SortFunc(state.Manifest.Secrets, func(a, b manifest.Declaration) int { return strings.Compare(a.Name, b.Name) })
	}
	state.Values, err = p.Store.Snapshot(ctx)
	return state, err
}

// managed returns the declarations of a Swarm file, External only where the
// versions are somebody else's.
func managed(declared []manifest.Declaration) []manifest.Declaration {
	declared = slices.Clone(declared)
	for i, d := range declared {
		declared[i].External = d.SwarmName != "" || d.From != ""
	}
	return declared
}

// loadManifest reads and parses the manifest.
func (p Project) loadManifest() (*State, error) {
	candidates := composeFiles[:]
	if p.ComposeFile != "" {
		candidates = []string{p.ComposeFile}
	}
	return p.loadFile(candidates, manifest.Options{}, "")
}

// loadFile reads and parses the first of the files that is there.
func (p Project) loadFile(candidates []string, options manifest.Options, next string) (*State, error) {
	for _, candidate := range candidates {
		data, err := p.Workspace.Read(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return p.parse(candidate, data, options)
	}
	return nil, &fault.Error{Code: fault.Invalid, What: "no compose file here: looked for " + strings.Join(candidates, ", "),
		Next: cmp.Or(next, "go to the directory of docker-compose.yml, or set KEEPMUM_COMPOSE_FILE"), Cause: fs.ErrNotExist}
}

// parse parses a compose file, and asks for the variables that it interpolates:
// first the environment, then the file that Compose would read.
func (p Project) parse(file string, data []byte, options manifest.Options) (*State, error) {
	state := &State{Variables: map[string]string{}, check: "mage secrets:validate"}
	if options.Swarm {
		state.check = "mage deploy:plan"
	}
	env := &lazyEnv{project: p}
	if p.LookupEnv != nil {
		options.Lookup = func(name string) (string, bool) {
			value, set := p.LookupEnv(name)
			if !set {
				value, set = env.lookup(name)
			}
			if set {
				state.Variables[name] = value
			}
			return value, set
		}
	}
	state.Manifest, state.Findings = options.Parse(file, data)
	switch {
	case env.err != nil:
		return nil, env.err
	case len(env.findings) > 0:
		return nil, &fault.Error{Code: fault.Invalid, What: p.EnvFileName() + " sets variables of " + file + " that cannot be read", Findings: env.findings, Next: env.findings[0].Next}
	}
	return state, nil
}

// lazyEnv is the file that Compose would read, read when it is first asked.
type lazyEnv struct {
	project  Project
	read     bool
	data     []byte
	err      error
	findings []fault.Finding
}

// lookup returns what Compose would read as name.
func (e *lazyEnv) lookup(name string) (string, bool) {
	if !e.read {
		e.read = true
		e.data, e.err = e.project.readEnvFile()
	}
	entries, problems := parseEnv(e.project.EnvFileName(), e.data, []string{name})
	for _, problem := range problems {
		if problem.Subject == name {
			e.findings = append(e.findings, problem)
		}
	}
	for _, entry := range entries {
		if entry.Key == name {
			return entry.Value.RevealString(), true
		}
	}
	return "", false
}

// readEnvFile reads the file that Compose would read; nil if there is none.
func (p Project) readEnvFile() ([]byte, error) {
	data, err := p.Workspace.Read(p.EnvFileName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// parseEnv reads a .env, the named keys as Compose does.
func parseEnv(file string, data []byte, asCompose []string) ([]envfile.Entry, []fault.Finding) {
	if data == nil {
		return nil, nil
	}
	// Parse reports a key that is named and that the file does not have.
	assigned := map[string]bool{}
	entries, problems := envfile.Parse(data, envfile.Options{File: file})
	for _, entry := range entries {
		assigned[entry.Key] = true
	}
	for _, problem := range problems {
		assigned[problem.Subject] = true
	}
	named := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(asCompose))), func(key string) bool { return !assigned[key] })
	if len(named) == 0 {
		return entries, problems
	}
	return envfile.Parse(data, envfile.Options{File: file, AsCompose: named})
}

// EnvSecrets returns the declared secrets that the file Compose would read has
// a value for, read as Compose reads them.
func (p Project) EnvSecrets(m *manifest.Manifest) ([]secrets.Known, error) {
	data, err := p.readEnvFile()
	if err != nil {
		return nil, err
	}
	var known []secrets.Known
	entries, _ := parseEnv(p.EnvFileName(), data, m.Names())
	for _, entry := range entries {
		if _, declared := m.Secret(entry.Key); declared && !entry.Empty {
			known = append(known, secrets.Known{Name: entry.Key, Value: entry.Value})
		}
	}
	return known, nil
}

// Known returns every value that the project's services could hold: those in
// secrets/, and those of declared secrets in the file that Compose would read.
func (p Project) Known(state *State) ([]secrets.Known, error) {
	inEnv, err := p.EnvSecrets(state.Manifest)
	if err != nil {
		return nil, err
	}
	return append(state.Values.Known(), inEnv...), nil
}

// Declared returns the declaration of name, or a usage error with the nearest
// thing to do.
func (s *State) Declared(name string) (manifest.Declaration, error) {
	if err := secrets.ValidName(name); err != nil {
		return manifest.Declaration{}, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "mage secrets:list"}
	}
	d, ok := s.Manifest.Secret(name)
	if !ok {
		return d, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s declares no secret %s", s.Manifest.File, name), Next: "add it under secrets: there, or see the names: mage secrets:list"}
	}
	return d, nil
}
