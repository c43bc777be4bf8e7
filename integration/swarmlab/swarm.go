//go:build swarm && linux

package swarmlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
)

// form makes a Swarm of the members, a node after another.
func (l *Lab) form(ctx context.Context) error {
	first := l.nodes[0]
	request := swarm.InitRequest{ListenAddr: first.IP() + ":2377", AdvertiseAddr: first.IP(), DataPathAddr: first.IP()}
	request.Spec.Dispatcher.HeartbeatPeriod = l.options.Heartbeat
	if _, err := first.client.SwarmInit(ctx, request); err != nil {
		return fmt.Errorf("swarm init on %s: %w", first.Name(), err)
	}
	made, err := first.client.SwarmInspect(ctx)
	if err != nil {
		return err
	}
	for i, n := range l.members()[1:] {
		token := made.JoinTokens.Worker
		if i+1 < l.options.Managers {
			token = made.JoinTokens.Manager
		}
		err := n.client.SwarmJoin(ctx, swarm.JoinRequest{ListenAddr: n.IP() + ":2377", AdvertiseAddr: n.IP(), DataPathAddr: n.IP(),
			RemoteAddrs: []string{first.IP() + ":2377"}, JoinToken: token})
		if err != nil {
			return errors.New("swarm join on " + n.Name() + ": " + strings.ReplaceAll(err.Error(), token, "…"))
		}
	}
	return nil
}

// view is the Swarm's nodes as a manager sees them, by hostname.
type view map[string]swarm.Node

// viewOf asks one manager.
func viewOf(ctx context.Context, n *Node) (view, error) {
	list, err := n.client.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name(), err)
	}
	seen := view{}
	for _, one := range list {
		seen[one.Description.Hostname] = one
	}
	return seen, nil
}

// view is that of the first manager that answers.
func (l *Lab) view(ctx context.Context) (view, error) {
	var failed []error
	for _, n := range l.managers() {
		seen, err := viewOf(ctx, n)
		if err == nil {
			return seen, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(append(failed, errors.New("no manager answers"))...)
}

// leader is the name of the leader; empty: there is none.
func (v view) leader() string {
	for name, one := range v {
		if one.ManagerStatus != nil && one.ManagerStatus.Leader {
			return name
		}
	}
	return ""
}

// Leader waits until more than half of the managers name the same leader, and
// that one has power and a link. A leader that was cut off goes on naming itself
// for a while.
func (l *Lab) Leader(t testing.TB) *Node {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	var found *Node
	err := await(ctx, "a leader", func(ctx context.Context) error {
		var err error
		found, err = l.leader(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// leader asks every manager once.
func (l *Lab) leader(ctx context.Context) (*Node, error) {
	var failed []error
	var views []view
	for _, n := range l.managers() {
		seen, err := viewOf(ctx, n)
		views, failed = append(views, seen), append(failed, err)
	}
	name := elected(views, l.options.Managers)
	for _, n := range l.managers() {
		if n.Name() == name {
			return n, nil
		}
	}
	return nil, errors.Join(append(failed, fmt.Errorf("%q leads by %d views", name, len(views)))...)
}

// elected is the leader in the views of more than half of so many managers;
// empty: there is none.
func elected(views []view, managers int) string {
	votes := map[string]int{}
	for _, seen := range views {
		name := seen.leader()
		if votes[name]++; votes[name] > managers/2 {
			return name
		}
	}
	return ""
}

// WaitReady waits until the Swarm says that these nodes are ready, and those that
// are managers reachable; without any, all that have power and a link.
func (l *Lab) WaitReady(t testing.TB, nodes ...*Node) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	if len(nodes) == 0 {
		nodes = slices.DeleteFunc(slices.Clone(l.members()), func(n *Node) bool { return !n.reachable() })
	}
	if err := l.awaitReady(ctx, nodes); err != nil {
		t.Fatal(err)
	}
}

func (l *Lab) awaitReady(ctx context.Context, nodes []*Node) error {
	return l.awaitNodes(ctx, "ready", nodes, func(one swarm.Node) bool {
		return one.Status.State == swarm.NodeStateReady && (one.ManagerStatus == nil || one.ManagerStatus.Reachability == swarm.ReachabilityReachable)
	})
}

// WaitDown waits until the Swarm says that these nodes are down.
func (l *Lab) WaitDown(t testing.TB, nodes ...*Node) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	err := l.awaitNodes(ctx, "down", nodes, func(one swarm.Node) bool { return one.Status.State == swarm.NodeStateDown })
	if err != nil {
		t.Fatal(err)
	}
}

// awaitNodes waits until the Swarm says something of all these nodes.
func (l *Lab) awaitNodes(ctx context.Context, what string, nodes []*Node, is func(swarm.Node) bool) error {
	return await(ctx, fmt.Sprintf("%d nodes to be %s", len(nodes), what), func(ctx context.Context) error {
		seen, err := l.view(ctx)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			one, known := seen[n.Name()]
			if !known || !is(one) {
				return fmt.Errorf("%s is %s, manager %+v", n.Name(), one.Status.State, one.ManagerStatus)
			}
		}
		return nil
	})
}

// ID is the node's id in the Swarm.
func (n *Node) ID(t testing.TB) string {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	info, err := n.client.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return info.Swarm.NodeID
}
