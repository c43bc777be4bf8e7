//go:build integration

package leaktest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/integration/reaper"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// mark is part of the names of everything that these tests make. What the package
// itself makes has its own labels.
var mark string

// TestMain turns Ryuk off, because its image would have to be pulled, and runs the
// tests with a reaper. testcontainers reads its settings only once.
func TestMain(m *testing.M) {
	if err := errors.Join(os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"), os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")); err != nil {
		panic(err)
	}
	os.Exit(reaper.Main(func(given string) int {
		mark = given
		return m.Run()
	}, reaper.Clean))
}

// labelSession is testcontainers' label of a run.
const labelSession = "org.testcontainers.sessionId"

// label marks everything that these tests make, as in the main module's tests.
const label = "com.docker.compose.project"

// bench starts images and containers for a test.
type bench struct {
	*engine
	t    *testing.T
	name string
	arch string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	info, err := docker.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{engine: &engine{docker}, t: t, name: "keepmum-it-lt" + mark + strings.ToLower(rand.Text()[:8])}
	b.arch = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[info.Architecture]
	return b
}

// image builds an image FROM scratch with a program that prints a text to each
// stream; further lines of a Dockerfile may follow.
func (b *bench) image(further, stdout, stderr string) string {
	b.t.Helper()
	return b.imageOf(b.aName(), further, b.program(stdout, stderr))
}

// aName is a name for an image.
func (b *bench) aName() string {
	return "keepmum-integration/leaktest-" + strings.ToLower(rand.Text()[:8]) + ":" + b.name
}

// program is a program for the engine.
func (b *bench) program(stdout, stderr string) []byte {
	b.t.Helper()
	binary, err := program(b.arch, stdout, stderr)
	if err != nil {
		b.t.Fatal(err)
	}
	return binary
}

// imageOf is image with a given name and program.
func (b *bench) imageOf(ref, further string, binary []byte) string {
	b.t.Helper()
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	for name, data := range map[string]string{"print": string(binary), "Dockerfile": "FROM scratch\nCOPY print /print\nENTRYPOINT [\"/print\"]\n" + further, "value": string(binary)} {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.WriteString(out, data); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		b.t.Fatal(err)
	}
	made, err := b.docker.ImageBuild(b.t.Context(), &stream, build.ImageBuildOptions{Tags: []string{ref}, Labels: map[string]string{label: b.name}, Remove: true, ForceRemove: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer made.Body.Close()
	if said, err := io.ReadAll(made.Body); err != nil || bytes.Contains(said, []byte("errorDetail")) {
		b.t.Fatalf("no image: %v\n%s", err, said)
	}
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := b.docker.ImageRemove(ctx, ref, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
			b.t.Error(err)
		}
	})
	return ref
}

// run starts a container with testcontainers and waits until it exits.
func (b *bench) run(ref string, options ...testcontainers.ContainerCustomizer) testcontainers.Container {
	b.t.Helper()
	made := b.start(ref, options...)
	b.until(made, "ended", func(s *container.State) bool { return !s.Running })
	return made
}

// quiet is a logger that writes nothing.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// made counts what this package left on the engine in this run of the tests.
// Other runs may use the engine at the same time.
func (b *bench) made() int {
	b.t.Helper()
	of := filters.NewArgs(filters.Arg("label", labelMade), filters.Arg("label", labelSession+"="+testcontainers.SessionID()))
	containers, err := b.docker.ContainerList(b.t.Context(), container.ListOptions{All: true, Filters: of})
	if err != nil {
		b.t.Fatal(err)
	}
	images, err := b.docker.ImageList(b.t.Context(), image.ListOptions{All: true, Filters: of})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(containers) + len(images)
}

// aValue returns a random value of two lines, with characters that encoders treat
// differently.
func aValue() string {
	return rand.Text() + "\"'<&>+%/$ é\x01\\`\n" + "second-line-" + rand.Text()
}

func TestSilence(t *testing.T) {
	b := newBench(t)
	ref := b.image("USER 65532:65532\n", "all is well\n", "very well\n")
	hardened := testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
		h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
	})
	local := testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.LogConfig.Type = "local" })
	terminal := testcontainers.WithConfigModifier(func(c *container.Config) { c.Tty = true })
	first, second, third, fourth := b.run(ref), b.run(ref, hardened), b.run(ref, local), b.run(ref, terminal)
	report, err := Check{
		Secrets:    Secrets{"PASSWORD": []byte(aValue()), "TOKEN": []byte(rand.Text())},
		Containers: []Container{first, second, third, fourth},
		Further:    map[string][]byte{"output of the client": []byte("ok")},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Log, inspect and environment of four containers, one image, one text.
	// Canaries for the first one, the one with another log driver, and the one
	// with a terminal, which has one stream.
	if want := 5*len(redact.Encodings()) + 3*4; report.Surfaces != 4*3+3+1 || report.Bytes == 0 || report.Planted != want {
		t.Errorf("%+v, want %d canaries", report, want)
	}
	if n := b.made(); n > 0 {
		t.Errorf("%d containers and images were left", n)
	}
	t.Logf("proof: surfaces=%d bytes=%d planted=%d found=%d values=0", report.Surfaces, report.Bytes, report.Planted, report.Planted)
}

