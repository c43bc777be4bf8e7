//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// TestStack takes a copy of this checkout with a real .env next to the compose
// file through its life, with the compiled binary and on the real engine: set up,
// used, failing, crashing, changed, and in legacy mode. At each step every
// surface is searched for every value, after its canary was found.
//
// The values of the .env, and those that replace them later, are known from the
// beginning, so that one search is for all of them.
func TestStack(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := newProject(t)
	s := &story{project: p, values: map[string]map[string]string{}}
	s.makeValues(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"from .env to a running stack", s.setUp},
		{"every value is used", s.used},
		{"canaries", s.canaries},
		{"the upstream fails", s.upstreamFails},
		{"services crash", s.servicesCrash},
		{"the upstream was slow", s.upstreamWasSlow},
		{"images", s.images},
		{"the database's files", s.databaseFiles},
		{"values change", s.change},
		{"files and events", s.filesAndEvents},
		{"down", s.down},
		{"legacy mode", s.legacy},
	} {
		if !t.Run(step.name, step.run) {
			break // the next steps depend on it
		}
	}
	p.audit.finish(t, map[string]int{
		"canaries": 360, "logs": 150, "inspect": 150, "processes in": 57, commandProcesses: 20, "output": 39, "errors": 36,
		"network": 21, "volume": 7, "image": 10, "config": 10, "history": 10,
		"database": 1, "events": 1, "rendered": 1, "worktree": 1, "temporary": 1, "cache": 1,
	})
}

// story is what the steps share.
type story struct {
	*project
	values map[string]map[string]string // by when, and name

	helper  string // image
	asker   string // container in the networks of the stack
	crashes *crashVariants
	events  *eventLog

	slowSince time.Time // when slow answers began
}

// makeValues makes all values of the test.
func (s *story) makeValues(t *testing.T) {
	s.audit = newAudit(t)
	for when, names := range map[string][]string{
		"first":  append(secretNames(), unrelated),
		"second": {"STRICT_API_TOKEN", "DB_APP_LOGIN", "THE_ODDS_API_KEY"},
		"third":  {"DB_APP_LOGIN"},
		"env":    append(secretNames(), unrelated),
		"file":   {"STRICT_API_TOKEN", "THE_ODDS_API_KEY"},
		"wrong":  {"STRICT_API_TOKEN", "DB_APP_LOGIN", "DB_ADMIN_PASSWORD"},
	} {
		s.values[when] = map[string]string{}
		for _, name := range names {
			s.values[when][name] = newValue(t, name)
		}
	}
	s.values["third"]["DB_APP_LOGIN"] = "app_b:" + strings.TrimPrefix(s.values["third"]["DB_APP_LOGIN"], "app_a:")
	for _, values := range s.values {
		s.audit.know(values)
	}
}

// setUp does what a user does first.
func (s *story) setUp(t *testing.T) {
	s.writeEnv(s.values["first"])
	s.must(t, "", "secrets:init")
	s.audit.begin(t, []byte(s.read(".keepmum/key")))
	s.events = s.listen()
	said := s.must(t, "", "secrets:fromEnv")
	for _, name := range secretNames() {
		if !strings.Contains(said.stdout, name) || s.read("secrets/"+name) != s.values["first"][name] {
			t.Errorf("secrets/%s does not hold the value of the .env, byte for byte", name)
		}
	}
	if !strings.Contains(said.stderr, unrelated) {
		t.Errorf("the output does not say that %s is not declared", unrelated)
	}
	s.must(t, "", "secrets:validate")
	s.must(t, "", "stack:up")
	s.requireReady(t)
	for _, name := range secretNames() {
		if !strings.Contains(s.read(".env"), name+"=") {
			t.Fatalf("%s is no longer in the .env: the next steps would prove nothing", name)
		}
	}
	s.crashes = s.makeCrashVariants(t)
}

// requireReady requires that all services are healthy and hold the newest values,
// and have none in their environment.
func (s *story) requireReady(t *testing.T) {
	t.Helper()
	status, declared := s.status(t), 0
	for _, service := range status.Services {
		if !service.Declared {
			continue // started by the test
		}
		declared++
		if service.Values != "current" || len(service.Visible) > 0 {
			t.Errorf("%s: values %s, in its environment %v", service.Service, service.Values, service.Visible)
		}
	}
	if !status.Ready || declared != len(s.manifest.Services) {
		t.Errorf("the stack is not ready: %+v", status)
	}
}

