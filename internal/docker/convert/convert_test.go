package convert

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/manifest"
	"pgregory.net/rapid"
)

func TestConvert_OfTheSmallestStack(t *testing.T) {
	spec := converted(t, "services: {web: {image: example/web:1}}\n")
	want := `{
  "Name": "shop_web",
  "Labels": {
    "com.docker.stack.image": "example/web:1",
    "com.docker.stack.namespace": "shop",
    "io.keepmum.stack": "shop"
  },
  "TaskTemplate": {
    "ContainerSpec": {
      "Image": "example/web:1",
      "Labels": {
        "com.docker.stack.namespace": "shop"
      },
      "Privileges": {
        "CredentialSpec": null,
        "SELinuxContext": null,
        "NoNewPrivileges": false
      }
    },
    "Resources": {},
    "Placement": {},
    "Networks": [
      {
        "Target": "shop_default",
        "Aliases": [
          "web"
        ]
      }
    ],
    "ForceUpdate": 0
  },
  "Mode": {
    "Replicated": {}
  },
  "EndpointSpec": {}
}`
	if diff := cmp.Diff(want, serviceJSON(t, spec, "shop_web")); diff != "" {
		t.Error(diff)
	}
	if len(spec.Networks) != 1 || spec.Networks[0].Name != "shop_default" || spec.Networks[0].Driver != "overlay" {
		t.Errorf("networks: %+v", spec.Networks)
	}
	if spec.Name != "shop" || spec.Configs != nil || spec.Secrets != nil || spec.After != nil || spec.ExternalNetworks != nil {
		t.Errorf("more than one service and its network: %+v", spec)
	}
}

// everything uses most fields once.
const everything = `
services:
  web:
    image: example/web:1
    entrypoint: [/entry]
    command: serve --port 80
    hostname: web-1
    user: "1000"
    group_add: ["44"]
    working_dir: /srv
    environment: [A=1, HOME_PAGE, NONE]
    cap_add: [net_admin, CAP_CHOWN, net_admin]
    cap_drop: [ALL]
    init: true
    tty: true
    read_only: true
    stop_grace_period: 1m
    stop_signal: SIGINT
    labels: {tier: front}
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nproc: 100, nofile: {soft: 10, hard: 20}}
    extra_hosts: ["b:10.0.0.2", "a:10.0.0.1", "a:10.0.0.3"]
    dns: [10.0.0.53]
    dns_opt: [ndots:1]
    healthcheck: {test: "true", interval: 5s, retries: 3, start_interval: 1s}
    logging: {driver: json-file, options: {max-size: 1m}}
    security_opt: ["no-new-privileges:true", "apparmor=unconfined", "label:type:web_t"]
    tmpfs: "/run:size=1m,mode=0700,noexec"
    platform: linux/arm64
    volumes:
      - data:/data:ro
      - /srv/a:/a:rslave
      - {type: tmpfs, target: /t, tmpfs: {size: 1k}}
      - /anonymous
    networks: {back: {aliases: [api]}, outside: }
    ports: ["8080-8081:80-81", {target: 53, published: 53, protocol: udp, mode: host}]
    deploy:
      replicas: 2
      endpoint_mode: VIP
      labels: {a: b}
      update_config: {delay: 1s, order: start-first, failure_action: rollback, monitor: 2s, max_failure_ratio: 0.1}
      restart_policy: {condition: on-failure, delay: 1s, max_attempts: 3, window: 1m}
      resources:
        limits: {cpus: "0.1", memory: 64M, pids: 50}
        reservations: {cpus: "0.05", generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]}
      placement: {constraints: [node.role == worker], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 1}
networks:
  back: {driver_opts: {encrypted: ""}, attachable: true, internal: true, enable_ipv6: true, labels: {n: "1"}, ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}]}}
  outside: {external: true, name: edge}
volumes:
  data: {driver: nfs, driver_opts: {o: ro}, labels: {keep: "yes"}}
`

