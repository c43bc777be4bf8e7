package convert

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"go.yaml.in/yaml/v4"
)

// RenderOptions are what Render does not know from the file.
type RenderOptions struct {
	Options

	// Secrets and Configs name the version in the Swarm for each declared name. A
	// config without one is written with its file, which the docker command reads.
	Secrets, Configs map[string]string
}

// tree is a mapping of the file that is written; its keys are sorted.
type tree map[string]any

// Render returns the file that plain docker stack deploy -c - STACK takes, from
// Docker 20.10 on, and that makes the same services as keepmum: variables are
// replaced, env_file is written out, paths are absolute, secrets and configs are
// external under the names of their versions. The same input gives the same
// bytes. No value of a secret can be in it, because none is in the model.
//
// The error is a *fault.Error of the code fault.Invalid. It has the findings of
// Convert; those of fields that the docker command's file format does not have;
// and those of secrets and configs without a version.
func Render(m *manifest.Manifest, o RenderOptions) ([]byte, error) {
	c := newConverter(m, o.Options)
	spec, findings, _ := Convert(m, o.Options)
	if len(findings) > 0 {
		return nil, notRendered(findings)
	}
	r := renderer{c, o, spec}
	file := tree{}
	put(file, "services", r.services())
	put(file, "networks", r.topNetworks())
	put(file, "volumes", r.topVolumes())
	put(file, "secrets", r.topSecrets())
	put(file, "configs", r.topConfigs())
	if len(c.findings) > 0 {
		return nil, notRendered(sorted(c.findings))
	}
	data, err := yaml.Marshal(escaped(file))
	if err != nil {
		return nil, &fault.Error{Code: fault.Failed, What: "the stack file cannot be written as YAML", Next: "report this as a bug of keepmum"}
	}
	return append([]byte("version: \"3.9\"\n"), data...), nil
}

func notRendered(findings []fault.Finding) error {
	return &fault.Error{Code: fault.Invalid, What: "the stack cannot be written for docker stack deploy", Next: "mage deploy:render, after the corrections", Findings: findings}
}

// renderer writes a stack that was converted without a finding.
type renderer struct {
	*converter
	o     RenderOptions
	stack docker.StackSpec
}

// put sets a key unless its value is empty.
func put(t tree, key string, value any) {
	switch v := value.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case tree:
		if len(v) == 0 {
			return
		}
	case map[string]string:
		if len(v) == 0 {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	case bool:
		if !v {
			return
		}
	case int64:
		if v == 0 {
			return
		}
	case uint64:
		if v == 0 {
			return
		}
	}
	t[key] = value
}

// escaped doubles every $ in a text: the docker command reads variables again.
func escaped(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "$", "$$")
	case tree:
		all := map[string]any{}
		for key, one := range v {
			all[key] = escaped(one)
		}
		return all
	case map[string]string:
		all := map[string]any{}
		for key, one := range v {
			all[key] = escaped(one)
		}
		return all
	case []string:
		all := make([]any, len(v))
		for i, one := range v {
			all[i] = escaped(one)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, one := range v {
			all[i] = escaped(one)
		}
		return all
	}
	return value
}

// lacks refuses a field that the docker command's file format does not have.
func (r renderer) lacks(present bool, subject string, path ...string) {
	if present {
		r.refuse(subject, "docker stack deploy has no "+path[len(path)-1], "deploy by mage deploy:swarm, which sets it", path...)
	}
}

func (r renderer) services() tree {
	all := tree{}
	for _, spec := range r.stack.Services {
		var full swarm.ServiceSpec
		name := strings.TrimPrefix(spec.Name, r.scope(""))
		if json.Unmarshal(spec.JSON, &full) != nil {
			r.refuse(name, "its specification is not understood", "report this as a bug of keepmum", "services", name)
			continue
		}
		all[name] = r.service(name, full)
	}
	return all
}

