package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
)

// stackFile is a stack with a one-shot service, a published port, two users and
// an image that is told of its secret by a variable.
const stackFile = `name: shop
services:
  db:
    image: ${KEEPMUM_POSTGRES_IMAGE:-postgres:17}
    user: "999:999"
    secrets: [ADMIN]
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/ADMIN}
    healthcheck: {test: [CMD, "true"]}
  setup:
    image: shop/setup
    user: "65532:65532"
    secrets: [ADMIN, LOGIN]
    depends_on: {db: {condition: service_healthy}}
  api:
    image: shop/api
    user: "65532:65532"
    secrets: [LOGIN, TOKEN]
    ports: ["127.0.0.1:${SHOP_PORT:-8090}:8090"]
    healthcheck: {test: [CMD, "true"]}
    depends_on: {setup: {condition: service_completed_successfully}}
secrets:
  ADMIN: {file: ./secrets/ADMIN, x-keepmum: {description: of the database}}
  LOGIN: {file: ./secrets/LOGIN, x-keepmum: {description: of the services}}
  TOKEN: {file: ./secrets/TOKEN, x-keepmum: {description: of the clients}}
`

// oldFile is the same stack in the old way.
const oldFile = `name: shop
services:
  db:
    image: ${KEEPMUM_POSTGRES_IMAGE:-postgres:17}
    user: "999:999"
    environment: {POSTGRES_PASSWORD: "${ADMIN:-}"}
    healthcheck: {test: [CMD, "true"]}
  setup:
    image: shop/setup
    user: "65532:65532"
    environment: {ADMIN: "${ADMIN:-}", LOGIN: "${LOGIN:-}"}
    depends_on: {db: {condition: service_healthy}}
  api:
    image: shop/api
    user: "65532:65532"
    environment: {LOGIN: "${LOGIN:-}", TOKEN: "${TOKEN:-}"}
    ports: ["127.0.0.1:${SHOP_PORT:-8090}:8090"]
    healthcheck: {test: [CMD, "true"]}
    depends_on: {setup: {condition: service_completed_successfully}}
`

const adminValue = "admin-value-55dd"

// world is an engine, its Compose and its ports, in memory.
type world struct {
	*opstest.Bench
	mu         sync.Mutex
	containers map[string]docker.Container // by service
	made       int
	logs       map[string]string // by service
	remote     bool
	selinux    bool
	gone       bool
	taken      map[string]string // holders by port
	answers    map[string]string // of the probe, by secret; none: ok
	probes     []docker.Probe
	probeErr   error
	env        map[string]string
	connects   int
	images     *opstest.ImageStore
	ups        []stack.Composition
	downs      []bool // with volumes
	become     func(service string, c *docker.Container)
	upErr      error
	upHangs    bool
}

func newWorld(t *testing.T) *world {
	w := &world{Bench: &opstest.Bench{T: t, Dir: t.TempDir()}, containers: map[string]docker.Container{}, logs: map[string]string{}, taken: map[string]string{}, answers: map[string]string{}, env: map[string]string{}, images: opstest.NewImageStore("postgres:17", images.ProbeImage)}
	w.Put("docker-compose.yml", stackFile)
	w.Put("docker-compose.env.yml", oldFile)
	w.Open()
	if _, err := w.config().Values.Init(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.write("ADMIN", adminValue)
	w.write("LOGIN", opstest.LoginValue)
	w.write("TOKEN", opstest.TokenValue)
	return w
}

// write puts a value in place.
func (w *world) write(name, value string) { w.Value("secrets/"+name, value) }

// remove removes a value.
func (w *world) remove(name string) {
	w.T.Helper()
	if _, err := w.config().Values.Remove(w.T.Context(), name, false); err != nil {
		w.T.Fatal(err)
	}
}

func (w *world) Info(context.Context) (docker.Info, error) {
	return docker.Info{OS: "linux", Arch: "amd64", SELinux: w.selinux}, nil
}

func (w *world) Endpoint() docker.Endpoint {
	return docker.Endpoint{Host: "ssh://far", Remote: w.remote}
}

func (w *world) Containers(_ context.Context, labels map[string]string) ([]docker.Container, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil, &fault.Error{Code: fault.NoEngine, What: "the engine stopped answering"}
	}
	if labels["com.docker.compose.project"] != "shop" {
		return nil, fmt.Errorf("asked for %v", labels)
	}
	return slices.Collect(maps.Values(w.containers)), nil
}

