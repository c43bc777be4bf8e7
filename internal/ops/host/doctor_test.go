package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

var doctorNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// doctorOf is an examination of a good engine on a good machine.
func doctorOf(change func(info *docker.Info, facts *Facts, at *docker.Endpoint)) Doctor {
	info := docker.Info{ServerVersion: "28.5", APIVersion: "1.51", OS: "linux", Arch: "amd64", StorageDriver: "overlay2", CgroupDriver: "systemd",
		CgroupVersion: "2", RootDir: "/var/lib/docker", CPUs: 2, Memory: 4 << 30, Time: doctorNow, Swarm: docker.Swarm{State: "inactive"}}
	facts := Facts{OS: "linux", Pretty: "Debian", Init: "systemd", User: "ann", Dockerd: "/usr/bin/dockerd", Package: "docker.io", Iptables: "/usr/sbin/iptables", GroupExists: true, GroupListed: true, GroupActive: true}
	at := docker.Endpoint{Host: "unix:///var/run/docker.sock", Source: "default"}
	if change != nil {
		change(&info, &facts, &at)
	}
	return Doctor{
		Connect:  func(context.Context) (Engine, error) { return upEngine{info: info, at: at}, nil },
		Look:     func(context.Context) Facts { return facts },
		FreeDisk: func(string) (uint64, error) { return 10 << 30, nil },
		Compose:  func(context.Context) (string, error) { return "v2.40", nil },
		Env:      func(string) (string, bool) { return "", false },
		Now:      func() time.Time { return doctorNow },
	}
}

// checkOf is the one check of that name.
func checkOf(t *testing.T, r DoctorResult, name string) Check {
	t.Helper()
	var found []Check
	for _, c := range r.Checks {
		if c.Name == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d checks %s in %+v", len(found), name, r.Checks)
	}
	return found[0]
}

func TestEngineDoctorIsContent(t *testing.T) {
	got, err := doctorOf(nil).Run(t.Context())
	if err != nil || got.Engine == nil || got.Engine.ServerVersion != "28.5" || got.Endpoint.Source != "default" {
		t.Fatalf("%+v %v", got, err)
	}
	for _, name := range []string{"endpoint", "access", "engine", "api", "architecture", "storage driver", "disk space", "cgroups", "users", "time", "swarm",
		"engine proxy", "machine", "iptables", "docker group", "proxy", "compose"} {
		if c := checkOf(t, got, name); c.State != VerdictOK || c.Detail == "" || c.Next != "" {
			t.Errorf("%+v", c)
		}
	}
	if len(got.Checks) != 17 {
		t.Errorf("%d checks", len(got.Checks))
	}
}

