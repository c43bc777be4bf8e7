//go:build swarm && linux

package swarm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// words are what keepmum said without what differs from run to run.
func (s *stage) words(text string) string {
	text = regexp.MustCompile(`unix:///\S*/keepmum-lab-[a-z0-9]+/`).ReplaceAllString(text, "unix:///run/")
	text = regexp.MustCompile(`\S+@\S+ \(`).ReplaceAllString(text, "USER@HOST (")
	return strings.ReplaceAll(text, s.stack, "NAME")
}

// row is the row of a run of keepmum.
func (s *stage) row(r said, after string, well time.Duration, led string) row {
	code := strconv.Itoa(r.code)
	return row{said: s.words(r.problem()), code: code, after: after, ended: r.took, well: well, led: s.words(led)}
}

// follow runs each of keepmum's own commands that a run named as the next one, and
// returns how they ended, in words.
func (s *stage) follow(r said, codes ...int) string {
	s.Helper()
	all := commands(r.next())
	if len(all) != len(codes) {
		s.Fatalf("it names %q as the next command, want %d of keepmum: %s", r.next(), len(codes), r)
	}
	var words []string
	for i, args := range all {
		got := s.must(codes[i], args...)
		words = append(words, fmt.Sprintf("`mage %s` (%d)", strings.Join(args, " "), got.code))
	}
	return strings.Join(words, ", ")
}

// refused requires that a run was refused before a change: with this code and
// these words, and everything, also the tasks, as before.
func (s *stage) refused(r said, code int, before state, words ...string) {
	s.Helper()
	r.is(s, code, words...)
	s.as(before, true)
}

// unchanged is the state after a refusal.
const unchanged = "nothing was changed: same services, tasks and versions, no lock"

// back is the state after a rollback.
const back = "every service as before, and running; no lock; the record says rolled back"

// rolledBack requires that a deployment failed, that everything is back, and that
// the record says so. It returns when everything was well.
func (s *stage) rolledBack(r said, before state, words ...string) time.Duration {
	s.Helper()
	r.is(s, 5, append(words, "every service that was touched is as it was and has converged")...)
	well := s.well(time.Now().Add(-r.took))
	s.as(before, false)
	s.must(0, "deploy:status").is(s, 0, "last: deploy", "rolled back")
	return well
}

// repaired puts the stack file back to what it was when the stage began, with
// another version of api, and deploys it.
func (s *stage) repaired(whole string) string {
	s.Helper()
	s.text = whole
	s.file(apiStart, strings.Replace(apiStart, `"1"`, `"3"`, 1))
	r := s.must(0, "deploy:swarm")
	s.well(time.Now())
	s.unlocked()
	return fmt.Sprintf("the file repaired, `mage deploy:swarm` (%d)", r.code)
}
