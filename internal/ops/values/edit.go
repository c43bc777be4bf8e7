package values

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Edit changes the file of one secret: Set, Generate and Remove share its
// ports.
type Edit struct {
	Project  project.Workspace
	Values   project.SecretStore
	Holders  project.Holders
	Progress fault.Progress

	ComposeFile string
	DryRun      bool
}

// EditResult tells what became of one secret's file.
type EditResult struct {
	Name   string          `json:"name"`
	Change Change          `json:"change"`
	DryRun bool            `json:"dryRun"`
	Stale  []project.Stale `json:"stale"` // running services that hold an older value
}

// Set stores the value that read returns, after the manifest's rules.
func (u Edit) Set(ctx context.Context, name string, read func(context.Context) (secrets.Secret, error)) (EditResult, error) {
	m, d, err := u.find(name)
	if err != nil {
		return EditResult{Name: name}, err
	}
	value, err := read(ctx)
	if err != nil {
		return EditResult{Name: name}, err
	}
	normal, findings := checked(d, value, fault.Finding{})
	if len(findings) > 0 {
		return EditResult{Name: name}, &fault.Error{Code: fault.Invalid, What: "the value breaks " + fault.Count(len(findings), "rule") + " of " + m.File + "; nothing was changed", Findings: findings, Next: "mage secrets:set " + name}
	}
	return u.store(ctx, m, name, normal)
}

// Generate makes a value by the manifest's rule from crypto/rand and stores
// it. A value that is there is replaced only when force is set: what used it
// would stop working.
func (u Edit) Generate(ctx context.Context, name string, force bool) (EditResult, error) {
	m, d, err := u.find(name)
	if err != nil {
		return EditResult{Name: name}, err
	}
	if d.Generate == nil {
		return EditResult{Name: name}, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s:%d: %s has no generate rule: a person must supply it", m.File, d.Line, name), Next: "mage secrets:set " + name}
	}
	_, _, there, err := project.Stored(u.Values, name)
	if err != nil && !errors.Is(err, project.ErrContent) {
		return EditResult{Name: name}, err
	}
	if there && !force {
		return EditResult{Name: name}, &fault.Error{Code: fault.Invalid, What: name + " has a value; a new one locks out what uses the old", Next: "mage secrets:generate " + name + " -force"}
	}
	value, err := NewValue(d, rand.Reader)
	if err != nil {
		return EditResult{Name: name}, err
	}
	return u.store(ctx, m, name, value)
}

// NewValue makes a value by the declaration's rule.
func NewValue(d manifest.Declaration, random io.Reader) (secrets.Secret, error) {
	value, err := d.NewValue(random)
	if err != nil {
		return value, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s: the generate rule makes no value that keeps the other rules", d.Name), Next: "mend the rule at line " + fmt.Sprint(d.Line) + " of the compose file", Cause: err}
	}
	return value, nil
}

// Remove removes the file of a secret. A name that the manifest no longer
// declares may be removed too.
func (u Edit) Remove(ctx context.Context, name string) (EditResult, error) {
	result := EditResult{Name: name, Change: Removed, DryRun: u.DryRun, Stale: []project.Stale{}}
	if err := secrets.ValidName(name); err != nil {
		return result, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "mage secrets:list"}
	}
	_, _, there, err := project.Stored(u.Values, name)
	if err != nil && !errors.Is(err, project.ErrContent) {
		return result, err
	}
	if !there && err == nil {
		result.Change = Unchanged
		return result, nil
	}
	if u.DryRun {
		return result, nil
	}
	unlock, err := u.Values.Lock(ctx)
	if err != nil {
		return result, err
	}
	defer unlock()
	if err := u.Values.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return result, err
	}
	return result, nil
}

// find loads the manifest and the declaration of name.
func (u Edit) find(name string) (*manifest.Manifest, manifest.Declaration, error) {
	m, err := project.LoadManifest(u.Project, u.ComposeFile)
	if err != nil {
		return nil, manifest.Declaration{}, err
	}
	d, err := declared(m, name)
	return m, d, err
}

// store compares, and writes where there is something to write.
func (u Edit) store(ctx context.Context, m *manifest.Manifest, name string, value secrets.Secret) (EditResult, error) {
	result := EditResult{Name: name, DryRun: u.DryRun, Stale: []project.Stale{}}
	old, _, there, err := project.Stored(u.Values, name)
	switch {
	case err != nil && !errors.Is(err, project.ErrContent):
		return result, err
	case !there && err == nil:
		result.Change = Created
	case err == nil && old.Equal(value):
		result.Change = Unchanged
		return result, nil
	default:
		result.Change = Updated
	}
	if u.DryRun {
		return result, nil
	}
	unlock, err := u.Values.Lock(ctx)
	if err != nil {
		return result, err
	}
	defer unlock()
	if err := u.Values.Write(ctx, map[string]secrets.Secret{name: value}); err != nil {
		return result, err
	}
	result.Stale = append(result.Stale, project.StaleServices(ctx, u.Project, u.Holders, m, u.Values, map[string]bool{name: true})...)
	return result, nil
}