func TestConvert_OfEverything(t *testing.T) {
	spec := converted(t, everything)
	want := `{
  "Name": "shop_web",
  "Labels": {
    "a": "b",
    "com.docker.stack.image": "example/web:1",
    "com.docker.stack.namespace": "shop",
    "io.keepmum.stack": "shop"
  },
  "TaskTemplate": {
    "ContainerSpec": {
      "Image": "example/web:1",
      "Labels": {
        "com.docker.stack.namespace": "shop",
        "tier": "front"
      },
      "Command": ["/entry"],
      "Args": ["serve", "--port", "80"],
      "Hostname": "web-1",
      "Env": ["A=1", "HOME_PAGE=home", "NONE"],
      "Dir": "/srv",
      "User": "1000",
      "Groups": ["44"],
      "Privileges": {
        "CredentialSpec": null,
        "SELinuxContext": {"Disable": false, "User": "", "Role": "", "Type": "web_t", "Level": ""},
        "AppArmor": {"Mode": "disabled"},
        "NoNewPrivileges": true
      },
      "Init": true,
      "StopSignal": "SIGINT",
      "TTY": true,
      "ReadOnly": true,
      "Mounts": [
        {
          "Type": "volume", "Source": "shop_data", "Target": "/data", "ReadOnly": true,
          "VolumeOptions": {
            "Labels": {"com.docker.stack.namespace": "shop", "keep": "yes"},
            "DriverConfig": {"Name": "nfs", "Options": {"o": "ro"}}
          }
        },
        {"Type": "bind", "Source": "/srv/a", "Target": "/a", "BindOptions": {"Propagation": "rslave"}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024}},
        {"Type": "volume", "Target": "/anonymous"},
        {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}}
      ],
      "StopGracePeriod": 60000000000,
      "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "StartInterval": 1000000000, "Retries": 3},
      "Hosts": ["10.0.0.1 a", "10.0.0.3 a", "10.0.0.2 b"],
      "DNSConfig": {"Nameservers": ["10.0.0.53"], "Options": ["ndots:1"]},
      "Sysctls": {"net.core.somaxconn": "1024"},
      "CapabilityAdd": ["CAP_CHOWN", "CAP_NET_ADMIN"],
      "CapabilityDrop": ["ALL"],
      "Ulimits": [{"Name": "nofile", "Hard": 20, "Soft": 10}, {"Name": "nproc", "Hard": 100, "Soft": 100}]
    },
    "Resources": {
      "Limits": {"NanoCPUs": 100000000, "MemoryBytes": 67108864, "Pids": 50},
      "Reservations": {"NanoCPUs": 50000000, "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}
    },
    "RestartPolicy": {"Condition": "on-failure", "Delay": 1000000000, "MaxAttempts": 3, "Window": 60000000000},
    "Placement": {
      "Constraints": ["node.role == worker"],
      "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
      "MaxReplicas": 1,
      "Platforms": [{"Architecture": "arm64", "OS": "linux"}]
    },
    "Networks": [{"Target": "edge", "Aliases": ["web"]}, {"Target": "shop_back", "Aliases": ["api", "web"]}],
    "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
    "ForceUpdate": 0
  },
  "Mode": {"Replicated": {"Replicas": 2}},
  "UpdateConfig": {"Parallelism": 1, "Delay": 1000000000, "FailureAction": "rollback", "Monitor": 2000000000, "MaxFailureRatio": 0.1, "Order": "start-first"},
  "EndpointSpec": {
    "Mode": "vip",
    "Ports": [
      {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "host"},
      {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
      {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 8081, "PublishMode": "ingress"}
    ]
  }
}`
	if diff := cmp.Diff(pretty(t, []byte(want)), serviceJSON(t, spec, "shop_web")); diff != "" {
		t.Error(diff)
	}
	network := `{
  "Driver": "overlay", "Scope": "", "EnableIPv6": true,
  "IPAM": {"Driver": "", "Options": null, "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]},
  "Internal": true, "Attachable": true, "Ingress": false, "ConfigOnly": false, "ConfigFrom": null,
  "Options": {"encrypted": ""},
  "Labels": {"com.docker.stack.namespace": "shop", "io.keepmum.stack": "shop", "n": "1"},
  "Name": "shop_back"
}`
	if diff := cmp.Diff(pretty(t, []byte(network)), pretty(t, spec.Networks[0].JSON)); diff != "" {
		t.Error(diff)
	}
	n := spec.Networks[0]
	if !n.Internal || !n.Attachable || n.Driver != "overlay" || n.Labels["n"] != "1" || len(n.Options) != 1 || !slices.Equal(n.Subnets, []string{"10.1.0.0/24"}) {
		t.Errorf("the network's fields do not agree with its JSON: %+v", n)
	}
	if !slices.Equal(spec.ExternalNetworks, []string{"edge"}) || spec.ExternalLines["network edge"] == 0 {
		t.Errorf("external networks: %v", spec.ExternalNetworks)
	}
}