// service writes one service from its specification.
func (r renderer) service(name string, s swarm.ServiceSpec) tree {
	c, t := s.TaskTemplate.ContainerSpec, tree{}
	put(t, "image", c.Image)
	put(t, "entrypoint", c.Command)
	put(t, "command", c.Args)
	put(t, "hostname", c.Hostname)
	put(t, "environment", r.environmentOf(name, c.Env))
	put(t, "working_dir", c.Dir)
	put(t, "user", c.User)
	put(t, "stop_signal", c.StopSignal)
	put(t, "tty", c.TTY)
	put(t, "stdin_open", c.OpenStdin)
	put(t, "read_only", c.ReadOnly)
	put(t, "labels", ownLabels(c.Labels))
	put(t, "isolation", string(c.Isolation))
	put(t, "sysctls", c.Sysctls)
	put(t, "cap_add", c.CapabilityAdd)
	put(t, "cap_drop", c.CapabilityDrop)
	put(t, "extra_hosts", hostsOf(c.Hosts))
	put(t, "ulimits", ulimitsOf(c.Ulimits))
	put(t, "healthcheck", r.healthOf(name, c.Healthcheck))
	put(t, "volumes", r.mountsOf(name, c.Mounts))
	put(t, "secrets", r.secretsOf(c.Secrets))
	put(t, "configs", r.configsOf(c.Configs))
	put(t, "networks", r.networksOf(name, s.TaskTemplate.Networks))
	put(t, "ports", r.portsOf(name, s.EndpointSpec))
	put(t, "depends_on", slices.Sorted(maps.Keys(r.stack.After[name])))
	put(t, "deploy", r.deployOf(s))
	if c.StopGracePeriod != nil {
		t["stop_grace_period"] = c.StopGracePeriod.String()
	}
	if c.Init != nil {
		t["init"] = *c.Init
	}
	if d := c.DNSConfig; d != nil {
		put(t, "dns", d.Nameservers)
		put(t, "dns_search", d.Search)
		r.lacks(len(d.Options) > 0, name, "services", name, "dns_opt")
	}
	if l := s.TaskTemplate.LogDriver; l != nil {
		driver := tree{}
		put(driver, "driver", l.Name)
		put(driver, "options", l.Options)
		t["logging"] = driver
	}
	p := c.Privileges
	r.lacks(p.Seccomp != nil || p.AppArmor != nil || p.SELinuxContext != nil || p.NoNewPrivileges, name, "services", name, "security_opt")
	r.lacks(len(c.Groups) > 0, name, "services", name, "group_add")
	r.lacks(c.OomScoreAdj != 0, name, "services", name, "oom_score_adj")
	r.lacks(len(s.TaskTemplate.Placement.Platforms) > 0, name, "services", name, "platform")
	return t
}

// ownLabels returns the labels that the file itself sets.
func ownLabels(labels map[string]string) map[string]string {
	own := maps.Clone(labels)
	maps.DeleteFunc(own, func(key, _ string) bool {
		return slices.Contains([]string{docker.LabelNamespace, docker.LabelStackImage, docker.LabelStack}, key)
	})
	return own
}

// environmentOf returns a mapping: nothing after the name means no value. The
// docker command replaces an empty value by the one in its environment.
func (r renderer) environmentOf(service string, env []string) tree {
	all := tree{}
	for _, one := range env {
		name, value, given := strings.Cut(one, "=")
		if _, set := r.Lookup(name); set && value == "" {
			r.refuse(service, "docker stack deploy would replace the empty "+name+" by that of its environment", "unset "+name, "services", service, "environment")
		}
		if all[name] = value; !given {
			all[name] = nil
		}
	}
	return all
}

func hostsOf(hosts []string) []string {
	var all []string
	for _, one := range hosts {
		address, name, _ := strings.Cut(one, " ")
		all = append(all, name+"="+address)
	}
	return all
}

