package host

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// patient is what a doctor finds: a good engine on a good machine, unless it is
// changed.
type patient struct {
	engine  fakeEngine
	machine fakeMachine
	connect error
	env     map[string]string
}

func newPatient() *patient {
	return &patient{
		engine: fakeEngine{at: docker.Endpoint{Host: socket, Source: "default"}, info: docker.Info{
			ServerVersion: "28.5", APIVersion: "1.51", OperatingSystem: "Debian 12", OS: "linux", Arch: "amd64", StorageDriver: "overlay2", CgroupDriver: "systemd",
			CgroupVersion: "2", RootDir: "/var/lib/docker", CPUs: 2, Memory: 4 << 30, Time: time.Now(), Swarm: docker.Swarm{State: "inactive"}}},
		machine: fakeMachine{disk: 10 << 30, facts: Facts{OS: "linux", Pretty: "Debian", Init: "systemd", User: "ann", Dockerd: "/usr/bin/dockerd", Package: "docker.io",
			Iptables: "/usr/sbin/iptables", GroupExists: true, GroupListed: true, GroupActive: true}},
	}
}

// examine runs the doctor and requires that every trouble has a way out.
func (p *patient) examine(t *testing.T) (DoctorResult, error) {
	t.Helper()
	connect := answering(p.engine)
	if p.connect != nil {
		connect = refusing(p.connect)
	}
	got, err := New(Config{Connect: connect, Machine: &p.machine, LookupEnv: func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }}).Doctor(t.Context())
	for _, c := range got.Checks {
		if trouble := c.State == Warn || c.State == Fail; trouble != (c.Next != "") {
			t.Errorf("%+v", c)
		}
	}
	return got, err
}

// the returns the one check of that name.
func the(t *testing.T, r DoctorResult, name string) Check {
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

func TestDoctor_FindsAllWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, closed := newPatient(), 0
		p.engine.closed = &closed
		got, err := p.examine(t)
		if err != nil || got.Engine == nil || got.Engine.ServerVersion != "28.5" || got.Endpoint.Source != "default" || got.System != "Debian" || closed != 1 {
			t.Fatalf("%+v %v, closed %d times", got, err, closed)
		}
		var lines []string
		for _, c := range got.Checks {
			if c.State != OK {
				t.Errorf("%+v", c)
			}
			lines = append(lines, c.Name+": "+c.Detail)
		}
		want := `endpoint: unix:///var/run/docker.sock, chosen by default
access: ann may use it
engine: 28.5 on Debian 12
api: version 1.51
architecture: linux/amd64, 2 cpus, 4.0 GiB
storage driver: overlay2
disk space: 10.0 GiB free in /var/lib/docker
cgroups: version 2, driver systemd
users: the same as here
time: the engine's clock agrees with ours
swarm: not in a Swarm; only deploying needs one
engine proxy: the engine uses none
machine: Debian, init systemd, engine from docker.io
iptables: /usr/sbin/iptables
docker group: ann is in it
proxy: none is set here`
		if text := strings.Join(lines, "\n"); text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
		if p.machine.looked != "/var/lib/docker" {
			t.Errorf("the space of %s", p.machine.looked)
		}
	})
}