func (w *world) ContainerLogs(_ context.Context, id string, _ docker.LogOptions, stdout, stderr io.Writer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.containers {
		if c.ID == id {
			_, _ = io.WriteString(stdout, w.logs[c.Service])
		}
	}
	return nil
}

func (w *world) RunProbe(_ context.Context, p docker.Probe) (docker.ProbeResult, error) {
	w.probes = append(w.probes, p)
	if w.probeErr != nil {
		return docker.ProbeResult{}, w.probeErr
	}
	var out strings.Builder
	for _, path := range p.Cmd {
		word := "ok"
		if answer, ok := w.answers[filepath.Base(path)]; ok {
			word = answer
		}
		fmt.Fprintln(&out, word, path)
	}
	return docker.ProbeResult{Stdout: []byte(out.String())}, nil
}

func (w *world) Holder(_ context.Context, _, port, _ string) (string, bool, error) {
	holder, taken := w.taken[port]
	return holder, taken, nil
}

// Up does what Compose does: a service whose labels changed gets a new
// container, and each container becomes what become says, or ready.
func (w *world) Up(ctx context.Context, c stack.Composition) error {
	w.mu.Lock()
	w.ups = append(w.ups, c)
	hangs, failure := w.upHangs, w.upErr
	var second struct {
		Services map[string]struct{ Labels map[string]string }
	}
	data, err := os.ReadFile(c.Files[1])
	if err == nil {
		err = json.Unmarshal(data, &second)
	}
	if err != nil {
		w.mu.Unlock()
		return err
	}
	for name, service := range second.Services {
		old, ok := w.containers[name]
		if ok && old.Labels[docker.LabelGrants] == service.Labels[docker.LabelGrants] {
			continue
		}
		w.made++
		now := docker.Container{ID: fmt.Sprint("c", w.made), Name: "shop-" + name + "-1", Service: name, Project: "shop", State: "running", Health: "healthy", Labels: service.Labels, Started: time.Now()}
		if name == "setup" {
			now.State, now.Health = "exited", ""
		}
		if w.become != nil {
			w.become(name, &now)
		}
		w.containers[name] = now
	}
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return &fault.Error{Code: fault.Interrupted, What: "compose up was stopped", Cause: ctx.Err()}
	}
	return failure
}

func (w *world) Down(_ context.Context, c stack.Composition, volumes bool) error {
	w.downs = append(w.downs, volumes)
	return nil
}

// config is the use cases' configuration over the world.
func (w *world) config() stack.Config {
	p := w.Project()
	p.Progress, p.Dir, p.LookupEnv = w, w.Dir, func(name string) (string, bool) { v, ok := w.env[name]; return v, ok }
	return stack.Config{
		Project: p, Values: values.New(values.Config{Project: p}), Ports: w,
		Compose:  func(context.Context) (stack.Composer, error) { return w, nil },
		Services: &opstest.ImageMaker{}, Postgres: &opstest.ImageMaker{},
		Connect: func(context.Context) (stack.Connection, error) {
			w.connects++
			return stack.Connection{Engine: w, Images: w.images}, nil
		},
	}
}

// use makes the use cases.
func (w *world) use() *stack.Stack { return stack.New(w.config()) }

// up runs stack:up and requires that no value is shown.
func (w *world) up(o stack.UpOptions) (stack.UpResult, error) {
	w.T.Helper()
	result, err := w.use().Up(w.T.Context(), o)
	w.silentStack(result, err)
	return result, err
}

func (w *world) silentStack(result any, err error) {
	w.T.Helper()
	w.Silent(result, err)
	if err != nil && strings.Contains(err.Error(), adminValue) || strings.Contains(w.Said.String(), adminValue) {
		w.T.Error("a value is told")
	}
}

