package values

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Change is what becomes of one secret's file.
type Change string

// The changes.
const (
	Created   Change = "created"
	Updated   Change = "updated"
	Unchanged Change = "unchanged"
	Ignored   Change = "ignored" // the .env has nothing for it
	Removed   Change = "removed"
)

// FromEnv makes secret files of a .env file.
type FromEnv struct {
	Project  project.Workspace
	Values   project.SecretStore
	Holders  project.Holders
	Progress fault.Progress

	ComposeFile string   // empty: Compose's own names
	File        string   // empty: .env
	Literal     []string // keys to take as they are written
	AsCompose   []string // keys to take as Compose reads them
	DryRun      bool     // say what would be done and do nothing
	Prune       bool     // comment the keys out in the .env afterwards

	// Replaceable tells why a file could not be replaced, before anything is
	// written that pruning is to follow; nil: nobody is asked.
	Replaceable func(path string) error
}

// FromEnvResult tells what FromEnv did, or with DryRun would do.
type FromEnvResult struct {
	File       string          `json:"file"`
	DryRun     bool            `json:"dryRun"`
	Secrets    []FromEnvRow    `json:"secrets"`    // one for each declared secret
	Undeclared []string        `json:"undeclared"` // keys of the file that the manifest does not declare
	Pruned     []string        `json:"pruned"`     // keys commented out
	Remaining  []string        `json:"remaining"`  // keys whose value still stands in the file
	Stale      []project.Stale `json:"stale"`      // running services that hold an older value
}

// FromEnvRow is one secret's part.
type FromEnvRow struct {
	Name   string `json:"name"`
	Change Change `json:"change"`
	Line   int    `json:"line,omitempty"`   // where the .env has it
	Reason string `json:"reason,omitempty"` // why it is ignored
	Note   string `json:"note,omitempty"`   // what a person should know of a key that was taken
}

// Run reads, checks everything, and then writes all files or none. The order
// of its steps is the promise: nothing is written before every key is checked,
// and the .env is touched only when every file holds its value.
func (u FromEnv) Run(ctx context.Context) (FromEnvResult, error) {
	if u.File == "" {
		u.File = ".env"
	}
	result := FromEnvResult{File: u.File, DryRun: u.DryRun, Secrets: []FromEnvRow{}, Undeclared: []string{}, Pruned: []string{}, Remaining: []string{}, Stale: []project.Stale{}}
	m, err := project.LoadManifest(u.Project, u.ComposeFile)
	if err != nil {
		return result, err
	}
	if err := u.known(m); err != nil {
		return result, err
	}
	data, entries, findings, err := u.read(m, &result)
	if err != nil {
		return result, err
	}
	wanted, broken := u.check(m, entries, findings, &result)
	if findings = append(findings, broken...); len(findings) > 0 {
		sort.SliceStable(findings, func(i, j int) bool { return findings[i].Line < findings[j].Line })
		return result, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s has %s; no file was changed", u.File, fault.Count(len(findings), "finding")), Findings: findings, Next: "mend " + u.File + ", then mage secrets:fromEnv"}
	}
	if u.Prune && !u.DryRun && u.Replaceable != nil {
		if err := u.Replaceable(u.File); err != nil {
			return result, err
		}
	}
	if !u.DryRun {
		unlock, err := u.Values.Lock(ctx)
		if err != nil {
			return result, err
		}
		defer unlock()
	}
	touched, err := u.compare(wanted, &result)
	if err != nil || u.DryRun {
		return result, err
	}
	if err := u.write(ctx, wanted, touched); err != nil {
		return result, err
	}
	if err := u.prune(data, wanted, &result); err != nil {
		return result, err
	}
	u.findStale(ctx, m, touched, &result)
	return result, nil
}

// read parses the .env and keeps what concerns declared secrets. A problem of
// an undeclared key stops nothing.
func (u FromEnv) read(m *manifest.Manifest, result *FromEnvResult) ([]byte, map[string]envfile.Entry, []fault.Finding, error) {
	data, err := u.Project.Read(u.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, &fault.Error{Code: fault.Invalid, What: u.File + " does not exist", Next: "copy .env.example to .env and fill it in, or mage secrets:set NAME", Cause: err}
	}
	if err != nil {
		return nil, nil, nil, err
	}
	all, problems := envfile.Parse(data, envfile.Options{File: u.File, Literal: u.Literal, AsCompose: u.AsCompose})
	var findings []fault.Finding
	undeclared := map[string]bool{}
	for _, p := range problems {
		if _, ok := m.Secret(p.Key); p.Key == "" || ok {
			findings = append(findings, fault.Finding{File: p.File, Line: p.Line, Subject: p.Key, Problem: p.What, Next: p.Next})
		} else {
			undeclared[p.Key] = true
		}
	}
	entries := map[string]envfile.Entry{}
	for _, entry := range all {
		if _, ok := m.Secret(entry.Key); ok {
			entries[entry.Key] = entry
		} else {
			undeclared[entry.Key] = true
		}
	}
	result.Undeclared = append(result.Undeclared, slices.Sorted(maps.Keys(undeclared))...)
	return data, entries, findings, nil
}

