//go:build integration

package integration

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/docker"
)

// startup is what the start-up tests share: the images of the services, one
// database, one simulator, and the results so far.
type startup struct {
	*project
	services []string            // those that are built from services/
	granted  map[string][]string // secrets by service
	images   map[string]string   // ids by service, and of postgres, helper and probe

	database    string // container of postgres
	databaseLog *startupLog
	simulatorAt string // address of provider-sim

	right map[string]string // what the fixtures accept, by secret

	mu            sync.Mutex
	visible       map[string][]string // secrets in the environment, by container
	started       int
	refusedStarts int
	seen          map[startupCell]string
	says          map[startupFaultKey]string // by fault
	lastRole      string                     // the value with the password that app_b has
}

// newStartup makes images and fixtures.
func newStartup(t *testing.T) *startup {
	t.Helper()
	s := &startup{
		project: &project{t: t, dir: "..", env: os.Environ()}, right: map[string]string{}, visible: map[string][]string{},
		images: map[string]string{}, seen: map[startupCell]string{}, says: map[startupFaultKey]string{},
	}
	s.connect()
	s.takeHome()
	s.audit = newAudit(t)
	s.readManifest()
	_, s.granted = s.grants()
	s.services = s.ownServices()
	for _, name := range append(secretNames(), "PROBE_TOKEN") {
		s.right[name] = s.value(t, name)
	}
	s.makeImages(t)
	s.makeFixtures(t)
	return s
}