// api sends a request to strict-api, with a token unless it is empty.
func (s *story) api(t *testing.T, path, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+s.port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// ask sends a request to a service from inside the networks of the stack.
func (s *story) ask(t *testing.T, input string, args ...string) (status, body string) {
	t.Helper()
	said := s.exec(t, s.asker, input, append([]string{"/helper", "ask"}, args...)...)
	if said.code != 0 {
		t.Fatalf("no answer to %v: %s", args, said.stderr)
	}
	status, body, _ = strings.Cut(said.stdout, "\n")
	return status, body
}

// statistics are the counters of provider-sim, by provider.
type statistics struct {
	Providers map[string]struct{ Authenticated, Refused, Faults int }
}

const simulator = "http://provider-sim:8080"

func (s *story) counted(t *testing.T) statistics {
	t.Helper()
	_, body := s.ask(t, "", "GET", simulator+"/sim/stats")
	return decoded[statistics](t, body)
}

// logsIn reports whether the database accepts a login over the network.
func (s *story) logsIn(t *testing.T, role, password string) bool {
	t.Helper()
	// By its name in the network: some images trust every connection over
	// loopback.
	said := s.exec(t, s.container(t, "postgres").ID, password+"\n", "sh", "-c",
		`IFS= read -r PGPASSWORD; export PGPASSWORD; exec psql --no-psqlrc -h postgres -U "$0" -d odds -Atc 'select current_user'`, role)
	if said.code != 0 && !strings.Contains(said.stderr, "password authentication failed") {
		t.Fatalf("psql ended with %d, and not because of the password: %s", said.code, s.audit.masked(said.stderr))
	}
	return said.code == 0 && strings.TrimSpace(said.stdout) == role
}

// login splits a value of DB_APP_LOGIN.
func login(value string) (role, password string) {
	role, password, _ = strings.Cut(value, ":")
	return role, password
}

// roles returns the services that are connected to the database, by role.
func (s *story) roles(t *testing.T) map[string][]string {
	t.Helper()
	said := s.exec(t, s.container(t, "postgres").ID, "", "psql", "--no-psqlrc", "-U", "postgres", "-d", "odds", "-AtF", " ", "-c",
		`select distinct usename, application_name from pg_stat_activity where usename like 'app\_%' order by 1, 2`)
	if said.code != 0 {
		t.Fatalf("psql ended with %d: %s", said.code, s.audit.masked(said.stderr))
	}
	roles := map[string][]string{}
	for line := range strings.Lines(said.stdout) {
		role, service, _ := strings.Cut(strings.TrimSpace(line), " ")
		roles[role] = append(roles[role], service)
	}
	return roles
}

// users are the services that keep a connection to the database.
func users() []string {
	return []string{"line-movement-analyzer", "odds-ingestion", "prediction-service", "schedule-poller", "strict-api"}
}

// used proves that each value is used: the right one is accepted, another one is
// refused.
func (s *story) used(t *testing.T) {
	first, wrong := s.values["first"], s.values["wrong"]
	s.helper = s.helperImage(t)
	s.asker = s.launch(t, asker, s.helper, func(r *testcontainers.ContainerRequest) {
		r.Cmd = []string{"wait"}
		r.Networks = []string{s.name + "_providers", s.name + "_database", s.name + "_edge"}
		r.HostConfigModifier = s.mount("THE_ODDS_API_KEY", "STRICT_API_TOKEN")
	})
	s.requireAccepted(t, first["STRICT_API_TOKEN"], wrong["STRICT_API_TOKEN"], "docker")
	s.requireCounted(t)
	if status, _ := s.ask(t, "", "GET", simulator+"/v4/sports/basketball_nba/odds?regions=us&apiKey=ffffffffffffffffffffffffffffffff"); status != "401" {
		t.Errorf("the simulator answers %s to a wrong key", status)
	}
	role, password := login(first["DB_APP_LOGIN"])
	if _, other := login(wrong["DB_APP_LOGIN"]); !s.logsIn(t, role, password) || s.logsIn(t, role, other) {
		t.Errorf("role %s can log in with another password, or not with its own", role)
	}
	if !s.logsIn(t, "postgres", first["DB_ADMIN_PASSWORD"]) || s.logsIn(t, "postgres", wrong["DB_ADMIN_PASSWORD"]) {
		t.Error("the superuser can log in with another password, or not with its own")
	}
	if roles := s.roles(t); !slices.Equal(roles[role], users()) || len(roles) != 1 {
		t.Errorf("connected to the database: %v", roles)
	}
	s.requirePredictions(t)
}

// requireAccepted requires that strict-api accepts one token and refuses another,
// and that its token is from this source.
func (s *story) requireAccepted(t *testing.T, right, wrong, source string) {
	t.Helper()
	for _, path := range []string{"/games", "/odds", "/movements", "/predictions"} {
		if code, _ := s.api(t, path, right); code != http.StatusOK {
			t.Errorf("%s with the token: %d", path, code)
		}
		for token, why := range map[string]string{wrong: "another token", "": "no token"} {
			if code, _ := s.api(t, path, token); code != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d", path, why, code)
			}
		}
	}
	_, body := s.api(t, "/health", right)
	type origin struct{ Name, Source string }
	loaded := decoded[struct{ Secrets []origin }](t, body).Secrets
	if len(loaded) != 2 || !slices.Contains(loaded, origin{"STRICT_API_TOKEN", source}) {
		t.Errorf("strict-api has loaded %+v, not its token from %s", loaded, source)
	}
}

