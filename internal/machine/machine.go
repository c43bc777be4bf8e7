// Package machine is the adapter to this machine: it implements [host.Machine].
//
// [Machine.Look] finds out the distribution, the init system, whether this is
// WSL, a container or root, and which engine is installed and how.
// [Machine.Plan] turns these facts into ordered commands; it is pure, so that
// each distribution is a row of a table test. [Machine.Run] runs one of them.
//
// Only Debian's and Ubuntu's own packages are installed automatically. For
// other systems the plan has commands and lines for a person. An installed
// engine is started on any Linux whose init system is known.
//
// Run builds no shell strings, passes only a few named environment variables to
// a child, and starts a daemon so that it outlives keepmum and keeps none of
// its streams open.
package machine

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/ops/host"
)

// Machine is a machine. [New] returns this one; tests set fields to another's.
type Machine struct {
	Root      fs.FS
	GOOS      string
	UID       int
	Groups    func() ([]int, error)
	LookPath  func(name string) (string, error)
	LookupEnv func(name string) (string, bool)
	User      string                                  // "" if it is not known
	Ask       func(context.Context, ...string) string // runs a command and returns its output, "" on failure

	mu     sync.Mutex
	daemon *daemon // the last that Run started
}

// New returns this machine.
func New() *Machine {
	m := &Machine{Root: os.DirFS("/"), GOOS: runtime.GOOS, UID: os.Getuid(), Groups: os.Getgroups, LookPath: exec.LookPath, LookupEnv: os.LookupEnv, Ask: ask}
	if u, err := user.Current(); err == nil {
		m.User = u.Username
	}
	return m
}

// Look finds out what the machine is. Facts that cannot be found out stay empty.
func (m *Machine) Look(ctx context.Context) host.Facts {
	f := host.Facts{OS: m.GOOS, Root: m.UID == 0, User: m.User, Dockerd: m.find("dockerd"), Docker: m.find("docker"), Iptables: m.find("iptables")}
	if f.OS != "linux" {
		f.Pretty = f.OS
		return f
	}
	release := m.release()
	f.Distribution, f.Version, f.Like, f.Pretty = release["ID"], release["VERSION_ID"], strings.Fields(release["ID_LIKE"]), cmp.Or(release["PRETTY_NAME"], "an unknown Linux")
	f.WSL = strings.Contains(strings.ToLower(m.read("proc/sys/kernel/osrelease")), "microsoft")
	f.Container = m.container()
	f.Init = m.init(f.WSL)
	f.Package = m.packaged(f.Dockerd)
	if f.Dockerd == "" && f.Package == "snap" {
		f.Dockerd = "/snap/bin/docker"
	}
	if f.Init == "systemd" && f.Dockerd != "" {
		f.Service = m.service(ctx)
	}
	m.group(&f)
	f.DpkgBroken = m.dpkgBroken()
	return f
}

// release reads os-release; its quotes are a shell's.
func (m *Machine) release() map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(cmp.Or(m.read("etc/os-release"), m.read("usr/lib/os-release"))) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		fields[name] = value
	}
	return fields
}

// container returns the kind of container that this is, "" if it is none.
func (m *Machine) container() string {
	switch {
	case m.exists(".dockerenv"):
		return "docker"
	case m.exists("run/.containerenv"):
		return "podman"
	}
	for field := range strings.SplitSeq(m.read("proc/1/environ"), "\x00") {
		if kind, ok := strings.CutPrefix(field, "container="); ok && kind != "" {
			return kind
		}
	}
	return ""
}

// init returns the system that starts services here.
func (m *Machine) init(wsl bool) string {
	first := strings.TrimSpace(m.read("proc/1/comm"))
	switch {
	case m.exists("run/systemd/system"):
		return "systemd"
	case m.exists("run/openrc"):
		return "openrc"
	case (first == "init" || first == "sysvinit" || wsl) && m.exists("etc/init.d"):
		return "sysv"
	}
	return "none"
}

// packaged returns the package that the engine came with, "" if that is unknown.
func (m *Machine) packaged(dockerd string) string {
	for _, name := range []string{"docker.io", "docker-ce", "moby-engine"} {
		if m.exists("var/lib/dpkg/info/" + name + ".list") {
			return name
		}
	}
	if m.exists("snap/docker/current") || strings.HasPrefix(dockerd, "/snap/") {
		return "snap"
	}
	if m.exists("var/lib/dpkg/info/podman-docker.list") {
		return "podman-docker"
	}
	return ""
}

// service returns systemd's state of the engine's unit; "masked" if it must not
// be started.
func (m *Machine) service(ctx context.Context) string {
	if m.Ask(ctx, "systemctl", "is-enabled", "docker.service") == "masked" {
		return "masked"
	}
	return m.Ask(ctx, "systemctl", "is-active", "docker.service")
}

// group looks for the group whose members may use the socket.
func (m *Machine) group(f *host.Facts) {
	for line := range strings.Lines(m.read("etc/group")) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[0] != "docker" {
			continue
		}
		f.GroupExists = true
		f.GroupListed = f.User != "" && slices.Contains(strings.Split(fields[3], ","), f.User)
		if id, err := strconv.Atoi(fields[2]); err == nil {
			ids, _ := m.Groups()
			f.GroupActive = slices.Contains(ids, id)
		}
	}
}

// dpkgBroken reports whether dpkg was interrupted: its journal is then left in
// updates, in files named by numbers.
func (m *Machine) dpkgBroken() bool {
	entries, _ := fs.ReadDir(m.Root, "var/lib/dpkg/updates")
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		_, err := strconv.Atoi(e.Name())
		return err == nil
	})
}

func (m *Machine) read(name string) string {
	data, _ := fs.ReadFile(m.Root, name)
	return string(data)
}

func (m *Machine) exists(name string) bool {
	_, err := fs.Stat(m.Root, name)
	return err == nil
}

// find looks for a program, also in the directories of root's programs, which a
// user's PATH often lacks.
func (m *Machine) find(name string) string {
	if full, err := m.LookPath(name); err == nil {
		return full
	}
	if m.GOOS != "linux" {
		return ""
	}
	for _, dir := range []string{"usr/sbin", "sbin", "usr/local/sbin", "usr/bin"} {
		if m.exists(path.Join(dir, name)) {
			return "/" + path.Join(dir, name)
		}
	}
	return ""
}

func ask(ctx context.Context, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, args[0], args[1:]...).Output() // is-active says "inactive" and fails
	return strings.TrimSpace(string(out))
}