// asError requires an error of a class and returns it.
func asError(t *testing.T, err error, class fault.Code) *fault.Error {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != class || e.Next == "" {
		t.Fatalf("got %v, want class %d with a next command", err, class)
	}
	return e
}

// did renders what became of each service.
func did(result stack.UpResult) string {
	var all []string
	for _, s := range result.Services {
		all = append(all, s.Service+" "+string(s.Action)+" "+s.State)
	}
	return strings.Join(all, ", ")
}

func TestUpStartsEverythingAndThenNothing(t *testing.T) {
	w := newWorld(t)
	w.env["SHOP_PORT"] = "9000"
	w.env["TOKEN"] = "exported-by-mistake"
	result, err := w.up(stack.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := did(result); got != "api created healthy, db created healthy, setup created done" {
		t.Errorf("first: %s", got)
	}
	c := w.ups[0]
	if want := map[string]string{"KEEPMUM_POSTGRES_IMAGE": "postgres:17", "SHOP_PORT": "9000"}; !maps.Equal(c.Variables, want) {
		t.Errorf("Compose was given %v, want %v", c.Variables, want)
	}
	if c.EnvFile != "" || c.Project != "shop" || c.Dir != w.Dir || c.Files[0] != w.Dir+"/docker-compose.yml" {
		t.Errorf("Compose was given %+v", c)
	}
	second := w.File(".keepmum/stack.json")
	if !strings.Contains(second, `"io.keepmum.grants": "v1:`) || strings.Contains(second, "secrets") {
		t.Errorf("the second compose file: %s", second)
	}
	result, err = w.up(stack.UpOptions{})
	if err != nil || did(result) != "api unchanged healthy, db unchanged healthy, setup unchanged done" {
		t.Errorf("again: %s, %v", did(result), err)
	}
	w.write("TOKEN", opstest.OtherValue)
	if result, err = w.up(stack.UpOptions{}); err != nil || did(result) != "api recreated healthy, db unchanged healthy, setup unchanged done" {
		t.Errorf("after a change: %s, %v", did(result), err)
	}
	if result.Services[0].Reason != "it held an older value" {
		t.Errorf("reason: %q", result.Services[0].Reason)
	}
}

func TestAnImageThatWasReplacedIsRemovedWhenNothingRunsIt(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "shop/api", "keepmum/api:dev", 1))
	w.images.Images["keepmum/api:dev"] = docker.Image{ID: "old", Labels: map[string]string{docker.LabelBuild: "other"}}
	w.images.InUse = true
	config := w.config()
	config.Services = &opstest.ImageMaker{Digest: "new"}
	_, err := stack.New(config).Up(t.Context(), stack.UpOptions{})
	if err != nil || !slices.Equal(w.images.Removed, []string{"old"}) {
		t.Errorf("removed %v, %v", w.images.Removed, err)
	}
}

func TestUpProvesReadabilityBeforeItStarts(t *testing.T) {
	for _, test := range []struct {
		name    string
		word    string
		selinux bool
		want    string
	}{
		{"SELinux", "denied", true, "the engine uses SELinux"},
		{"network file system", "denied", false, "an access list refuses the user, or a network file system"},
		{"not on the engine's machine", "missing", false, "the path is not on the engine's machine"},
		{"directory in its place", "directory", false, "mounts a directory in its place"},
		{"empty", "empty", false, "mounts an empty file"},
		{"i/o error", "broken", false, "the file system refuses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.answers["TOKEN"], w.selinux = test.word, test.selinux
			_, err := w.up(stack.UpOptions{})
			e := asError(t, err, fault.Invalid)
			if len(e.Findings) != 1 || e.Findings[0].Subject != "TOKEN" || e.Findings[0].File != "secrets/TOKEN" || !strings.Contains(e.Findings[0].Problem, test.want) {
				t.Errorf("got %v, want %q", e.Findings, test.want)
			}
			if len(w.ups) != 0 {
				t.Error("Compose was run")
			}
		})
	}
}

