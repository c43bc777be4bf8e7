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

// Verdict is what a check came to.
type Verdict string

// The verdicts.
const (
	VerdictOK      Verdict = "ok"
	VerdictWarn    Verdict = "warn"    // works, but not as well or as safely as it should
	VerdictFail    Verdict = "fail"    // does not work
	VerdictUnknown Verdict = "unknown" // could not be looked at
)

// Check is one thing that engine:doctor looked at.
type Check struct {
	Name   string  `json:"name"`
	State  Verdict `json:"state"`
	Detail string  `json:"detail"`
	Next   string  `json:"next,omitempty"`
}

// Doctor examines the engine and the way to it. Connect and Look are
// needed; a check whose port is nil is left out.
type Doctor struct {
	Connect  func(context.Context) (Engine, error)
	Look     func(context.Context) Facts
	FreeDisk func(path string) (uint64, error)               // on this machine
	Compose  func(context.Context) (version string, e error) // the Compose that stack:up would use
	Env      func(name string) (string, bool)                // for proxy settings
	Now      func() time.Time                                // nil: time.Now
}

// DoctorResult holds all checks, in an order that goes from the way to
// the engine to what is around it.
type DoctorResult struct {
	Endpoint docker.Endpoint `json:"endpoint"`
	Engine   *docker.Info    `json:"engine,omitempty"`
	System   string          `json:"system"`
	Checks   []Check         `json:"checks"`
}

// examination collects checks.
type examination struct {
	doctor Doctor
	facts  Facts
	at     docker.Endpoint
	info   *docker.Info // nil without an engine
	took   time.Duration
	checks []Check
}

// Run makes all checks. Its error is of class NoEngine without an engine,
// Invalid when a check failed; the result is complete in both cases.
func (d Doctor) Run(ctx context.Context) (DoctorResult, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	x := &examination{doctor: d, facts: d.Look(ctx)}
	missing := x.connect(ctx)
	if missing != nil && fault.CodeOf(missing) == fault.Interrupted {
		return DoctorResult{}, missing
	}
	x.engine()
	x.machine(ctx)
	result := DoctorResult{Endpoint: x.at, Engine: x.info, System: x.facts.Pretty, Checks: x.checks}
	if missing != nil {
		return result, missing
	}
	return result, result.verdict()
}