func TestDoctor_Findings(t *testing.T) {
	const (
		gib     = 1 << 30
		usermod = "sudo usermod -aG docker ann, then log in again; its members can become root"
		driver  = "set \"storage-driver\" in /etc/docker/daemon.json to overlay2, or fuse-overlayfs; images must be built again"
		ntp     = "set both clocks by NTP (timedatectl set-ntp true)"
		prune   = "docker system df shows what uses it; docker system prune frees unused data"
		proves  = "stack:up proves that each service can read its secrets"
		unlock  = "docker swarm unlock, or docker info for its error"
		journal = "systemctl status docker; journalctl -u docker -n 50"
	)
	warnings := func(lines ...string) func(*patient) {
		return func(p *patient) { p.engine.info.Warnings = lines }
	}
	clock := func(late, delay time.Duration) func(*patient) {
		return func(p *patient) {
			p.engine.info.Time, p.engine.delay = p.engine.info.Time.Add(delay-late), delay
		}
	}
	facts := func(change func(*Facts)) func(*patient) {
		return func(p *patient) { change(&p.machine.facts) }
	}
	info := func(change func(*docker.Info)) func(*patient) {
		return func(p *patient) { change(&p.engine.info) }
	}
	for _, c := range []struct {
		name   string
		change func(*patient)
		check  string
		state  Verdict
		detail string
		next   string
	}{
		{"a remote engine", func(p *patient) { p.engine.at.Remote = true }, "endpoint", Warn, socket + ", chosen by default: another machine, where files of this one cannot be mounted", "docker context use default, to work with this machine's engine"},
		{"a user without a name", facts(func(f *Facts) { f.User = "" }), "access", OK, "this user may use it", ""},

		{"arm64", info(func(i *docker.Info) { i.Arch = "arm64" }), "architecture", OK, "linux/arm64, 2 cpus, 4.0 GiB", ""},
		{"an odd architecture", info(func(i *docker.Info) { i.Arch, i.Memory = "s390x", 512<<20 }), "architecture", Warn, "linux/s390x, 2 cpus, 512 MiB", "keepmum's images are tested on amd64 and arm64 only"},
		{"an engine that does not know its memory", info(func(i *docker.Info) { i.Memory = -1 }), "architecture", OK, "linux/amd64, 2 cpus, 0 MiB", ""},

		{"vfs", info(func(i *docker.Info) { i.StorageDriver = "vfs" }), "storage driver", Warn, "vfs: it copies every layer, which costs time and space", driver},
		{"aufs", info(func(i *docker.Info) { i.StorageDriver = "aufs" }), "storage driver", Warn, "aufs: newer engines do not support it", driver},

		{"a full disk", func(p *patient) { p.machine.disk = gib - 1 }, "disk space", Fail, "1023 MiB free in /var/lib/docker: too little to build the images", prune},
		{"just enough space", func(p *patient) { p.machine.disk = gib }, "disk space", Warn, "1.0 GiB free in /var/lib/docker", prune},
		{"little space", func(p *patient) { p.machine.disk = 4*gib - 1 }, "disk space", Warn, "4.0 GiB free in /var/lib/docker", prune},
		{"roomy", func(p *patient) { p.machine.disk = 4 * gib }, "disk space", OK, "4.0 GiB free in /var/lib/docker", ""},
		{"space that is not known", func(p *patient) { p.machine.noDisk = errors.New("denied") }, "disk space", Unknown, "ann cannot look at /var/lib/docker", ""},
		{"a disk elsewhere", func(p *patient) { p.engine.at.Remote = true }, "disk space", Unknown, "not checked: the engine's disk is not this machine's", ""},
		{"a disk in a virtual machine", facts(func(f *Facts) { f.OS = "darwin" }), "disk space", Unknown, "not checked: the engine's disk is not this machine's", ""},

		{"limits without effect", info(func(i *docker.Info) { i.CgroupDriver = "none" }), "cgroups", Warn, "version 2, driver none: limits on memory and cpu have no effect", "give a rootless engine cgroup version 2 and systemd"},
		{"cgroups 1", info(func(i *docker.Info) { i.CgroupVersion = "" }), "cgroups", OK, "version 1, driver systemd", ""},
		{"warnings about limits", warnings("WARNING: No swap limit support", "WARNING: cgroup v1 is old", "WARNING: other"), "cgroups", Warn, "version 2, driver systemd; no swap limit support; cgroup v1 is old", "docker info shows the engine's warnings"},

		{"rootless", info(func(i *docker.Info) { i.Rootless = true }), "users", Warn, "rootless: user ids in containers differ from those of files here", proves},
		{"userns", info(func(i *docker.Info) { i.UsernsRemap = true }), "users", Warn, "userns-remap: user ids in containers differ from those of files here", proves},
		{"SELinux", info(func(i *docker.Info) { i.SELinux = true }), "users", OK, "the same as here; SELinux labels also decide what a container can read", ""},

		{"no clock", info(func(i *docker.Info) { i.Time = time.Time{} }), "time", Unknown, "the engine does not report its time", ""},
		{"a little late", clock(5*time.Second, 0), "time", OK, "the engine's clock agrees with ours", ""},
		{"late", clock(5*time.Second+1, 0), "time", Warn, "the engine's clock and ours are 5s apart", ntp},
		{"late by a slow answer only", clock(7*time.Second, 2*time.Second), "time", OK, "the engine's clock agrees with ours", ""},
		{"late by more than its answer", clock(7*time.Second+1, 2*time.Second), "time", Warn, "the engine's clock and ours are 7s apart", ntp},
		{"five minutes early", clock(-5*time.Minute, 0), "time", Warn, "the engine's clock and ours are 5m0s apart", ntp},
		{"much too early", clock(-5*time.Minute-time.Second, 0), "time", Fail, "the engine's clock and ours are 5m1s apart: certificates and ages will be wrong", ntp},
		{"much too late, for a slow answer", clock(5*time.Minute+3*time.Second, 2*time.Second), "time", Fail, "the engine's clock and ours are 5m3s apart: certificates and ages will be wrong", ntp},
		{"not much too late, for a slow answer", clock(5*time.Minute+time.Second, 2*time.Second), "time", Warn, "the engine's clock and ours are 5m1s apart", ntp},

		{"a manager", info(func(i *docker.Info) { i.Swarm = docker.Swarm{State: "active", Manager: true} }), "swarm", OK, "manager", ""},
		{"a worker", info(func(i *docker.Info) { i.Swarm = docker.Swarm{State: "active"} }), "swarm", OK, "worker: deploy through a manager", ""},
		{"locked", info(func(i *docker.Info) { i.Swarm = docker.Swarm{State: "locked"} }), "swarm", Warn, "locked", unlock},
		{"pending", info(func(i *docker.Info) { i.Swarm = docker.Swarm{State: "pending"} }), "swarm", Warn, "pending", unlock},
		{"broken", info(func(i *docker.Info) { i.Swarm = docker.Swarm{State: "error"} }), "swarm", Warn, "error", unlock},
		{"the engine's proxy", info(func(i *docker.Info) { i.Proxies = []string{"HTTP_PROXY", "NO_PROXY"} }), "engine proxy", OK, "the engine has HTTP_PROXY, NO_PROXY set", ""},

		{"masked", facts(func(f *Facts) { f.Service = "masked" }), "machine", Warn, "Debian, init systemd, engine from docker.io, service masked", journal},
		{"failed", facts(func(f *Facts) { f.Service = "failed" }), "machine", Warn, "Debian, init systemd, engine from docker.io, service failed", journal},
		{"active", facts(func(f *Facts) { f.Service = "active" }), "machine", OK, "Debian, init systemd, engine from docker.io, service active", ""},
		{"WSL", facts(func(f *Facts) { f.WSL, f.Container, f.Package = true, "docker", "" }), "machine", OK, "Debian, init systemd, WSL, in a container (docker), engine /usr/bin/dockerd", ""},
		{"an engine that is not installed", facts(func(f *Facts) { f.Dockerd, f.Init = "", "" }), "machine", OK, "Debian", ""},

		{"no iptables", facts(func(f *Facts) { f.Iptables = "" }), "iptables", Warn, "not found: the engine cannot publish ports without it", "install the package iptables, then restart the engine"},
		{"no bridge filter", warnings("WARNING: other", "WARNING: bridge-nf-call-iptables is disabled"), "iptables", Warn, "bridge-nf-call-iptables is disabled", "modprobe br_netfilter"},

		{"root", facts(func(f *Facts) { f.Root, f.GroupActive = true, false }), "docker group", OK, "not needed: this is root", ""},
		{"an old session", facts(func(f *Facts) { f.GroupActive = false }), "docker group", Warn, "ann is in it, but this session is older", "log in again, or newgrp docker"},
		{"not a member", facts(func(f *Facts) { f.GroupActive, f.GroupListed = false, false }), "docker group", Warn, "ann is not in it", usermod},
		{"no group", facts(func(f *Facts) { f.GroupActive, f.GroupListed, f.GroupExists = false, false, false }), "docker group", Warn, "it does not exist", "it comes with the engine's package"},

		{"a proxy", func(p *patient) { p.env = map[string]string{"https_proxy": "http://u:canary@p", "HTTP_PROXY": ""} }, "proxy", OK, "https_proxy set here", ""},
		{"a proxy before the engine", func(p *patient) {
			p.env, p.engine.at.Host = map[string]string{"https_proxy": "http://u:canary@p"}, "tcp://10.0.0.1:2375"
		}, "proxy", Warn, "https_proxy set here: calls to tcp://10.0.0.1:2375 go through it", "put the engine's host into NO_PROXY"},
		{"a proxy, not for the engine", func(p *patient) {
			p.env, p.engine.at.Host = map[string]string{"HTTPS_PROXY": "http://p", "no_proxy": "10.0.0.1"}, "tcp://10.0.0.1:2375"
		}, "proxy", OK, "HTTPS_PROXY, no_proxy set here", ""},
		{"a proxy, not for the engine, in capitals", func(p *patient) {
			p.env, p.engine.at.Host = map[string]string{"HTTP_PROXY": "http://p", "NO_PROXY": "10.0.0.1"}, "tcp://10.0.0.1:2375"
		}, "proxy", OK, "HTTP_PROXY, NO_PROXY set here", ""},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := newPatient()
			c.change(p)
			got, err := p.examine(t)
			check := the(t, got, c.check)
			if want := (Check{c.check, c.state, c.detail, c.next}); check != want {
				t.Errorf("got  %+v\nwant %+v", check, want)
			}
			for _, other := range got.Checks {
				if strings.Contains(other.Detail, "canary") {
					t.Errorf("%s shows a proxy's password", other.Name)
				}
			}
			var e *fault.Error
			if c.state != Fail {
				if err != nil {
					t.Errorf("%v", err)
				}
			} else if !errors.As(err, &e) || e.Code != fault.Invalid || len(e.Findings) != 1 || e.Findings[0] != (fault.Finding{Subject: c.check, Problem: c.detail, Next: c.next}) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// What belongs to this machine's own engine is checked only if that is meant.
func TestDoctor_ChecksTheMachineOfItsEngine(t *testing.T) {
	for _, c := range []struct {
		name string
		at   docker.Endpoint
		os   string
		here bool
	}{
		{"the default", docker.Endpoint{Host: "unix:///x", Source: "default"}, "linux", true},
		{"the default socket by name", docker.Endpoint{Host: "unix:///run/docker.sock", Source: "DOCKER_HOST"}, "linux", true},
		{"not known", docker.Endpoint{}, "linux", true},
		{"another socket", docker.Endpoint{Host: "unix:///x", Source: "DOCKER_HOST"}, "linux", false},
		{"another machine", docker.Endpoint{Host: "ssh://x", Source: "default", Remote: true}, "linux", false},
		{"in a virtual machine", docker.Endpoint{Host: socket, Source: "default"}, "darwin", false},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := newPatient()
			p.engine.at, p.machine.facts.OS = c.at, c.os
			got, _ := p.examine(t)
			checked := 0
			for _, check := range got.Checks {
				if check.Name == "iptables" || check.Name == "docker group" {
					checked++
				}
			}
			if want := map[bool]int{true: 2}[c.here]; checked != want || len(got.Checks) != 14+want {
				t.Errorf("%d checks of it among %d", checked, len(got.Checks))
			}
		})
	}
}

