package values

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// EditResult says what became of one secret's file.
type EditResult struct {
	Name   string                 `json:"name"`
	Change project.Change         `json:"change"`
	DryRun bool                   `json:"dryRun"`
	Stale  []project.StaleService `json:"stale"` // running services that hold an older value
}

// Set stores the value that read returns, after the manifest's rules.
func (v *Values) Set(ctx context.Context, name string, read func(context.Context) (secrets.Secret, error), dryRun bool) (EditResult, error) {
	state, d, err := v.declared(ctx, name)
	if err != nil {
		return EditResult{Name: name}, err
	}
	value, err := read(ctx)
	if err != nil {
		return EditResult{Name: name}, err
	}
	normal, findings := checked(d, value, fault.Finding{})
	if len(findings) > 0 {
		return EditResult{Name: name}, &fault.Error{Code: fault.Invalid, What: "the value breaks " + fault.Count(len(findings), "rule") + " of " + state.Manifest.File + "; nothing was changed", Findings: findings, Next: "mage secrets:set " + name}
	}
	return v.store(ctx, state, name, normal, dryRun, func(*project.Snapshot) error { return nil })
}

// Generate makes a value by the manifest's rule from crypto/rand and stores it.
// With force it replaces a value that is there; services that use the old one
// then stop working until they get the new one.
func (v *Values) Generate(ctx context.Context, name string, force, dryRun bool) (EditResult, error) {
	state, d, err := v.declared(ctx, name)
	if err != nil {
		return EditResult{Name: name}, err
	}
	if d.Generate == nil {
		return EditResult{Name: name}, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s:%d: %s has no generate rule: a person must supply it", state.Manifest.File, d.Line, name), Next: "mage secrets:set " + name}
	}
	free := func(now *project.Snapshot) error {
		there, err := readable(now, name)
		if err == nil && there && !force {
			err = &fault.Error{Code: fault.Invalid, What: name + " already has a value; replacing it breaks services that still use the old one", Next: "mage secrets:generate " + name + " -force"}
		}
		return err
	}
	if err := free(state.Values); err != nil {
		return EditResult{Name: name}, err
	}
	value, err := Generated(d, rand.Reader)
	if err != nil {
		return EditResult{Name: name}, err
	}
	return v.store(ctx, state, name, value, dryRun, free)
}

// Generated makes a value by the declaration's rule.
func Generated(d manifest.Declaration, random io.Reader) (secrets.Secret, error) {
	value, err := d.NewValue(random)
	if err != nil {
		return value, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s: the generate rule makes no value that keeps the other rules", d.Name), Next: "fix the rule at line " + fmt.Sprint(d.Line) + " of the compose file", Cause: err}
	}
	return value, nil
}

// Remove removes the file of a secret. A name that the manifest no longer
// declares may be removed too.
func (v *Values) Remove(ctx context.Context, name string, dryRun bool) (EditResult, error) {
	result := EditResult{Name: name, Change: project.Removed, DryRun: dryRun, Stale: []project.StaleService{}}
	if err := secrets.ValidName(name); err != nil {
		return result, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "mage secrets:list"}
	}
	values, err := v.Project.Store.Snapshot(ctx)
	if err != nil {
		return result, err
	}
	there, err := readable(values, name)
	if err != nil {
		return result, err
	}
	if !there {
		result.Change = project.Unchanged
	}
	if !there || dryRun {
		return result, nil
	}
	_, err = v.Project.Store.Update(ctx, func(now *project.Snapshot) (project.Batch, error) {
		if _, still := now.Values[name]; !still {
			result.Change = project.Unchanged // another command was faster
			return project.Batch{}, nil
		}
		return project.Batch{Remove: []string{name}}, nil
	})
	return result, err
}

// declared loads the project and the declaration of name.
func (v *Values) declared(ctx context.Context, name string) (*project.State, manifest.Declaration, error) {
	state, err := v.Project.LoadValid(ctx)
	if err != nil {
		return nil, manifest.Declaration{}, err
	}
	d, err := state.Declared(name)
	return state, d, err
}

// store writes a value unless it is there already. allowed is asked again under
// the writers' lock: another command may have written since state was loaded.
func (v *Values) store(ctx context.Context, state *project.State, name string, value secrets.Secret, dryRun bool, allowed func(now *project.Snapshot) error) (EditResult, error) {
	result := EditResult{Name: name, DryRun: dryRun, Stale: []project.StaleService{}}
	var err error
	if result.Change, err = state.Values.Compare(name, value); err != nil || dryRun || result.Change == project.Unchanged {
		return result, err
	}
	state.Values, err = v.Project.Store.Update(ctx, func(now *project.Snapshot) (batch project.Batch, err error) {
		if err = allowed(now); err != nil {
			return batch, err
		}
		if result.Change, err = now.Compare(name, value); err != nil || result.Change == project.Unchanged {
			return batch, err
		}
		return project.Batch{Write: map[string]secrets.Secret{name: value}}, nil
	})
	if err != nil {
		return result, err
	}
	result.Stale = v.Project.StaleServices(ctx, state, v.Running, []string{name})
	return result, nil
}
