package docker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
)

func parse(t *testing.T, text string) docker.ServiceSpec {
	t.Helper()
	s, err := docker.ParseServiceSpec([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

func TestParseServiceSpec_ReadsWhatPlansLookAt(t *testing.T) {
	s := parse(t, `{"Name": "shop_web", "Labels": {"a": "b"},
		"TaskTemplate": {
			"ContainerSpec": {"Image": "web:1", "TTY": true, "Labels": {"c": "d"}, "StopGracePeriod": 3000000000,
				"Healthcheck": {"Test": ["CMD", "x"]},
				"Secrets": [{"SecretID": "s1", "SecretName": "TOKEN", "File": {"Name": "t", "UID": "5", "GID": "6", "Mode": 256}}, {"SecretID": "s2", "SecretName": "BARE"}],
				"Configs": [{"ConfigID": "c1", "ConfigName": "site", "File": {"Name": "/site"}}],
				"Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"},
					{"Type": "volume", "Source": "nfs", "Target": "/nfs", "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}},
					{"Type": "volume", "Source": "bound", "Target": "/b", "VolumeOptions": {"DriverConfig": {"Options": {"type": "none"}}}}]},
			"Resources": {"Reservations": {"NanoCPUs": 5, "MemoryBytes": 7}},
			"RestartPolicy": {"Condition": "on-failure", "Delay": 1000000000, "MaxAttempts": 4},
			"Placement": {"Constraints": ["node.role == manager"]},
			"Networks": [{"Target": "n1"}, {"Target": "n2"}], "ForceUpdate": 2},
		"Mode": {"Replicated": {"Replicas": 3}},
		"UpdateConfig": {"Parallelism": 2, "FailureAction": "rollback", "Monitor": 9, "Order": "start-first"},
		"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 8080}, {"TargetPort": 53, "Protocol": "udp", "PublishMode": "host"}]}}`)
	if s.Name != "shop_web" || s.Labels["a"] != "b" || s.Mode != "replicated" || s.Replicas != 3 || s.UpdateOrder != "start-first" || s.OnFailure != "rollback" || s.Monitor != 9 || s.Parallelism != 2 || s.EndpointMode != "dnsrr" {
		t.Errorf("%+v", s)
	}
	if len(s.Ports) != 2 || s.Ports[0] != (docker.SwarmPort{Published: 8080, Target: 80, Protocol: "tcp", Mode: "ingress"}) || s.Ports[1] != (docker.SwarmPort{Target: 53, Protocol: "udp", Mode: "host"}) {
		t.Errorf("ports %+v", s.Ports)
	}
	task := s.Task
	if task.Image != "web:1" || !task.TTY || task.Labels["c"] != "d" || task.StopGracePeriod != 3*time.Second || task.Health != "own" || task.ReservedCPUs != 5 || task.ReservedMemory != 7 || task.Restart != "on-failure" || task.RestartDelay != time.Second || task.MaxAttempts != 4 || task.ForceUpdate != 2 {
		t.Errorf("%+v", task)
	}
	if strings.Join(task.Constraints, ",") != "node.role == manager" || strings.Join(task.Networks, ",") != "n1,n2" {
		t.Errorf("%v, %v", task.Constraints, task.Networks)
	}
	if len(task.Secrets) != 2 || task.Secrets[0] != (docker.Reference{ID: "s1", Name: "TOKEN", Target: "t", UID: "5", GID: "6", Mode: 256}) || task.Secrets[1] != (docker.Reference{ID: "s2", Name: "BARE"}) {
		t.Errorf("secrets %+v", task.Secrets)
	}
	if len(task.Configs) != 1 || task.Configs[0] != (docker.Reference{ID: "c1", Name: "site", Target: "/site"}) {
		t.Errorf("configs %+v", task.Configs)
	}
	if m := task.Mounts; len(m) != 3 || m[0] != (docker.SwarmMount{Type: "volume", Source: "data", Target: "/data"}) || !m[1].Shared || m[1].Driver != "local" || m[2].Shared {
		t.Errorf("mounts %+v", task.Mounts)
	}
}

func TestParseServiceSpec_FillsInTheEnginesDefaults(t *testing.T) {
	s := parse(t, `{"Name": "x"}`)
	if s.Mode != "replicated" || s.Replicas != 1 || s.UpdateOrder != "stop-first" || s.OnFailure != "pause" || s.Monitor != 5*time.Second || s.Parallelism != 1 || s.EndpointMode != "vip" {
		t.Errorf("%+v", s)
	}
	if s.Task.Restart != "any" || s.Task.RestartDelay != 5*time.Second || s.Task.StopGracePeriod != 10*time.Second || s.Task.Health != "" {
		t.Errorf("%+v", s.Task)
	}
	zero := parse(t, `{"Mode": {"Replicated": {"Replicas": 0}}, "UpdateConfig": {"Parallelism": 0}, "TaskTemplate": {"RestartPolicy": {"Delay": 0}, "ContainerSpec": {"StopGracePeriod": 0}}}`)
	if zero.Replicas != 0 || zero.Parallelism != 0 || zero.Task.RestartDelay != 0 || zero.Task.StopGracePeriod != 0 {
		t.Errorf("zero is not a default: %+v", zero)
	}
}

func TestParseServiceSpec_KnowsTheModes(t *testing.T) {
	for text, want := range map[string]struct {
		mode     string
		replicas uint64
	}{
		`{"Global": {}}`:                          {"global", 0},
		`{"GlobalJob": {}}`:                       {"global-job", 0},
		`{"ReplicatedJob": {}}`:                   {"replicated-job", 1},
		`{"ReplicatedJob": {"MaxConcurrent": 2}}`: {"replicated-job", 2},
		`{"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}`: {"replicated-job", 5},
		`{"Replicated": {}}`: {"replicated", 1},
		`{}`:                 {"replicated", 1},
	} {
		if s := parse(t, `{"Mode": `+text+`}`); s.Mode != want.mode || s.Replicas != want.replicas {
			t.Errorf("%s: %s %d", text, s.Mode, s.Replicas)
		}
	}
}

func TestParseTaskSpec_KnowsHealthChecks(t *testing.T) {
	for text, want := range map[string]string{`{"Test": ["NONE"]}`: "off", `{"Test": ["CMD-SHELL", "x"]}`: "own", `{"Test": []}`: "", `{"Interval": 5}`: ""} {
		task, err := docker.ParseTaskSpec([]byte(`{"ContainerSpec": {"Healthcheck": ` + text + `}}`))
		if err != nil || task.Health != want {
			t.Errorf("%s: %q, %v", text, task.Health, err)
		}
	}
	if task, err := docker.ParseTaskSpec(nil); err != nil || string(task.JSON) != "{}" {
		t.Errorf("nothing: %s, %v", task.JSON, err)
	}
}

func TestParse_ErrorsQuoteNothing(t *testing.T) {
	for _, text := range []string{`{"Name": 5}`, `{"hunter2`, `{"TaskTemplate": {"ContainerSpec": {"Image": {"hunter2": 1}}}}`, ``} {
		if _, err := docker.ParseServiceSpec([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTask_IsOverInItsLastStates(t *testing.T) {
	for state, want := range map[string]bool{"new": false, "pending": false, "starting": false, "running": false, "complete": true, "shutdown": true, "failed": true, "rejected": true, "remove": true, "orphaned": true} {
		if got := (docker.Task{State: state}).Over(); got != want {
			t.Errorf("%s: %v", state, got)
		}
	}
}

func TestSpec_IsPrintedByItsNameAlone(t *testing.T) {
	s := parse(t, `{"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Env": ["PASSWORD=hunter2"]}}}`)
	for _, format := range []string{"%v", "%+v", "%s"} {
		if text := fmt.Sprintf(format, docker.Service{Spec: s}) + fmt.Sprintf(format, s) + fmt.Sprintf(format, s.Task); strings.Contains(text, "hunter2") || strings.Contains(text, "104 117") || !strings.Contains(text, "web") {
			t.Errorf("%s: %s", format, text)
		}
	}
}
