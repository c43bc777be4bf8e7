package values

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// FromEnvOptions says how a .env is taken in.
type FromEnvOptions struct {
	File      string   // empty: .env
	Literal   []string // keys to take as they are written
	AsCompose []string // keys to take as Compose reads them
	DryRun    bool     // say what would be done and do nothing
	Prune     bool     // comment the keys out in the .env afterwards
}

// FromEnvResult says what FromEnv did, or with DryRun would do.
type FromEnvResult struct {
	File       string                 `json:"file"`
	DryRun     bool                   `json:"dryRun"`
	Secrets    []FromEnvRow           `json:"secrets"`    // one for each declared secret
	Undeclared []string               `json:"undeclared"` // keys of the file that the manifest does not declare
	Pruned     []string               `json:"pruned"`     // keys commented out
	Remaining  []string               `json:"remaining"`  // keys whose value is still in the file
	Stale      []project.StaleService `json:"stale"`      // running services that hold an older value
}

// FromEnvRow is one secret's part.
type FromEnvRow struct {
	Name   string         `json:"name"`
	Change project.Change `json:"change"`
	Line   int            `json:"line,omitempty"`   // where the .env has it
	Reason string         `json:"reason,omitempty"` // why it is ignored
	Note   string         `json:"note,omitempty"`   // what a person should know of a key that was taken
}

// FromEnv makes secret files from a .env file. It reads, checks everything, and
// then writes all files or none: nothing is written before every key is
// checked, and the .env is touched only when every file holds its value.
func (v *Values) FromEnv(ctx context.Context, o FromEnvOptions) (FromEnvResult, error) {
	if o.File == "" {
		o.File = ".env"
	}
	result := FromEnvResult{File: o.File, DryRun: o.DryRun}
	state, err := v.Project.LoadValid(ctx)
	if err != nil {
		return result, err
	}
	if err := knownKeys(state, o); err != nil {
		return result, err
	}
	env, err := v.readEnv(state, o)
	if err != nil {
		return result, err
	}
	result.Undeclared = env.undeclared
	wanted, rows, findings := env.check(state, o.File)
	if result.Secrets = rows; len(findings) > 0 {
		return result, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %s; no file was changed", o.File, fault.Count(len(findings), "finding")), Findings: findings, Next: "fix " + o.File + ", then mage secrets:fromEnv"}
	}
	if o.Prune && !o.DryRun {
		if err := v.Project.Workspace.Replaceable(o.File); err != nil {
			return result, err
		}
	}
	if o.DryRun {
		result.Secrets, _, err = compare(rows, wanted, state.Values)
		return result, err
	}
	var batch project.Batch
	state.Values, err = v.Project.Store.Update(ctx, func(now *project.Snapshot) (project.Batch, error) {
		result.Secrets, batch, err = compare(rows, wanted, now)
		return batch, err
	})
	if err != nil {
		return result, err
	}
	if result.Pruned, result.Remaining, err = v.prune(o, env.data, wanted); err != nil {
		return result, err
	}
	result.Stale = v.Project.StaleServices(ctx, state, v.Running, slices.Collect(maps.Keys(batch.Write)))
	return result, nil
}

// knownKeys refuses a -literal or -asCompose key that the manifest does not
// declare: a misspelt key must not pass silently.
func knownKeys(state *project.State, o FromEnvOptions) error {
	m := state.Manifest
	var findings []fault.Finding
	look := func(flag string, keys []string) {
		for _, key := range keys {
			if _, ok := m.Secret(key); ok {
				continue
			}
			f := fault.Finding{File: m.File, Problem: "-" + flag + " names a key that is not declared there", Next: "mage secrets:list"}
			if secrets.ValidName(key) == nil { // anything else may be a value in the wrong place
				f.Subject = key
			}
			findings = append(findings, f)
		}
	}
	look("literal", o.Literal)
	look("asCompose", o.AsCompose)
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Usage, What: "flags name keys that are not secrets; no file was changed", Findings: findings, Next: "mage secrets:list"}
}

// dotEnv is a .env as far as it concerns declared secrets.
type dotEnv struct {
	data       []byte
	entries    map[string]envfile.Entry
	findings   []fault.Finding
	undeclared []string // sorted
}

