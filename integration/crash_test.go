//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/imagebuild"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/pkg/redact"
)

// patch is a place in the sources at which crash variants call a function.
type patch struct{ file, before, with string }

// patches returns the places. Each text is in its file once; if a change of the
// services makes the test say otherwise, the new text belongs here.
func patches() []patch {
	return []patch{
		{"services/internal/service/program.go", "return p.Run(ctx, kit, config)", "CrashRun(kit, config); "},
		// The key in the query, the key in a header.
		{"services/internal/service/upstream.go", "response, err := client.Do(request)", `Crash("upstream", func() string { return request.URL.String() + fmt.Sprint(request.Header) }); `},
		// The password in the configuration of pgx.
		{"services/internal/store/open.go", "pool, err := pgxpool.NewWithConfig(ctx, config)", `service.Crash("database", func() string { return config.ConnConfig.User + ":" + config.ConnConfig.Password }); `},
		// The values that clients send.
		{"services/provider-sim/provider.go", "given := key(r)", `service.Crash("handler", func() string { return r.URL.String() + " " + key(r) }); `},
		{"services/strict-api/api.go", "who := a.bearer.of(r)", `service.Crash("handler", func() string { return r.Header.Get("Authorization") }); `},
		// Otherwise the twin of a poller waits for the lock of the real one.
		{"services/internal/store/lead.go", `"keepmum/" + name`, `"crash " + `},
	}
}

// crashVariants are images of all services that crash on demand.
type crashVariants struct {
	done chan struct{}
	err  error
}