// requireCounted requires that the simulator keeps counting authenticated calls
// of both pollers, and refuses none.
func (s *story) requireCounted(t *testing.T) {
	t.Helper()
	before := s.counted(t)
	for _, provider := range []string{"the-odds-api", "api-basketball"} {
		poll(t, time.Minute, "authenticated calls to "+provider, func() bool {
			return s.counted(t).Providers[provider].Authenticated > before.Providers[provider].Authenticated
		})
		if refused := s.counted(t).Providers[provider].Refused; refused != 0 {
			t.Errorf("%s refused %d calls", provider, refused)
		}
	}
}

// requirePredictions requires probabilities that are based on odds and on
// results.
func (s *story) requirePredictions(t *testing.T) {
	t.Helper()
	poll(t, time.Minute, "a prediction from odds and results", func() bool {
		code, body := s.api(t, "/predictions", s.read("secrets/STRICT_API_TOKEN"))
		return code == http.StatusOK && predicted(t, body)
	})
}

// predicted reports whether an answer of the API has a prediction from odds and
// results.
func predicted(t *testing.T, body string) bool {
	t.Helper()
	type page struct {
		Events []struct {
			Home, Away string
			Prediction struct {
				Home   float64
				Market *float64
				Elo    *float64
				Books  int
				Games  int
			}
		}
	}
	for _, e := range decoded[page](t, body).Events {
		if p := e.Prediction; p.Market != nil && p.Elo != nil && p.Home > 0 && p.Home < 1 && p.Books > 0 && p.Games > 0 {
			t.Logf("%s against %s: %.3f, from %d books and %d games", e.Home, e.Away, p.Home, p.Books, p.Games)
			return true
		}
	}
	return false
}

// canaries plants the canary in every surface of the running stack, and requires
// that the search finds it in each encoding.
func (s *story) canaries(t *testing.T) {
	s.plantContainers(t, s.helper)
	s.lookAt(t, s.helper, nil)
	s.logsAreMasked(t)
	t.Run("a secret in a log", s.printingContainer)
	// Our own output: mage quotes an unknown target.
	said := s.keepmum(t, "", s.audit.plain)
	s.audit.require(t, []plant{{surface: "output of a wrong target"}}, nil, sweep.Bytes("output of a wrong target", []byte(said.stdout+said.stderr)))
}

// printingContainer starts a container whose log shows a value in every encoding:
// docker logs shows it, and stack:logs masks it.
func (s *story) printingContainer(t *testing.T) {
	const name = "STRICT_API_TOKEN"
	id := s.launch(t, printing, s.helper, func(r *testcontainers.ContainerRequest) {
		r.Cmd, r.Env = []string{"print"}, map[string]string{"CANARY": "{" + name + "}"}
		r.HostConfigModifier = s.mount(name)
	})
	if code := s.ended(t, id); code != 0 {
		t.Fatalf("the helper ended with %d", code)
	}
	surface := sweep.Logs(s.engine, s.container(t, printing).Name)
	found := s.audit.search(t, func(h sweep.Hit) bool { return h.Surface == surface.Name && h.Name == name }, surface)
	lines := map[string]bool{}
	for _, hit := range found[surface.Name] {
		lines[fmt.Sprint(hit.Place, hit.Line)] = true
	}
	want := 2 * len(redact.Encodings()) // one for each encoding, on both streams
	if len(lines) != want {
		t.Errorf("the value is found in %d lines of its log, want %d", len(lines), want)
	}
	masked := 0
	for line := range strings.Lines(s.must(t, "", "stack:logs", "-follow=false").stdout) {
		if strings.HasPrefix(line, printing+" | a canary, ") && strings.Contains(line, redact.Mask(name)) {
			masked++
		}
	}
	if masked != want {
		t.Errorf("stack:logs shows %d masked lines of it, want %d", masked, want)
	}
	s.remove(t, id)
}

