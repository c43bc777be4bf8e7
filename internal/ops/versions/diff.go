package versions

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/fingerprint"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/rollout"
)

// What a row of a diff says beside the words of package fingerprint.
const (
	onlyHere  = "onlyHere"  // the source has a value, and there is no version
	onlyThere = "onlyThere" // there is a version, and the source has no value
	missing   = "missing"   // there is neither, and a service needs it
	unused    = "unused"    // no service is granted it
)

// DiffResult is how a source differs from the newest versions.
type DiffResult struct {
	cluster.Heading
	Source     string    `json:"source"`
	Secrets    []DiffRow `json:"secrets"`
	Undeclared []string  `json:"undeclared"` // what the source has and the compose file does not declare
	Warnings   []string  `json:"warnings"`
}

// DiffRow is one secret's part.
type DiffRow struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`             // same, changed, unknown, onlyHere, onlyThere, missing, unused
	Version  string   `json:"version,omitempty"` // name in the Swarm of the newest version
	Services []string `json:"services"`          // that are granted it
}

// Diff compares a source with the newest versions. The error has the code Pending
// if ToSwarm would make a version or a needed secret is missing, and Invalid if
// that cannot be known.
func (v *Versions) Diff(ctx context.Context, o Source) (DiffResult, error) {
	var result DiffResult
	state, err := v.Project.LoadStack(ctx)
	if err != nil {
		return result, err
	}
	g, err := v.read(ctx, state, o)
	if err != nil {
		return result, err
	}
	result.Source, result.Undeclared, result.Warnings = g.name, g.undeclared, g.notes
	key, err := v.key()
	if err != nil {
		return result, err
	}
	s, err := v.open(ctx, state)
	if err != nil {
		return result, err
	}
	defer s.close()
	result.Heading = s.Heading
	if g.environment != "" && s.Environment != "" && g.environment != s.Environment {
		return result, &fault.Error{Code: fault.Invalid, What: g.name + " is of " + g.environment + ", and the versions of stack " + s.Stack + " are of " + s.Environment, Next: "name the source of " + s.Environment + ", or another stack: -stack=NAME"}
	}
	needs := declared(state)
	for _, i := range compare(needs, g, s.State, key) {
		if word := i.state(); word != "" {
			result.Secrets = append(result.Secrets, DiffRow{Name: i.Name, State: word, Version: i.newest.Name, Services: i.services})
		}
	}
	result.Secrets = append(result.Secrets, unusedRows(needs, s.State)...)
	slices.SortFunc(result.Secrets, func(a, b DiffRow) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	return result, result.verdict(g.next)
}

// state is the word for an item; "" for an optional secret that is nowhere.
func (i item) state() string {
	switch {
	case i.given && i.there:
		return string(i.match)
	case i.given:
		return onlyHere
	case i.there:
		return onlyThere
	case i.Optional:
		return ""
	}
	return missing
}

// unusedRows are the versions of secrets that no service is granted, or that are
// not declared.
func unusedRows(needs []need, s *cluster.State) []DiffRow {
	granted := map[string]bool{}
	for _, need := range needs {
		granted[need.Name] = len(need.services) > 0
	}
	var rows []DiffRow
	for _, name := range slices.Sorted(maps.Keys(s.Versions)) {
		if newest, there := rollout.Newest(s.Versions[name]); there && !granted[name] {
			rows = append(rows, DiffRow{Name: name, State: unused, Version: newest.Name})
		}
	}
	return rows
}

// verdict is the error of what a diff found, nil if nothing is due.
func (r DiffResult) verdict(next string) error {
	count := map[string]int{}
	for _, row := range r.Secrets {
		count[row.State]++
	}
	due := count[onlyHere] + count[string(fingerprint.Changed)] + count[missing]
	switch unknown := count[string(fingerprint.Unknown)]; {
	case unknown > 0:
		return &fault.Error{Code: fault.Invalid, What: fmt.Sprintf("%s unknown: the project's key is missing, or is not the one that made the versions", are(unknown)), Next: "name the key of the team: KEEPMUM_KEY_FILE=FILE"}
	case count[missing] > 0:
		return &fault.Error{Code: fault.Pending, What: are(due) + " to be made; of " + fault.Count(count[missing], "secret") + " there is no value in " + r.Source + " either", Next: "add what is missing to " + r.Source + ", then mage " + toSwarm + " " + next}
	case due > 0:
		return &fault.Error{Code: fault.Pending, What: are(due) + " to be made", Next: "mage " + toSwarm + " " + next}
	}
	return nil
}

// are counts versions, with the verb.
func are(n int) string {
	if n == 1 {
		return "1 version is"
	}
	return fmt.Sprintf("%d versions are", n)
}
