package swarm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// answering connects to a fake with one answer.
func answering(t *testing.T, line string, answer http.HandlerFunc) (*swarm.Swarm, *fake) {
	t.Helper()
	f := &fake{answers: map[string]http.HandlerFunc{line: answer}}
	return connect(t, f, settings{}), f
}

func same(t *testing.T, got, want any, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

var (
	born    = time.Date(2026, 3, 1, 8, 0, 0, 5, time.UTC)
	changed = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
)

// times are born and changed in the engine's JSON.
const times = `"Version":{"Index":7},"CreatedAt":"2026-03-01T08:00:00.000000005Z","UpdatedAt":"2026-03-02T08:00:00Z"`

func TestSecrets_AreSortedAndWithoutValues(t *testing.T) {
	s, f := answering(t, "GET /secrets", say(200, `[{"ID":"2",`+times+`,"Spec":{"Name":"b","Labels":{"x":"1"},"Data":"c2VjcmV0"}},{"ID":"1","Spec":{"Name":"a"}}]`))
	got, err := s.Secrets(t.Context())
	same(t, got, []docker.SwarmSecret{{ID: "1", Name: "a"}, {ID: "2", Version: 7, Name: "b", Labels: map[string]string{"x": "1"}, Created: born, Updated: changed}}, err)
	if lines := f.lines(); !slices.Equal(lines, []string{"GET /secrets"}) {
		t.Errorf("%q", lines)
	}
}

func TestCreateSecret_SendsNameLabelsAndBytes(t *testing.T) {
	s, f := answering(t, "POST /secrets/create", say(201, `{"ID":"made"}`))
	id, err := s.CreateSecret(t.Context(), "web_KEY.v1", map[string]string{"a": "1"}, secrets.New([]byte("\x00\xffbytes")))
	if id != "made" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	want := `{"Name":"web_KEY.v1","Labels":{"a":"1"},"Data":"` + base64.StdEncoding.EncodeToString([]byte("\x00\xffbytes")) + `"}`
	if got := f.requests(); len(got) != 1 || got[0].body != want || got[0].kind != "application/json" || got[0].auth != "" {
		t.Errorf("%d requests, not %s", len(got), want)
	}
	s, _ = answering(t, "POST /secrets/create", say(201, `{}`))
	if _, err := s.CreateSecret(t.Context(), "a", nil, secrets.New([]byte(value))); err == nil || !strings.Contains(err.Error(), "is not understood") {
		t.Errorf("no id: %v", err)
	}
}

func TestCreateSecret_ChecksTheSizeBeforeTheCall(t *testing.T) {
	s, f := answering(t, "POST /secrets/create", say(201, `{"ID":"made"}`))
	f.requests()
	for size, want := range map[int]string{0: "its value is empty", 1: "", 511_999: "", 512_000: "its value is too long"} {
		_, err := s.CreateSecret(t.Context(), "a", nil, secrets.New(bytes.Repeat([]byte("x"), size)))
		sent := len(f.requests())
		switch {
		case want == "" && (err != nil || sent != 1):
			t.Errorf("%d bytes: %v", size, err)
		case want != "" && (sent != 0 || fault.CodeOf(err) != fault.Invalid || err.Error() != "creating the Swarm secret a: "+want+"; a Swarm takes 1 to 511999 bytes"):
			t.Errorf("%d bytes: %v, %d requests", size, err, sent)
		}
	}
	if _, err := s.CreateSecret(t.Context(), "a", nil, secrets.Secret{}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("no value: %v", err)
	}
}

func TestConfigs_AreSortedAndHaveData(t *testing.T) {
	s, _ := answering(t, "GET /configs", say(200, `[{"ID":"2",`+times+`,"Spec":{"Name":"b","Labels":{"x":"1"},"Data":"AP9h"}},{"ID":"1","Spec":{"Name":"a"}}]`))
	got, err := s.Configs(t.Context())
	same(t, got, []docker.SwarmConfig{{ID: "1", Name: "a"}, {ID: "2", Version: 7, Name: "b", Labels: map[string]string{"x": "1"}, Data: []byte("\x00\xffa"), Created: born, Updated: changed}}, err)
}

func TestCreateConfig_SendsNameLabelsAndData(t *testing.T) {
	s, f := answering(t, "POST /configs/create", say(201, `{"ID":"made"}`))
	id, err := s.CreateConfig(t.Context(), "web_file.v1", map[string]string{"a": "1"}, []byte("\x00\xffa"))
	if got := f.requests(); id != "made" || err != nil || len(got) != 1 || got[0].body != `{"Name":"web_file.v1","Labels":{"a":"1"},"Data":"AP9h"}` {
		t.Errorf("%q, %v, %+v", id, err, got)
	}
}

func TestRelabelConfig_RepeatsTheNameAndNoData(t *testing.T) {
	f := &fake{answers: map[string]http.HandlerFunc{
		"GET /configs/id1":         say(200, `{"ID":"id1","Version":{"Index":99},"Spec":{"Name":"web_lock","Labels":{"old":"1"},"Data":"AP9h"}}`),
		"POST /configs/id1/update": say(200, ``),
	}}
	s := connect(t, f, settings{})
	if err := s.RelabelConfig(t.Context(), "id1", 7, map[string]string{"beat": "2"}); err != nil {
		t.Error(err)
	}
	got := f.requests()
	if len(got) != 2 || got[0].line != "GET /configs/id1" || got[1].line != "POST /configs/id1/update?version=7" || got[1].body != `{"Name":"web_lock","Labels":{"beat":"2"}}` {
		t.Errorf("%+v", got)
	}
}

func TestRemove_IsOneRequest(t *testing.T) {
	f := &fake{other: say(200, ``)}
	s := connect(t, f, settings{})
	err := errors.Join(s.RemoveSecret(t.Context(), "s"), s.RemoveConfig(t.Context(), "c"), s.RemoveService(t.Context(), "w"), s.RemoveNetwork(t.Context(), "n"))
	if lines := f.lines(); err != nil || !slices.Equal(lines, []string{"DELETE /secrets/s", "DELETE /configs/c", "DELETE /services/w", "DELETE /networks/n"}) {
		t.Errorf("%v, %q", err, lines)
	}
}

func TestServices_KeepTheEnginesJSON(t *testing.T) {
	list := `[{"ID":"2",` + times + `,"Spec":` + aSpec + `,"PreviousSpec":{"Name":"web","Older":1},"UpdateStatus":{"State":"paused","Message":"update paused\nline"},"JobStatus":{"JobIteration":{"Index":3}}},
		{"ID":"1","Spec":{"Name":"app"},"PreviousSpec":null,"UpdateStatus":null}]`
	s, _ := answering(t, "GET /services", say(200, list))
	got, err := s.Services(t.Context())
	previous := parsed(t, `{"Name":"web","Older":1}`)
	same(t, got, []docker.Service{
		{ID: "1", Spec: parsed(t, `{"Name":"app"}`)},
		{ID: "2", Version: 7, Spec: parsed(t, aSpec), Previous: &previous, Update: docker.UpdateStatus{State: "paused", Message: "update paused"}, Created: born, Updated: changed, Job: 3},
	}, err)
	if string(got[1].Spec.JSON) != aSpec || !strings.Contains(string(got[1].Spec.Task.JSON), `"Novel":true`) {
		t.Errorf("%s", got[1].Spec.JSON)
	}
}

func TestService_IsOne(t *testing.T) {
	s, f := answering(t, "GET /services/id2", say(200, `{"ID":"id2",`+times+`,"Spec":`+aSpec+`}`))
	got, err := s.Service(t.Context(), "id2")
	same(t, got, docker.Service{ID: "id2", Version: 7, Spec: parsed(t, aSpec), Created: born, Updated: changed}, err)
	if lines := f.lines(); !slices.Equal(lines, []string{"GET /services/id2"}) {
		t.Errorf("%q", lines)
	}
	for _, body := range []string{`{"Spec":{"Name":"a"}}`, `{"ID":"1"}`, `{"ID":"1","Spec":{"Name":7}}`, `{"ID":"1","Spec":{"Name":"a"},"PreviousSpec":{"Name":7}}`} {
		s, _ := answering(t, "GET /services/a", say(200, body))
		if _, err := s.Service(t.Context(), "a"); err == nil || err.Error() != "inspecting the service a: the engine's answer is not understood" {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What was read is sent byte for byte, also what nobody here knows.
func TestCreateAndUpdateService_SendTheJSONAsItIs(t *testing.T) {
	f := &fake{answers: map[string]http.HandlerFunc{
		"POST /services/create":      say(201, `{"ID":"made","Warnings":["one\nmore","two"]}`),
		"POST /services/made/update": say(200, `{"Warnings":["three"]}`),
	}}
	s := connect(t, f, settings{})
	id, warnings, err := s.CreateService(t.Context(), parsed(t, aSpec))
	if id != "made" || err != nil || !slices.Equal(warnings, []string{"one", "two"}) {
		t.Errorf("%q, %q, %v", id, warnings, err)
	}
	if warnings, err = s.UpdateService(t.Context(), "made", 18446744073709551615, parsed(t, aSpec)); err != nil || !slices.Equal(warnings, []string{"three"}) {
		t.Errorf("%q, %v", warnings, err)
	}
	want := []request{
		{"POST /services/create", "", "application/json", aSpec},
		{"POST /services/made/update?registryAuthFrom=spec&version=18446744073709551615", "", "application/json", aSpec},
	}
	if got := f.requests(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

const someTasks = `[
	{"ID":"t1",` + times + `,"ServiceID":"w","NodeID":"n1","Slot":2,"DesiredState":"shutdown","Spec":{"ContainerSpec":{"Image":"web:1","TTY":true}},"JobIteration":{"Index":4},
	 "Status":{"Timestamp":"2026-03-02T08:00:00Z","State":"failed","Message":"started","Err":"task: non-zero exit (3)\nmore","ContainerStatus":{"ContainerID":"c1","ExitCode":3}}},
	{"ID":"t2","CreatedAt":"2026-03-02T08:00:00Z","ServiceID":"w","NodeID":"n1","Slot":2,"DesiredState":"running","Spec":{"ContainerSpec":{}},"Status":{"State":"running"}},
	{"ID":"t3","ServiceID":"g","NodeID":"n1","Spec":{"PluginSpec":{},"Runtime":"plugin"},"Status":{"State":"pending"}},
	{"ID":"t4","ServiceID":"g","Spec":{"Runtime":"other","ContainerSpec":{}},"Status":{"State":"new"}},
	{"ID":"t5","ServiceID":"other","Slot":1,"Spec":{},"Status":{"State":"new"}}]`

func taskSpec(t *testing.T, text string) docker.TaskSpec {
	t.Helper()
	spec, err := docker.ParseTaskSpec([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestTasks_OfServicesWithNamesSortedTheNewestFirst(t *testing.T) {
	f := &fake{answers: map[string]http.HandlerFunc{
		"GET /tasks":    say(200, someTasks),
		"GET /services": say(200, `[{"ID":"w","Spec":{"Name":"web"}},{"ID":"g","Spec":{"Name":"agent"}}]`),
	}}
	s := connect(t, f, settings{})
	want := []docker.Task{
		{ID: "t4", Name: "agent", ServiceID: "g", State: "new", Spec: taskSpec(t, `{"Runtime":"other","ContainerSpec":{}}`)},
		{ID: "t3", Name: "agent.n1", ServiceID: "g", NodeID: "n1", State: "pending", Spec: taskSpec(t, `{"PluginSpec":{},"Runtime":"plugin"}`)},
		{ID: "t2", Name: "web.2", ServiceID: "w", NodeID: "n1", Slot: 2, State: "running", Desired: "running", Created: changed, Spec: taskSpec(t, `{"ContainerSpec":{},"Runtime":"container"}`)},
		{ID: "t1", Name: "web.2", ServiceID: "w", NodeID: "n1", Slot: 2, State: "failed", Desired: "shutdown", Message: "started", Problem: "task: non-zero exit (3)", ExitCode: 3, ContainerID: "c1", Job: 4,
			Created: born, Changed: changed, Spec: taskSpec(t, `{"ContainerSpec":{"Image":"web:1","TTY":true},"Runtime":"container"}`)},
	}
	got, err := s.Tasks(t.Context(), "w", "g")
	same(t, got, want, err)
	got, err = s.Tasks(t.Context(), "w", "g")
	same(t, got, want, err)
	const line = "GET /tasks?filters=%7B%22service%22%3A%7B%22g%22%3Atrue%2C%22w%22%3Atrue%7D%7D"
	if lines := f.lines(); !slices.Equal(lines, []string{line, "GET /services", line}) { // names are asked for once
		t.Errorf("%q", lines)
	}
}

func TestTasks_OfNoServiceAreNone(t *testing.T) {
	s, f := answering(t, "GET /tasks", say(200, someTasks))
	if got, err := s.Tasks(t.Context()); err != nil || len(got) > 0 || len(f.lines()) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// The engine refuses a filter by a service that was removed, although its tasks
// are still there.
func TestTasks_OfRemovedServicesAreFound(t *testing.T) {
	f := &fake{answers: map[string]http.HandlerFunc{
		"GET /tasks": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				refuse(404, "service w not found")(w, r)
				return
			}
			say(200, someTasks)(w, r)
		},
		"GET /services": say(200, `[]`),
	}}
	got, err := connect(t, f, settings{}).Tasks(t.Context(), "w")
	if err != nil || len(got) != 2 || got[0].ID != "t2" || got[0].Name != "w.2" { // the name was never known
		t.Errorf("%+v, %v", got, err)
	}
	f.answers["GET /tasks"] = refuse(500, "broken")
	if _, err := connect(t, f, settings{}).Tasks(t.Context(), "w"); err == nil || err.Error() != "listing the Swarm's tasks: broken" {
		t.Errorf("%v", err)
	}
}

func TestTaskLogs_SeparatesStreams(t *testing.T) {
	const framed = "\x01\x00\x00\x00\x00\x00\x00\x04out\n\x02\x00\x00\x00\x00\x00\x00\x04err\n"
	for _, c := range []struct {
		name, body, out, err, problem, line string
		tty                                 bool
		tail                                int
	}{
		{name: "frames", body: framed, out: "out\n", err: "err\n", line: "GET /tasks/t1/logs?stderr=true&stdout=true"},
		{name: "the last lines", body: framed, out: "out\n", err: "err\n", tail: 3, line: "GET /tasks/t1/logs?stderr=true&stdout=true&tail=3"},
		{name: "a terminal", body: framed, out: framed, tty: true, line: "GET /tasks/t1/logs?stderr=true&stdout=true"},
		{name: "a node that does not answer", body: framed + "\x03\x00\x00\x00\x00\x00\x00\x13node n1 is not there", out: "out\n", err: "err\n", problem: "node n1 is not ther", line: "GET /tasks/t1/logs?stderr=true&stdout=true"},
		{name: "no frames", body: "a plain text", problem: "unexpected format", line: "GET /tasks/t1/logs?stderr=true&stdout=true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := answering(t, "GET /tasks/t1/logs", say(200, c.body))
			var out, problems bytes.Buffer
			err := s.TaskLogs(t.Context(), docker.Task{ID: "t1", Name: "web.1", Spec: docker.TaskSpec{TTY: c.tty}}, c.tail, &out, &problems)
			if (err == nil) != (c.problem == "") || err != nil && (!strings.Contains(err.Error(), c.problem) || !strings.HasPrefix(err.Error(), "reading the log of the task web.1: ")) {
				t.Errorf("%v, want %q", err, c.problem)
			}
			if out.String() != c.out || problems.String() != c.err {
				t.Errorf("%q and %q", out.String(), problems.String())
			}
			if lines := f.lines(); !slices.Equal(lines, []string{c.line}) {
				t.Errorf("%q", lines)
			}
		})
	}
	s, _ := answering(t, "GET /tasks/t1/logs", refuse(404, "task t1 not found"))
	if err := s.TaskLogs(t.Context(), docker.Task{ID: "t1"}, 0, io.Discard, io.Discard); !errors.Is(err, docker.ErrNotFound) || !strings.HasPrefix(err.Error(), "reading the log of the task t1: ") {
		t.Errorf("%v", err)
	}
}

func TestNodes_AreSortedByHostname(t *testing.T) {
	s, _ := answering(t, "GET /nodes", say(200, `[
		{"ID":"n3","Spec":{"Role":"worker","Availability":"drain","Labels":{"db":"true"}},"Description":{"Hostname":"c","Platform":{"Architecture":"x86_64","OS":"linux"},
		 "Resources":{"NanoCPUs":2000000000,"MemoryBytes":4096},"Engine":{"EngineVersion":"20.10.24","Labels":{"disk":"ssd"}}},"Status":{"State":"down","Addr":"10.0.0.3"}},
		{"ID":"n2","Spec":{"Role":"manager","Availability":"active"},"Description":{"Hostname":"b"},"Status":{"State":"ready","Addr":"10.0.0.2"},"ManagerStatus":{"Reachability":"unreachable","Addr":"10.0.0.2:2377"}},
		{"ID":"n1","Spec":{"Role":"manager","Availability":"pause"},"Description":{"Hostname":"b"},"Status":{"State":"ready","Addr":"0.0.0.0"},"ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"[fd00::1]:2377"}}]`))
	got, err := s.Nodes(t.Context())
	same(t, got, []docker.Node{
		{ID: "n1", Hostname: "b", Manager: true, Leader: true, Reachable: true, State: "ready", Availability: "pause", Address: "fd00::1"},
		{ID: "n2", Hostname: "b", Manager: true, State: "ready", Availability: "active", Address: "10.0.0.2"},
		{ID: "n3", Hostname: "c", State: "down", Availability: "drain", Labels: map[string]string{"db": "true"}, EngineLabels: map[string]string{"disk": "ssd"}, OS: "linux", Arch: "x86_64",
			NanoCPUs: 2e9, Memory: 4096, Engine: "20.10.24", Address: "10.0.0.3"},
	}, err)
}

func TestNetworks_AreSortedByNameWithThoseThatAreNotListed(t *testing.T) {
	s, f := answering(t, "GET /networks", say(200, `[
		{"Id":"2","Name":"web","Driver":"overlay","Scope":"swarm","Attachable":true,"Internal":true,"Labels":{"a":"1"},"Options":{"encrypted":""},"IPAM":{"Config":[{"Subnet":"10.1.0.0/24"},{"Subnet":"fd00::/64"}]}},
		{"Id":"3","Name":"ingress","Driver":"overlay","Scope":"swarm","Ingress":true},{"Id":"1","Name":"web","Driver":"bridge","Scope":"local"}]`))
	f.answers["GET /networks/host"] = say(200, `{"Id":"4","Name":"host","Driver":"host","Scope":"swarm"}`)
	got, err := s.Networks(t.Context())
	same(t, got, []docker.Network{
		{ID: "4", Name: "host", Driver: "host", Scope: "swarm"},
		{ID: "3", Name: "ingress", Driver: "overlay", Scope: "swarm", Ingress: true},
		{ID: "1", Name: "web", Driver: "bridge", Scope: "local"},
		{ID: "2", Name: "web", Driver: "overlay", Scope: "swarm", Attachable: true, Internal: true, Labels: map[string]string{"a": "1"}, Options: map[string]string{"encrypted": ""}, Subnets: []string{"10.1.0.0/24", "fd00::/64"}},
	}, err)
}

func TestCreateNetwork_SendsTheJSONAsItIs(t *testing.T) {
	s, f := answering(t, "POST /networks/create", say(201, `{"Id":"made","Warning":""}`))
	id, err := s.CreateNetwork(t.Context(), docker.NetworkSpec{Name: "web", JSON: json.RawMessage(`{"Name":"web","Future":1}`)})
	if got := f.requests(); id != "made" || err != nil || len(got) != 1 || got[0].body != `{"Name":"web","Future":1}` {
		t.Errorf("%q, %v, %+v", id, err, got)
	}
}