func TestTheProbeHasTheServicesUserAndMounts(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(w.probes) != 2 {
		t.Fatalf("%d probes, want one for each user", len(w.probes))
	}
	for _, p := range w.probes {
		want := map[string][]string{"999:999": {"ADMIN"}, "65532:65532": {"ADMIN", "LOGIN", "TOKEN"}}[p.User]
		var got []string
		for _, mount := range p.Mounts {
			if mount.Type != "bind" || !mount.ReadOnly || mount.Source != w.Dir+"/secrets/"+filepath.Base(mount.Destination) {
				t.Errorf("mount %+v", mount)
			}
			got = append(got, filepath.Base(mount.Destination))
		}
		if !slices.Equal(got, want) || p.Image != images.ProbeImage || !p.ReadOnly {
			t.Errorf("user %s: %v in %s, want %v", p.User, got, p.Image, want)
		}
	}
}

func TestAProbeThatCannotBeTriedIsSaid(t *testing.T) {
	w := newWorld(t)
	w.probeErr = &fault.Error{Code: fault.Failed, What: "no such image"}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.Said.String(), "whether user 65532:65532 of api, setup can read its secrets was not tried: no such image") {
		t.Errorf("said %s", w.Said.String())
	}
	w.probeErr = &fault.Error{Code: fault.Failed, What: "invalid mount config for type \"bind\": bind source path does not exist: /x"}
	w.write("TOKEN", opstest.OtherValue)
	_, err := w.up(stack.UpOptions{})
	if e := asError(t, err, fault.Invalid); !strings.Contains(e.Findings[0].Problem, "not on the engine's machine") {
		t.Errorf("got %v", e.Findings)
	}
}

func TestUpRefusesBeforeAnythingIsChanged(t *testing.T) {
	for _, test := range []struct {
		name     string
		arrange  func(*world)
		class    fault.Code
		want     string
		next     string
		connects bool
	}{
		{"files missing, the .env has them", func(w *world) {
			w.remove("TOKEN")
			w.Put(".env", "TOKEN="+opstest.OtherValue+"\n")
		}, fault.Invalid, "secrets have no files yet, and .env has their values", "mage secrets:fromEnv", false},
		{"files missing", func(w *world) { w.remove("TOKEN") }, fault.Invalid, "no value: the file does not exist", "mage secrets:set TOKEN", false},
		{"a placeholder", func(w *world) { w.write("TOKEN", "changeme") }, fault.Invalid, "TOKEN", "mage secrets:set TOKEN", false},
		{"no compose file", func(w *world) { _ = os.Remove(filepath.Join(w.Dir, "docker-compose.yml")) }, fault.Invalid, "no compose file here", "", false},
		{"a remote engine", func(w *world) { w.remote = true }, fault.Invalid, "is on another machine, where the files of the secrets are not", "deploy:swarm", true},
		{"a taken port", func(w *world) { w.taken["8090"] = "nginx (process 7)" }, fault.Failed, "docker-compose.yml:18: api: port 8090 is taken by nginx (process 7)", "set SHOP_PORT to a free port", true},
		{"a variable that cannot be read", func(w *world) { w.Put(".env", "SHOP_PORT=\"8090\n") }, fault.Invalid, ".env sets variables of docker-compose.yml that cannot be read", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			_, err := w.up(stack.UpOptions{})
			e := asError(t, err, test.class)
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(e.Next, test.next) {
				t.Errorf("got %v\nnext %s", err, e.Next)
			}
			if len(w.ups) != 0 || (w.connects > 0) != test.connects || w.File(".keepmum/stack.json") != "" {
				t.Errorf("Compose ran %d times, the engine was connected %d times", len(w.ups), w.connects)
			}
		})
	}
}

func TestAPortIsReadFromTheDotEnvAsComposeWould(t *testing.T) {
	w := newWorld(t)
	w.Put(".env", "SHOP_PORT=\"9${X:-1}00\" \nTOKEN=never-handed-over\n")
	w.taken["8090"] = "nginx"
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.ups[0].Variables; got["SHOP_PORT"] != "9100" || got["TOKEN"] != "" {
		t.Errorf("Compose was given %v", got)
	}
}

