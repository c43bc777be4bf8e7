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
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/redact"
)

// TestMain tells testcontainers, which reads its settings once, to do without
// Ryuk, whose image would have to be pulled.
func TestMain(m *testing.M) {
	if err := errors.Join(os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"), os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")); err != nil {
		panic(err)
	}
	m.Run()
}

// label marks all that these tests make, as the main module's tests mark it.
const label = "com.docker.compose.project"

// bench is what a test starts things with.
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
	b := &bench{engine: &engine{docker}, t: t, name: "keepmum-it-lt" + strings.ToLower(rand.Text()[:8])}
	b.arch = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[info.Architecture]
	return b
}

// image makes an image FROM scratch of a program that tells texts; lines of a
// Dockerfile may follow.
func (b *bench) image(further string, outputs ...output) string {
	b.t.Helper()
	binary, err := program(b.arch, outputs...)
	if err != nil {
		b.t.Fatal(err)
	}
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	for name, data := range map[string]string{"tell": string(binary), "Dockerfile": "FROM scratch\nCOPY tell /tell\nENTRYPOINT [\"/tell\"]\n" + further, "value": string(binary)} {
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
	ref := "keepmum-integration/leaktest-" + strings.ToLower(rand.Text()[:8]) + ":" + b.name
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

// run starts a container by testcontainers and waits for its end.
func (b *bench) run(ref string, options ...testcontainers.ContainerCustomizer) testcontainers.Container {
	b.t.Helper()
	options = append(options, testcontainers.WithLabels(map[string]string{label: b.name}), testcontainers.WithLogger(quiet{}))
	made, err := testcontainers.Run(b.t.Context(), ref, options...)
	testcontainers.CleanupContainer(b.t, made)
	if err != nil {
		b.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		state, err := made.State(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if !state.Running {
			return made
		}
		if time.Now().After(deadline) {
			b.t.Fatal("it does not end")
		}
	}
}

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// made counts what this package left on the engine.
func (b *bench) made() int {
	b.t.Helper()
	of := filters.NewArgs(filters.Arg("label", labelMade))
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

// aValue is a random one of two lines, with what encoders treat differently.
func aValue() string {
	return rand.Text() + "\"'<&>+%/$ é\x01\\`\n" + "second-line-" + rand.Text()
}

func TestSilence(t *testing.T) {
	b := newBench(t)
	ref := b.image("USER 65532:65532\n", output{1, "all is well\n"}, output{2, "very well\n"})
	hardened := testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
		h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
	})
	local := testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.LogConfig.Type = "local" })
	first, second, third := b.run(ref), b.run(ref, hardened), b.run(ref, local)
	report, err := Check{
		Secrets:    Secrets{"PASSWORD": []byte(aValue()), "TOKEN": []byte(rand.Text())},
		Containers: []testcontainers.Container{first, second, third},
		Further:    map[string][]byte{"output of the client": []byte("ok")},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Log and inspect of three, one image, one text; the canary beside the
	// first, and beside the one with another log driver.
	if want := 2 * (2*len(redact.Encodings()) + 3); report.Surfaces != 3*2+3+1 || report.Bytes == 0 || report.Planted != want {
		t.Errorf("%+v, want %d canaries", report, want)
	}
	if n := b.made(); n > 0 {
		t.Errorf("%d containers and images were left", n)
	}
	t.Logf("proof: surfaces=%d bytes=%d planted=%d found=%d values=0", report.Surfaces, report.Bytes, report.Planted, report.Planted)
}

// failure runs a check that has to fail, and requires that its error tells no
// value.
func (b *bench) failure(c Check) string {
	b.t.Helper()
	_, err := c.Run(b.t.Context())
	var told *Error
	if !errors.As(err, &told) {
		b.t.Errorf("error %v, want an *Error", err)
		return ""
	}
	for name, value := range c.Secrets {
		for encoding, form := range forms(string(value)) {
			if strings.Contains(err.Error(), form) {
				b.t.Errorf("the error tells %s in %s", name, encoding)
			}
		}
	}
	return err.Error()
}

func TestAValueIsFoundInEachEncodingOnEachStream(t *testing.T) {
	b := newBench(t)
	values := Secrets{}
	var outputs []output
	for stream, name := range map[int]string{1: "stdout", 2: "stderr"} {
		for _, encoding := range redact.Encodings() {
			value := aValue()
			secret := strings.ToUpper(encoding + "_" + name)
			values[secret] = []byte(value)
			outputs = append(outputs, output{stream, "x " + forms(value)[encoding] + " y\n"})
		}
	}
	// The image is another's: one that tells values holds them in its program.
	silent, telling := b.image("", output{1, "x\n"}), b.image("", outputs...)
	c := b.run(telling)
	said := b.failure(Check{Secrets: values, Containers: []testcontainers.Container{b.run(silent), c}})
	seen, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stream, name := range map[int]string{1: "stdout", 2: "stderr"} {
		_ = stream
		for _, encoding := range redact.Encodings() {
			want := fmt.Sprintf("log of %s tells %s: %s, %s, line ", strings.TrimPrefix(seen.Name, "/"), strings.ToUpper(encoding+"_"+name), encoding, name)
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q", want)
			}
		}
	}
}

