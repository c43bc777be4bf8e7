//go:build integration

package integration

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/sweep"
)

// TestStartup starts every service with each of its secrets from each source, in
// its real image. It requires that the value is used, that the source is
// reported, that the order of the sources holds, and that a secret that cannot be
// used stops the start before anything happens. Logs and inspect of every
// container are searched for every value.
func TestStartup(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := newStartup(t)
	t.Run("refused", s.refusals)
	t.Run("used", s.uses)
	t.Run("order", s.order)
	t.Run("restarts", s.restarts)
	t.Run("defaults", s.defaults)
	t.Run("databases", s.databases)
	t.Run("silent", s.silent)
	t.Log(s.table())
	s.audit.finish(t, map[string]int{"canaries": 40, "logs": 290, "inspect": 290})
	s.finish(t)
}

// startupSorted returns the names of a map.
func startupSorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// parallel runs tests, four at a time.
func parallel(t *testing.T, names []string, run func(*testing.T, string)) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, name := range names {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { run(t, name) })
		})
	}
	wait.Wait()
}

// uses starts each service from each source, one container after the other: a
// second poller would wait for the lock of the first.
func (s *startup) uses(t *testing.T) {
	parallel(t, s.services, func(t *testing.T, service string) {
		for _, source := range []string{"docker", "file", "env", "_FILE"} {
			t.Run(source, func(t *testing.T) { s.oneSource(t, service, source) })
		}
	})
}

// oneSource starts a service with all of its secrets in one source.
func (s *startup) oneSource(t *testing.T, service, source string) {
	way := startupWay{driver: map[string]string{"file": "local", "_FILE": "local"}[source], production: source == "docker" || source == "_FILE"}
	mounts := s.mounts(service, source)
	for i := range mounts {
		if mounts[i].secret == "DB_APP_LOGIN" && service == "db-setup" {
			mounts[i].value = s.newRole(t)
		}
	}
	c := s.start(t, service, service+"-"+strings.Trim(source, "_"), way, mounts...)
	c.loaded(t, mounts)
	for _, mounted := range mounts {
		s.record(t, service, mounted.secret, source, c.accepts(t, mounted.secret))
	}
	c.reportsSources(t, mounts)
}

// newRole makes a value of DB_APP_LOGIN for the role that no service uses.
func (s *startup) newRole(t *testing.T) string {
	t.Helper()
	_, password := login(s.value(t, "DB_APP_LOGIN"))
	value := "app_b:" + password
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit.know(map[string]string{"DB_APP_LOGIN": value})
	return value
}

// silent searches logs and inspect of every container. For each log driver one
// container prints the canary. Inspect shows exactly the values that were passed
// in the environment.
func (s *startup) silent(t *testing.T) {
	for _, driver := range []string{"json-file", "local"} {
		id := s.launch(t, "canary-"+driver, s.images["helper"], func(r *testcontainers.ContainerRequest) {
			r.Cmd, r.Env = []string{"print"}, map[string]string{"CANARY": s.audit.canary}
			r.HostConfigModifier = func(h *container.HostConfig) { startupHarden(h, driver) }
		})
		if code := s.ended(t, id); code != 0 {
			t.Fatalf("the helper ended with %d", code)
		}
	}
	s.audit.begin(t, []byte(random(t, "0123456789abcdef", 64)))
	var surfaces []sweep.Surface
	var plants []plant
	all := s.containers(t)
	for _, c := range all {
		surfaces = append(surfaces, sweep.Logs(s.engine, c.Name), sweep.Inspect(s.engine, c.Name))
		if strings.HasPrefix(c.Service, "canary-") {
			plants = append(plants, plantsOf(c)...)
		}
	}
	found := s.audit.require(t, plants, func(h sweep.Hit) bool {
		name, ok := strings.CutPrefix(h.Surface, "inspect of ")
		return ok && slices.Contains(s.visible[name], h.Name)
	}, surfaces...)
	for _, c := range all {
		requireShown(t, found, "inspect of "+c.Name, s.visible[c.Name])
	}
}
