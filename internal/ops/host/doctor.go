package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// Verdict is the outcome of a check.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // works, but not as well or as safely as it should
	Fail    Verdict = "fail"    // does not work
	Unknown Verdict = "unknown" // could not be checked
)

// Check is one thing that the doctor looked at.
type Check struct {
	Name   string  `json:"name"`
	State  Verdict `json:"state"`
	Detail string  `json:"detail"`
	Next   string  `json:"next,omitempty"` // what to do; "" if all is well
}

// DoctorResult has all checks: of the connection, the engine and this machine.
type DoctorResult struct {
	Endpoint docker.Endpoint `json:"endpoint"`
	Engine   *docker.Info    `json:"engine,omitempty"`
	System   string          `json:"system"`
	Checks   []Check         `json:"checks"`
}

// The disk space that a build of all images and a database need, and that which
// is comfortable.
const (
	leastDisk = 1 << 30
	roomyDisk = 4 << 30
)

// Clocks that differ by more get a warning, or fail.
const (
	someSkew = 5 * time.Second
	muchSkew = 5 * time.Minute
)

// Doctor makes all checks. Its error has the code NoEngine if no engine
// answers, Invalid if a check failed; the result is complete in both cases.
func (h *Host) Doctor(ctx context.Context) (DoctorResult, error) {
	s := h.look(ctx)
	if fault.CodeOf(s.missing) == fault.Interrupted {
		return DoctorResult{}, s.missing
	}
	result := DoctorResult{Endpoint: s.at, Engine: s.info, System: s.facts.Pretty, Checks: s.checks()}
	if s.missing != nil {
		return result, s.missing
	}
	return result, failures(result.Checks)
}

// failures returns the error for the checks that failed, nil if none did.
func failures(checks []Check) error {
	var findings []fault.Finding
	for _, c := range checks {
		if c.State == Fail {
			findings = append(findings, fault.Finding{Subject: c.Name, Problem: c.Detail, Next: c.Next})
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "the engine answers, but has problems", Findings: findings}
}

// seen is everything that the checks look at.
type seen struct {
	facts     Facts
	connected bool
	at        docker.Endpoint
	missing   error        // why no engine answers
	info      *docker.Info // nil if none does
	took      time.Duration
	skew      time.Duration // of the engine's clock to ours, when its answer came
	disk      uint64        // bytes
	noDisk    error
	proxies   []string // names of the settings here: their text may hold a password
}

// look collects everything that the checks look at.
func (h *Host) look(ctx context.Context) seen {
	s := seen{facts: h.Machine.Look(ctx)}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if value, _ := h.LookupEnv(name); value != "" {
			s.proxies = append(s.proxies, name)
		}
	}
	engine, err := h.Connect(ctx)
	if err != nil {
		s.missing = err
		var why *docker.Failure
		if errors.As(err, &why) {
			s.at = why.Endpoint
		}
		return s
	}
	defer func() { _ = engine.Close() }()
	s.connected, s.at = true, engine.Endpoint()
	begun := time.Now()
	info, err := engine.Info(ctx)
	if err != nil {
		s.missing = err
		return s
	}
	s.info, s.took, s.skew = &info, time.Since(begun), time.Until(info.Time).Abs()
	s.disk, s.noDisk = h.Machine.FreeDisk(info.RootDir)
	return s
}

// checks makes all checks, in the order of the result.
func (s seen) checks() []Check {
	checks := s.way()
	for _, check := range []struct {
		name  string
		judge func(name string, info docker.Info) Check
	}{
		{"api", api}, {"architecture", architecture}, {"storage driver", storage}, {"disk space", s.space},
		{"cgroups", cgroups}, {"users", users}, {"time", s.clock}, {"swarm", swarm}, {"engine proxy", engineProxy},
	} {
		switch {
		case s.info != nil:
			checks = append(checks, check.judge(check.name, *s.info))
		case checks[len(checks)-1].Name != check.name: // the engine's failure is about another check
			checks = append(checks, Check{Name: check.name, State: Unknown, Detail: "not checked: no engine answers"})
		}
	}
	checks = append(checks, s.machine())
	if s.here() {
		checks = append(checks, s.iptables(), s.group())
	}
	return append(checks, s.proxy())
}

// row is a possible outcome of a check.
type row struct {
	when   bool
	state  Verdict
	detail string
	next   string
}

// decide returns the outcome of the first row that applies; the last always does.
func decide(name string, rows ...row) Check {
	r := rows[slices.IndexFunc(rows, func(r row) bool { return r.when })]
	return Check{Name: name, State: r.state, Detail: r.detail, Next: r.next}
}