// failure runs a check that must fail, requires that its error shows no value, and
// returns its text.
func (b *bench) failure(c Check) string {
	b.t.Helper()
	_, err := c.Run(b.t.Context())
	var found *Error
	if !errors.As(err, &found) {
		b.t.Errorf("error %v, want an *Error", err)
		return ""
	}
	for name, value := range c.Secrets {
		for encoding, form := range forms(string(value)) {
			if strings.Contains(err.Error(), form) {
				b.t.Errorf("the error shows %s in %s", name, encoding)
			}
		}
	}
	return err.Error()
}

func TestValueInEachEncodingAndStream(t *testing.T) {
	b := newBench(t)
	values := Secrets{}
	outputs := map[string]string{}
	for _, name := range []string{"stdout", "stderr"} {
		for _, encoding := range redact.Encodings() {
			value := aValue()
			secret := strings.ToUpper(encoding + "_" + name)
			values[secret] = []byte(value)
			outputs[name] += "x " + forms(value)[encoding] + " y\n"
		}
	}
	// Another image comes first: a program that prints values also holds them.
	silent, leaking := b.image("", "x\n", ""), b.image("", outputs["stdout"], outputs["stderr"])
	c := b.run(leaking)
	said := b.failure(Check{Secrets: values, Containers: []Container{b.run(silent), c}})
	seen, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stdout", "stderr"} {
		for _, encoding := range redact.Encodings() {
			want := fmt.Sprintf("log of %s shows %s: %s, %s, line ", strings.TrimPrefix(seen.Name, "/"), strings.ToUpper(encoding+"_"+name), encoding, name)
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q", want)
			}
		}
	}
}

func TestValueInInspectAndLayers(t *testing.T) {
	b := newBench(t)
	password, deleted, label, argument := rand.Text(), rand.Text(), rand.Text(), rand.Text()
	layered := b.imageOf(b.aName(), "", append(b.program("x\n", ""), deleted...)) // it is only in the file
	ref := b.image("LABEL a="+label+"\n", "x\n", "")
	c := b.run(ref, testcontainers.WithEnv(map[string]string{"PASSWORD": password}), testcontainers.WithCmd(argument))
	secrets := Secrets{"PASSWORD": []byte(password), "LABEL": []byte(label), "ARGUMENT": []byte(argument), "DELETED": []byte(deleted)}
	said := b.failure(Check{Secrets: secrets, Containers: []Container{c, b.run(layered)}})
	for _, want := range []string{" shows PASSWORD: raw", " shows LABEL: raw", " shows ARGUMENT: raw", "image " + layered + " shows DELETED: raw, ", "configuration of image " + ref + " shows LABEL", "history of image " + ref + " shows LABEL"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "log of") {
		t.Errorf("it reports a log that shows nothing:\n%s", said)
	}
}

func TestExceptionMustBeNeeded(t *testing.T) {
	b := newBench(t)
	password := rand.Text()
	ref := b.image("", "x\n", "")
	shown, hidden := b.run(ref, testcontainers.WithEnv(map[string]string{"PASSWORD": password})), b.run(ref)
	check := Check{Secrets: Secrets{"PASSWORD": []byte(password)}, InEnvironment: []string{"PASSWORD"}, Containers: []Container{hidden, shown}}
	if _, err := check.Run(t.Context()); err != nil {
		t.Errorf("in the environment, as excepted: %v", err)
	}
	check.Containers = check.Containers[:1]
	if said := b.failure(check); !strings.Contains(said, "PASSWORD is in InEnvironment but in no container's environment") {
		t.Errorf("in no environment: %s", said)
	}
	check.Containers = []Container{b.run(ref, testcontainers.WithEnv(map[string]string{"PASSWORD": password}), testcontainers.WithCmd(password))}
	if said := b.failure(check); !strings.Contains(said, "inspect of ") || strings.Contains(said, "environment of ") {
		t.Errorf("in an argument too: %s", said)
	}
	check.Containers = []Container{shown}
	check.Further = map[string][]byte{"an answer": []byte("<" + password + ">")}
	if said := b.failure(check); !strings.Contains(said, "an answer shows PASSWORD: raw") {
		t.Errorf("in a further text: %s", said)
	}
}