func ulimitsOf(ulimits []*container.Ulimit) tree {
	all := tree{}
	for _, u := range ulimits {
		all[u.Name] = tree{"soft": u.Soft, "hard": u.Hard}
	}
	return all
}

func (r renderer) healthOf(name string, h *container.HealthConfig) tree {
	if h == nil {
		return nil
	}
	t := tree{}
	put(t, "test", h.Test)
	put(t, "interval", text(h.Interval))
	put(t, "timeout", text(h.Timeout))
	put(t, "start_period", text(h.StartPeriod))
	put(t, "retries", int64(h.Retries))
	r.lacks(h.StartInterval != 0, name, "services", name, "healthcheck", "start_interval")
	return t
}

// text returns a duration, "" for none.
func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (r renderer) mountsOf(name string, mounts []mount.Mount) []any {
	var all []any
	for _, m := range mounts {
		t := tree{}
		put(t, "type", string(m.Type))
		put(t, "source", m.Source)
		put(t, "target", m.Target)
		put(t, "read_only", m.ReadOnly)
		if m.BindOptions != nil {
			t["bind"] = tree{"propagation": string(m.BindOptions.Propagation)}
		}
		if o := m.VolumeOptions; o != nil {
			key := r.volumeKey(m.Source)
			t["source"] = key
			if o.NoCopy {
				t["volume"] = tree{"nocopy": true}
			}
			extra := !bool(r.project.Volumes[key].External) && len(ownLabels(o.Labels)) > len(r.project.Volumes[key].Labels)
			r.lacks(o.Subpath != "", name, "services", name, "volumes", "subpath of a volume")
			r.lacks(extra, name, "services", name, "volumes", "labels of a mount")
		}
		if o := m.TmpfsOptions; o != nil {
			if o.SizeBytes != 0 {
				t["tmpfs"] = tree{"size": o.SizeBytes}
			}
			r.lacks(o.Mode != 0, name, "services", name, "volumes", "mode of a tmpfs")
		}
		all = append(all, t)
	}
	return all
}

// volumeKey returns the key in the file of a volume of the Swarm.
func (r renderer) volumeKey(source string) string {
	for _, key := range slices.Sorted(maps.Keys(r.project.Volumes)) {
		if cmp.Or(r.named("volumes", key, r.project.Volumes[key].Name), r.scope(key)) == source {
			return key
		}
	}
	return source
}

func (r renderer) secretsOf(references []*swarm.SecretReference) []any {
	var all []any
	for _, one := range references {
		all = append(all, grantOf(one.SecretName, one.File.Name, one.File.UID, one.File.GID, uint32(one.File.Mode)))
	}
	return all
}

func (r renderer) configsOf(references []*swarm.ConfigReference) []any {
	var all []any
	for _, one := range references {
		key := one.ConfigName
		for _, name := range slices.Sorted(maps.Keys(r.project.Configs)) {
			if declared := r.project.Configs[name]; bool(declared.External) && declared.Name == key {
				key = name
				break
			}
		}
		all = append(all, grantOf(key, one.File.Name, one.File.UID, one.File.GID, uint32(one.File.Mode)))
	}
	return all
}

func grantOf(source, target, uid, gid string, mode uint32) tree {
	return tree{"source": source, "target": target, "uid": uid, "gid": gid, "mode": mode}
}

func (r renderer) networksOf(name string, attachments []swarm.NetworkAttachmentConfig) tree {
	all := tree{}
	for _, one := range attachments {
		aliases := slices.Clone(one.Aliases)
		if !predefined(one.Target) {
			aliases = aliases[:len(aliases)-1] // the service's own name, which docker adds again
		}
		t := tree{}
		put(t, "aliases", aliases)
		key := r.networkKey(one.Target)
		r.lacks(len(one.DriverOpts) > 0, name, "services", name, "networks", key, "driver_opts")
		if all[key] = t; len(t) == 0 {
			all[key] = nil
		}
	}
	return all
}

