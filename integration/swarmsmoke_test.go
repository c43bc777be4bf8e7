//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"os"
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

// smokeStack is a stack of the helper: a database, a job that prints the canary,
// and an API of two replicas, which prints a secret if it is started by "print".
const smokeStack = `version: "3.9"
services:
  db:
    image: ${HELPER}
    command: [serve]
    secrets: [DB_PASSWORD]
    healthcheck: &health {test: [CMD, /helper, health], interval: 1s, timeout: 5s, retries: 5, start_period: 10s}
    networks: [inside]
    deploy:
      endpoint_mode: dnsrr
      restart_policy: &restart {condition: any, delay: 200ms}
      update_config: &update {order: stop-first, monitor: 1s, failure_action: rollback}
  migrate:
    image: ${HELPER}
    command: [print]
    environment: {CANARY: "${INTEGRATION_CANARY}"}
    depends_on: [db]
    networks: [inside]
    deploy: {mode: replicated-job, endpoint_mode: dnsrr, restart_policy: {condition: none}}
  api:
    image: ${HELPER}
    command: ["${COMMAND:-serve}"]
    environment: {SERVE_VERSION: "${VERSION:-v1}", SERVE_DRAIN: 1s, CANARY: "{API_TOKEN}"}
    secrets: [DB_PASSWORD, {source: API_TOKEN, mode: 0400}]
    healthcheck: *health
    depends_on: [migrate]
    networks: [inside]
    deploy:
      endpoint_mode: dnsrr
      replicas: 2
      restart_policy: *restart
      update_config: {<<: *update, order: start-first}
      rollback_config: {order: start-first, monitor: 1s}
secrets:
  DB_PASSWORD: {external: true}
  API_TOKEN: {external: true}
networks:
  inside: {driver: overlay, internal: true}
`

// smoke is a Swarm of one node, and a directory with a stack file and values, over
// which the compiled binary works.
type smoke struct {
	*dind
	helper string // image
	values map[string]string
}