func TestDoctor_WithoutAnEngine(t *testing.T) {
	for cause, name := range map[docker.Cause]string{docker.CauseAbsent: "engine", docker.CauseStopped: "engine", docker.CausePermission: "access", docker.CauseContext: "endpoint", docker.CauseAddress: "endpoint",
		docker.CauseTLS: "endpoint", docker.CauseSSH: "endpoint", docker.CauseRemote: "endpoint", docker.CauseVersion: "api", docker.CauseTimeout: "engine"} {
		p := newPatient()
		p.machine.facts.GroupActive, p.machine.facts.Dockerd, p.connect = false, "", failure(cause, socket, "default")
		got, err := p.examine(t)
		if fault.CodeOf(err) != fault.NoEngine || got.Engine != nil || got.Endpoint.Host != socket {
			t.Errorf("%s: %+v %v", cause, got.Endpoint, err)
		}
		next := "the way out of " + string(cause)
		if cause == docker.CausePermission {
			next = "you are in the group docker, but not in this session: log in again, or newgrp docker"
		}
		if c := the(t, got, name); c != (Check{name, Fail, "no engine: " + string(cause), next}) || got.Checks[0] != c {
			t.Errorf("%s: %+v", cause, c)
		}
		unknown := 0
		for _, c := range got.Checks {
			if c.State == Unknown && c.Detail == "not checked: no engine answers" {
				unknown++
			}
		}
		if want := map[bool]int{true: 8, false: 9}[name == "api"]; unknown != want {
			t.Errorf("%s: %d checks were not made, want %d", cause, unknown, want)
		}
		if c := the(t, got, "machine"); c != (Check{"machine", Warn, "Debian, init systemd, no engine installed", "mage engine:up"}) {
			t.Errorf("%+v", c)
		}
		if c := the(t, got, "iptables"); c.State != OK {
			t.Errorf("%+v", c)
		}
	}
}

