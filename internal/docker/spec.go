package docker

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
)

// ServiceSpec is a service's specification. JSON is the whole of it in the words
// of the engine's API, which every version of it reads and writes; the other
// fields are what plans and checks look at. [ParseServiceSpec] makes one: do not
// change a field without the JSON.
type ServiceSpec struct {
	JSON json.RawMessage

	Name         string
	Labels       map[string]string
	Mode         string // replicated, global, replicated-job, global-job
	Replicas     uint64 // completions for a job; 0 for global modes
	UpdateOrder  string // stop-first or start-first
	OnFailure    string // pause, continue or rollback: what the Swarm does when an update fails
	Monitor      time.Duration
	Parallelism  uint64
	EndpointMode string // vip or dnsrr
	Ports        []SwarmPort
	Task         TaskSpec
}

// String names the service: its environment is nobody's to print.
func (s ServiceSpec) String() string { return "specification of " + s.Name }

// TaskSpec is what a service's tasks run.
type TaskSpec struct {
	JSON json.RawMessage

	Image           string
	Labels          map[string]string // of the containers
	TTY             bool
	Secrets         []Reference
	Configs         []Reference
	Networks        []string // names or ids
	Mounts          []SwarmMount
	Health          string // own, off, or "" where the image decides
	Constraints     []string
	Restart         string // none, on-failure, any
	MaxAttempts     uint64 // 0: no limit
	RestartDelay    time.Duration
	StopGracePeriod time.Duration
	ReservedCPUs    int64 // in billionths of a CPU
	ReservedMemory  int64 // bytes
	ForceUpdate     uint64
}

// String names the image.
func (t TaskSpec) String() string { return "task of " + t.Image }

