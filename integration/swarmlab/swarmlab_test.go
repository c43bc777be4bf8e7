//go:build swarm && linux

package swarmlab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// service is a service of the helper image.
func service(name string, args ...string) swarm.ServiceSpec {
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: name},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: HelperImage, Args: args},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone},
			Placement:     &swarm.Placement{},
		},
	}
}

// create makes a service and returns its id.
func create(t *testing.T, on *Node, spec swarm.ServiceSpec) string {
	t.Helper()
	made, err := on.Client().ServiceCreate(t.Context(), spec, swarm.ServiceCreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// poll waits for something.
func poll(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	if err := await(ctx, what, ask); err != nil {
		t.Fatal(err)
	}
}

// tasks waits until as many tasks of a service are in a state.
func tasks(t *testing.T, on *Node, id string, state swarm.TaskState, count int) (found []swarm.Task) {
	t.Helper()
	poll(t, fmt.Sprintf("%d tasks to be %s", count, state), func(ctx context.Context) error {
		all, err := on.Client().TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", id))})
		if err != nil {
			return err
		}
		states := []string{}
		for _, one := range all {
			states = append(states, string(one.Status.State)+" "+one.Status.Err)
		}
		found = slices.DeleteFunc(all, func(one swarm.Task) bool { return one.Status.State != state })
		if len(found) != count {
			return fmt.Errorf("%q", states)
		}
		return nil
	})
	return found
}

// document waits until a service has printed a JSON document.
func document(t *testing.T, on *Node, id string, into any) {
	t.Helper()
	poll(t, "what the service prints", func(ctx context.Context) error {
		stream, err := on.Client().ServiceLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
		if err != nil {
			return err
		}
		defer stream.Close()
		var out, errOut bytes.Buffer
		if _, err := stdcopy.StdCopy(&out, &errOut, stream); err != nil {
			return err
		}
		if err := json.Unmarshal(out.Bytes(), into); err != nil {
			return fmt.Errorf("%w: %s", err, errOut.String())
		}
		return nil
	})
}

func TestUp_OneNodeRunsAServiceWithASecret(t *testing.T) {
	l := Up(t, Options{Managers: 1, Labels: map[int][]string{1: {"disk=fast", "rack=7"}}})
	n := l.Leader(t)
	l.LoadHelper(t)

	value := []byte(rand.Text())
	secret, err := n.Client().SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: "TOKEN"}, Data: value})
	if err != nil {
		t.Fatal(err)
	}
	spec := service("api", "mounts")
	spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{{SecretID: secret.ID, SecretName: "TOKEN", File: &swarm.SecretReferenceFileTarget{Name: "TOKEN", UID: "0", GID: "0", Mode: 0o400}}}
	id := create(t, n, spec)
	var files []struct{ Path, Mode, Digest string }
	document(t, n, id, &files)
	sum := sha256.Sum256(value)
	if len(files) != 1 || files[0].Path != "/run/secrets/TOKEN" || files[0].Mode != "0400" || files[0].Digest != hex.EncodeToString(sum[:]) {
		t.Errorf("the service has not its secret: %d files", len(files))
	}

	info, err := n.Client().Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "n1" || !slices.Equal(info.Labels, []string{"disk=fast", "rack=7"}) || info.Swarm.NodeAddr != n.IP() || info.Swarm.NodeID != n.ID(t) || info.Driver == "vfs" {
		t.Errorf("the engine is %s at %s, labels %v, driver %s", info.Name, info.Swarm.NodeAddr, info.Labels, info.Driver)
	}
	if n != l.Node(1) || !slices.Equal(l.Nodes(), []*Node{n}) {
		t.Error("the leader is not the only node")
	}
}

