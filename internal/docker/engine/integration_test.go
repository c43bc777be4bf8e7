//go:build integration

package engine_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	buildapi "github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/keepmum/keepmum/integration/reaper"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
	"go.uber.org/goleak"
)

// The contract that the rest of keepmum relies on, checked with a real engine.

// mark is in a label or in the name of everything that this run creates; subject
// is its image.
var mark, subject string

// ref is the name of an image of this run.
func ref(tag string) string { return "keepmum-engine-test:" + tag + "-" + mark }

// labels are the labels of everything that a test creates.
func labels(t *testing.T) map[string]string {
	return map[string]string{"io.keepmum.test": "engine-" + mark + "-" + strings.ReplaceAll(t.Name(), "/", "-")}
}

// reaped runs tests with a reaper.
type reaped struct{ *testing.M }

// Run runs the tests.
func (r reaped) Run() int {
	return reaper.Main(func(given string) int {
		mark = given
		subject = ref("subject")
		return r.M.Run()
	}, reaper.Clean)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(reaped{m}) }

func connect(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Connect(t.Context(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// raw is a second client, to create what the adapter only observes.
func raw(t *testing.T) *client.Client {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// compiled builds the subject for the engine's machine, once.
var compiled = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "subject")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "subject"), "./testdata/subject")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "subject"))
})

// buildContext is a tar with a Dockerfile and the compiled subject.
func buildContext(t *testing.T, dockerfile string) []byte {
	t.Helper()
	data, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, map[string][]byte{"Dockerfile": []byte(dockerfile), "subject": data})
}

func tarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// image builds the subject, and removes it after the test.
func image(t *testing.T, e *engine.Engine) string {
	t.Helper()
	build(t, subject, "FROM scratch\nCOPY subject /subject\nUSER 65532:65532\nENTRYPOINT [\"/subject\"]\n")
	made, found, err := e.Image(t.Context(), subject)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	t.Cleanup(func() {
		if err := e.RemoveImage(context.WithoutCancel(t.Context()), subject, true); err != nil {
			t.Error(err)
		}
	})
	return made.ID
}

// build builds an image.
func build(t *testing.T, name, dockerfile string) {
	t.Helper()
	res, err := raw(t).ImageBuild(t.Context(), bytes.NewReader(buildContext(t, dockerfile)),
		buildapi.ImageBuildOptions{Tags: []string{name}, Labels: map[string]string{"io.keepmum.test": "engine"}, Remove: true, ForceRemove: true, Version: buildapi.BuilderV1})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if said, err := io.ReadAll(res.Body); err != nil || bytes.Contains(said, []byte(`"errorDetail"`)) {
		t.Fatalf("%v\n%s", err, said)
	}
}

