package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind says how a difference in a field is shown.
type kind int

const (
	hidden kind = iota // that it changed, because its text could hold a password
	shown              // from what to what
	byName             // the names of its entries that changed
)

// field is how a plan speaks about a part of a specification.
type field struct {
	name  string // in the words of the compose file
	kind  kind
	whole bool // compared as one, not field by field
	show  func(any) string
}

// fields are the parts that have words of their own, by path. What is not here
// is compared to the last field, and shown by its path alone.
var fields = map[string]field{
	"Labels":                                          {"deploy.labels", byName, true, nil},
	"Mode":                                            {"deploy.mode", shown, true, mode},
	"TaskTemplate.ContainerSpec.Image":                {"image", shown, true, plain},
	"TaskTemplate.ContainerSpec.Labels":               {"labels", byName, true, nil},
	"TaskTemplate.ContainerSpec.Command":              {"entrypoint", hidden, true, nil},
	"TaskTemplate.ContainerSpec.Args":                 {"command", hidden, true, nil},
	"TaskTemplate.ContainerSpec.Env":                  {"environment", byName, true, nil},
	"TaskTemplate.ContainerSpec.Hostname":             {"hostname", shown, true, plain},
	"TaskTemplate.ContainerSpec.Dir":                  {"working_dir", shown, true, plain},
	"TaskTemplate.ContainerSpec.User":                 {"user", shown, true, plain},
	"TaskTemplate.ContainerSpec.Groups":               {"group_add", shown, true, plain},
	"TaskTemplate.ContainerSpec.Privileges":           {"security_opt", hidden, true, nil},
	"TaskTemplate.ContainerSpec.Init":                 {"init", shown, true, plain},
	"TaskTemplate.ContainerSpec.StopSignal":           {"stop_signal", shown, true, plain},
	"TaskTemplate.ContainerSpec.StopGracePeriod":      {"stop_grace_period", shown, true, duration},
	"TaskTemplate.ContainerSpec.TTY":                  {"tty", shown, true, plain},
	"TaskTemplate.ContainerSpec.OpenStdin":            {"stdin_open", shown, true, plain},
	"TaskTemplate.ContainerSpec.ReadOnly":             {"read_only", shown, true, plain},
	"TaskTemplate.ContainerSpec.Mounts":               {"volumes", shown, true, mounts},
	"TaskTemplate.ContainerSpec.Healthcheck":          {"healthcheck", hidden, true, nil},
	"TaskTemplate.ContainerSpec.Hosts":                {"extra_hosts", shown, true, plain},
	"TaskTemplate.ContainerSpec.DNSConfig":            {"dns", shown, true, plain},
	"TaskTemplate.ContainerSpec.Secrets":              {"secrets", shown, true, references("SecretName")},
	"TaskTemplate.ContainerSpec.Configs":              {"configs", shown, true, references("ConfigName")},
	"TaskTemplate.ContainerSpec.Sysctls":              {"sysctls", shown, true, plain},
	"TaskTemplate.ContainerSpec.CapabilityAdd":        {"cap_add", shown, true, plain},
	"TaskTemplate.ContainerSpec.CapabilityDrop":       {"cap_drop", shown, true, plain},
	"TaskTemplate.ContainerSpec.Ulimits":              {"ulimits", shown, true, plain},
	"TaskTemplate.Resources.Limits.NanoCPUs":          {"deploy.resources.limits.cpus", shown, true, cpus},
	"TaskTemplate.Resources.Limits.MemoryBytes":       {"deploy.resources.limits.memory", shown, true, bytes},
	"TaskTemplate.Resources.Limits.Pids":              {"deploy.resources.limits.pids", shown, true, plain},
	"TaskTemplate.Resources.Reservations.NanoCPUs":    {"deploy.resources.reservations.cpus", shown, true, cpus},
	"TaskTemplate.Resources.Reservations.MemoryBytes": {"deploy.resources.reservations.memory", shown, true, bytes},
	"TaskTemplate.RestartPolicy.Condition":            {"deploy.restart_policy.condition", shown, true, plain},
	"TaskTemplate.RestartPolicy.Delay":                {"deploy.restart_policy.delay", shown, true, duration},
	"TaskTemplate.RestartPolicy.MaxAttempts":          {"deploy.restart_policy.max_attempts", shown, true, plain},
	"TaskTemplate.RestartPolicy.Window":               {"deploy.restart_policy.window", shown, true, duration},
	"TaskTemplate.Placement.Constraints":              {"deploy.placement.constraints", shown, true, plain},
	"TaskTemplate.Placement.Preferences":              {"deploy.placement.preferences", shown, true, plain},
	"TaskTemplate.Placement.MaxReplicas":              {"deploy.placement.max_replicas_per_node", shown, true, plain},
	"TaskTemplate.Placement.Platforms":                {"platforms of the image", shown, true, plain},
	"TaskTemplate.Networks":                           {"networks", shown, true, networks},
	"TaskTemplate.LogDriver":                          {"logging", hidden, true, nil},
	"TaskTemplate.ForceUpdate":                        {"forced update", shown, true, plain},
	"UpdateConfig.Parallelism":                        {"deploy.update_config.parallelism", shown, true, plain},
	"UpdateConfig.Delay":                              {"deploy.update_config.delay", shown, true, duration},
	"UpdateConfig.FailureAction":                      {"deploy.update_config.failure_action", shown, true, plain},
	"UpdateConfig.Monitor":                            {"deploy.update_config.monitor", shown, true, duration},
	"UpdateConfig.MaxFailureRatio":                    {"deploy.update_config.max_failure_ratio", shown, true, plain},
	"UpdateConfig.Order":                              {"deploy.update_config.order", shown, true, plain},
	"RollbackConfig.Parallelism":                      {"deploy.rollback_config.parallelism", shown, true, plain},
	"RollbackConfig.Delay":                            {"deploy.rollback_config.delay", shown, true, duration},
	"RollbackConfig.FailureAction":                    {"deploy.rollback_config.failure_action", shown, true, plain},
	"RollbackConfig.Monitor":                          {"deploy.rollback_config.monitor", shown, true, duration},
	"RollbackConfig.MaxFailureRatio":                  {"deploy.rollback_config.max_failure_ratio", shown, true, plain},
	"RollbackConfig.Order":                            {"deploy.rollback_config.order", shown, true, plain},
	"EndpointSpec.Mode":                               {"deploy.endpoint_mode", shown, true, plain},
	"EndpointSpec.Ports":                              {"ports", shown, true, ports},
}

