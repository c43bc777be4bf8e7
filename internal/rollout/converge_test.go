package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/rollout"
)

// scene is one service with its tasks, seen again and again.
type scene struct {
	t       *testing.T
	watch   rollout.Watch
	service docker.Service
	tasks   []docker.Task
	nodes   []docker.Node
	now     time.Duration
}

func newScene(t *testing.T, changes ...func(map[string]any)) *scene {
	s := web(t, changes...)
	return &scene{t: t, watch: rollout.Watch{Spec: s}, service: docker.Service{ID: "web", Spec: s}, nodes: []docker.Node{node("n1"), node("n2"), node("n3")}}
}

func node(id string) docker.Node {
	return docker.Node{ID: id, Hostname: id + ".example", State: "ready", Availability: "active", OS: "linux", Arch: "x86_64", NanoCPUs: 2e9, Memory: 4 << 30}
}

// task adds a task of the specification that is watched.
func (s *scene) task(slot int, on, state string, changes ...func(*docker.Task)) *docker.Task {
	n := len(s.tasks)
	t := docker.Task{ID: fmt.Sprintf("t%d", n), Name: fmt.Sprintf("shop_web.%d", slot), Slot: slot, NodeID: on, State: state, Desired: "running", Spec: s.watch.Spec.Task, Changed: time.Unix(int64(n), 0)}
	if t.Over() {
		t.Desired = "shutdown"
	}
	for _, change := range changes {
		change(&t)
	}
	s.tasks = append(s.tasks, t)
	return &s.tasks[n]
}

// old makes a task one of another specification.
func (s *scene) old(t *docker.Task) {
	t.Spec = web(s.t, with("TaskTemplate.ContainerSpec.Image", "example/web:0")).Task
}

func problem(text string, exit int) func(*docker.Task) {
	return func(t *docker.Task) { t.Problem, t.ExitCode = text, exit }
}

// see looks, and requires a state and words.
func (s *scene) see(state rollout.State, words string) rollout.Verdict {
	s.t.Helper()
	v := s.watch.See(s.now, s.service, s.tasks, s.nodes)
	if v.State != state || !strings.Contains(v.String(), words) {
		s.t.Errorf("%s (%s), want %s (%s)", v.State, v, state, words)
	}
	return v
}

func TestWatch_WaitsForEveryReplica(t *testing.T) {
	s := newScene(t)
	s.see(rollout.Converging, "0/2 running")
	s.task(1, "n1", "running")
	s.task(2, "n2", "starting")
	s.see(rollout.Converging, "1/2 running: health (not healthy yet)")
	s.tasks[1].State = "running"
	s.see(rollout.Converged, "2/2 running")
}

func TestWatch_ATaskThatMayStayWhereItIsIsNotAnOldOne(t *testing.T) {
	pinned := with("TaskTemplate.Placement", map[string]any{"Constraints": []any{"node.hostname == n1.example"}})
	before := func(changes ...func(map[string]any)) func(*docker.Task) {
		return func(one *docker.Task) { one.Spec = web(t, changes...).Task }
	}
	s := newScene(t, pinned)
	s.task(1, "n1", "running", before())
	s.task(2, "n1", "running")
	s.see(rollout.Converged, "2/2 running")

	s = newScene(t, pinned)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running", before()) // the Swarm moves it
	s.see(rollout.Converging, "1/2 running, 1 of the old specification still running")

	s = newScene(t, pinned)
	s.task(1, "n1", "running")
	s.task(2, "n1", "running", before(with("TaskTemplate.ContainerSpec.Image", "example/web:0"))) // and replaces it
	s.see(rollout.Converging, "1/2 running, 1 of the old specification still running")

	s = newScene(t, pinned)
	s.task(1, "n1", "running")
	s.task(2, "n9", "running", before()) // its node is unknown
	s.see(rollout.Converging, "1/2 running")
}

func TestWatch_OldTasksThatStillRunAreNotConvergence(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.task(2, "n3", "running", s.old, func(t *docker.Task) { t.Desired = "shutdown" })
	if v := s.see(rollout.Converging, "1 of the old specification still running"); v.Old != 1 {
		t.Errorf("%+v", v)
	}
	s.tasks[2].State = "shutdown"
	s.see(rollout.Converged, "2/2")
}

