package stack_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestPreflight_ProvesReadabilityBeforeTheStart(t *testing.T) {
	for _, test := range []struct {
		name    string
		word    string
		selinux bool
		want    string
	}{
		{"SELinux", "denied", true, "the engine uses SELinux"},
		{"network file system", "denied", false, "an access list refuses the user, or a network file system"},
		{"not on the engine's machine", "missing", false, "the path is not on the engine's machine"},
		{"directory in its place", "directory", false, "mounts a directory in its place"},
		{"empty", "empty", false, "mounts an empty file"},
		{"i/o error", "broken", false, "the file system refuses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.answers["TOKEN"], w.selinux = test.word, test.selinux
			_, err := w.up(stack.UpOptions{})
			e := asError(t, err, fault.Invalid)
			if len(e.Findings) != 1 || e.Findings[0].Subject != "TOKEN" || e.Findings[0].File != "secrets/TOKEN" || !strings.Contains(e.Findings[0].Problem, test.want) {
				t.Errorf("got %v, want %q", e.Findings, test.want)
			}
			if len(w.ups) != 0 {
				t.Error("Compose was run")
			}
		})
	}
}

func TestPreflight_ProbesWithTheServicesUserAndMounts(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(w.probes) != 2 {
		t.Fatalf("%d probes, want one for each user", len(w.probes))
	}
	for _, p := range w.probes {
		want := map[string][]string{"999:999": {"ADMIN"}, "65532:65532": {"ADMIN", "LOGIN", "TOKEN"}}[p.User]
		var got []string
		for _, mount := range p.Mounts {
			if mount.Type != "bind" || !mount.ReadOnly || mount.Source != w.Dir+"/secrets/"+filepath.Base(mount.Destination) {
				t.Errorf("mount %+v", mount)
			}
			got = append(got, filepath.Base(mount.Destination))
		}
		if !slices.Equal(got, want) || p.Image != images.ProbeImage || !p.ReadOnly {
			t.Errorf("user %s: %v in %s, want %v", p.User, got, p.Image, want)
		}
	}
}

func TestPreflight_SaysThatAProbeCouldNotBeTried(t *testing.T) {
	w := newWorld(t)
	w.probeErr = &fault.Error{Code: fault.Failed, What: "no such image"}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.Said.String(), "whether user 65532:65532 of api, setup can read its secrets was not tried: no such image") {
		t.Errorf("said %s", w.Said.String())
	}
	w.probeErr = &fault.Error{Code: fault.Failed, What: "invalid mount config for type \"bind\": bind source path does not exist: /x"}
	w.write("TOKEN", opstest.OtherValue)
	_, err := w.up(stack.UpOptions{})
	if e := asError(t, err, fault.Invalid); !strings.Contains(e.Findings[0].Problem, "not on the engine's machine") {
		t.Errorf("got %v", e.Findings)
	}
}

func TestPreflight_ReadsAPortFromTheDotEnvAsComposeWould(t *testing.T) {
	w := newWorld(t)
	w.Put(".env", "SHOP_PORT=\"9${X:-1}00\" \nTOKEN=never-handed-over\n")
	w.taken["8090"] = "nginx"
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.ups[0].Variables; got["SHOP_PORT"] != "9100" || got["TOKEN"] != "" {
		t.Errorf("Compose was given %v", got)
	}
}

func TestPreflight_RunningServiceHoldsItsOwnPort(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.taken["8090"] = "another container"
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPreflight_NamesEachTakenPort(t *testing.T) {
	for name, test := range map[string]struct {
		ports   string
		taken   map[string]string
		arrange func(*world)
		want    string
		next    string
	}{
		"by a holder that cannot be named": {`["${SHOP_PORT:-8090}:80"]`, map[string]string{"8090": ""}, nil,
			"docker-compose.yml:18: api: port 8090 is taken", "set SHOP_PORT to a free port, or end what holds it: docker ps --filter publish=8090"},
		"that no variable sets":  {`["8090:80"]`, map[string]string{"8090": "nginx"}, nil, "api: port 8090 is taken by nginx", "end what holds it: docker ps --filter publish=8090"},
		"the second of two":      {`["8090:80", "8091:81"]`, map[string]string{"8091": "nginx"}, nil, "api: port 8091 is taken by nginx", "end what holds it"},
		"that the engine picks":  {`["80"]`, map[string]string{"": "nginx", "0": "nginx"}, nil, "", ""},
		"a range":                {`["8090-8099:80"]`, map[string]string{"8090-8099": "nginx", "8090": "nginx"}, nil, "", ""},
		"of a stopped service":   {`["8090:80"]`, map[string]string{"8090": "nginx"}, func(w *world) { run(w, "exited") }, "api: port 8090 is taken by nginx", "end what"},
		"of a running service":   {`["8090:80"]`, map[string]string{"8090": "itself"}, func(w *world) { run(w, "running") }, "", ""},
		"of a restarting one":    {`["8090:80"]`, map[string]string{"8090": "itself"}, func(w *world) { run(w, "restarting") }, "", ""},
		"of one of two that run": {`["8090:80"]`, map[string]string{"8090": "itself"}, func(w *world) { run(w, "running"); run(w, "exited") }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Put("docker-compose.yml", strings.Replace(stackFile, `["127.0.0.1:${SHOP_PORT:-8090}:8090"]`, test.ports, 1))
			w.taken = test.taken
			if test.arrange != nil {
				test.arrange(w)
			}
			_, err := w.up(stack.UpOptions{DryRun: true})
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := asError(t, err, fault.Failed)
			if e.What != "the stack cannot be started; nothing was changed" || len(e.Findings) != 1 || !strings.HasSuffix(e.Findings[0].String(), test.want) || !strings.HasPrefix(e.Findings[0].Next, test.next) || e.Next != e.Findings[0].Next {
				t.Errorf("got %v, next %s", err, e.Next)
			}
		})
	}
}

