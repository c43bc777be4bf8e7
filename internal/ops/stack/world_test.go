package stack_test

import (
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
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
)

// stackFile is a stack with a one-shot service, a published port, two users and
// an image that finds its secret by a variable.
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

// oldFile is the same stack in legacy mode.
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

	grace      time.Duration                             // that Compose takes to end when it is stopped
	again      func(service string, c *docker.Container) // what becomes of a container that Compose leaves
	half       []string                                  // the services that Compose makes before it fails; nil: all
	extra      []docker.Container                        // listed along with containers
	read       func(ctx context.Context, c docker.Container, o docker.LogOptions, stdout, stderr io.Writer) error
	asked      []docker.LogOptions // of each reading of a log
	down       []stack.Composition
	closed     int
	files      map[string]error // how the workspace fails
	connectErr error
	composeErr error
	holderErr  error
	listErr    error
	downErr    error
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
	return append(slices.Collect(maps.Values(w.containers)), w.extra...), w.listErr
}

func (w *world) ContainerLogs(ctx context.Context, id string, o docker.LogOptions, stdout, stderr io.Writer) error {
	w.mu.Lock()
	w.asked = append(w.asked, o)
	read, logs := w.read, w.logs
	var found docker.Container
	for _, c := range append(slices.Collect(maps.Values(w.containers)), w.extra...) {
		if c.ID == id {
			found = c
		}
	}
	log := logs[found.Service]
	w.mu.Unlock()
	if read != nil {
		return read(ctx, found, o, stdout, stderr)
	}
	_, err := io.WriteString(stdout, log)
	return err
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
	return holder, taken, w.holderErr
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
	for _, name := range slices.Sorted(maps.Keys(second.Services)) {
		service := second.Services[name]
		if w.half != nil && !slices.Contains(w.half, name) {
			continue
		}
		old, ok := w.containers[name]
		if ok && old.Labels[docker.LabelGrants] == service.Labels[docker.LabelGrants] {
			if w.again != nil {
				w.again(name, &old)
				w.containers[name] = old
			}
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
		<-time.After(w.grace)
		return &fault.Error{Code: fault.Interrupted, What: "compose up was stopped", Cause: ctx.Err()}
	}
	return failure
}

func (w *world) Down(_ context.Context, c stack.Composition, volumes bool) error {
	w.downs, w.down = append(w.downs, volumes), append(w.down, c)
	return w.downErr
}

// config is the use cases' configuration over the world.
func (w *world) config() stack.Config {
	p := w.Project()
	p.Workspace = opstest.Files{Workspace: p.Workspace, Fail: w.files}
	p.Progress, p.Dir, p.LookupEnv = w, w.Dir, func(name string) (string, bool) { v, ok := w.env[name]; return v, ok }
	return stack.Config{
		Project: p, Values: values.New(values.Config{Project: p}), Ports: w,
		Compose:  func(context.Context) (stack.Composer, error) { return w, w.composeErr },
		Services: &opstest.ImageMaker{}, Postgres: &opstest.ImageMaker{},
		Connect: func(context.Context) (stack.Connection, error) {
			w.connects++
			return stack.Connection{Engine: w, Images: w.images, Close: func() error { w.closed++; return nil }}, w.connectErr
		},
	}
}

// use makes the use cases.
func (w *world) use() *stack.Stack { return stack.New(w.config()) }

// up runs stack:up and requires that no value is shown. It has its own bubble:
// what waits for ever takes no time.
func (w *world) up(o stack.UpOptions) (result stack.UpResult, err error) {
	w.T.Helper()
	synctest.Test(w.T, func(t *testing.T) { result, err = w.use().Up(t.Context(), o) })
	w.silentStack(result, err)
	return result, err
}

// upHere is up in the bubble of the test.
func (w *world) upHere(o stack.UpOptions) (stack.UpResult, error) {
	w.T.Helper()
	result, err := w.use().Up(w.T.Context(), o)
	w.silentStack(result, err)
	return result, err
}

func (w *world) silentStack(result any, err error) {
	w.T.Helper()
	w.Silent(result, err)
	if err != nil && strings.Contains(err.Error(), adminValue) || strings.Contains(w.Said.String(), adminValue) {
		w.T.Error("a value is in the output")
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

// started is a world in which the stack was started.
func started(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// startedHere is started in the bubble of the test.
func startedHere(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if _, err := w.upHere(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// change changes the container of a service.
func (w *world) change(service string, change func(*docker.Container)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.containers[service]
	change(&c)
	w.containers[service] = c
}

// pass lets time pass in a bubble of synctest, where no one waits for it, and
// everything that is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// errLost is how parts of the world fail.
var errLost = &fault.Error{Code: fault.Failed, What: "it is lost", Next: "look for it"}

// did renders what became of each service.
func did(result stack.UpResult) string {
	var all []string
	for _, s := range result.Services {
		all = append(all, s.Service+" "+string(s.Action)+" "+s.State)
	}
	return strings.Join(all, ", ")
}

// Say is the bench's, safe for the goroutines of a stack.
func (w *world) Say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Bench.Say(format, args...)
}

// saw reports whether something was said.
func (w *world) saw(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.Said.String(), text)
}