// networkKey returns the key in the file of a network of the Swarm.
func (r renderer) networkKey(target string) string {
	for _, key := range slices.Sorted(maps.Keys(r.project.Networks)) {
		if r.networkName(key) == target {
			return key
		}
	}
	return defaultNetwork
}

func (r renderer) portsOf(name string, e *swarm.EndpointSpec) []any {
	var all []any
	for _, p := range e.Ports {
		t := tree{"target": p.TargetPort}
		if p.PublishedPort != 0 {
			t["published"] = p.PublishedPort
		}
		put(t, "protocol", string(p.Protocol))
		put(t, "mode", string(p.PublishMode))
		r.lacks(p.Name != "", name, "services", name, "ports", "name of a port")
		all = append(all, t)
	}
	return all
}

func (r renderer) deployOf(s swarm.ServiceSpec) tree {
	t := tree{}
	switch mode := s.Mode; {
	case mode.Global != nil:
		t["mode"] = "global"
	case mode.GlobalJob != nil:
		t["mode"] = "global-job"
	case mode.ReplicatedJob != nil:
		t["mode"] = "replicated-job"
		if n := mode.ReplicatedJob.TotalCompletions; n != nil {
			t["replicas"] = *n
		}
	case mode.Replicated.Replicas != nil:
		t["replicas"] = *mode.Replicated.Replicas
	}
	put(t, "endpoint_mode", string(s.EndpointSpec.Mode))
	put(t, "labels", ownLabels(s.Labels))
	put(t, "update_config", updateOf(s.UpdateConfig))
	put(t, "rollback_config", updateOf(s.RollbackConfig))
	put(t, "restart_policy", restartOf(s.TaskTemplate.RestartPolicy))
	put(t, "resources", resourcesOf(s.TaskTemplate.Resources))
	p := tree{}
	put(p, "constraints", s.TaskTemplate.Placement.Constraints)
	put(p, "max_replicas_per_node", s.TaskTemplate.Placement.MaxReplicas)
	var preferences []any
	for _, one := range s.TaskTemplate.Placement.Preferences {
		preferences = append(preferences, tree{"spread": one.Spread.SpreadDescriptor})
	}
	put(p, "preferences", preferences)
	put(t, "placement", p)
	return t
}

func updateOf(u *swarm.UpdateConfig) tree {
	if u == nil {
		return nil
	}
	t := tree{"parallelism": u.Parallelism}
	put(t, "delay", text(u.Delay))
	put(t, "failure_action", u.FailureAction)
	put(t, "monitor", text(u.Monitor))
	put(t, "order", u.Order)
	if u.MaxFailureRatio != 0 {
		t["max_failure_ratio"] = u.MaxFailureRatio
	}
	return t
}

func restartOf(p *swarm.RestartPolicy) tree {
	if p == nil {
		return nil
	}
	t := tree{}
	put(t, "condition", string(p.Condition))
	if p.Delay != nil {
		t["delay"] = p.Delay.String()
	}
	if p.MaxAttempts != nil {
		t["max_attempts"] = *p.MaxAttempts
	}
	if p.Window != nil {
		t["window"] = p.Window.String()
	}
	return t
}

func resourcesOf(all *swarm.ResourceRequirements) tree {
	t := tree{}
	if l := all.Limits; l != nil {
		limits := tree{}
		put(limits, "cpus", decimal(l.NanoCPUs))
		put(limits, "memory", bytesOf(l.MemoryBytes))
		put(limits, "pids", l.Pids)
		t["limits"] = limits
	}
	if r := all.Reservations; r != nil {
		reservations := tree{}
		put(reservations, "cpus", decimal(r.NanoCPUs))
		put(reservations, "memory", bytesOf(r.MemoryBytes))
		var generic []any
		for _, one := range r.GenericResources {
			d := one.DiscreteResourceSpec
			generic = append(generic, tree{"discrete_resource_spec": tree{"kind": d.Kind, "value": d.Value}})
		}
		put(reservations, "generic_resources", generic)
		t["reservations"] = reservations
	}
	return t
}

