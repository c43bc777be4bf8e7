package versions

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/rollout"
)

// HistoryResult is how the versions of one secret came about.
type HistoryResult struct {
	cluster.Heading
	Name     string       `json:"name"`
	Versions []HistoryRow `json:"versions"` // the newest first
}

// HistoryRow is one version.
type HistoryRow struct {
	rollout.Version
	Services []string `json:"services"` // that use it, in their specification or in tasks that still run
}

// AgeResult is how old the values are that the rules require to be rotated.
type AgeResult struct {
	cluster.Heading
	Secrets []AgeRow `json:"secrets"` // those with rotate_every
}

// AgeRow is one secret's part. Created and Due are absent if there is no version.
type AgeRow struct {
	Name        string     `json:"name"`
	RotateEvery string     `json:"rotateEvery"` // like 90d
	Version     string     `json:"version,omitempty"`
	Created     *time.Time `json:"created,omitempty"` // by the manager's clock
	Due         *time.Time `json:"due,omitempty"`
	Overdue     bool       `json:"overdue"`
}

// History shows the versions of a secret: who made them, when, why, and which
// services use them.
func (v *Versions) History(ctx context.Context, name string) (HistoryResult, error) {
	result := HistoryResult{Name: name}
	s, err := v.lookFor(ctx, name)
	if err != nil {
		return result, err
	}
	defer s.close()
	result.Heading = s.Heading
	versions := s.Versions[name]
	uses, err := s.uses(ctx, func(_ docker.Service, id string) bool {
		return slices.ContainsFunc(versions, func(v rollout.Version) bool { return v.ID == id })
	})
	if err != nil {
		return result, err
	}
	for _, version := range slices.Backward(versions) {
		row := HistoryRow{Version: version}
		for _, u := range uses {
			if u.reference.ID == version.ID && !slices.Contains(row.Services, u.service.Spec.Name) {
				row.Services = append(row.Services, u.service.Spec.Name)
			}
		}
		result.Versions = append(result.Versions, row)
	}
	return result, nil
}

// Age shows when the newest version of each secret with rotate_every was made, and
// when the next one is due. The error has the code Invalid if one is overdue.
func (v *Versions) Age(ctx context.Context) (AgeResult, error) {
	var result AgeResult
	state, err := v.Project.LoadStack(ctx)
	if err != nil {
		return result, err
	}
	s, err := v.open(ctx, state)
	if err != nil {
		return result, err
	}
	defer s.close()
	result.Heading = s.Heading
	now := v.Now()
	var findings []fault.Finding
	for _, need := range declared(state) {
		if need.RotateEvery == 0 {
			continue
		}
		row := AgeRow{Name: need.Name, RotateEvery: days(need.RotateEvery)}
		if newest, there := rollout.Newest(s.Versions[need.Name]); there {
			created, due := newest.Created, newest.Created.Add(need.RotateEvery)
			row.Version, row.Created, row.Due, row.Overdue = newest.Name, &created, &due, !now.Before(due)
		}
		if row.Overdue {
			findings = append(findings, fault.Finding{Subject: need.Name, Problem: fmt.Sprintf("%s is due since %s", row.Version, row.Due.UTC().Format(time.DateOnly)), Next: "put a new value into DIR, then mage " + toSwarm + " -from=DIR"})
		}
		result.Secrets = append(result.Secrets, row)
	}
	if len(findings) > 0 {
		return result, invalid(fault.Count(len(findings), "secret")+" overdue", findings, "")
	}
	return result, nil
}

// days words a duration as a rule has it.
func days(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}