// known refuses a -literal or -asCompose key that the manifest does not
// declare: a misspelt key must not pass silently.
func (u FromEnv) known(m *manifest.Manifest) error {
	var findings []fault.Finding
	look := func(flag string, keys []string) {
		for _, key := range keys {
			if _, ok := m.Secret(key); ok {
				continue
			}
			f := fault.Finding{File: m.File, Problem: "-" + flag + " names a key that is not declared there", Next: "mage secrets:list"}
			if secrets.ValidName(key) == nil { // anything else may be a value at the wrong place
				f.Subject = key
			}
			findings = append(findings, f)
		}
	}
	look("literal", u.Literal)
	look("asCompose", u.AsCompose)
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Usage, What: "flags name keys that are no secrets; no file was changed", Findings: findings, Next: "mage secrets:list"}
}

// check applies the manifest's rules and returns the values to write. A key
// that already has a finding is not checked again.
func (u FromEnv) check(m *manifest.Manifest, entries map[string]envfile.Entry, found []fault.Finding, result *FromEnvResult) (map[string]secrets.Secret, []fault.Finding) {
	refused := map[string]bool{}
	for _, f := range found {
		refused[f.Subject] = true
	}
	wanted := map[string]secrets.Secret{}
	var findings []fault.Finding
	for _, d := range m.Secrets {
		row := FromEnvRow{Name: d.Name, Change: Ignored}
		entry, ok := entries[d.Name]
		switch {
		case refused[d.Name]:
		case !ok:
			row.Reason = "not in " + u.File
		case entry.Empty && d.Optional:
			row.Line, row.Reason = entry.Line, "empty, and optional"
		case entry.Empty:
			findings = append(findings, fault.Finding{File: u.File, Line: entry.Line, Subject: d.Name, Problem: "the value is empty", Next: "fill it in, or remove the line"})
		default:
			row.Line, row.Note = entry.Line, entry.Note
			value, broken := checked(d, entry.Value, fault.Finding{File: u.File, Line: entry.Line, Next: "mend the value there, then mage secrets:fromEnv"})
			findings = append(findings, broken...)
			wanted[d.Name] = value
		}
		result.Secrets = append(result.Secrets, row)
	}
	return wanted, findings
}

// compare fills in what becomes of each secret and returns those that are to
// be written.
func (u FromEnv) compare(wanted map[string]secrets.Secret, result *FromEnvResult) (map[string]bool, error) {
	touched := map[string]bool{}
	for i, row := range result.Secrets {
		value, ok := wanted[row.Name]
		if !ok {
			continue
		}
		old, _, there, err := project.Stored(u.Values, row.Name)
		switch {
		case err != nil && !errors.Is(err, project.ErrContent):
			return nil, err
		case !there && err == nil:
			result.Secrets[i].Change = Created
		case err == nil && old.Equal(value):
			result.Secrets[i].Change = Unchanged
			continue
		default:
			result.Secrets[i].Change = Updated
		}
		touched[row.Name] = true
	}
	return touched, nil
}

// write puts the touched values in place.
func (u FromEnv) write(ctx context.Context, wanted map[string]secrets.Secret, touched map[string]bool) error {
	batch := map[string]secrets.Secret{}
	for name := range touched {
		batch[name] = wanted[name]
	}
	return u.Values.Write(ctx, batch)
}

// prune comments the stored keys out where that is asked for, and fills in
// which keys remain.
func (u FromEnv) prune(data []byte, wanted map[string]secrets.Secret, result *FromEnvResult) error {
	keys := slices.Sorted(maps.Keys(wanted))
	if !u.Prune {
		result.Remaining = keys
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	pruned, commented := envfile.CommentOut(data, keys)
	if err := u.Project.Replace(u.File, pruned); err != nil {
		return err
	}
	result.Pruned = append(result.Pruned, commented...)
	return nil
}

// findStale names the running services that hold an older value. That no
// engine answers is no failure here: then nothing runs.
func (u FromEnv) findStale(ctx context.Context, m *manifest.Manifest, touched map[string]bool, result *FromEnvResult) {
	result.Stale = append(result.Stale, project.StaleServices(ctx, u.Project, u.Holders, m, u.Values, touched)...)
}