// run adds a container of api in a state.
func run(w *world, state string) {
	w.extra = append(w.extra, docker.Container{ID: state, Name: fmt.Sprint("shop-api-", len(w.extra)), Service: "api", State: state})
}

func TestPreflight_LooksAtPortsOfThisMachineAlone(t *testing.T) {
	w := newWorld(t)
	w.taken["8090"] = "nginx"
	config := w.config()
	config.Ports = nil
	if _, err := stack.New(config).Up(t.Context(), stack.UpOptions{}); err != nil {
		t.Errorf("ports are not looked at: %v", err)
	}
}

func TestPreflight_RefusesARemoteEngineForFilesAlone(t *testing.T) {
	w := newWorld(t)
	w.remote = true
	_, err := w.up(stack.UpOptions{})
	e := asError(t, err, fault.Invalid)
	if !strings.HasPrefix(e.What, "the engine at ssh://far is on another machine") || len(e.Findings) != 3 {
		t.Fatalf("got %v", err)
	}
	for i, name := range []string{"ADMIN", "LOGIN", "TOKEN"} {
		if want := fmt.Sprintf("docker-compose.yml:%d: %s: its file is relative to this machine", 22+i, name); e.Findings[i].String() != want {
			t.Errorf("finding %s, want %s", e.Findings[i], want)
		}
	}
	w = newWorld(t)
	w.remote, w.taken["8090"] = true, "a program of this machine"
	w.Put("docker-compose.yml", "name: shop\nservices:\n  api:\n    image: shop/api\n    ports: [\"8090:80\"]\n")
	for _, name := range []string{"ADMIN", "LOGIN", "TOKEN"} {
		w.remove(name)
	}
	if result, err := w.up(stack.UpOptions{}); err != nil || did(result) != "api created healthy" {
		t.Errorf("without secrets: %s, %v", did(result), err)
	}
}

// brokenImages is a store that cannot say whether it has one image.
type brokenImages struct{ *opstest.ImageStore }

func (b brokenImages) Image(ctx context.Context, ref string) (docker.Image, bool, error) {
	if ref == images.ProbeImage {
		return docker.Image{}, false, errLost
	}
	return b.ImageStore.Image(ctx, ref)
}

func TestPreflight_ReturnsTheErrorOfTheImageStore(t *testing.T) {
	w := newWorld(t)
	config := w.config()
	connect := config.Connect
	config.Connect = func(ctx context.Context) (stack.Connection, error) {
		at, err := connect(ctx)
		at.Images = brokenImages{w.images}
		return at, err
	}
	if _, err := stack.New(config).Up(t.Context(), stack.UpOptions{}); !errors.Is(err, errLost) || len(w.ups) > 0 {
		t.Errorf("got %v", err)
	}
}

func TestPreflight_ProbesInTheImageThatIsStarted(t *testing.T) {
	w := newWorld(t)
	w.images.Images["postgres:own"] = docker.Image{ID: "own"}
	w.env[images.PostgresVariable] = "postgres:own"
	w.Put("docker-compose.yml", strings.Replace(stackFile, `"999:999"`, "postgres", 1)) // a name: of the image's own users
	w.Put("docker-compose.env.yml", strings.NewReplacer(`"999:999"`, "postgres", "shop/api\n    user: \"65532:65532\"", "shop/api-of-old\n    user: app").Replace(oldFile))
	for legacy, want := range map[bool]string{
		false: "65532:65532 in " + images.ProbeImage + ", postgres in postgres:own",
		true:  "65532:65532 in " + images.ProbeImage + ", app in shop/api-of-old, postgres in postgres:own",
	} {
		w.probes = nil
		if _, err := w.up(stack.UpOptions{Legacy: legacy}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range w.probes {
			got = append(got, p.User+" in "+p.Image)
		}
		slices.Sort(got)
		if strings.Join(got, ", ") != want {
			t.Errorf("legacy %v: probed %q, want %s", legacy, got, want)
		}
		if got := w.ups[len(w.ups)-1].Variables[images.PostgresVariable]; got != "postgres:own" {
			t.Errorf("Compose was given %s", got)
		}
	}
}

func TestPreflight_ProbesInTheImageOfPostgresThatWasMade(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.NewReplacer(`"999:999"`, "postgres", "shop/setup\n    user: \"65532:65532\"", "shop/setup\n    user: app").Replace(stackFile))
	delete(w.images.Images, "postgres:17")
	config := w.config()
	config.Postgres = &opstest.ImageMaker{OfferAnswer: images.PostgresOffer{Ref: "keepmum/postgres:17", Digest: "new"}}
	if _, err := stack.New(config).Up(t.Context(), stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range w.probes {
		got = append(got, p.User+" in "+p.Image)
	}
	slices.Sort(got)
	if want := []string{"65532:65532 in " + images.ProbeImage, "app in shop/setup", "postgres in keepmum/postgres:17"}; !slices.Equal(got, want) {
		t.Errorf("probed %q, want %q", got, want)
	}
	if got := w.ups[0].Variables[images.PostgresVariable]; got != "keepmum/postgres:17" {
		t.Errorf("Compose was given %s", got)
	}
}
