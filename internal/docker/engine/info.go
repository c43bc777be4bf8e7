package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
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
		ID: raw.ID, Name: raw.Name, ServerVersion: raw.ServerVersion, APIVersion: e.client.ClientVersion(),
		OS: raw.OSType, Arch: goArch(raw.Architecture), OperatingSystem: raw.OperatingSystem, Kernel: raw.KernelVersion,
		StorageDriver: raw.Driver, CgroupDriver: raw.CgroupDriver, CgroupVersion: raw.CgroupVersion, RootDir: raw.DockerRootDir,
		CPUs: raw.NCPU, Memory: raw.MemTotal, SecurityOptions: raw.SecurityOptions, Warnings: raw.Warnings,
		Swarm: swarmOf(raw.Swarm), Proxies: proxiesOf(raw),
	}
	has := func(name string) bool { return slices.Contains(securityNames(raw.SecurityOptions), name) }
	info.Rootless, info.UsernsRemap, info.SELinux = has("rootless"), has("userns"), has("selinux")
	if at, err := time.Parse(time.RFC3339Nano, raw.SystemTime); err == nil {
		info.Time = at
	}
	return info, nil
}

// securityNames returns the names in "name=seccomp,profile=default".
func securityNames(options []string) []string {
	var names []string
	for _, option := range options {
		for _, field := range strings.Split(option, ",") {
			if name, ok := strings.CutPrefix(field, "name="); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

func swarmOf(raw swarm.Info) docker.Swarm {
	s := docker.Swarm{State: string(raw.LocalNodeState), Manager: raw.ControlAvailable, NodeID: raw.NodeID, Error: oneLine(raw.Error)}
	if raw.Cluster != nil {
		s.Cluster = raw.Cluster.ID
	}
	return s
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