func TestARunningServiceHoldsItsOwnPort(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.taken["8090"] = "another container"
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Error(err)
	}
}

func TestAFailedServiceIsShownWithItsLastWords(t *testing.T) {
	w := newWorld(t)
	w.become = func(service string, c *docker.Container) {
		if service == "api" {
			c.State, c.Health, c.ExitCode = "exited", "", 3
		}
	}
	w.logs["api"] = "starting\nlogin failed: " + opstest.LoginValue + "\x1b[31m\n"
	result, err := w.up(stack.UpOptions{})
	e := asError(t, err, fault.Failed)
	if !strings.HasPrefix(e.What, "api failed; ") || !strings.Contains(e.What, "db healthy") || len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Problem, "ended with 3: its secrets are missing") || e.Findings[0].Next != "mage secrets:validate" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(w.Said.String(), "api | login failed: ‹LOGIN›?[31m") {
		t.Errorf("said %s", w.Said.String())
	}
	if did(result) != "api created ended with 3, db created healthy, setup created done" {
		t.Errorf("result %s", did(result))
	}
}

func TestUpEndsInEveryWay(t *testing.T) {
	starting := func(_ string, c *docker.Container) { c.State, c.Health = "running", "starting" }
	for _, test := range []struct {
		name    string
		arrange func(*world)
		during  func(*world, context.CancelFunc)
		class   fault.Code
		want    []string
	}{
		{"unhealthy", func(w *world) {
			w.become = func(s string, c *docker.Container) { c.Health = "unhealthy" }
		}, nil, fault.Failed, []string{"api, db failed; ", "unhealthy"}},
		{"Compose fails", func(w *world) {
			w.upErr = &fault.Error{Code: fault.Failed, What: "compose up failed: no space for " + opstest.TokenValue, Next: "x"}
		}, nil, fault.Failed, []string{"compose up failed: no space for ‹TOKEN›; so far: api healthy"}},
		{"never healthy", func(w *world) { w.become = starting }, nil, fault.Incomplete, []string{"not healthy after 1s: api, db, setup"}},
		{"the engine goes", func(w *world) { w.become, w.upHangs = starting, true }, func(w *world, _ context.CancelFunc) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.gone = true
		}, fault.NoEngine, []string{"the engine stopped answering; last seen: api starting"}},
		{"interrupted", func(w *world) { w.become, w.upHangs = starting, true }, func(_ *world, cancel context.CancelFunc) { cancel() }, fault.Interrupted, []string{"stopped; so far: api starting"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := w.use().Up(ctx, stack.UpOptions{Deadline: time.Second})
				done <- err
			}()
			if test.during != nil {
				eventually(t, func() bool { return w.saw("starting") })
				begun := time.Now()
				test.during(w, cancel)
				defer func() {
					if took := time.Since(begun); took > time.Second {
						t.Errorf("took %s", took)
					}
				}()
			}
			err := <-done
			e := asError(t, err, test.class)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v (next %s), want %q", err, e.Next, want)
				}
			}
		})
	}
}

// Say is the bench's, safe for the goroutines of a stack.
func (w *world) Say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Bench.Say(format, args...)
}

// saw tells whether something was said.
func (w *world) saw(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.Said.String(), text)
}

// eventually polls for a condition.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	_ = os.Remove(filepath.Join(w.Dir, ".keepmum", "key"))
	dry := stack.UpOptions{DryRun: true}
	result, err := w.up(dry)
	if err != nil || did(result) != "api created , db created , setup created " || !result.DryRun {
		t.Errorf("got %s, %v", did(result), err)
	}
	if len(w.ups) != 0 || w.File(".keepmum/stack.json") != "" || w.File(".keepmum/key") != "" {
		t.Error("something was changed")
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.write("LOGIN", opstest.OtherValue)
	result, err = w.up(dry)
	if err != nil || did(result) != "api recreated healthy, db unchanged healthy, setup recreated done" || len(w.ups) != 1 {
		t.Errorf("got %s, %v", did(result), err)
	}
}