// overlay writes the file that makes the go command see the sources with the
// patches.
func (p *project) overlay(t *testing.T) string {
	t.Helper()
	replace := map[string]string{}
	enter := func(name, text string) {
		path := filepath.Join(p.home, "overlay", strings.ReplaceAll(name, "/", "_"))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(p.dir, filepath.FromSlash(name))] = path
	}
	crash, err := os.ReadFile(filepath.Join("testdata", "crash", "crash.go"))
	if err != nil {
		t.Fatal(err)
	}
	enter("services/internal/service/crash.go", string(crash))
	for _, one := range patches() {
		text := p.read(one.file)
		if n := strings.Count(text, one.before); n != 1 {
			t.Fatalf("%s has the text %q %d times, want once", one.file, one.before, n)
		}
		text = strings.Replace(text, one.before, one.with+one.before, 1)
		if strings.Contains(one.with, "service.") && !strings.Contains(text, "services/internal/service\"") {
			text = strings.Replace(text, "import (", "import (\n\t\"github.com/keepmum/keepmum/services/internal/service\"", 1)
		}
		enter(one.file, text)
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	path := filepath.Join(p.home, "overlay.json")
	if err := errors.Join(err, os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// crashRef is the image of the crash variant of a service.
func (p *project) crashRef(service string) string { return imagePrefix + service + ":" + p.name }

// makeCrashVariants begins to build the images, exactly as stack:up builds those
// of the services.
func (p *project) makeCrashVariants(t *testing.T) *crashVariants {
	t.Helper()
	overlay := p.overlay(t)
	made := &crashVariants{done: make(chan struct{})}
	info, err := p.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refs := map[string]string{}
	for _, service := range p.ownServices() {
		refs[service] = p.crashRef(service)
	}
	maker := imagebuild.Maker{Dir: p.dir, CacheDir: filepath.Join(p.home, "crash"), LookupEnv: func(name string) (string, bool) {
		if name == "GOFLAGS" {
			return strings.TrimSpace(os.Getenv("GOFLAGS") + " -overlay=" + overlay), true
		}
		return os.LookupEnv(name)
	}}
	ctx := p.t.Context() // it continues during the next steps
	go func() {
		defer close(made.done)
		archives, err := maker.Services(ctx, info.Arch, refs)
		made.err = err
		for _, one := range archives {
			if one.Ref == images.ProbeImage {
				continue
			}
			stream, in := io.Pipe()
			go func() { in.CloseWithError(one.Write(in)) }()
			_, err := p.engine.LoadImage(ctx, stream)
			made.err = errors.Join(made.err, err)
		}
	}()
	p.t.Cleanup(func() { <-made.done })
	return made
}

// ownServices are those that are built from services/.
func (p *project) ownServices() []string {
	var names []string
	for _, service := range p.manifest.Services {
		if strings.HasPrefix(service.Image, "keepmum/") {
			names = append(names, service.Name)
		}
	}
	return names
}

// Crashes that need no patch are tried on the real image: SIGQUIT, and a password
// that the database refuses. For out of memory and for a kill in the middle of a
// line crash variants are used, because of what they log before.
const (
	atQuit     = "quit"
	atPassword = "password"
	atMemory   = "memory"
	atMidline  = "midline"
)

// crash is a way to make the container of a service crash.
type crash struct {
	service string
	at      string // the place
	ask     []string
	code    int      // exit code; 0: it does not end
	says    []string // texts that have to be in its log
	memory  int64    // limit in bytes; 0: that of the service
	again   int      // how often the engine starts it again
}

// crashes returns every crash of every service.
func (p *project) crashes(t *testing.T) []crash {
	_, grants := p.grants()
	masked := func(names []string) []string {
		var said []string
		for _, name := range names {
			said = append(said, redact.Mask(name))
		}
		return said
	}
	panics := func(names ...string) []string { return append(masked(names), `"msg":"panic"`, "crashed with ") }
	var all []crash
	for _, service := range p.ownServices() {
		if len(grants[service]) == 0 {
			t.Errorf("%s is granted nothing", service)
		}
		all = append(all,
			crash{service: service, at: "run", code: 2, says: panics(grants[service]...), again: 2},
			crash{service: service, at: "goroutine", code: 2, says: panics(grants[service]...)},
			crash{service: service, at: "alone", code: 2, says: []string{"panic: crashed with ", "fallAlone"}},
			crash{service: service, at: atMidline, says: append(masked(grants[service]), `"msg":"a line to be killed in"`)},
			crash{service: service, at: atMemory, code: 137, memory: 48 << 20, says: append(masked(grants[service]), `"msg":"more and more memory"`)},
			crash{service: service, at: "debug", says: append(masked(grants[service]), `"msg":"configuration"`, `"msg":"configuration in a group"`, "configuration for the standard library")})
		if service != "db-setup" { // which ends soon
			all = append(all, crash{service: service, at: atQuit, code: 2, says: []string{`"msg":"quit: goroutines follow"`, "goroutine "}})
		}
	}
	for _, service := range users() {
		all = append(all,
			crash{service: service, at: "database", code: 2, says: panics("DB_APP_LOGIN")},
			crash{service: service, at: atPassword, says: []string{"wrong password for role app_a"}})
	}
	return append(all,
		crash{service: "db-setup", at: atPassword, code: 3, says: []string{"the database refuses it for role postgres"}},
		crash{service: "odds-ingestion", at: "upstream", code: 2, says: panics("THE_ODDS_API_KEY")},
		crash{service: "schedule-poller", at: "upstream", code: 2, says: panics("API_BASKETBALL_KEY")},
		crash{service: "provider-sim", at: "handler", says: panics("THE_ODDS_API_KEY"),
			ask: []string{"GET", "http://crash-provider-sim-handler:8080/v4/sports/basketball_nba/odds?regions=us&apiKey={THE_ODDS_API_KEY}"}},
		crash{service: "strict-api", at: "handler", says: panics("STRICT_API_TOKEN"),
			ask: []string{"GET", "http://crash-strict-api-handler:8090/games", "Authorization: Bearer {STRICT_API_TOKEN}"}},
	)
}

// crashAll makes every crash happen, in twins of the real containers, and
// requires that it did. Their output is searched later with everything else.
// wrong is a directory of secrets that are not accepted.
func (p *project) crashAll(t *testing.T, askerID, wrong string) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, one := range p.crashes(t) {
		how := twin{of: one.service, variables: []string{"CRASH_AT=" + one.at, "CRASH_CANARY=" + p.audit.plain, "LOG_LEVEL=debug"}, memory: one.memory, restarts: one.again}
		switch {
		case one.at == atPassword && one.service == "db-setup":
			how.mounts = map[string]string{"DB_ADMIN_PASSWORD": filepath.Join(wrong, "DB_ADMIN_PASSWORD")}
		case one.at == atPassword:
			how.mounts = map[string]string{"DB_APP_LOGIN": filepath.Join(wrong, "DB_APP_LOGIN")}
		}
		like := p.like(t, how)
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(one.service+" "+one.at, func(t *testing.T) { p.crashOne(t, one, askerID, like) })
		})
	}
	wait.Wait()
	if p.starved.Load() == 0 {
		t.Error("no service was killed for memory")
	}
}

