//go:build integration

package integration

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/internal/sweep"
)

// dockerCommand runs the docker command with an environment of its own and returns
// its standard output. A field that it ignores fails the test.
func dockerCommand(t *testing.T, env []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DOCKER_CONFIG=" + t.TempDir()}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "Ignoring") {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// The docker command takes the file as it is: version 3.9 has it checked against
// the schema of docker CLI 20.10, and nothing in it is ignored.
func TestSwarmFile_IsTakenByTheDockerCommand(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"KEEPMUM_OVERLAY=plain", "KEEPMUM_PROVIDER_SIM=1"}} {
		out := dockerCommand(t, env, "stack", "config", "-c", swarmFile)
		if !strings.Contains(out, `version: "3.9"`) || strings.Count(out, "\n    image: ") != 8 {
			t.Errorf("with %v the docker command reads something else", env)
		}
	}
}

// TestSwarmFile_RunsByPlainStackDeploy deploys the production stack, with the
// simulator, by docker stack deploy on a Swarm of one node: everything becomes
// healthy, the API has predictions, an outage of the database replaces no task of
// another service, and no value shows anywhere.
func TestSwarmFile_RunsByPlainStackDeploy(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := newPlainSwarm(t)
	s.deploy(t)
	begun := time.Now()
	poll(t, 3*time.Minute, "every service runs as many tasks as it should", func() bool { return len(s.waiting(t)) == 0 })
	t.Logf("all services run %.1f s after docker stack deploy", time.Since(begun).Seconds())
	s.startAsker(t)
	s.requirePredictions(t)
	t.Run("the database goes away", s.outage)
	s.search(t)
}

// plainSwarm is a Swarm of one node with all that the file needs: images, secrets
// by their declared names, and the label of the database's node.
type plainSwarm struct {
	*dind
	postgres string // image
	helper   string // image
	asker    string // container that has the API's token, and may ask it
}

// stackName is the name of the stack in the Swarm.
const stackName = "production"

func newPlainSwarm(t *testing.T) *plainSwarm {
	t.Helper()
	p := newProject(t)
	p.audit = newAudit(t)
	values := map[string]string{}
	for _, name := range secretNames() {
		values[name] = newValue(t, name)
	}
	p.audit.know(values)
	p.audit.begin(t, []byte(random(t, "abcdefghijklmnopqrstuvwxyz", 32)))
	s := &plainSwarm{}
	for _, one := range decoded[struct{ Images []struct{ Image string } }](t, p.must(t, "", "build:images", "-json").stdout).Images {
		if strings.HasPrefix(one.Image, "keepmum/postgres:") || strings.HasPrefix(one.Image, "postgres:") {
			s.postgres = one.Image
		}
	}
	if s.postgres == "" {
		s.postgres = p.postgresImage()
	}
	s.helper = p.helperImage(t)
	s.dind = newDind(t, p)
	s.swarmInit(t)
	s.labelNode(t)
	refs := []string{s.postgres, s.helper}
	for _, service := range p.manifest.Services {
		if service.Name != "postgres" {
			refs = append(refs, "keepmum/"+service.Name+":dev")
		}
	}
	for _, ref := range refs {
		s.load(t, ref)
	}
	for name, value := range values {
		if _, err := s.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: name}, Data: []byte(value)}); err != nil {
			t.Fatalf("%s cannot be a Swarm secret: %s", name, p.audit.masked(err.Error()))
		}
	}
	return s
}

// labelNode gives the only node the label that the database's constraint asks for.
func (s *plainSwarm) labelNode(t *testing.T) {
	t.Helper()
	nodes, err := s.NodeList(t.Context(), swarm.NodeListOptions{})
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%d nodes: %v", len(nodes), err)
	}
	spec := nodes[0].Spec
	spec.Labels = map[string]string{"keepmum.database": "true"}
	if err := s.NodeUpdate(t.Context(), nodes[0].ID, nodes[0].Version, spec); err != nil {
		t.Fatal(err)
	}
}

