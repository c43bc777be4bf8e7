//go:build integration

package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// startupOrders are the sources that hold different values in one start, in their
// order. $NAME and $NAME_FILE cannot be combined.
var startupOrders = [][]string{{"docker", "file", "env"}, {"docker", "file", "_FILE"}, {"file", "env"}, {"file", "_FILE"}}

// startupOver is the name of an order.
func startupOver(sources []string) string { return strings.Join(sources, " over ") }

// startupTurned is the name of an order whose first source holds the wrong value.
func startupTurned(sources []string) string { return sources[0] + " wrong" }

// order starts each service with sources that differ: the first one wins, in
// either direction, and the others are reported by name and not used.
func (s *startup) order(t *testing.T) {
	parallel(t, s.services, func(t *testing.T, service string) {
		for _, sources := range startupOrders {
			t.Run(startupOver(sources), func(t *testing.T) { s.over(t, service, sources) })
			for _, secret := range s.granted[service] {
				if sources[len(sources)-1] == "env" {
					t.Run("turned round "+startupOver(sources)+" "+secret, func(t *testing.T) { s.turnedRound(t, service, secret, sources) })
				}
			}
		}
	})
}

// other is a value that a service can use and that is not accepted yet.
func (s *startup) other(t *testing.T, service, secret string) string {
	t.Helper()
	if service == "db-setup" && secret == "DB_APP_LOGIN" {
		return s.newRole(t)
	}
	return s.value(t, secret)
}

// over starts a service whose first source holds the right values, and the other
// sources others.
func (s *startup) over(t *testing.T, service string, sources []string) {
	t.Helper()
	mounts, others := s.mounts(service, sources[0]), map[string][]string{}
	for i, mounted := range mounts {
		if service == "db-setup" && mounted.secret == "DB_APP_LOGIN" {
			mounts[i].value = s.newRole(t)
		}
	}
	right := slices.Clone(mounts)
	for _, source := range sources[1:] {
		for _, mounted := range right {
			other := s.other(t, service, mounted.secret)
			others[mounted.secret] = append(others[mounted.secret], other)
			mounts = append(mounts, mountedSecret{secret: mounted.secret, source: source, value: other})
		}
	}
	c := s.start(t, service, service+"-"+strings.Join(sources, "-over-"), startupWay{}, mounts...)
	c.loaded(t, mounts)
	for _, mounted := range right {
		s.record(t, service, mounted.secret, startupOver(sources), c.accepts(t, mounted.secret, others[mounted.secret]...))
	}
}

// turnedRound starts a service with another value of one secret in the first
// source, and the right one in the next: it uses the first.
func (s *startup) turnedRound(t *testing.T, service, secret string, sources []string) {
	t.Helper()
	mounts := s.mounts(service, sources[0])
	for i := range mounts {
		if mounts[i].secret == secret {
			mounts[i].value = s.other(t, service, secret)
		}
	}
	for _, source := range sources[1:] {
		mounts = append(mounts, mountedSecret{secret: secret, source: source, value: s.right[secret]})
	}
	c := s.start(t, service, service+"-turned-"+sources[0]+"-"+secret, startupWay{}, mounts...)
	c.loaded(t, mounts)
	s.record(t, service, secret, startupTurned(sources), c.uses(t, service, secret, s.right[secret]))
}

// uses requires that the container uses its value, which the fixtures do not
// accept: it is refused. If the service itself decides which value is right, the
// former value is refused.
func (c *startupContainer) uses(t *testing.T, service, secret, former string) string {
	t.Helper()
	if !judges(service, secret) {
		return c.refused(t, secret)
	}
	if service == "db-setup" {
		return c.accepts(t, secret) // the former one is of the role that all others use
	}
	return c.accepts(t, secret, former)
}