// mount mounts the files of secrets in a container.
func (s *story) mount(names ...string) func(*container.HostConfig) {
	return func(h *container.HostConfig) {
		for _, name := range names {
			h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeBind, Source: filepath.Join(s.dir, "secrets", name), Target: "/run/secrets/" + name, ReadOnly: true})
		}
	}
}

// logsAreMasked requires that stack:logs shows the log of every service, and that
// a canary in one of them is found in its output.
func (s *story) logsAreMasked(t *testing.T) {
	t.Helper()
	said := s.must(t, "", "stack:logs", "-follow=false")
	for _, service := range s.manifest.Services {
		if !strings.Contains(said.stdout, service.Name+" | ") {
			t.Errorf("stack:logs shows nothing of %s", service.Name)
		}
	}
	const shown = "output of stack:logs"
	s.audit.require(t, []plant{{shown, "", "line"}, {shown, "", "base64"}, {shown, "", "hex"}}, nil, sweep.Bytes(shown, []byte(said.stdout)))
}

// fault is a failure of the upstream, with the error that each poller logs.
type fault struct{ mode, odds, games string }

// upstreamFails makes the upstream fail in every way, and searches after each was
// seen: in the logs of both pollers, and in the health of twins that never had a
// good answer, which docker inspect shows. At its end slow answers are under way:
// upstreamWasSlow waits for those.
func (s *story) upstreamFails(t *testing.T) {
	s.awaitCrashVariants(t)
	for _, f := range []fault{
		{"500", "fails (status 500)", "fails (status 500)"},
		{"429", "limits the rate (status 429)", "limits the rate (status 429)"},
		{"401", "refuses THE_ODDS_API_KEY (status 401)", "refuses API_BASKETBALL_KEY"},
		{"hangup", "is down: the connection broke off", "is down: the connection broke off"},
		{"malformed", "answers with something malformed", "answers with something malformed"},
	} {
		t.Run(f.mode, func(t *testing.T) {
			begun := time.Now()
			s.setFault(t, f.mode, 0)
			s.unhealthy(t, f)
			s.seen(t, begun, f)
			s.setFault(t, "none", 0)
			s.recovered(t)
		})
	}
	t.Run("down", s.upstreamDown)
	poll(t, time.Minute, "all services are healthy again", func() bool { return s.status(t).Ready })
	t.Run("slow", func(t *testing.T) {
		s.slowSince = time.Now()
		before := s.counted(t).Providers
		s.setFault(t, "slow", 1)
		poll(t, time.Minute, "a slow answer to both pollers", func() bool {
			now := s.counted(t).Providers
			return now["the-odds-api"].Faults > before["the-odds-api"].Faults && now["api-basketball"].Faults > before["api-basketball"].Faults
		})
		s.setFault(t, "slow", 0)
		s.unhealthy(t, slow())
		s.setFault(t, "none", 0)
	})
	s.lookAt(t, s.helper, nil)
	s.logsAreMasked(t)
	s.removeAll(t, "failing-")
}

// slow is the fault of slow answers.
func slow() fault { return fault{"slow", "is slow", "is slow"} }

// unhealthy starts twins of the pollers while the upstream fails, waits until
// docker inspect shows why they are not healthy, and stops them. Their images are
// crash variants that do not crash: the real images would wait for the lock, and
// make no call.
func (s *story) unhealthy(t *testing.T, f fault) {
	t.Helper()
	reasons := map[string]string{"odds-ingestion": f.odds, "schedule-poller": f.games}
	ids := map[string]string{}
	for service := range reasons {
		how := twin{of: service, health: 300 * time.Millisecond, variables: []string{"ODDS_TIMEOUT=1s", "BASKETBALL_TIMEOUT=1s"}}
		ids[service] = s.launch(t, "failing-"+service+"-"+f.mode, s.crashRef(service), s.like(t, how))
	}
	for service, id := range ids {
		poll(t, time.Minute, "the health of "+service+" says that the upstream "+reasons[service], func() bool {
			raw, err := s.engine.InspectContainer(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(raw), reasons[service])
		})
		if err := s.docker.ContainerKill(t.Context(), id, "KILL"); err != nil {
			t.Fatal(err)
		}
	}
}

