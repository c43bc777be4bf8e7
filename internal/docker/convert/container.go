package convert

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
)

// container returns what the service's tasks run.
func (s service) container() *swarm.ContainerSpec {
	s.checkCommand()
	add, drop := capabilities(s.CapAdd, s.CapDrop)
	if s.OomScoreAdj != 0 {
		s.needs(46, "oom_score_adj", "oom_score_adj")
	}
	return &swarm.ContainerSpec{
		Image:           s.Image,
		Labels:          s.labels(s.Labels, s.name, s.at("labels")...),
		Command:         s.Entrypoint,
		Args:            s.Command,
		Hostname:        s.Hostname,
		Env:             s.environment(),
		Dir:             s.WorkingDir,
		User:            s.User,
		Groups:          s.GroupAdd,
		Privileges:      s.privileges(),
		Init:            s.Init,
		StopSignal:      s.StopSignal,
		TTY:             s.Tty,
		OpenStdin:       s.StdinOpen,
		ReadOnly:        s.ReadOnly,
		Mounts:          s.mounts(),
		StopGracePeriod: duration(s.StopGracePeriod),
		Healthcheck:     s.health(),
		Hosts:           s.hosts(),
		DNSConfig:       s.dns(),
		Secrets:         s.secretReferences(),
		Configs:         s.configReferences(),
		Isolation:       container.Isolation(s.Isolation),
		Sysctls:         s.Sysctls,
		CapabilityAdd:   add,
		CapabilityDrop:  drop,
		Ulimits:         s.ulimits(),
		OomScoreAdj:     s.OomScoreAdj,
	}
}

// checkCommand refuses an empty entrypoint or command, by which Compose clears
// that of the image: to a Swarm an empty one is none, so the image's would run.
func (s service) checkCommand() {
	if s.Entrypoint != nil && len(s.Entrypoint) == 0 {
		s.refuse("clears the image's entrypoint, which a Swarm cannot", "write the command as entrypoint:", "entrypoint")
	}
	if s.Command != nil && len(s.Command) == 0 && len(s.Entrypoint) == 0 {
		s.refuse("clears the image's command, which a Swarm can only together with entrypoint:", "write entrypoint: with the image's entrypoint", "command")
	}
}

// capabilities returns what is added and dropped, in the engine's words and
// sorted. What is added is not dropped.
func capabilities(add, drop []string) (added, dropped []string) {
	added, dropped = normal(add), normal(drop)
	dropped = slices.DeleteFunc(dropped, func(c string) bool { return slices.Contains(added, c) })
	if len(dropped) == 0 {
		dropped = nil
	}
	return added, dropped
}

// normal returns capabilities in upper case with CAP_, each once. ALL stands for
// every other.
func normal(capabilities []string) []string {
	var all []string
	for _, c := range capabilities {
		c = strings.ToUpper(strings.TrimSpace(c))
		if c == "ALL" {
			return []string{c}
		}
		if !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		all = append(all, c)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// health returns the check that decides whether a task is healthy.
func (s service) health() *container.HealthConfig {
	h := s.HealthCheck
	if h == nil {
		return nil
	}
	if h.Disable {
		if len(h.Test) > 0 {
			s.refuse("healthcheck has a test and disables it", "keep one of test and disable", "healthcheck")
		}
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	check := &container.HealthConfig{Test: h.Test}
	for _, one := range []struct {
		into *time.Duration
		from *time.Duration
	}{
		{&check.Interval, duration(h.Interval)}, {&check.Timeout, duration(h.Timeout)},
		{&check.StartPeriod, duration(h.StartPeriod)}, {&check.StartInterval, duration(h.StartInterval)},
	} {
		if one.from != nil {
			*one.into = *one.from
		}
	}
	if h.Retries != nil {
		check.Retries = int(*h.Retries)
	}
	if check.StartInterval != 0 {
		s.needs(44, "healthcheck.start_interval", "healthcheck", "start_interval")
	}
	return check
}

// hosts returns lines of the containers' /etc/hosts, by name.
func (s service) hosts() []string {
	var all []string
	for _, host := range slices.Sorted(maps.Keys(s.ExtraHosts)) {
		for _, address := range s.ExtraHosts[host] {
			all = append(all, address+" "+host)
		}
	}
	return all
}

// dns returns how names are resolved, nil as the engine does.
func (s service) dns() *swarm.DNSConfig {
	if s.DNS == nil && s.DNSSearch == nil && s.DNSOpts == nil {
		return nil
	}
	return &swarm.DNSConfig{Nameservers: s.DNS, Search: s.DNSSearch, Options: s.DNSOpts}
}

// ulimits returns limits of the processes, by name.
func (s service) ulimits() []*container.Ulimit {
	var all []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		u := s.Ulimits[name]
		soft, hard := u.Soft, u.Hard
		if u.Single != 0 {
			soft, hard = u.Single, u.Single
		}
		all = append(all, &container.Ulimit{Name: name, Soft: int64(soft), Hard: int64(hard)})
	}
	return all
}

// privileges returns what security_opt says.
func (s service) privileges() *swarm.Privileges {
	p := &swarm.Privileges{}
	for i, option := range s.SecurityOpt {
		place := s.entry(s.at("security_opt"), i, len(s.SecurityOpt))[2:]
		key, value, _ := strings.Cut(strings.Replace(option, "=", ":", 1), ":")
		switch {
		case key == "label" && s.label(p, value):
		case key == "no-new-privileges" && (value == "" || value == "true"):
			p.NoNewPrivileges = s.needs(44, "no-new-privileges", place...)
		case key == "no-new-privileges" && value == "false":
		case key == "seccomp" && value == "unconfined":
			s.needs(44, "seccomp", place...)
			p.Seccomp = &swarm.SeccompOpts{Mode: swarm.SeccompModeUnconfined}
		case key == "apparmor" && value == "unconfined":
			s.needs(44, "apparmor", place...)
			p.AppArmor = &swarm.AppArmorOpts{Mode: swarm.AppArmorModeDisabled}
		default:
			s.refuse("security_opt has an option that a Swarm does not take", "a Swarm takes no-new-privileges, seccomp and apparmor unconfined, and label; set up others in the engines", place...)
		}
	}
	return p
}

// label sets one part of the SELinux context, and reports whether it is one.
func (s service) label(p *swarm.Privileges, option string) bool {
	if p.SELinuxContext == nil {
		p.SELinuxContext = &swarm.SELinuxContext{}
	}
	key, value, _ := strings.Cut(option, ":")
	switch key {
	case "disable":
		p.SELinuxContext.Disable = true
	case "user":
		p.SELinuxContext.User = value
	case "role":
		p.SELinuxContext.Role = value
	case "type":
		p.SELinuxContext.Type = value
	case "level":
		p.SELinuxContext.Level = value
	default:
		return false
	}
	return true
}