func TestWatch_AnOldTaskOnADeadNodeIsNotWaitedFor(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.task(2, "n3", "running", s.old)
	s.nodes[2].State = "down"
	s.see(rollout.Converged, "2/2")
	s.nodes = s.nodes[:2] // it left the Swarm
	s.see(rollout.Converged, "2/2")
}

func TestWatch_ATaskOnADeadNodeDoesNotCount(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.nodes[1].State = "down"
	s.see(rollout.Converging, "1/2")
}

func TestWatch_TwoTasksOfOneSlotAreOneReplica(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(1, "n2", "running")
	s.see(rollout.Converging, "1/2")
}

func TestWatch_SaysThatAProgramEndedWith0(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "complete")
	if v := s.see(rollout.Converging, "its program ended with 0: stopped because the health check failed, or by itself"); v.Cause != rollout.CauseHealth {
		t.Errorf("the cause is %q", v.Cause)
	}
	s = newScene(t, with("TaskTemplate.ContainerSpec.Healthcheck", nil))
	s.task(1, "n1", "complete")
	if v := s.see(rollout.Converging, "its program ended with 0, and should go on running"); v.Cause != rollout.CauseCrash {
		t.Errorf("without a health check the cause is %q", v.Cause)
	}
}

func TestWatch_DoesNotSpeakOfAHealthCheckThatTheServiceDoesNotHave(t *testing.T) {
	s := newScene(t, with("TaskTemplate.ContainerSpec.Healthcheck", nil))
	s.task(1, "n1", "starting")
	v := s.see(rollout.Converging, "start (the engine starts it, or its image's health check has not passed yet)")
	if v.Cause != rollout.CauseStart {
		t.Errorf("the cause is %q", v.Cause)
	}
}

func TestWatch_WithoutAHealthCheckATaskMustHaveRunForTheMonitorTime(t *testing.T) {
	s := newScene(t, with("TaskTemplate.ContainerSpec.Healthcheck", nil), with("UpdateConfig.Monitor", 3e9))
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.see(rollout.Converging, "0/2")
	s.now = 3*time.Second - 1
	s.see(rollout.Converging, "0/2")
	s.now = 3 * time.Second
	s.see(rollout.Converged, "2/2")
	s.tasks[1] = *s.task(2, "n2", "running") // another task begins anew
	s.tasks = s.tasks[:2]
	s.see(rollout.Converging, "1/2")
}

func TestWatch_AnUnchangedServiceIsSettledUnlessItHasFailed(t *testing.T) {
	s := newScene(t, with("TaskTemplate.ContainerSpec.Healthcheck", nil))
	s.watch.Unchanged = true
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.see(rollout.Converged, "2/2")
	s.watch.Past = map[string]bool{"before": true}
	s.see(rollout.Converging, "0/2")
}

func TestWatch_ThreeFailuresOfASlotAreAFailure(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	for i := range 2 {
		s.task(2, "n2", "failed", problem("task: non-zero exit (3)", 3))
		s.see(rollout.Converging, fmt.Sprintf("%d failed: crash (task: non-zero exit (3))", i+1))
	}
	s.tasks = s.tasks[:2] // the history keeps few tasks; the watch remembers
	s.task(2, "n3", "failed", func(t *docker.Task) { t.ID, t.Changed = "t9", time.Unix(9, 0) }, problem("task: non-zero exit (4)", 4))
	v := s.see(rollout.Failing, "3 failed: crash (task: non-zero exit (4))")
	if v.Attempts != 3 || len(v.Failed) != 1 || v.Failed[0].ID != "t9" {
		t.Errorf("%+v", v)
	}
}

func TestWatch_FailuresOfDifferentSlotsAreCountedApart(t *testing.T) {
	s := newScene(t)
	for slot := 1; slot <= 2; slot++ {
		s.task(slot, "n1", "failed", problem("x", 1))
		s.task(slot, "n1", "failed", problem("x", 1))
	}
	if v := s.see(rollout.Converging, "4 failed"); len(v.Failed) != 2 || v.Failed[0].ID != "t1" || v.Failed[1].ID != "t3" {
		t.Errorf("%+v", v.Failed)
	}
}

func TestWatch_FailuresFromBeforeDoNotCount(t *testing.T) {
	s := newScene(t)
	s.watch.Past = map[string]bool{"t0": true, "t1": true, "t2": true}
	for range 3 {
		s.task(1, "n1", "failed", problem("x", 1))
	}
	if v := s.see(rollout.Converging, "0/2"); v.Attempts != 0 {
		t.Errorf("%+v", v)
	}
}

