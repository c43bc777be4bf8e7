//go:build integration && unix

package stack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/integration/reaper"
	"github.com/keepmum/keepmum/internal/compose"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/imagebuild"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/internal/secretdir"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// mark is part of the name of every project of this run.
var mark string

// TestMain runs the tests along with a reaper.
func TestMain(m *testing.M) {
	os.Exit(reaper.Main(func(given string) int {
		mark = given
		return m.Run()
	}, reaper.Clean))
}

// realStack is the project's own compose files, under another project name and
// in a directory of their own, with the real adapters and the real engine.
type realStack struct {
	t        *testing.T
	dir      string
	name     string
	config   stack.Config
	store    *secretdir.Dir
	engine   *engine.Engine
	port     string
	mu       sync.Mutex
	said     bytes.Buffer
	archives []images.Archive
}

// Say keeps what is said, and shows it in a verbose run.
func (s *realStack) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.said, format+"\n", args...)
	s.t.Logf(format, args...)
}

func newRealStack(t *testing.T, kind string) *realStack {
	t.Helper()
	name := kind + "-" + mark
	s := &realStack{t: t, dir: t.TempDir(), name: name, port: freePort(t)}
	for _, file := range []string{"docker-compose.yml", "docker-compose.env.yml"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		s.put(file, strings.Replace(string(data), "\nname: keepmum\n", "\nname: "+name+"\n", 1))
	}
	workspace, err := secretdir.OpenProject(s.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.store, err = secretdir.Open(filepath.Join(s.dir, "secrets")); err != nil {
		t.Fatal(err)
	}
	if s.engine, err = engine.Connect(t.Context(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { workspace.Close(); s.store.Close(); s.engine.Close() })
	p := project.Project{Workspace: workspace, Store: s.store, Progress: s, Dir: s.dir, LookupEnv: func(name string) (string, bool) {
		value, set := map[string]string{"KEEPMUM_API_PORT": s.port}[name]
		return value, set
	}}
	s.config = stack.Config{
		Project: p, Values: values.New(values.Config{Project: p}), Ports: compose.HostPorts{},
		Services: s, Postgres: imagebuild.Maker{Dir: filepath.Join("..", "..", ".."), Progress: s},
		Compose: func(ctx context.Context) (stack.Composer, error) { return compose.Finder{Progress: s}.Find(ctx) },
		Connect: func(context.Context) (stack.Connection, error) {
			return stack.Connection{Engine: s.engine, Images: s.engine, Puller: s.engine}, nil
		},
	}
	if _, err := s.config.Values.Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.down)
	return s
}

// down removes everything of the project, after the test's own context ended.
func (s *realStack) down() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := stack.New(s.config).Down(ctx, stack.DownOptions{Volumes: true}); err != nil {
		s.t.Error(err)
	}
}

func (s *realStack) put(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// generate makes new values.
func (s *realStack) generate(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if _, err := s.config.Values.Generate(s.t.Context(), name, true, false); err != nil {
			s.t.Fatal(err)
		}
	}
}

// up is the use case, as a target would wire it.
func (s *realStack) up(o stack.UpOptions) (stack.UpResult, error) {
	s.t.Helper()
	return stack.New(s.config).Up(s.t.Context(), o)
}

// Services compiles once: the sources may change while the test runs, and it is
// about secrets.
func (s *realStack) Services(ctx context.Context, arch string, refs map[string]string) ([]images.Archive, error) {
	if s.archives == nil {
		var err error
		if s.archives, err = (imagebuild.Maker{Dir: filepath.Join("..", "..", ".."), Progress: s}).Services(ctx, arch, refs); err != nil {
			return nil, err
		}
	}
	return s.archives, nil
}

