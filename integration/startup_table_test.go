//go:build integration

package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// startupCell is a cell of the table of uses.
type startupCell struct{ service, secret, column string }

// startupColumns are the columns of the table of uses; the first ones are
// sources.
var startupColumns = func() []string {
	columns := []string{"docker", "file", "env", "_FILE", "default"}
	for _, sources := range startupOrders {
		columns = append(columns, startupOver(sources))
	}
	return append(columns, startupTurned(startupOrders[0]), startupTurned(startupOrders[2]), "restarted", "changed", "changed back")
}()

// startupSources is how many of the columns are sources.
const startupSources = 5

// note records what was seen.
func (s *startup) note(t *testing.T, service, secret, column, word string) {
	t.Helper()
	if t.Failed() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[startupCell{service, secret, column}] = word
}

// proof is how many services were seen to use a secret from a source, and how
// many there are of each, in the form that test:integration sums.
func (s *startup) proof() string {
	n, services, secrets, sources := 0, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for cell := range s.seen {
		if slices.Contains(startupColumns[:startupSources], cell.column) {
			n++
			services[cell.service], secrets[cell.secret], sources[cell.column] = true, true, true
		}
	}
	return fmt.Sprintf("proof: combinations=%d services=%d secrets=%d sources=%d refusals=%d containers=%d", n, len(services), len(secrets), len(sources), s.refusedStarts, s.started)
}

// table is what was seen.
func (s *startup) table() string {
	var b strings.Builder
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(append([]string{"service", "secret"}, startupColumns...)...)
	row(slices.Repeat([]string{"---"}, len(startupColumns)+2)...)
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
	b.WriteString("\nWhat stops a start, before anything else happens, with exit code 3; Postgres, whose program is not ours, has codes of its own:\n\n")
	row("what", "in", "each secret's record", "said of")
	row("---", "---", "---", "---")
	for _, key := range s.faultKeys() {
		for _, text := range startupSorted(s.says[key]) {
			row(key.what, key.source, strings.ReplaceAll(text, "|", "\\|"), fmt.Sprint(len(s.says[key][text])))
		}
	}
	return b.String()
}

// faultKeys are the faults in the order of the table, then what else was heard.
func (s *startup) faultKeys() []startupFaultKey {
	var keys []startupFaultKey
	for _, fault := range startupFaults() {
		keys = append(keys, fault.key())
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.says), func(a, b startupFaultKey) int {
		return strings.Compare(a.what+a.source, b.what+b.source)
	}) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