func TestEngineDoctorFinds(t *testing.T) {
	type change = func(info *docker.Info, facts *Facts, at *docker.Endpoint)
	for _, c := range []struct {
		name   string
		change change
		check  string
		state  Verdict
		says   string
	}{
		{"remote", func(_ *docker.Info, _ *Facts, at *docker.Endpoint) { at.Remote = true }, "endpoint", VerdictWarn, "another machine"},
		{"odd architecture", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Arch = "s390x" }, "architecture", VerdictWarn, "linux/s390x"},
		{"vfs", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.StorageDriver = "vfs" }, "storage driver", VerdictWarn, "copies every layer"},
		{"aufs", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.StorageDriver = "aufs" }, "storage driver", VerdictWarn, "no longer know it"},
		{"disk elsewhere", func(_ *docker.Info, _ *Facts, at *docker.Endpoint) { at.Remote = true }, "disk space", VerdictUnknown, "not this machine's"},
		{"rootless limits", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.CgroupDriver = "none" }, "cgroups", VerdictWarn, "do not hold"},
		{"cgroups 1", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.CgroupVersion = "" }, "cgroups", VerdictOK, "version 1"},
		{"no swap limit", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) {
			i.Warnings = []string{"WARNING: No swap limit support"}
		}, "cgroups", VerdictWarn, "no swap limit support"},
		{"rootless", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Rootless = true }, "users", VerdictWarn, "rootless"},
		{"userns", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.UsernsRemap = true }, "users", VerdictWarn, "userns-remap"},
		{"SELinux", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.SELinux = true }, "users", VerdictOK, "SELinux"},
		{"clock late", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Time = doctorNow.Add(-10 * time.Second) }, "time", VerdictWarn, "10s apart"},
		{"clock early", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Time = doctorNow.Add(10 * time.Minute) }, "time", VerdictFail, "10m0s apart"},
		{"clock a little late", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Time = doctorNow.Add(-4 * time.Second) }, "time", VerdictOK, "agrees"},
		{"no clock", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Time = time.Time{} }, "time", VerdictUnknown, "does not tell"},
		{"manager", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) {
			i.Swarm = docker.Swarm{State: "active", Manager: true}
		}, "swarm", VerdictOK, "manager"},
		{"worker", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Swarm = docker.Swarm{State: "active"} }, "swarm", VerdictOK, "worker"},
		{"locked", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Swarm = docker.Swarm{State: "locked"} }, "swarm", VerdictWarn, "locked"},
		{"engine's proxy", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) { i.Proxies = []string{"HTTP_PROXY"} }, "engine proxy", VerdictOK, "HTTP_PROXY"},
		{"no iptables", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.Iptables = "" }, "iptables", VerdictWarn, "cannot publish ports"},
		{"no bridge filter", func(i *docker.Info, _ *Facts, _ *docker.Endpoint) {
			i.Warnings = []string{"WARNING: bridge-nf-call-iptables is disabled"}
		}, "iptables", VerdictWarn, "bridge-nf-call-iptables is disabled"},
		{"root", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.Root, f.GroupActive = true, false }, "docker group", VerdictOK, "root"},
		{"old session", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.GroupActive = false }, "docker group", VerdictWarn, "session is older"},
		{"no member", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.GroupActive, f.GroupListed = false, false }, "docker group", VerdictWarn, "ann is not in it"},
		{"no group", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) {
			f.GroupActive, f.GroupListed, f.GroupExists = false, false, false
		}, "docker group", VerdictWarn, "there is none"},
		{"masked", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.Service = "masked" }, "machine", VerdictWarn, "service masked"},
		{"WSL", func(_ *docker.Info, f *Facts, _ *docker.Endpoint) {
			f.WSL, f.Container, f.Package = true, "docker", ""
		}, "machine", VerdictOK, "WSL, in a container (docker), engine /usr/bin/dockerd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := doctorOf(c.change).Run(t.Context())
			check := checkOf(t, got, c.check)
			if check.State != c.state || !strings.Contains(check.Detail, c.says) {
				t.Errorf("%+v", check)
			}
			if (check.State == VerdictWarn || check.State == VerdictFail) && check.Next == "" {
				t.Errorf("no way out: %+v", check)
			}
			if want := check.State == VerdictFail; want != (fault.CodeOf(err) == fault.Invalid) || !want && err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEngineDoctorOnDisk(t *testing.T) {
	for free, want := range map[uint64]Verdict{1 << 20: VerdictFail, 2 << 30: VerdictWarn, 4 << 30: VerdictOK} {
		d := doctorOf(nil)
		d.FreeDisk = func(path string) (uint64, error) {
			if path != "/var/lib/docker" {
				t.Errorf("asked for %s", path)
			}
			return free, nil
		}
		got, err := d.Run(t.Context())
		if c := checkOf(t, got, "disk space"); c.State != want || (err != nil) != (want == VerdictFail) {
			t.Errorf("%+v %v", c, err)
		}
	}
	d := doctorOf(nil)
	d.FreeDisk = func(string) (uint64, error) { return 0, errors.New("x") }
	if got, _ := d.Run(t.Context()); checkOf(t, got, "disk space").State != VerdictUnknown {
		t.Error("unreadable space is known")
	}
}

func TestEngineDoctorOnCompose(t *testing.T) {
	d := doctorOf(nil)
	d.Compose = func(context.Context) (string, error) {
		return "", &fault.Error{What: "only docker-compose 1.29", Next: "build one"}
	}
	got, err := d.Run(t.Context())
	if c := checkOf(t, got, "compose"); c.State != VerdictWarn || c.Detail != "only docker-compose 1.29" || c.Next != "build one" || err != nil {
		t.Errorf("%+v %v", c, err)
	}
}

func TestEngineDoctorOnProxies(t *testing.T) {
	d := doctorOf(nil)
	d.Env = func(name string) (string, bool) { return "http://u:canary@p", name == "https_proxy" }
	got, _ := d.Run(t.Context())
	if c := checkOf(t, got, "proxy"); c.State != VerdictOK || c.Detail != "https_proxy set here" {
		t.Errorf("%+v", c)
	}
	d = doctorOf(func(_ *docker.Info, _ *Facts, at *docker.Endpoint) { at.Host = "tcp://10.0.0.1:2375" })
	d.Env = func(name string) (string, bool) { return "http://u:canary@p", name == "https_proxy" }
	got, _ = d.Run(t.Context())
	if c := checkOf(t, got, "proxy"); c.State != VerdictWarn || strings.Contains(c.Detail, "canary") {
		t.Errorf("%+v", c)
	}
}

func TestEngineDoctorWithoutAnEngine(t *testing.T) {
	for cause, name := range map[docker.Cause]string{docker.CauseAbsent: "engine", docker.CauseStopped: "engine", docker.CausePermission: "access", docker.CauseContext: "endpoint",
		docker.CauseTLS: "endpoint", docker.CauseSSH: "endpoint", docker.CauseRemote: "endpoint", docker.CauseVersion: "api", docker.CauseTimeout: "engine"} {
		d := doctorOf(func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.GroupActive, f.Dockerd = false, "" })
		d.Connect = func(context.Context) (Engine, error) {
			return nil, upFailure(cause, "unix:///var/run/docker.sock", "default")
		}
		got, err := d.Run(t.Context())
		if fault.CodeOf(err) != fault.NoEngine || got.Engine != nil {
			t.Errorf("%s: %v", cause, err)
		}
		if c := checkOf(t, got, name); c.State != VerdictFail || c.Next == "" {
			t.Errorf("%s: %+v", cause, c)
		}
		if c := checkOf(t, got, "time"); c.State != VerdictUnknown {
			t.Errorf("%+v", c)
		}
		if c := checkOf(t, got, "machine"); c.State != VerdictWarn || c.Next != "mage engine:up" {
			t.Errorf("%+v", c)
		}
		for _, c := range got.Checks {
			if strings.Contains(c.Next, "newgrp") != (c.Name == "docker group" || c.Name == "access") {
				t.Errorf("%s: %+v", cause, c)
			}
		}
	}
}