func TestTheOldWay(t *testing.T) {
	w := newWorld(t)
	w.remove("TOKEN")
	w.Put(".env", "TOKEN="+opstest.TokenValue+"\nLOGIN="+opstest.OtherValue+"\n")
	result, err := w.up(stack.UpOptions{Legacy: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(result.Visible, []string{"TOKEN"}) || !strings.Contains(w.Said.String(), "warning: docker inspect, and every process of the containers, will show the values of TOKEN;") {
		t.Errorf("visible %v, said %s", result.Visible, w.Said.String())
	}
	c := w.ups[0]
	if c.EnvFile != w.Dir+"/.env" || c.Files[0] != w.Dir+"/docker-compose.env.yml" {
		t.Errorf("Compose was given %+v", c)
	}
	for _, name := range []string{"ADMIN", "LOGIN"} {
		if value, ok := c.Variables[name]; !ok || value != "" {
			t.Errorf("%s, which has a file, is not hidden", name)
		}
	}
	if _, ok := c.Variables["TOKEN"]; ok {
		t.Error("TOKEN, which has no file, is hidden")
	}
	var second struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []struct{ Source, Target string }
		}
		Secrets map[string]struct{ File string }
	}
	if err := json.Unmarshal([]byte(w.File(".keepmum/stack.json")), &second); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(second.Services["api"].Secrets, second.Services["setup"].Secrets, second.Services["db"].Secrets); got != "[{LOGIN LOGIN}] [{ADMIN ADMIN} {LOGIN LOGIN}] [{ADMIN ADMIN}]" {
		t.Errorf("grants of those that have files: %s", got)
	}
	if second.Services["db"].Environment["POSTGRES_PASSWORD_FILE"] != "/run/secrets/ADMIN" {
		t.Errorf("the database is not told of its file: %v", second.Services["db"])
	}
	if want := "./secrets/LOGIN"; second.Secrets["LOGIN"].File != want || len(second.Secrets) != 2 {
		t.Errorf("secrets: %v", second.Secrets)
	}

	w.remove("ADMIN")
	_, err = w.up(stack.UpOptions{Legacy: true})
	if e := asError(t, err, fault.Invalid); len(e.Findings) != 1 || e.Findings[0].Subject != "ADMIN" || !strings.Contains(e.Findings[0].Problem, "neither here nor in secrets/ADMIN") {
		t.Errorf("a value in neither: %v", err)
	}
}

