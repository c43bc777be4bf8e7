package values

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// Tracked says which of the paths version control tracks, and which a .gitignore
// covers. If it cannot answer for the latter, Ignored fails.
type Tracked interface {
	Tracked(ctx context.Context, paths []string) ([]string, error)
	Ignored(ctx context.Context, paths []string) ([]string, error)
}

// Validate checks every rule of DESIGN section 5 for every secret, the compose
// file's own grants, and what lies around the values on disk.
type Validate struct {
	Project project.Workspace
	Values  project.SecretStore
	Modes   project.Modes
	Tracked Tracked // nil: no version control is asked, and the lines of .gitignore are compared

	ComposeFile string
	EnvFile     string    // empty: .env
	SkipMissing bool      // a missing value is no finding
	Now         time.Time // for rotate_every; zero: ages are not looked at
}

// ValidateResult is all that was found, sorted by place.
type ValidateResult struct {
	OK       bool            `json:"ok"`
	Checked  []string        `json:"checked"` // the secrets whose values were checked
	Findings []fault.Finding `json:"findings"`
	Warnings []fault.Finding `json:"warnings"` // what may still be right: blanks at an end, a value that is overdue
}

// Run reports everything at once: the error is of class Invalid and carries
// the same findings as the result.
func (u Validate) Run(ctx context.Context) (ValidateResult, error) {
	result := ValidateResult{Checked: []string{}, Findings: []fault.Finding{}, Warnings: []fault.Finding{}}
	if u.EnvFile == "" {
		u.EnvFile = ".env"
	}
	m, findings, err := project.FindManifest(u.Project, u.ComposeFile)
	if err != nil {
		return result, err
	}
	result.Findings = append(result.Findings, findings...)
	inEnv := u.keysOfEnv()
	for _, d := range m.Secrets {
		result.Findings = append(result.Findings, u.secret(d, inEnv, &result)...)
	}
	for _, check := range []func(*manifest.Manifest) ([]fault.Finding, error){u.directory, u.undeclared,
		func(m *manifest.Manifest) ([]fault.Finding, error) { return u.ignores(ctx, m) },
		func(m *manifest.Manifest) ([]fault.Finding, error) { return u.committed(ctx, m) },
	} {
		found, err := check(m)
		if err != nil {
			return result, err
		}
		result.Findings = append(result.Findings, found...)
	}
	sort.SliceStable(result.Findings, func(i, j int) bool {
		a, b := result.Findings[i], result.Findings[j]
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	result.OK = len(result.Findings) == 0
	if result.OK {
		return result, nil
	}
	return result, &fault.Error{Code: fault.Invalid, What: fault.Count(len(result.Findings), "finding"), Findings: result.Findings, Next: result.Findings[0].Next}
}

// keysOfEnv returns the keys that the .env has a value for: a missing file is
// then one command away.
func (u Validate) keysOfEnv() map[string]bool {
	keys := map[string]bool{}
	data, err := u.Project.Read(u.EnvFile)
	if err != nil {
		return keys
	}
	entries, problems := envfile.Parse(data, envfile.Options{File: u.EnvFile})
	for _, entry := range entries {
		keys[entry.Key] = !entry.Empty
	}
	for _, problem := range problems {
		keys[problem.Key] = true
	}
	return keys
}

// secret checks one declared secret's value and file.
func (u Validate) secret(d manifest.Declaration, inEnv map[string]bool, result *ValidateResult) []fault.Finding {
	if d.External {
		return nil
	}
	at := fault.Finding{File: u.Modes.Path() + "/" + d.Name, Subject: d.Name}
	value, written, ok, err := project.Stored(u.Values, d.Name)
	switch {
	case err != nil:
		return []fault.Finding{asFinding(at, err)}
	case !ok && (d.Optional || u.SkipMissing):
		return nil
	case !ok:
		at.Problem, at.Next = "no value: the file does not exist", "mage secrets:set "+d.Name
		switch {
		case inEnv[d.Name]:
			at.Problem, at.Next = "no value: the file does not exist, and "+u.EnvFile+" has one", "mage secrets:fromEnv"
		case d.Generate != nil:
			at.Next = "mage secrets:generate " + d.Name
		}
		return []fault.Finding{at}
	}
	result.Checked = append(result.Checked, d.Name)
	for _, problem := range d.Warnings(value) {
		result.Warnings = append(result.Warnings, fault.Finding{File: at.File, Subject: d.Name, Problem: problem.What, Next: "mage secrets:set " + d.Name})
	}
	if d.RotateEvery > 0 && !u.Now.IsZero() && u.Now.Sub(written) > d.RotateEvery {
		result.Warnings = append(result.Warnings, fault.Finding{File: at.File, Subject: d.Name, Problem: "is older than its rotate_every", Next: "mage secrets:set " + d.Name})
	}
	findings := breaks(d, value, at)
	mode, err := u.Modes.ValueMode(d.Name)
	if err == nil && mode&0o444 != 0o444 && posix {
		findings = append(findings, fault.Finding{File: at.File, Subject: d.Name, Problem: fmt.Sprintf("mode is %#o: a container's user cannot read its mount (it is to be 0444)", mode), Next: "chmod 0444 " + at.File})
	}
	return findings
}

// breaks returns a finding for each rule that a stored value breaks. A stored
// value is checked as it is: the newline policy was for the way in.
func breaks(d manifest.Declaration, value secrets.Secret, at fault.Finding) []fault.Finding {
	var findings []fault.Finding
	for _, problem := range d.Check(value) {
		at.Problem, at.Next = problem.What, "mage secrets:set "+d.Name
		findings = append(findings, at)
	}
	return findings
}

// asFinding makes a finding of the error that kept a value from being read.
func asFinding(at fault.Finding, err error) fault.Finding {
	at.Problem, at.Next = "cannot be read", "check its owner and mode: ls -l "+at.File
	var e *fault.Error
	if errors.As(err, &e) {
		at.Problem, at.Next = strings.TrimPrefix(e.What, at.File+" "), e.Next
	}
	return at
}

// directory checks secrets/ itself.
func (u Validate) directory(*manifest.Manifest) ([]fault.Finding, error) {
	path := u.Modes.Path()
	if !u.Modes.Exists() {
		return nil, nil
	}
	var findings []fault.Finding
	mode, err := u.Modes.Mode()
	if err != nil {
		return nil, err
	}
	if mode != 0o700 && posix {
		findings = append(findings, fault.Finding{File: path, Problem: fmt.Sprintf("mode is %#o: other users of this machine can reach the values (it is to be 0700)", mode), Next: "chmod 0700 " + path})
	}
	strays, err := u.Modes.Strays()
	if err != nil {
		return nil, err
	}
	for _, stray := range strays {
		f := fault.Finding{File: path + "/" + fault.Printable(stray), Problem: "this is neither a value (its name is no name) nor part of the scaffold", Next: "move it out of " + path}
		if strings.HasSuffix(stray, ".tmp") {
			f.Problem, f.Next = "a temporary file of a write that was cut off", "mage secrets:fromEnv, or any other command that writes, removes it"
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// undeclared reports files that no declaration names.
func (u Validate) undeclared(m *manifest.Manifest) ([]fault.Finding, error) {
	names, err := u.Values.Names()
	if err != nil {
		return nil, err
	}
	var findings []fault.Finding
	for _, name := range names {
		if _, ok := m.Secret(name); !ok {
			findings = append(findings, fault.Finding{File: u.Modes.Path() + "/" + name, Subject: name, Problem: m.File + " declares no such secret", Next: "declare it there, or mage secrets:remove " + name})
		}
	}
	return findings, nil
}

// ignores checks that version control and build contexts leave values out. If
// git cannot answer, the lines of .gitignore are compared.
func (u Validate) ignores(ctx context.Context, m *manifest.Manifest) ([]fault.Finding, error) {
	var texts [3][]byte
	for i, path := range []string{".gitignore", "secrets/.gitignore", ".dockerignore"} {
		data, err := u.Project.Read(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		texts[i] = data
	}
	findings := m.CheckDockerignore(texts[2])
	if u.Tracked != nil {
		found, err := m.CheckGitignore(texts[0], texts[1], func(paths []string) ([]string, error) { return u.Tracked.Ignored(ctx, paths) })
		if err == nil || ctx.Err() != nil {
			return append(findings, found...), ctx.Err()
		}
	}
	found, err := m.CheckGitignore(texts[0], texts[1], nil)
	return append(findings, found...), err
}

// committed reports values that version control holds.
func (u Validate) committed(ctx context.Context, m *manifest.Manifest) ([]fault.Finding, error) {
	if u.Tracked == nil {
		return nil, nil
	}
	paths := []string{u.EnvFile, ".keepmum/key"}
	for _, d := range m.Secrets {
		paths = append(paths, u.Modes.Path()+"/"+d.Name)
	}
	tracked, err := u.Tracked.Tracked(ctx, paths)
	if err != nil {
		return nil, err
	}
	var findings []fault.Finding
	for _, path := range tracked {
		findings = append(findings, fault.Finding{File: path, Problem: "git tracks it: whoever has the repository has the value", Next: "git rm --cached " + path + ", then replace the value everywhere it is used"})
	}
	return findings, nil
}
