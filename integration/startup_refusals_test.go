//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// startupFault is something wrong with all secrets of a service.
type startupFault struct {
	what       string
	source     string // where it is
	state      startupState
	production bool
	says       string // part of the error
}

// key identifies a fault.
func (f startupFault) key() startupFaultKey { return startupFaultKey{f.what, f.source} }

type startupFaultKey struct{ what, source string }

// startupReasons is the error for a file in each state.
var startupReasons = map[startupState]string{
	nowhere: "leads to a file that does not exist", emptyFile: "is empty", closedFile: "permission denied", foreignFile: "permission denied",
	oversizeFile: "is larger than 511999 bytes", directoryFile: "is a directory, not a file", symlinkOut: "is a symlink that leads out of its directory",
	danglingLink: "leads to a file that does not exist",
}

// startupFaults are all faults that stop a start.
func startupFaults() []startupFault {
	all := []startupFault{{what: "missing everywhere", source: "none", says: "not found; looked in /run/secrets/NAME, ./secrets/NAME, $NAME, $NAME_FILE"}}
	for _, state := range []startupState{nowhere, emptyFile, closedFile, foreignFile, oversizeFile, directoryFile, symlinkOut, danglingLink} {
		for _, source := range []string{"docker", "file", "_FILE"} {
			switch {
			case state == nowhere && source != "_FILE":
				continue // the next source is tried
			case state == symlinkOut && source == "_FILE":
				continue // $NAME_FILE may lead anywhere
			}
			place := startupPlace(source, "NAME")
			if state == nowhere {
				place = "$NAME_FILE"
			}
			all = append(all, startupFault{what: string(state), source: source, state: state, says: place + ": " + startupReasons[state]})
		}
	}
	return append(all,
		startupFault{what: "empty", source: "env", state: emptyFile, says: "not found"},
		startupFault{what: "both set", source: "env and _FILE", says: "$NAME_FILE is set too"},
		startupFault{what: "KEEPMUM_ENV=production", source: "env", production: true, says: "$NAME: is refused in production"},
		startupFault{what: "KEEPMUM_ENV=production", source: "file", production: true, says: "./secrets/NAME: is refused in production"},
	)
}

// mounts are the secrets of a service with a fault.
func (f startupFault) mounts(s *startup, service string) []mountedSecret {
	switch f.source {
	case "none":
		return nil
	case "env and _FILE":
		return append(s.mounts(service, "env"), s.mounts(service, "_FILE")...)
	}
	all := s.mounts(service, f.source)
	for i := range all {
		if all[i].state = f.state; f.source == "env" && f.state == emptyFile {
			all[i].value = ""
		}
	}
	return all
}

// refusals starts every service with every fault, and requires that nothing
// happens but one log record for each secret: no connection to the database and
// no call to the simulator.
func (s *startup) refusals(t *testing.T) {
	heard, counted := len(s.databaseLog.String()), s.count(t)
	ways := map[string]func(*testing.T){}
	for _, service := range s.services {
		for _, fault := range startupFaults() {
			name := strings.Map(startupNameRune, service+"-"+fault.source+"-"+fault.what)
			ways[name] = func(t *testing.T) { s.oneRefusal(t, service, name, fault) }
		}
	}
	parallel(t, startupSorted(ways), func(t *testing.T, name string) { ways[name](t) })
	ways = map[string]func(*testing.T){}
	for i, service := range s.services {
		if len(s.granted[service]) > 1 {
			ways["mixed-"+service] = func(t *testing.T) { s.mixedRefusal(t, service, i) }
		}
	}
	parallel(t, startupSorted(ways), func(t *testing.T, name string) { ways[name](t) })
	s.requireUndisturbed(t, heard, counted)
}

// oneRefusal starts a service whose secrets all have the same fault.
func (s *startup) oneRefusal(t *testing.T, service, name string, fault startupFault) {
	c := s.start(t, service, name, startupWay{ends: true, production: fault.production}, fault.mounts(s, service)...)
	for secret, text := range c.refusal(t) {
		s.requireSaid(t, fault, strings.ReplaceAll(text, secret, "NAME"))
	}
}

