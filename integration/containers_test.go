//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// containers returns all containers of the project, including those that have
// ended.
func (p *project) containers(t *testing.T) []docker.Container {
	t.Helper()
	all, err := p.engine.Containers(t.Context(), map[string]string{labelProject: p.name})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// container returns the container of a service.
func (p *project) container(t *testing.T, service string) docker.Container {
	t.Helper()
	for _, c := range p.containers(t) {
		if c.Service == service {
			return c
		}
	}
	t.Fatalf("%s has no container", service)
	return docker.Container{}
}

// ids returns the container of each service of the manifest.
func (p *project) ids(t *testing.T) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, c := range p.containers(t) {
		if _, ok := p.manifest.Service(c.Service); ok {
			ids[c.Service] = c.ID
		}
	}
	return ids
}

// log returns both streams of a container, from a time on.
func (p *project) log(t *testing.T, id string, since time.Time) string {
	t.Helper()
	var text bytes.Buffer
	if err := p.engine.ContainerLogs(t.Context(), id, docker.LogOptions{Since: since}, &text, &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// launch starts a container of the project under its own service name. It stays
// until the project is removed.
func (p *project) launch(t *testing.T, service, image string, change ...func(*testcontainers.ContainerRequest)) string {
	t.Helper()
	request := testcontainers.ContainerRequest{
		Image:  image,
		Name:   p.name + "-" + service,
		Labels: map[string]string{labelProject: p.name, labelService: service},
	}
	for _, one := range change {
		one(&request)
	}
	made, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{
		ContainerRequest: request, Started: true, Logger: quiet{},
	})
	if err != nil {
		t.Fatalf("%s cannot be started: %s", service, p.audit.masked(err.Error()))
	}
	return made.GetContainerID()
}

// quiet is a logger for testcontainers that prints nothing.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// remove removes a container, also after the test's context has ended.
func (p *project) remove(t *testing.T, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !strings.Contains(err.Error(), "No such container") {
		t.Error(err)
	}
}

// twin is a container with the mounts, networks, user and limits of a service,
// but no published port, and these differences.
type twin struct {
	of        string            // service
	variables []string          // additional ones
	health    time.Duration     // interval of its health check; 0: none
	mounts    map[string]string // sources in place of the service's, by secret
	memory    int64             // bytes that it may have; 0: as the service
	restarts  int               // how often the engine starts it again when it fails
}

// like makes a container a twin.
func (p *project) like(t *testing.T, w twin) func(*testcontainers.ContainerRequest) {
	t.Helper()
	real, err := p.docker.ContainerInspect(t.Context(), p.container(t, w.of).ID)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *testcontainers.ContainerRequest) {
		r.Networks = slices.Sorted(maps.Keys(real.NetworkSettings.Networks))
		r.NetworkAliases = map[string][]string{}
		for _, name := range r.Networks {
			r.NetworkAliases[name] = []string{r.Labels[labelService]}
		}
		r.ConfigModifier = func(c *container.Config) {
			c.Env, c.User = w.environment(real.Config.Env), real.Config.User
			c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
			if w.health > 0 {
				*c.Healthcheck = *real.Config.Healthcheck
				c.Healthcheck.Interval = w.health
			}
		}
		r.HostConfigModifier = func(h *container.HostConfig) {
			mode := h.NetworkMode
			*h = *real.HostConfig
			h.NetworkMode, h.PortBindings, h.RestartPolicy = mode, nil, container.RestartPolicy{}
			if w.memory > 0 {
				h.Memory, h.MemorySwap = w.memory, w.memory
			}
			if w.restarts > 0 {
				h.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: w.restarts}
			}
			h.Mounts = slices.Clone(h.Mounts)
			for i, m := range h.Mounts {
				if source, ok := w.mounts[strings.TrimPrefix(m.Target, "/run/secrets/")]; ok {
					h.Mounts[i].Source = source
				}
			}
		}
	}
}

// environment is that of the service with the variables of the twin, each once:
// of two, programs use one or the other.
func (w twin) environment(of []string) []string {
	return append(slices.DeleteFunc(slices.Clone(of), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.ContainsFunc(w.variables, func(own string) bool { return strings.HasPrefix(own, name+"=") })
	}), w.variables...)
}

// ended waits until a container has ended and returns its exit code.
func (p *project) ended(t *testing.T, id string) int {
	t.Helper()
	var c docker.Container
	poll(t, time.Minute, "the end of a container", func() bool {
		var err error
		if c, err = p.engine.Container(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return c.State == "exited" || c.State == "dead"
	})
	return c.ExitCode
}

// exec runs a command in a container with an input, and returns its output and
// exit code.
func (p *project) exec(t *testing.T, id, input string, args ...string) output {
	t.Helper()
	return execIn(t, p.docker, id, input, args...)
}

// execIn is exec on any engine.
func execIn(t *testing.T, engine client.ContainerAPIClient, id, input string, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made, err := engine.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: args, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Close()
	if _, err := io.WriteString(attached.Conn, input); err != nil {
		t.Fatal(err)
	}
	if err := attached.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, attached.Reader); err != nil {
		t.Fatal(err)
	}
	state, err := engine.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), state.ExitCode}
}

