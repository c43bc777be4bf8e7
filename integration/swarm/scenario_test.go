//go:build swarm && linux

package swarm

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/keepmum/keepmum/integration/swarmlab"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

const (
	scenarioRate     = 50   // requests a second
	scenarioRequests = 1500 // at least
)

// TestScenario takes the production stack of this checkout, with its database and
// all services, through its life on three managers, while requests enter
// strict-api by its name in the network: first deployment, the same again, a new
// image and another limit, an image that crashes. No request fails, and no value
// shows anywhere.
func TestScenario(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.must(0, "secrets:init")
	s.ran(0, "secrets:toSwarm", "-from=prod")
	s.ran(7, "deploy:plan")
	first := s.ran(0, "deploy:swarm", "-timeout=10m")
	before := s.tasks()
	load := s.startLoad()

	again := s.ran(0, "deploy:swarm")
	if now := s.tasks(); !strings.Contains(again.stderr, "nothing to change") || len(before) < 11 || !slices.Equal(before, now) {
		t.Errorf("the second deployment changed something: tasks %v, then %v\n%s", before, now, again)
	}
	s.file("/strict-api:${KEEPMUM_TAG:-dev}", "/strict-api:next", "/prediction-service, health, -started]\n    deploy: *replicated",
		"/prediction-service, health, -started]\n    deploy: {<<: *replicated, resources: {limits: {cpus: \"0.50\", memory: 160M, pids: 256}, reservations: {cpus: \"0.02\", memory: 24M}}}")
	if got, want := s.changes(), "odds_prediction-service deploy.resources.limits.memory; odds_strict-api image"; got != want {
		t.Errorf("the plan shows %q, want %q", got, want)
	}
	second := s.ran(0, "deploy:swarm")
	good := s.look()
	s.file("${KEEPMUM_IMAGES:-keepmum}/strict-api:next", swarmlab.HelperImage)
	broken := s.ran(5, "deploy:swarm", "-from=prod")
	broken.is(s.stage, 5, "every service that was touched is as it was and has converged")
	s.as(good, false)
	sum := s.endLoad(load)
	if sum.Failed != 0 || sum.Sent < scenarioRequests {
		t.Errorf("%d of %d requests failed: %q", sum.Failed, sum.Sent, sum.Reasons)
	}
	surfaces := s.searchEverything()
	t.Logf("first deployment %.1f s, the same again %.1f s, an image and a limit %.1f s, a broken image until all was back %.1f s; %d of %d requests failed (%d a second), the slowest took %.2f s; no value in %d surfaces",
		first.took.Seconds(), again.took.Seconds(), second.took.Seconds(), broken.took.Seconds(), sum.Failed, sum.Sent, scenarioRate, sum.Slowest, surfaces)
}

// scenario is a stage with the production stack of this checkout.
type scenario struct {
	*stage
	canary    string
	processes bytes.Buffer // arguments and environments of all runs
}

// newScenario makes three managers and the project on them.
func newScenario(t testing.TB) *scenario {
	t.Helper()
	return newProduction(t, swarmlab.Up(t, swarmlab.Options{Managers: 3}))
}