// listen relays a unix socket on this machine to the engine until the test ends, for
// the docker command, and returns its address.
func (s *plainSwarm) listen(t *testing.T) string {
	t.Helper()
	path := filepath.Join(s.project.tmp, "engine.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ctx := context.WithoutCancel(t.Context())
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := s.dial(ctx, "", "")
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, from) }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return "unix://" + path
}

// deploy runs docker stack deploy.
func (s *plainSwarm) deploy(t *testing.T) {
	t.Helper()
	dockerCommand(t, []string{
		"DOCKER_HOST=" + s.listen(t), "KEEPMUM_POSTGRES_IMAGE=" + s.postgres, "KEEPMUM_PROVIDER_SIM=1", "KEEPMUM_LOG_LEVEL=debug",
		"KEEPMUM_ODDS_API_URL=http://provider-sim:8080", "KEEPMUM_BASKETBALL_API_URL=http://provider-sim:8080",
		"KEEPMUM_ODDS_BACKFILL=840h", "KEEPMUM_POLL_INTERVAL=1s",
	}, "stack", "deploy", "--resolve-image", "never", "-c", swarmFile, stackName)
}

// waiting names the services that do not run as many tasks as they should, or, the
// one that ends, have not ended well.
func (s *plainSwarm) waiting(t *testing.T) []string {
	t.Helper()
	services, err := s.ServiceList(t.Context(), swarm.ServiceListOptions{Status: true})
	if err != nil || len(services) < 8 {
		t.Fatalf("%d services: %v", len(services), err)
	}
	var names []string
	for _, one := range services {
		status := one.ServiceStatus
		ready := status.RunningTasks == status.DesiredTasks
		if one.Spec.Name == stackName+"_"+oneShot {
			ready = s.completed(t, one.ID)
		}
		if !ready {
			names = append(names, one.Spec.Name)
		}
	}
	return names
}

// completed reports whether a task of a service has ended with 0.
func (s *plainSwarm) completed(t *testing.T, service string) bool {
	t.Helper()
	tasks, err := s.TaskList(t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", service))})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(tasks, func(task swarm.Task) bool { return task.Status.State == swarm.TaskStateComplete })
}

// startAsker starts a service in the network edge that has the token, and the
// canary in its environment and its log.
func (s *plainSwarm) startAsker(t *testing.T) {
	t.Helper()
	token, _, err := s.SecretInspectWithRaw(t.Context(), "STRICT_API_TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ServiceCreate(t.Context(), swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: asker},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{
				Image: s.helper, Args: []string{"linger"}, Env: []string{"CANARY=" + s.project.audit.plain},
				Secrets: []*swarm.SecretReference{{SecretID: token.ID, SecretName: "STRICT_API_TOKEN", File: &swarm.SecretReferenceFileTarget{Name: "STRICT_API_TOKEN", UID: "0", GID: "0", Mode: 0o444}}},
			},
			Networks: []swarm.NetworkAttachmentConfig{{Target: stackName + "_encrypted-edge"}},
		},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}, swarm.ServiceCreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	poll(t, time.Minute, "the asker's container", func() bool {
		found := s.containersOf(t, asker)
		if len(found) == 1 {
			s.asker = found[0].ID
		}
		return s.asker != "" && strings.Contains(s.log(t, s.asker), "a canary, go")
	})
}