// program compiles a program of this directory for the machine of the engine.
func (p *project) program(t *testing.T, name string) []byte {
	t.Helper()
	info, err := p.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.home, name)
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+info.Arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s does not compile: %v\n%s", name, err, out)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// buildImage builds an image of these files.
func (p *project) buildImage(t *testing.T, name string, files map[string][]byte) (ref string) {
	t.Helper()
	ref = imagePrefix + name + ":" + p.name
	res, err := p.docker.ImageBuild(t.Context(), archive(t, files), build.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true, Version: build.BuilderV1})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if said, err := io.ReadAll(res.Body); err != nil || bytes.Contains(said, []byte(`"errorDetail"`)) {
		t.Fatalf("%s is not built: %v", name, err) // what it said may hold the canary
	}
	return ref
}

// helperImage builds the image of the helper, with the canary in a layer, its
// environment, its labels and its history.
func (p *project) helperImage(t *testing.T) string {
	t.Helper()
	return p.buildImage(t, "helper", map[string][]byte{
		"helper": p.program(t, "helper"), "canary.txt": []byte("# a file\npassword = " + p.audit.canary),
		"Dockerfile": fmt.Appendf(nil, "FROM scratch\nCOPY canary.txt /etc/canary.txt\nCOPY helper /helper\nENV IMAGE_CANARY=%[1]s\nLABEL canary=%[1]s\nENTRYPOINT [\"/helper\"]\n", p.audit.plain),
	})
}

// archive makes a tar stream of programs.
func archive(t *testing.T, files map[string][]byte) io.Reader {
	t.Helper()
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	for name, data := range files {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return &stream
}

// The service names of the containers with canaries.
const (
	lingering = "canary-lingers" // prints the canary and keeps running
	gone      = "canary-gone"    // prints the canary and has ended
	printing  = "canary-secret"  // prints the value of a secret
	asker     = "asker"          // sends requests inside the networks of the stack
)

// plantContainers starts two containers of the project that print the canary and
// have it in their environment and in a label; one of them ends.
func (p *project) plantContainers(t *testing.T, helper string) {
	t.Helper()
	for service, command := range map[string]string{lingering: "linger", gone: "print"} {
		id := p.launch(t, service, helper, func(r *testcontainers.ContainerRequest) {
			r.Cmd, r.Env = []string{command}, map[string]string{"CANARY": p.audit.canary}
			r.Labels["canary"] = p.audit.plain
		})
		if service == gone && p.ended(t, id) != 0 {
			t.Fatalf("%s failed", service)
		}
	}
	id := p.container(t, lingering).ID
	poll(t, time.Minute, "the end of the canary's output", func() bool { return strings.Count(p.log(t, id, time.Time{}), "a canary, go:") == 2 })
}

// plantsOf are the canaries that have to be found in a container that prints
// them: each encoding, in both streams.
func plantsOf(c docker.Container) []plant {
	var plants []plant
	for _, stream := range []string{"stdout", "stderr"} {
		for _, encoding := range redact.Encodings() {
			plants = append(plants, plant{"logs of " + c.Name, stream, encoding})
		}
	}
	return append(plants, plant{"inspect of " + c.Name, "", "raw"}, plant{"inspect of " + c.Name, "", "json"})
}

// lookAt searches logs and inspect of all containers of the project, the
// environment of their processes, and its networks and volumes. It requires that
// the containers with canaries are running or ended as planted, and that all
// their canaries are found, unless allowed is given. Hits are returned.
func (p *project) lookAt(t *testing.T, helper string, allowed func(sweep.Hit) bool) hits {
	t.Helper()
	var surfaces []sweep.Surface
	var plants []plant
	all := p.containers(t)
	if allowed == nil && (p.container(t, lingering).State != "running" || p.container(t, gone).State != "exited") {
		t.Error("the containers with canaries have changed")
	}
	for _, c := range all {
		surfaces = append(surfaces, sweep.Logs(p.engine, c.Name), sweep.Inspect(p.engine, c.Name))
		switch {
		case c.Service == lingering:
			plants = append(append(plants, plantsOf(c)...), plant{surface: "processes in " + c.Name})
		case c.Service == asker: // from its image
			plants = append(plants, plant{surface: "inspect of " + c.Name}, plant{surface: "processes in " + c.Name})
		case c.Service == gone:
			plants = append(plants, plantsOf(c)...)
		case c.Service == printing:
			plants = append(plants, plant{surface: "inspect of " + c.Name})
		case strings.HasPrefix(c.Service, "crash-") && !realImage(c.Service):
			plants = append(plants, plant{"logs of " + c.Name, "", "raw"}, plant{"inspect of " + c.Name, "", "raw"})
			if c.State == "running" {
				plants = append(plants, plant{surface: "processes in " + c.Name})
			}
		case strings.HasPrefix(c.Service, "crash-"): // the real image does not print its environment
			plants = append(plants, plant{"inspect of " + c.Name, "", "raw"})
		}
	}
	surfaces = append(surfaces, p.processes(t, helper, all)...)
	surfaces = append(surfaces, p.networksAndVolumes(t)...)
	return p.audit.require(t, plants, allowed, surfaces...)
}

// realImage reports whether a twin runs the image of the service itself.
func realImage(service string) bool {
	return strings.HasSuffix(service, "-"+atQuit) || strings.HasSuffix(service, "-"+atPassword) || strings.HasPrefix(service, "crash-statement-")
}

// processes returns a surface for each running container: the environment and
// arguments that a process in its namespace can read.
func (p *project) processes(t *testing.T, helper string, all []docker.Container) []sweep.Surface {
	t.Helper()
	var surfaces []sweep.Surface
	var wait sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 3)
	for _, c := range all {
		if c.State != "running" {
			continue
		}
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			text, err := p.readProcesses(t.Context(), helper, c.ID)
			if err != nil {
				t.Errorf("the processes of %s cannot be read: %v", c.Name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			surfaces = append(surfaces, sweep.Bytes("processes in "+c.Name, text))
		})
	}
	wait.Wait()
	return surfaces
}