// mixedRefusal starts a service each of whose secrets has another fault, and
// requires the same error for each as when all secrets have that fault.
func (s *startup) mixedRefusal(t *testing.T, service string, turn int) {
	var faults []startupFault
	for _, fault := range startupFaults() {
		if fault.source == "docker" {
			faults = append(faults, fault)
		}
	}
	mounts, of := s.mounts(service, "docker"), map[string]startupFault{}
	for i := range mounts {
		of[mounts[i].secret] = faults[(turn+3*i)%len(faults)]
		mounts[i].state = of[mounts[i].secret].state
	}
	c := s.start(t, service, "mixed-"+service, startupWay{ends: true}, mounts...)
	for secret, text := range c.refusal(t) {
		s.requireSaid(t, of[secret], strings.ReplaceAll(text, secret, "NAME"))
	}
}

// requireSaid requires the expected error for a fault, and the same error from
// every service.
func (s *startup) requireSaid(t *testing.T, fault startupFault, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(text, fault.says) {
		t.Errorf("%s in %s: %q, want %q in it", fault.what, fault.source, text, fault.says)
	}
	if s.says[fault.key()] == "" {
		s.says[fault.key()] = text
	}
	if former := s.says[fault.key()]; former != text {
		t.Errorf("%s in %s: %q, and elsewhere %q", fault.what, fault.source, text, former)
	}
}

// refusal waits for the end of a container that is refused. It requires exit code
// 3 and a log of one record for each secret, with the next step, and a last
// record with their number. It returns the errors by secret.
func (c *startupContainer) refusal(t *testing.T) map[string]string {
	t.Helper()
	if code := c.ended(t, c.id); code != 3 {
		t.Fatalf("%s: exit code %d, want 3\n%s", c.name, code, c.audit.masked(c.log(t, c.id, time.Time{})))
	}
	records := c.records(t)
	secrets := c.granted[c.service]
	said := map[string]string{}
	for _, one := range records[:max(0, len(records)-1)] {
		text := one.Msg
		if len(one.Places) > 0 {
			text += "; looked in " + strings.Join(one.Places, ", ")
		}
		if one.Level != "ERROR" || one.Next == "" || said[one.Name] != "" || !slices.Contains(secrets, one.Name) {
			t.Errorf("%s: an unexpected record, or one without a next step: %+v", c.name, one)
		}
		said[one.Name] = text + ". Next: " + one.Next
	}
	if len(records) == 0 {
		t.Fatalf("%s has logged nothing", c.name)
	}
	if last := records[len(records)-1]; last.Msg != "not started" || last.Problems != len(secrets) || len(said) != len(secrets) {
		t.Errorf("%s: of %v the log names %d, and ends with %+v", c.name, secrets, len(said), last)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startup.refusedStarts++
	return said
}

// requireUndisturbed requires that no service has connected to the database and
// that no call was counted. A connection of the test shows that the log of the
// database was read up to now.
func (s *startup) requireUndisturbed(t *testing.T, heard int, counted statistics) {
	t.Helper()
	if role, password := login(s.right["DB_APP_LOGIN"]); !s.startupLogin(t, s.database, "postgres", role, password) {
		t.Fatal("the test cannot log in")
	}
	said := ""
	poll(t, time.Minute, "the database logs the login of the test", func() bool {
		said = s.databaseLog.String()[heard:]
		return strings.Contains(said, "application_name=psql")
	})
	if n := strings.Count(said, "connection received"); n != 1 {
		t.Errorf("%d connections to the database in addition to that of the test", n-1)
	}
	if now := s.count(t); fmt.Sprint(now) != fmt.Sprint(counted) {
		t.Errorf("the simulator has counted calls: %v, then %v", counted, now)
	}
}

// startupNameRune replaces what the name of a container may not contain.
func startupNameRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
		return r
	}
	return '_'
}
