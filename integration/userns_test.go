//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/keepmum/keepmum/internal/sweep"
)

// TestUserNamespaces runs a service on an engine whose containers have user
// namespaces, with a read-only root and no capabilities, and files laid out as
// keepmum does: it reads its secrets, and root in the container has no rights
// outside.
func TestUserNamespaces(t *testing.T) {
	t.Parallel() // most of it is waiting
	limit, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if n, parsed := strconv.Atoi(strings.TrimSpace(string(limit))); err != nil || parsed != nil || n == 0 {
		t.Logf("this kernel has no user namespaces for this machine: %v", err)
		return
	}
	p := &project{t: t}
	p.connect()
	p.takeHome()
	p.audit = newAudit(t)
	keys := map[string]string{"THE_ODDS_API_KEY": random(t, "0123456789abcdef", 32), "API_BASKETBALL_KEY": random(t, "0123456789abcdef", 32)}
	p.audit.know(keys)
	p.audit.begin(t, []byte(random(t, "abcdefghijklmnopqrstuvwxyz", 32)))
	r := newDind(t, p, "--userns-remap=dockremap")
	r.load(t, "keepmum/provider-sim:dev")
	helper := p.helperImage(t)
	r.load(t, helper)
	if err := p.docker.CopyToContainer(t.Context(), r.id, "/", layout(t, keys), container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	host := &container.HostConfig{ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, NetworkMode: "none"}
	for name := range keys {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: "/secrets/" + name, Target: "/run/secrets/" + name, ReadOnly: true})
	}
	start := func(name string, config container.Config, host container.HostConfig) string {
		made, err := r.ContainerCreate(t.Context(), &config, &host, nil, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	sim := start("sim", container.Config{Image: "keepmum/provider-sim:dev", User: "65532:65532"}, *host)
	p.requireLoaded(t, func() string { return r.log(t, sim) }, []string{"THE_ODDS_API_KEY", "API_BASKETBALL_KEY"})
	running, err := r.ContainerInspect(t.Context(), sim)
	if err != nil {
		t.Fatal(err)
	}
	mapped := p.exec(t, r.id, "", "cat", "/proc/"+strconv.Itoa(running.State.Pid)+"/uid_map")
	fields := strings.Fields(mapped.stdout)
	if len(fields) < 2 || fields[0] != "0" || fields[1] != "100000" {
		t.Errorf("the process is not in its own user namespace: %q", mapped.stdout)
	}

	host.Mounts = nil
	canary := start("canary", container.Config{Image: helper, Cmd: []string{"linger"}, Env: []string{"CANARY=" + p.audit.plain}}, *host)
	poll(t, time.Minute, "the end of the canary's output", func() bool { return strings.Count(r.log(t, canary), "a canary, go") == 2 })
	var surfaces []sweep.Surface
	for name, id := range map[string]string{"sim": sim, "canary": canary} {
		_, raw, err := r.ContainerInspectWithRaw(t.Context(), id, false)
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("logs of "+name, []byte(r.log(t, id))), sweep.Bytes("inspect of "+name, raw))
	}
	p.audit.require(t, []plant{{"logs of canary", "", "hex"}, {surface: "inspect of canary"}}, nil, surfaces...)
	p.audit.finish(t, map[string]int{"canaries": 2, "logs": 2, "inspect": 2})
	t.Log("proof: userns=1")
}

// layout is an archive of /secrets as keepmum writes it: files of 0444 in a
// directory of 0700.
func layout(t *testing.T, values map[string]string) *bytes.Buffer {
	t.Helper()
	var stream bytes.Buffer
	out := tar.NewWriter(&stream)
	err := out.WriteHeader(&tar.Header{Name: "secrets/", Typeflag: tar.TypeDir, Mode: 0o700})
	for name, value := range values {
		if err == nil {
			err = out.WriteHeader(&tar.Header{Name: "secrets/" + name, Mode: 0o444, Size: int64(len(value))})
		}
		if err == nil {
			_, err = out.Write([]byte(value))
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &stream
}