// value makes a new value of a secret. The audit searches for it.
func (s *startup) value(t *testing.T, name string) string {
	t.Helper()
	value := newValue(t, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit.know(map[string]string{name: value})
	return value
}

// makeImages builds the images of the services as users build them, and those of
// the helper and the probe.
func (s *startup) makeImages(t *testing.T) {
	t.Helper()
	made := decoded[struct{ Images []struct{ Image string } }](t, s.must(t, "", "build:images", "-json").stdout)
	refs := map[string]string{"helper": s.helperImage(t), "probe": s.buildImage(t, "probe", map[string][]byte{
		"probe": s.program(t, "probe"), "Dockerfile": []byte("FROM scratch\nCOPY probe /probe\nUSER 65532:65532\nENTRYPOINT [\"/probe\"]\n"),
	})}
	for _, one := range made.Images {
		name, _, _ := strings.Cut(strings.TrimPrefix(one.Image, "keepmum/"), ":")
		if name == "postgres" || slices.Contains(s.services, name) {
			refs[name] = one.Image
		}
	}
	if len(refs) != len(s.services)+3 {
		t.Fatalf("images %v, want one for each of %v, postgres, helper and probe", refs, s.services)
	}
	for name, ref := range refs {
		image, err := s.docker.ImageInspect(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if name != "postgres" && name != "helper" && image.Config.User != startupUser+":"+startupUser {
			t.Errorf("the image of %s is for user %s", name, image.Config.User)
		}
		s.images[name] = image.ID
	}
}

// startupUser is the user that the services run as.
const startupUser = "65532"

// makeFixtures starts the database and the simulator that accept the right
// values, with the schema and role app_a.
func (s *startup) makeFixtures(t *testing.T) {
	t.Helper()
	if _, err := s.docker.NetworkCreate(t.Context(), s.name+"_stack", network.CreateOptions{Labels: map[string]string{labelProject: s.name}}); err != nil {
		t.Fatal(err)
	}
	s.database = s.startPostgres(t, "postgres", mountedSecret{secret: "DB_ADMIN_PASSWORD", source: "docker", value: s.right["DB_ADMIN_PASSWORD"]})
	s.databaseLog = s.follow(t, s.database)
	sim := s.start(t, "provider-sim", "provider-sim", startupWay{}, s.mounts("provider-sim", "docker")...)
	s.simulatorAt = sim.address
	s.awaitPostgres(t, s.database)
	setup := s.start(t, "db-setup", "db-setup", startupWay{}, s.mounts("db-setup", "docker")...)
	if code := s.ended(t, setup.id); code != 0 {
		t.Fatalf("db-setup ended with %d", code)
	}
	poll(t, time.Minute, "an answer of the simulator", func() bool { code, _ := startupAsk(t, s.simulatorAt+"/health"); return code == 200 })
}

// startPostgres starts a database that reads its first password from a mounted
// secret.
func (s *startup) startPostgres(t *testing.T, name string, mounted mountedSecret) string {
	t.Helper()
	laid := s.lay(t, name, []mountedSecret{mounted})
	variable := "POSTGRES_PASSWORD_FILE=" + startupRoots[mounted.source] + "/" + mounted.secret
	if mounted.source == "env" {
		variable = "POSTGRES_PASSWORD=" + mounted.value
		s.mu.Lock()
		s.visible[s.name+"-"+name] = []string{mounted.secret}
		s.mu.Unlock()
	}
	return s.launch(t, name, s.images["postgres"], func(r *testcontainers.ContainerRequest) {
		r.Cmd = []string{"postgres", "-c", "log_connections=on", "-c", "log_timezone=UTC", "-c", "log_line_prefix=%m %h ", "-c", "fsync=off"}
		s.join(r, name)
		r.ExposedPorts = []string{"5432/tcp"} // otherwise it would be published on every address
		r.ConfigModifier = func(c *container.Config) {
			c.User = "postgres"
			c.Env = append(c.Env, "POSTGRES_DB=odds", "PGDATA=/memory/keepmum", variable)
		}
		r.HostConfigModifier = func(h *container.HostConfig) {
			startupHarden(h, "json-file")
			h.Mounts, h.PortBindings = laid.mounts, startupPublished(r)
			h.Tmpfs = map[string]string{"/tmp": "mode=1777", "/var/run/postgresql": "mode=1777", "/memory": "mode=1777"}
		}
	})
}

// awaitPostgres waits until a database answers over the network.
func (s *startup) awaitPostgres(t *testing.T, id string) {
	t.Helper()
	poll(t, 2*time.Minute, "an answer of the database", func() bool {
		return s.exec(t, id, "", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "odds").code == 0
	})
}

// join puts a container into the network of the test.
func (s *startup) join(r *testcontainers.ContainerRequest, alias string) {
	r.Networks = []string{s.name + "_stack"}
	r.NetworkAliases = map[string][]string{r.Networks[0]: {alias}}
}

// startupHarden gives a container the limits of docker-compose.yml.
func startupHarden(h *container.HostConfig, driver string) {
	limit := int64(256)
	h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt, h.PidsLimit = true, []string{"ALL"}, []string{"no-new-privileges:true"}, &limit
	h.LogConfig = container.LogConfig{Type: driver, Config: map[string]string{"max-size": "10m", "max-file": "3"}}
}

// startupWay is how a container is started.
type startupWay struct {
	driver     string // of its log; empty: json-file
	production bool
	ends       bool // it is refused, so no request is sent to it
}

// startupContainer is a started container of a service.
type startupContainer struct {
	*startup
	service  string
	id, name string
	files    map[string]string // on this machine, by source and secret
	values   map[string]string // the one to be used, by secret
	said     int               // length of its log before the last start
	heard    int               // length of the database's log before the last start
	host     string            // its address in the network; empty: it has ended
	address  string            // for requests of the test; empty: no published port
	before   statistics        // of the simulator, before the start
	driver   string
}

// start starts a service with mounted secrets.
func (s *startup) start(t *testing.T, service, name string, way startupWay, mounts ...mountedSecret) *startupContainer {
	t.Helper()
	laid := s.lay(t, name, mounts)
	if way.driver == "" {
		way.driver = "json-file"
	}
	if way.production {
		laid.variables = append(laid.variables, "KEEPMUM_ENV=production")
	}
	c := &startupContainer{startup: s, service: service, name: s.name + "-" + name, files: laid.files, values: laid.values, driver: way.driver}
	s.mu.Lock()
	s.started++
	s.visible[c.name] = laid.visible
	s.mu.Unlock()
	if s.simulatorAt != "" && !way.ends {
		s.hearDatabase(t) // an earlier container may have had the address that this one gets
	}
	c.mark(t)
	c.id = s.launch(t, name, s.images[service], func(r *testcontainers.ContainerRequest) {
		s.join(r, name)
		if port, ok := startupPorts[service]; ok && !way.ends {
			r.ExposedPorts = []string{port}
		}
		r.ConfigModifier = func(config *container.Config) {
			config.Env = append(append(config.Env, startupSettings()...), laid.variables...)
		}
		r.HostConfigModifier = func(h *container.HostConfig) {
			startupHarden(h, way.driver)
			h.Mounts, h.PortBindings = laid.mounts, startupPublished(r)
		}
	})
	// Even if the test fails: a poller that goes on running keeps its lock.
	t.Cleanup(func() { c.kill(context.WithoutCancel(t.Context()), t) })
	c.look(t)
	return c
}

// startupSettings are the settings of a service, as in docker-compose.yml, with
// everything as fast as possible.
func startupSettings() []string {
	return []string{
		"DB_HOST=postgres", "DB_PORT=5432", "DB_NAME=odds", "POLL_INTERVAL=1s", "LOG_LEVEL=debug", "SIM_SPEED=60",
		"ODDS_API_URL=" + simulator, "BASKETBALL_API_URL=" + simulator,
	}
}

// startupPorts are the ports for requests of the test.
var startupPorts = map[string]string{"strict-api": "8090/tcp", "provider-sim": "8080/tcp", "probe": "8080/tcp"}

// startupPublished publishes the exposed ports of a container on this machine
// only.
func startupPublished(r *testcontainers.ContainerRequest) nat.PortMap {
	ports := nat.PortMap{}
	for _, port := range r.ExposedPorts {
		ports[nat.Port(port)] = []nat.PortBinding{{HostIP: "127.0.0.1"}}
	}
	return ports
}

// look reads the addresses of the container after a start, and requires the user
// and limits that it must have.
func (c *startupContainer) look(t *testing.T) {
	t.Helper()
	real, err := c.docker.ContainerInspect(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	c.host = real.NetworkSettings.Networks[c.startup.name+"_stack"].IPAddress
	for _, bound := range real.NetworkSettings.Ports {
		for _, one := range bound {
			c.address = "http://" + one.HostIP + ":" + one.HostPort
		}
	}
	if real.Config.User != startupUser+":"+startupUser || !real.HostConfig.ReadonlyRootfs || !slices.Equal(real.HostConfig.CapDrop, []string{"ALL"}) ||
		!slices.Equal(real.HostConfig.SecurityOpt, []string{"no-new-privileges:true"}) || real.HostConfig.LogConfig.Type != c.driver {
		t.Errorf("%s runs as user %s, root read-only %t, log driver %s", c.name, real.Config.User, real.HostConfig.ReadonlyRootfs, real.HostConfig.LogConfig.Type)
	}
}

// again restarts the container. Before the new process starts, the log of the
// database is read to what the former one did.
func (c *startupContainer) again(t *testing.T) {
	t.Helper()
	c.kill(t.Context(), t)
	c.ended(t, c.id)
	c.hearDatabase(t)
	c.mark(t)
	if err := c.docker.ContainerStart(t.Context(), c.id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	c.look(t)
}

// hearDatabase waits until the log of the database has been read up to now: up to
// a connection with a unique name.
func (s *startup) hearDatabase(t *testing.T) {
	t.Helper()
	name := "heard-" + random(t, "abcdefghijklmnopqrstuvwxyz", 12)
	said := s.exec(t, s.database, "", "sh", "-c", `PGAPPNAME="$0" exec psql --no-psqlrc -U postgres -d odds -Atc 'select 1'`, name)
	if said.code != 0 {
		t.Fatalf("psql ended with %d: %s", said.code, s.audit.masked(said.stderr))
	}
	poll(t, time.Minute, "the database's log up to now", func() bool { return strings.Contains(s.databaseLog.String(), name) })
}

// mark records how long the logs are before a start. Timestamps would not do: the
// engine records the start of a container after its first output.
func (c *startupContainer) mark(t *testing.T) {
	t.Helper()
	c.before = c.count(t)
	if c.databaseLog != nil {
		c.heard = len(c.databaseLog.String())
	}
	if c.id != "" {
		c.said = len(c.log(t, c.id, time.Time{}))
	}
}

// kill ends the container. It is kept until everything is searched.
func (c *startupContainer) kill(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.docker.ContainerKill(ctx, c.id, "KILL"); err != nil && !strings.Contains(err.Error(), "is not running") {
		t.Error(err)
	}
}

// count returns the counters of the simulator; none while it is not running.
func (s *startup) count(t *testing.T) statistics {
	t.Helper()
	if s.simulatorAt == "" {
		return statistics{}
	}
	code, body := startupAsk(t, s.simulatorAt+"/sim/stats")
	if code != 200 {
		t.Fatalf("the simulator answers %d", code)
	}
	return decoded[statistics](t, body)
}

// startupLog is the log of a container so far.
type startupLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (l *startupLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *startupLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// follow reads the log of a container until the end of the test.
func (s *startup) follow(t *testing.T, id string) *startupLog {
	log := &startupLog{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.engine.ContainerLogs(ctx, id, docker.LogOptions{Follow: true}, log, log); err != nil && ctx.Err() == nil {
			t.Errorf("the log of the database was not read to its end: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return log
}

// mountsOf makes the mounts of a container, sorted by target.
func mountsOf(targets map[string]string) []mount.Mount {
	var all []mount.Mount
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		all = append(all, mount.Mount{Type: mount.TypeBind, Source: targets[target], Target: target, ReadOnly: true})
	}
	return all
}

// givenTo is the directory of a container's files.
func (s *startup) givenTo(name string) string { return filepath.Join(s.home, "given", name) }
