//go:build swarm && linux

package swarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/integration/swarmlab"
)

// failing are the situations in which nodes fail. They share a Swarm one after
// the other.
func failing() tests {
	return tests{"power": power, "leader_link": leaderLink, "quorum_before": quorumBefore, "quorum_during": quorumDuring}
}

// TestNodes runs the situations in which nodes fail, each with all three managers
// ready at its begin.
func TestNodes(t *testing.T) {
	lab := swarmlab.Up(t, swarmlab.Options{Managers: 3})
	lab.LoadHelper(t)
	failing().run(t, lab, false)
}

// followers are the managers that do not lead.
func followers(t *testing.T, lab *swarmlab.Lab) (leader *swarmlab.Node, others []*swarmlab.Node) {
	t.Helper()
	leader = lab.Leader(t)
	for _, n := range lab.Nodes() {
		if n != leader {
			others = append(others, n)
		}
	}
	return leader, others
}

// on connects the stage to another node.
func (s *stage) on(n *swarmlab.Node) { s.node, s.host = n, n.Host() }

// deployedAtLast is what a deployment says that goes on in spite of what happened.
const deployedAtLast = "the state of the service, and then that it is deployed"

// power takes the power of a node that runs tasks of every service, and does not
// lead, right after the update of the first one began.
func power(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	_, others := followers(t, lab)
	s.on(others[0])
	s.deployed()
	s.everything(2)
	running := s.start("deploy:swarm", "-allowOutage")
	running.until("update service " + s.stack + "_api")
	others[1].Power(t)
	r := running.end()
	r.is(s, 0, "deployed")
	well := s.well(time.Now().Add(-r.took))
	s.unlocked()
	others[1].Start(t)
	lab.WaitReady(t)
	s.must(0, "deploy:swarm").is(s, 0, "nothing to change")
	s.silent(false)
	s.must(0, "deploy:remove", s.stack)
	one := s.row(r, "deployed: every task on nodes that answer; no lock", well, "nothing is left to do; with the node back, `mage deploy:swarm` (0) changes nothing")
	one.said = deployedAtLast
	return one
}

// leaderLink cuts the leader off while keepmum is connected to another manager.
func leaderLink(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	leader, others := followers(t, lab)
	s.on(others[0])
	s.deployed()
	s.everything(2)
	running := s.start("deploy:swarm", "-allowOutage")
	running.until("update service " + s.stack + "_db")
	leader.Link(t, false)
	r := running.end()
	led, after := "", ""
	switch {
	case r.code == 0:
		after, led = "deployed, once a new leader was elected; no lock", "nothing is left to do"
	case r.code == 6:
		after = "nothing was put back; the lock is free after 30 s at most"
		for _, args := range commands(r.next()) {
			got := s.patient(0, args...)
			led += fmt.Sprintf("`mage %s` (%d) ", strings.Join(args, " "), got.code)
		}
	default:
		t.Fatalf("neither 0 nor 6: %s", r)
	}
	well := s.well(time.Now().Add(-r.took))
	leader.Link(t, true)
	lab.WaitReady(t)
	got := s.patient(0, "deploy:swarm", "-allowOutage")
	s.well(time.Now())
	s.unlocked()
	s.silent(false)
	s.must(0, "deploy:remove", s.stack)
	one := s.row(r, after, well, led+fmt.Sprintf("; with the link back, `mage deploy:swarm` (%d)", got.code))
	if one.said == "" {
		one.said = deployedAtLast
	}
	return one
}

// patient runs keepmum again while it says that there is no leader, for two
// minutes at most.
func (s *stage) patient(code int, args ...string) said {
	s.Helper()
	for began := time.Now(); ; {
		r := s.run(args...)
		if r.code == code {
			return r
		}
		if r.code != 4 && r.code != 6 && r.code != 1 || time.Since(began) > waitTime {
			r.is(s, code)
		}
	}
}

// quorumBefore asks for everything while two of three managers have no power.
func quorumBefore(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	before := s.look()
	s.everything(2)
	s.withoutQuorum()
	s.poll("the manager to know that it is alone", func(ctx context.Context) error { // until then it reads
		if _, err := s.node.Client().NodeList(ctx, swarmapi.NodeListOptions{}); err == nil || ctx.Err() != nil {
			return errors.New("it answers")
		}
		return nil
	})
	for _, args := range [][]string{{"deploy:plan"}, {"deploy:status"}, {"deploy:rollback", s.stack}, {"deploy:remove", s.stack}, {"secrets:toSwarm", "-from=prod"}, {"secrets:diff", "-from=prod"}} {
		s.must(4, args...).is(s, 4, "without a leader")
	}
	r := s.must(4, "deploy:swarm", "-allowOutage")
	r.is(s, 4, "is a manager of a Swarm without a leader: at least half of its managers are offline, or the others elect a new one", "start the other managers")
	s.withQuorum()
	if what := before.differs(s.look(), false); what != "" {
		t.Error(what)
	}
	s.unlocked()
	got := s.must(0, "deploy:swarm", "-allowOutage")
	well := s.well(time.Now().Add(-got.took))
	s.silent(false)
	s.must(0, "deploy:remove", s.stack)
	return s.row(r, "nothing was changed; the tasks run on", 0, fmt.Sprintf("%s: the managers started, `mage deploy:swarm` (%d, %s s)", r.next(), got.code, seconds(well)))
}

// withoutQuorum takes the power of two of three managers, and not of the one that
// the stage is connected to.
func (s *stage) withoutQuorum() {
	s.Helper()
	for _, n := range s.lab.Nodes() {
		if n != s.node {
			n.Power(s.TB)
		}
	}
}

// withQuorum starts them again.
func (s *stage) withQuorum() {
	s.Helper()
	for _, n := range s.lab.Nodes() {
		if n != s.node {
			n.Start(s.TB)
		}
	}
	s.lab.WaitReady(s.TB)
}

// quorumDuring takes the power of two of three managers right after the update of
// the first service began.
func quorumDuring(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	s.everything(2)
	running := s.start("deploy:swarm", "-allowOutage")
	running.until("update service " + s.stack + "_db")
	s.withoutQuorum()
	r := running.end()
	r.is(s, 6, "nothing was put back")
	next := commands(r.next())
	if len(next) == 0 {
		t.Fatalf("no command of keepmum is named: %s", r)
	}
	s.withQuorum()
	var led []string
	for _, args := range next {
		code := 0
		got := s.patient(code, args...)
		led = append(led, fmt.Sprintf("`mage %s` (%d)", strings.Join(args, " "), got.code))
	}
	s.must(0, "deploy:swarm", "-allowOutage")
	well := s.well(time.Now().Add(-r.took))
	s.unlocked()
	s.silent(false)
	s.must(0, "deploy:remove", s.stack)
	return s.row(r, "the first service may be changed, the others are not; the lock is free after 30 s", well, "the managers started, "+strings.Join(led, ", "))
}