// readEnv parses the .env and keeps what concerns declared secrets. A problem
// of an undeclared key stops nothing.
func (v *Values) readEnv(state *project.State, o FromEnvOptions) (dotEnv, error) {
	env := dotEnv{entries: map[string]envfile.Entry{}}
	var err error
	env.data, err = v.Project.Workspace.Read(o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return env, &fault.Error{Code: fault.Invalid, What: o.File + " does not exist", Next: "copy .env.example to .env and fill it in, or mage secrets:set NAME", Cause: err}
	}
	if err != nil {
		return env, err
	}
	entries, problems := envfile.Parse(env.data, envfile.Options{File: o.File, Literal: o.Literal, AsCompose: o.AsCompose})
	undeclared := map[string]bool{}
	for _, p := range problems {
		if _, ok := state.Manifest.Secret(p.Subject); p.Subject == "" || ok {
			env.findings = append(env.findings, p)
		} else {
			undeclared[p.Subject] = true
		}
	}
	for _, entry := range entries {
		if _, ok := state.Manifest.Secret(entry.Key); ok {
			env.entries[entry.Key] = entry
		} else {
			undeclared[entry.Key] = true
		}
	}
	env.undeclared = slices.Sorted(maps.Keys(undeclared))
	return env, nil
}

// check applies the manifest's rules. It returns the values to write, a row for
// each declared secret, and all findings by line. A key that already has a
// finding is not checked again.
func (e dotEnv) check(state *project.State, file string) (map[string]secrets.Secret, []FromEnvRow, []fault.Finding) {
	refused := map[string]bool{}
	for _, f := range e.findings {
		refused[f.Subject] = true
	}
	wanted, findings := map[string]secrets.Secret{}, e.findings
	var rows []FromEnvRow
	for _, d := range state.Manifest.Secrets {
		row := FromEnvRow{Name: d.Name, Change: project.Ignored}
		entry, ok := e.entries[d.Name]
		switch {
		case refused[d.Name]:
		case !ok:
			row.Reason = "not in " + file
		case entry.Empty && d.Optional:
			row.Line, row.Reason = entry.Line, "empty, and optional"
		case entry.Empty:
			findings = append(findings, fault.Finding{File: file, Line: entry.Line, Subject: d.Name, Problem: "the value is empty", Next: "fill it in, or remove the line"})
		default:
			row.Line, row.Note = entry.Line, entry.Note
			value, broken := checked(d, entry.Value, fault.Finding{File: file, Line: entry.Line, Next: "fix the value there, then mage secrets:fromEnv"})
			findings = append(findings, broken...)
			wanted[d.Name] = value
		}
		rows = append(rows, row)
	}
	sort.SliceStable(findings, func(i, j int) bool { return findings[i].Line < findings[j].Line })
	return wanted, rows, findings
}

// compare returns the rows with what becomes of each secret, and what has to be
// written.
func compare(rows []FromEnvRow, wanted map[string]secrets.Secret, now *project.Snapshot) ([]FromEnvRow, project.Batch, error) {
	rows = slices.Clone(rows)
	batch := project.Batch{Write: map[string]secrets.Secret{}}
	for i, row := range rows {
		value, ok := wanted[row.Name]
		if !ok {
			continue
		}
		change, err := now.Compare(row.Name, value)
		if err != nil {
			return rows, project.Batch{}, err
		}
		if rows[i].Change = change; change != project.Unchanged {
			batch.Write[row.Name] = value
		}
	}
	return rows, batch, nil
}

// prune comments the stored keys out if that is asked for, and returns which
// keys were commented out and which remain.
func (v *Values) prune(o FromEnvOptions, data []byte, wanted map[string]secrets.Secret) (pruned, remaining []string, err error) {
	keys := slices.Sorted(maps.Keys(wanted))
	if !o.Prune || len(keys) == 0 {
		return nil, keys, nil
	}
	now, err := v.Project.Workspace.Read(o.File)
	if err != nil {
		return nil, keys, err
	}
	if !bytes.Equal(now, data) { // an edit that came while the lock was waited for
		return nil, keys, &fault.Error{Code: fault.Failed, What: o.File + " was changed meanwhile and is left as it is; the values that it had before are stored", Next: "mage secrets:fromEnv -prune"}
	}
	without, pruned := envfile.CommentOut(data, keys)
	if err := v.Project.Workspace.Replace(o.File, without); err != nil {
		return nil, keys, err
	}
	return pruned, nil, nil
}
