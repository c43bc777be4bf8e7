package swarm

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// Nodes returns the members of the Swarm, sorted by host name.
func (s *Swarm) Nodes(ctx context.Context) ([]docker.Node, error) {
	const doing = "listing the Swarm's nodes"
	answer, err := s.get(ctx, doing, "/nodes", nil)
	if err != nil {
		return nil, err
	}
	var list []swarm.Node
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.Node, len(list))
	for i, n := range list {
		all[i] = nodeOf(n)
	}
	slices.SortFunc(all, func(a, b docker.Node) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func nodeOf(n swarm.Node) docker.Node {
	has := n.Description
	node := docker.Node{
		ID: n.ID, Hostname: has.Hostname, Manager: n.Spec.Role == swarm.NodeRoleManager,
		State: string(n.Status.State), Availability: string(n.Spec.Availability), Labels: n.Spec.Labels, EngineLabels: has.Engine.Labels,
		OS: has.Platform.OS, Arch: has.Platform.Architecture, NanoCPUs: has.Resources.NanoCPUs, Memory: has.Resources.MemoryBytes,
		Engine: has.Engine.EngineVersion, Address: n.Status.Addr,
	}
	if m := n.ManagerStatus; m != nil {
		node.Leader, node.Reachable = m.Leader, m.Reachability == swarm.ReachabilityReachable
		// A leader does not see its own address: it is 0.0.0.0 in its status.
		if host, _, err := net.SplitHostPort(m.Addr); err == nil {
			node.Address = host
		}
	}
	return node
}

// Networks returns the networks that the manager sees, sorted by name.
func (s *Swarm) Networks(ctx context.Context) ([]docker.Network, error) {
	const doing = "listing networks"
	answer, err := s.get(ctx, doing, "/networks", nil)
	if err != nil {
		return nil, err
	}
	var list []network.Summary
	if err := decode(doing, answer, &list); err != nil {
		return nil, err
	}
	all := make([]docker.Network, len(list))
	for i, n := range list {
		all[i] = networkOf(n)
	}
	for _, name := range predefined {
		one, err := s.network(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	slices.SortFunc(all, func(a, b docker.Network) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// networkOf is a network of the engine's answer.
func networkOf(n network.Summary) docker.Network {
	one := docker.Network{
		ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: n.Scope, Attachable: n.Attachable, Ingress: n.Ingress, Internal: n.Internal,
		Labels: n.Labels, Options: n.Options,
	}
	for _, part := range n.IPAM.Config {
		one.Subnets = append(one.Subnets, part.Subnet)
	}
	return one
}

// predefined are the networks that every Swarm has besides ingress. The engine
// returns them, and does not list them.
var predefined = [...]string{"bridge", "host"}

// network returns a network of the Swarm by its name, in a list: none if there is
// none of that name.
func (s *Swarm) network(ctx context.Context, name string) ([]docker.Network, error) {
	doing := "reading the network " + name
	answer, err := s.get(ctx, doing, "/networks/"+name, url.Values{"scope": {"swarm"}})
	if errors.Is(err, docker.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var one network.Summary
	if err := decode(doing, answer, &one); err != nil {
		return nil, err
	}
	return []docker.Network{networkOf(one)}, nil
}

// CreateNetwork creates a network and returns its id.
func (s *Swarm) CreateNetwork(ctx context.Context, spec docker.NetworkSpec) (string, error) {
	doing := "creating the network " + fault.Printable(spec.Name)
	answer, err := s.engine.Ask(ctx, engine.Request{Doing: doing, Method: http.MethodPost, Path: "/networks/create", Body: spec.JSON})
	if err != nil {
		return "", s.explain(err)
	}
	return createdID(doing, answer)
}

// RemoveNetwork removes a network by its id.
func (s *Swarm) RemoveNetwork(ctx context.Context, id string) error {
	return s.remove(ctx, "network", id)
}

// RemoveVolume removes a volume of the connected engine, by its name.
func (s *Swarm) RemoveVolume(ctx context.Context, name string) error {
	return s.remove(ctx, "volume", name)
}
