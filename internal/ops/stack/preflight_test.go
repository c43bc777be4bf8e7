package stack_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
