package deploy

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/rollout"
)

// StatusResult says how a stack is.
type StatusResult struct {
	cluster.Heading
	Services []ServiceStatus `json:"services"`
	Last     *cluster.Entry  `json:"last,omitempty"` // operation on the stack; absent: none is recorded
	Drift    []string        `json:"drift"`          // what deploy:swarm would change
}

// ServiceStatus says how one service is.
type ServiceStatus struct {
	Service  string   `json:"service"`
	Image    string   `json:"image"`
	Want     int      `json:"want"`
	Ready    int      `json:"ready"`
	State    string   `json:"state"`
	Versions []string `json:"versions"` // of secrets, as its specification grants them
	Nodes    []string `json:"nodes"`    // host names of those where it runs
}

// Status says how the stack is, from its tasks. The error has the code
// fault.Failed if something that should run does not.
func (d *Deploy) Status(ctx context.Context) (StatusResult, error) {
	stack, err := d.stack()
	if err != nil {
		return StatusResult{}, err
	}
	s, err := d.attach(ctx, stack, Options{Adopt: true})
	if err != nil {
		return StatusResult{}, err
	}
	defer s.close()
	result := StatusResult{Heading: s.state.Heading}
	verdicts, err := s.executor().Observe(ctx, s.now.Services)
	if err != nil {
		return result, err
	}
	var ids []string
	for _, service := range s.now.Services {
		ids = append(ids, service.ID)
	}
	tasks, err := s.Swarm.Tasks.Tasks(ctx, ids...)
	if err != nil {
		return result, err
	}
	var down []string
	for _, service := range s.now.Services {
		verdict := verdicts[service.Spec.Name]
		one := s.status(service, verdict, tasks)
		if verdict.State != rollout.Converged {
			down = append(down, one.Service+" "+one.State)
		}
		result.Services = append(result.Services, one)
	}
	slices.SortFunc(result.Services, func(a, b ServiceStatus) int { return strings.Compare(a.Service, b.Service) })
	if history, err := s.state.History(ctx); err == nil && len(history) > 0 {
		result.Last = &history[0]
	}
	result.Drift = s.drift(ctx)
	if len(down) > 0 {
		return result, &fault.Error{Code: fault.Failed, What: "not as it should be: " + strings.Join(down, ", "), Next: "docker service ps SERVICE, then mage deploy:swarm"}
	}
	return result, nil
}

// status describes one service, and where its tasks run.
func (s *session) status(service docker.Service, verdict rollout.Verdict, tasks []docker.Task) ServiceStatus {
	status := ServiceStatus{Service: service.Spec.Name, Image: service.Spec.Task.Image, Want: verdict.Want, Ready: verdict.Ready, State: verdict.String(), Versions: service.Spec.Task.SecretNames()}
	for _, node := range s.nodes {
		if slices.ContainsFunc(tasks, func(t docker.Task) bool {
			return t.ServiceID == service.ID && t.NodeID == node.ID && t.State == "running"
		}) {
			status.Nodes = append(status.Nodes, node.Hostname)
		}
	}
	return status
}

// drift says what a deployment of the file would change. Where that cannot be
// known, it is said: no difference would be another answer.
func (s *session) drift(ctx context.Context) []string {
	var err error
	if s.file, err = s.Project.LoadSwarm(); errors.Is(err, fs.ErrNotExist) && s.Project.SwarmFile == "" {
		return nil
	}
	s.options.AllowOutage = true
	if err == nil {
		err = s.convert(s.want.Name)
	}
	if err == nil {
		err = s.makePlan(ctx)
	}
	if err != nil {
		s.Project.Progress.Say("what differs from the file is not known: %s", fault.Text(err))
		return nil
	}
	var all []string
	for _, step := range s.plan.Steps {
		line := string(step.Kind) + " " + step.Name
		for _, change := range step.Changes {
			line += "; " + change.String()
		}
		all = append(all, line)
	}
	return all
}