func TestWatch_WithoutRestartsOneFailureIsEnough(t *testing.T) {
	s := newScene(t, with("TaskTemplate.RestartPolicy", map[string]any{"Condition": "none"}), with("Mode.Replicated.Replicas", 1))
	s.task(1, "n1", "failed", problem("task: non-zero exit (1)", 1))
	s.see(rollout.Failing, "crash")
}

func TestWatch_TheSwarmsOwnRollbackOrPauseIsAFailure(t *testing.T) {
	for _, state := range []string{"paused", "rollback_started", "rollback_paused", "rollback_completed"} {
		s := newScene(t)
		s.task(1, "n1", "running")
		s.task(2, "n2", "running")
		s.service.Update.State = state
		s.see(rollout.Failing, "")
	}
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.service.Update.State = "completed"
	s.see(rollout.Converged, "")
}

func TestWatch_OnTheWayBackARollbackIsNoFailure(t *testing.T) {
	s := newScene(t)
	s.watch.Back = true
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.service.Update.State = "rollback_completed"
	s.see(rollout.Converged, "2/2")
	for _, state := range []string{"paused", "rollback_paused"} {
		s.service.Update.State = state
		s.see(rollout.Failing, "")
	}
}

func TestWatch_AnUnchangedServiceMayHaveBeenRolledBackOnce(t *testing.T) {
	for _, state := range []string{"rollback_completed", "rollback_started", "rollback_paused", "paused"} {
		s := newScene(t)
		s.watch.Unchanged, s.service.Update.State = true, state
		s.task(1, "n1", "running")
		if strings.HasSuffix(state, "paused") {
			s.see(rollout.Failing, "1/2")
		} else {
			s.see(rollout.Converging, "1/2")
		}
		s.task(2, "n2", "running")
		s.see(rollout.Converged, "2/2")
	}
}

func TestWatch_CompletedProvesNothing(t *testing.T) {
	s := newScene(t)
	s.service.Update.State = "completed"
	s.task(1, "n1", "running")
	s.see(rollout.Converging, "1/2")
}

func TestWatch_AnotherSpecificationIsSomebodyElses(t *testing.T) {
	s := newScene(t)
	s.task(1, "n1", "running")
	s.task(2, "n2", "running")
	s.service.Spec = web(t, with("TaskTemplate.ContainerSpec.Image", "example/web:9"))
	if v := s.see(rollout.Failing, "changed"); v.Cause != rollout.CauseForeign {
		t.Errorf("%+v", v)
	}
	s.service.Update.State = "rollback_started" // not somebody else: the Swarm
	s.task(1, "n1", "failed", problem("task: non-zero exit (1)", 1))
	if v := s.see(rollout.Failing, "crash"); v.Cause != rollout.CauseCrash {
		t.Errorf("%+v", v)
	}
}

func TestWatch_OneShotsEndAsDone(t *testing.T) {
	once := with("Mode.Replicated.Replicas", 1)
	s := newScene(t, once, with("TaskTemplate.RestartPolicy", map[string]any{"Condition": "on-failure"}))
	s.task(1, "n1", "running")
	if v := s.see(rollout.Converged, "1/1 running"); v.Done {
		t.Error("a running task is done")
	}
	s.tasks[0].State, s.tasks[0].Desired = "complete", "shutdown"
	if v := s.see(rollout.Converged, "done"); !v.Done {
		t.Errorf("%+v", v)
	}
	s = newScene(t, once) // restarted always: to end is to fail
	s.task(1, "n1", "complete")
	if v := s.see(rollout.Converging, "1 failed: health (its program ended with 0"); v.Done {
		t.Errorf("%+v", v)
	}
}

func TestWatch_AJobIsItsIteration(t *testing.T) {
	s := newScene(t, with("Mode", map[string]any{"ReplicatedJob": map[string]any{"MaxConcurrent": 1, "TotalCompletions": 2}}), with("TaskTemplate.RestartPolicy", map[string]any{"Condition": "on-failure", "MaxAttempts": 1}))
	s.watch.Job = 7
	job := func(n uint64) func(*docker.Task) { return func(t *docker.Task) { t.Job = n; t.Desired = "complete" } }
	s.task(0, "n1", "complete", job(6))
	s.task(1, "n1", "complete", job(6))
	s.see(rollout.Converging, "0/2")
	s.task(0, "n1", "complete", job(7))
	s.task(1, "n1", "failed", job(7), problem("task: non-zero exit (1)", 1))
	s.see(rollout.Converging, "1/2")
	s.task(1, "n2", "complete", job(7))
	if v := s.see(rollout.Converged, "done"); !v.Done {
		t.Errorf("%+v", v)
	}
}