// The answers of name server and route are final, so nobody waits for them.
func TestUp_WhatIsOutsideTheLabIsRefusedAtOnce(t *testing.T) {
	l := Up(t, Options{Alone: 1})
	for ref, want := range map[string]string{
		"registry.invalid/no/such:image": "on " + switchAt + ":53: no such host",
		"192.0.2.1/no/such:image":        "192.0.2.1:443: connect: no route to host", // an address of RFC 5737
	} {
		said, err := l.Node(1).Client().ImagePull(t.Context(), ref, image.PullOptions{})
		if err == nil {
			err = worked(said)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, should have %q", ref, err, want)
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil || len(addresses) == 0 {
		t.Fatal(addresses, err)
	}
	for _, one := range addresses {
		if strings.HasPrefix(one.String(), subnet) {
			t.Errorf("the machine itself is in the lab: %s", one)
		}
	}
}

// The tests of one lab of three: it takes longer to make one than to use it.
func TestUp_ThreeManagers(t *testing.T) {
	l := Up(t, Options{Managers: 3, Heartbeat: time.Second})
	l.LoadHelper(t)
	t.Run("a name on an overlay network answers across nodes", func(t *testing.T) { acrossNodes(t, l) })
	t.Run("a cut link", func(t *testing.T) { cutLink(t, l) })
	t.Run("a crash of dockerd", func(t *testing.T) { crash(t, l) })
	t.Run("power loss of the leader", func(t *testing.T) { powerLoss(t, l) })
}

// at binds a service to a node.
func at(spec swarm.ServiceSpec, n *Node) swarm.ServiceSpec {
	spec.TaskTemplate.Placement.Constraints = []string{"node.hostname==" + n.Name()}
	return spec
}

// acrossNodes loads a service of two nodes from the third.
func acrossNodes(t *testing.T, l *Lab) {
	leader := l.Leader(t)
	overlay, err := leader.Client().NetworkCreate(t.Context(), "inside", network.CreateOptions{Driver: "overlay"})
	if err != nil {
		t.Fatal(err)
	}
	on := []swarm.NetworkAttachmentConfig{{Target: overlay.ID, Aliases: []string{"both"}}}
	for _, number := range []int{1, 2} {
		api := at(service(fmt.Sprintf("api%d", number), "serve"), l.Node(number))
		api.TaskTemplate.ContainerSpec.Env = []string{fmt.Sprintf("SERVE_VERSION=v%d", number)}
		api.TaskTemplate.Networks = on
		api.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}
		running := tasks(t, leader, create(t, leader, api), swarm.TaskStateRunning, 1)
		if running[0].NodeID != l.Node(number).ID(t) {
			t.Errorf("api%d runs elsewhere", number)
		}
	}
	const count = 30
	for _, number := range []int{1, 2} {
		load := at(service(fmt.Sprintf("load%d", number), "load", fmt.Sprintf("http://api%d:8080/", number), "30", fmt.Sprint(count)), l.Node(3))
		load.TaskTemplate.Networks = on
		var sum struct {
			Sent, Failed int
			Reasons      []string
			Answers      map[string]int
		}
		document(t, leader, create(t, leader, load), &sum)
		if sum.Sent != count || sum.Failed != 0 || sum.Answers[fmt.Sprintf("v%d", number)] != count {
			t.Errorf("api%d: %+v", number, sum)
		}
	}
}

// follower is a manager that is not the leader.
func follower(t *testing.T, l *Lab) *Node {
	t.Helper()
	leader := l.Leader(t)
	for _, n := range l.Nodes() {
		if n != leader {
			return n
		}
	}
	t.Fatal("there is no other node")
	return nil
}

func cutLink(t *testing.T, l *Lab) {
	n := follower(t, l)
	n.Link(t, false)
	l.WaitDown(t, n)
	if _, err := n.Client().Ping(t.Context()); err != nil {
		t.Errorf("the socket of a node without a link does not answer: %v", err)
	}
	n.Link(t, true)
	l.WaitReady(t)
}

func crash(t *testing.T, l *Lab) {
	n := follower(t, l)
	id := create(t, l.Leader(t), at(service("lives-on", "wait"), n))
	tasks(t, l.Leader(t), id, swarm.TaskStateRunning, 1)
	before := containersOf(t, n)
	n.Crash(t)
	if _, err := n.Client().Ping(t.Context()); err == nil {
		t.Error("the engine answers after a crash")
	}
	l.WaitDown(t, n)
	if after := containersOf(t, n); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("processes in containers before the crash %v, after it %v", before, after)
	}
	n.Restart(t)
	l.WaitReady(t)
}

// containersOf are the processes in containers of a node: those in its cgroups.
func containersOf(t *testing.T, n *Node) []string {
	t.Helper()
	var found []string
	for _, dir := range processes(t) {
		if text, _ := os.ReadFile(filepath.Join(dir, "cgroup")); bytes.Contains(text, []byte("/"+n.room.name+"/"+n.Name()+"/")) {
			found = append(found, dir)
		}
	}
	return found
}

// processes are the directories of all processes of this machine.
func processes(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	return found
}

func powerLoss(t *testing.T, l *Lab) {
	old := l.Leader(t)
	id := old.ID(t)
	begun := time.Now()
	old.Power(t)
	if _, err := old.Client().Ping(t.Context()); err == nil {
		t.Error("an engine without power answers")
	}
	if left := containersOf(t, old); len(left) > 0 {
		t.Errorf("without power run %v", left)
	}
	leader := l.Leader(t)
	if leader == old {
		t.Fatal("the leader has no power")
	}
	t.Logf("%s leads after %.1f s", leader.Name(), time.Since(begun).Seconds())
	l.WaitDown(t, old)
	t.Logf("%s is down after %.1f s", old.Name(), time.Since(begun).Seconds())
	old.Start(t)
	l.WaitReady(t)
	if old.ID(t) != id {
		t.Error("the node has come back as another one")
	}
}

// cluster is the id of a lab's Swarm.
func cluster(t *testing.T, l *Lab) string {
	t.Helper()
	seen, err := l.Node(1).Client().SwarmInspect(t.Context())
	if err != nil || seen.ID == "" {
		t.Fatalf("%q, %v", seen.ID, err)
	}
	return seen.ID
}