func TestConvert_BindsNoNameToAnId(t *testing.T) {
	spec := converted(t, `
services:
  web:
    image: x
    secrets: [pw, {source: key.pem, target: /etc/key.pem, uid: "5", gid: "6", mode: 0400}, {source: other, target: sub/other}]
    configs: [plain, {source: conf, target: /etc/conf, mode: 0440}, made, {source: outside, target: /o}]
  job: {image: x, secrets: [pw]}
secrets:
  pw: {external: true}
  key.pem: {external: true, name: key_v3}
  other: {external: true, x-keepmum: {from: other-stack}}
  unused: {external: true}
configs:
  conf: {file: ./nginx.conf, labels: {a: b}}
  plain: {content: "$$text"}
  made: {environment: HOME_PAGE}
  outside: {external: true, name: outside_v2}
`)
	got := spec.Services[1].Task
	secrets := []docker.Reference{
		{Name: "key.pem", Target: "/etc/key.pem", UID: "5", GID: "6", Mode: 0o400},
		{Name: "other", Target: "sub/other", UID: "0", GID: "0", Mode: 0o444},
		{Name: "pw", Target: "pw", UID: "0", GID: "0", Mode: 0o444},
	}
	configs := []docker.Reference{
		{Name: "conf", Target: "/etc/conf", UID: "0", GID: "0", Mode: 0o440},
		{Name: "made", Target: "made", UID: "0", GID: "0", Mode: 0o444},
		{Name: "outside_v2", Target: "/o", UID: "0", GID: "0", Mode: 0o444},
		{Name: "plain", Target: "plain", UID: "0", GID: "0", Mode: 0o444},
	}
	if diff := cmp.Diff(secrets, got.Secrets); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(configs, got.Configs); diff != "" {
		t.Error(diff)
	}
	stackSecrets := []docker.StackSecret{
		{Name: "key.pem", Fixed: "key_v3", Line: 10},
		{Name: "other", From: "other-stack", Line: 11},
		{Name: "pw", Line: 9},
	}
	if diff := cmp.Diff(stackSecrets, spec.Secrets); diff != "" {
		t.Error(diff)
	}
	label := map[string]string{docker.LabelNamespace: "shop", docker.LabelStack: "shop"}
	labelled := maps.Clone(label)
	labelled["a"] = "b"
	stackConfigs := []docker.ConfigSpec{
		{Name: "conf", Labels: labelled, Data: []byte("worker_processes 1;\n")},
		{Name: "made", Labels: label, Data: []byte("home")},
		{Name: "plain", Labels: label, Data: []byte("$text")},
	}
	if diff := cmp.Diff(stackConfigs, spec.Configs); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(spec.ExternalConfigs, []string{"outside_v2"}) || spec.ExternalLines["config outside_v2"] == 0 {
		t.Errorf("external configs: %v", spec.ExternalConfigs)
	}
}

func TestConvert_ModesOfServices(t *testing.T) {
	for body, want := range map[string]string{
		"":                               `{"Replicated":{}}`,
		"deploy: {replicas: 0}":          `{"Replicated":{"Replicas":0}}`,
		"scale: 3":                       `{"Replicated":{"Replicas":3}}`,
		"deploy: {mode: global}":         `{"Global":{}}`,
		"deploy: {mode: global-job}":     `{"GlobalJob":{}}`,
		"deploy: {mode: replicated-job}": `{"ReplicatedJob":{}}`,
		"deploy: {mode: replicated-job, replicas: 2}": `{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":2}}`,
	} {
		spec := converted(t, "services:\n  web:\n    image: x\n    "+body+"\n")
		var got struct{ Mode json.RawMessage }
		if err := json.Unmarshal(spec.Services[0].JSON, &got); err != nil || string(got.Mode) != want {
			t.Errorf("%s is %s, want %s (%v)", body, got.Mode, want, err)
		}
	}
}