// way checks the connection to the engine, up to the first failure.
func (s seen) way() []Check {
	var checks []Check
	if chosen := s.at.Host + ", chosen by " + s.at.Source; s.connected {
		checks = append(checks, decide("endpoint",
			row{s.at.Remote, Warn, chosen + ": another machine, where files of this one cannot be mounted", "docker context use default, to work with this machine's engine"},
			row{true, OK, chosen, ""}))
	}
	if s.info == nil {
		return append(checks, s.unreachable())
	}
	return append(checks,
		Check{Name: "access", State: OK, Detail: s.who() + " may use it"},
		Check{Name: "engine", State: OK, Detail: s.info.ServerVersion + " on " + s.info.OperatingSystem})
}

// unreachable is the check that failed if no engine answers.
func (s seen) unreachable() Check {
	name, next := "engine", ""
	var e *fault.Error
	if errors.As(s.missing, &e) {
		next = e.Next
	}
	var why *docker.Failure
	if errors.As(s.missing, &why) {
		switch why.Cause {
		case docker.CausePermission:
			name, next = "access", s.accessNext(next)
		case docker.CauseContext, docker.CauseAddress, docker.CauseRemote, docker.CauseTLS, docker.CauseSSH:
			name = "endpoint"
		case docker.CauseVersion:
			name = "api"
		}
	}
	return Check{Name: name, State: Fail, Detail: firstLine(s.missing), Next: next}
}

// accessNext returns the next step for a user whom the socket denies access.
func (s seen) accessNext(otherwise string) string {
	switch f := s.facts; {
	case f.GroupListed && !f.GroupActive:
		return "you are in the group docker, but not in this session: log in again, or newgrp docker"
	case f.GroupExists && !f.GroupListed:
		return "sudo usermod -aG docker " + f.User + ", then log in again (its members can become root); or use sudo"
	}
	return otherwise
}

func (s seen) who() string { return cmp.Or(s.facts.User, "this user") }

func api(name string, info docker.Info) Check {
	return Check{Name: name, State: OK, Detail: "version " + info.APIVersion}
}

func architecture(name string, info docker.Info) Check {
	detail := fmt.Sprintf("%s/%s, %d cpus, %s", info.OS, info.Arch, info.CPUs, size(uint64(max(0, info.Memory))))
	return decide(name,
		row{info.Arch == "amd64" || info.Arch == "arm64", OK, detail, ""},
		row{true, Warn, detail, "keepmum's images are tested on amd64 and arm64 only"})
}

func storage(name string, info docker.Info) Check {
	driver, next := info.StorageDriver, "set \"storage-driver\" in /etc/docker/daemon.json to overlay2, or fuse-overlayfs; images must be built again"
	return decide(name,
		row{driver == "vfs", Warn, driver + ": it copies every layer, which costs time and space", next},
		row{slices.Contains([]string{"devicemapper", "aufs", "overlay"}, driver), Warn, driver + ": newer engines do not support it", next},
		row{true, OK, driver, ""})
}

func (s seen) space(name string, info docker.Info) Check {
	free, next := size(s.disk)+" free in "+info.RootDir, "docker system df shows what uses it; docker system prune frees unused data"
	return decide(name,
		row{s.at.Remote || s.facts.OS != "linux", Unknown, "not checked: the engine's disk is not this machine's", ""},
		row{s.noDisk != nil, Unknown, s.who() + " cannot look at " + info.RootDir, ""},
		row{s.disk < leastDisk, Fail, free + ": too little to build the images", next},
		row{s.disk < roomyDisk, Warn, free, next},
		row{true, OK, free, ""})
}

func cgroups(name string, info docker.Info) Check {
	c := Check{Name: name, State: OK, Detail: "version " + cmp.Or(info.CgroupVersion, "1") + ", driver " + info.CgroupDriver}
	if info.CgroupDriver == "none" {
		c.State, c.Next = Warn, "give a rootless engine cgroup version 2 and systemd"
		c.Detail += ": limits on memory and cpu have no effect"
	}
	for _, warning := range info.Warnings {
		if strings.Contains(warning, "limit support") || strings.Contains(warning, "cgroup") {
			c.State, c.Next = Warn, cmp.Or(c.Next, "docker info shows the engine's warnings")
			c.Detail += "; " + plain(warning)
		}
	}
	return c
}

// users checks how user ids in containers relate to those of files: the modes
// of secret files depend on it.
func users(name string, info docker.Info) Check {
	const next = "stack:up proves that each service can read its secrets"
	return decide(name,
		row{info.Rootless, Warn, "rootless: user ids in containers differ from those of files here", next},
		row{info.UsernsRemap, Warn, "userns-remap: user ids in containers differ from those of files here", next},
		row{info.SELinux, OK, "the same as here; SELinux labels also decide what a container can read", ""},
		row{true, OK, "the same as here", ""})
}

