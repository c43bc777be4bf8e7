package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/rollout"
)

// preflight looks for what would make the plan fail, or cost an outage.
func (s *session) preflight(ctx context.Context) []fault.Finding {
	findings := slices.Concat(s.quorum(), s.foreign(), s.exposed(ctx))
	for _, step := range s.plan.Steps {
		if step.Kind != rollout.CreateService && step.Kind != rollout.UpdateService {
			continue
		}
		spec := step.Service
		findings = append(findings, s.placement(spec)...)
		findings = append(findings, s.publishing(spec)...)
		if step.Kind == rollout.UpdateService && step.Restarts {
			findings = append(findings, s.outage(spec)...)
		}
	}
	return findings
}

// at makes a finding about a service, at its line in the file.
func (s *session) at(service, problem, next string) fault.Finding {
	f := fault.Finding{Subject: service, Problem: problem, Next: next}
	if s.file == nil { // a command over what is in the Swarm
		return f
	}
	if declared, ok := s.file.Manifest.Service(strings.TrimPrefix(service, s.want.Name+"_")); ok {
		f.File, f.Line = s.file.Manifest.File, declared.Line
	}
	return f
}

// foreign finds services of this name that keepmum did not deploy.
func (s *session) foreign() []fault.Finding {
	if s.options.Adopt {
		return nil
	}
	var findings []fault.Finding
	for _, service := range s.now.Services {
		if service.Spec.Labels[docker.LabelStack] != s.want.Name {
			findings = append(findings, fault.Finding{Subject: service.Spec.Name, Problem: "belongs to the stack " + s.want.Name + ", but keepmum did not deploy it", Next: "look at the plan (mage deploy:plan -adopt), then mage deploy:swarm -adopt; or choose another -stack"})
		}
	}
	return findings
}

// exposed finds that credentials of a registry would go over the network in clear.
func (s *session) exposed(ctx context.Context) []fault.Finding {
	var images []string
	for _, spec := range s.want.Services {
		images = append(images, spec.Task.Image)
	}
	if err := s.state.TakesValues(); err != nil && len(s.Fleet.Credentials(ctx, images...)) > 0 {
		return []fault.Finding{{Subject: "credentials of a registry", Problem: fault.Text(err), Next: "use ssh:// or TLS, or docker logout"}}
	}
	return nil
}

// quorum finds that too few managers are reachable to change anything, and gives a
// notice if one more that fails would be too many.
func (s *session) quorum() []fault.Finding {
	managers, reachable := 0, 0
	for _, node := range s.nodes {
		if node.Manager {
			managers++
			if node.Reachable {
				reachable++
			}
		}
	}
	seen := fmt.Sprintf("%d of %s reachable", reachable, fault.Count(managers, "manager"))
	switch need := managers/2 + 1; {
	case managers > 0 && reachable < need:
		return []fault.Finding{{Subject: "the Swarm", Problem: seen + ": it takes " + fmt.Sprint(need) + " to change anything", Next: "start the other managers; docker node ls"}}
	case reachable == need && reachable < managers:
		s.plan.Notices = append(s.plan.Notices, seen+": if one more fails, the Swarm cannot be changed")
	}
	return nil
}

// placement finds services that no node can run, or that would lose their data.
func (s *session) placement(spec docker.ServiceSpec) []fault.Finding {
	if spec.Mode != "global" && spec.Mode != "global-job" && spec.Replicas == 0 {
		return nil
	}
	var findings []fault.Finding
	places := rollout.Places(spec.Task, s.nodes)
	switch {
	case len(places) == 0:
		return append(findings, s.nowhere(spec))
	case !fits(spec.Task, places):
		findings = append(findings, s.at(spec.Name, "reserves more CPU or memory than any node that may run it has", "lower deploy.resources.reservations, or add a node"))
	}
	if local := localVolume(spec.Task); local != "" && len(s.nodes) > 1 && len(spec.Task.Constraints) == 0 && spec.Mode == "replicated" {
		findings = append(findings, s.at(spec.Name, "has the local volume "+local+" and may run on any of "+fault.Count(len(s.nodes), "node")+": on another one it would start empty", "docker node update --label-add NAME=true NODE, and deploy.placement.constraints: [node.labels.NAME == true]"))
	}
	return findings
}

// nowhere says why no node may run a service.
func (s *session) nowhere(spec docker.ServiceSpec) fault.Finding {
	for _, constraint := range spec.Task.Constraints {
		satisfied := false
		for _, node := range s.nodes {
			satisfied = satisfied || rollout.Allows(constraint, node)
		}
		if !satisfied {
			next := "correct deploy.placement.constraints"
			if label, ok := strings.CutPrefix(constraint, "node.labels."); ok {
				key, value, _ := strings.Cut(label, "==")
				next = "docker node update --label-add " + strings.TrimSpace(key) + "=" + strings.TrimSpace(value) + " NODE"
			}
			return s.at(spec.Name, "no node satisfies "+fault.Printable(constraint), next)
		}
	}
	return s.at(spec.Name, "no node that is ready and active satisfies its constraints", "docker node ls")
}