// fieldAt returns how the part at a path is shown.
func fieldAt(path string) field { return fields[path] }

// plain shows text as it is, a list with commas.
func plain(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case []any:
		var parts []string
		for _, one := range value {
			parts = append(parts, text(one))
		}
		return strings.Join(parts, ", ")
	}
	return text(value)
}

func number(value any) (float64, bool) {
	n, ok := value.(float64)
	return n, ok
}

// duration shows nanoseconds.
func duration(value any) string {
	n, ok := number(value)
	if !ok {
		return plain(value)
	}
	return time.Duration(n).String()
}

// cpus shows billionths of a CPU.
func cpus(value any) string {
	n, ok := number(value)
	if !ok {
		return plain(value)
	}
	return strconv.FormatFloat(n/1e9, 'f', -1, 64)
}

// bytes shows a size in the largest unit that gives a whole number.
func bytes(value any) string {
	n, ok := number(value)
	if !ok {
		return plain(value)
	}
	size, units := int64(n), []string{"", "K", "M", "G"}
	for len(units) > 1 && size != 0 && size%1024 == 0 {
		size, units = size/1024, units[1:]
	}
	return strconv.FormatInt(size, 10) + units[0]
}

// mode shows how many tasks a service has.
func mode(value any) string {
	t, ok := value.(tree)
	if !ok {
		return "1 replica"
	}
	for name, inside := range t {
		switch n := at(inside, "Replicas"); {
		case name == "Replicated" && n != nil:
			return text(n) + " replicas"
		case name == "Replicated":
			return "1 replica"
		case name == "Global":
			return "global"
		case name == "ReplicatedJob":
			return "replicated-job " + plain(at(inside, "TotalCompletions"))
		case name == "GlobalJob":
			return "global-job"
		}
	}
	return plain(value)
}

// references shows which secrets or configs are mounted, and where.
func references(nameField string) func(any) string {
	return func(value any) string {
		return each(value, func(one any) string {
			name, target := text(at(one, nameField)), text(at(one, "File", "Name"))
			if rest := owner(one); rest != "" {
				target += " (" + rest + ")"
			}
			return name + " at " + target
		})
	}
}

// owner shows who may read a mounted file, where that is not everybody.
func owner(reference any) string {
	uid, gid, mode := text(at(reference, "File", "UID")), text(at(reference, "File", "GID")), 0.0
	mode, _ = number(at(reference, "File", "Mode"))
	if (uid == "0" || uid == "null") && (gid == "0" || gid == "null") && mode == 0o444 {
		return ""
	}
	return fmt.Sprintf("uid %s, gid %s, mode %04o", uid, gid, int(mode))
}

// mounts shows what is mounted where.
func mounts(value any) string {
	return each(value, func(one any) string {
		shown := plain(at(one, "Type")) + " " + plain(at(one, "Source")) + " at " + plain(at(one, "Target"))
		if at(one, "ReadOnly") == true {
			shown += " read-only"
		}
		return strings.ReplaceAll(shown, "  ", " ")
	})
}

// networks shows the names of networks with their aliases.
func networks(value any) string {
	return each(value, func(one any) string {
		if aliases := plain(at(one, "Aliases")); aliases != "" {
			return text(at(one, "Target")) + " as " + aliases
		}
		return text(at(one, "Target"))
	})
}

// ports shows published ports.
func ports(value any) string {
	return each(value, func(one any) string {
		shown := plain(at(one, "PublishedPort")) + ":" + plain(at(one, "TargetPort"))
		if protocol := plain(at(one, "Protocol")); protocol != "" {
			shown += "/" + protocol
		}
		if mode := plain(at(one, "PublishMode")); mode != "" {
			shown += " " + mode
		}
		return shown
	})
}

// each shows the entries of a list, with commas.
func each(value any, show func(any) string) string {
	list, _ := value.([]any)
	var parts []string
	for _, one := range list {
		parts = append(parts, show(one))
	}
	return strings.Join(parts, ", ")
}