// clock compares the engine's clock with ours. The answer was on its way for
// as long as the call took.
func (s seen) clock(name string, info docker.Info) Check {
	apart, next := fmt.Sprintf("the engine's clock and ours are %s apart", s.skew.Round(time.Second)), "set both clocks by NTP (timedatectl set-ntp true)"
	return decide(name,
		row{info.Time.IsZero(), Unknown, "the engine does not report its time", ""},
		row{s.skew > muchSkew+s.took, Fail, apart + ": certificates and ages will be wrong", next},
		row{s.skew > someSkew+s.took, Warn, apart, next},
		row{true, OK, "the engine's clock agrees with ours", ""})
}

func swarm(name string, info docker.Info) Check {
	state := info.Swarm.State
	return decide(name,
		row{state == "active" && info.Swarm.Manager, OK, "manager", ""},
		row{state == "active", OK, "worker: deploy through a manager", ""},
		row{state == "error" || state == "locked" || state == "pending", Warn, state, "docker swarm unlock, or docker info for its error"},
		row{true, OK, "not in a Swarm; only deploying needs one", ""})
}

func engineProxy(name string, info docker.Info) Check {
	return decide(name,
		row{len(info.Proxies) == 0, OK, "the engine uses none", ""},
		row{true, OK, "the engine has " + strings.Join(info.Proxies, ", ") + " set", ""})
}

// here reports whether the engine is, or would be, this machine's own.
func (s seen) here() bool {
	return s.facts.OS == "linux" && !s.at.Remote && (s.at.Source == "default" || s.at.Source == "" || localSocket(s.at.Host))
}

// machine checks what is installed here.
func (s seen) machine() Check {
	f := s.facts
	var parts []string
	for _, part := range []row{
		{when: true, detail: f.Pretty},
		{when: f.Init != "", detail: "init " + f.Init},
		{when: f.WSL, detail: "WSL"},
		{when: f.Container != "", detail: "in a container (" + f.Container + ")"},
		{when: f.Dockerd != "" && f.Package != "", detail: "engine from " + f.Package},
		{when: f.Dockerd != "" && f.Package == "", detail: "engine " + f.Dockerd},
		{when: f.Dockerd == "" && s.info == nil, detail: "no engine installed"},
		{when: f.Service != "", detail: "service " + f.Service},
	} {
		if part.when {
			parts = append(parts, part.detail)
		}
	}
	detail := strings.Join(parts, ", ")
	return decide("machine",
		row{f.Service == "masked" || f.Service == "failed", Warn, detail, "systemctl status docker; journalctl -u docker -n 50"},
		row{f.Dockerd == "" && s.info == nil, Warn, detail, "mage engine:up"},
		row{true, OK, detail, ""})
}

func (s seen) iptables() Check {
	warning := ""
	if s.info != nil {
		if i := slices.IndexFunc(s.info.Warnings, func(w string) bool { return strings.Contains(w, "iptables") }); i >= 0 {
			warning = plain(s.info.Warnings[i])
		}
	}
	return decide("iptables",
		row{s.facts.Iptables == "", Warn, "not found: the engine cannot publish ports without it", "install the package iptables, then restart the engine"},
		row{warning != "", Warn, warning, "modprobe br_netfilter"},
		row{true, OK, s.facts.Iptables, ""})
}

func (s seen) group() Check {
	f := s.facts
	return decide("docker group",
		row{f.Root, OK, "not needed: this is root", ""},
		row{f.GroupActive, OK, s.who() + " is in it", ""},
		row{f.GroupListed, Warn, s.who() + " is in it, but this session is older", "log in again, or newgrp docker"},
		row{f.GroupExists, Warn, s.who() + " is not in it", "sudo usermod -aG docker " + f.User + ", then log in again; its members can become root"},
		row{true, Warn, "it does not exist", "it comes with the engine's package"})
}

// proxy checks our own proxy settings.
func (s seen) proxy() Check {
	set := strings.Join(s.proxies, ", ") + " set here"
	around := slices.Contains(s.proxies, "NO_PROXY") || slices.Contains(s.proxies, "no_proxy")
	return decide("proxy",
		row{len(s.proxies) == 0, OK, "none is set here", ""},
		row{strings.HasPrefix(s.at.Host, "tcp://") && !around, Warn, set + ": calls to " + s.at.Host + " go through it", "put the engine's host into NO_PROXY"},
		row{true, OK, set, ""})
}

// plain is an engine's warning as part of a sentence.
func plain(warning string) string {
	return strings.ToLower(strings.TrimPrefix(warning, "WARNING: "))
}

// size is a number of bytes for a person.
func size(n uint64) string {
	const unit = 1 << 30
	if n >= unit {
		return fmt.Sprintf("%.1f GiB", float64(n)/unit)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