func TestAValueIsFoundInInspectAndInLayers(t *testing.T) {
	b := newBench(t)
	password, deleted, label, argument := rand.Text(), rand.Text(), rand.Text(), rand.Text()
	layered := b.image("", output{1, "x\n"}, output{3, deleted}) // there is no stream 3: it stands in the file alone
	ref := b.image("LABEL a="+label+"\n", output{1, "x\n"})
	c := b.run(ref, testcontainers.WithEnv(map[string]string{"PASSWORD": password}), testcontainers.WithCmd(argument))
	secrets := Secrets{"PASSWORD": []byte(password), "LABEL": []byte(label), "ARGUMENT": []byte(argument), "DELETED": []byte(deleted)}
	said := b.failure(Check{Secrets: secrets, Containers: []testcontainers.Container{c, b.run(layered)}})
	for _, want := range []string{" tells PASSWORD: raw", " tells LABEL: raw", " tells ARGUMENT: raw", "image " + layered + " tells DELETED: raw, ", "configuration of image " + ref + " tells LABEL", "history of image " + ref + " tells LABEL"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "log of") {
		t.Errorf("it says more than is so:\n%s", said)
	}
}

func TestWhatIsExceptedMustBeThere(t *testing.T) {
	b := newBench(t)
	password := rand.Text()
	ref := b.image("", output{1, "x\n"})
	shown, hidden := b.run(ref, testcontainers.WithEnv(map[string]string{"PASSWORD": password})), b.run(ref)
	check := Check{Secrets: Secrets{"PASSWORD": []byte(password)}, InEnvironment: []string{"PASSWORD"}, Containers: []testcontainers.Container{hidden, shown}}
	if _, err := check.Run(t.Context()); err != nil {
		t.Errorf("shown as excepted: %v", err)
	}
	check.Containers = check.Containers[:1]
	if said := b.failure(check); !strings.Contains(said, "PASSWORD is excepted from inspect, and inspect does not show it") {
		t.Errorf("not shown: %s", said)
	}
	check.Containers = []testcontainers.Container{shown}
	check.Further = map[string][]byte{"an answer": []byte("<" + password + ">")}
	if said := b.failure(check); !strings.Contains(said, "an answer tells PASSWORD: raw") {
		t.Errorf("in a further text: %s", said)
	}
}

func TestALogThatNobodyCanReadIsAFailure(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", output{1, "x\n"}), testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.LogConfig.Type = "none" }))
	check := Check{Secrets: Secrets{"PASSWORD": []byte(rand.Text())}, Containers: []testcontainers.Container{c}}
	if said := b.failure(check); !strings.Contains(said, "logs was not read: its log driver is none") {
		t.Errorf("%s", said)
	}
	check.Secrets["PIN"] = []byte("123")
	if said := b.failure(check); !strings.Contains(said, "too short to be searched: PIN") {
		t.Errorf("%s", said)
	}
	if n := b.made(); n > 0 {
		t.Errorf("%d containers and images were left", n)
	}
}

// TestTheCanaryIsMissed where the search does not know it.
func TestTheCanaryIsMissed(t *testing.T) {
	b := newBench(t)
	c := b.run(b.image("", output{1, "x\n"}))
	targets, err := b.targets(t.Context(), []testcontainers.Container{c})
	if err != nil {
		t.Fatal(err)
	}
	search, err := sweep.New(newCanary().known()) // of another one
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.prove(t.Context(), search, newCanary(), targets[0]); !errors.Is(err, errNotFound) || strings.Count(err.Error(), "was not found: ") != 2*len(redact.Encodings())+3 {
		t.Errorf("%v", err)
	}
}

// recorder is a testing.TB that keeps how it was failed.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()           {}
func (r *recorder) Fatal(args ...any) { r.failed = fmt.Sprint(args...); panic(r) }

func TestRequireSilenceFailsTheTest(t *testing.T) {
	b := newBench(t)
	password := rand.Text()
	c := b.run(b.image("", output{2, "the password is " + password + "\n"}))
	RequireSilence(t, Secrets{"OTHER": []byte(rand.Text())}, c)
	r := &recorder{TB: t}
	func() {
		defer func() { recover() }()
		RequireSilence(r, Secrets{"PASSWORD": []byte(password)}, c)
	}()
	if !strings.Contains(r.failed, " tells PASSWORD: raw, stderr, line 1") || strings.Contains(r.failed, password) {
		t.Errorf("failed with %q", strings.ReplaceAll(r.failed, password, "VALUE"))
	}
}

// TestWhatAKilledRunLeftIsRemoved: and not what another is at work with.
func TestWhatAKilledRunLeftIsRemoved(t *testing.T) {
	b := newBench(t)
	ref := b.image("", output{1, "x\n"})
	ids := map[string]string{}
	for state, age := range map[string]time.Duration{"killed": left + time.Minute, "at work": time.Minute} {
		made, err := b.docker.ContainerCreate(t.Context(), &container.Config{Image: ref, Labels: map[string]string{labelMade: strconv.FormatInt(time.Now().Add(-age).Unix(), 10)}}, nil, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		ids[state] = made.ID
		t.Cleanup(func() { _ = b.removeContainer(context.Background(), made.ID) }) // it may be gone, as it has to be
	}
	if err := b.removeLeft(t.Context()); err != nil {
		t.Fatal(err)
	}
	for state, id := range ids {
		if _, err := b.docker.ContainerInspect(t.Context(), id); (err == nil) != (state == "at work") {
			t.Errorf("%s: %v", state, err)
		}
	}
}
