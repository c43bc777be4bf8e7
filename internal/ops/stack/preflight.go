package stack

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/mounts"
)

// takenPorts reports published ports that somebody else holds. A service of this
// project that runs holds its own.
func (s *Stack) takenPorts(ctx context.Context, m *manifest.Manifest, running map[string]bool, remote bool) ([]fault.Finding, error) {
	if s.Ports == nil || remote {
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
			holder, taken, err := s.Ports.Holder(ctx, port.HostIP, port.Published, port.Protocol)
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
		if d.File != "" {
			e.Findings = append(e.Findings, fault.Finding{File: m.File, Line: d.Line, Subject: d.Name, Problem: "its file is relative to this machine"})
		}
	}
	if len(e.Findings) == 0 {
		return nil
	}
	return e
}

// readable proves that each service's user can read its secrets, before anything
// is started.
func (s *Stack) readable(ctx context.Context, at Connection, plan *startPlan) error {
	_, hasProbe, err := at.Images.Image(ctx, images.ProbeImage)
	if err != nil {
		return err
	}
	return mounts.Check{Engine: at.Engine, Manifest: asStarted(plan), InFile: plan.inFile, Source: s.Project.Path, HasProbe: hasProbe, Progress: s.Project.Progress}.Run(ctx)
}

// asStarted returns the manifest with the images and users that are started.
func asStarted(plan *startPlan) *manifest.Manifest {
	m := *plan.declared.Manifest
	m.Services = slices.Clone(m.Services)
	for i, service := range m.Services {
		if started, ok := plan.m.Service(service.Name); ok && started.Image != "" {
			m.Services[i].Image, m.Services[i].User = started.Image, started.User
		}
		if v, ok := images.PostgresVariableUse(plan.m); ok && v.Service == service.Name {
			m.Services[i].Image = plan.variables[images.PostgresVariable]
		}
	}
	return &m
}
