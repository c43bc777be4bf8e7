package values

import (
	"bytes"
	"context"
	"errors"
	"sort"
	"time"
	"unicode/utf8"

	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// List tells of every secret what can be told without telling its value.
type List struct {
	Project project.Workspace
	Values  project.SecretStore
	Sources []secrets.Source // in the order of DESIGN section 3
	Now     time.Time

	ComposeFile string
}

// ListResult is the list, sorted by name.
type ListResult struct {
	Secrets []ListRow `json:"secrets"`
}

// State is how a secret stands.
type State string

// The states.
const (
	StateOK       State = "ok"
	StateMissing  State = "missing"  // no source has it
	StateOptional State = "optional" // no source has it, and none must
	StateInvalid  State = "invalid"  // a rule is broken: mage secrets:validate says which
	StateOverdue  State = "overdue"  // older than its rotate_every
	StateOrphan   State = "orphan"   // a file that the manifest does not declare
)

// ListRow is one secret. Age is in seconds, of the file in secrets/; -1 where
// there is none.
type ListRow struct {
	Name     string   `json:"name"`
	Services []string `json:"services"` // those that are granted it
	Source   string   `json:"source"`   // the source that wins on this machine: docker, file, env, default or ""
	Type     string   `json:"type"`
	LastByte string   `json:"lastByte"` // LF, CRLF, blank, text, binary or ""
	Age      int64    `json:"ageSeconds"`
	State    State    `json:"state"`
	Shadows  []string `json:"shadows"` // lower sources that hold another value
}

// Run makes the list. Only a manifest of which no secret can be read is an
// error: what is wrong with a secret stands in its state.
func (u List) Run(context.Context) (ListResult, error) {
	result := ListResult{Secrets: []ListRow{}}
	m, findings, err := project.FindManifest(u.Project, u.ComposeFile)
	if err != nil {
		return result, err
	}
	if len(m.Secrets) == 0 && len(findings) > 0 {
		return result, project.NotValid(m, findings)
	}
	for _, d := range m.Secrets {
		result.Secrets = append(result.Secrets, u.row(m, d))
	}
	names, err := u.Values.Names()
	if err != nil {
		return result, err
	}
	for _, name := range names {
		if _, ok := m.Secret(name); !ok {
			result.Secrets = append(result.Secrets, u.orphan(name))
		}
	}
	sort.Slice(result.Secrets, func(i, j int) bool { return result.Secrets[i].Name < result.Secrets[j].Name })
	return result, nil
}

// row describes a declared secret.
func (u List) row(m *manifest.Manifest, d manifest.Declaration) ListRow {
	row := ListRow{Name: d.Name, Services: append([]string{}, m.GrantedTo(d.Name)...), Type: string(d.Type), Age: -1, Shadows: []string{}}
	found, state := u.resolve(d.Name, &row)
	switch {
	case state != "":
		row.State = state
	case found.Value.IsZero() && d.Optional:
		row.State = StateOptional
	case found.Value.IsZero():
		row.State = StateMissing
	case len(d.Check(found.Value)) > 0:
		row.State = StateInvalid
	default:
		row.State = StateOK
	}
	if _, written, ok, err := project.Stored(u.Values, d.Name); ok && err == nil {
		age := u.Now.Sub(written)
		row.Age = int64(age / time.Second)
		if row.State == StateOK && d.RotateEvery > 0 && age > d.RotateEvery {
			row.State = StateOverdue
		}
	}
	return row
}

// resolve asks the sources in order: the first that has a value wins, later
// ones that hold another are shadowed.
func (u List) resolve(name string, row *ListRow) (secrets.Found, State) {
	var first secrets.Found
	for _, source := range u.Sources {
		found, err := source.Lookup(name)
		switch {
		case errors.Is(err, secrets.ErrAbsent):
		case err != nil:
			return first, StateInvalid
		case row.Source == "":
			first = found
			row.Source, row.LastByte = string(found.Kind), lastByte(found.Value)
		case !found.Value.Equal(first.Value):
			row.Shadows = append(row.Shadows, string(found.Kind))
		}
	}
	return first, ""
}

// orphan describes a file that the manifest does not declare.
func (u List) orphan(name string) ListRow {
	row := ListRow{Name: name, Services: []string{}, Source: string(secrets.KindFile), Age: -1, State: StateOrphan, Shadows: []string{}}
	if value, written, ok, err := project.Stored(u.Values, name); ok && err == nil {
		row.LastByte, row.Age = lastByte(value), int64(u.Now.Sub(written)/time.Second)
	}
	return row
}

// lastByte classes the end of a value: the place where files made by hand go
// wrong.
func lastByte(value secrets.Secret) string {
	b := value.Reveal()
	switch {
	case len(b) == 0:
		return ""
	case bytes.HasSuffix(b, []byte("\r\n")):
		return "CRLF"
	case b[len(b)-1] == '\n':
		return "LF"
	case b[len(b)-1] == ' ' || b[len(b)-1] == '\t':
		return "blank"
	case utf8.Valid(b) && b[len(b)-1] >= ' ' && b[len(b)-1] != 0x7f:
		return "text"
	default:
		return "binary"
	}
}
