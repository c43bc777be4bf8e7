package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Workspace is the directory of the compose file.
type Workspace interface {
	// Read returns a file's bytes; the error matches fs.ErrNotExist where
	// there is none.
	Read(path string) ([]byte, error)
	// Replace puts data in a file's place at once and keeps its mode.
	Replace(path string, data []byte) error
	// Scaffold writes a file that does not exist, and tells whether it did.
	Scaffold(path string, data []byte) (made bool, err error)
	// Key returns the project's key.
	Key() (fingerprint.Key, error)
	// MakeKey makes the key where there is none, and tells whether it did.
	MakeKey() (made bool, err error)
}

// SecretStore is the directory of values, secrets/.
type SecretStore interface {
	Names() ([]string, error)
	// Read returns a value and when it was written; the error matches
	// fs.ErrNotExist where there is none.
	Read(name string) (secrets.Secret, time.Time, error)
	// Write puts all values in place; the caller holds the lock.
	Write(ctx context.Context, values map[string]secrets.Secret) error
	Remove(name string) error
	Lock(ctx context.Context) (unlock func(), err error)
}

// Holders tells which digest of its grants each running service of a project
// was started with, by service. A service that carries none has "".
type Holders interface {
	GrantDigests(ctx context.Context, project string) (map[string]string, error)
}

// composeFiles are the names a manifest is looked for under, in the order of
// the Compose specification.
var composeFiles = [...]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// FindManifest reads the manifest from file, or where file is empty from the
// first of Compose's own names that exists. It returns the findings beside it.
func FindManifest(project Workspace, file string) (*manifest.Manifest, []fault.Finding, error) {
	candidates := composeFiles[:]
	if file != "" {
		candidates = []string{file}
	}
	for _, candidate := range candidates {
		data, err := project.Read(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		parsed, findings := manifest.Parse(candidate, data)
		return parsed, findings, nil
	}
	what := "no compose file here: looked for " + strings.Join(candidates, ", ")
	return nil, nil, &fault.Error{Code: fault.Invalid, What: what, Next: "go to the directory of docker-compose.yml, or set KEEPMUM_COMPOSE_FILE"}
}

// LoadManifest is FindManifest for a use case that goes on only without
// findings.
func LoadManifest(project Workspace, file string) (*manifest.Manifest, error) {
	m, findings, err := FindManifest(project, file)
	if err != nil {
		return nil, err
	}
	if len(findings) > 0 {
		return nil, NotValid(m, findings)
	}
	return m, nil
}

// NotValid is the error of a manifest with findings.
func NotValid(m *manifest.Manifest, findings []fault.Finding) error {
	return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %s", m.File, fault.Count(len(findings), "finding")), Findings: findings, Next: "mend it, then mage secrets:validate"}
}

// Stored returns the value of name and whether there is one.
func Stored(values SecretStore, name string) (value secrets.Secret, written time.Time, ok bool, err error) {
	value, written, err = values.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return value, written, false, nil
	}
	return value, written, err == nil, err
}

// Stale is a running service that holds an older value than secrets/ does.
type Stale struct {
	Service string   `json:"service"`
	Secrets []string `json:"secrets"` // the granted secrets that may be older
}

// StaleServices names the running services that are granted a touched secret
// and whose digest is not that of the values that stand in secrets/ now.
// Without an engine that answers nothing runs here; without a key a service
// counts as stale, for nothing shows that it is not.
func StaleServices(ctx context.Context, project Workspace, holders Holders, m *manifest.Manifest, values SecretStore, touched map[string]bool) []Stale {
	if holders == nil || len(touched) == 0 {
		return nil
	}
	running, err := holders.GrantDigests(ctx, m.Project)
	if err != nil {
		return nil
	}
	key, keyless := project.Key()
	var stale []Stale
	for _, service := range m.Services {
		label, runs := running[service.Name]
		affected := affectedBy(service, touched)
		if !runs || len(affected) == 0 {
			continue
		}
		if keyless == nil {
			if digest, err := ServiceDigest(key, m.Project, service, values); err == nil && digest == label {
				continue
			}
		}
		stale = append(stale, Stale{Service: service.Name, Secrets: affected})
	}
	return stale
}

// affectedBy returns the touched secrets that a service is granted, sorted.
func affectedBy(service manifest.Service, touched map[string]bool) []string {
	affected := map[string]bool{}
	for _, grant := range service.Grants {
		if touched[grant.Secret] {
			affected[grant.Secret] = true
		}
	}
	return slices.Sorted(maps.Keys(affected))
}

// ServiceDigest is the digest of the grants of one service over the values
// that stand in secrets/ now. An optional secret without a file is left out.
func ServiceDigest(key fingerprint.Key, project string, service manifest.Service, values SecretStore) (string, error) {
	var grants []fingerprint.Grant
	for _, g := range service.Grants {
		value, _, ok, err := Stored(values, g.Secret)
		if err != nil {
			return "", err
		}
		if ok {
			grants = append(grants, fingerprint.Grant{Name: g.Secret, Target: g.Target, Value: value})
		}
	}
	return key.GrantsDigest(project, service.Name, grants), nil
}

// ErrContent is the cause of an *Error about a file whose content cannot be a
// value: it is empty or too large. Writing a value there mends it.
var ErrContent = errors.New("the content cannot be a value")

// Modes is what the disk says about secrets/ beside the values.
type Modes interface {
	Path() string
	Exists() bool
	Mode() (fs.FileMode, error)                 // of the directory
	ValueMode(name string) (fs.FileMode, error) // of one value
	Strays() ([]string, error)                  // entries that are no values and no scaffold
}
