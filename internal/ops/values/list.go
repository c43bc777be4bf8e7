package values

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// ListResult is the list, sorted by name.
type ListResult struct {
	Secrets []ListRow `json:"secrets"`
}

// Status is how a secret is doing.
type Status string

// The answers.
const (
	StatusOK       Status = "ok"
	StatusMissing  Status = "missing"  // no source has it
	StatusOptional Status = "optional" // no source has it, and none must
	StatusInvalid  Status = "invalid"  // a rule is broken: mage secrets:validate says which
	StatusOverdue  Status = "overdue"  // older than its rotate_every
	StatusOrphan   Status = "orphan"   // a file that the manifest does not declare
)

// ListRow is one secret.
type ListRow struct {
	Name     string   `json:"name"`
	Services []string `json:"services"`   // those that are granted it
	Source   string   `json:"source"`     // the source that wins on this machine: docker, file, env, default or ""
	Type     string   `json:"type"`       // as declared
	LastByte string   `json:"lastByte"`   // LF, CRLF, blank, text, binary or ""
	Age      int64    `json:"ageSeconds"` // of the file in secrets/; -1 if there is none
	State    Status   `json:"state"`
	Shadows  []string `json:"shadows"` // lower sources that hold another value
}

// List says everything about each secret that can be said without its value.
// Only a manifest of which no secret can be read is an error: what is wrong
// with one secret is in its state.
func (v *Values) List(ctx context.Context) (ListResult, error) {
	result := ListResult{}
	state, err := v.Project.Load(ctx)
	if err != nil {
		return result, err
	}
	if len(state.Manifest.Secrets) == 0 && len(state.Findings) > 0 {
		return result, state.Valid()
	}
	for _, d := range state.Manifest.Secrets {
		result.Secrets = append(result.Secrets, v.row(state, d))
	}
	for _, name := range state.Values.Names() {
		if _, declared := state.Manifest.Secret(name); !declared {
			result.Secrets = append(result.Secrets, v.orphan(name, state.Values.Values[name]))
		}
	}
	slices.SortFunc(result.Secrets, func(a, b ListRow) int { return strings.Compare(a.Name, b.Name) })
	return result, nil
}

// row describes a declared secret.
func (v *Values) row(state *project.State, d manifest.Declaration) ListRow {
	row := ListRow{Name: d.Name, Services: state.Manifest.GrantedTo(d.Name), Type: string(d.Type), Age: -1}
	value, err := v.resolve(state, d.Name, &row)
	switch {
	case err != nil:
		row.State = StatusInvalid
	case value.IsZero() && d.Optional:
		row.State = StatusOptional
	case value.IsZero():
		row.State = StatusMissing
	case len(d.Check(value)) > 0:
		row.State = StatusInvalid
	default:
		row.State = StatusOK
	}
	if file, there := state.Values.Values[d.Name]; there && file.Err == nil {
		age := v.Now().Sub(file.Written)
		row.Age = int64(age / time.Second)
		if row.State == StatusOK && d.RotateEvery > 0 && age > d.RotateEvery {
			row.State = StatusOverdue
		}
	}
	return row
}

// resolve asks the sources in the order of DESIGN section 3: the first that has
// a value wins, later ones that hold another are shadowed. It fills in the row
// what the sources say.
func (v *Values) resolve(state *project.State, name string, row *ListRow) (secrets.Secret, error) {
	var first secrets.Secret
	for _, source := range []secrets.Source{v.Docker, state.Values, v.Env} {
		if source == nil {
			continue
		}
		found, err := source.Lookup(name)
		switch {
		case errors.Is(err, secrets.ErrAbsent):
		case err != nil:
			return first, err
		case row.Source == "":
			first = found.Value
			row.Source, row.LastByte = string(found.Kind), lastByte(found.Value)
		case !found.Value.Equal(first):
			row.Shadows = append(row.Shadows, string(found.Kind))
		}
	}
	return first, nil
}

// orphan describes a file that the manifest does not declare.
func (v *Values) orphan(name string, file project.Value) ListRow {
	row := ListRow{Name: name, Source: string(secrets.KindFile), Age: -1, State: StatusOrphan}
	if file.Err == nil {
		row.LastByte, row.Age = lastByte(file.Secret), int64(v.Now().Sub(file.Written)/time.Second)
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
	}
	return "binary"
}