// start runs a container of the subject and removes it at the end.
func start(t *testing.T, config container.Config) string {
	t.Helper()
	cli := raw(t)
	config.Image, config.Labels = subject, labels(t)
	created, err := cli.ContainerCreate(t.Context(), &config, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := cli.ContainerRemove(context.WithoutCancel(t.Context()), created.ID, container.RemoveOptions{Force: true})
		if err != nil && !strings.Contains(err.Error(), "No such container") {
			t.Error(err)
		}
	})
	if err := cli.ContainerStart(t.Context(), created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// ended waits until a container has ended.
func ended(t *testing.T, e *engine.Engine, id string) docker.Container {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := e.Container(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if c.State == "exited" {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %s", c.State)
		}
		pause(t)
	}
}

func pause(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(20 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func TestInfo(t *testing.T) {
	info, err := connect(t).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.OS != "linux" || info.Arch != runtime.GOARCH || info.ServerVersion == "" || info.StorageDriver == "" || info.RootDir == "" || info.Swarm.State == "" {
		t.Errorf("%+v", info)
	}
	if info.APIVersion < "1.41" || info.APIVersion > "1.51" {
		t.Errorf("negotiated %s", info.APIVersion)
	}
	if skew := time.Since(info.Time); skew > time.Minute || skew < -time.Minute {
		t.Errorf("clock %v", info.Time)
	}
}

func TestEndpoint(t *testing.T) {
	if at := connect(t).Endpoint(); at.Host == "" || at.Source == "" {
		t.Errorf("%+v", at)
	}
}

// A fake ssh command connects its streams to the engine's socket, as docker
// system dial-stdio does on a remote machine.
func TestSSH(t *testing.T) {
	socket, ok := strings.CutPrefix(connect(t).Endpoint().Host, "unix://")
	if !ok {
		t.Fatal("this test needs an engine on a unix socket")
	}
	dir := t.TempDir()
	data, err := compiled()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "subject"), data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexec " + filepath.Join(dir, "subject") + " dial " + socket + "\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_HOST", "ssh://me@far.example")
	e := connect(t)
	if at := e.Endpoint(); !at.Remote || at.Host != "ssh://me@far.example" {
		t.Errorf("%+v", at)
	}
	if info, err := e.Info(t.Context()); err != nil || info.ServerVersion == "" {
		t.Errorf("%+v %v", info, err)
	}
}

func TestImage_Lifecycle(t *testing.T) {
	e, ctx := connect(t), t.Context()
	id := image(t, e)
	img, found, err := e.Image(ctx, subject)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if img.ID != id || img.Labels["io.keepmum.test"] != "engine" || img.User != "65532:65532" || img.Arch != runtime.GOARCH || img.Created.IsZero() || img.Size == 0 {
		t.Errorf("%+v", img)
	}
	if again := image(t, e); again != id {
		t.Errorf("building the same twice gave %s, then %s", id, again)
	}
	for _, inspect := range []func(context.Context, string) ([]byte, error){e.InspectImage, e.ImageHistory} {
		if data, err := inspect(ctx, subject); err != nil || !json.Valid(data) || !bytes.Contains(data, []byte("COPY")) && !bytes.Contains(data, []byte(id)) {
			t.Errorf("%s %v", data, err)
		}
	}
	second := ref("second")
	if err := raw(t).ImageTag(ctx, subject, second); err != nil {
		t.Fatal(err)
	}
	if got, _, err := e.Image(ctx, second); got.ID != id || err != nil {
		t.Errorf("tagged %s, %v", got.ID, err)
	}
	for range 2 { // twice: removing a missing image is not an error
		if err := e.RemoveImage(ctx, second, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, found, err := e.Image(ctx, second); found || got.ID != "" || err != nil {
		t.Errorf("%q %v", got.ID, err)
	}
}

func TestSaveImage_ThenLoad(t *testing.T) {
	e, ctx := connect(t), t.Context()
	image(t, e)
	name := ref("saved")
	if err := raw(t).ImageTag(ctx, subject, name); err != nil {
		t.Fatal(err)
	}
	var saved bytes.Buffer
	if err := e.SaveImage(ctx, &saved, name); err != nil {
		t.Fatal(err)
	}
	if err := e.RemoveImage(ctx, name, false); err != nil {
		t.Fatal(err)
	}
	loaded, err := e.LoadImage(ctx, &saved)
	if err != nil || !slices.Equal(loaded, []string{name}) {
		t.Errorf("%v %v", loaded, err)
	}
	if err := e.RemoveImage(ctx, name, true); err != nil {
		t.Error(err)
	}
}

func TestContainers(t *testing.T) {
	e := connect(t)
	image(t, e)
	id := start(t, container.Config{Cmd: []string{"exit", "7"}, Env: []string{"B_NAME=a value", "A_NAME=another"}})
	ended(t, e, id)
	all, err := e.Containers(t.Context(), labels(t))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	c := all[0]
	if c.ID != id || c.State != "exited" || c.ExitCode != 7 || c.Image != subject || c.Health != "" || c.Name == "" || strings.HasPrefix(c.Name, "/") || c.Finished.IsZero() {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(c.EnvNames, "A_NAME") || !slices.Contains(c.EnvNames, "B_NAME") || strings.Contains(strings.Join(c.EnvNames, ""), "value") {
		t.Errorf("%q", c.EnvNames)
	}
	data, err := e.InspectContainer(t.Context(), id)
	if err != nil || !json.Valid(data) || !bytes.Contains(data, []byte("B_NAME=a value")) {
		t.Errorf("%s %v", data, err)
	}
	if _, err := e.InspectContainer(t.Context(), "keepmum-engine-none"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestContainer_Health(t *testing.T) {
	e := connect(t)
	image(t, e)
	id := start(t, container.Config{Cmd: []string{"tick"}, Healthcheck: &container.HealthConfig{
		Test: []string{"CMD", "/subject", "exit", "0"}, Interval: 200 * time.Millisecond}})
	for deadline := time.Now().Add(30 * time.Second); ; pause(t) {
		c, err := e.Container(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Health == "healthy" {
			return
		}
		if c.Health != "starting" || time.Now().After(deadline) {
			t.Fatalf("%+v", c)
		}
	}
}

func TestContainerLogs(t *testing.T) {
	e := connect(t)
	image(t, e)
	id := start(t, container.Config{Cmd: []string{"long", "50000"}})
	ended(t, e, id)
	var stdout, stderr bytes.Buffer
	if err := e.ContainerLogs(t.Context(), id, docker.LogOptions{Follow: true}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != strings.Repeat("o", 50000)+"\n" || stderr.String() != strings.Repeat("e", 50000)+"\n" {
		t.Errorf("%d bytes, %d bytes", stdout.Len(), stderr.Len())
	}
	stdout.Reset()
	if err := e.ContainerLogs(t.Context(), id, docker.LogOptions{Since: time.Now().Add(time.Hour)}, &stdout, io.Discard); err != nil || stdout.Len() != 0 {
		t.Errorf("%d bytes from the future, %v", stdout.Len(), err)
	}
}

func TestContainerLogs_Terminal(t *testing.T) {
	e := connect(t)
	image(t, e)
	id := start(t, container.Config{Cmd: []string{"whoami"}, Tty: true})
	ended(t, e, id)
	var stdout bytes.Buffer
	if err := e.ContainerLogs(t.Context(), id, docker.LogOptions{}, &stdout, io.Discard); err != nil || stdout.String() != "65532 65532\r\n" {
		t.Errorf("%q %v", stdout.String(), err)
	}
}

func TestContainerLogs_FollowUntilCancelled(t *testing.T) {
	e := connect(t)
	image(t, e)
	id := start(t, container.Config{Cmd: []string{"tick"}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- e.ContainerLogs(ctx, id, docker.LogOptions{Follow: true, Tail: 1}, w, io.Discard)
		_ = w.Close()
	}()
	buffer := make([]byte, 1024)
	for seen := ""; !strings.Contains(seen, "tick 2\n") && strings.Count(seen, "\n") < 3; {
		n, err := r.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(buffer[:n])
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	began := time.Now()
	if err := <-done; fault.CodeOf(err) != fault.Interrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v to stop", took)
	}
}

func TestRunProbe(t *testing.T) {
	e := connect(t)
	image(t, e)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open, shut := filepath.Join(dir, "open"), filepath.Join(dir, "shut")
	for path, mode := range map[string]os.FileMode{open: 0o444, shut: 0o400} {
		if err := os.WriteFile(path, []byte("12345"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(path string) []docker.Mount {
		return []docker.Mount{{Type: "bind", Source: path, Destination: "/run/secrets/X", ReadOnly: true}}
	}
	for _, c := range []struct {
		name           string
		probe          docker.Probe
		code           int
		stdout, stderr string
	}{
		{"readable", docker.Probe{Cmd: []string{"read", "/run/secrets/X"}, Mounts: bind(open)}, 0, "read 5\n", ""},
		{"not readable by the image's user", docker.Probe{Cmd: []string{"read", "/run/secrets/X"}, Mounts: bind(shut)}, 1, "", "permission denied"},
		{"user", docker.Probe{Cmd: []string{"whoami"}, User: "1234:77"}, 0, "1234 77\n", ""},
		{"read-only mount", docker.Probe{Cmd: []string{"write", "/run/secrets/X"}, User: "0", Mounts: bind(open)}, 1, "", "read-only"},
		{"read-only root", docker.Probe{Cmd: []string{"write", "/x"}, User: "0", ReadOnly: true}, 1, "", "read-only"},
		{"exit code", docker.Probe{Entrypoint: []string{"/subject", "exit"}, Cmd: []string{"42"}}, 42, "", ""},
		{"much output is cut", docker.Probe{Cmd: []string{"long", "300000"}, MaxOutput: 4}, 0, "oooo", "eeee"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.probe.Image, c.probe.Labels = subject, labels(t)
			got, err := e.RunProbe(t.Context(), c.probe)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExitCode != c.code || string(got.Stdout) != c.stdout || !strings.Contains(string(got.Stderr), c.stderr) {
				t.Errorf("%d %.80q %.80q", got.ExitCode, got.Stdout, got.Stderr)
			}
			nothingLeft(t, e)
		})
	}
}

// nothingLeft fails if a probe left a container behind.
func nothingLeft(t *testing.T, e *engine.Engine) {
	t.Helper()
	left, err := e.Containers(context.WithoutCancel(t.Context()), map[string]string{docker.LabelProbe: "1", "io.keepmum.test": labels(t)["io.keepmum.test"]})
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestRunProbe_Fails(t *testing.T) {
	e := connect(t)
	image(t, e)
	for name, c := range map[string]struct {
		probe docker.Probe
		says  string
	}{
		"no such image":   {docker.Probe{Image: ref("none")}, "No such image"},
		"no such program": {docker.Probe{Image: subject, Entrypoint: []string{"/none"}}, "/none"},
		"no such source": {docker.Probe{Image: subject, Cmd: []string{"whoami"},
			Mounts: []docker.Mount{{Type: "bind", Source: "/keepmum-engine-none", Destination: "/x"}}}, "does not exist"},
		"never ends": {docker.Probe{Image: subject, Cmd: []string{"tick"}, Deadline: 1500 * time.Millisecond}, "did not end within 1.5s"},
	} {
		t.Run(name, func(t *testing.T) {
			c.probe.Labels = labels(t)
			_, err := e.RunProbe(t.Context(), c.probe)
			if err == nil || !strings.Contains(err.Error(), c.says) || fault.CodeOf(err) != fault.Failed {
				t.Errorf("%v", err)
			}
			nothingLeft(t, e)
		})
	}
}

func TestRunProbe_RemovedWhenCancelled(t *testing.T) {
	e := connect(t)
	image(t, e)
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		stop := time.AfterFunc(after, cancel)
		_, err := e.RunProbe(ctx, docker.Probe{Image: subject, Cmd: []string{"tick"}, Labels: labels(t)})
		stop.Stop()
		cancel()
		if fault.CodeOf(err) != fault.Interrupted {
			t.Errorf("cancelled after %v: %v", after, err)
		}
		nothingLeft(t, e)
	}
}
