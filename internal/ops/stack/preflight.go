package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// HostPorts tells about this machine's ports.
type HostPorts interface {
	// Holder tells whether a port is taken, and by whom as far as that can be
	// known: "" for a holder that cannot be named.
	Holder(ctx context.Context, ip, port, protocol string) (holder string, taken bool, err error)
}

// ports reports published ports that somebody else holds. A service of this
// project that runs holds its own.
func (u Up) ports(ctx context.Context, m *manifest.Manifest, running map[string]bool, remote bool) ([]fault.Finding, error) {
	if u.Ports == nil || remote {
		return nil, nil
	}
	var findings []fault.Finding
	for _, service := range m.Services {
		if running[service.Name] {
			continue
		}
		for _, port := range service.Ports {
			if !regexp.MustCompile(`^[0-9]+$`).MatchString(port.Published) {
				continue // any, or a range: the engine chooses
			}
			holder, taken, err := u.Ports.Holder(ctx, port.HostIP, port.Published, port.Protocol)
			if err != nil {
				return nil, err
			}
			if !taken {
				continue
			}
			f := fault.Finding{File: m.File, Line: service.PortsLine, Subject: service.Name, Problem: "port " + port.Published + " is taken", Next: "end what holds it: docker ps --filter publish=" + port.Published}
			if holder != "" {
				f.Problem += " by " + holder
			}
			if v, ok := portVariable(m, service.Name); ok {
				f.Next = "set " + v + " to a free port, or " + f.Next
			}
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// portVariable returns the variable that sets a port of a service.
func portVariable(m *manifest.Manifest, service string) (string, bool) {
	for _, v := range m.Variables {
		if v.Service == service && strings.Contains(v.Path, ".ports.") {
			return v.Name, true
		}
	}
	return "", false
}

// remoteFiles refuses file secrets where the engine is on another machine: a
// bind mount names files of that one.
func remoteFiles(m *manifest.Manifest, at docker.Endpoint) error {
	if !at.Remote {
		return nil
	}
	e := &fault.Error{
		Code: fault.Invalid, What: "the engine at " + at.Host + " is on another machine, where the files of the secrets are not",
		Next: "choose this machine's engine (docker context use default, DOCKER_HOST unset), or mage deploy:swarm",
	}
	for _, d := range m.Secrets {
		if d.File != "" && !path.IsAbs(d.File) {
			e.Findings = append(e.Findings, fault.Finding{File: m.File, Line: d.Line, Subject: d.Name, Problem: "its file is relative to this machine"})
		}
	}
	if len(e.Findings) == 0 {
		return nil
	}
	return e
}

// probeGroup is the secrets of all services that run as one user.
type probeGroup struct {
	user  string
	image string              // of a service, for a user that is a name
	paths map[string]string   // path in the container to name of the secret
	used  map[string][]string // services by name of the secret
}

// probeGroups arranges the grants whose values stand in files by user.
func probeGroups(m *manifest.Manifest, inFile func(string) bool) []probeGroup {
	groups := map[string]*probeGroup{}
	for _, service := range m.Services {
		user, image := service.User, ""
		if !numericUser(user) {
			image = service.Image
		}
		for _, grant := range service.Grants {
			if !inFile(grant.Secret) {
				continue
			}
			id := user + "\x00" + image
			if groups[id] == nil {
				groups[id] = &probeGroup{user: user, image: image, paths: map[string]string{}, used: map[string][]string{}}
			}
			groups[id].paths["/run/secrets/"+grant.Secret] = grant.Secret
			groups[id].used[grant.Secret] = append(groups[id].used[grant.Secret], service.Name)
		}
	}
	var sorted []probeGroup
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		sorted = append(sorted, *groups[id])
	}
	return sorted
}

// numericUser tells whether a user needs no /etc/passwd to be understood.
func numericUser(user string) bool {
	return regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`).MatchString(user)
}

// readable proves that each service's user can read its secrets, by a container
// with that user and those mounts, before anything is started.
func (u Up) readable(ctx context.Context, engine Engine, m *manifest.Manifest, hasProbe bool, inFile func(string) bool) error {
	info, err := engine.Info(ctx)
	if err != nil {
		return err
	}
	var findings []fault.Finding
	for _, group := range probeGroups(m, inFile) {
		answers, err := u.probe(ctx, engine, m, group, hasProbe)
		if err != nil && fault.CodeOf(err) == fault.NoEngine || ctx.Err() != nil {
			return err
		}
		if err != nil {
			if cause := mountCause(err); cause != "" {
				findings = append(findings, fault.Finding{Subject: strings.Join(sortedValues(group.paths), ", "), Problem: cause, Next: "keep the project where the engine can mount it from"})
				continue
			}
			u.Progress.Say("whether %s of %s can read its secrets was not tried: %s", userOf(group.user), strings.Join(group.services(), ", "), fault.Text(err))
			continue
		}
		findings = append(findings, u.unreadable(m, group, answers, info)...)
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "services cannot read their secrets; nothing was started", Findings: findings, Next: findings[0].Next}
}

// probe runs the container of one group and returns a word for each path.
func (u Up) probe(ctx context.Context, engine Engine, m *manifest.Manifest, group probeGroup, hasProbe bool) (map[string]string, error) {
	p := docker.Probe{Image: images.ProbeImage, User: group.user, ReadOnly: true}
	paths := slices.Sorted(maps.Keys(group.paths))
	p.Cmd = paths
	if group.image != "" || !hasProbe {
		// A user by name is one of the image's own /etc/passwd.
		p.Image = group.image
		p.Entrypoint = []string{"/bin/sh", "-c", shellProbe, "probe"}
	}
	if p.Image == "" {
		return nil, errors.New("there is no image to try it with")
	}
	for _, target := range paths {
		declaration, _ := m.Secret(group.paths[target])
		p.Mounts = append(p.Mounts, docker.Mount{Type: "bind", Source: u.source(declaration.File), Destination: target, ReadOnly: true})
	}
	result, err := engine.RunProbe(ctx, p)
	if err != nil {
		return nil, err
	}
	answers := map[string]string{}
	for _, line := range strings.Split(string(result.Stdout), "\n") {
		if word, file, ok := strings.Cut(line, " "); ok {
			answers[file] = word
		}
	}
	if len(answers) == 0 {
		return nil, fmt.Errorf("the probe ended with %d and said nothing", result.ExitCode)
	}
	return answers, nil
}

// shellProbe is the probe for images that have a shell.
const shellProbe = `for f; do if [ -d "$f" ]; then w=directory; elif [ ! -e "$f" ]; then w=missing; elif [ ! -r "$f" ]; then w=denied; elif [ ! -s "$f" ]; then w=empty; else w=ok; fi; echo "$w $f"; done`

// source is a secret's file as the engine is told of it.
func (u Up) source(file string) string {
	if path.IsAbs(file) {
		return file
	}
	return u.path(file)
}

// unreadable makes findings of the answers that are not ok.
func (u Up) unreadable(m *manifest.Manifest, group probeGroup, answers map[string]string, info docker.Info) []fault.Finding {
	var findings []fault.Finding
	for _, target := range slices.Sorted(maps.Keys(group.paths)) {
		name := group.paths[target]
		word := answers[target]
		if word == "ok" {
			continue
		}
		declaration, _ := m.Secret(name)
		f := fault.Finding{File: declaration.File, Subject: name}
		who := userOf(group.user) + " of " + strings.Join(group.used[name], ", ")
		switch word {
		case "denied":
			var cause string
			cause, f.Next = u.deniedCause(name, declaration.File, info)
			f.Problem = who + " cannot read it: " + cause
		case "directory":
			f.Problem, f.Next = "the engine mounts a directory in its place: the file is not where the engine looks", "keep the project where the engine can mount it from"
		case "missing":
			f.Problem, f.Next = who+" finds no file: the path is not on the engine's machine", "keep the project where the engine can mount it from"
		case "empty":
			f.Problem, f.Next = "the engine mounts an empty file", "mage secrets:set "+name
		default:
			f.Problem, f.Next = who+" cannot read it: the file system refuses (a network file system that maps users?)", "keep the project on a local file system"
		}
		findings = append(findings, f)
	}
	return findings
}

// deniedCause names why a user is refused, the mode or what comes after it, and
// what to do.
func (u Up) deniedCause(name, file string, info docker.Info) (cause, next string) {
	mode, err := u.Modes.ValueMode(name)
	switch {
	case err == nil && mode&0o004 == 0 && runtime.GOOS != "windows":
		return fmt.Sprintf("its mode is %#o and is to be 0444", mode), "chmod 0444 " + file
	case info.SELinux:
		return "its mode is right and the engine uses SELinux, which wants a label", "chcon -Rt container_file_t " + path.Dir(file)
	case info.UsernsRemap || info.Rootless:
		return "its mode is right and the engine maps users: the directories above it must let others pass", "namei -l " + file
	}
	return "its mode is right: an access list refuses the user, or a network file system that maps users", "getfacl " + file + ", and mage secrets:set " + name + " to make the file anew"
}

// mountCause names what an engine's refusal of a mount means; "" where it is
// about something else.
func mountCause(err error) string {
	said := fault.Text(err)
	for _, sign := range []string{"bind source path does not exist", "invalid mount config", "Mounts denied", "not shared from"} {
		if strings.Contains(said, sign) {
			return "the engine cannot mount the files: their path is not on the engine's machine"
		}
	}
	return ""
}

// userOf names a user for a message.
func userOf(user string) string {
	if user == "" {
		return "the image's user"
	}
	return "user " + user
}

// services names the services of a group.
func (g probeGroup) services() []string {
	names := map[string]bool{}
	for _, used := range g.used {
		for _, name := range used {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// sortedValues returns the values of a map, sorted.
func sortedValues(m map[string]string) []string {
	var all []string
	for _, value := range m {
		all = append(all, value)
	}
	sort.Strings(all)
	return all
}