func TestWatch_AJobThatUsedItsAttemptsHasFailed(t *testing.T) {
	s := newScene(t, with("Mode", map[string]any{"ReplicatedJob": map[string]any{}}), with("TaskTemplate.RestartPolicy", map[string]any{"Condition": "on-failure", "MaxAttempts": 1}))
	s.task(0, "n1", "failed", problem("task: non-zero exit (1)", 1))
	s.see(rollout.Converging, "1 failed")
	s.task(0, "n2", "failed", problem("task: non-zero exit (1)", 1)) // the next attempt may be on any node
	s.see(rollout.Failing, "2 failed")
}

func TestWatch_AGlobalServiceRunsOnEachNodeThatItMay(t *testing.T) {
	s := newScene(t, with("Mode", map[string]any{"Global": map[string]any{}}), with("TaskTemplate.Placement.Constraints", []any{"node.labels.edge == yes"}))
	s.nodes[0].Labels, s.nodes[1].Labels = map[string]string{"edge": "yes"}, map[string]string{"edge": "yes"}
	s.task(0, "n1", "running")
	s.see(rollout.Converging, "1/2")
	s.task(0, "n2", "running")
	s.see(rollout.Converged, "2/2")
	s.nodes[1].Availability = "drain"
	s.see(rollout.Converged, "1/1")
}

func TestWatch_NoReplicasConvergeAtOnce(t *testing.T) {
	s := newScene(t, with("Mode.Replicated.Replicas", 0))
	if v := s.see(rollout.Converged, "0/0 running"); v.Done {
		t.Error("nothing is done")
	}
}

func TestWatch_SaysWhyNothingIsScheduled(t *testing.T) {
	s := newScene(t)
	s.task(1, "", "pending", problem("no suitable node (insufficient resources on 3 nodes)", 0))
	if v := s.see(rollout.Converging, "scheduling (no suitable node"); v.Cause != rollout.CauseScheduling {
		t.Errorf("%+v", v)
	}
}

func TestCauseOf_ReadsTheEnginesWords(t *testing.T) {
	for text, want := range map[string]rollout.Cause{
		"No such image: example/web:2":                                                  rollout.CausePull,
		"pull access denied for example/web":                                            rollout.CausePull,
		"task: non-zero exit (143): dockerexec: unhealthy container":                    rollout.CauseHealth,
		"no suitable node (host-mode port already in use on 1 node)":                    rollout.CauseScheduling,
		"task: non-zero exit (1)":                                                       rollout.CauseCrash,
		"task: non-zero exit (137): OOMKilled":                                          rollout.CauseMemory,
		"starting container failed: OCI runtime create failed: exec: \"/x\": not found": rollout.CauseStart,
		"invalid mount config for type \"bind\": bind source path does not exist: /x":   rollout.CauseStart,
	} {
		if got := rollout.CauseOf(docker.Task{State: "failed", Problem: text}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for want, task := range map[rollout.Cause]docker.Task{
		rollout.CauseMemory: {State: "failed", ExitCode: 137, Problem: "task: non-zero exit (137)"},
		rollout.CauseCrash:  {State: "complete"},
	} {
		if got := rollout.CauseOf(task); got != want {
			t.Errorf("%+v: %s, want %s", task, got, want)
		}
	}
}

func TestSameTask_IgnoresWhatMeansTheSame(t *testing.T) {
	a := web(t)
	for name, c := range map[string]struct {
		change func(map[string]any)
		same   bool
	}{
		"defaults": {with("TaskTemplate.Runtime", "container"), true},
		"image":    {with("TaskTemplate.ContainerSpec.Image", "x"), false},
		"forced":   {with("TaskTemplate.ForceUpdate", 1), false},
		"replicas": {with("Mode.Replicated.Replicas", 9), true},
	} {
		if got := rollout.SameTask(a.Task.JSON, web(t, c.change).Task.JSON); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
