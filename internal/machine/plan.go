package machine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/ops/host"
)

// daemonLog is where a daemon without an init system writes.
const daemonLog = "/var/log/dockerd.log"

// Plan returns how an engine comes to a machine with these facts. It is pure.
func (m *Machine) Plan(f host.Facts) host.Plan {
	p := host.Plan{System: f.Pretty}
	switch f.OS {
	case "linux":
	case "darwin":
		p.Manual = []string{
			"macOS cannot run an engine itself; install one of these, then start it:",
			"  Docker Desktop: brew install --cask docker, then open -a Docker",
			"  Colima:         brew install colima docker, then colima start",
		}
		return p
	case "windows":
		p.Manual = []string{
			"install Docker Desktop: winget install Docker.DockerDesktop, then start it with Linux containers;",
			"or work inside WSL 2 (wsl --install) and run mage engine:up there",
		}
		return p
	default:
		p.Manual = []string{"there is no Docker engine for " + f.OS + ": set DOCKER_HOST to one on another machine"}
		return p
	}
	p.Start = start(f)
	p.Fallback = fallback(p.Start)
	if f.Package == "podman-docker" {
		p.Manual = append(p.Manual, "the package podman-docker provides the docker command here: remove it first, or start podman's socket (systemctl enable --now podman.socket) and set DOCKER_HOST to it")
	}
	if f.Container != "" {
		p.Manual = append(p.Manual, "this is a container ("+f.Container+"): an engine in it needs at least the capabilities SYS_ADMIN and NET_ADMIN, and writable cgroups")
	}
	if f.WSL && f.Init != "systemd" {
		p.Manual = append(p.Manual, "this is WSL without systemd: the engine must be started again after each restart of WSL, unless /etc/wsl.conf has [boot] systemd=true")
	}
	install(&p, f)
	return p
}

// family returns the known distribution whose commands work here, or "".
func family(f host.Facts) string {
	for _, id := range append([]string{f.Distribution}, f.Like...) {
		switch id {
		case "debian", "ubuntu", "fedora", "rhel", "arch", "alpine", "suse":
			return id
		case "centos", "rocky", "almalinux", "ol":
			return "rhel"
		case "opensuse", "sles":
			return "suse"
		}
		if strings.HasPrefix(id, "opensuse-") {
			return "suse"
		}
	}
	return ""
}

// install adds the commands that install the distribution's engine.
func install(p *host.Plan, f host.Facts) {
	const last = "install the distribution's engine"
	step := func(why, busy string, args ...string) {
		p.Install = append(p.Install, host.Step{Args: args, Why: why, Busy: busy, Deadline: 20 * time.Minute})
	}
	switch family(f) {
	case "debian", "ubuntu":
		p.Automatic = f.Distribution == "debian" || f.Distribution == "ubuntu"
		if f.DpkgBroken {
			step("finish an interrupted installation", "lock", "dpkg", "--configure", "-a")
		}
		step("read the package lists", "lock", "apt-get", "-q", "update")
		step(last, "", append([]string{ // waits for the lock without help
			"apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "install", "--no-install-recommends"}, debianPackages(f)...)...)
	case "fedora":
		step(last, "", "dnf", "install", "-y", "moby-engine")
	case "rhel":
		p.Manual = append(p.Manual, "the engine is not in this distribution: add Docker's own repository as https://docs.docker.com/engine/install/ describes, then install docker-ce")
	case "arch":
		step(last, "", "pacman", "-S", "--needed", "docker")
	case "alpine":
		step(last, "", "apk", "add", "docker")
	case "suse":
		step(last, "", "zypper", "install", "-y", "docker")
	default:
		p.Manual = append(p.Manual, "keepmum does not know this distribution: see https://docs.docker.com/engine/install/")
	}
}

// debianPackages returns the packages of the engine and of what it needs to run,
// without everything else that Debian recommends (a Python among it, 13 s of 26
// on a minimal system). Without apparmor's parser an engine on a kernel with
// AppArmor starts no container. Since Debian 13 the docker command is a separate
// package.
func debianPackages(f host.Facts) []string {
	packages := []string{"docker.io", "iptables", "ca-certificates", "apparmor"}
	major, _, _ := strings.Cut(f.Version, ".")
	if n, err := strconv.Atoi(major); f.Distribution == "debian" && (err != nil || n >= 13) {
		packages = append(packages, "docker-cli")
	}
	return packages
}

// start returns the commands that start an installed engine here.
func start(f host.Facts) []host.Step {
	one := func(why string, args ...string) host.Step {
		return host.Step{Args: args, Why: why, Deadline: 2 * time.Minute}
	}
	if f.Package == "snap" {
		return []host.Step{one("start the engine", "snap", "start", "--enable", "docker")}
	}
	switch f.Init {
	case "systemd":
		steps := []host.Step{one("start the engine, now and at boot", "systemctl", "enable", "--now", "docker")}
		if f.Service == "masked" {
			steps = append([]host.Step{one("allow the engine to start", "systemctl", "unmask", "docker.service", "docker.socket")}, steps...)
		}
		return steps
	case "openrc":
		return []host.Step{one("start the engine at boot", "rc-update", "add", "docker", "default"), one("start the engine", "rc-service", "docker", "start")}
	case "sysv":
		return []host.Step{one("start the engine", "service", "docker", "start")}
	}
	return []host.Step{{Why: "start the engine in the background", Args: []string{"dockerd"}, Background: true, Log: daemonLog}}
}

// fallback returns the command for a daemon that found no storage that it can
// use, nil if none is started here: vfs copies every layer, slowly, and works
// anywhere.
func fallback(steps []host.Step) *host.Step {
	i := slices.IndexFunc(steps, func(step host.Step) bool { return step.Background })
	if i < 0 {
		return nil
	}
	step := steps[i]
	step.Args, step.Why = append(slices.Clone(step.Args), "--storage-driver=vfs"), "start the engine with plain copies as storage"
	return &step
}
