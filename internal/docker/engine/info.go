package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"

	"github.com/keepmum/keepmum/internal/docker"
)

// Info returns what the engine says about itself.
func (e *Engine) Info(ctx context.Context) (docker.Info, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	raw, err := e.client.Info(inner)
	if err != nil {
		return docker.Info{}, e.fail(ctx, "reading the engine's information", err)
	}
	info := docker.Info{
		ID: raw.ID, Name: raw.Name, ServerVersion: raw.ServerVersion, APIVersion: e.API(),
		OS: raw.OSType, Arch: goArch(raw.Architecture), OperatingSystem: raw.OperatingSystem, Kernel: raw.KernelVersion,
		StorageDriver: raw.Driver, CgroupDriver: raw.CgroupDriver, CgroupVersion: raw.CgroupVersion, RootDir: raw.DockerRootDir,
		CPUs: raw.NCPU, Memory: raw.MemTotal, SecurityOptions: raw.SecurityOptions, Warnings: raw.Warnings,
		Proxies: proxiesOf(raw), Time: timeOf(raw.SystemTime),
		Swarm: docker.Swarm{State: string(raw.Swarm.LocalNodeState), Manager: raw.Swarm.ControlAvailable, NodeID: raw.Swarm.NodeID, Error: OneLine(raw.Swarm.Error)},
	}
	if raw.Swarm.Cluster != nil {
		info.Swarm.Cluster = raw.Swarm.Cluster.ID
	}
	has := func(name string) bool { // in "name=seccomp,profile=default"
		return slices.ContainsFunc(raw.SecurityOptions, func(option string) bool { return slices.Contains(strings.Split(option, ","), "name="+name) })
	}
	info.Rootless, info.UsernsRemap, info.SELinux = has("rootless"), has("userns"), has("selinux")
	return info, nil
}

// proxiesOf names the proxy settings; their text may contain a password.
func proxiesOf(raw system.Info) []string {
	var set []string
	for _, one := range []struct{ name, value string }{{"HTTP_PROXY", raw.HTTPProxy}, {"HTTPS_PROXY", raw.HTTPSProxy}, {"NO_PROXY", raw.NoProxy}} {
		if one.value != "" {
			set = append(set, one.name)
		}
	}
	return set
}

// goArch returns an engine's architecture in Go's words.
func goArch(arch string) string {
	switch arch {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i686", "i386":
		return "386"
	}
	return arch
}