// decimal returns billionths as a decimal number, "" for none.
func decimal(nano int64) string {
	if nano == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64)
}

// bytesOf returns a size as the docker command reads it, "" for none.
func bytesOf(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (r renderer) topNetworks() tree {
	all := tree{}
	for _, spec := range r.stack.Networks {
		var request network.CreateRequest
		key := r.networkKey(spec.Name)
		if json.Unmarshal(spec.JSON, &request) != nil {
			r.refuse(key, "its specification is not understood", "report this as a bug of keepmum", "networks", key)
		}
		t := tree{}
		put(t, "name", r.named("networks", key, r.project.Networks[key].Name))
		put(t, "driver", r.project.Networks[key].Driver)
		put(t, "driver_opts", request.Options)
		put(t, "internal", request.Internal)
		put(t, "attachable", request.Attachable)
		put(t, "labels", ownLabels(request.Labels))
		put(t, "ipam", r.ipamOf(key, request.IPAM))
		r.lacks(request.EnableIPv6 != nil, key, "networks", key, "enable_ipv6")
		if key != defaultNetwork || len(t) > 0 {
			all[key] = t
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.project.Networks)) {
		name := r.networkName(key)
		if slices.Contains(r.stack.ExternalNetworks, name) && bool(r.project.Networks[key].External) {
			all[key] = tree{"external": true, "name": name}
		}
	}
	return all
}

func (r renderer) ipamOf(key string, i *network.IPAM) tree {
	if i == nil {
		return nil
	}
	t := tree{}
	put(t, "driver", i.Driver)
	var pools []any
	for _, pool := range i.Config {
		pools = append(pools, tree{"subnet": pool.Subnet})
		r.lacks(pool.Gateway != "" || pool.IPRange != "", key, "networks", key, "ipam", "gateway or ip_range")
	}
	put(t, "config", pools)
	r.lacks(len(i.Options) > 0, key, "networks", key, "ipam", "options")
	return t
}

func (r renderer) topVolumes() tree {
	all := tree{}
	for _, s := range r.project.Services {
		for _, v := range s.Volumes {
			declared, found := r.project.Volumes[v.Source]
			if !found || v.Type != "volume" && v.Type != "" {
				continue
			}
			t := tree{}
			put(t, "external", bool(declared.External))
			put(t, "name", r.named("volumes", v.Source, declared.Name))
			put(t, "driver", declared.Driver)
			put(t, "driver_opts", map[string]string(declared.DriverOpts))
			put(t, "labels", map[string]string(declared.Labels))
			all[v.Source] = t
		}
	}
	return all
}

func (r renderer) topSecrets() tree {
	all := tree{}
	for _, s := range r.stack.Secrets {
		name := cmp.Or(s.Fixed, r.o.Secrets[s.Name])
		if name == "" {
			r.refuse(s.Name, "has no version in the Swarm", "mage secrets:toSwarm -from=DIR", "secrets", s.Name)
		}
		all[s.Name] = tree{"external": true, "name": name}
	}
	return all
}

func (r renderer) topConfigs() tree {
	all := tree{}
	for _, c := range r.stack.Configs {
		declared := r.project.Configs[c.Name]
		switch name := r.o.Configs[c.Name]; {
		case name != "":
			all[c.Name] = tree{"external": true, "name": name}
		case declared.File != "":
			t := tree{"file": declared.File}
			put(t, "labels", ownLabels(c.Labels))
			all[c.Name] = t
		default:
			r.refuse(c.Name, "docker stack deploy reads configs from files only, and there is no version of it in the Swarm", "write file: instead, or mage deploy:swarm first", "configs", c.Name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.project.Configs)) {
		declared := r.project.Configs[key]
		if bool(declared.External) && slices.Contains(r.stack.ExternalConfigs, declared.Name) {
			all[key] = tree{"external": true, "name": declared.Name}
		}
	}
	return all
}
