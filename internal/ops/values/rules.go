package values

import (
	"fmt"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// declared returns the declaration of name, or the usage error that names the
// nearest thing to do.
func declared(m *manifest.Manifest, name string) (manifest.Declaration, error) {
	if err := secrets.ValidName(name); err != nil {
		return manifest.Declaration{}, &fault.Error{Code: fault.Usage, What: err.Error(), Next: "mage secrets:list"}
	}
	d, ok := m.Secret(name)
	if !ok {
		return d, &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s declares no secret %s", m.File, name), Next: "add it under secrets: there, or see the names: mage secrets:list"}
	}
	return d, nil
}

// checked returns the value after the newline policy, or a finding for each
// rule that it breaks.
func checked(d manifest.Declaration, value secrets.Secret, at fault.Finding) (secrets.Secret, []fault.Finding) {
	normal := d.Normalise(value)
	var findings []fault.Finding
	for _, problem := range d.Check(normal) {
		f := at
		f.Subject, f.Problem = d.Name, problem.What
		if f.Next == "" {
			f.Next = "mage secrets:set " + d.Name
		}
		findings = append(findings, f)
	}
	return normal, findings
}
