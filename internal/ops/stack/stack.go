package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Engine is what the stack's use cases need of an engine.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	Endpoint() docker.Endpoint
	Containers(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	ContainerLogs(ctx context.Context, id string, opt docker.LogOptions, stdout, stderr io.Writer) error
	RunProbe(ctx context.Context, p docker.Probe) (docker.ProbeResult, error)
}

// Stack is the project whose stack is worked on.
type Stack struct {
	Project  project.Workspace
	Values   project.SecretStore
	Progress fault.Progress

	Name        string                      // of the Compose project; empty: the manifest's
	Dir         string                      // absolute path of the project
	ComposeFile string                      // empty: Compose's own names
	EnvFile     string                      // empty: .env
	LookupEnv   func(string) (string, bool) // the environment, for what the compose file interpolates
}

// envFile is the name of the file that Compose would read.
func (s Stack) envFile() string {
	if s.EnvFile == "" {
		return ".env"
	}
	return s.EnvFile
}

// load reads a compose file and the variables that it interpolates, with the
// manifest as these variables make it. A declared secret is never among them.
func (s Stack) load(file string, declared *manifest.Manifest) (*manifest.Manifest, map[string]string, error) {
	m, err := project.LoadManifest(s.Project, file)
	if err != nil {
		return nil, nil, err
	}
	if declared == nil {
		declared = m
	}
	variables, err := s.variables(m, declared)
	if err != nil || len(variables) == 0 {
		return m, variables, err
	}
	data, err := s.Project.Read(m.File)
	if err != nil {
		return nil, nil, err
	}
	filled, found := manifest.Options{Lookup: func(name string) (string, bool) { value, ok := variables[name]; return value, ok }}.Parse(m.File, data)
	if len(found) > 0 {
		return nil, nil, &fault.Error{Code: fault.Invalid, What: m.File + " is not valid with the variables that are set", Findings: found, Next: "look at " + strings.Join(slices.Sorted(maps.Keys(variables)), ", ")}
	}
	return filled, variables, nil
}

// variables returns what the variables of m stand for, by the environment and
// after it by the file that Compose would read.
func (s Stack) variables(m, declared *manifest.Manifest) (map[string]string, error) {
	values := map[string]string{}
	var open []string
	for _, v := range m.Variables {
		if _, secret := declared.Secret(v.Name); secret {
			continue
		}
		if value, ok := s.LookupEnv(v.Name); ok {
			values[v.Name] = value
			continue
		}
		open = append(open, v.Name)
	}
	if len(open) == 0 {
		return values, nil
	}
	entries, problems, err := s.readEnv(open)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range open {
		wanted[name] = true
	}
	for _, entry := range entries {
		if wanted[entry.Key] {
			values[entry.Key] = entry.Value.RevealString()
		}
	}
	var findings []fault.Finding
	for _, p := range problems {
		if wanted[p.Key] {
			findings = append(findings, fault.Finding{File: p.File, Line: p.Line, Subject: p.Key, Problem: p.What, Next: p.Next})
		}
	}
	if len(findings) > 0 {
		return nil, &fault.Error{Code: fault.Invalid, What: s.envFile() + " sets variables of " + m.File + " that cannot be read", Findings: findings, Next: findings[0].Next}
	}
	return values, nil
}

// readEnv reads the file that Compose would read, the named keys as Compose
// does. Where there is none, it holds nothing.
func (s Stack) readEnv(asCompose []string) ([]envfile.Entry, []envfile.Problem, error) {
	data, err := s.Project.Read(s.envFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	// Parse takes it for a mistake when a key is named that the file has not.
	assigned := map[string]bool{}
	entries, problems := envfile.Parse(data, envfile.Options{File: s.envFile()})
	for _, entry := range entries {
		assigned[entry.Key] = true
	}
	for _, problem := range problems {
		assigned[problem.Key] = true
	}
	var named []string
	for _, key := range asCompose {
		if assigned[key] && !slices.Contains(named, key) {
			named = append(named, key)
		}
	}
	entries, problems = envfile.Parse(data, envfile.Options{File: s.envFile(), AsCompose: named})
	return entries, problems, nil
}

// known returns every value that the stack's services could hold: those in
// secrets/, and those of declared secrets in the file that Compose would read.
func (s Stack) Known(m *manifest.Manifest) ([]secrets.Known, error) {
	names, err := s.Values.Names()
	if err != nil {
		return nil, err
	}
	var all []secrets.Known
	for _, name := range names {
		value, _, ok, err := project.Stored(s.Values, name)
		if err != nil && !errors.Is(err, project.ErrContent) {
			return nil, err
		}
		if ok {
			all = append(all, secrets.Known{Name: name, Value: value})
		}
	}
	entries, _, err := s.readEnv(m.Names())
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if _, declared := m.Secret(entry.Key); declared && !entry.Empty {
			all = append(all, secrets.Known{Name: entry.Key, Value: entry.Value})
		}
	}
	return all, nil
}

// key returns the project's key, and makes it where there is none.
func (s Stack) key() (fingerprint.Key, error) {
	made, err := s.Project.MakeKey()
	if err != nil {
		return fingerprint.Key{}, err
	}
	if made {
		s.Progress.Say("made the project's key in .keepmum")
	}
	return s.Project.Key()
}

// project returns the name that Compose gives to what belongs to m.
func (s Stack) project(m *manifest.Manifest) string {
	if s.Name != "" {
		return s.Name
	}
	if m.Project != "" {
		return m.Project
	}
	return "keepmum"
}

// Containers returns the containers of the project's services, sorted by
// service and name. What docker compose run left is none of a service's.
func Containers(ctx context.Context, engine Engine, project string) ([]docker.Container, error) {
	all, err := engine.Containers(ctx, map[string]string{docker.LabelProject: project})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c docker.Container) bool { return c.Labels[docker.LabelOneOff] == "True" })
	sort.Slice(all, func(i, j int) bool {
		if all[i].Service != all[j].Service {
			return all[i].Service < all[j].Service
		}
		return all[i].Name < all[j].Name
	})
	return all, nil
}

// path joins a path of the project to its directory.
func (s Stack) path(name string) string {
	return strings.TrimSuffix(s.Dir, "/") + "/" + strings.TrimPrefix(name, "./")
}

// wrongService is the usage error of a name that no service has.
func wrongService(m *manifest.Manifest, name string) error {
	var names []string
	for _, service := range m.Services {
		names = append(names, service.Name)
	}
	return &fault.Error{Code: fault.Usage, What: fmt.Sprintf("%s has no service %s; it has %s", m.File, fault.Printable(name), strings.Join(names, ", ")), Next: "mage stack:status"}
}
