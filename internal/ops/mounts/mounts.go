// Package mounts proves that the users of services can read the files that are
// mounted for them, before a service is started: a container with the service's
// user and its real mounts tries it. What it finds names the cause.
package mounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
)

// Engine is what the proof needs of an engine.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	RunProbe(ctx context.Context, p docker.Probe) (docker.ProbeResult, error)
}

// Check is one proof.
type Check struct {
	Engine   Engine
	Manifest *manifest.Manifest       // with the images and users that are started
	InFile   func(name string) bool   // reports whether a secret's value is in a file
	Source   func(file string) string // a secret's file as the engine knows it
	HasProbe bool                     // the engine has [images.ProbeImage]
	Progress fault.Progress
}

// Run tries it for every user. A user that could not be tried is said, and is
// not an error.
func (c Check) Run(ctx context.Context) error {
	info, err := c.Engine.Info(ctx)
	if err != nil {
		return err
	}
	var findings []fault.Finding
	for _, group := range probeGroups(c.Manifest, c.InFile) {
		answers, err := c.probe(ctx, group)
		if ctx.Err() != nil {
			return cmp.Or(err, ctx.Err())
		}
		if fault.CodeOf(err) == fault.NoEngine {
			return err
		}
		if err != nil {
			if cause := mountCause(err); cause != "" {
				findings = append(findings, fault.Finding{Subject: strings.Join(slices.Sorted(maps.Values(group.paths)), ", "), Problem: cause, Next: "keep the project where the engine can mount it from"})
				continue
			}
			c.Progress.Say("whether %s of %s can read its secrets was not tried: %s", userOf(group.user), strings.Join(slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(group.used))...)))), ", "), fault.Text(err))
			continue
		}
		findings = append(findings, c.unreadable(group, answers, info)...)
	}
	if len(findings) == 0 {
		return nil
	}
	return &fault.Error{Code: fault.Invalid, What: "services cannot read their secrets; nothing was started", Findings: findings, Next: findings[0].Next}
}

// probeGroup is the secrets of all services that run as one user.
type probeGroup struct {
	user  string
	image string              // of a service, for a user that is a name
	paths map[string]string   // path in the container to name of the secret
	used  map[string][]string // services by name of the secret
}

// probeGroups arranges the grants whose values are in files by user.
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

// numericUser reports whether a user needs no /etc/passwd to be understood.
func numericUser(user string) bool {
	return regexp.MustCompile(`^[0-9]+(:[0-9]+)?$`).MatchString(user)
}

// probe runs the container of one group and returns a word for each path.
func (c Check) probe(ctx context.Context, group probeGroup) (map[string]string, error) {
	p := docker.Probe{Image: images.ProbeImage, User: group.user, ReadOnly: true}
	paths := slices.Sorted(maps.Keys(group.paths))
	p.Cmd = paths
	if group.image != "" || !c.HasProbe {
		// A user by name is one of the image's own /etc/passwd.
		p.Image = group.image
		p.Entrypoint = []string{"/bin/sh", "-c", shellProbe, "probe"}
	}
	if p.Image == "" {
		return nil, errors.New("there is no image to try it with")
	}
	for _, target := range paths {
		declaration, _ := c.Manifest.Secret(group.paths[target])
		p.Mounts = append(p.Mounts, docker.Mount{Type: "bind", Source: c.Source(declaration.File), Destination: target, ReadOnly: true})
	}
	result, err := c.Engine.RunProbe(ctx, p)
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

// unreadable makes findings of the answers that are not ok.
func (c Check) unreadable(group probeGroup, answers map[string]string, info docker.Info) []fault.Finding {
	var findings []fault.Finding
	for _, target := range slices.Sorted(maps.Keys(group.paths)) {
		name := group.paths[target]
		word := answers[target]
		if word == "ok" {
			continue
		}
		declaration, _ := c.Manifest.Secret(name)
		f := fault.Finding{File: declaration.File, Subject: name}
		who := userOf(group.user) + " of " + strings.Join(group.used[name], ", ")
		switch word {
		case "denied":
			var cause string
			cause, f.Next = deniedCause(name, declaration.File, info)
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

// deniedCause names why a user is refused a file whose mode was validated, and
// what to do.
func deniedCause(name, file string, info docker.Info) (cause, next string) {
	switch {
	case info.SELinux:
		return "its mode is right and the engine uses SELinux, which wants a label", "chcon -Rt container_file_t " + path.Dir(file)
	case info.UsernsRemap || info.Rootless:
		return "its mode is right and the engine maps users: the directories above it must let others pass", "namei -l " + file
	}
	return "its mode is right: an access list refuses the user, or a network file system that maps users", "getfacl " + file + ", and mage secrets:set " + name + " to write the file again"
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
