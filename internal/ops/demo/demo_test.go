package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/demo"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/ops/values"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// demoFile is a stack whose every secret can be made.
const demoFile = `name: shop
services:
  strict-api:
    image: shop/api
    user: "65532:65532"
    secrets: [STRICT_API_TOKEN]
    healthcheck: {test: [CMD, "true"]}
secrets:
  STRICT_API_TOKEN:
    file: ./secrets/STRICT_API_TOKEN
    x-keepmum: {description: of the clients, generate: {bytes: 24, alphabet: hex}}
`

// The answers of the API.
const (
	healthy  = `{"status":"ok"}`
	early    = `{"events":[{"home":"A","away":"B","prediction":{"home":0.5,"market":0.6,"elo":0}}]}`
	complete = `{"events":[
		{"home":"A","away":"B","prediction":{"home":0.5,"market":0.6,"elo":0}},
		{"home":"C","away":"D","commence":"2026-12-24T20:00:00Z","prediction":{"home":0.55,"market":0.6,"elo":0.5}}],
		"evaluations":[{"input":"elo","games":3,"log_loss":0.7},{"input":"market","games":3,"log_loss":0.6}]}`
)

// world is the engine, the Compose and the API of a demo.
type world struct {
	source *opstest.Bench // whose compose file is taken
	own    *opstest.Bench // the demo's directory
	images *opstest.ImageStore

	containers  []docker.Container
	log         string // of the container
	asked       []string
	predictions []string // answers, one for each time; the last goes on
	health      string
	status      int
	broken      error // of the API
	downs       []bool
	removed     int
	removeErr   error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{source: opstest.New(t), own: opstest.New(t), images: opstest.NewImageStore("shop/api", images.ProbeImage), health: healthy, status: 200, predictions: []string{complete}}
	w.source.Put("docker-compose.yml", demoFile)
	if err := os.Remove(w.own.Dir + "/docker-compose.yml"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) Info(context.Context) (docker.Info, error) { return docker.Info{OS: "linux"}, nil }

func (w *world) Endpoint() docker.Endpoint { return docker.Endpoint{Host: "unix:///x"} }

func (w *world) Containers(context.Context, map[string]string) ([]docker.Container, error) {
	return w.containers, nil
}

func (w *world) ContainerLogs(_ context.Context, _ string, _ docker.LogOptions, out, _ io.Writer) error {
	_, err := io.WriteString(out, w.log)
	return err
}

func (w *world) RunProbe(_ context.Context, p docker.Probe) (docker.ProbeResult, error) {
	return docker.ProbeResult{Stdout: []byte("ok " + strings.Join(p.Cmd, "\nok ") + "\n")}, nil
}

func (w *world) Up(_ context.Context, c stack.Composition) error {
	data, err := os.ReadFile(c.Files[1])
	if err != nil {
		return err
	}
	var second struct {
		Services map[string]struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(data, &second); err != nil {
		return err
	}
	w.containers = []docker.Container{{ID: "c1", Name: "x", Service: "strict-api", State: "running", Health: "healthy", Started: time.Now(), Labels: second.Services["strict-api"].Labels}}
	return nil
}

func (w *world) Down(_ context.Context, _ stack.Composition, volumes bool) error {
	w.downs = append(w.downs, volumes)
	return nil
}

// Get answers as strict-api does, and keeps what was asked for.
func (w *world) Get(_ context.Context, path string, token secrets.Secret) (int, []byte, error) {
	right := token.RevealString() == w.own.File("secrets/STRICT_API_TOKEN") && !token.IsZero()
	w.asked = append(w.asked, fmt.Sprint(path, " with the token: ", right))
	if w.broken != nil {
		return 0, nil, w.broken
	}
	if path == "/health" {
		return w.status, []byte(w.health), nil
	}
	answer := w.predictions[0]
	if len(w.predictions) > 1 {
		w.predictions = w.predictions[1:]
	}
	return w.status, []byte(answer), nil
}

// use makes the use case.
func (w *world) use() *demo.Demo {
	own := w.own.Project()
	own.Dir, own.Name, own.LookupEnv = w.own.Dir, "shop-demo", func(string) (string, bool) { return "", false }
	return demo.New(demo.Config{
		Source: w.source.Project(), API: w,
		Stack: stack.New(stack.Config{
			Project: own, Values: values.New(values.Config{Project: own}),
			Compose: func(context.Context) (stack.Composer, error) { return w, nil },
			Connect: func(context.Context) (stack.Connection, error) {
				return stack.Connection{Engine: w, Images: w.images}, nil
			},
			Services: &opstest.ImageMaker{}, Postgres: &opstest.ImageMaker{},
		}),
		Remove: func() error { w.removed++; return w.removeErr },
	})
}

func TestRun_ShowsAPredictionAndSearchesTheLogs(t *testing.T) {
	w := newWorld(t)
	w.log = "a line of its log\n"
	w.predictions = []string{early, complete}
	result, err := w.use().Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := result.Prediction; p.Home != "C" || p.Away != "D" || p.Pooled != 0.55 || p.Market != 0.6 || p.Elo != 0.5 || p.Commence.IsZero() {
		t.Errorf("prediction %+v: want the first that market and Elo are both in", p)
	}
	if len(result.Scores) != 2 || result.Scores[0].Input != "market" || result.Scores[1].Games != 3 {
		t.Errorf("scores %+v: want the best first", result.Scores)
	}
	if result.Health != "ok" || result.Stack.Project != "shop-demo" || len(result.Stack.Services) != 1 {
		t.Errorf("health %q, stack %+v", result.Health, result.Stack)
	}
	if l := result.Logs; l.Logs != 1 || l.Bytes == 0 || l.Canaries == 0 || l.Hits != 0 {
		t.Errorf("logs %+v", l)
	}
	if want := []string{"/health with the token: false", "/predictions?limit=20 with the token: true", "/predictions?limit=20 with the token: true"}; !slices.Equal(w.asked, want) {
		t.Errorf("asked %q, want %q", w.asked, want)
	}
	if w.source.File("secrets/STRICT_API_TOKEN") != "" {
		t.Error("a value was made in the project itself")
	}
	if w.own.File("docker-compose.yml") != demoFile {
		t.Error("the demo's compose file is not that of the project")
	}
}

func TestRun_KeepsTheValuesOfAnEarlierRun(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		if _, err := w.use().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if made := strings.Count(w.source.Said.String(), "made 1 throw-away secret"); made != 1 {
		t.Errorf("values were made %d times, want once\n%s", made, w.source.Said.String())
	}
}

func TestRun_FindsAValueInALog(t *testing.T) {
	w := newWorld(t)
	w.own.Write("STRICT_API_TOKEN", "0123456789abcdef0123456789abcdef")
	w.log = "token=0123456789abcdef0123456789abcdef\n"
	result, err := w.use().Run(t.Context())
	if fault.CodeOf(err) != fault.Leak || result.Logs.Hits != 1 {
		t.Errorf("%v, %+v; want a leak", err, result.Logs)
	}
	if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
		t.Error("the error shows the value")
	}
}

func TestRun_EndsWithWhatIsWrong(t *testing.T) {
	noRule := strings.Replace(demoFile, ", generate: {bytes: 24, alphabet: hex}", "", 1)
	for name, test := range map[string]struct {
		arrange func(*world)
		code    fault.Code
		part    string
	}{
		"no compose file":         {func(w *world) { _ = os.Remove(w.source.Dir + "/docker-compose.yml") }, fault.Invalid, "no compose file here"},
		"a secret without a rule": {func(w *world) { w.source.Put("docker-compose.yml", noRule) }, fault.Invalid, "STRICT_API_TOKEN has no generate rule"},
		"the API is down":         {func(w *world) { w.broken = &fault.Error{Code: fault.Failed, What: "no answer"} }, fault.Failed, "no answer"},
		"unhealthy":               {func(w *world) { w.status = 503 }, fault.Failed, "strict-api answers /health with 503"},
		"health is not ok":        {func(w *world) { w.health = `{"status":"starting"}` }, fault.Failed, "strict-api answers /health with 200"},
		"health is not JSON":      {func(w *world) { w.health = "ok" }, fault.Failed, "strict-api answers /health with 200"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			_, err := w.use().Run(t.Context())
			if fault.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.part) {
				t.Errorf("got %v (code %d), want code %d with %q", err, fault.CodeOf(err), test.code, test.part)
			}
		})
	}
}