func TestLogUnreadableFails(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", "x\n", ""), testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.LogConfig.Type = "none" }))
	check := Check{Secrets: Secrets{"PASSWORD": []byte(rand.Text())}, Containers: []Container{c}}
	if said := b.failure(check); !strings.Contains(said, "logs was not read: its log driver is none") {
		t.Errorf("%s", said)
	}
	sink, err := net.ListenPacket("udp", "127.0.0.1:0") // drops everything
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	syslog := func(options ...string) testcontainers.Container {
		return b.run(b.image("", "x\n", ""), testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.LogConfig = container.LogConfig{Type: "syslog", Config: map[string]string{"syslog-address": "udp://" + sink.LocalAddr().String()}}
			for _, option := range options {
				h.LogConfig.Config[option] = "true"
			}
		}))
	}
	check.Containers = []Container{syslog("cache-disabled")}
	if said := b.failure(check); !strings.Contains(said, "logs was not read: ") {
		t.Errorf("syslog that keeps nothing: %s", said)
	}
	check.Containers = []Container{syslog()} // the engine keeps a copy of its log
	if _, err := check.Run(t.Context()); err != nil {
		t.Errorf("syslog: %v", err)
	}
	if n := b.made(); n > 0 {
		t.Errorf("%d containers and images were left", n)
	}
}

// TestValueOnTerminal is found although a terminal changes its line breaks: the
// single lines are too short to be searched for.
func TestValueOnTerminal(t *testing.T) {
	b := newBench(t)
	value := rand.Text()[:7] + "\n" + rand.Text()[:7]
	c := b.run(b.image("", "", "it is "+value+"\n"), testcontainers.WithConfigModifier(func(c *container.Config) { c.Tty = true }))
	if said := b.failure(Check{Secrets: Secrets{"KEY": []byte(value)}, Containers: []Container{c}}); !strings.Contains(said, " shows KEY: raw, stdout, line 1") {
		t.Errorf("%s", said)
	}
}

// start starts a container with testcontainers.
func (b *bench) start(ref string, options ...testcontainers.ContainerCustomizer) testcontainers.Container {
	b.t.Helper()
	options = append(options, testcontainers.WithLabels(map[string]string{label: b.name}), testcontainers.WithLogger(quiet{}))
	made, err := testcontainers.Run(b.t.Context(), ref, options...)
	testcontainers.CleanupContainer(b.t, made, testcontainers.StopTimeout(0)) // programs that exit do so; the endless one ignores the signal
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// until waits for a state of a container.
func (b *bench) until(c testcontainers.Container, what string, is func(*container.State) bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		state, err := c.State(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if is(state) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("it is not %s", what)
		}
	}
}

// TestContainerStillRunning is searched while it runs, is paused, or restarts again
// and again.
func TestContainerStillRunning(t *testing.T) {
	b := newBench(t)
	value := rand.Text()
	ref := b.image("", "it is "+value+"\n", "")
	silent := b.endless("all is well\n")
	restarting := b.start(ref, testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.RestartPolicy.Name = container.RestartPolicyAlways }))
	b.until(restarting, "started again", func(s *container.State) bool { return s.Restarting })
	if said := b.failure(Check{Secrets: Secrets{"KEY": []byte(value)}, Containers: []Container{restarting}}); !strings.Contains(said, " shows KEY: raw, stdout, line 1") {
		t.Errorf("restarting: %s", said)
	}
	RequireSilence(t, Secrets{"KEY": []byte(value)}, silent)
	if err := b.docker.ContainerPause(t.Context(), silent.GetContainerID()); err != nil {
		t.Fatal(err)
	}
	RequireSilence(t, Secrets{"KEY": []byte(value)}, silent)
	if err := b.docker.ContainerUnpause(t.Context(), silent.GetContainerID()); err != nil {
		t.Fatal(err)
	}
}

// endless starts a container that prints a text and does not exit.
func (b *bench) endless(text string) testcontainers.Container {
	b.t.Helper()
	c := b.start(b.imageOf("keepmum-integration/leaktest-endless:"+b.name, "", b.loops(text)))
	b.until(c, "running", func(s *container.State) bool { return s.Running })
	return c
}

