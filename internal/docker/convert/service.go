package convert

import (
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/swarm"
	"github.com/keepmum/keepmum/internal/docker"
)

// maxServiceName is the longest name of a service that a Swarm takes.
const maxServiceName = 63

// service is one service while it is converted. Its Deploy is never nil.
type service struct {
	*converter
	name string
	types.ServiceConfig
}

// refuse adds a finding at a place below the service.
func (s service) refuse(problem, next string, path ...string) {
	s.converter.refuse(s.name, problem, next, s.at(path...)...)
}

// notice adds a notice at a place below the service.
func (s service) notice(problem, next string, path ...string) {
	s.converter.notice(s.name, problem, next, s.at(path...)...)
}

// at returns the place of something below the service.
func (s service) at(path ...string) []string {
	return append([]string{"services", s.name}, path...)
}

// spec returns the whole specification.
func (s service) spec() swarm.ServiceSpec {
	s.checkName()
	labels := s.labels(s.Deploy.Labels, s.name, s.at("deploy", "labels")...)
	labels[docker.LabelStackImage] = s.Image
	labels[docker.LabelStack] = s.Stack
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: s.scope(s.name), Labels: labels},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: s.container(),
			Resources:     s.resources(),
			RestartPolicy: s.restartPolicy(),
			Placement:     s.placement(),
			Networks:      s.attachments(),
			LogDriver:     s.logDriver(),
		},
		Mode:           s.mode(),
		UpdateConfig:   s.update("update_config", s.Deploy.UpdateConfig),
		RollbackConfig: s.update("rollback_config", s.Deploy.RollbackConfig),
		EndpointSpec:   s.endpoint(),
	}
}

