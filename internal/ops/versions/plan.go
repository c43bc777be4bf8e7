package versions

import (
	"crypto/rand"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/rollout"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// item is a secret as it is in a source and in the Swarm.
type item struct {
	need
	value  secrets.Secret
	given  bool            // the source has a value
	absent string          // why it has none
	newest rollout.Version // zero if there is none
	there  bool            // there is a version
	match  fingerprint.Match
}

// due reports whether a version has to be made.
func (i item) due() bool { return i.given && (!i.there || i.match == fingerprint.Changed) }

// compare looks at every secret that a service is granted.
func compare(needs []need, g given, state *cluster.State, key fingerprint.Key) []item {
	var items []item
	for _, need := range needs {
		if len(need.services) == 0 {
			continue
		}
		i := item{need: need, absent: g.absent[need.Name]}
		i.value, i.given = g.values[need.Name]
		if i.newest, i.there = rollout.Newest(state.Versions[need.Name]); i.there && i.given {
			i.match = key.Compare(i.newest.Fingerprint, state.Stack, need.Name, i.value)
		}
		items = append(items, i)
	}
	return items
}

// plan is which versions are to be made.
type plan struct {
	environment string
	items       []item
}

func (p plan) due() int {
	n := 0
	for _, i := range p.items {
		if i.due() {
			n++
		}
	}
	return n
}

// plan decides what ToSwarm does, or returns everything that is in the way.
func (v *Versions) plan(state *project.State, g given, s *cluster.State, key fingerprint.Key) (plan, error) {
	p := plan{environment: g.environment, items: compare(declared(state), g, s, key)}
	findings := s.Findings
	if p.environment == "" {
		p.environment = s.Environment
	}
	switch {
	case len(s.Findings) > 0:
	case p.environment == "":
		findings = append(findings, fault.Finding{File: g.name, Problem: "names no environment, and stack " + s.Stack + " has no versions yet that have one", Next: "-environment=NAME, or echo NAME > DIR/" + environmentFile})
	case s.Environment != "" && p.environment != s.Environment:
		findings = append(findings, fault.Finding{File: g.name, Problem: "is of " + p.environment + ", and the versions of stack " + s.Stack + " are of " + s.Environment, Next: "name the source of " + s.Environment + ", or another stack: -stack=NAME"})
	}
	taken := s.SecretNames()
	for _, i := range p.items {
		if i.match == fingerprint.Unknown && i.given && i.there {
			findings = append(findings, fault.Finding{Subject: i.Name, Problem: "whether " + i.newest.Name + " holds this value is unknown: the project's key is missing, or is not the one that made it", Next: "name the key of the team: KEEPMUM_KEY_FILE=FILE"})
		}
		if i.due() {
			name := rollout.VersionName(s.Stack, i.Name, rollout.NextNumber(s.Stack, i.Name, taken))
			if problem := rollout.CheckName(name); problem != "" {
				findings = append(findings, fault.Finding{Subject: i.Name, Problem: problem, Next: "use a shorter name for the secret or the stack"})
			}
		}
	}
	if key.Absent() && p.due() > 0 {
		findings = append(findings, fault.Finding{Problem: "there is no project's key: without it nobody could tell later whether a value has changed", Next: "name the key of the team: KEEPMUM_KEY_FILE=FILE; for a first stack make one: mage secrets:init"})
	}
	if len(findings) > 0 {
		return p, invalid("versions cannot be made: "+fault.Count(len(findings), "finding")+"; nothing was changed", findings, "")
	}
	return p, nil
}

// labels are those of a new version of a secret.
func (p plan) labels(s *cluster.State, i item, number string, by, reason string, key fingerprint.Key) map[string]string {
	var salt [fingerprint.SaltSize]byte
	_, _ = rand.Read(salt[:]) // never fails since Go 1.24
	labels := map[string]string{
		docker.LabelStack: s.Stack, docker.LabelSecret: i.Name, docker.LabelVersion: number, docker.LabelEnvironment: p.environment,
		docker.LabelFingerprint: key.Fingerprint(salt, s.Stack, i.Name, i.value), docker.LabelBy: by,
	}
	if reason != "" {
		labels[docker.LabelReason] = reason
	}
	return labels
}
