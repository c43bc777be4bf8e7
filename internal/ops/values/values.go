// Package values holds the use cases over the files of secrets/: make them from
// a .env, set, generate and remove one, list and validate them.
//
// [New] makes the use cases for one project; each method reads the compose file
// and the values once, checks everything, and only then changes anything. What
// it returns holds no value and can be printed.
package values

import (
	"context"
	"errors"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// VersionControl is asked what it holds.
type VersionControl interface {
	// Tracked returns those of the paths that version control holds.
	Tracked(ctx context.Context, paths []string) ([]string, error)
	// Ignored returns those of the paths that a .gitignore covers; it fails if
	// it cannot answer.
	Ignored(ctx context.Context, paths []string) ([]string, error)
}

// Config is what the use cases work with.
type Config struct {
	Project project.Project
	Running project.Running  // nil: no service is looked at
	Git     VersionControl   // nil: not asked, and the lines of .gitignore are compared
	Docker  secrets.Source   // where a container would find its secrets; nil: not asked
	Env     secrets.Source   // the environment; nil: not asked
	Now     func() time.Time // nil: time.Now
}

// Values is the use cases over the values of one project.
type Values struct{ Config }

// New makes the use cases.
func New(c Config) *Values {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Values{c}
}

// checked returns the value after the newline policy, or a finding for each
// rule that it breaks, at a place.
func checked(d manifest.Declaration, value secrets.Secret, at fault.Finding) (secrets.Secret, []fault.Finding) {
	normal := d.Normalise(value)
	return normal, broken(d, normal, at)
}

// broken returns a finding for each rule that a value breaks as it is.
func broken(d manifest.Declaration, value secrets.Secret, at fault.Finding) []fault.Finding {
	var findings []fault.Finding
	for _, problem := range d.Check(value) {
		f := at
		f.Subject, f.Problem = d.Name, problem.What
		if f.Next == "" {
			f.Next = "mage secrets:set " + d.Name
		}
		findings = append(findings, f)
	}
	return findings
}

// readable returns whether there is a file for name; a file whose content
// cannot be a value counts as one.
func readable(values *project.Snapshot, name string) (there bool, err error) {
	_, there, err = values.Read(name)
	if errors.Is(err, project.ErrContent) {
		err = nil
	}
	return there, err
}
