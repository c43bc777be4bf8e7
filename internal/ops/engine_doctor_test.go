package ops

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

var doctorNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// doctorOf is an examination of a good engine on a good machine.
func doctorOf(change func(info *EngineInfo, facts *HostFacts, at *EngineEndpoint)) EngineDoctor {
	info := EngineInfo{ServerVersion: "28.5", APIVersion: "1.51", OS: "linux", Arch: "amd64", StorageDriver: "overlay2", CgroupDriver: "systemd",
		CgroupVersion: "2", RootDir: "/var/lib/docker", CPUs: 2, Memory: 4 << 30, Time: doctorNow, Swarm: EngineSwarm{State: "inactive"}}
	facts := HostFacts{OS: "linux", Pretty: "Debian", Init: "systemd", User: "ann", Dockerd: "/usr/bin/dockerd", Package: "docker.io", Iptables: "/usr/sbin/iptables", GroupExists: true, GroupListed: true, GroupActive: true}
	at := EngineEndpoint{Host: "unix:///var/run/docker.sock", Source: "default"}
	if change != nil {
		change(&info, &facts, &at)
	}
	return EngineDoctor{
		Connect:  func(context.Context) (EnginePort, error) { return upEngine{info: info, at: at}, nil },
		Look:     func(context.Context) HostFacts { return facts },
		FreeDisk: func(string) (uint64, error) { return 10 << 30, nil },
		Compose:  func(context.Context) (string, error) { return "v2.40", nil },
		Env:      func(string) (string, bool) { return "", false },
		Now:      func() time.Time { return doctorNow },
	}
}

