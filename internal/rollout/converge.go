package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
)

// State says how far a service is on its way.
type State string

// The states.
const (
	Converging State = "converging"
	Converged  State = "converged"
	Failing    State = "failed"
)

// Cause is why tasks of a service do not run, in one word.
type Cause string

// The causes.
const (
	CausePull       Cause = "pull"          // the node has no such image and gets none
	CauseCrash      Cause = "crash"         // the program ended with an error
	CauseMemory     Cause = "out of memory" // it was killed with signal 9
	CauseHealth     Cause = "health"        // its health check fails, or never passed
	CauseScheduling Cause = "scheduling"    // no node takes it
	CauseStart      Cause = "start"         // the engine cannot start it
	CauseForeign    Cause = "changed"       // somebody else changed the service meanwhile
)

// attempts is how many tasks of one slot may fail before the service has failed:
// a database that is not up yet may cost one or two.
const attempts = 3

// Verdict is what the tasks of a service say.
type Verdict struct {
	State    State
	Done     bool          // it is a job, or its task ended with 0 and is not restarted
	Want     int           // tasks that should run, or should have completed
	Ready    int           // of them, how many do
	Old      int           // tasks of another specification that still run
	Cause    Cause         // where State is Failing, or where a deadline would say why
	Problem  string        // in the engine's words
	Attempts int           // tasks that failed
	Failed   []docker.Task // the newest of each slot
}

// String says the verdict in a few words.
func (v Verdict) String() string {
	switch {
	case v.State == Converged && v.Done:
		return "done"
	case v.State == Converged:
		return fmt.Sprintf("%d/%d running", v.Ready, v.Want)
	}
	text := fmt.Sprintf("%d/%d running", v.Ready, v.Want)
	if v.Old > 0 {
		text += fmt.Sprintf(", %d of the old specification still running", v.Old)
	}
	if v.Attempts > 0 {
		text += fmt.Sprintf(", %d failed", v.Attempts)
	}
	if v.Cause != "" {
		text += ": " + string(v.Cause)
		if v.Problem != "" {
			text += " (" + v.Problem + ")"
		}
	}
	return text
}

// Watch judges one service by what is seen of it, again and again. It starts at
// the change, or at the moment when an unchanged service is first looked at.
type Watch struct {
	// Spec is the service's specification as it was read after the change.
	Spec docker.ServiceSpec
	// Job is the iteration of a job as it was read after the change.
	Job uint64
	// Past are the ids of tasks that had failed before the change.
	Past map[string]bool
	// Unchanged says that the service was running before the observer came: a task
	// that runs then is settled, unless others of its kind have failed.
	Unchanged bool
	// Back says that the service is on its way back: that the Swarm rolls it back
	// itself is no failure then.
	Back bool

	running map[string]time.Duration // by task: when it was first seen running
	failed  map[string]docker.Task   // by task
}

// See judges the service at a moment of the observer's monotonic clock.
func (w *Watch) See(now time.Duration, service docker.Service, tasks []docker.Task, nodes []docker.Node) Verdict {
	if w.running == nil {
		w.running, w.failed = map[string]time.Duration{}, map[string]docker.Task{}
	}
	look := look{Watch: w, now: now, nodes: map[string]docker.Node{}}
	for _, node := range nodes {
		look.nodes[node.ID] = node
	}
	for _, task := range tasks {
		look.task(task)
	}
	look.count(nodes)
	look.judge(service)
	return look.verdict
}

// look is one look at a service.
type look struct {
	*Watch
	now     time.Duration
	nodes   map[string]docker.Node
	verdict Verdict
	slots   map[string]bool // that are ready
	runs    int             // tasks that run now
	waiting []docker.Task   // of the new specification, not running yet
}

// slot is what a task is one of: the node of a global service, else a slot. The
// first one of a job has the number 0.
func (l *look) slot(t docker.Task) string {
	if strings.HasPrefix(l.Spec.Mode, "global") {
		return t.NodeID
	}
	return fmt.Sprint(t.Slot)
}