// loops returns a program that ends in an endless loop instead of exiting.
func (b *bench) loops(text string) []byte {
	b.t.Helper()
	binary := b.program(text, "")
	exit, jump := []byte{0xb8, 60, 0, 0, 0}, []byte{0xeb, 0xfe, 0x90, 0x90, 0x90}
	if b.arch == "arm64" {
		exit, jump = words(movz(0, 0), movz(8, 93)), words(0x14000000, movz(8, 93))
	}
	if bytes.Count(binary, exit) != 1 {
		b.t.Fatal("the program has no exit that can be replaced")
	}
	return bytes.Replace(binary, exit, jump, 1)
}

// TestChecksInParallel of one container do not disturb each other.
func TestChecksInParallel(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", "x\n", ""))
	t.Run("checks", func(t *testing.T) {
		for range 4 {
			t.Run("check", func(t *testing.T) {
				t.Parallel()
				RequireSilence(t, Secrets{"KEY": []byte(rand.Text())}, c)
			})
		}
	})
	if n := b.made(); n > 0 {
		t.Errorf("%d containers and images were left", n)
	}
}

// TestCheckInCleanup works although the test's context has ended.
func TestCheckInCleanup(t *testing.T) {
	b := newBench(t)
	value := rand.Text()
	c := b.run(b.image("", "it is "+value+"\n", ""))
	r, ended := &recorder{TB: t}, false
	t.Run("test", func(t *testing.T) {
		r.TB = t
		t.Cleanup(func() {
			ended = t.Context().Err() != nil
			RequireSilence(t, Secrets{"OTHER": []byte(rand.Text())}, c)
			defer func() { recover() }()
			RequireSilence(r, Secrets{"KEY": []byte(value)}, c)
		})
	})
	if !ended || !strings.Contains(r.failed, " shows KEY: raw, stdout, line 1") {
		t.Errorf("ended %v, failed with %q", ended, strings.ReplaceAll(r.failed, value, "VALUE"))
	}
}

// TestCheckCutShortLeavesNothing and returns the context's error.
func TestCheckCutShortLeavesNothing(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", "x\n", ""))
	cut := 0
	for after := 10 * time.Millisecond; after < time.Minute; after += after / 4 {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := Check{Secrets: Secrets{"KEY": []byte(rand.Text())}, Containers: []Container{c}}.Run(ctx)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v", after, err)
		}
		cut++
	}
	if n := b.made(); n > 0 || cut == 0 {
		t.Errorf("%d containers and images were left by %d checks", n, cut)
	}
}

// TestCanaryHasLabelsForRyuk of this run, also if the image has others; it copies
// no further labels of the container.
func TestCanaryHasLabelsForRyuk(t *testing.T) {
	b := newBench(t)
	later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10) // so that no other check takes it as left behind
	c := b.run(b.image("LABEL "+labelSession+"=another org.testcontainers=false org.testcontainers.lang=x "+labelMade+"="+later+"\n", "x\n", ""),
		testcontainers.WithLabels(map[string]string{"of-the-container": "x"}))
	targets, err := b.targets(t.Context(), []Container{c})
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.plant(t.Context(), newCanary(), targets[0])
	t.Cleanup(func() { _ = b.removeContainer(context.Background(), id) })
	if err != nil {
		t.Fatal(err)
	}
	made, err := b.docker.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := b.commit(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.removeImage(context.Background(), ref); err != nil {
			t.Error(err)
		}
	})
	image, err := b.docker.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for of, labels := range map[string]map[string]string{"the container": made.Config.Labels, "the image": image.Config.Labels} {
		for name, want := range testcontainers.GenericLabels() {
			if labels[name] != want {
				t.Errorf("%s: %s is %q, want %q", of, name, labels[name], want)
			}
		}
		if _, copied := labels["of-the-container"]; copied {
			t.Errorf("%s has a label of the container that Ryuk does not need", of)
		}
		if labels[labelMade] == later || labels[labelMade] == "" {
			t.Errorf("%s does not say when it was made", of)
		}
	}
	if testcontainers.GenericLabels()[labelSession] == "" {
		t.Error("testcontainers has no label for its run")
	}
}

// TestNamesWithValueAreMasked in errors.
func TestNamesWithValueAreMasked(t *testing.T) {
	b := newBench(t)
	value := strings.ToLower(rand.Text())
	ref := b.imageOf("keepmum-integration/leaktest-"+value+":"+b.name, "", b.program("x\n", ""))
	named := func(name, driver string) testcontainers.Container {
		return b.run(ref, testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.LogConfig.Type = driver }),
			testcontainers.CustomizeRequestOption(func(r *testcontainers.GenericContainerRequest) error { r.Name = name; return nil }))
	}
	check := Check{Secrets: Secrets{"KEY": []byte(value)}, Containers: []Container{named(b.name+"-"+value, "json-file")}}
	if said := b.failure(check); !strings.Contains(said, "inspect of "+b.name+"-‹KEY› shows KEY: raw") {
		t.Errorf("found: %s", said)
	}
	check.Containers = []Container{named(b.name+"-none-"+value, "none")}
	if said := b.failure(check); !strings.Contains(said, "the canary for "+b.name+"-none-‹KEY›: logs was not read") {
		t.Errorf("not read: %s", said)
	}
}

