//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	faults "github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// swarmAPI is the adapter under test on an engine of its own, and the image of
// the helper there.
type swarmAPI struct {
	*swarm.Swarm
	helper string
}

// TestSwarmAPI checks what keepmum relies on of a Swarm with a real one, of one
// node.
func TestSwarmAPI(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := &project{t: t}
	p.connect()
	p.takeHome()
	p.audit = newAudit(t)
	p.audit.begin(t, []byte(random(t, "abcdefghijklmnopqrstuvwxyz", 32)))
	r := newDind(t, p)
	e, err := engine.Connect(t.Context(), engine.Options{DefaultHost: "unix://" + r.listen(t), ConfigDir: t.TempDir(), LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s := &swarmAPI{Swarm: swarm.New(e, swarm.Options{LookupEnv: func(string) (string, bool) { return "", false }}), helper: p.helperImage(t)}
	r.load(t, s.helper)

	t.Run("NotInASwarm", s.notInASwarm)
	r.swarmInit(t)
	for name, test := range map[string]func(*testing.T){
		"Manager": s.manager, "Secrets": s.secrets, "SecretSizes": s.secretSizes, "Configs": s.configs, "Images": s.images,
		"Networks": s.networks, "Service": s.service, "Update": s.update, "RolledBack": s.rolledBack, "Job": s.job, "Global": s.global, "Terminal": s.terminal,
		"Contract": func(t *testing.T) { clustertest.Contract(t, "contract", s, s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// listen relays connections from a socket of this machine to the inner engine.
func (r *dind) listen(t *testing.T) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				inner, err := r.dial(t.Context(), "", "")
				if err != nil {
					return
				}
				defer inner.Close()
				go func() {
					defer inner.Close()
					_, _ = io.Copy(inner, conn)
				}()
				_, _ = io.Copy(conn, inner)
			}()
		}
	}()
	return path
}

func (s *swarmAPI) notInASwarm(t *testing.T) {
	for name, call := range map[string]func() error{
		"Manager":  func() error { _, err := s.Manager(t.Context()); return err },
		"Secrets":  func() error { _, err := s.Secrets(t.Context()); return err },
		"Services": func() error { _, err := s.Services(t.Context()); return err },
		"CreateSecret": func() error {
			_, err := s.CreateSecret(t.Context(), "a", nil, secrets.New([]byte("not-in-a-swarm")))
			return err
		},
	} {
		err := call()
		var why *docker.Failure
		var shown *faults.Error
		if faults.CodeOf(err) != faults.NoEngine || !errors.As(err, &why) || why.Cause != docker.CauseSwarm || !errors.As(err, &shown) || shown.Next != "docker swarm init" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (s *swarmAPI) manager(t *testing.T) {
	got, err := s.Manager(t.Context())
	if err != nil || got.State != "active" || !got.Manager || got.NodeID == "" || got.Cluster == "" {
		t.Errorf("%+v, %v", got, err)
	}
	nodes, err := s.Nodes(t.Context())
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%+v, %v", nodes, err)
	}
	n := nodes[0]
	n.NanoCPUs, n.Memory, n.Engine, n.Arch = min(n.NanoCPUs, 1), min(n.Memory, 1), n.Engine[:min(len(n.Engine), 1)], ""
	want := docker.Node{ID: got.NodeID, Hostname: "dind", Manager: true, Leader: true, Reachable: true, State: "ready", Availability: "active",
		Labels: map[string]string{}, OS: "linux", NanoCPUs: 1, Memory: 1, Engine: n.Engine, Address: "127.0.0.1"}
	if n.Engine == "" || !reflect.DeepEqual(n, want) {
		t.Errorf("got  %+v\nwant %+v", n, want)
	}
	if err := s.TakesValues(); err != nil {
		t.Error(err)
	}
}

func (s *swarmAPI) secrets(t *testing.T) {
	const text = "the-value-of-a-secret"
	labels := map[string]string{docker.LabelStack: "api", docker.LabelVersion: "1"}
	id := s.secret(t, "api_KEY.v1", labels, text)
	all, err := s.Secrets(t.Context())
	if err != nil || !slices.IsSortedFunc(all, func(a, b docker.SwarmSecret) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%v, %v", all, err)
	}
	at := slices.IndexFunc(all, func(one docker.SwarmSecret) bool { return one.ID == id })
	if at < 0 {
		t.Fatalf("%s is not in the list of %d", id, len(all))
	}
	if got := all[at]; got.Name != "api_KEY.v1" || !maps.Equal(got.Labels, labels) || got.Version == 0 || time.Since(got.Created).Abs() > time.Hour || got.Updated.IsZero() {
		t.Errorf("%+v", got)
	}
	if _, err := s.CreateSecret(t.Context(), "api_KEY.v1", labels, secrets.New([]byte(text))); !errors.Is(err, docker.ErrExists) || strings.Contains(err.Error(), text) {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := s.CreateSecret(t.Context(), strings.Repeat("n", 65), nil, secrets.New([]byte(text))); faults.CodeOf(err) != faults.Failed || !strings.Contains(err.Error(), "1 to 64 letters") {
		t.Errorf("65 characters: %v", err)
	}
	s.secret(t, strings.Repeat("n", 64), nil, text)
	if err := s.RemoveSecret(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := s.RemoveSecret(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// secret creates a secret.
func (s *swarmAPI) secret(t *testing.T, name string, labels map[string]string, value string) (id string) {
	t.Helper()
	id, err := s.CreateSecret(t.Context(), name, labels, secrets.New([]byte(value)))
	if err != nil || id == "" {
		t.Fatalf("%q, %v", id, err)
	}
	return id
}

func (s *swarmAPI) secretSizes(t *testing.T) {
	for size, ok := range map[int]bool{0: false, 1: true, 511_999: true, 512_000: false} {
		name := fmt.Sprintf("api_SIZE_%d.v1", size)
		_, err := s.CreateSecret(t.Context(), name, nil, secrets.New(bytes.Repeat([]byte("x"), size)))
		if ok && err != nil || !ok && (faults.CodeOf(err) != faults.Invalid || !strings.Contains(err.Error(), "1 to 511999 bytes")) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func (s *swarmAPI) configs(t *testing.T) {
	data := []byte("a line\nand \x00 bytes")
	id, err := s.CreateConfig(t.Context(), "api_lock", map[string]string{"beat": "1", "holder": "me"}, data)
	if err != nil {
		t.Fatal(err)
	}
	got := s.config(t, id)
	if got.Name != "api_lock" || !bytes.Equal(got.Data, data) || !maps.Equal(got.Labels, map[string]string{"beat": "1", "holder": "me"}) {
		t.Errorf("%+v", got)
	}
	if err := s.RelabelConfig(t.Context(), id, got.Version, map[string]string{"beat": "2"}); err != nil {
		t.Fatal(err)
	}
	if err := s.RelabelConfig(t.Context(), id, got.Version, map[string]string{"beat": "3"}); !errors.Is(err, docker.ErrOutOfDate) {
		t.Errorf("a version that is over: %v", err)
	}
	next := s.config(t, id)
	if next.Version <= got.Version || !maps.Equal(next.Labels, map[string]string{"beat": "2"}) || !bytes.Equal(next.Data, data) {
		t.Errorf("%+v", next)
	}
	if _, err := s.CreateConfig(t.Context(), "api_lock", nil, data); !errors.Is(err, docker.ErrExists) {
		t.Errorf("the same name again: %v", err)
	}
	if err := s.RemoveConfig(t.Context(), id); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"Relabel": s.RelabelConfig(t.Context(), id, next.Version, nil), "Remove": s.RemoveConfig(t.Context(), id)} {
		if !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("%s of one that is gone: %v", name, err)
		}
	}
}

// config finds a config in the list.
func (s *swarmAPI) config(t *testing.T, id string) docker.SwarmConfig {
	t.Helper()
	all, err := s.Configs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.ID == id {
			return one
		}
	}
	t.Fatalf("%s is not among the %d configs", id, len(all))
	return docker.SwarmConfig{}
}

func (s *swarmAPI) images(t *testing.T) {
	for image, want := range map[string]bool{s.helper: true, "nobody/has-this:1": false} {
		if got, err := s.HasImage(t.Context(), image); got != want || err != nil {
			t.Errorf("%s: %v, %v", image, got, err)
		}
	}
	if got, err := s.ResolveImage(t.Context(), s.helper); !errors.Is(err, docker.ErrNotFound) || got != s.helper {
		t.Errorf("without a registry: %q, %v", got, err)
	}
}

func (s *swarmAPI) networks(t *testing.T) {
	labels := map[string]string{docker.LabelNamespace: "api"}
	spec := docker.NetworkSpec{Name: "api_net", JSON: json.RawMessage(`{"Name":"api_net","Driver":"overlay","Attachable":true,"Internal":true,"Options":{"com.docker.network.driver.mtu":"1400"},
		"IPAM":{"Driver":"default","Config":[{"Subnet":"10.99.0.0/24"}]},"Labels":{"com.docker.stack.namespace":"api"}}`)}
	id, err := s.CreateNetwork(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]docker.Network{}
	poll(t, dindTimeout, "the Swarm allocates the network", func() bool { // until then it has no driver
		all, err := s.Networks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			byName[n.Name] = n
		}
		return byName["api_net"].Driver != ""
	})
	if n := byName["ingress"]; !n.Ingress || n.Scope != "swarm" {
		t.Errorf("ingress: %+v", n)
	}
	n := byName["api_net"]
	if n.ID != id || n.Driver != "overlay" || n.Scope != "swarm" || !n.Attachable || !n.Internal || n.Ingress || !maps.Equal(n.Labels, labels) ||
		n.Options["com.docker.network.driver.mtu"] != "1400" || !slices.Equal(n.Subnets, []string{"10.99.0.0/24"}) {
		t.Errorf("%+v", n)
	}
	if _, err := s.CreateNetwork(t.Context(), spec); !errors.Is(err, docker.ErrExists) {
		t.Errorf("the same name again: %v", err)
	}
	if err := s.RemoveNetwork(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := s.RemoveNetwork(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// spec makes a specification from the JSON of a container and of the rest.
func (s *swarmAPI) spec(t *testing.T, name, container, rest string) docker.ServiceSpec {
	t.Helper()
	spec, err := docker.ParseServiceSpec(fmt.Appendf(nil, `{"Name":%q,"Labels":{"io.keepmum.stack":"api"},"EndpointSpec":{"Mode":"dnsrr"},
		"TaskTemplate":{"ContainerSpec":{"Image":%q,"StopGracePeriod":100000000,%s},"RestartPolicy":{"Condition":"any","Delay":100000000}%s}`, name, s.helper, container, rest))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// create creates a service that is removed with the test.
func (s *swarmAPI) create(t *testing.T, spec docker.ServiceSpec) docker.Service {
	t.Helper()
	id, warnings, err := s.CreateService(t.Context(), spec)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	made, err := s.Service(t.Context(), id)
	if err != nil || made.ID != id || made.Spec.Name != spec.Name {
		t.Fatalf("%+v, %v", made, err)
	}
	return made
}

// await waits until a task is as it should be, and returns it.
func (s *swarmAPI) await(t *testing.T, service, what string, ok func(docker.Task) bool) (found docker.Task) {
	t.Helper()
	var tasks []docker.Task
	defer func() {
		for _, task := range tasks {
			if found.ID == "" {
				t.Logf("%s is %s, should be %s: %s %s", task.Name, task.State, task.Desired, task.Message, task.Problem)
			}
		}
	}()
	poll(t, dindTimeout, service+": a task "+what, func() bool {
		var err error
		if tasks, err = s.Tasks(t.Context(), service); err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(tasks, ok)
		if at >= 0 {
			found = tasks[at]
		}
		return at >= 0
	})
	return found
}

func running(task docker.Task) bool { return task.State == "running" && task.Desired == "running" }

// service runs a service with a secret, a config and a network, which are in use
// until it is gone.
func (s *swarmAPI) service(t *testing.T) {
	secret := s.secret(t, "api_TOKEN.v1", nil, "the-token")
	config, err := s.CreateConfig(t.Context(), "api_file.v1", nil, []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	network, err := s.CreateNetwork(t.Context(), docker.NetworkSpec{Name: "api_used", JSON: json.RawMessage(`{"Name":"api_used","Driver":"overlay"}`)})
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec(t, "api_web", fmt.Sprintf(`"Args":["linger"],"Env":["CANARY=file {api-file} token"],"Labels":{"a":"b"},"Hostname":"h","Init":false,"ReadOnly":true,"CapabilityDrop":["ALL"],
		"Healthcheck":{"Test":["CMD","/helper","print"],"Interval":1000000000},"Mounts":[{"Type":"tmpfs","Target":"/tmp"}],"DNSConfig":{"Options":["ndots:1"]},
		"Secrets":[{"SecretID":%q,"SecretName":"api_TOKEN.v1","File":{"Name":"TOKEN","UID":"0","GID":"0","Mode":292}}],
		"Configs":[{"ConfigID":%q,"ConfigName":"api_file.v1","File":{"Name":"/etc/file","UID":"0","GID":"0","Mode":292}}]`, secret, config),
		fmt.Sprintf(`,"Networks":[{"Target":%q,"Aliases":["web"]}],"Placement":{"Constraints":["node.role == manager"]},"LogDriver":{"Name":"json-file","Options":{"max-size":"1m"}},
			"Resources":{"Limits":{"MemoryBytes":134217728},"Reservations":{"MemoryBytes":6291456}}},"Mode":{"Replicated":{"Replicas":2}}`, network))
	made := s.create(t, spec)
	if made.Previous != nil || made.Update.State != "" || made.Version == 0 || made.Created.IsZero() || made.Job != 0 {
		t.Errorf("%+v", made)
	}
	if _, _, err := s.CreateService(t.Context(), spec); !errors.Is(err, docker.ErrExists) {
		t.Errorf("the same name again: %v", err)
	}
	all, err := s.Services(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(one docker.Service) bool {
		return one.ID == made.ID && reflect.DeepEqual(jsonTree(t, one.Spec.JSON), jsonTree(t, made.Spec.JSON))
	}) {
		t.Errorf("not in the list of %d: %v", len(all), err)
	}
	first := s.await(t, made.ID, "1 runs", func(task docker.Task) bool { return running(task) && task.Slot == 1 })
	s.await(t, made.ID, "2 runs", func(task docker.Task) bool { return running(task) && task.Name == "api_web.2" })
	if first.Name != "api_web.1" || first.ServiceID != made.ID || first.NodeID == "" || first.ContainerID == "" || first.Problem != "" || first.Over() || first.Changed.IsZero() || first.Created.IsZero() {
		t.Errorf("%+v", first)
	}
	if len(first.Spec.Secrets) != 1 || first.Spec.Secrets[0].ID != secret || first.Spec.Secrets[0].Target != "TOKEN" || first.Spec.Secrets[0].Mode != 0o444 || first.Spec.Configs[0].ID != config {
		t.Errorf("%+v", first.Spec)
	}
	if got, want := jsonTree(t, first.Spec.JSON), jsonTree(t, made.Spec.Task.JSON); !reflect.DeepEqual(got, want) {
		t.Errorf("the task's specification is another than its service's:\n%v\n%v", got, want)
	}
	s.log(t, first)
	for name, remove := range map[string]func() error{
		"secret": func() error { return s.RemoveSecret(t.Context(), secret) }, "config": func() error { return s.RemoveConfig(t.Context(), config) },
		"network": func() error { return s.RemoveNetwork(t.Context(), network) },
	} {
		if err := remove(); !errors.Is(err, docker.ErrInUse) {
			t.Errorf("the %s that it uses: %v", name, err)
		}
	}
	s.gone(t, made.ID, secret, config, network)
}

// log reads the log of a task that lingers.
func (s *swarmAPI) log(t *testing.T, task docker.Task) {
	t.Helper()
	var out, problems bytes.Buffer
	poll(t, dindTimeout, "the whole log", func() bool {
		out.Reset()
		problems.Reset()
		if err := s.TaskLogs(t.Context(), task, 0, &out, &problems); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(out.String(), "a canary, go") && strings.Contains(problems.String(), "a canary, go")
	})
	if !strings.HasPrefix(out.String(), "a canary, raw: file {api-file} token\n") || out.String() != problems.String() {
		t.Errorf("%q and %q", out.String(), problems.String())
	}
	var last bytes.Buffer
	if err := s.TaskLogs(t.Context(), task, 1, &last, &last); err != nil || strings.Count(last.String(), "\n") != 1 || !strings.HasSuffix(out.String(), last.String()) {
		t.Errorf("the last line: %q, %v", last.String(), err)
	}
	task.ID = "nosuchtask"
	if err := s.TaskLogs(t.Context(), task, 0, io.Discard, io.Discard); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("no such task: %v", err)
	}
}

// gone removes a service with what it uses. Its tasks are seen until they are
// gone, too.
func (s *swarmAPI) gone(t *testing.T, service, secret, config, network string) {
	t.Helper()
	if err := s.RemoveService(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveService(t.Context(), service); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := s.Service(t.Context(), service); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	tasks, err := s.Tasks(t.Context(), service)
	if err != nil || slices.ContainsFunc(tasks, func(task docker.Task) bool { return !strings.HasPrefix(task.Name, "api_web.") }) {
		t.Errorf("the tasks of one that is gone: %+v, %v", tasks, err)
	}
	poll(t, dindTimeout, "the tasks of a service that is gone", func() bool {
		tasks, err := s.Tasks(t.Context(), service)
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks) == 0
	})
	poll(t, dindTimeout, "the network is not used any more", func() bool {
		err := s.RemoveNetwork(t.Context(), network)
		if err != nil && !errors.Is(err, docker.ErrInUse) {
			t.Fatal(err)
		}
		return err == nil
	})
	if err := errors.Join(s.RemoveSecret(t.Context(), secret), s.RemoveConfig(t.Context(), config)); err != nil {
		t.Error(err)
	}
}

// jsonTree is JSON as values that can be compared.
func jsonTree(t *testing.T, data json.RawMessage) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func (s *swarmAPI) update(t *testing.T) {
	before := s.create(t, s.spec(t, "api_update", `"Args":["wait"]`, `},"UpdateConfig":{"Parallelism":1,"Monitor":100000000,"Order":"start-first"}`))
	s.await(t, before.ID, "runs", running)
	next := s.spec(t, "api_update", `"Args":["wait"],"Env":["A=2"]`, `},"UpdateConfig":{"Parallelism":1,"Monitor":100000000,"Order":"start-first"}`)
	now, err := s.Service(t.Context(), before.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateService(t.Context(), before.ID, now.Version, next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateService(t.Context(), before.ID, now.Version, next); !errors.Is(err, docker.ErrOutOfDate) {
		t.Errorf("a version that is over: %v", err)
	}
	s.await(t, before.ID, "runs the next specification", func(task docker.Task) bool {
		return running(task) && strings.Contains(string(task.Spec.JSON), "A=2")
	})
	poll(t, dindTimeout, "the update is completed", func() bool {
		if now, err = s.Service(t.Context(), before.ID); err != nil {
			t.Fatal(err)
		}
		return now.Update.State == "completed"
	})
	if now.Update.Message == "" || now.Version <= before.Version || now.Previous == nil || !reflect.DeepEqual(jsonTree(t, now.Previous.JSON), jsonTree(t, before.Spec.JSON)) {
		t.Errorf("%+v", now)
	}
	if _, err := s.UpdateService(t.Context(), "nosuchservice", 1, next); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("no such service: %v", err)
	}
}

func (s *swarmAPI) rolledBack(t *testing.T) {
	rest := `},"UpdateConfig":{"Parallelism":1,"Monitor":5000000000,"FailureAction":"rollback"},"RollbackConfig":{"Parallelism":1,"Monitor":100000000}`
	before := s.create(t, s.spec(t, "api_broken", `"Args":["wait"]`, rest))
	s.await(t, before.ID, "runs", running)
	now, err := s.Service(t.Context(), before.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateService(t.Context(), before.ID, now.Version, s.spec(t, "api_broken", `"Args":["sing"]`, rest)); err != nil {
		t.Fatal(err)
	}
	failed := s.await(t, before.ID, "has failed", func(task docker.Task) bool { return task.State == "failed" })
	if failed.ExitCode != 1 || !strings.Contains(failed.Problem, "non-zero exit") || !failed.Over() {
		t.Errorf("%+v", failed)
	}
	poll(t, dindTimeout, "the Swarm rolls back", func() bool {
		if now, err = s.Service(t.Context(), before.ID); err != nil {
			t.Fatal(err)
		}
		return now.Update.State == "rollback_completed"
	})
	if now.Previous != nil || !reflect.DeepEqual(jsonTree(t, now.Spec.JSON), jsonTree(t, before.Spec.JSON)) {
		t.Errorf("%+v", now)
	}
}

func (s *swarmAPI) job(t *testing.T) {
	spec := s.spec(t, "api_job", `"Args":["print"],"Env":["CANARY=done"]`, `},"Mode":{"ReplicatedJob":{"MaxConcurrent":1,"TotalCompletions":1}}`)
	spec.JSON = bytes.ReplaceAll(spec.JSON, []byte(`"Condition":"any"`), []byte(`"Condition":"none"`))
	spec.JSON = bytes.ReplaceAll(spec.JSON, []byte(`"EndpointSpec":{"Mode":"dnsrr"},`), nil)
	made := s.create(t, spec)
	if made.Spec.Replicas != 1 || made.Spec.Mode != "replicated-job" {
		t.Errorf("%+v", made)
	}
	done := s.await(t, made.ID, "is done", func(task docker.Task) bool { return task.State == "complete" })
	if done.Job != made.Job || done.ExitCode != 0 || !done.Over() {
		t.Errorf("%+v", done)
	}
}

func (s *swarmAPI) global(t *testing.T) {
	made := s.create(t, s.spec(t, "api_global", `"Args":["wait"]`, `},"Mode":{"Global":{}}`))
	task := s.await(t, made.ID, "runs", running)
	if task.Slot != 0 || task.Name != "api_global."+task.NodeID {
		t.Errorf("%+v", task)
	}
	missing := s.create(t, s.spec(t, "api_missing", `"Args":["wait"],"Image":"nobody/has-this:1"`, `}`))
	rejected := s.await(t, missing.ID, "is rejected", func(task docker.Task) bool { return task.State == "rejected" })
	if !strings.Contains(rejected.Problem, "nobody/has-this") || strings.Contains(rejected.Problem, "\n") {
		t.Errorf("%+v", rejected)
	}
	both, err := s.Tasks(t.Context(), made.ID, missing.ID)
	if services := map[string]bool{}; true {
		for _, task := range both {
			services[task.ServiceID] = true
		}
		if err != nil || len(services) != 2 {
			t.Errorf("the tasks of two services: %+v, %v", both, err)
		}
	}
	if none, err := s.Tasks(t.Context()); err != nil || len(none) > 0 {
		t.Errorf("the tasks of no service: %+v, %v", none, err)
	}
}

func (s *swarmAPI) terminal(t *testing.T) {
	made := s.create(t, s.spec(t, "api_terminal", `"Args":["linger"],"Env":["CANARY=seen"],"TTY":true`, `}`))
	task := s.await(t, made.ID, "runs", running)
	var out, problems bytes.Buffer
	poll(t, dindTimeout, "the whole log", func() bool {
		out.Reset()
		if err := s.TaskLogs(t.Context(), task, 0, &out, &problems); err != nil {
			t.Fatal(err)
		}
		return strings.Count(out.String(), "a canary, go") == 2
	})
	if !task.Spec.TTY || !strings.HasPrefix(out.String(), "a canary, raw: seen\r\n") || problems.Len() > 0 {
		t.Errorf("%q and %q", out.String(), problems.String())
	}
}