// task takes one task into account.
func (l *look) task(t docker.Task) {
	if l.slots == nil {
		l.slots = map[string]bool{}
	}
	if !l.mine(t) {
		if !t.Over() && started(t) && l.answers(t.NodeID) {
			l.verdict.Old++
		}
		return
	}
	switch {
	case t.State == "running" && t.Desired == "running":
		l.runs++
		if l.settled(t) && l.answers(t.NodeID) {
			l.slots[l.slot(t)] = true
		}
	case t.State == "complete" && l.finishes():
		l.slots[l.slot(t)] = true
	case t.State == "failed" || t.State == "rejected" || t.State == "complete" && t.Desired != "remove":
		if !l.Past[t.ID] {
			l.failed[t.ID] = t
		}
	case !t.Over() && t.Desired == "running" || !t.Over() && t.Desired == "complete":
		l.waiting = append(l.waiting, t)
	}
}

// mine reports whether a task runs the specification that is watched. If nothing but
// the placement has changed, the Swarm does not restart a task whose node satisfies
// the new constraints: it goes on with the old placement in its specification
// (IsTaskDirty in swarmkit's manager/orchestrator/task.go).
func (l *look) mine(t docker.Task) bool {
	if l.isJob() {
		return t.Job == l.Job
	}
	if SameTask(t.Spec.JSON, l.Spec.Task.JSON) {
		return true
	}
	node, known := l.nodes[t.NodeID]
	return known && allowsAll(l.Spec.Task.Constraints, node) && sameElsewhere(t.Spec.JSON, l.Spec.Task.JSON)
}

func (l *look) isJob() bool { return strings.HasSuffix(l.Spec.Mode, "-job") }

// finishes reports whether a task that ends with 0 is done.
func (l *look) finishes() bool { return l.isJob() || l.Spec.Task.Restart != "any" }

// started reports whether a task has, or may have, a container.
func started(t docker.Task) bool {
	return t.State == "starting" || t.State == "running" || t.State == "ready"
}

// answers reports whether a node can be believed. A task on a node that is down
// keeps the state that was last heard of it.
func (l *look) answers(node string) bool {
	n, known := l.nodes[node]
	return known && n.State == "ready"
}

// settled reports whether a running task counts: at once if a health check
// passed, else after it has run for the monitor time of the service's updates.
func (l *look) settled(t docker.Task) bool {
	first, seen := l.running[t.ID]
	if !seen {
		first = l.now
		l.running[t.ID] = first
	}
	return l.Spec.Task.Health == "own" || l.Unchanged && len(l.Past) == 0 || l.now-first >= l.Spec.Monitor
}

// count says how many tasks there should be, and how many there are.
func (l *look) count(nodes []docker.Node) {
	l.verdict.Ready = len(l.slots)
	switch l.Spec.Mode {
	case "global", "global-job":
		l.verdict.Want = len(Places(l.Spec.Task, nodes))
		for _, node := range nodes { // a node that left is not waited for
			if !Usable(node) && l.slots[node.ID] && l.verdict.Ready > l.verdict.Want {
				l.verdict.Ready--
			}
		}
	default:
		l.verdict.Want = int(l.Spec.Replicas)
	}
}

// judge decides.
func (l *look) judge(service docker.Service) {
	v := &l.verdict
	v.State, v.Attempts = Converging, len(l.failed)
	slots := map[string]int{}
	for _, t := range l.failed {
		slots[l.slot(t)]++
	}
	v.Failed = l.newest()
	l.explain()
	switch {
	case !SameTask(service.Spec.Task.JSON, l.Spec.Task.JSON):
		v.State = Failing
		if !strings.HasPrefix(service.Update.State, "rollback") {
			v.Cause, v.Problem = CauseForeign, "its specification is not the one that was sent"
		}
	case l.ended(service.Update.State) && !(l.Unchanged && v.Ready >= v.Want && v.Old == 0):
		v.State = Failing
	case v.Ready >= v.Want && v.Old == 0:
		v.State, v.Cause, v.Problem = Converged, "", ""
		v.Done = l.isJob() || v.Want > 0 && l.allOver()
	case l.isJob() && l.spent(slots) || slices.ContainsFunc(slices.Collect(maps.Values(slots)), func(n int) bool { return n >= attempts }) || l.Spec.Task.Restart == "none" && v.Attempts > 0:
		v.State = Failing
	}
}

