package versions

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/rollout"
)

// WhereResult is where the versions of one secret are used.
type WhereResult struct {
	cluster.Heading
	Name string     `json:"name"`
	Uses []WhereRow `json:"uses"` // the newest version first; one without a service is used nowhere
}

// WhereRow is one service's use of one version.
type WhereRow struct {
	Version string   `json:"version"` // name in the Swarm
	Service string   `json:"service,omitempty"`
	Stack   string   `json:"stack,omitempty"` // of the service; "" if it belongs to none
	Target  string   `json:"target,omitempty"`
	Wanted  bool     `json:"wanted"`  // the service's specification names it; false: only tasks that still run have it
	Running int      `json:"running"` // tasks that run with it
	Nodes   []string `json:"nodes"`   // of these tasks
}

// WhereServiceResult is what one service is granted.
type WhereServiceResult struct {
	cluster.Heading
	Service string     `json:"service"` // name in the Swarm
	Grants  []GrantRow `json:"grants"`
}

// GrantRow is one secret that a service's specification names, or that its
// running tasks have.
type GrantRow struct {
	Target  string   `json:"target"`
	Version string   `json:"version"`          // name in the Swarm
	Secret  string   `json:"secret,omitempty"` // declared name; "" if keepmum did not make it
	Newest  string   `json:"newest,omitempty"` // name of the newest version
	UID     string   `json:"uid"`
	GID     string   `json:"gid"`
	Mode    string   `json:"mode"` // octal
	Wanted  bool     `json:"wanted"`
	Running int      `json:"running"`
	Nodes   []string `json:"nodes"`
}

// Where names the services of all stacks that use a version of a secret of the
// stack, and the nodes on which their tasks run.
func (v *Versions) Where(ctx context.Context, name string) (WhereResult, error) {
	result := WhereResult{Name: name}
	s, err := v.lookFor(ctx, name)
	if err != nil {
		return result, err
	}
	defer s.close()
	result.Heading = s.Heading
	versions := s.Versions[name]
	uses, err := s.uses(ctx, func(_ docker.Service, id string) bool {
		return slices.ContainsFunc(versions, func(v rollout.Version) bool { return v.ID == id })
	})
	if err != nil {
		return result, err
	}
	for _, version := range slices.Backward(versions) {
		used := false
		for _, u := range uses {
			if u.reference.ID == version.ID {
				used = true
				result.Uses = append(result.Uses, WhereRow{Version: version.Name, Service: u.service.Spec.Name, Stack: stackOf(u.service), Target: u.reference.Target, Wanted: u.wanted, Running: u.running, Nodes: u.nodes})
			}
		}
		if !used {
			result.Uses = append(result.Uses, WhereRow{Version: version.Name})
		}
	}
	return result, nil
}

// WhereService shows which versions a service is granted. The service is named as
// in the Swarm, or as in the stack's file.
func (v *Versions) WhereService(ctx context.Context, service string) (WhereServiceResult, error) {
	result := WhereServiceResult{Service: service}
	s, err := v.look(ctx)
	if err != nil {
		return result, err
	}
	defer s.close()
	result.Heading = s.Heading
	all, err := s.Runtime.Services(ctx)
	if err != nil {
		return result, err
	}
	found, err := serviceNamed(all, s.Stack, service)
	if err != nil {
		return result, err
	}
	result.Service = found.Spec.Name
	uses, err := s.usesOf(ctx, all, func(service docker.Service, _ string) bool { return service.ID == found.ID })
	if err != nil {
		return result, err
	}
	for _, u := range uses {
		row := GrantRow{Target: u.reference.Target, Version: u.reference.Name, UID: u.reference.UID, GID: u.reference.GID, Mode: fmt.Sprintf("%04o", u.reference.Mode), Wanted: u.wanted, Running: u.running, Nodes: u.nodes}
		row.Secret, row.Newest = s.newestOf(u.reference.ID)
		result.Grants = append(result.Grants, row)
	}
	return result, nil
}

// lookFor is look for a secret that has versions.
func (v *Versions) lookFor(ctx context.Context, name string) (*session, error) {
	if rollout.CheckName(name) != "" { // not shown: it may be a value in the wrong place
		return nil, &fault.Error{Code: fault.Usage, What: "that is not the name of a secret: use letters, digits, and - _ . between them", Next: "mage secrets:list"}
	}
	s, err := v.look(ctx)
	if err == nil && len(s.Versions[name]) == 0 {
		s.close()
		return nil, &fault.Error{Code: fault.Invalid, What: "stack " + s.Stack + " has no version of " + name + " in this Swarm", Next: "mage secrets:toSwarm -from=DIR, or name another stack: -stack=NAME"}
	}
	return s, err
}