// fits reports whether a node has what a task reserves.
func fits(task docker.TaskSpec, places []docker.Node) bool {
	for _, node := range places {
		if task.ReservedCPUs <= node.NanoCPUs && task.ReservedMemory <= node.Memory {
			return true
		}
	}
	return false
}

// localVolume returns the name of a named volume on the node's own disk, "" if
// there is none.
func localVolume(task docker.TaskSpec) string {
	for _, m := range task.Mounts {
		if m.Type == "volume" && m.Source != "" && (m.Driver == "" || m.Driver == "local") && !m.Shared {
			return m.Source
		}
	}
	return ""
}

// publishing finds ports that an update would wait for without end, and ports
// that a service of another stack has.
func (s *session) publishing(spec docker.ServiceSpec) []fault.Finding {
	var findings []fault.Finding
	for _, port := range spec.Ports {
		if port.Mode == "host" && spec.UpdateOrder == "start-first" {
			findings = append(findings, s.at(spec.Name, fmt.Sprintf("publishes port %d in host mode and updates start-first: the new task would wait for the port of the old one without end", port.Published), "deploy.update_config.order: stop-first"))
		}
		for _, other := range s.all {
			if other.Spec.Name != spec.Name && port.Published != 0 && holds(other.Spec, port) {
				findings = append(findings, s.at(spec.Name, fmt.Sprintf("publishes port %d, which the service %s has", port.Published, other.Spec.Name), "publish another port"))
			}
		}
	}
	return findings
}

// holds reports whether a service has the port in ingress mode, which the whole
// Swarm has once.
func holds(spec docker.ServiceSpec, port docker.SwarmPort) bool {
	for _, p := range spec.Ports {
		if p.Mode == "ingress" && port.Mode == "ingress" && p.Published == port.Published && p.Protocol == port.Protocol {
			return true
		}
	}
	return false
}

// outage finds why an update of a service may cost an outage. Where that is
// allowed, it is a notice.
func (s *session) outage(spec docker.ServiceSpec) []fault.Finding {
	var why []string
	switch {
	case strings.HasSuffix(spec.Mode, "-job"):
		return nil
	case spec.Mode == "replicated" && spec.Replicas < 2:
		why = append(why, fault.Count(int(spec.Replicas), "replica"))
	}
	if spec.UpdateOrder != "start-first" {
		why = append(why, "stop-first")
	}
	if spec.Task.Health != "own" {
		why = append(why, "no health check")
	}
	switch {
	case len(why) == 0:
		return nil
	case s.options.AllowOutage:
		s.plan.Notices = append(s.plan.Notices, spec.Name+" cannot be updated without an outage: "+strings.Join(why, ", ")+"; deploy:swarm needs -allowOutage for it")
		return nil
	}
	return []fault.Finding{s.at(spec.Name, "cannot be updated without an outage: "+strings.Join(why, ", "), "the same command with -allowOutage")}
}

// resolveImages pins each image to the digest that its registry has now. Where no
// registry answers, an image that already runs keeps its digest, and one that the
// connected engine has is used as it is.
func (s *session) resolveImages(ctx context.Context) ([]fault.Finding, error) {
	found := make([]resolved, len(s.want.Services))
	var wait sync.WaitGroup
	for i, spec := range s.want.Services {
		wait.Add(1)
		go func() {
			defer wait.Done()
			found[i] = s.resolve(ctx, spec)
		}()
	}
	wait.Wait()
	var findings []fault.Finding
	for i, r := range found {
		switch spec := s.want.Services[i]; {
		case r.err != nil:
			return nil, r.err
		case r.image == "":
			findings = append(findings, s.at(spec.Name, "the image "+fault.Printable(spec.Task.Image)+" is in no registry that answers, and not on the connected engine", "docker push it, or docker load it on every node"))
		default:
			s.want.Services[i] = rollout.WithImage(spec, r.image)
		}
	}
	return findings, nil
}

// resolved is the image that a service gets; "" if nobody has it.
type resolved struct {
	image string
	err   error
}

// resolve finds the image of one service.
func (s *session) resolve(ctx context.Context, spec docker.ServiceSpec) resolved {
	image := spec.Task.Image
	pinned, err := s.Fleet.ResolveImage(ctx, image)
	if err == nil {
		return resolved{image: pinned}
	}
	if !errors.Is(err, docker.ErrNotFound) {
		return resolved{err: err}
	}
	for _, old := range s.now.Services {
		if name, _, _ := strings.Cut(old.Spec.Task.Image, "@"); old.Spec.Name == spec.Name && (name == pinned || name == image) {
			return resolved{image: old.Spec.Task.Image}
		}
	}
	has, err := s.Fleet.HasImage(ctx, image)
	if err != nil || !has {
		return resolved{err: err}
	}
	return resolved{image: image}
}