func TestConvert_WhatRestartMeans(t *testing.T) {
	for body, want := range map[string]string{
		"init: true":                                  "null",
		`restart: "no"`:                               `{"Condition":"none"}`,
		"restart: always":                             `{"Condition":"any"}`,
		"restart: unless-stopped":                     `{"Condition":"any"}`,
		"restart: on-failure":                         `{"Condition":"on-failure","MaxAttempts":0}`,
		"restart: on-failure:4":                       `{"Condition":"on-failure","MaxAttempts":4}`,
		"deploy: {restart_policy: {condition: none}}": `{"Condition":"none"}`,
		"restart: always\n    deploy: {restart_policy: {condition: none}}": `{"Condition":"none"}`,
	} {
		spec := converted(t, "services:\n  web:\n    image: x\n    "+body+"\n")
		var got struct {
			TaskTemplate struct{ RestartPolicy json.RawMessage }
		}
		if err := json.Unmarshal(spec.Services[0].JSON, &got); err != nil {
			t.Fatal(err)
		}
		if policy := string(got.TaskTemplate.RestartPolicy); policy != want && !(policy == "" && want == "null") {
			t.Errorf("%s is %s, want %s", body, policy, want)
		}
	}
}

func TestConvert_ResourcesOfTheServiceAreThoseOfDeploy(t *testing.T) {
	for one, other := range map[string]string{
		"cpus: 0.3":                        `deploy: {resources: {limits: {cpus: "0.3"}}}`,
		"mem_limit: 1g":                    "deploy: {resources: {limits: {memory: 1g}}}",
		"mem_reservation: 64m":             "deploy: {resources: {reservations: {memory: 64m}}}",
		"pids_limit: 10":                   "deploy: {resources: {limits: {pids: 10}}}",
		"pids_limit: -1":                   "tty: false",
		"mem_limit: 1g\n    pids_limit: 5": "deploy: {resources: {limits: {memory: 1g, pids: 5}}}",
	} {
		a := converted(t, "services:\n  web:\n    image: x\n    "+one+"\n")
		b := converted(t, "services:\n  web:\n    image: x\n    "+other+"\n")
		if diff := cmp.Diff(serviceJSON(t, b, "shop_web"), serviceJSON(t, a, "shop_web")); diff != "" {
			t.Errorf("%s is not %s:\n%s", one, other, diff)
		}
		if bare := converted(t, "services: {web: {image: x}}\n"); one != "pids_limit: -1" && string(bare.Services[0].JSON) == string(a.Services[0].JSON) {
			t.Errorf("%s has no effect", one)
		}
	}
}

func TestConvert_After(t *testing.T) {
	spec := converted(t, `
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, depends_on: {c: {condition: service_healthy}, d: {condition: service_completed_successfully}, e: {condition: service_started}}}
  c: {image: x}
  d: {image: x}
  e: {image: x}
`)
	want := map[string]map[string]string{"a": {"b": "started"}, "b": {"c": "healthy", "d": "completed", "e": "started"}}
	if diff := cmp.Diff(want, spec.After); diff != "" {
		t.Error(diff)
	}
}

func TestConvert_NamesOfNetworksAndVolumes(t *testing.T) {
	spec := converted(t, `
services:
  a: {image: x, networks: [one, two, three], volumes: ["v1:/1", "v2:/2", "v3:/3"]}
networks:
  one: {}
  two: {name: second, driver: weave}
  three: {external: {name: third}}
volumes:
  v1: {}
  v2: {name: second}
  v3: {external: true}
`)
	task := spec.Services[0].Task
	if want := []string{"second", "shop_one", "third"}; !slices.Equal(task.Networks, want) {
		t.Errorf("networks %v, want %v", task.Networks, want)
	}
	var sources []string
	for _, m := range task.Mounts {
		sources = append(sources, m.Source)
	}
	if want := []string{"shop_v1", "second", "v3"}; !slices.Equal(sources, want) {
		t.Errorf("volumes %v, want %v", sources, want)
	}
	if len(spec.Networks) != 2 || spec.Networks[0].Driver != "weave" || spec.Networks[1].Name != "shop_one" {
		t.Errorf("made: %+v", spec.Networks)
	}
}