// newProduction gives a lab all images and the label of a node that may run the
// database, and makes a project with the checkout's files and random values.
func newProduction(t testing.TB, lab *swarmlab.Lab) *scenario {
	t.Helper()
	lab.LoadHelper(t)
	s := &scenario{stage: newStage(t, lab, "odds"), canary: "canary-" + rand.Text()}
	s.stack = "odds"
	postgres := s.loadImages()
	s.labelDatabase()
	s.values = map[string][]byte{
		"DB_ADMIN_PASSWORD": []byte("admin-" + rand.Text()), "DB_APP_LOGIN": []byte("app_a:" + rand.Text()), "STRICT_API_TOKEN": []byte(rand.Text() + rand.Text()),
		"THE_ODDS_API_KEY": scenarioKey(), "API_BASKETBALL_KEY": scenarioKey(),
	}
	for _, name := range []string{"TOKEN", "LOGIN"} {
		if err := os.Remove(s.path("prod/" + name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range s.values {
		s.put("prod/"+name, string(value))
	}
	for _, name := range []string{"docker-compose.yml", "docker-compose.swarm.yml"} {
		data, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		s.put(name, string(data))
		s.text = string(data)
	}
	s.env = []string{"KEEPMUM_STACK=odds", "KEEPMUM_OVERLAY=plain", "KEEPMUM_PROVIDER_SIM=2", "KEEPMUM_POSTGRES_IMAGE=" + postgres,
		"KEEPMUM_ODDS_API_URL=http://provider-sim:8080", "KEEPMUM_BASKETBALL_API_URL=http://provider-sim:8080", "KEEPMUM_POLL_INTERVAL=5s", "SCENARIO_CANARY=" + s.canary}
	return s
}

// scenarioKey is a value of the form that the providers' keys have.
func scenarioKey() []byte {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	return []byte(hex.EncodeToString(key))
}

// loadImages copies the stack's images from the machine's engine, where
// build:images has made them, and makes a second one of strict-api. It returns
// that of Postgres.
func (s *scenario) loadImages() (postgres string) {
	s.Helper()
	own, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		s.Fatal(err)
	}
	defer own.Close()
	found, err := own.ImageList(s.TB.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "keepmum/postgres"), filters.Arg("reference", "postgres:17"))})
	if err != nil || len(found) == 0 || len(found[0].RepoTags) == 0 {
		s.Fatalf("no image of Postgres: run mage build:images first (%v)", err)
	}
	postgres = found[0].RepoTags[0]
	s.lab.Load(s.TB, postgres)
	for _, name := range []string{"db-setup", "provider-sim", "odds-ingestion", "schedule-poller", "line-movement-analyzer", "prediction-service", "strict-api"} {
		s.lab.Load(s.TB, "keepmum/"+name+":dev")
	}
	for _, n := range s.lab.Nodes() {
		s.nextImage(n)
	}
	return postgres
}

// nextImage makes the second image of strict-api on a node: the same program.
func (s *scenario) nextImage(n *swarmlab.Node) {
	s.Helper()
	var files bytes.Buffer
	out := tar.NewWriter(&files)
	text := "FROM keepmum/strict-api:dev\nLABEL scenario=next\n"
	if err := out.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(text))}); err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(out, text); err != nil {
		s.Fatal(err)
	}
	if err := out.Close(); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := s.context()
	defer cancel()
	made, err := n.Client().ImageBuild(ctx, &files, build.ImageBuildOptions{Tags: []string{"keepmum/strict-api:next"}, Version: build.BuilderV1, Remove: true, ForceRemove: true})
	if err != nil {
		s.Fatal(err)
	}
	defer made.Body.Close()
	if said, err := io.ReadAll(made.Body); err != nil || bytes.Contains(said, []byte("errorDetail")) {
		s.Fatalf("%v: %s", err, said)
	}
}

// labelDatabase gives a node the label that the database's constraint asks for:
// the second one, or the only one.
func (s *scenario) labelDatabase() {
	s.Helper()
	id := s.lab.Nodes()[min(1, len(s.lab.Nodes())-1)].ID(s.TB)
	s.poll("the label of a node", func(ctx context.Context) error {
		found, _, err := s.node.Client().NodeInspectWithRaw(ctx, id)
		if err != nil {
			return err
		}
		found.Spec.Labels = map[string]string{"keepmum.database": "true"}
		return s.node.Client().NodeUpdate(ctx, id, found.Version, found.Spec)
	})
}