// ended reports whether the Swarm gave up the update that is watched. Of a service
// that is not changed, the state is that of an update long ago.
func (l *look) ended(state string) bool {
	return strings.HasSuffix(state, "paused") || strings.HasPrefix(state, "rollback") && !l.Back && !l.Unchanged
}

// spent reports whether a slot has used all its attempts by the restart policy.
func (l *look) spent(slots map[string]int) bool {
	most := int(l.Spec.Task.MaxAttempts) + 1
	return l.Spec.Task.MaxAttempts > 0 && slices.ContainsFunc(slices.Collect(maps.Values(slots)), func(n int) bool { return n >= most })
}

// allOver reports whether no task runs any more: what was ready is complete.
func (l *look) allOver() bool { return l.runs+len(l.waiting) == 0 }

// newest returns the last failed task of each slot, sorted by name.
func (l *look) newest() []docker.Task {
	last := map[string]docker.Task{}
	for _, t := range l.failed {
		if old, ok := last[l.slot(t)]; !ok || t.Changed.After(old.Changed) {
			last[l.slot(t)] = t
		}
	}
	var tasks []docker.Task
	for _, t := range last {
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, func(a, b docker.Task) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return tasks
}

// explain finds the cause: that of the last failure, or why a task is not running
// yet.
func (l *look) explain() {
	v := &l.verdict
	if len(v.Failed) > 0 {
		last := slices.MaxFunc(v.Failed, func(a, b docker.Task) int { return a.Changed.Compare(b.Changed) })
		v.Cause, v.Problem = l.causeOf(last)
		return
	}
	for _, t := range l.waiting {
		switch {
		case t.State == "pending" && t.Problem != "":
			v.Cause, v.Problem = CauseScheduling, t.Problem
		case t.State == "starting" && v.Cause == "" && l.Spec.Task.Health == "own":
			v.Cause, v.Problem = CauseHealth, "not healthy yet"
		case t.State == "starting" && v.Cause == "":
			v.Cause, v.Problem = CauseStart, "the engine starts it, or its image's health check has not passed yet"
		}
	}
}

// causeOf returns why a task failed, and the engine's words or, for a program that
// ended with 0, which the engine does not explain, other ones. A program that is
// stopped because its health check fails, and ends in good order, ends with 0.
func (l *look) causeOf(t docker.Task) (Cause, string) {
	switch {
	case t.State != "complete" || t.ExitCode != 0 || t.Problem != "":
		return CauseOf(t), t.Problem
	case l.Spec.Task.Health == "own":
		return CauseHealth, "its program ended with 0: stopped because the health check failed, or by itself"
	}
	return CauseCrash, "its program ended with 0, and should go on running"
}

// CauseOf returns why a task failed. The engine says it in words alone.
//
// Source: the texts of moby's swarm executor (daemon/cluster/executor/container)
// and of swarmkit's scheduler, as Engine 20.10, 26.1 and 28.5 give them.
func CauseOf(t docker.Task) Cause {
	text := strings.ToLower(t.Problem + " " + t.Message)
	has := func(signs ...string) bool {
		return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(text, sign) })
	}
	switch {
	case has("no such image", "pull access denied", "manifest unknown", "manifest for", "image not found"):
		return CausePull
	case has("unhealthy container"):
		return CauseHealth
	case has("no suitable node"):
		return CauseScheduling
	case has("oomkilled", "out of memory"), t.ExitCode == 137:
		return CauseMemory
	case has("non-zero exit"), t.ExitCode != 0, t.State == "complete":
		return CauseCrash
	}
	return CauseStart
}