// readProcesses runs the helper in the process namespace of a container. Root
// with the right to trace can read the processes of other users.
func (p *project) readProcesses(ctx context.Context, helper, id string) ([]byte, error) {
	made, err := p.docker.ContainerCreate(ctx, &container.Config{
		Image: helper, Cmd: []string{"processes"}, User: "0:0", Labels: map[string]string{labelProject: p.name, labelService: "helper"},
	}, &container.HostConfig{PidMode: container.PidMode("container:" + id), NetworkMode: "none", CapAdd: []string{"SYS_PTRACE"}}, nil, nil, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = p.docker.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true}) // otherwise the clean-up of the project does
	}()
	ended, failed := p.docker.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := p.docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return nil, err
	}
	select {
	case err := <-failed:
		return nil, err
	case end := <-ended:
		var text, problem bytes.Buffer
		if err := p.engine.ContainerLogs(ctx, made.ID, docker.LogOptions{}, &text, &problem); err != nil {
			return nil, err
		}
		if end.StatusCode != 0 || !strings.Contains(text.String(), "PATH=") {
			return nil, fmt.Errorf("the helper ended with %d: %s", end.StatusCode, problem.String())
		}
		return text.Bytes(), nil
	}
}

// networksAndVolumes returns surfaces of what the engine shows of both.
func (p *project) networksAndVolumes(t *testing.T) []sweep.Surface {
	t.Helper()
	of := filters.NewArgs(filters.Arg("label", labelProject+"="+p.name))
	networks, err := p.docker.NetworkList(t.Context(), network.ListOptions{Filters: of})
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := p.docker.VolumeList(t.Context(), volume.ListOptions{Filters: of})
	if err != nil {
		t.Fatal(err)
	}
	if len(networks) == 0 || len(volumes.Volumes) == 0 {
		t.Fatal("the stack has no networks or no volumes")
	}
	var surfaces []sweep.Surface
	for _, n := range networks {
		raw, err := p.docker.NetworkInspect(t.Context(), n.ID, network.InspectOptions{Verbose: true})
		surfaces = append(surfaces, asJSON(t, "network "+n.Name, raw, err))
	}
	for _, v := range volumes.Volumes {
		raw, err := p.docker.VolumeInspect(t.Context(), v.Name)
		surfaces = append(surfaces, asJSON(t, "volume "+v.Name, raw, err))
	}
	return surfaces
}

// eventLog keeps the events of the engine for the project: labels, commands that
// are executed, health checks.
type eventLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
}

// listen collects the events of the engine until the end of the test.
func (p *project) listen() *eventLog {
	log := &eventLog{}
	all, failed := p.docker.Events(p.t.Context(), events.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+p.name))})
	go func() {
		for {
			select {
			case one := <-all:
				line, err := json.Marshal(one)
				log.add(append(line, '\n'), err)
			case err := <-failed:
				log.add(nil, err)
				return
			}
		}
	}()
	return log
}

func (l *eventLog) add(line []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(line)
	l.err = errors.Join(l.err, err)
}

// surface is all events so far.
func (l *eventLog) surface(t *testing.T) sweep.Surface {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		t.Fatalf("not all events of the engine were read: %v", l.err)
	}
	return sweep.Bytes("events of the engine", bytes.Clone(l.text.Bytes()))
}

// asJSON is a surface of an answer of the engine.
func asJSON(t *testing.T, name string, answer any, err error) sweep.Surface {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return sweep.Bytes(name, text)
}