// checkOf is the one check of that name.
func checkOf(t *testing.T, r EngineDoctorResult, name string) EngineCheck {
	t.Helper()
	var found []EngineCheck
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
	type change = func(info *EngineInfo, facts *HostFacts, at *EngineEndpoint)
	for _, c := range []struct {
		name   string
		change change
		check  string
		state  Verdict
		says   string
	}{
		{"remote", func(_ *EngineInfo, _ *HostFacts, at *EngineEndpoint) { at.Remote = true }, "endpoint", VerdictWarn, "another machine"},
		{"odd architecture", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Arch = "s390x" }, "architecture", VerdictWarn, "linux/s390x"},
		{"vfs", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.StorageDriver = "vfs" }, "storage driver", VerdictWarn, "copies every layer"},
		{"aufs", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.StorageDriver = "aufs" }, "storage driver", VerdictWarn, "no longer know it"},
		{"disk elsewhere", func(_ *EngineInfo, _ *HostFacts, at *EngineEndpoint) { at.Remote = true }, "disk space", VerdictUnknown, "not this machine's"},
		{"rootless limits", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.CgroupDriver = "none" }, "cgroups", VerdictWarn, "do not hold"},
		{"cgroups 1", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.CgroupVersion = "" }, "cgroups", VerdictOK, "version 1"},
		{"no swap limit", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) {
			i.Warnings = []string{"WARNING: No swap limit support"}
		}, "cgroups", VerdictWarn, "no swap limit support"},
		{"rootless", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Rootless = true }, "users", VerdictWarn, "rootless"},
		{"userns", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.UsernsRemap = true }, "users", VerdictWarn, "userns-remap"},
		{"SELinux", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.SELinux = true }, "users", VerdictOK, "SELinux"},
		{"clock late", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Time = doctorNow.Add(-10 * time.Second) }, "time", VerdictWarn, "10s apart"},
		{"clock early", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Time = doctorNow.Add(10 * time.Minute) }, "time", VerdictFail, "10m0s apart"},
		{"clock a little late", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Time = doctorNow.Add(-4 * time.Second) }, "time", VerdictOK, "agrees"},
		{"no clock", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Time = time.Time{} }, "time", VerdictUnknown, "does not tell"},
		{"manager", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) {
			i.Swarm = EngineSwarm{State: "active", Manager: true}
		}, "swarm", VerdictOK, "manager"},
		{"worker", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Swarm = EngineSwarm{State: "active"} }, "swarm", VerdictOK, "worker"},
		{"locked", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Swarm = EngineSwarm{State: "locked"} }, "swarm", VerdictWarn, "locked"},
		{"engine's proxy", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) { i.Proxies = []string{"HTTP_PROXY"} }, "engine proxy", VerdictOK, "HTTP_PROXY"},
		{"no iptables", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.Iptables = "" }, "iptables", VerdictWarn, "cannot publish ports"},
		{"no bridge filter", func(i *EngineInfo, _ *HostFacts, _ *EngineEndpoint) {
			i.Warnings = []string{"WARNING: bridge-nf-call-iptables is disabled"}
		}, "iptables", VerdictWarn, "bridge-nf-call-iptables is disabled"},
		{"root", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.Root, f.GroupActive = true, false }, "docker group", VerdictOK, "root"},
		{"old session", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.GroupActive = false }, "docker group", VerdictWarn, "session is older"},
		{"no member", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.GroupActive, f.GroupListed = false, false }, "docker group", VerdictWarn, "ann is not in it"},
		{"no group", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) {
			f.GroupActive, f.GroupListed, f.GroupExists = false, false, false
		}, "docker group", VerdictWarn, "there is none"},
		{"masked", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.Service = "masked" }, "machine", VerdictWarn, "service masked"},
		{"WSL", func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) {
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
			if want := check.State == VerdictFail; want != (ClassOf(err) == Invalid) || !want && err != nil {
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
		return "", &Error{What: "only docker-compose 1.29", Next: "build one"}
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
	d = doctorOf(func(_ *EngineInfo, _ *HostFacts, at *EngineEndpoint) { at.Host = "tcp://10.0.0.1:2375" })
	d.Env = func(name string) (string, bool) { return "http://u:canary@p", name == "https_proxy" }
	got, _ = d.Run(t.Context())
	if c := checkOf(t, got, "proxy"); c.State != VerdictWarn || strings.Contains(c.Detail, "canary") {
		t.Errorf("%+v", c)
	}
}

func TestEngineDoctorWithoutAnEngine(t *testing.T) {
	for cause, name := range map[EngineCause]string{CauseAbsent: "engine", CauseStopped: "engine", CausePermission: "access", CauseContext: "endpoint",
		CauseTLS: "endpoint", CauseSSH: "endpoint", CauseRemote: "endpoint", CauseVersion: "api", CauseTimeout: "engine"} {
		d := doctorOf(func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.GroupActive, f.Dockerd = false, "" })
		d.Connect = func(context.Context) (EnginePort, error) {
			return nil, upFailure(cause, "unix:///var/run/docker.sock", "default")
		}
		got, err := d.Run(t.Context())
		if ClassOf(err) != NoEngine || got.Engine != nil {
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
	d := doctorOf(func(_ *EngineInfo, f *HostFacts, _ *EngineEndpoint) { f.GroupActive, f.GroupListed = false, false })
	d.Connect = func(context.Context) (EnginePort, error) {
		return nil, upFailure(CausePermission, "unix:///var/run/docker.sock", "default")
	}
	got, _ := d.Run(t.Context())
	if c := checkOf(t, got, "access"); !strings.Contains(c.Next, "usermod -aG docker ann") {
		t.Errorf("%+v", c)
	}
	d.Look = func(context.Context) HostFacts { return HostFacts{OS: "linux"} }
	got, _ = d.Run(t.Context())
	if c := checkOf(t, got, "access"); c.Next != "the way out of permission" {
		t.Errorf("%+v", c)
	}
}

func TestEngineDoctorWhenTheEngineGoes(t *testing.T) {
	d := doctorOf(nil)
	d.Connect = func(context.Context) (EnginePort, error) {
		return upEngine{err: upFailure(CauseGone, "unix:///x", "default")}, nil
	}
	got, err := d.Run(t.Context())
	if c := checkOf(t, got, "engine"); c.State != VerdictFail || ClassOf(err) != NoEngine {
		t.Errorf("%+v %v", c, err)
	}
	d.Connect = func(context.Context) (EnginePort, error) { return nil, &Error{Class: Interrupted, What: "stopped"} }
	if got, err := d.Run(t.Context()); ClassOf(err) != Interrupted || len(got.Checks) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestEngineDoctorWithoutPorts(t *testing.T) {
	d := doctorOf(func(_ *EngineInfo, f *HostFacts, at *EngineEndpoint) { f.OS, at.Remote = "darwin", true })
	d.FreeDisk, d.Compose, d.Env, d.Now = nil, nil, nil, nil
	got, _ := d.Run(t.Context())
	for _, c := range got.Checks {
		if c.Name == "compose" || c.Name == "proxy" || c.Name == "disk space" || c.Name == "iptables" || c.Name == "docker group" {
			t.Errorf("%+v", c)
		}
	}
}