func TestRun_EndsWhenThePredictionsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.predictions = []string{"not JSON"}
	use := w.use()
	use.API = refusing{w}
	if _, err := use.Run(t.Context()); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "strict-api answers /predictions with 401") {
		t.Errorf("got %v", err)
	}
}

// refusing answers health and refuses everything else.
type refusing struct{ *world }

func (r refusing) Get(ctx context.Context, path string, token secrets.Secret) (int, []byte, error) {
	if path == "/health" {
		return r.world.Get(ctx, path, token)
	}
	return 401, nil, nil
}

func TestRun_StopsWaitingWhenItsContextEnds(t *testing.T) {
	w := newWorld(t)
	w.predictions = []string{early}
	ctx, cancel := context.WithCancel(t.Context())
	use := w.use()
	use.API = ending{w, cancel}
	if _, err := use.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// ending ends the context when predictions are asked for.
type ending struct {
	*world
	cancel context.CancelFunc
}

func (e ending) Get(ctx context.Context, path string, token secrets.Secret) (int, []byte, error) {
	if path != "/health" {
		e.cancel()
	}
	return e.world.Get(ctx, path, token)
}

func TestClean_RemovesTheStackWithItsVolumesAndThenTheDirectory(t *testing.T) {
	w := newWorld(t)
	if _, err := w.use().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.use().Clean(t.Context()); err != nil || !slices.Equal(w.downs, []bool{true}) || w.removed != 1 {
		t.Errorf("%v, downs %v, removed %d times", err, w.downs, w.removed)
	}
	w.removeErr = errors.New("in use")
	if err := w.use().Clean(t.Context()); !errors.Is(err, w.removeErr) {
		t.Errorf("a directory that stays: %v", err)
	}
}

func TestClean_OfADemoThatNeverRanAsksNoEngine(t *testing.T) {
	w := newWorld(t)
	use := w.use()
	use.Stack.Connect = func(context.Context) (stack.Connection, error) {
		return stack.Connection{}, &fault.Error{Code: fault.NoEngine, What: "asked"}
	}
	if err := use.Clean(t.Context()); err != nil || w.removed != 1 {
		t.Errorf("%v, removed %d times", err, w.removed)
	}
}

func TestClean_KeepsTheDirectoryOfAStackThatCannotBeRemoved(t *testing.T) {
	w := newWorld(t)
	if _, err := w.use().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	use := w.use()
	use.Stack.Connect = func(context.Context) (stack.Connection, error) {
		return stack.Connection{}, &fault.Error{Code: fault.NoEngine, What: "gone"}
	}
	if err := use.Clean(t.Context()); fault.CodeOf(err) != fault.NoEngine || w.removed != 0 {
		t.Errorf("%v, removed %d times: the secrets of a stack that runs were removed", err, w.removed)
	}
}