// newSmoke makes the Swarm, and what a directory needs for secrets:toSwarm.
func newSmoke(t *testing.T) *smoke {
	t.Helper()
	p := &project{t: t}
	p.connect()
	p.takeHome()
	p.dir, p.tmp = filepath.Join(p.home, "shop"), filepath.Join(p.home, "tmp")
	p.audit = newAudit(t)
	s := &smoke{values: map[string]string{"DB_PASSWORD": newValue(t, "DB_ADMIN_PASSWORD"), "API_TOKEN": newValue(t, "STRICT_API_TOKEN")}}
	p.audit.know(s.values)
	key := random(t, "abcdefghijklmnopqrstuvwxyz", 32)
	p.audit.begin(t, []byte(key))
	if err := errors.Join(os.Mkdir(p.tmp, 0o700), os.MkdirAll(filepath.Join(p.dir, "prod"), 0o700),
		os.WriteFile(filepath.Join(p.home, "key"), []byte(key), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.helper = p.helperImage(t)
	s.dind = newDind(t, p)
	s.swarmInit(t)
	s.load(t, s.helper)
	p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "TMPDIR=" + p.tmp, "DOCKER_HOST=unix://" + s.listen(t),
		"KEEPMUM_STACK=shop", "KEEPMUM_KEY_FILE=" + filepath.Join(p.home, "key"), "HELPER=" + s.helper}
	return s
}

// with runs keepmum with further variables, and requires an exit code.
func (s *smoke) with(t *testing.T, code int, env []string, args ...string) output {
	t.Helper()
	was := s.project.env
	s.project.env = append(slices.Clone(was), env...)
	defer func() { s.project.env = was }()
	said := s.project.keepmum(t, "", args...)
	if said.code != code {
		t.Fatalf("keepmum %s: exit code %d, want %d\n%s", strings.Join(args, " "), said.code, code, s.project.audit.masked(said.stdout+said.stderr))
	}
	return said
}

// TestSwarmSmoke takes a small stack through its life on a Swarm of one node.
func TestSwarmSmoke(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := newSmoke(t)
	p := s.project
	p.write("docker-compose.swarm.yml", smokeStack)
	p.write("prod/.environment", "production\n")
	for name, value := range s.values {
		p.write("prod/"+name, value)
	}
	keepmumBinary(t)
	begun := time.Now()

	s.with(t, 3, nil, "deploy:plan") // no versions yet
	s.with(t, 0, nil, "secrets:toSwarm", "-from=prod")
	plan := s.with(t, 7, nil, "deploy:plan").stdout
	if strings.Count(plan, "create service") != 3 || strings.Count(plan, "create network") != 1 {
		t.Errorf("the plan of a first deployment:\n%s", plan)
	}
	s.with(t, 0, nil, "deploy:swarm")
	first := s.tasks(t)
	if len(first) != 4 {
		t.Fatalf("a database, a job and two replicas should have run, but the tasks are %v", first)
	}
	if said := s.with(t, 0, nil, "deploy:swarm"); !strings.Contains(said.stderr, "nothing to change") || !slices.Equal(s.tasks(t), first) {
		t.Errorf("the second deployment changed something: tasks %v, then %v\n%s", first, s.tasks(t), said.stdout)
	}

	before := s.specs(t)
	broken := s.with(t, 5, []string{"COMMAND=print"}, "deploy:swarm", "-from=prod")
	if after := s.specs(t); len(after) != 3 || !slices.Equal(after, before) {
		t.Errorf("after the failed update the services are not what they were")
	}
	if !strings.Contains(broken.stderr, "shop_api | a canary, base64: ") {
		t.Errorf("the log of the failed task is not shown:\n%s", p.audit.masked(broken.stderr))
	}
	s.with(t, 0, []string{"VERSION=v2"}, "deploy:swarm")
	if after := s.specs(t); slices.Equal(after, before) {
		t.Error("the update changed nothing")
	}
	s.with(t, 0, nil, "deploy:rollback", "shop")
	if after := s.specs(t); !slices.Equal(after, before) {
		t.Error("after deploy:rollback the services are not what they were")
	}
	s.with(t, 0, nil, "deploy:plan")
	s.with(t, 0, nil, "deploy:status")
	s.with(t, 0, nil, "secrets:diff", "-from=prod")
	s.search(t)
	s.with(t, 0, nil, "deploy:remove", "shop")
	running, err := s.ContainerList(t.Context(), container.ListOptions{})
	if left := s.specs(t); err != nil || len(left)+len(running) > 0 {
		t.Errorf("after deploy:remove %d services and %d containers are left, %v", len(left), len(running), err)
	}
	secrets, err := s.SecretList(t.Context(), swarm.SecretListOptions{})
	if err != nil || len(secrets) != 2 {
		t.Errorf("the versions have not stayed: %d secrets, %v", len(secrets), err)
	}
	t.Logf("from deploy:plan to deploy:remove: %.1f s", time.Since(begun).Seconds())
	p.audit.finish(t, map[string]int{"canaries": 12, "logs": 5, "inspect": 10, "output": 12, "errors": 12})
}

// tasks returns the ids of the tasks that are not over or are a job's, sorted.
func (s *smoke) tasks(t *testing.T) []string {
	t.Helper()
	all, err := s.TaskList(t.Context(), swarm.TaskListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, one := range all {
		if one.Status.State == swarm.TaskStateRunning || one.Status.State == swarm.TaskStateComplete {
			ids = append(ids, one.ID+" "+one.Status.ContainerStatus.ContainerID)
		}
	}
	slices.Sort(ids)
	return ids
}

// specs returns the specifications of all services, sorted.
func (s *smoke) specs(t *testing.T) []string {
	t.Helper()
	all, err := s.ServiceList(t.Context(), swarm.ServiceListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	specs := []string{}
	for _, one := range all {
		text, err := json.Marshal(one.Spec)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, string(text))
	}
	slices.Sort(specs)
	return specs
}

// search searches everything that the Swarm shows for every value. The canary is
// in the environment of the job, and in the image. A value is in the log of the
// update that printed it, and nowhere else.
func (s *smoke) search(t *testing.T) {
	t.Helper()
	var surfaces []sweep.Surface
	plants := []plant{{surface: "inspect of service shop_migrate"}, {surface: "inspect of all tasks"}}
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
	ofStack := container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace=shop"))}
	all, err := s.ContainerList(t.Context(), ofStack)
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]bool{}
	for _, one := range all {
		name := one.Labels["com.docker.swarm.task.name"]
		_, raw, err := s.ContainerInspectWithRaw(t.Context(), one.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("inspect of "+name, raw), sweep.Bytes("logs of "+name, []byte(s.log(t, one.ID))))
		plants = append(plants, plant{surface: "inspect of " + name})
		switch {
		case strings.HasPrefix(name, "shop_migrate."):
			plants = append(plants, plant{"logs of " + name, "", "raw"})
		case strings.Contains(one.Command, "print"):
			printed["logs of "+name] = true
		}
	}
	tasks, err := s.TaskList(t.Context(), swarm.TaskListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all tasks", tasks, err))
	secrets, err := s.SecretList(t.Context(), swarm.SecretListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all secrets", secrets, err))
	networks, err := s.NetworkList(t.Context(), network.ListOptions{})
	surfaces = append(surfaces, asJSON(t, "network list", networks, err))
	configs, err := s.ConfigList(t.Context(), swarm.ConfigListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all configs", configs, err))
	for _, one := range configs {
		surfaces = append(surfaces, sweep.Bytes("inspect of config "+one.Spec.Name, one.Spec.Data))
	}
	found := s.project.audit.require(t, plants, func(hit sweep.Hit) bool { return printed[hit.Surface] && hit.Name == "API_TOKEN" }, surfaces...)
	shown := 0 // a task that the way back overtook has printed nothing
	for name := range printed {
		if slices.Contains(namesOf(found[name]), "API_TOKEN") {
			shown++
		}
	}
	if shown == 0 || len(configs) == 0 {
		t.Errorf("%d of %d tasks printed a value, %d configs were read", shown, len(printed), len(configs))
	}
}