// checkName refuses a name that a Swarm does not take, and a service without an
// image.
func (s service) checkName() {
	name := s.scope(s.name)
	if len(name) > maxServiceName || !regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[a-zA-Z0-9]+)*$`).MatchString(name) {
		s.refuse("its name in the Swarm would be "+name+"; a Swarm takes up to 63 letters and digits, with - and _ between them", "rename the service, or use a shorter name for the stack")
	}
	if s.Image == "" {
		s.refuse("has no image, and a Swarm does not build one", "write image:, build it and push it to a registry that all nodes reach")
	}
}

// mode returns how many tasks run. scale means the same as deploy.replicas.
func (s service) mode() swarm.ServiceMode {
	var replicas *uint64
	for _, n := range []*int{s.Scale, s.Deploy.Replicas} {
		if n != nil {
			count := uint64(*n)
			replicas = &count
		}
	}
	mode := s.Deploy.Mode
	if replicas != nil && strings.HasPrefix(mode, "global") {
		s.refuse("has replicas, but deploy.mode "+mode+" runs one task on every node", "remove replicas, or write mode: replicated", "deploy", "replicas")
	}
	switch mode {
	case "", "replicated":
		return swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: replicas}}
	case "global":
		return swarm.ServiceMode{Global: &swarm.GlobalService{}}
	case "replicated-job":
		return swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: replicas, TotalCompletions: replicas}}
	case "global-job":
		return swarm.ServiceMode{GlobalJob: &swarm.GlobalJob{}}
	}
	s.refuse("has an unknown deploy.mode", "write replicated, global, replicated-job or global-job", "deploy", "mode")
	return swarm.ServiceMode{}
}

// update returns a policy of updates or rollbacks.
func (s service) update(key string, u *types.UpdateConfig) *swarm.UpdateConfig {
	if u == nil {
		return nil
	}
	if strings.HasSuffix(s.Deploy.Mode, "-job") {
		s.refuse("is a job, which a Swarm does not update: it refuses deploy."+key, "remove "+key, "deploy", key)
	}
	actions := []string{"pause", "continue"}
	if key == "update_config" {
		actions = append(actions, "rollback")
	}
	s.oneOf(u.FailureAction, actions, "deploy", key, "failure_action")
	s.oneOf(u.Order, []string{"stop-first", "start-first"}, "deploy", key, "order")
	parallelism := uint64(1)
	if u.Parallelism != nil {
		parallelism = *u.Parallelism
	}
	return &swarm.UpdateConfig{
		Parallelism: parallelism, Delay: time.Duration(u.Delay), FailureAction: u.FailureAction,
		Monitor: time.Duration(u.Monitor), MaxFailureRatio: u.MaxFailureRatio, Order: u.Order,
	}
}

// oneOf refuses a word that a Swarm does not know.
func (s service) oneOf(word string, known []string, path ...string) {
	if word != "" && !slices.Contains(known, word) {
		s.refuse(strings.Join(path, ".")+" has a word that a Swarm does not know", "write one of: "+strings.Join(known, ", "), path...)
	}
}

// restartPolicy returns deploy.restart_policy, or what restart: means.
func (s service) restartPolicy() *swarm.RestartPolicy {
	if p := s.Deploy.RestartPolicy; p != nil {
		if s.Restart != "" {
			s.notice("restart has no effect beside deploy.restart_policy", "remove it", "restart")
		}
		s.oneOf(p.Condition, []string{"none", "on-failure", "any"}, "deploy", "restart_policy", "condition")
		return &swarm.RestartPolicy{
			Condition: swarm.RestartPolicyCondition(p.Condition), Delay: duration(p.Delay),
			MaxAttempts: p.MaxAttempts, Window: duration(p.Window),
		}
	}
	kind, limit, limited := strings.Cut(s.Restart, ":")
	attempts, err := strconv.ParseUint(limit, 10, 64)
	switch {
	case s.Restart == "":
		return nil
	case limited && (kind != "on-failure" || err != nil):
	case kind == "always" || kind == "unless-stopped":
		return &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny}
	case kind == "no":
		return &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
	case kind == "on-failure":
		return &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionOnFailure, MaxAttempts: &attempts}
	}
	s.refuse("has an unknown restart", "write deploy: and restart_policy: with condition: none, on-failure or any", "restart")
	return nil
}

// duration converts a duration that may be unset.
func duration(d *types.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	value := time.Duration(*d)
	return &value
}

// resources returns limits and reservations. What the service says by cpus,
// mem_limit, mem_reservation and pids_limit means the same; compose-go refuses
// a file in which they differ from those of deploy.
func (s service) resources() *swarm.ResourceRequirements {
	all := &swarm.ResourceRequirements{}
	limits, reservations := types.Resource{}, types.Resource{}
	if l := s.Deploy.Resources.Limits; l != nil {
		limits, all.Limits = *l, &swarm.Limit{}
	}
	if s.CPUS != 0 || s.MemLimit != 0 || s.PidsLimit > 0 {
		all.Limits = &swarm.Limit{}
	}
	if all.Limits != nil {
		*all.Limits = swarm.Limit{
			NanoCPUs:    nanoCPUs(either(limits.NanoCPUs.Value(), s.CPUS)),
			MemoryBytes: int64(either(limits.MemoryBytes, s.MemLimit)),
			Pids:        max(either(limits.Pids, s.PidsLimit), 0),
		}
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		reservations, all.Reservations = *r, &swarm.Resources{}
	}
	if s.MemReservation != 0 || all.Reservations != nil {
		all.Reservations = &swarm.Resources{
			NanoCPUs:         nanoCPUs(reservations.NanoCPUs.Value()),
			MemoryBytes:      int64(either(reservations.MemoryBytes, s.MemReservation)),
			GenericResources: generic(reservations.GenericResources),
		}
	}
	return all
}

// either returns the first of two numbers that is set.
func either[T int64 | float32 | types.UnitBytes](a, b T) T {
	if a != 0 {
		return a
	}
	return b
}

// nanoCPUs converts a number of CPUs to billionths, as the decimal that it was
// written as: 0.1 is 100000000.
func nanoCPUs(cpus float32) int64 {
	exact, ok := new(big.Rat).SetString(strconv.FormatFloat(float64(cpus), 'f', -1, 32))
	if !ok {
		return 0
	}
	exact.Mul(exact, big.NewRat(1_000_000_000, 1))
	return new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
}

// generic converts resources that nodes declare by name.
func generic(resources []types.GenericResource) []swarm.GenericResource {
	var all []swarm.GenericResource
	for _, r := range resources {
		if d := r.DiscreteResourceSpec; d != nil {
			all = append(all, swarm.GenericResource{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: d.Kind, Value: d.Value}})
		}
	}
	return all
}

// placement returns where tasks may run.
func (s service) placement() *swarm.Placement {
	p := &swarm.Placement{Constraints: s.Deploy.Placement.Constraints, MaxReplicas: s.Deploy.Placement.MaxReplicas}
	for _, one := range s.Deploy.Placement.Preferences {
		p.Preferences = append(p.Preferences, swarm.PlacementPreference{Spread: &swarm.SpreadOver{SpreadDescriptor: one.Spread}})
	}
	if s.Platform != "" {
		parts := strings.Split(s.Platform, "/")
		if len(parts) != 2 {
			s.refuse("platform is not OS/ARCHITECTURE, by which a Swarm places tasks", "write platform: linux/amd64, without a variant", "platform")
			return p
		}
		p.Platforms = []swarm.Platform{{OS: parts[0], Architecture: parts[1]}}
	}
	return p
}

// logDriver returns where the tasks' output goes.
func (s service) logDriver() *swarm.Driver {
	if s.Logging == nil {
		return nil
	}
	return &swarm.Driver{Name: s.Logging.Driver, Options: s.Logging.Options}
}

// after returns which services must run before, and how.
func (s service) after() map[string]string {
	after := map[string]string{}
	for other, d := range s.DependsOn {
		switch d.Condition {
		case "", types.ServiceConditionStarted:
			after[other] = "started"
		case types.ServiceConditionHealthy:
			after[other] = "healthy"
		case types.ServiceConditionCompletedSuccessfully:
			after[other] = "completed"
		default:
			s.refuse("depends_on has an unknown condition for "+other, "write service_started, service_healthy or service_completed_successfully", "depends_on", other)
		}
		if !d.Required {
			s.notice("required: false of depends_on has no effect: "+other+" is waited for all the same", "remove it", "depends_on", other, "required")
		}
	}
	return after
}