func TestStatusTellsWhoHoldsWhat(t *testing.T) {
	w := newWorld(t)
	status := func() (stack.StatusResult, string) {
		t.Helper()
		result, err := w.use().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.silentStack(result, err)
		var all []string
		for _, s := range result.Services {
			all = append(all, fmt.Sprint(s.Service, " ", s.Status, " ", s.Values, " ", s.Ready))
		}
		return result, strings.Join(all, ", ")
	}
	if result, got := status(); result.Ready || got != "api absent none false, db absent none false, setup absent none false" {
		t.Errorf("before: %s", got)
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if result, got := status(); !result.Ready || got != "api healthy current true, db healthy current true, setup done current true" {
		t.Errorf("started: %s", got)
	}
	w.write("TOKEN", opstest.OtherValue)
	old := w.containers["db"]
	old.EnvNames = []string{"PGDATA", "POSTGRES_PASSWORD"} // as in the old way
	w.containers["db"] = old
	stranger := w.containers["db"]
	stranger.Service, stranger.EnvNames, stranger.Labels = "left", []string{"PATH", "TOKEN"}, nil
	w.containers["left"] = stranger
	other := w.containers["setup"]
	other.ExitCode = 1
	other.Labels = map[string]string{docker.LabelGrants: "v1:0123456789abcdef.00:11"}
	w.containers["setup"] = other
	result, got := status()
	if got != "api healthy stale true, db healthy current true, left healthy none true, setup ended with 1 unknown false" {
		t.Errorf("changed: %s", got)
	}
	for _, s := range result.Services {
		if s.Service == "left" && (s.Declared || !slices.Equal(s.Visible, []string{"TOKEN"})) {
			t.Errorf("a service of no manifest: %+v", s)
		}
		if s.Service == "db" && !slices.Equal(s.Visible, []string{"ADMIN"}) {
			t.Errorf("a secret under a variable of the image's own: %v", s.Visible)
		}
		if s.Service == "api" && !slices.Equal(s.Grants, []string{"LOGIN", "TOKEN"}) {
			t.Errorf("grants: %v", s.Grants)
		}
	}
}

func TestLogsAreMaskedAndPrefixed(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.logs = map[string]string{"api": "one " + opstest.TokenValue + "\r\ntwo", "db": "three\n", "setup": "four " + adminValue + "\n"}
	read := func(o stack.LogsOptions) (string, stack.LogsResult, error) {
		t.Helper()
		var out bytes.Buffer
		o.Out = &out
		result, err := w.use().Logs(t.Context(), o)
		w.silentStack(out.String(), err)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n"), result, err
	}
	got, _, err := read(stack.LogsOptions{})
	if want := "api | one ‹TOKEN›\napi | two\ndb | three\nsetup | four ‹ADMIN›"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, _, err = read(stack.LogsOptions{Service: "db"}); got != "db | three" || err != nil {
		t.Errorf("one service: %q, %v", got, err)
	}
	if _, _, err = read(stack.LogsOptions{Service: "web\x1b"}); asError(t, err, fault.Usage).What != "docker-compose.yml has no service web?; it has api, db, setup" {
		t.Errorf("no such service: %v", err)
	}
	w.write("TOKEN", opstest.OtherValue)
	got, result, err := read(stack.LogsOptions{})
	if got != "db | three\nsetup | four ‹ADMIN›" || err != nil || !slices.Equal(result.Withheld, []string{"api"}) {
		t.Errorf("a value that is no longer known: %q, %v, %+v", got, err, result)
	}
	if !strings.Contains(w.Said.String(), "api: log withheld: it holds an older value") {
		t.Errorf("said %s", w.Said.String())
	}
	w.write("TOKEN", "abc")
	clear(w.containers)
	if _, _, err = read(stack.LogsOptions{}); !strings.Contains(asError(t, err, fault.Failed).What, "no containers") {
		t.Errorf("nothing runs: %v", err)
	}
	if !strings.Contains(w.Said.String(), "not masked: TOKEN") {
		t.Errorf("a value too short to mask is not named: %s", w.Said.String())
	}
}

// lockedBuffer is a buffer that a goroutine writes and the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func TestFollowedLogsGoOnWithNewContainers(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.logs["api"] = "first\n"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lockedBuffer
	done := make(chan error, 1)
	go func() {
		_, err := w.use().Logs(ctx, stack.LogsOptions{Out: &out, Follow: true})
		done <- err
	}()
	eventually(t, func() bool { return out.has("api | first") })
	w.mu.Lock()
	again := w.containers["api"]
	again.ID, again.Started = "c99", time.Now()
	w.containers["api"], w.logs["api"] = again, "second\n"
	w.mu.Unlock()
	eventually(t, func() bool { return out.has("api | second") })
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	if err := <-done; fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("the engine went: %v", err)
	}
	w.gone = false
	go func() {
		_, err := w.use().Logs(ctx, stack.LogsOptions{Out: &out, Follow: true})
		done <- err
	}()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of following is no error: %v", err)
	}
}

func TestDown(t *testing.T) {
	w := newWorld(t)
	down := func(volumes, dry bool) stack.DownResult {
		t.Helper()
		result, err := w.use().Down(t.Context(), stack.DownOptions{Volumes: volumes, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if down(false, false); len(w.downs) != 0 {
		t.Error("Compose was run for nothing")
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := down(false, true); len(w.downs) != 0 || !slices.Equal(result.Containers, []string{"shop-api-1", "shop-db-1", "shop-setup-1"}) {
		t.Errorf("dry run: %+v, ran %v", result, w.downs)
	}
	down(false, false)
	down(true, false)
	if !slices.Equal(w.downs, []bool{false, true}) {
		t.Errorf("ran with volumes: %v", w.downs)
	}
}