// ids returns the container of each service.
func (s *realStack) ids() map[string]string {
	s.t.Helper()
	all, err := s.engine.Containers(s.t.Context(), map[string]string{"com.docker.compose.project": s.name})
	if err != nil {
		s.t.Fatal(err)
	}
	ids := map[string]string{}
	for _, c := range all {
		ids[c.Service] = c.ID
	}
	return ids
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// allSecrets are those of the project.
func allSecrets() []string {
	return []string{"API_BASKETBALL_KEY", "DB_ADMIN_PASSWORD", "DB_APP_LOGIN", "STRICT_API_TOKEN", "THE_ODDS_API_KEY"}
}

// read returns a value of secrets/.
func (s *realStack) read(name string) (secrets.Secret, error) {
	snapshot, err := s.store.Snapshot(s.t.Context())
	if err != nil {
		return secrets.Secret{}, err
	}
	value, there, err := snapshot.Read(name)
	if err == nil && !there {
		err = fs.ErrNotExist
	}
	return value, err
}

// silent fails if a text holds one of the values in secrets/.
func (s *realStack) silent(where, text string) {
	s.t.Helper()
	for _, name := range allSecrets() {
		value, err := s.read(name)
		if err == nil && strings.Contains(text, value.RevealString()) {
			s.t.Errorf("%s shows the value of %s", where, name)
		}
	}
}

func TestUp_OnARealEngine(t *testing.T) {
	s := newRealStack(t, "opsstack")
	s.generate(allSecrets()...)
	first, err := s.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up in %.1f s, of it images %.1f s", first.Seconds, first.Images.Seconds)
	for _, service := range first.Services {
		if service.Action != stack.Created {
			t.Errorf("%s: %s", service.Service, service.Action)
		}
	}
	before := s.ids()

	again, err := s.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("again in %.1f s, of it images %.1f s", again.Seconds, again.Images.Seconds)
	for _, service := range again.Services {
		// db-setup has ended; Compose starts it once more.
		if service.Action != stack.Unchanged && service.Service != "db-setup" {
			t.Errorf("the second time %s: %s", service.Service, service.Action)
		}
	}
	for _, image := range again.Images.Images {
		if image.Action == images.Built {
			t.Errorf("the second time %s was built", image.Image)
		}
	}

	s.generate("THE_ODDS_API_KEY")
	status := s.status()
	if got := serviceNames(status, project.Stale); !slices.Equal(got, []string{"odds-ingestion", "provider-sim"}) {
		t.Errorf("holding an older value: %v", got)
	}
	changed, err := s.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var recreated []string
	after := s.ids()
	for service, id := range after {
		if before[service] != id {
			recreated = append(recreated, service)
		}
	}
	slices.Sort(recreated)
	if !slices.Equal(recreated, []string{"odds-ingestion", "provider-sim"}) {
		t.Errorf("recreated %v: %+v", recreated, changed.Services)
	}
	status = s.status()
	if !status.Ready || len(serviceNames(status, project.Stale)) != 0 {
		t.Errorf("after the change: %+v", status)
	}

	var logs bytes.Buffer
	if _, err := stack.New(s.config).Logs(t.Context(), stack.LogsOptions{Out: &logs}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logs.String(), "strict-api | ") || !strings.Contains(logs.String(), "postgres | ") {
		t.Errorf("the logs lack services: %.300s", logs.String())
	}
	s.silent("the logs", logs.String())
	s.silent("what was said", s.said.String())
	for _, c := range after {
		raw, err := s.engine.InspectContainer(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		s.silent("docker inspect", string(raw))
	}
}

func (s *realStack) status() stack.StatusResult {
	s.t.Helper()
	status, err := stack.New(s.config).Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

func serviceNames(status stack.StatusResult, holding project.Freshness) []string {
	var names []string
	for _, service := range status.Services {
		if service.Values == holding {
			names = append(names, service.Service)
		}
	}
	return names
}

func TestUp_LegacyOnARealEngine(t *testing.T) {
	s := newRealStack(t, "opslegacy")
	s.generate(allSecrets()...)
	var env strings.Builder
	for _, name := range allSecrets() {
		value, err := s.read(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&env, "%s='%s'\n", name, value.RevealString())
		if name == "STRICT_API_TOKEN" || name == "DB_ADMIN_PASSWORD" {
			continue // these stay files, and win
		}
		if _, err := s.config.Values.Remove(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
	}
	s.put(".env", env.String())

	_, err := s.up(stack.UpOptions{})
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Invalid || !strings.Contains(e.Next, "secrets:fromEnv") {
		t.Fatalf("without files: %v", err)
	}
	if len(s.ids()) != 0 {
		t.Error("something was started")
	}

	result, err := s.up(stack.UpOptions{Legacy: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"API_BASKETBALL_KEY", "DB_APP_LOGIN", "THE_ODDS_API_KEY"}; !slices.Equal(result.Visible, want) {
		t.Errorf("visible %v, want %v", result.Visible, want)
	}
	if !strings.Contains(s.said.String(), "warning: docker inspect") {
		t.Error("there is no warning")
	}
	for service, id := range s.ids() {
		raw, err := s.engine.InspectContainer(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"STRICT_API_TOKEN", "DB_ADMIN_PASSWORD"} {
			value, err := s.read(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), value.RevealString()) {
				t.Errorf("%s shows %s, which has a file", service, name)
			}
		}
	}
	if status := s.status(); !status.Ready {
		t.Errorf("not ready: %+v", status)
	}
	s.silent("what was said", s.said.String())
}

func TestUp_StopsAtUnreadableFilesAndTakenPortsOfARealEngine(t *testing.T) {
	s := newRealStack(t, "opsrefused")
	s.generate(allSecrets()...)
	l, err := net.Listen("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.up(stack.UpOptions{})
	l.Close()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Failed || len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Problem, "port "+s.port+" is taken by ") || !strings.Contains(e.Next, "KEEPMUM_API_PORT") {
		t.Errorf("a taken port: %v", err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "secrets", "STRICT_API_TOKEN"), 0o400); err != nil {
		t.Fatal(err)
	}
	loose := s.config
	loose.Project.Store = looseModes{s.store}
	_, err = stack.New(loose).Up(t.Context(), stack.UpOptions{})
	if !errors.As(err, &e) || e.Code != fault.Invalid || len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Problem, "user 65532:65532 of strict-api cannot read it") {
		t.Errorf("a file that only root can read: %v", err)
	}
	if len(s.ids()) != 0 {
		t.Error("something was started")
	}
}

// looseModes hides a file's mode from validation, so that only the probe can
// find out.
type looseModes struct{ *secretdir.Dir }

func (l looseModes) Snapshot(ctx context.Context) (*project.Snapshot, error) {
	snapshot, err := l.Dir.Snapshot(ctx)
	if err == nil {
		for name, value := range snapshot.Values {
			value.Mode = 0o444
			snapshot.Values[name] = value
		}
	}
	return snapshot, err
}

func TestUp_InterruptEndsTheStartOnARealEngineWithinASecond(t *testing.T) {
	s := newRealStack(t, "opsinterrupt")
	s.generate(allSecrets()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := stack.New(s.config).Up(ctx, stack.UpOptions{})
		done <- err
	}()
	deadline := time.After(3 * time.Minute)
	for tick := time.NewTicker(50 * time.Millisecond); len(s.ids()) == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing was started")
		}
	}
	begun := time.Now()
	cancel()
	err := <-done
	if took := time.Since(begun); took > time.Second {
		t.Errorf("took %s", took)
	}
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.Interrupted || !strings.Contains(e.What, "so far: ") || !strings.Contains(e.Next, "mage stack:down") {
		t.Errorf("got %v", err)
	}
}