// restarts restarts each service, and then for each of its secrets with another
// value in the file, which it has to use, and with the right one again.
func (s *startup) restarts(t *testing.T) {
	parallel(t, s.services, func(t *testing.T, service string) {
		mounts := s.mounts(service, "docker")
		for i := range mounts {
			if service == "db-setup" && mounts[i].secret == "DB_APP_LOGIN" {
				mounts[i].value = s.newRole(t)
			}
		}
		c := s.start(t, service, service+"-restarts", startupWay{}, mounts...)
		c.loaded(t, mounts)
		for _, mounted := range mounts {
			c.accepts(t, mounted.secret)
		}
		c.again(t)
		c.loaded(t, mounts)
		for _, mounted := range mounts {
			s.record(t, service, mounted.secret, "restarted", c.accepts(t, mounted.secret))
		}
		for _, mounted := range mounts {
			c.change(t, "docker", mounted.secret, s.other(t, service, mounted.secret))
			c.again(t)
			s.record(t, service, mounted.secret, "changed", c.uses(t, service, mounted.secret, mounted.value))
			c.change(t, "docker", mounted.secret, mounted.value)
			c.again(t)
			s.record(t, service, mounted.secret, "changed back", c.accepts(t, mounted.secret))
		}
	})
}

// guestDefault is the default in integration/probe.
const guestDefault = "everybody-is-a-guest-here"

// defaults starts a service that a user could have written from all sources. One
// of its secrets is optional and has a default, which production refuses.
func (s *startup) defaults(t *testing.T) {
	token := mountedSecret{secret: "PROBE_TOKEN", source: "docker", value: s.right["PROBE_TOKEN"]}
	for _, source := range []string{"docker", "file", "env", "_FILE", "default"} {
		t.Run(source, func(t *testing.T) {
			given := []mountedSecret{token}
			guest := mountedSecret{secret: "PROBE_GUEST", source: source, value: guestDefault}
			if source != "default" {
				guest.value, given[0].source = s.value(t, "PROBE_GUEST"), source
				given = append(given, guest)
			}
			c := s.start(t, "probe", "probe-"+startupKind(source)+source, startupWay{}, given...)
			c.loaded(t, append([]mountedSecret{given[0]}, guest))
			for path, mounted := range map[string]mountedSecret{"/required": given[0], "/optional": guest} {
				poll(t, time.Minute, c.name+" takes its token", func() bool {
					code, _ := startupAsk(t, c.address+path, "Authorization: Bearer "+mounted.value)
					return code == http.StatusNoContent
				})
				if code, _ := startupAsk(t, c.address+path, "Authorization: Bearer "+s.value(t, mounted.secret)); code != http.StatusUnauthorized {
					t.Errorf("%s answers %d to another token", path, code)
				}
				if path == "/required" && source == "default" {
					continue
				}
				s.record(t, "probe", mounted.secret, source, "token accepted")
			}
			if code, _ := startupAsk(t, c.address+"/written"); code != http.StatusNoContent {
				t.Error("it can write into its root directory")
			}
		})
	}
	t.Run("production", func(t *testing.T) {
		c := s.start(t, "probe", "probe-production", startupWay{production: true, ends: true}, token)
		if code := c.ended(t, c.id); code != 3 {
			t.Errorf("with a default in production it ends with %d, want 3", code)
		}
		c.logs(t, "PROBE_GUEST: default: is refused in production")
	})
}

// databases starts Postgres with its first password from each source that its
// image supports, and with unusable files, which stop it with an error of its
// image.
func (s *startup) databases(t *testing.T) {
	const secret = "DB_ADMIN_PASSWORD"
	wrong := s.value(t, secret)
	parallel(t, []string{"docker", "env", "_FILE"}, func(t *testing.T, source string) {
		id, host, value := s.database, "postgres", s.right[secret]
		if source != "docker" {
			host, value = "postgres-"+strings.Trim(source, "_"), s.value(t, secret)
			id = s.startPostgres(t, host, mountedSecret{secret: secret, source: source, value: value})
			s.awaitPostgres(t, id)
		}
		if !s.startupLogin(t, id, host, "postgres", value) || s.startupLogin(t, id, host, "postgres", wrong) {
			t.Error("the superuser can log in with another password, or not with its own")
		}
		s.record(t, "postgres", secret, source, "login accepted")
	})
	for _, state := range []startupState{nowhere, emptyFile, closedFile, directoryFile, danglingLink} {
		t.Run(string(state), func(t *testing.T) {
			name := strings.Map(startupNameRune, "postgres-"+string(state))
			id := s.startPostgres(t, name, mountedSecret{secret: secret, source: "_FILE", value: s.value(t, secret), state: state})
			if code := s.ended(t, id); code == 0 || code > 128 {
				t.Errorf("it ends with %d", code)
			}
			if strings.Contains(s.log(t, id, time.Time{}), "ready to accept connections") {
				t.Error("it serves")
			}
		})
	}
}