func TestEngineDoctorOnAccess(t *testing.T) {
	d := doctorOf(func(_ *docker.Info, f *Facts, _ *docker.Endpoint) { f.GroupActive, f.GroupListed = false, false })
	d.Connect = func(context.Context) (Engine, error) {
		return nil, upFailure(docker.CausePermission, "unix:///var/run/docker.sock", "default")
	}
	got, _ := d.Run(t.Context())
	if c := checkOf(t, got, "access"); !strings.Contains(c.Next, "usermod -aG docker ann") {
		t.Errorf("%+v", c)
	}
	d.Look = func(context.Context) Facts { return Facts{OS: "linux"} }
	got, _ = d.Run(t.Context())
	if c := checkOf(t, got, "access"); c.Next != "the way out of permission" {
		t.Errorf("%+v", c)
	}
}

func TestEngineDoctorWhenTheEngineGoes(t *testing.T) {
	d := doctorOf(nil)
	d.Connect = func(context.Context) (Engine, error) {
		return upEngine{err: upFailure(docker.CauseGone, "unix:///x", "default")}, nil
	}
	got, err := d.Run(t.Context())
	if c := checkOf(t, got, "engine"); c.State != VerdictFail || fault.CodeOf(err) != fault.NoEngine {
		t.Errorf("%+v %v", c, err)
	}
	d.Connect = func(context.Context) (Engine, error) {
		return nil, &fault.Error{Code: fault.Interrupted, What: "stopped"}
	}
	if got, err := d.Run(t.Context()); fault.CodeOf(err) != fault.Interrupted || len(got.Checks) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestEngineDoctorWithoutPorts(t *testing.T) {
	d := doctorOf(func(_ *docker.Info, f *Facts, at *docker.Endpoint) { f.OS, at.Remote = "darwin", true })
	d.FreeDisk, d.Compose, d.Env, d.Now = nil, nil, nil, nil
	got, _ := d.Run(t.Context())
	for _, c := range got.Checks {
		if c.Name == "compose" || c.Name == "proxy" || c.Name == "disk space" || c.Name == "iptables" || c.Name == "docker group" {
			t.Errorf("%+v", c)
		}
	}
}