// removeAll removes the containers that the test started under a name with this
// prefix.
func (s *story) removeAll(t *testing.T, prefix string) {
	t.Helper()
	for _, c := range s.containers(t) {
		if strings.HasPrefix(c.Service, prefix) {
			s.remove(t, c.ID)
		}
	}
}

// upstreamWasSlow waits until both pollers have given up their slow calls.
func (s *story) upstreamWasSlow(t *testing.T) {
	s.seen(t, s.slowSince, slow())
	s.recovered(t)
	s.lookAt(t, s.helper, nil)
}

// setFault makes the simulator fail, for so many calls of each provider; 0: until
// the next call of setFault.
func (s *story) setFault(t *testing.T, mode string, count int) {
	t.Helper()
	if status, body := s.ask(t, fmt.Sprintf(`{"mode": %q, "count": %d}`, mode, count), "POST", simulator+"/sim/faults"); status != "204" {
		t.Fatalf("the fault %s is answered with %s %s", mode, status, body)
	}
}

// upstreamDown stops the upstream, and starts it again.
func (s *story) upstreamDown(t *testing.T) {
	begun, id := time.Now(), s.container(t, "provider-sim").ID
	if err := s.docker.ContainerStop(t.Context(), id, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	f := fault{"down", "is down: ", "is down: "}
	s.unhealthy(t, f)
	s.seen(t, begun, f)
	if err := s.docker.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	s.recovered(t)
}

// seen waits until both pollers have logged a failed call of that kind.
func (s *story) seen(t *testing.T, since time.Time, f fault) {
	t.Helper()
	for service, kind := range map[string]string{"odds-ingestion": f.odds, "schedule-poller": f.games} {
		id := s.container(t, service).ID
		poll(t, time.Minute, service+" logs that the upstream "+kind, func() bool {
			return slices.ContainsFunc(strings.Split(s.log(t, id, since), "\n"), func(line string) bool {
				return strings.Contains(line, `"msg":"poll failed"`) && strings.Contains(line, kind)
			})
		})
	}
}

// recovered waits until both pollers store again.
func (s *story) recovered(t *testing.T) {
	t.Helper()
	since := time.Now()
	for _, service := range []string{"odds-ingestion", "schedule-poller"} {
		id := s.container(t, service).ID
		poll(t, 2*time.Minute, service+" stores again", func() bool { return strings.Contains(s.log(t, id, since), `"msg":"stored"`) })
	}
}

// awaitCrashVariants waits until the images of the crash variants are built.
func (s *story) awaitCrashVariants(t *testing.T) {
	t.Helper()
	<-s.crashes.done
	if s.crashes.err != nil {
		t.Fatalf("the crash variants were not built: %v", s.crashes.err)
	}
}

// servicesCrash crashes every service with values on the stack and in the text of
// the panic, and searches its output.
func (s *story) servicesCrash(t *testing.T) {
	wrong := filepath.Join(s.home, "wrong")
	if err := os.Mkdir(wrong, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range s.values["wrong"] {
		if err := os.WriteFile(filepath.Join(wrong, name), []byte(value), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	s.crashAll(t, s.asker, wrong)
	t.Run("postgres", s.crashPostgres)
	s.lookAt(t, s.helper, nil)
	s.removeAll(t, "crash-")
}

// images searches configuration, history and layers of every image that a
// container of the project runs, and of the probe of stack:up.
func (s *story) images(t *testing.T) {
	refs := map[string]string{images.ProbeImage: images.ProbeImage} // names by reference
	for _, c := range s.containers(t) {
		refs[c.ImageID] = c.Image // another checkout may have taken the name since
	}
	var surfaces []sweep.Surface
	for ref, name := range refs {
		config, history, layers := sweep.ImageConfig(s.engine, ref), sweep.ImageHistory(s.engine, ref), sweep.Image(s.engine, ref)
		config.Name, history.Name, layers.Name = "config of "+name, "history of "+name, "image "+name
		surfaces = append(surfaces, config, history, layers)
	}
	s.audit.require(t, []plant{
		{"config of " + s.helper, "", "raw"}, {"history of " + s.helper, "", "raw"},
		{"image " + s.helper, "etc/canary.txt", "raw"}, {"image " + s.helper, "configuration", "raw"},
	}, nil, surfaces...)
}

// databaseFiles searches the files of Postgres on its volume: of passwords they
// hold verifiers only.
func (s *story) databaseFiles(t *testing.T) {
	id := s.container(t, "postgres").ID
	said := s.exec(t, id, "create table planted as select '"+s.audit.plain+"' as canary; checkpoint;", "psql", "--no-psqlrc", "-U", "postgres", "-d", "odds", "-v", "ON_ERROR_STOP=1", "-q")
	if said.code != 0 {
		t.Fatalf("the canary cannot be planted: %s", s.audit.masked(said.stderr))
	}
	files := sweep.Stream("database files", func(ctx context.Context) (io.ReadCloser, error) {
		stream, _, err := s.docker.CopyFromContainer(ctx, id, "/var/lib/postgresql/keepmum")
		return stream, err
	})
	s.audit.require(t, []plant{{files.Name, "base/", "raw"}, {files.Name, "pg_wal/", "raw"}}, nil, files)
}

// change changes secrets: exactly the services that are granted one are
// recreated, and they hold the new value.
func (s *story) change(t *testing.T) {
	bySecret, _ := s.grants()
	first, second, third := s.values["first"], s.values["second"], s.values["third"]
	t.Run("a token", func(t *testing.T) {
		s.set(t, "STRICT_API_TOKEN", second)
		withheld := s.must(t, "", "stack:logs", "-follow=false")
		if strings.Contains(withheld.stdout, "strict-api | ") || !strings.Contains(withheld.stderr, "strict-api: log withheld") {
			t.Error("the log of strict-api, whose value is no longer known, is not withheld")
		}
		s.requireAccepted(t, first["STRICT_API_TOKEN"], second["STRICT_API_TOKEN"], "docker")
		s.up(t, bySecret["STRICT_API_TOKEN"])
		s.requireAccepted(t, second["STRICT_API_TOKEN"], first["STRICT_API_TOKEN"], "docker")
	})
	t.Run("a password", func(t *testing.T) {
		s.set(t, "DB_APP_LOGIN", second)
		s.up(t, bySecret["DB_APP_LOGIN"])
		s.requireLogin(t, second["DB_APP_LOGIN"], first["DB_APP_LOGIN"])
	})
	t.Run("the role", func(t *testing.T) {
		s.set(t, "DB_APP_LOGIN", third)
		s.up(t, bySecret["DB_APP_LOGIN"])
		s.requireLogin(t, third["DB_APP_LOGIN"], "app_b:"+s.values["wrong"]["DB_ADMIN_PASSWORD"])
	})
	t.Run("nothing", func(t *testing.T) { s.up(t, nil) })
	t.Run("the .env", func(t *testing.T) {
		s.writeEnv(map[string]string{
			"STRICT_API_TOKEN": second["STRICT_API_TOKEN"], "DB_APP_LOGIN": third["DB_APP_LOGIN"], "THE_ODDS_API_KEY": second["THE_ODDS_API_KEY"],
			"DB_ADMIN_PASSWORD": first["DB_ADMIN_PASSWORD"], "API_BASKETBALL_KEY": first["API_BASKETBALL_KEY"], unrelated: first[unrelated],
		})
		requireStale(t, s.must(t, "", "secrets:fromEnv"), "THE_ODDS_API_KEY", bySecret["THE_ODDS_API_KEY"])
		s.up(t, bySecret["THE_ODDS_API_KEY"])
		s.requireCounted(t)
	})
	s.lookAt(t, s.helper, nil)
}

// set stores a new value, and requires that the services that still hold the old
// one are named.
func (s *story) set(t *testing.T, name string, values map[string]string) {
	t.Helper()
	bySecret, _ := s.grants()
	requireStale(t, s.must(t, values[name], "secrets:set", name), name, bySecret[name])
	older := s.status(t).older()
	want := slices.DeleteFunc(slices.Clone(bySecret[name]), func(service string) bool { return service == "db-setup" && !slices.Contains(older, service) })
	if slices.Sort(want); !slices.Equal(older, want) {
		t.Errorf("stack:status says that %v hold an older value, not %v", older, want)
	}
}

// requireStale requires that exactly the services that run with an older value
// are named. db-setup has ended, so it is not.
func requireStale(t *testing.T, said output, name string, services []string) {
	t.Helper()
	var named, want []string
	for line := range strings.Lines(said.stderr) {
		if service, rest, ok := strings.Cut(line, " runs with an older value of "); ok && strings.HasPrefix(rest, name+":") {
			named = append(named, service)
		} else if ok {
			t.Errorf("another secret is named: %s", line)
		}
	}
	for _, service := range services {
		if service != "db-setup" {
			want = append(want, service)
		}
	}
	slices.Sort(want)
	if slices.Sort(named); !slices.Equal(named, want) {
		t.Errorf("running with an older value of %s: %v, want %v", name, named, want)
	}
}

// up runs stack:up and requires that exactly these services are recreated, by its
// output and by the ids of the containers, and that everything is ready after.
func (s *story) up(t *testing.T, services []string) {
	t.Helper()
	want := slices.Sorted(slices.Values(services))
	before := s.ids(t)
	result := decoded[stack.UpResult](t, s.must(t, "", "stack:up", "-json").stdout)
	after := s.ids(t)
	var said, seen []string
	for _, service := range result.Services {
		switch service.Action {
		case stack.Unchanged:
		case stack.Recreated:
			said = append(said, service.Service)
		case stack.Started:
			if service.Service != "db-setup" { // it had ended, and Compose starts it again
				t.Errorf("%s was started", service.Service)
			}
		default:
			t.Errorf("%s was %s", service.Service, service.Action)
		}
		if before[service.Service] != after[service.Service] {
			seen = append(seen, service.Service)
		}
	}
	if !slices.Equal(said, want) || !slices.Equal(seen, want) || len(before) != len(after) {
		t.Errorf("recreated %v, by its own output %v; want %v", seen, said, want)
	}
	s.requireReady(t)
}

// requireLogin requires that the database accepts the new login, that all
// services use its role, and that the old login is refused.
func (s *story) requireLogin(t *testing.T, right, wrong string) {
	t.Helper()
	role, password := login(right)
	if !s.logsIn(t, role, password) {
		t.Errorf("role %s cannot log in with its new password", role)
	}
	if other, old := login(wrong); s.logsIn(t, other, old) {
		t.Errorf("role %s can still log in with the former password", other)
	}
	// The server ends the connections of a removed container only after a while.
	var roles map[string][]string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("connected to the database: %v", roles)
		}
	})
	poll(t, time.Minute, "exactly all services are connected as "+role, func() bool {
		roles = s.roles(t)
		return slices.Equal(roles[role], users()) && len(roles) == 1
	})
}

// filesAndEvents searches the files that keepmum has written, outside secrets/,
// and the events of the engine.
func (s *story) filesAndEvents(t *testing.T) {
	events := s.events.surface(t)
	s.audit.require(t, []plant{{surface: events.Name}}, nil, events)
	for name, path := range map[string]string{
		"rendered": filepath.Join(s.dir, ".keepmum"), "worktree": s.dir, "temporary": s.tmp, "cache": filepath.Join(s.home, "cache"),
	} {
		file := filepath.Join(path, "canary.txt")
		if err := os.WriteFile(file, []byte(s.audit.canary), 0o600); err != nil {
			t.Fatal(err)
		}
		exclude := map[string][]string{"rendered": {"key"}, "worktree": {"secrets/[A-Z]*[A-Z]", ".env", ".keepmum/key"}}[name]
		s.audit.require(t, []plant{{name + " files", "canary.txt", "raw"}}, nil, sweep.Tree(name+" files", os.DirFS(path), exclude...))
		if name == "rendered" && !strings.Contains(s.read(".keepmum/stack.json"), docker.LabelGrants) {
			t.Error(".keepmum/stack.json does not hold the labels")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// down removes the stack, and leaves nothing of it on the engine.
func (s *story) down(t *testing.T) {
	for _, service := range []string{lingering, gone, asker} {
		s.remove(t, s.container(t, service).ID)
	}
	s.must(t, "", "stack:down", "-volumes")
	if left, err := projectsOnEngine(t.Context(), s.docker); err != nil {
		t.Fatal(err)
	} else if all := s.containers(t); len(all) > 0 {
		t.Errorf("%d containers are left; the latest is of %v", len(all), left[s.name])
	}
}