// A name that looks like the one that compose-go makes up is a name all the same.
func TestConvert_AnExplicitNameIsKept(t *testing.T) {
	spec := converted(t, "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {name: project_n}}\n")
	if got := spec.Services[0].Task.Networks; !slices.Equal(got, []string{"project_n"}) {
		t.Errorf("the network is %v", got)
	}
}

func TestConvert_OfTheHostsNetworkHasNoAliases(t *testing.T) {
	spec := converted(t, "services: {a: {image: x, networks: [h]}}\nnetworks: {h: {external: true, name: host}}\n")
	if text := serviceJSON(t, spec, "shop_a"); strings.Contains(text, "Aliases") || !slices.Equal(spec.ExternalNetworks, []string{"host"}) {
		t.Errorf("aliases on the host's network:\n%s", text)
	}
}

func TestConvert_OfAManifestWithoutAModelIsEmpty(t *testing.T) {
	m, findings := manifest.Options{Swarm: true}.Parse("stack.yml", []byte("services: {a: {image: x, unknown: 1}}\n"))
	if len(findings) == 0 || m.Model != nil {
		t.Fatal("the reader accepts it")
	}
	spec, refused, noticed := Convert(m, options())
	if len(spec.Services) != 0 || spec.Name != "shop" || refused != nil || noticed != nil {
		t.Errorf("%+v %v %v", spec, refused, noticed)
	}
}

// Whatever fields are set, the conversion gives the same twice: no order of a
// map is in it.
func TestConvert_IsTheSameTwice(t *testing.T) {
	table := rules()
	var places []string
	for _, place := range slices.Sorted(maps.Keys(table)) {
		if table[place].treatment == used && !slices.ContainsFunc(slices.Collect(maps.Keys(table)), func(other string) bool { return strings.HasPrefix(other, place+".") }) {
			places = append(places, place)
		}
	}
	if len(places) < 100 {
		t.Fatalf("only %d fields", len(places))
	}
	rapid.Check(t, func(r *rapid.T) {
		first, second := parse(t, base, nil), parse(t, base, nil)
		for _, place := range rapid.SliceOfN(rapid.SampledFrom(places), 0, 5).Draw(r, "places") {
			setPlace(first, place)
			setPlace(second, place)
		}
		a, findings, notices := Convert(first, options())
		b, refusedAgain, noticed := Convert(second, options())
		one, err := json.Marshal(a)
		other, failed := json.Marshal(b)
		if err != nil || failed != nil || !bytes.Equal(one, other) {
			r.Fatalf("%s\n%s", one, other)
		}
		if said(findings) != said(refusedAgain) || said(notices) != said(noticed) {
			r.Fatalf("%s\n%s", said(findings), said(refusedAgain))
		}
	})
}

func TestCapabilities_WhatIsAddedIsNotDropped(t *testing.T) {
	for _, c := range []struct{ add, drop, added, dropped string }{
		{"", "", "", ""},
		{"chown", "CAP_CHOWN kill", "CAP_CHOWN", "CAP_KILL"},
		{"chown", "CHOWN", "CAP_CHOWN", ""},
		{"net_raw chown Net_Raw", "all kill", "CAP_CHOWN CAP_NET_RAW", "ALL"},
		{"kill ALL", "all", "ALL", ""},
	} {
		added, dropped := capabilities(strings.Fields(c.add), strings.Fields(c.drop))
		if strings.Join(added, " ") != c.added || strings.Join(dropped, " ") != c.dropped || len(dropped) == 0 && dropped != nil {
			t.Errorf("add %q, drop %q gives %v, %v", c.add, c.drop, added, dropped)
		}
	}
}