// serviceNamed finds a service.
func serviceNamed(all []docker.Service, stack, name string) (docker.Service, error) {
	var names []string
	for _, full := range []string{stack + "_" + name, name} {
		for _, service := range all {
			if service.Spec.Name == full {
				return service, nil
			}
		}
	}
	for _, service := range all {
		if short, ok := strings.CutPrefix(service.Spec.Name, stack+"_"); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	next := "docker service ls"
	if len(names) > 0 {
		next = "name one of " + strings.Join(names, ", ")
	}
	return docker.Service{}, &fault.Error{Code: fault.Invalid, What: "stack " + stack + " has no service " + fault.Printable(name) + " in this Swarm", Next: next}
}

// use is one service's use of one secret, under one target.
type use struct {
	service   docker.Service
	reference docker.Reference
	wanted    bool // by the service's specification
	running   int
	nodes     []string // names, sorted
}

// uses returns all uses that match, sorted by service and target, those that
// are wanted first.
func (s *session) uses(ctx context.Context, match func(service docker.Service, secret string) bool) ([]use, error) {
	all, err := s.Runtime.Services(ctx)
	if err != nil {
		return nil, err
	}
	return s.usesOf(ctx, all, match)
}

// usesOf is uses of services that are read already. Tasks are asked for those
// services alone that name a match now, or did before their last update.
func (s *session) usesOf(ctx context.Context, all []docker.Service, match func(docker.Service, string) bool) ([]use, error) {
	found := collector{services: map[string]docker.Service{}, match: match}
	for _, service := range all {
		found.service(service)
	}
	if len(found.services) == 0 {
		return nil, nil
	}
	tasks, err := s.Runtime.Tasks(ctx, slices.Sorted(maps.Keys(found.services))...)
	if err != nil {
		return nil, err
	}
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		found.task(task, cmp.Or(nodes[task.NodeID], task.NodeID))
	}
	return found.sorted(), nil
}

// collector collects uses.
type collector struct {
	match    func(service docker.Service, secret string) bool
	services map[string]docker.Service // whose tasks count, by id
	uses     []*use
}

// use returns the use of a service, which is new if there was none.
func (c *collector) use(service docker.Service, r docker.Reference) *use {
	for _, u := range c.uses {
		if u.service.ID == service.ID && u.reference.ID == r.ID && u.reference.Target == r.Target {
			return u
		}
	}
	u := &use{service: service, reference: r}
	c.uses = append(c.uses, u)
	return u
}

// service adds what a service's specification names.
func (c *collector) service(service docker.Service) {
	for _, r := range service.Spec.Task.Secrets {
		if c.match(service, r.ID) {
			c.use(service, r).wanted = true
			c.services[service.ID] = service
		}
	}
	if service.Previous == nil {
		return
	}
	for _, r := range service.Previous.Task.Secrets {
		if c.match(service, r.ID) {
			c.services[service.ID] = service
		}
	}
}

// task adds what a task has if it runs.
func (c *collector) task(task docker.Task, node string) {
	service := c.services[task.ServiceID]
	for _, r := range task.Spec.Secrets {
		if task.State == "running" && c.match(service, r.ID) {
			u := c.use(service, r)
			u.running++
			u.nodes = append(u.nodes, node)
		}
	}
}

// sorted returns the uses, each with its nodes, sorted.
func (c *collector) sorted() []use {
	sorted := make([]use, 0, len(c.uses))
	for _, u := range c.uses {
		slices.Sort(u.nodes)
		u.nodes = slices.Compact(u.nodes)
		sorted = append(sorted, *u)
	}
	slices.SortStableFunc(sorted, func(a, b use) int {
		switch byName := cmp.Or(strings.Compare(a.service.Spec.Name, b.service.Spec.Name), strings.Compare(a.reference.Target, b.reference.Target)); {
		case byName != 0 || a.wanted == b.wanted:
			return byName
		case a.wanted:
			return -1
		}
		return 1
	})
	return sorted
}

// nodes returns the names of the nodes by id.
func (s *session) nodes(ctx context.Context) (map[string]string, error) {
	all, err := s.Runtime.Nodes(ctx)
	names := make(map[string]string, len(all))
	for _, node := range all {
		names[node.ID] = node.Hostname
	}
	return names, err
}

// newestOf returns the declared name of a version of any stack, and the name of
// its newest one.
func (s *session) newestOf(id string) (secret, newest string) {
	for _, one := range s.Secrets {
		if one.ID != id {
			continue
		}
		for name, versions := range rollout.SecretVersions(one.Labels[docker.LabelStack], s.Secrets) {
			if last, _ := rollout.Newest(versions); slices.ContainsFunc(versions, func(v rollout.Version) bool { return v.ID == id }) {
				return name, last.Name
			}
		}
	}
	return "", ""
}

// stackOf is the stack that a service belongs to.
func stackOf(service docker.Service) string {
	return cmp.Or(service.Spec.Labels[docker.LabelStack], service.Spec.Labels[docker.LabelNamespace])
}