// containersOf returns the running containers of a service.
func (s *plainSwarm) containersOf(t *testing.T, service string) []container.Summary {
	t.Helper()
	found, err := s.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name="+service))})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ask sends a request to strict-api from inside, and returns status and body.
func (s *plainSwarm) ask(t *testing.T, path string) (status, body string) {
	t.Helper()
	said := execIn(t, s, s.asker, "", "/helper", "ask", "GET", "http://strict-api:8090"+path, "Authorization: Bearer {STRICT_API_TOKEN}")
	status, body, _ = strings.Cut(said.stdout, "\n")
	return status, body
}

// requirePredictions requires that the API answers, and, through the simulator,
// both pollers, the database and prediction-service, with predictions.
func (s *plainSwarm) requirePredictions(t *testing.T) {
	t.Helper()
	poll(t, time.Minute, "strict-api is healthy", func() bool { status, _ := s.ask(t, "/health"); return status == "200" })
	poll(t, time.Minute, "a prediction from odds and results", func() bool {
		status, body := s.ask(t, "/predictions")
		return status == "200" && predicted(t, body)
	})
}

// outage takes the database away until every health check has looked five times,
// which is how many it takes for the engine to call a container unhealthy, and gives
// it back.
func (s *plainSwarm) outage(t *testing.T) {
	before := s.runningTasks(t)
	s.scalePostgres(t, 0)
	checked := []string{"strict-api", "prediction-service", "line-movement-analyzer"}
	for _, service := range checked {
		for _, one := range s.containersOf(t, stackName+"_"+service) {
			poll(t, time.Minute, service+" was checked five times during the outage", func() bool { return s.failingWhileStarted(t, one.ID) })
		}
	}
	s.scalePostgres(t, 1)
	poll(t, time.Minute, "strict-api is healthy again", func() bool {
		status, body := s.ask(t, "/health")
		return status == "200" && strings.Contains(body, `"ok"`)
	})
	after := s.runningTasks(t)
	if len(before) < 8 || !slices.Equal(before, after) {
		t.Errorf("tasks were replaced: before %v, after %v", before, after)
	}
}

// failingWhileStarted reports whether the five last health checks of a container
// passed although the database was away.
func (s *plainSwarm) failingWhileStarted(t *testing.T, id string) bool {
	t.Helper()
	found, err := s.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, one := range found.State.Health.Log {
		if one.ExitCode == 0 && strings.Contains(one.Output, "started, failing: ") {
			passed++
		}
	}
	return passed == 5
}

// runningTasks names the running tasks of the stack but the database's.
func (s *plainSwarm) runningTasks(t *testing.T) []string {
	t.Helper()
	found, err := s.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+stackName))})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range found {
		if name := one.Labels["com.docker.swarm.task.name"]; !strings.HasPrefix(name, stackName+"_postgres.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// scalePostgres runs the database or not, and waits until it is so.
func (s *plainSwarm) scalePostgres(t *testing.T, replicas uint64) {
	t.Helper()
	name := stackName + "_postgres"
	found, _, err := s.ServiceInspectWithRaw(t.Context(), name, swarm.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found.Spec.Mode.Replicated.Replicas = &replicas
	if _, err := s.ServiceUpdate(t.Context(), found.ID, found.Version, found.Spec, swarm.ServiceUpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(t, time.Minute, "the database's container", func() bool { return uint64(len(s.containersOf(t, name))) == replicas })
}

// search searches everything that the Swarm shows for every value.
func (s *plainSwarm) search(t *testing.T) {
	t.Helper()
	var surfaces []sweep.Surface
	plants := []plant{{"logs of " + asker, "", "base64"}, {surface: "inspect of service " + asker}, {surface: "inspect of " + asker}, {surface: "inspect of all tasks"}}
	services, err := s.ServiceList(t.Context(), swarm.ServiceListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range services {
		_, raw, err := s.ServiceInspectWithRaw(t.Context(), one.ID, swarm.ServiceInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("inspect of service "+one.Spec.Name, raw))
	}
	all, err := s.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		name := one.Labels["com.docker.swarm.task.name"]
		if one.Labels["com.docker.swarm.service.name"] == asker {
			name = asker
		}
		_, raw, err := s.ContainerInspectWithRaw(t.Context(), one.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("inspect of "+name, raw), sweep.Bytes("logs of "+name, []byte(s.log(t, one.ID))))
	}
	tasks, err := s.TaskList(t.Context(), swarm.TaskListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all tasks", tasks, err))
	secrets, err := s.SecretList(t.Context(), swarm.SecretListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all secrets", secrets, err))
	networks, err := s.NetworkList(t.Context(), network.ListOptions{})
	surfaces = append(surfaces, asJSON(t, "network list", networks, err))
	s.project.audit.require(t, plants, nil, surfaces...)
	s.project.audit.finish(t, map[string]int{"canaries": 4, "logs": 11, "inspect": 22, "network": 1})
}