func (p *project) crashOne(t *testing.T, one crash, askerID string, like func(*testcontainers.ContainerRequest)) {
	name, image := "crash-"+one.service+"-"+one.at, p.crashRef(one.service)
	if realImage(name) {
		image = p.container(t, one.service).ImageID
	}
	id := p.launch(t, name, image, like)
	if one.at == atQuit || one.ask != nil {
		p.waitLog(t, id, `"msg":"started"`)
	}
	if one.at == atQuit {
		if err := p.docker.ContainerKill(t.Context(), id, "QUIT"); err != nil {
			t.Fatal(err)
		}
	}
	if one.ask != nil {
		poll(t, time.Minute, "an answer of the handler that crashes", func() bool {
			return strings.HasPrefix(p.exec(t, askerID, "", append([]string{"/helper", "ask"}, one.ask...)...).stdout, "500\n")
		})
	}
	if one.code == 0 { // it keeps running
		for _, text := range one.says {
			p.waitLog(t, id, text)
		}
		if one.at == atMidline {
			p.pauseInLine(t, id)
		}
		if err := p.docker.ContainerKill(t.Context(), id, "KILL"); err != nil && one.service != "db-setup" { // which may have ended
			t.Fatal(err)
		}
		if one.at == atMidline {
			if code := p.ended(t, id); code != 137 || !p.inLine(t, id) {
				t.Errorf("exit code %d, want 137, and a log that ends in the middle of a line", code)
			}
		}
		return
	}
	if code := p.ended(t, id); code != one.code {
		t.Errorf("exit code %d, want %d", code, one.code)
	}
	if one.at == atMemory && p.outOfMemory(t, id) {
		p.starved.Add(1)
	}
	log := p.log(t, id, time.Time{})
	for _, text := range one.says {
		if n := strings.Count(log, text); n <= one.again {
			t.Errorf("its log has %s %d times, want %d", text, n, 1+one.again)
		}
	}
}

// inLine reports whether the log of a container that writes records ends in the
// middle of one.
func (p *project) inLine(t *testing.T, id string) bool {
	t.Helper()
	log := p.log(t, id, time.Time{})
	return log != "" && !strings.HasSuffix(log, "}\n")
}

// pauseInLine pauses a container in the middle of writing a line, so that the
// rest is not written when it is killed. Under load a pause sometimes fails.
func (p *project) pauseInLine(t *testing.T, id string) {
	t.Helper()
	poll(t, time.Minute, "a container is paused in the middle of a line", func() bool {
		if err := p.docker.ContainerPause(t.Context(), id); err != nil {
			if seen, unseen := p.docker.ContainerInspect(t.Context(), id); unseen != nil || !seen.State.Running {
				t.Fatal(err, unseen)
			}
			return false
		}
		if p.inLine(t, id) {
			return true
		}
		if err := p.docker.ContainerUnpause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return false
	})
}

// outOfMemory reports whether the engine says that the kernel killed a container
// for memory. It does not always: the end can be reported before the reason.
func (p *project) outOfMemory(t *testing.T, id string) bool {
	t.Helper()
	ended, err := p.docker.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ended.State.OOMKilled
}

// waitLog waits until the log of a container has a text.
func (p *project) waitLog(t *testing.T, id, text string) {
	t.Helper()
	poll(t, time.Minute, "a container logs "+text, func() bool { return strings.Contains(p.log(t, id, time.Time{}), text) })
}
