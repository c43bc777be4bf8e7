package rollout_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
)

// spec is a service's specification from JSON in the engine's words.
func spec(t *testing.T, text string) docker.ServiceSpec {
	t.Helper()
	s, err := docker.ParseServiceSpec([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

// web is a service with two replicas, a health check, a grant and a network; the
// options change its JSON.
func web(t *testing.T, changes ...func(map[string]any)) docker.ServiceSpec {
	t.Helper()
	var tree map[string]any
	err := json.Unmarshal([]byte(`{
		"Name": "shop_web",
		"Labels": {"com.docker.stack.namespace": "shop", "io.keepmum.stack": "shop"},
		"TaskTemplate": {
			"ContainerSpec": {
				"Image": "example/web:1",
				"Env": ["LEVEL=info", "TOKEN_FILE=/run/secrets/TOKEN"],
				"Healthcheck": {"Test": ["CMD", "/web", "health"], "Interval": 2000000000},
				"Secrets": [{"File": {"Name": "TOKEN", "UID": "0", "GID": "0", "Mode": 292}, "SecretName": "TOKEN"}]
			},
			"Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 134217728}},
			"Networks": [{"Target": "shop_default", "Aliases": ["web"]}]
		},
		"Mode": {"Replicated": {"Replicas": 2}},
		"UpdateConfig": {"Parallelism": 1, "Order": "start-first", "FailureAction": "rollback", "MaxFailureRatio": 0},
		"EndpointSpec": {"Mode": "dnsrr"}
	}`), &tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(tree)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return spec(t, string(data))
}

// with sets what is at a dotted path.
func with(path string, value any) func(map[string]any) {
	return func(tree map[string]any) {
		keys := strings.Split(path, ".")
		for _, key := range keys[:len(keys)-1] {
			inside, ok := tree[key].(map[string]any)
			if !ok {
				inside = map[string]any{}
				tree[key] = inside
			}
			tree = inside
		}
		if last := keys[len(keys)-1]; value == nil {
			delete(tree, last)
		} else {
			tree[last] = value
		}
	}
}

// version is a secret in the Swarm that is a version.
func version(stack, name string, number int) docker.SwarmSecret {
	full := fmt.Sprintf("%s_%s.v%d", stack, name, number)
	return docker.SwarmSecret{ID: "id-" + full, Name: full, Labels: map[string]string{
		docker.LabelStack: stack, docker.LabelSecret: name, docker.LabelVersion: fmt.Sprint(number), docker.LabelEnvironment: "staging", docker.LabelFingerprint: "v1:x",
	}}
}

// asStored is a specification as the engine stores it: with ids, and with the
// defaults that it adds.
func asStored(t *testing.T, s docker.ServiceSpec, changes ...func(map[string]any)) docker.ServiceSpec {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(s.JSON, &tree); err != nil {
		t.Fatal(err)
	}
	for _, change := range append([]func(map[string]any){
		with("TaskTemplate.Runtime", "container"), with("TaskTemplate.ForceUpdate", 0.0), with("TaskTemplate.ContainerSpec.Isolation", "default"),
		with("TaskTemplate.ContainerSpec.DNSConfig", map[string]any{}), with("TaskTemplate.Placement", map[string]any{}),
		with("UpdateConfig.Delay", 0.0), with("UpdateConfig.Monitor", 5e9),
		with("TaskTemplate.Networks", []any{map[string]any{"Target": "net1", "Aliases": []any{"web"}}}),
	}, changes...) {
		change(tree)
	}
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return spec(t, string(data))
}