// ran runs keepmum, keeps the arguments and environments of its processes, and
// requires the exit code.
func (s *scenario) ran(code int, args ...string) said {
	s.Helper()
	r := s.start(args...)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		s.processes.WriteString(scenarioProcess(r.cmd.Process.Pid))
		select {
		case <-r.ended:
			tick.Stop()
			got := r.end()
			s.Logf("keepmum %s: %d after %.1f s", strings.Join(args, " "), got.code, got.took.Seconds())
			got.is(s.stage, code)
			return got
		case <-tick.C:
		}
	}
}

// scenarioProcess is the arguments and the environment of a process; empty if it
// has ended.
func scenarioProcess(pid int) string {
	text := ""
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
		if err != nil {
			return ""
		}
		text += strings.ReplaceAll(string(data), "\x00", "\n") + "\n"
	}
	return text
}

// changes are what the plan would change: service and field.
func (s *scenario) changes() string {
	s.Helper()
	var got struct {
		Plan struct {
			Steps []struct {
				Kind, Name string
				Changes    []struct{ Field string }
			}
		}
	}
	r := s.ran(7, "deploy:plan", "-json")
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		s.Fatal(err)
	}
	var all []string
	for _, step := range got.Plan.Steps {
		text := step.Name
		if step.Kind != "update service" {
			text = step.Kind + " " + text
		}
		for _, change := range step.Changes {
			text += " " + change.Field
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// tasks returns the tasks that run or have completed, with their containers.
func (s *scenario) tasks() []string {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	all, err := s.node.Client().TaskList(ctx, swarmapi.TaskListOptions{Filters: ofStack(s.stack)})
	if err != nil {
		s.Fatal(err)
	}
	var ids []string
	for _, one := range all {
		if one.Status.State == swarmapi.TaskStateRunning || one.Status.State == swarmapi.TaskStateComplete {
			ids = append(ids, one.ID+" "+one.Status.ContainerStatus.ContainerID)
		}
	}
	slices.Sort(ids)
	return ids
}

// scenarioSum is what the load printed.
type scenarioSum struct {
	Sent, Failed int
	Reasons      []string
	Slowest      float64
}

// scenarioLoad is the container that sends requests.
type scenarioLoad struct {
	node  *swarmlab.Node
	id    string
	begun time.Time
}

// startLoad starts a service in the network of strict-api's clients that sends
// requests, and one that has the canary in its environment and its log.
func (s *scenario) startLoad() scenarioLoad {
	s.Helper()
	s.create("canary", "linger")
	s.create("load", "load", "http://strict-api:8090/health", strconv.Itoa(scenarioRate), "1000000", "5s")
	var load scenarioLoad
	s.poll("the load", func(ctx context.Context) error {
		for _, n := range s.lab.Nodes() {
			found, err := n.Client().ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name=load"))})
			if err != nil {
				return err
			}
			if len(found) == 1 {
				load = scenarioLoad{node: n, id: found[0].ID, begun: time.Now()}
				return nil
			}
		}
		return fmt.Errorf("it has no container")
	})
	return load
}

// create makes a service of the helper, which does not start again, beside
// strict-api.
func (s *scenario) create(name string, args ...string) {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	_, err := s.node.Client().ServiceCreate(ctx, swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: name},
		TaskTemplate: swarmapi.TaskSpec{
			ContainerSpec: &swarmapi.ContainerSpec{Image: swarmlab.HelperImage, Args: args, Env: []string{"CANARY=" + s.canary}},
			RestartPolicy: &swarmapi.RestartPolicy{Condition: swarmapi.RestartPolicyConditionNone},
			Networks:      []swarmapi.NetworkAttachmentConfig{{Target: s.stack + "_plain-edge"}},
		},
		EndpointSpec: &swarmapi.EndpointSpec{Mode: swarmapi.ResolutionModeDNSRR},
	}, swarmapi.ServiceCreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
}

// endLoad waits until enough requests were sent, ends the load, and returns what
// it printed.
func (s *scenario) endLoad(load scenarioLoad) (sum scenarioSum) {
	s.Helper()
	select {
	case <-time.After(time.Until(load.begun.Add(scenarioRequests*time.Second/scenarioRate + 5*time.Second))):
	case <-s.TB.Context().Done():
	}
	ctx, cancel := s.context()
	defer cancel()
	if err := load.node.Client().ContainerKill(ctx, load.id, "TERM"); err != nil {
		s.Fatal(err)
	}
	ended, failed := load.node.Client().ContainerWait(ctx, load.id, container.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-failed:
		s.Fatal(err)
	}
	if err := json.Unmarshal(s.containerLog(ctx, load.node, load.id), &sum); err != nil {
		s.Fatal(err)
	}
	return sum
}

// containerLog is what a container printed.
func (s *scenario) containerLog(ctx context.Context, n *swarmlab.Node, id string) []byte {
	s.Helper()
	stream, err := n.Client().ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		s.Fatalf("the log of container %s on %s: %v", id, n.Name(), err)
	}
	defer stream.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, stream); err != nil {
		s.Fatal(err)
	}
	return text.Bytes()
}

