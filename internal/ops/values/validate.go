package values

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/envfile"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// ValidateResult is all that was found, sorted by place.
type ValidateResult struct {
	OK       bool            `json:"ok"`
	Checked  []string        `json:"checked"` // the secrets whose values were checked
	Findings []fault.Finding `json:"findings"`
	Warnings []fault.Finding `json:"warnings"` // what may still be right: blanks at an end, a value that is overdue
}

// Validate checks every rule of DESIGN section 5 for every secret, the compose
// file's own grants, and the files around the values. It reports everything at
// once: the error has the code [fault.Invalid] and the same findings as the
// result.
func (v *Values) Validate(ctx context.Context) (ValidateResult, error) {
	state, err := v.Project.Load(ctx)
	if err != nil {
		return ValidateResult{}, err
	}
	return v.Check(ctx, state, false)
}

// Check is Validate over a state that was loaded. With allowMissing a secret
// without a value is not a finding.
func (v *Values) Check(ctx context.Context, state *project.State, allowMissing bool) (ValidateResult, error) {
	c := check{values: v, state: state, allowMissing: allowMissing, inEnv: v.keysOfEnv()}
	c.result.Findings = append(c.result.Findings, state.Findings...)
	for _, d := range state.Manifest.Secrets {
		c.secret(d)
	}
	c.directory()
	c.undeclared()
	if err := c.ignores(ctx); err != nil {
		return c.result, err
	}
	if err := c.committed(ctx); err != nil {
		return c.result, err
	}
	slices.SortStableFunc(c.result.Findings, func(a, b fault.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	c.result.OK = len(c.result.Findings) == 0
	if c.result.OK {
		return c.result, nil
	}
	findings := c.result.Findings
	return c.result, &fault.Error{Code: fault.Invalid, What: fault.Count(len(findings), "finding"), Findings: findings, Next: findings[0].Next}
}

// check is one run of Validate.
type check struct {
	values       *Values
	state        *project.State
	allowMissing bool
	inEnv        map[string]bool // keys that the .env has a value for
	result       ValidateResult
}

// add notes a finding.
func (c *check) add(f fault.Finding) { c.result.Findings = append(c.result.Findings, f) }

// warn notes what may still be right.
func (c *check) warn(file, name, problem string) {
	c.result.Warnings = append(c.result.Warnings, fault.Finding{File: file, Subject: name, Problem: problem, Next: "mage secrets:set " + name})
}

// keysOfEnv returns the keys that the .env has a value for: a missing file is
// then one command away.
func (v *Values) keysOfEnv() map[string]bool {
	keys := map[string]bool{}
	file := v.Project.EnvFileName()
	data, err := v.Project.Workspace.Read(file)
	if err != nil {
		return keys
	}
	entries, problems := envfile.Parse(data, envfile.Options{File: file})
	for _, entry := range entries {
		keys[entry.Key] = !entry.Empty
	}
	for _, problem := range problems {
		keys[problem.Subject] = true
	}
	return keys
}

// secret checks one declared secret's value and file.
func (c *check) secret(d manifest.Declaration) {
	if d.External {
		return
	}
	at := fault.Finding{File: c.state.Values.Dir + "/" + d.Name, Subject: d.Name}
	file, there := c.state.Values.Values[d.Name]
	switch {
	case file.Err != nil:
		c.add(asFinding(at, file.Err))
		return
	case !there:
		c.missing(d, at)
		return
	}
	c.result.Checked = append(c.result.Checked, d.Name)
	for _, problem := range d.Warnings(file.Secret) {
		c.warn(at.File, d.Name, problem.What)
	}
	if d.RotateEvery > 0 && c.values.Now().Sub(file.Written) > d.RotateEvery {
		c.warn(at.File, d.Name, "is older than its rotate_every")
	}
	// A stored value is checked as it is: the newline policy was for the way in.
	c.result.Findings = append(c.result.Findings, broken(d, file.Secret, at)...)
	if file.Mode&0o444 != 0o444 && posix {
		c.add(fault.Finding{File: at.File, Subject: d.Name, Problem: fmt.Sprintf("mode is %#o: a container's user cannot read its mount (it must be 0444)", file.Mode), Next: "chmod 0444 " + at.File})
	}
}

// missing reports a secret without a file.
func (c *check) missing(d manifest.Declaration, at fault.Finding) {
	if d.Optional || c.allowMissing {
		return
	}
	at.Problem, at.Next = "no value: the file does not exist", "mage secrets:set "+d.Name
	switch {
	case c.inEnv[d.Name]:
		at.Problem, at.Next = "no value: the file does not exist, and "+c.values.Project.EnvFileName()+" has one", "mage secrets:fromEnv"
	case d.Generate != nil:
		at.Next = "mage secrets:generate " + d.Name
	}
	c.add(at)
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
func (c *check) directory() {
	values := c.state.Values
	if !values.Exists {
		return
	}
	if values.Mode != 0o700 && posix {
		c.add(fault.Finding{File: values.Dir, Problem: fmt.Sprintf("mode is %#o: other users of this machine can reach the values (it must be 0700)", values.Mode), Next: "chmod 0700 " + values.Dir})
	}
	for _, stray := range values.Strays {
		f := fault.Finding{File: values.Dir + "/" + fault.Printable(stray), Problem: "unexpected file: its name is not a valid secret name", Next: "move it out of " + values.Dir}
		if strings.HasSuffix(stray, ".tmp") {
			f.Problem, f.Next = "a temporary file of a write that was cut off", "mage secrets:fromEnv, or any other command that writes, removes it"
		}
		c.add(f)
	}
}

// undeclared reports files that no declaration names.
func (c *check) undeclared() {
	m := c.state.Manifest
	for _, name := range c.state.Values.Names() {
		if _, ok := m.Secret(name); !ok {
			c.add(fault.Finding{File: c.state.Values.Dir + "/" + name, Subject: name, Problem: m.File + " declares no such secret", Next: "declare it there, or mage secrets:remove " + name})
		}
	}
}

// ignores checks that version control and build contexts leave values out. If
// git cannot answer, the lines of .gitignore are compared.
func (c *check) ignores(ctx context.Context) error {
	var texts [3][]byte
	for i, path := range []string{".gitignore", "secrets/.gitignore", ".dockerignore"} {
		data, err := c.values.Project.Workspace.Read(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		texts[i] = data
	}
	m := c.state.Manifest
	c.result.Findings = append(c.result.Findings, m.CheckDockerignore(texts[2])...)
	if c.values.Git != nil {
		found, err := m.CheckGitignore(texts[0], texts[1], func(paths []string) ([]string, error) { return c.values.Git.Ignored(ctx, paths) })
		if err == nil || ctx.Err() != nil {
			c.result.Findings = append(c.result.Findings, found...)
			return ctx.Err()
		}
	}
	found, err := m.CheckGitignore(texts[0], texts[1], nil)
	c.result.Findings = append(c.result.Findings, found...)
	return err
}

// committed reports values that version control holds.
func (c *check) committed(ctx context.Context) error {
	if c.values.Git == nil {
		return nil
	}
	paths := []string{c.values.Project.EnvFileName(), ".keepmum/key"}
	for _, d := range c.state.Manifest.Secrets {
		paths = append(paths, c.state.Values.Dir+"/"+d.Name)
	}
	tracked, err := c.values.Git.Tracked(ctx, paths)
	if err != nil {
		return err
	}
	for _, path := range tracked {
		c.add(fault.Finding{File: path, Problem: "git tracks it: whoever has the repository has the value", Next: "git rm --cached " + path + ", then replace the value everywhere it is used"})
	}
	return nil
}