func TestUp_LabsSideBySideAndAfterEachOther(t *testing.T) {
	stays := Up(t, Options{Managers: 1, Workers: 1, Alone: 1})
	before := cluster(t, stays)
	for range 2 {
		t.Run("another", func(t *testing.T) {
			other := Up(t, Options{Managers: 1})
			if cluster(t, other) == before || other.Node(1).IP() != stays.Node(1).IP() {
				t.Error("the labs are the same, or have different addresses")
			}
			if left, err := filepath.Glob(filepath.Join(index, "keepmum-lab-*")); err != nil || len(left) < 2 {
				t.Errorf("the index has %v: %v", left, err)
			}
		})
		stays.WaitReady(t)
	}
	if cluster(t, stays) != before {
		t.Error("the first lab is another one")
	}
	for number, want := range map[int]string{1: "active true", 2: "active false", 3: "inactive false"} {
		info, err := stays.Node(number).Client().Info(t.Context())
		if got := fmt.Sprint(info.Swarm.LocalNodeState, " ", info.Swarm.ControlAvailable); err != nil || got != want {
			t.Errorf("node %d: %s, should be %s; %v", number, got, want, err)
		}
	}
}

// An image of the machine's engine is the same on each node; a node without
// power gets none.
func TestLoad_CopiesTheImage(t *testing.T) {
	l := Up(t, Options{Alone: 3})
	own, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	ref := "keepmum-lab/" + strings.ToLower(rand.Text()[:8]) + ":1"
	layer, err := layerOf(map[string][]byte{"large": bytes.Repeat([]byte(rand.Text()), 1<<18)})
	if err != nil {
		t.Fatal(err)
	}
	said, err := own.ImageImport(t.Context(), image.ImportSource{Source: layer, SourceName: "-"}, ref, image.ImportOptions{})
	if err == nil {
		err = worked(said)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := own.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	l.Node(3).Power(t)
	l.Load(t, ref)
	want, err := own.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range l.Nodes()[:2] {
		if got, err := n.Client().ImageInspect(t.Context(), ref); err != nil || got.ID != want.ID {
			t.Errorf("%s has %s, should have %s; %v", n.Name(), got.ID, want.ID, err)
		}
	}
	if said := refusal(t, func(t testing.TB) { l.Load(t, "keepmum-lab/no-such:image") }); !strings.Contains(said, "keepmum-lab/no-such:image") {
		t.Errorf("an image that the machine does not have: %q", said)
	}
	l.Node(3).Start(t)
	if _, err := l.Node(3).Client().ImageInspect(t.Context(), ref); err == nil {
		t.Error("a node without power got the image")
	}
}

func TestWorked_ReturnsTheErrorInAnAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		`{"stream":"ok"}` + "\n":                         "",
		`{"stream":"a"}` + "\n" + `{"error":"no space"}`: "no space",
		`{"stream":"a"`:                                  "unexpected EOF",
		"":                                               "",
		`{"errorDetail":{"message":"x"},"error":"x y"}`:     "x y",
		`{"stream":"a"} {"error":"first"} {"stream":"b"}`:   "first",
		`{"status":"sha256:0123"}` + "\n" + `not a message`: "invalid character",
	} {
		err := worked(io.NopCloser(strings.NewReader(answer)))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, should be %q", answer, err, want)
		}
	}
}

func TestAwait_EndsWithTheAnswerTheContextOrAFinalAnswer(t *testing.T) {
	tries, no := 0, errors.New("not yet")
	if err := await(t.Context(), "it", func(context.Context) error {
		if tries++; tries < 3 {
			return no
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := await(ctx, "it", func(context.Context) error { return no }); !errors.Is(err, no) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the deadline: %v", err)
	}
	if err := await(t.Context(), "it", func(context.Context) error { return final{no} }); err == nil || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("a final answer: %v", err)
	}
}

func TestElected_NeedsMoreThanHalfOfTheManagers(t *testing.T) {
	of := func(leader bool) swarm.Node { return swarm.Node{ManagerStatus: &swarm.ManagerStatus{Leader: leader}} }
	first, second := view{"n1": of(true), "n2": of(false), "n4": {}}, view{"n1": of(false), "n2": of(true), "n4": {}}
	none := view{"n1": of(false), "n2": of(false)}
	for _, c := range []struct {
		views    []view
		managers int
		want     string
	}{
		{[]view{first}, 1, "n1"},
		{[]view{first, second, second}, 3, "n2"},
		{[]view{first, second}, 3, ""},
		{[]view{first, nil}, 3, ""}, // one does not answer
		{[]view{first, first}, 3, "n1"},
		{[]view{none, none, none}, 3, ""},
		{[]view{first, first, second, none}, 5, ""},
		{nil, 3, ""},
	} {
		if got := elected(c.views, c.managers); got != c.want {
			t.Errorf("%d views of %d managers: %q leads, should be %q", len(c.views), c.managers, got, c.want)
		}
	}
}
