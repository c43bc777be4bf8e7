package host

import (
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
			checks = append(checks, Unknown.check(check.name, "", "not checked: no engine answers"))
		}
	}
	checks = append(checks, s.machine())
	if s.here() {
		checks = append(checks, s.iptables(), s.group())
	}
	return append(checks, s.proxy())
}

// check makes a check with this verdict. OK needs no next step.
func (v Verdict) check(name, next, format string, args ...any) Check {
	if v == OK {
		next = ""
	}
	return Check{Name: name, State: v, Detail: fmt.Sprintf(format, args...), Next: next}
}

// way checks the connection to the engine, up to the first failure.
func (s seen) way() []Check {
	var checks []Check
	switch {
	case s.connected && s.at.Remote:
		checks = append(checks, Warn.check("endpoint", "docker context use default, to work with this machine's engine",
			"%s, chosen by %s: another machine, where files of this one cannot be mounted", s.at.Host, s.at.Source))
	case s.connected:
		checks = append(checks, OK.check("endpoint", "", "%s, chosen by %s", s.at.Host, s.at.Source))
	}
	if s.info == nil {
		return append(checks, s.unreachable())
	}
	return append(checks,
		OK.check("access", "", "%s may use it", s.who()),
		OK.check("engine", "", "%s on %s", s.info.ServerVersion, s.info.OperatingSystem))
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
	return Fail.check(name, next, "%s", firstLine(s.missing))
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

func (s seen) who() string {
	if s.facts.User == "" {
		return "this user"
	}
	return s.facts.User
}

func api(name string, info docker.Info) Check {
	return OK.check(name, "", "version %s", info.APIVersion)
}

func architecture(name string, info docker.Info) Check {
	v := OK
	if info.Arch != "amd64" && info.Arch != "arm64" {
		v = Warn
	}
	return v.check(name, "keepmum's images are tested on amd64 and arm64 only", "%s/%s, %d cpus, %s", info.OS, info.Arch, info.CPUs, size(uint64(max(0, info.Memory))))
}

func storage(name string, info docker.Info) Check {
	v, more := OK, ""
	switch info.StorageDriver {
	case "vfs":
		v, more = Warn, ": it copies every layer, which costs time and space"
	case "devicemapper", "aufs", "overlay":
		v, more = Warn, ": newer engines do not support it"
	}
	return v.check(name, "set \"storage-driver\" in /etc/docker/daemon.json to overlay2, or fuse-overlayfs; images must be built again", "%s%s", info.StorageDriver, more)
}

func (s seen) space(name string, info docker.Info) Check {
	if s.at.Remote || s.facts.OS != "linux" {
		return Unknown.check(name, "", "not checked: the engine's disk is not this machine's")
	}
	next := "docker system df shows what uses it; docker system prune frees unused data"
	switch {
	case s.noDisk != nil:
		return Unknown.check(name, "", "%s cannot look at %s", s.who(), info.RootDir)
	case s.disk < leastDisk:
		return Fail.check(name, next, "%s free in %s: too little to build the images", size(s.disk), info.RootDir)
	case s.disk < roomyDisk:
		return Warn.check(name, next, "%s free in %s", size(s.disk), info.RootDir)
	}
	return OK.check(name, "", "%s free in %s", size(s.disk), info.RootDir)
}

func cgroups(name string, info docker.Info) Check {
	version := info.CgroupVersion
	if version == "" {
		version = "1"
	}
	v, next, detail := OK, "docker info shows the engine's warnings", fmt.Sprintf("version %s, driver %s", version, info.CgroupDriver)
	if info.CgroupDriver == "none" {
		v, next = Warn, "give a rootless engine cgroup version 2 and systemd"
		detail += ": limits on memory and cpu have no effect"
	}
	for _, warning := range info.Warnings {
		if strings.Contains(warning, "limit support") || strings.Contains(warning, "cgroup") {
			v, detail = Warn, detail+"; "+plain(warning)
		}
	}
	return v.check(name, next, "%s", detail)
}

// users checks how user ids in containers relate to those of files: the modes
// of secret files depend on it.
func users(name string, info docker.Info) Check {
	next := "stack:up proves that each service can read its secrets"
	switch {
	case info.Rootless:
		return Warn.check(name, next, "rootless: user ids in containers differ from those of files here")
	case info.UsernsRemap:
		return Warn.check(name, next, "userns-remap: user ids in containers differ from those of files here")
	case info.SELinux:
		return OK.check(name, "", "the same as here; SELinux labels also decide what a container can read")
	}
	return OK.check(name, "", "the same as here")
}

// clock compares the engine's clock with ours. The answer was on its way for
// as long as the call took.
func (s seen) clock(name string, info docker.Info) Check {
	next := "set both clocks by NTP (timedatectl set-ntp true)"
	switch {
	case info.Time.IsZero():
		return Unknown.check(name, "", "the engine does not report its time")
	case s.skew > muchSkew+s.took:
		return Fail.check(name, next, "the engine's clock and ours are %s apart: certificates and ages will be wrong", s.skew.Round(time.Second))
	case s.skew > someSkew+s.took:
		return Warn.check(name, next, "the engine's clock and ours are %s apart", s.skew.Round(time.Second))
	}
	return OK.check(name, "", "the engine's clock agrees with ours")
}

func swarm(name string, info docker.Info) Check {
	switch state := info.Swarm.State; {
	case state == "active" && info.Swarm.Manager:
		return OK.check(name, "", "manager")
	case state == "active":
		return OK.check(name, "", "worker: deploy through a manager")
	case state == "error" || state == "locked" || state == "pending":
		return Warn.check(name, "docker swarm unlock, or docker info for its error", "%s", state)
	}
	return OK.check(name, "", "not in a Swarm; only deploying needs one")
}

func engineProxy(name string, info docker.Info) Check {
	if len(info.Proxies) == 0 {
		return OK.check(name, "", "the engine uses none")
	}
	return OK.check(name, "", "the engine has %s set", strings.Join(info.Proxies, ", "))
}

// here reports whether the engine is, or would be, this machine's own.
func (s seen) here() bool {
	return s.facts.OS == "linux" && !s.at.Remote && (s.at.Source == "default" || s.at.Source == "" || localSocket(s.at.Host))
}

// machine checks what is installed here.
func (s seen) machine() Check {
	f, parts := s.facts, []string{s.facts.Pretty}
	add := func(part string, there bool) {
		if there {
			parts = append(parts, part)
		}
	}
	add("init "+f.Init, f.Init != "")
	add("WSL", f.WSL)
	add("in a container ("+f.Container+")", f.Container != "")
	v, next := OK, ""
	switch {
	case f.Dockerd != "" && f.Package != "":
		add("engine from "+f.Package, true)
	case f.Dockerd != "":
		add("engine "+f.Dockerd, true)
	case s.info == nil:
		v, next = Warn, "mage engine:up"
		add("no engine installed", true)
	}
	add("service "+f.Service, f.Service != "")
	if f.Service == "masked" || f.Service == "failed" {
		v, next = Warn, "systemctl status docker; journalctl -u docker -n 50"
	}
	return v.check("machine", next, "%s", strings.Join(parts, ", "))
}

func (s seen) iptables() Check {
	if s.facts.Iptables == "" {
		return Warn.check("iptables", "install the package iptables, then restart the engine", "not found: the engine cannot publish ports without it")
	}
	if s.info != nil {
		for _, warning := range s.info.Warnings {
			if strings.Contains(warning, "iptables") {
				return Warn.check("iptables", "modprobe br_netfilter", "%s", plain(warning))
			}
		}
	}
	return OK.check("iptables", "", "%s", s.facts.Iptables)
}

func (s seen) group() Check {
	const name = "docker group"
	switch f := s.facts; {
	case f.Root:
		return OK.check(name, "", "not needed: this is root")
	case f.GroupActive:
		return OK.check(name, "", "%s is in it", s.who())
	case f.GroupListed:
		return Warn.check(name, "log in again, or newgrp docker", "%s is in it, but this session is older", s.who())
	case f.GroupExists:
		return Warn.check(name, "sudo usermod -aG docker "+f.User+", then log in again; its members can become root", "%s is not in it", s.who())
	}
	return Warn.check(name, "it comes with the engine's package", "it does not exist")
}

// proxy checks our own proxy settings.
func (s seen) proxy() Check {
	const name = "proxy"
	set := strings.Join(s.proxies, ", ")
	switch {
	case set == "":
		return OK.check(name, "", "none is set here")
	case strings.HasPrefix(s.at.Host, "tcp://") && !slices.Contains(s.proxies, "NO_PROXY") && !slices.Contains(s.proxies, "no_proxy"):
		return Warn.check(name, "put the engine's host into NO_PROXY", "%s set here: calls to %s go through it", set, s.at.Host)
	}
	return OK.check(name, "", "%s set here", set)
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