// verdict is the error that failed checks come to.
func (r DoctorResult) verdict() error {
	var findings []fault.Finding
	for _, c := range r.Checks {
		if c.State == VerdictFail {
			findings = append(findings, fault.Finding{Subject: c.Name, Problem: c.Detail, Next: c.Next})
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "the engine answers, but not all is well with it", Findings: findings}
}

// note adds a check.
func (x *examination) note(name string, state Verdict, next, format string, args ...any) {
	if state == VerdictOK {
		next = ""
	}
	x.checks = append(x.checks, Check{Name: name, State: state, Detail: fmt.Sprintf(format, args...), Next: next})
}

// connect makes the checks on the way to the engine. Where that ends, its
// error says why.
func (x *examination) connect(ctx context.Context) error {
	engine, err := x.doctor.Connect(ctx)
	if err != nil {
		x.unreachable(err)
		return err
	}
	defer func() { _ = engine.Close() }()
	x.at = engine.Endpoint()
	x.note("endpoint", VerdictOK, "", "%s, chosen by %s", x.at.Host, x.at.Source)
	if x.at.Remote {
		x.checks[0].State, x.checks[0].Detail = VerdictWarn, x.checks[0].Detail+": another machine, where files of this one cannot be mounted"
		x.checks[0].Next = "docker context use default, to work with this machine's engine"
	}
	began := x.doctor.Now()
	info, err := engine.Info(ctx)
	if err != nil {
		x.unreachable(err)
		return err
	}
	x.info, x.took = &info, x.doctor.Now().Sub(began)
	x.note("access", VerdictOK, "", "%s may use it", x.who())
	x.note("engine", VerdictOK, "", "%s on %s", info.ServerVersion, info.OperatingSystem)
	return nil
}

// unreachable turns the failure to connect into the check that it belongs to.
func (x *examination) unreachable(err error) {
	next := ""
	var told *fault.Error
	if errors.As(err, &told) {
		next = told.Next
	}
	name := "engine"
	var why *docker.Failure
	if errors.As(err, &why) {
		x.at = why.Endpoint
		switch why.Cause {
		case docker.CausePermission:
			name, next = "access", x.accessNext(next)
		case docker.CauseContext, docker.CauseAddress, docker.CauseRemote, docker.CauseTLS, docker.CauseSSH:
			name = "endpoint"
		case docker.CauseVersion:
			name = "api"
		}
	}
	x.note(name, VerdictFail, next, "%s", firstLine(err))
}

// accessNext is the way out for a user whom the socket denies access.
func (x *examination) accessNext(otherwise string) string {
	f := x.facts
	switch {
	case f.GroupListed && !f.GroupActive:
		return "you are in the group docker, but not in this session: log in again, or newgrp docker"
	case f.GroupExists && !f.GroupListed:
		return "sudo usermod -aG docker " + f.User + ", then log in again (its members are as mighty as root); or use sudo"
	}
	return otherwise
}

func (x *examination) who() string {
	if x.facts.User == "" {
		return "this user"
	}
	return x.facts.User
}

// engine makes the checks on what the engine says about itself.
func (x *examination) engine() {
	for _, check := range []struct {
		name string
		look func(name string, info docker.Info)
	}{
		{"api", x.api}, {"architecture", x.architecture}, {"storage driver", x.storage}, {"disk space", x.disk},
		{"cgroups", x.cgroups}, {"users", x.users}, {"time", x.clock}, {"swarm", x.swarm}, {"engine proxy", x.engineProxy},
	} {
		if x.info != nil {
			check.look(check.name, *x.info)
		} else if !slices.ContainsFunc(x.checks, func(c Check) bool { return c.Name == check.name }) {
			x.note(check.name, VerdictUnknown, "", "not looked at: no engine answers")
		}
	}
}

func (x *examination) api(name string, info docker.Info) {
	x.note(name, VerdictOK, "", "%s is spoken with it", info.APIVersion)
}

func (x *examination) architecture(name string, info docker.Info) {
	state := VerdictOK
	if info.Arch != "amd64" && info.Arch != "arm64" {
		state = VerdictWarn
	}
	x.note(name, state, "keepmum's images are tried on amd64 and arm64 only", "%s/%s, %d cpus, %s", info.OS, info.Arch, info.CPUs, size(uint64(max(0, info.Memory))))
}

func (x *examination) storage(name string, info docker.Info) {
	state, more := VerdictOK, ""
	switch info.StorageDriver {
	case "vfs":
		state, more = VerdictWarn, ": it copies every layer, which costs time and space"
	case "devicemapper", "aufs", "overlay":
		state, more = VerdictWarn, ": newer engines no longer know it"
	}
	x.note(name, state, "set \"storage-driver\" in /etc/docker/daemon.json to overlay2, or fuse-overlayfs; images must be built again", "%s%s", info.StorageDriver, more)
}

// The space that a build of all images and a database need, and what leaves
// some room.
const (
	leastDisk = 1 << 30
	roomyDisk = 4 << 30
)

func (x *examination) disk(name string, info docker.Info) {
	if x.doctor.FreeDisk == nil {
		return
	}
	if x.at.Remote || x.facts.OS != "linux" {
		x.note(name, VerdictUnknown, "", "not looked at: the engine's disk is not this machine's")
		return
	}
	free, err := x.doctor.FreeDisk(info.RootDir)
	next := "docker system df shows what takes it; docker system prune frees what is not used"
	switch {
	case err != nil:
		x.note(name, VerdictUnknown, "", "%s cannot be looked at by %s", info.RootDir, x.who())
	case free < leastDisk:
		x.note(name, VerdictFail, next, "%s free in %s: too little to build the images", size(free), info.RootDir)
	case free < roomyDisk:
		x.note(name, VerdictWarn, next, "%s free in %s", size(free), info.RootDir)
	default:
		x.note(name, VerdictOK, "", "%s free in %s", size(free), info.RootDir)
	}
}

func (x *examination) cgroups(name string, info docker.Info) {
	version := info.CgroupVersion
	if version == "" {
		version = "1"
	}
	detail, next := fmt.Sprintf("version %s, driver %s", version, info.CgroupDriver), "docker info shows the engine's warnings"
	state := VerdictOK
	if info.CgroupDriver == "none" {
		state, next = VerdictWarn, "give a rootless engine cgroup version 2 and systemd"
		detail += ": limits of memory and cpu do not hold"
	}
	for _, warning := range info.Warnings {
		if strings.Contains(warning, "limit support") || strings.Contains(warning, "cgroup") {
			state, detail = VerdictWarn, detail+"; "+strings.ToLower(strings.TrimPrefix(warning, "WARNING: "))
		}
	}
	x.note(name, state, next, "%s", detail)
}

// users tells how user ids in containers relate to those of files: the modes
// of secret files depend on it.
func (x *examination) users(name string, info docker.Info) {
	switch {
	case info.Rootless:
		x.note(name, VerdictWarn, "stack:up proves that each service can read its secrets", "rootless: user ids in containers are others than those of files here")
	case info.UsernsRemap:
		x.note(name, VerdictWarn, "stack:up proves that each service can read its secrets", "userns-remap: user ids in containers are others than those of files here")
	case info.SELinux:
		x.note(name, VerdictOK, "", "the same as here; SELinux labels decide too what a container can read")
	default:
		x.note(name, VerdictOK, "", "the same as here")
	}
}

// clock compares the engine's clock with ours. The answer was on its way for
// as long as the call took.
func (x *examination) clock(name string, info docker.Info) {
	if info.Time.IsZero() {
		x.note(name, VerdictUnknown, "", "the engine does not tell its time")
		return
	}
	skew := x.doctor.Now().Sub(info.Time).Abs()
	next := "set both clocks by NTP (timedatectl set-ntp true)"
	switch {
	case skew > 5*time.Minute+x.took:
		x.note(name, VerdictFail, next, "the engine's clock and ours are %s apart: certificates and ages come out wrong", skew.Round(time.Second))
	case skew > 5*time.Second+x.took:
		x.note(name, VerdictWarn, next, "the engine's clock and ours are %s apart", skew.Round(time.Second))
	default:
		x.note(name, VerdictOK, "", "the engine's clock agrees with ours")
	}
}

func (x *examination) swarm(name string, info docker.Info) {
	s := info.Swarm
	switch {
	case s.State == "active" && s.Manager:
		x.note(name, VerdictOK, "", "manager")
	case s.State == "active":
		x.note(name, VerdictOK, "", "worker: deploy through a manager")
	case s.State == "error" || s.State == "locked" || s.State == "pending":
		x.note(name, VerdictWarn, "docker swarm unlock, or docker info for its error", "%s", s.State)
	default:
		x.note(name, VerdictOK, "", "not in a Swarm; only deploying needs one")
	}
}

func (x *examination) engineProxy(name string, info docker.Info) {
	if len(info.Proxies) == 0 {
		x.note(name, VerdictOK, "", "the engine uses none")
		return
	}
	x.note(name, VerdictOK, "", "the engine has %s set", strings.Join(info.Proxies, ", "))
}

// machine makes the checks on what is around the engine here.
func (x *examination) machine(ctx context.Context) {
	x.installation()
	x.iptables()
	x.group()
	x.proxy()
	if x.doctor.Compose == nil {
		return
	}
	version, err := x.doctor.Compose(ctx)
	if err != nil {
		next := "install the compose plugin of Docker"
		var told *fault.Error
		if errors.As(err, &told) && told.Next != "" {
			next = told.Next
		}
		x.note("compose", VerdictWarn, next, "%s", firstLine(err))
		return
	}
	x.note("compose", VerdictOK, "", "%s", version)
}

// here reports whether the engine is, or would be, this machine's own.
func (x *examination) here() bool {
	return x.facts.OS == "linux" && !x.at.Remote && (x.at.Source == "default" || x.at.Source == "" || localSocket(x.at.Host))
}

func (x *examination) installation() {
	f := x.facts
	parts := []string{f.Pretty, "init " + f.Init}
	if f.Init == "" {
		parts = parts[:1]
	}
	if f.WSL {
		parts = append(parts, "WSL")
	}
	if f.Container != "" {
		parts = append(parts, "in a container ("+f.Container+")")
	}
	state, next := VerdictOK, ""
	switch {
	case f.Dockerd != "" && f.Package != "":
		parts = append(parts, "engine from "+f.Package)
	case f.Dockerd != "":
		parts = append(parts, "engine "+f.Dockerd)
	case x.info == nil:
		state, next = VerdictWarn, "mage engine:up"
		parts = append(parts, "no engine installed")
	}
	if f.Service != "" {
		parts = append(parts, "service "+f.Service)
	}
	if f.Service == "masked" || f.Service == "failed" {
		state, next = VerdictWarn, "systemctl status docker; journalctl -u docker -n 50"
	}
	x.note("machine", state, next, "%s", strings.Join(parts, ", "))
}

func (x *examination) iptables() {
	if !x.here() {
		return
	}
	if x.facts.Iptables == "" {
		x.note("iptables", VerdictWarn, "install the package iptables, then restart the engine", "not found: the engine cannot publish ports without it")
		return
	}
	if x.info != nil {
		for _, warning := range x.info.Warnings {
			if strings.Contains(warning, "iptables") {
				x.note("iptables", VerdictWarn, "modprobe br_netfilter", "%s", strings.ToLower(strings.TrimPrefix(warning, "WARNING: ")))
				return
			}
		}
	}
	x.note("iptables", VerdictOK, "", "%s", x.facts.Iptables)
}

func (x *examination) group() {
	if !x.here() {
		return
	}
	f := x.facts
	switch {
	case f.Root:
		x.note("docker group", VerdictOK, "", "not needed: this is root")
	case f.GroupActive:
		x.note("docker group", VerdictOK, "", "%s is in it", x.who())
	case f.GroupListed:
		x.note("docker group", VerdictWarn, "log in again, or newgrp docker", "%s is in it, but this session is older", x.who())
	case f.GroupExists:
		x.note("docker group", VerdictWarn, "sudo usermod -aG docker "+f.User+", then log in again; its members are as mighty as root", "%s is not in it", x.who())
	default:
		x.note("docker group", VerdictWarn, "it comes with the engine's package", "there is none")
	}
}

// proxy names our own proxy settings. Their text may hold a password.
func (x *examination) proxy() {
	if x.doctor.Env == nil {
		return
	}
	var set []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if value, ok := x.doctor.Env(name); ok && value != "" {
			set = append(set, name)
		}
	}
	switch {
	case len(set) == 0:
		x.note("proxy", VerdictOK, "", "none is set here")
	case strings.HasPrefix(x.at.Host, "tcp://") && !slices.Contains(set, "NO_PROXY") && !slices.Contains(set, "no_proxy"):
		x.note("proxy", VerdictWarn, "put the engine's host into NO_PROXY", "%s set here: calls to %s go through it", strings.Join(set, ", "), x.at.Host)
	default:
		x.note("proxy", VerdictOK, "", "%s set here", strings.Join(set, ", "))
	}
}

// size is a number of bytes for a person.
func size(n uint64) string {
	const unit = 1 << 30
	if n >= unit {
		return fmt.Sprintf("%.1f GiB", float64(n)/unit)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