// SecretNames returns the names of the secrets that a task mounts, sorted.
func (t TaskSpec) SecretNames() []string {
	names := map[string]bool{}
	for _, r := range t.Secrets {
		names[r.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Reference is a service's use of a secret or a config.
type Reference struct {
	ID     string
	Name   string
	Target string // name of the file in the container
	UID    string
	GID    string
	Mode   uint32
}

// SwarmPort is a published port of a service.
type SwarmPort struct {
	Published uint32 // 0: the Swarm chooses
	Target    uint32
	Protocol  string // tcp, udp, sctp
	Mode      string // ingress or host
}

// SwarmMount is a mount of a service's tasks.
type SwarmMount struct {
	Type   string // bind, volume, tmpfs, npipe, cluster
	Source string
	Target string
	Driver string // of a volume; "" and local: the node's own disk, unless Shared
	Shared bool   // a volume whose options name a network file system
}

// NetworkSpec is a network as the engine's API makes it.
type NetworkSpec struct {
	JSON json.RawMessage // the body of the create call, with its name

	Name       string
	Driver     string
	Attachable bool
	Internal   bool
	Labels     map[string]string
	Options    map[string]string
	Subnets    []string
}

// ConfigSpec is a config that a stack needs.
type ConfigSpec struct {
	Name   string // as declared; in the Swarm it is a version of this name
	Labels map[string]string
	Data   []byte
}

// StackSpec is a stack as it should be. Its services name secrets and configs as
// they are declared, and networks by their names in the Swarm.
type StackSpec struct {
	Name     string
	Services []ServiceSpec // sorted by name
	Networks []NetworkSpec // those to make, sorted by name
	Configs  []ConfigSpec  // those to make, sorted by name
	Secrets  []StackSecret // those that a service is granted, sorted by name

	// ExternalNetworks and ExternalConfigs must exist; the stack does not make them.
	ExternalNetworks []string
	ExternalConfigs  []string
	ExternalLines    map[string]int // where the file declares them, by "network NAME" and "config NAME"

	// After names, for each service, the services that must run before it, by their
	// names in the file; After[service][other] says how: "started", "healthy" or
	// "completed".
	After map[string]map[string]string
}

// StackSecret is a secret that a stack declares and grants.
type StackSecret struct {
	Name     string // as declared, and in the services' references
	Fixed    string // the Swarm secret that is used as it is; "": the newest version of the stack
	From     string // the stack whose versions are used; "": this one
	Line     int    // of the declaration
	Optional bool
}

// errSpec replaces what encoding/json says of a specification: it may quote it.
var errSpec = errors.New("the engine's description of a service is not understood")

// ParseServiceSpec reads a specification from the engine's JSON.
func ParseServiceSpec(data []byte) (ServiceSpec, error) {
	var raw struct {
		Name         string
		Labels       map[string]string
		TaskTemplate json.RawMessage
		Mode         struct {
			Replicated    *struct{ Replicas *uint64 }
			Global        *struct{}
			ReplicatedJob *struct{ MaxConcurrent, TotalCompletions *uint64 }
			GlobalJob     *struct{}
		}
		UpdateConfig *struct {
			Parallelism   uint64
			FailureAction string
			Monitor       time.Duration
			Order         string
		}
		EndpointSpec *struct {
			Mode  string
			Ports []struct {
				Protocol                  string
				TargetPort, PublishedPort uint32
				PublishMode               string
			}
		}
	}
	if json.Unmarshal(data, &raw) != nil {
		return ServiceSpec{}, errSpec
	}
	spec := ServiceSpec{
		JSON: data, Name: raw.Name, Labels: raw.Labels,
		Mode: "replicated", Replicas: 1, UpdateOrder: "stop-first", OnFailure: "pause", Monitor: 5 * time.Second, Parallelism: 1, EndpointMode: "vip",
	}
	switch mode := raw.Mode; {
	case mode.Global != nil:
		spec.Mode, spec.Replicas = "global", 0
	case mode.GlobalJob != nil:
		spec.Mode, spec.Replicas = "global-job", 0
	case mode.ReplicatedJob != nil:
		spec.Mode = "replicated-job"
		if n := mode.ReplicatedJob.MaxConcurrent; n != nil {
			spec.Replicas = *n
		}
		if n := mode.ReplicatedJob.TotalCompletions; n != nil {
			spec.Replicas = *n
		}
	case mode.Replicated != nil && mode.Replicated.Replicas != nil:
		spec.Replicas = *mode.Replicated.Replicas
	}
	if u := raw.UpdateConfig; u != nil {
		spec.Parallelism = u.Parallelism
		set(&spec.UpdateOrder, u.Order)
		set(&spec.OnFailure, u.FailureAction)
		set(&spec.Monitor, u.Monitor)
	}
	if e := raw.EndpointSpec; e != nil {
		set(&spec.EndpointMode, e.Mode)
		for _, p := range e.Ports {
			port := SwarmPort{Published: p.PublishedPort, Target: p.TargetPort, Protocol: p.Protocol, Mode: p.PublishMode}
			if port.Mode == "" {
				port.Mode = "ingress"
			}
			if port.Protocol == "" {
				port.Protocol = "tcp"
			}
			spec.Ports = append(spec.Ports, port)
		}
	}
	var err error
	spec.Task, err = ParseTaskSpec(raw.TaskTemplate)
	return spec, err
}

// ParseTaskSpec reads the part of a specification that a task has.
func ParseTaskSpec(data []byte) (TaskSpec, error) {
	type file struct {
		Name, UID, GID string
		Mode           uint32
	}
	var raw struct {
		ContainerSpec *struct {
			Image       string
			Labels      map[string]string
			TTY         bool
			Healthcheck *struct{ Test []string }
			Secrets     []struct {
				File                 *file
				SecretID, SecretName string
			}
			Configs []struct {
				File                 *file
				ConfigID, ConfigName string
			}
			Mounts []struct {
				Type, Source, Target string
				VolumeOptions        *struct {
					DriverConfig *struct {
						Name    string
						Options map[string]string
					}
				}
			}
			StopGracePeriod *time.Duration
		}
		Resources *struct {
			Reservations *struct{ NanoCPUs, MemoryBytes int64 }
		}
		RestartPolicy *struct {
			Condition   string
			Delay       *time.Duration
			MaxAttempts *uint64
		}
		Placement   *struct{ Constraints []string }
		Networks    []struct{ Target string }
		ForceUpdate uint64
	}
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	if json.Unmarshal(data, &raw) != nil {
		return TaskSpec{}, errSpec
	}
	task := TaskSpec{JSON: data, Restart: "any", RestartDelay: 5 * time.Second, StopGracePeriod: 10 * time.Second, ForceUpdate: raw.ForceUpdate}
	reference := func(id, name string, f *file) Reference {
		r := Reference{ID: id, Name: name}
		if f != nil {
			r.Target, r.UID, r.GID, r.Mode = f.Name, f.UID, f.GID, f.Mode
		}
		return r
	}
	if c := raw.ContainerSpec; c != nil {
		task.Image, task.Labels, task.TTY = c.Image, c.Labels, c.TTY
		for _, s := range c.Secrets {
			task.Secrets = append(task.Secrets, reference(s.SecretID, s.SecretName, s.File))
		}
		for _, s := range c.Configs {
			task.Configs = append(task.Configs, reference(s.ConfigID, s.ConfigName, s.File))
		}
		for _, m := range c.Mounts {
			mount := SwarmMount{Type: m.Type, Source: m.Source, Target: m.Target}
			if m.VolumeOptions != nil && m.VolumeOptions.DriverConfig != nil {
				mount.Driver = m.VolumeOptions.DriverConfig.Name
				kind := m.VolumeOptions.DriverConfig.Options["type"]
				mount.Shared = kind != "" && kind != "none" && kind != "tmpfs"
			}
			task.Mounts = append(task.Mounts, mount)
		}
		if c.StopGracePeriod != nil {
			task.StopGracePeriod = *c.StopGracePeriod
		}
		if h := c.Healthcheck; h != nil && len(h.Test) > 0 {
			task.Health = "own"
			if h.Test[0] == "NONE" {
				task.Health = "off"
			}
		}
	}
	if r := raw.Resources; r != nil && r.Reservations != nil {
		task.ReservedCPUs, task.ReservedMemory = r.Reservations.NanoCPUs, r.Reservations.MemoryBytes
	}
	if p := raw.RestartPolicy; p != nil {
		set(&task.Restart, p.Condition)
		if p.Delay != nil {
			task.RestartDelay = *p.Delay
		}
		if p.MaxAttempts != nil {
			task.MaxAttempts = *p.MaxAttempts
		}
	}
	if raw.Placement != nil {
		task.Constraints = raw.Placement.Constraints
	}
	for _, n := range raw.Networks {
		task.Networks = append(task.Networks, n.Target)
	}
	return task, nil
}

// set sets a field to a value that was given.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