// TestCanaryNotFoundFails: the search does not know this canary.
func TestCanaryNotFoundFails(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", "x\n", ""))
	targets, err := b.targets(t.Context(), []Container{c})
	if err != nil {
		t.Fatal(err)
	}
	search, err := sweep.New(newCanary().known()) // another canary
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.prove(t.Context(), search, newCanary(), targets[0]); err == nil || !strings.Contains(err.Error(), "planted but not found") || strings.Count(err.Error(), "was not found: ") != 2*len(redact.Encodings())+4 {
		t.Errorf("%v", err)
	}
}

// recorder is a testing.TB that keeps the text of Fatal.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()           {}
func (r *recorder) Fatal(args ...any) { r.failed = fmt.Sprint(args...); panic(r) }

func TestRequireSilenceFails(t *testing.T) {
	b := newBench(t)
	password := rand.Text()
	c := b.run(b.image("", "", "the password is "+password+"\n"))
	RequireSilence(t, Secrets{"OTHER": []byte(rand.Text())}, c)
	r := &recorder{TB: t}
	func() {
		defer func() { recover() }()
		RequireSilence(r, Secrets{"PASSWORD": []byte(password)}, c)
	}()
	if !strings.Contains(r.failed, " shows PASSWORD: raw, stderr, line 1") || strings.Contains(r.failed, password) {
		t.Errorf("failed with %q", strings.ReplaceAll(r.failed, password, "VALUE"))
	}
}

// TestLeftoversAreRemoved of a killed run, but nothing that another run still uses.
func TestLeftoversAreRemoved(t *testing.T) {
	b := newBench(t)
	ref := b.image("", "x\n", "")
	ids := map[string]string{}
	for state, age := range map[string]time.Duration{"killed": left + time.Minute, "in use": time.Minute} {
		made, err := b.docker.ContainerCreate(t.Context(), &container.Config{Image: ref, Labels: map[string]string{labelMade: strconv.FormatInt(time.Now().Add(-age).Unix(), 10)}}, nil, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		ids[state] = made.ID
		t.Cleanup(func() { _ = b.removeContainer(context.Background(), made.ID) }) // the test wants one of them gone
	}
	if err := b.removeLeft(t.Context()); err != nil {
		t.Fatal(err)
	}
	for state, id := range ids {
		if _, err := b.docker.ContainerInspect(t.Context(), id); (err == nil) != (state == "in use") {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// TestContainerNotFoundFails, and the error names the engines.
func TestContainerNotFoundFails(t *testing.T) {
	b := newBench(t)
	found, missing := b.run(b.image("", "x\n", "")), &testcontainers.DockerContainer{ID: strings.Repeat("0", 64)}
	for name, check := range map[string]Check{
		"looked for":     {Containers: []Container{missing}},
		"not the first":  {Containers: []Container{found, missing}},
		"given a client": {Containers: []Container{missing}, Client: b.docker},
	} {
		check.Secrets = Secrets{"KEY": []byte(rand.Text())}
		report, err := check.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "container 000000000000 was not found:\n  ") || !strings.Contains(err.Error(), b.docker.DaemonHost()+" (") || report != (Report{}) {
			t.Errorf("%s: %v, %v", name, report, err)
		}
	}
}

// counted is a client that counts what it creates and how often it is closed.
type counted struct {
	client.APIClient
	created, closed int
}

func (c *counted) ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, networks *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error) {
	c.created++
	return c.APIClient.ContainerCreate(ctx, config, host, networks, platform, name)
}

func (c *counted) Close() error { c.closed++; return nil }

// TestClientOfCheckIsUsed and left open.
func TestClientOfCheckIsUsed(t *testing.T) {
	b := newBench(t)
	given := &counted{APIClient: b.docker}
	report, err := Check{Secrets: Secrets{"KEY": []byte(rand.Text())}, Containers: []Container{b.run(b.image("", "x\n", ""))}, Client: given}.Run(t.Context())
	if err != nil || report.Planted == 0 || given.created != 1 || given.closed != 0 {
		t.Errorf("%v, %v; %d created, closed %d times", report, err, given.created, given.closed)
	}
}