// searchEverything searches for every value and the canary: what keepmum said, its
// arguments and environments, what the API says, all containers and logs on all
// nodes, all processes of this machine, and the project's files. The canary must
// be found where it was put. It returns how many surfaces it read.
func (s *scenario) searchEverything() int {
	s.Helper()
	known := []secrets.Known{{Name: "canary", Value: secrets.New([]byte(s.canary))}}
	for name, value := range s.values {
		known = append(known, secrets.Known{Name: name, Value: secrets.New(value)})
	}
	matcher := redact.New(known)
	if short := matcher.Unmasked(); len(short) > 0 || len(known) != 6 {
		s.Fatalf("not searched: %q of %d values", short, len(known))
	}
	all := s.everySurface()
	canaries := map[string]bool{}
	for name, text := range all {
		for _, hit := range matcher.Find(text) {
			if hit.Name != "canary" {
				s.Errorf("%s shows the value of %s (%s)", name, hit.Name, hit.Encoding)
			}
			canaries[name] = true
		}
	}
	for _, name := range []string{"services", "tasks", "processes of keepmum", "processes of this machine", "inspect of canary", "log of canary", "files"} {
		if !canaries[name] {
			s.Errorf("the canary was not found in %s: the search cannot fail", name)
		}
	}
	if canaries["what keepmum said"] {
		s.Error("keepmum said the canary, which was in its environment alone")
	}
	return len(all)
}

// everySurface reads all that searchEverything searches.
func (s *scenario) everySurface() map[string][]byte {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	all, err := s.surfaces(ctx)
	if err != nil {
		s.Fatal(err)
	}
	all["what keepmum said"], all["processes of keepmum"] = s.output.Bytes(), s.processes.Bytes()
	for _, n := range s.lab.Nodes() {
		containers, err := n.Client().ContainerList(ctx, container.ListOptions{All: true})
		if err != nil {
			s.Fatal(err)
		}
		for _, one := range containers {
			name := one.Labels["com.docker.swarm.service.name"]
			if name != "canary" {
				name = n.Name() + one.Names[0]
			}
			_, raw, err := n.Client().ContainerInspectWithRaw(ctx, one.ID, false)
			if err != nil {
				s.Fatal(err)
			}
			all["inspect of "+name], all["log of "+name] = raw, s.containerLog(ctx, n, one.ID)
		}
	}
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		s.Fatal(err)
	}
	for _, dir := range found {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			all["processes of this machine"] = append(all["processes of this machine"], scenarioProcess(pid)...)
		}
	}
	s.put("canary.txt", s.canary)
	all["files"] = s.projectFiles()
	return all
}

// projectFiles are the files of the project outside the source of values and the
// key.
func (s *scenario) projectFiles() (text []byte) {
	s.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == s.path("prod"):
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || path == s.path(".keepmum/key") {
			return nil
		}
		data, err := os.ReadFile(path)
		text = append(text, data...)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return text
}