func TestDoctor_ShowsTheWayToAccess(t *testing.T) {
	for _, c := range []struct {
		facts Facts
		next  string
	}{
		{Facts{OS: "linux", User: "ann", GroupExists: true}, "sudo usermod -aG docker ann, then log in again (its members can become root); or use sudo"},
		{Facts{OS: "linux", User: "ann", GroupExists: true, GroupListed: true}, "you are in the group docker, but not in this session: log in again, or newgrp docker"},
		{Facts{OS: "linux", User: "ann", GroupExists: true, GroupListed: true, GroupActive: true}, "the way out of permission"},
		{Facts{OS: "linux"}, "the way out of permission"},
	} {
		p := newPatient()
		p.machine.facts, p.connect = c.facts, failure(docker.CausePermission, socket, "default")
		got, _ := p.examine(t)
		if check := the(t, got, "access"); check.Next != c.next {
			t.Errorf("%+v: %s", c.facts, check.Next)
		}
	}
}

func TestDoctor_EngineGoesAway(t *testing.T) {
	p, closed := newPatient(), 0
	p.engine.err, p.engine.closed = failure(docker.CauseGone, socket, "default"), &closed
	got, err := p.examine(t)
	if fault.CodeOf(err) != fault.NoEngine || got.Engine != nil || closed != 1 || p.machine.looked != "" {
		t.Errorf("%+v %v, closed %d times, looked at %q", got, err, closed, p.machine.looked)
	}
	if first, second := got.Checks[0], got.Checks[1]; first.Name != "endpoint" || first.State != OK || second != (Check{"engine", Fail, "no engine: gone", "the way out of gone"}) {
		t.Errorf("%+v %+v", first, second)
	}
}

func TestDoctor_Interrupted(t *testing.T) {
	stopped := &fault.Error{Code: fault.Interrupted, What: "stopped"}
	p := newPatient()
	p.connect = stopped
	if got, err := p.examine(t); fault.CodeOf(err) != fault.Interrupted || got.Checks != nil || got.System != "" {
		t.Errorf("%+v %v", got, err)
	}
	p = newPatient()
	p.engine.err = stopped
	if got, err := p.examine(t); fault.CodeOf(err) != fault.Interrupted || got.Checks != nil {
		t.Errorf("%+v %v", got, err)
	}
}
