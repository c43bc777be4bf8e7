//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// startupCell is how one secret of a service was given to it.
type startupCell struct{ service, secret, column string }

// startupColumns are the columns of the table; the first are the sources.
var startupColumns = func() []string {
	columns := []string{"docker", "file", "env", "_FILE", "default"}
	for _, sources := range startupOrders {
		columns = append(columns, startupOver(sources))
	}
	return append(columns, startupTurned(startupOrders[0]), startupTurned(startupOrders[2]), "restarted", "changed", "changed back")
}()

// startupSources is how many of the columns are sources.
const startupSources = 5

// record keeps how a secret was used.
func (s *startup) record(t *testing.T, service, secret, column, how string) {
	t.Helper()
	if t.Failed() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[startupCell{service, secret, column}] = how
}

// finish requires every combination of a service, its secrets, and a source or
// order, and minimum counts of refused starts and containers. It logs the counts
// in the form that test:integration sums.
func (s *startup) finish(t *testing.T) {
	t.Helper()
	combinations, services, secrets, sources := 0, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for cell := range s.seen {
		if slices.Contains(startupColumns[:startupSources], cell.column) {
			combinations++
			services[cell.service], secrets[cell.secret], sources[cell.column] = true, true, true
		}
	}
	for service, granted := range s.granted {
		for _, secret := range granted {
			for _, column := range startupColumns {
				if slices.Contains(s.services, service) && column != "default" && s.seen[startupCell{service, secret, column}] == "" {
					t.Errorf("%s: %s was not tested: %s", service, secret, column)
				}
			}
		}
	}
	for _, count := range []struct {
		what        string
		is, atLeast int
	}{{"combinations", combinations, 58}, {"refusals", s.refusedStarts, 185}, {"containers", s.started, 280}} {
		if count.is < count.atLeast {
			t.Errorf("%s: %d, want at least %d", count.what, count.is, count.atLeast)
		}
	}
	t.Logf("proof: combinations=%d services=%d secrets=%d sources=%d refusals=%d containers=%d", combinations, len(services), len(secrets), len(sources), s.refusedStarts, s.started)
}

// table is the results for a person to read.
func (s *startup) table() string {
	var b strings.Builder
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	b.WriteString("\n")
	row(append([]string{"service", "secret"}, startupColumns...)...)
	var rows []startupCell
	for cell := range s.seen {
		cell.column = ""
		if !slices.Contains(rows, cell) {
			rows = append(rows, cell)
		}
	}
	slices.SortFunc(rows, func(a, b startupCell) int { return strings.Compare(a.service+" "+a.secret, b.service+" "+b.secret) })
	for _, at := range rows {
		cells := []string{at.service, at.secret}
		for _, column := range startupColumns {
			cells = append(cells, s.seen[startupCell{at.service, at.secret, column}])
		}
		row(cells...)
	}
	for _, fault := range startupFaults() {
		row(fault.what, fault.source, s.says[fault.key()])
	}
	return b.String()
}
