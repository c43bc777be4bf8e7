package machine_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/machine"
	"github.com/keepmum/keepmum/internal/ops/host"
)

// newMachine makes a fake one: files by path, programs by name.
func newMachine(files map[string]string, programs ...string) *machine.Machine {
	root := fstest.MapFS{}
	for path, text := range files {
		root[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return &machine.Machine{Root: root, GOOS: "linux", UID: 1000, User: "ann",
		Groups: func() ([]int, error) { return []int{1000}, nil },
		LookPath: func(name string) (string, error) {
			for _, one := range programs {
				if strings.HasSuffix(one, "/"+name) {
					return one, nil
				}
			}
			return "", exec.ErrNotFound
		},
		Ask: func(context.Context, ...string) string { return "" }}
}

const (
	debian12 = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"
	mint     = "# a comment\nID=linuxmint\nID_LIKE='ubuntu debian'\nPRETTY_NAME=\"Linux Mint 22\"\nVERSION_ID=22\nodd line\n"
)

func TestMachine_Look(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine *machine.Machine
		want    host.Facts
	}{
		{"a bare container", newMachine(map[string]string{"etc/os-release": debian12, ".dockerenv": "", "proc/1/comm": "bash\n"}),
			host.Facts{Distribution: "debian", Version: "12", Pretty: "Debian GNU/Linux 12 (bookworm)", Container: "docker", Init: "none"}},
		{"a derivative, with os-release elsewhere", newMachine(map[string]string{"usr/lib/os-release": mint, "run/systemd/system/x": ""}),
			host.Facts{Distribution: "linuxmint", Version: "22", Like: []string{"ubuntu", "debian"}, Pretty: "Linux Mint 22", Init: "systemd"}},
		{"nothing is known", newMachine(nil), host.Facts{Pretty: "an unknown Linux", Init: "none"}},
		{"WSL without systemd", newMachine(map[string]string{"etc/os-release": debian12, "proc/sys/kernel/osrelease": "5.15.1-microsoft-standard-WSL2\n", "etc/init.d/x": "", "proc/1/comm": "init(Debian)\n"}),
			host.Facts{Distribution: "debian", Version: "12", Pretty: "Debian GNU/Linux 12 (bookworm)", WSL: true, Init: "sysv"}},
		{"sysvinit", newMachine(map[string]string{"proc/1/comm": "init\n", "etc/init.d/x": ""}), host.Facts{Pretty: "an unknown Linux", Init: "sysv"}},
		{"openrc", newMachine(map[string]string{"run/openrc/x": ""}), host.Facts{Pretty: "an unknown Linux", Init: "openrc"}},
		{"podman", newMachine(map[string]string{"run/.containerenv": ""}), host.Facts{Pretty: "an unknown Linux", Init: "none", Container: "podman"}},
		{"lxc", newMachine(map[string]string{"proc/1/environ": "A=b\x00container=lxc\x00"}), host.Facts{Pretty: "an unknown Linux", Init: "none", Container: "lxc"}},
		{"an engine from Docker", newMachine(map[string]string{"var/lib/dpkg/info/docker-ce.list": ""}, "/usr/bin/dockerd", "/usr/bin/docker", "/usr/sbin/iptables"),
			host.Facts{Pretty: "an unknown Linux", Init: "none", Dockerd: "/usr/bin/dockerd", Docker: "/usr/bin/docker", Package: "docker-ce", Iptables: "/usr/sbin/iptables"}},
		{"programs that PATH lacks", newMachine(map[string]string{"usr/sbin/dockerd": "", "usr/sbin/iptables": "", "var/lib/dpkg/info/docker.io.list": ""}),
			host.Facts{Pretty: "an unknown Linux", Init: "none", Dockerd: "/usr/sbin/dockerd", Package: "docker.io", Iptables: "/usr/sbin/iptables"}},
		{"snap", newMachine(map[string]string{"snap/docker/current/x": ""}), host.Facts{Pretty: "an unknown Linux", Init: "none", Dockerd: "/snap/bin/docker", Package: "snap"}},
		{"podman's docker command", newMachine(map[string]string{"var/lib/dpkg/info/podman-docker.list": ""}, "/usr/bin/docker"),
			host.Facts{Pretty: "an unknown Linux", Init: "none", Docker: "/usr/bin/docker", Package: "podman-docker"}},
		{"interrupted dpkg", newMachine(map[string]string{"var/lib/dpkg/updates/0001": ""}), host.Facts{Pretty: "an unknown Linux", Init: "none", DpkgBroken: true}},
		{"dpkg at rest", newMachine(map[string]string{"var/lib/dpkg/updates/tmp.i": ""}), host.Facts{Pretty: "an unknown Linux", Init: "none"}},
		{"group, not a member", newMachine(map[string]string{"etc/group": "root:x:0:\ndocker:x:102:bob,annabel\n"}), host.Facts{Pretty: "an unknown Linux", Init: "none", GroupExists: true}},
		{"group, a member", newMachine(map[string]string{"etc/group": "docker:x:102:bob,ann\n"}), host.Facts{Pretty: "an unknown Linux", Init: "none", GroupExists: true, GroupListed: true}},
		{"group of this process", newMachine(map[string]string{"etc/group": "short\ndocker:x:1000:\n"}), host.Facts{Pretty: "an unknown Linux", Init: "none", GroupExists: true, GroupActive: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.OS, c.want.User = "linux", "ann"
			if diff := cmp.Diff(c.want, c.machine.Look(t.Context()), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMachine_LookAsksSystemd(t *testing.T) {
	for enabled, want := range map[string]string{"enabled": "inactive", "masked": "masked"} {
		m := newMachine(map[string]string{"run/systemd/system/x": ""}, "/usr/bin/dockerd")
		m.Ask = func(_ context.Context, args ...string) string {
			if args[0] != "systemctl" || args[2] != "docker.service" {
				t.Errorf("asked %q", args)
			}
			return map[string]string{"is-enabled": enabled, "is-active": "inactive"}[args[1]]
		}
		if got := m.Look(t.Context()).Service; got != want {
			t.Errorf("%s: %q", enabled, got)
		}
	}
}

func TestMachine_LookOnOtherSystems(t *testing.T) {
	for _, goos := range []string{"darwin", "windows", "freebsd"} {
		m := newMachine(map[string]string{"etc/os-release": debian12, "usr/sbin/dockerd": ""})
		m.GOOS, m.UID = goos, 0
		if got := m.Look(t.Context()); got.OS != goos || got.Distribution != "" || got.Dockerd != "" || !got.Root {
			t.Errorf("%+v", got)
		}
	}
}

// TestMachine_LookHere asks the machine that the test runs on.
func TestMachine_LookHere(t *testing.T) {
	facts := machine.New().Look(t.Context())
	if facts.OS == "" || facts.Pretty == "" || facts.User == "" {
		t.Errorf("%+v", facts)
	}
	if facts.OS == "linux" && facts.Init == "" {
		t.Errorf("%+v", facts)
	}
}

func TestPlan(t *testing.T) {
	const apt = "apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends docker.io iptables ca-certificates apparmor"
	for _, c := range []struct {
		name      string
		facts     host.Facts
		automatic bool
		commands  string // install, then start, joined
		manual    string
	}{
		{"Debian with systemd", host.Facts{Distribution: "debian", Version: "12", Init: "systemd"}, true, "apt-get -q update; " + apt + "; systemctl enable --now docker", ""},
		{"Debian 13", host.Facts{Distribution: "debian", Version: "13", Init: "systemd"}, true, "apt-get -q update; " + apt + " docker-cli; systemctl enable --now docker", ""},
		{"Debian unstable", host.Facts{Distribution: "debian", Init: "systemd"}, true, "apt-get -q update; " + apt + " docker-cli; systemctl enable --now docker", ""},
		{"Ubuntu", host.Facts{Distribution: "ubuntu", Version: "24.04", Like: []string{"debian"}, Init: "systemd"}, true, "apt-get -q update; " + apt + "; systemctl enable --now docker", ""},
		{"a bare container", host.Facts{Distribution: "debian", Version: "12", Init: "none", Container: "docker"}, true,
			"apt-get -q update; " + apt + "; setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 &", "this is a container (docker)"},
		{"WSL", host.Facts{Distribution: "debian", Version: "12", Init: "sysv", WSL: true}, true, "apt-get -q update; " + apt + "; service docker start", "systemd=true"},
		{"after an interruption", host.Facts{Distribution: "debian", Version: "12", Init: "sysv", DpkgBroken: true}, true, "dpkg --configure -a; apt-get -q update; " + apt + "; service docker start", ""},
		{"Mint", host.Facts{Distribution: "linuxmint", Version: "22", Like: []string{"ubuntu", "debian"}, Init: "systemd"}, false, "apt-get -q update; " + apt + "; systemctl enable --now docker", ""},
		{"Fedora", host.Facts{Distribution: "fedora", Init: "systemd"}, false, "dnf install -y moby-engine; systemctl enable --now docker", ""},
		{"Rocky", host.Facts{Distribution: "rocky", Like: []string{"rhel", "centos", "fedora"}, Init: "systemd"}, false, "systemctl enable --now docker", "docs.docker.com"},
		{"Arch", host.Facts{Distribution: "arch", Init: "systemd"}, false, "pacman -S --needed docker; systemctl enable --now docker", ""},
		{"Alpine", host.Facts{Distribution: "alpine", Init: "openrc"}, false, "apk add docker; rc-update add docker default; rc-service docker start", ""},
		{"openSUSE", host.Facts{Distribution: "opensuse-leap", Init: "systemd"}, false, "zypper install -y docker; systemctl enable --now docker", ""},
		{"SLES", host.Facts{Distribution: "sles", Init: "systemd"}, false, "zypper install -y docker; systemctl enable --now docker", ""},
		{"unknown", host.Facts{Distribution: "void", Init: "none"}, false, "setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 &", "does not know this distribution"},
		{"masked", host.Facts{Distribution: "debian", Version: "12", Init: "systemd", Dockerd: "/d", Service: "masked"}, true,
			"apt-get -q update; " + apt + "; systemctl unmask docker.service docker.socket; systemctl enable --now docker", ""},
		{"snap", host.Facts{Distribution: "ubuntu", Version: "24.04", Init: "systemd", Package: "snap"}, true, "apt-get -q update; " + apt + "; snap start --enable docker", ""},
		{"podman-docker", host.Facts{Distribution: "debian", Version: "12", Init: "systemd", Package: "podman-docker"}, true, "apt-get -q update; " + apt + "; systemctl enable --now docker", "remove it first"},
		{"macOS", host.Facts{OS: "darwin"}, false, "", "Colima"},
		{"Windows", host.Facts{OS: "windows"}, false, "", "Docker Desktop"},
		{"FreeBSD", host.Facts{OS: "freebsd"}, false, "", "no Docker engine for freebsd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.facts.OS == "" {
				c.facts.OS = "linux"
			}
			plan := machine.New().Plan(c.facts)
			var lines []string
			for _, step := range append(plan.Install, plan.Start...) {
				lines = append(lines, step.String())
				if waits := step.Args[0] == "dpkg" || strings.HasSuffix(step.String(), " update"); waits != (step.Busy == "lock") {
					t.Errorf("%s: another program at work is %q", step, step.Busy)
				}
				if step.Why == "" || (step.Deadline == 0) != step.Background {
					t.Errorf("%+v", step)
				}
			}
			if got := strings.Join(lines, "; "); got != c.commands || plan.Automatic != c.automatic {
				t.Errorf("automatic %v: %s\nwant %s", plan.Automatic, got, c.commands)
			}
			manual := strings.Join(plan.Manual, "\n")
			if !strings.Contains(manual, c.manual) || (c.manual == "") != (manual == "") {
				t.Errorf("%q", manual)
			}
			if (plan.Fallback != nil) != strings.Contains(c.commands, "setsid") {
				t.Errorf("fallback %v", plan.Fallback)
			}
		})
	}
}

func TestMachine_PlanFallsBackToVFS(t *testing.T) {
	plan := machine.New().Plan(host.Facts{OS: "linux", Init: "none"})
	if got := strings.Join(plan.Fallback.Args, " "); got != "dockerd --storage-driver=vfs" || len(plan.Start[0].Args) != 1 || plan.Fallback.Log != plan.Start[0].Log {
		t.Errorf("%s, %v", got, plan.Start[0].Args)
	}
}

func TestMachine_RunRefuses(t *testing.T) {
	m := newMachine(nil)
	if err := m.Run(t.Context(), host.Step{}, fault.Quiet{}); err == nil {
		t.Error("ran nothing")
	}
	if err := m.Run(t.Context(), host.Step{Args: []string{"none"}}, fault.Quiet{}); err == nil || err.Error() != "none: not found" {
		t.Errorf("%v", err)
	}
	if err := m.Ended(); err != nil {
		t.Error(err)
	}
	if errors.Is(m.Run(t.Context(), host.Step{Args: []string{"none"}, Background: true}, fault.Quiet{}), exec.ErrNotFound) {
		t.Error("a raw error")
	}
}
