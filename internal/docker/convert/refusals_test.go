package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConvert_RefusesByNameAndLine(t *testing.T) {
	const web = "services:\n  web:\n    image: x\n"
	for _, c := range []struct{ name, text, want string }{
		{"name", "services:\n  web.1: {image: x}\n", "2 web.1 | its name in the Swarm would be shop_web.1; a Swarm takes up to 63 letters and digits, with - and _ between them"},
		{"long name", "services:\n  " + strings.Repeat("w", 59) + ": {image: x}\n", "2 " + strings.Repeat("w", 59) + " | its name in the Swarm would be shop_" + strings.Repeat("w", 59) + "; a Swarm takes up to 63 letters and digits, with - and _ between them"},
		{"no image", "services:\n  web:\n    build: .\n", "2 web | has no image, and a Swarm does not build one"},
		{"privileged", web + "    privileged: true\n    pid: host\n", "4 web | privileged is not possible in a Swarm\n5 web | pid is not possible in a Swarm"},
		{"devices", web + "    deploy:\n      resources:\n        reservations:\n          devices: [{capabilities: [gpu]}]\n", "7 web | deploy.resources.reservations.devices is not possible in a Swarm"},
		{"address", web + "    networks:\n      default:\n        ipv4_address: 10.0.0.5\n", "6 web | networks.default.ipv4_address is not possible in a Swarm"},
		{"replicas of global", web + "    deploy:\n      mode: global\n      replicas: 2\n", "6 web | has replicas, but deploy.mode global runs one task on every node"},
		{"unknown mode", web + "    deploy:\n      mode: some\n", "5 web | has an unknown deploy.mode"},
		{"update of a job", web + "    deploy:\n      mode: replicated-job\n      update_config: {parallelism: 1}\n", "6 web | is a job, which a Swarm does not update: it refuses deploy.update_config"},
		{"words", web + "    deploy:\n      endpoint_mode: dns\n      update_config: {failure_action: retry}\n      rollback_config: {failure_action: rollback}\n      restart_policy: {condition: always}\n",
			"5 web | deploy.endpoint_mode has a word that a Swarm does not know\n6 web | deploy.update_config.failure_action has a word that a Swarm does not know\n7 web | deploy.rollback_config.failure_action has a word that a Swarm does not know\n8 web | deploy.restart_policy.condition has a word that a Swarm does not know"},
		{"restart", web + "    restart: sometimes\n", "4 web | has an unknown restart"},
		{"restart with a count", web + "    restart: always:3\n", "4 web | has an unknown restart"},
		{"platform", web + "    platform: linux/arm/v7\n", "4 web | platform is not OS/ARCHITECTURE, by which a Swarm places tasks"},
		{"entrypoint", web + "    entrypoint: []\n", "4 web | clears the image's entrypoint, which a Swarm cannot"},
		{"command", web + "    command: \"\"\n", "4 web | clears the image's command, which a Swarm can only together with entrypoint:"},
		{"health", web + "    healthcheck: {test: \"true\", disable: true}\n", "4 web | healthcheck has a test and disables it"},
		{"security option", web + "    security_opt:\n      - label:disable\n      - seccomp:profile.json\n      - label:x\n", "6 web | security_opt has an option that a Swarm does not take\n7 web | security_opt has an option that a Swarm does not take"},
		{"labels", web + "    labels: {com.docker.stack.namespace: other}\n    deploy:\n      labels: {io.keepmum.stack: other}\n",
			"4 web | sets the label com.docker.stack.namespace, which docker or keepmum sets\n6 web | sets the label io.keepmum.stack, which docker or keepmum sets"},
		{"port on an address", web + "    ports:\n      - \"80:80\"\n      - 127.0.0.1:81:81\n", "6 web | publishes a port on one address, but a Swarm publishes on all addresses of its nodes"},
		{"port of a range", web + "    ports:\n      - \"8000-8010:80\"\n", "5 web | publishes one port as one of a range, which a Swarm cannot choose from"},
		{"port that is no number", web + "    ports: [{target: 80, published: \"70000\"}]\n", "4 web | a published port is not a number from 0 to 65535"},
		{"port without a target", web + "    ports: [{target: 0, published: \"7\"}]\n", "4 web | a port has no target from 1 to 65535"},
		{"ingress and dnsrr", web + "    ports:\n      - {target: 80, mode: host}\n      - {target: 81, mode: ingress}\n    deploy: {endpoint_mode: dnsrr}\n", "6 web | publishes a port by the ingress network, which endpoint_mode dnsrr excludes"},
		{"home directory", web + "    volumes:\n      - ~/a:/a\n", "5 web | mounts ~/a, and a Swarm has no home directory"},
		{"mount that is made", web + "    volumes:\n      - {type: bind, source: /a, target: /a, bind: {create_host_path: true}}\n", "5 web | asks for a missing folder to be made on the node, which a Swarm does not do"},
		{"labelled mount", web + "    volumes:\n      - /a:/a:z\n", "5 web | volumes.0.bind.selinux is not possible in a Swarm"},
		{"options of another type", web + "    volumes:\n      - {type: tmpfs, target: /a, bind: {propagation: shared}}\n      - {type: tmpfs, source: a, target: /b}\n", "5 web | a mount of type tmpfs has options of type bind\n6 web | a mount of type tmpfs has a source"},
		{"image mount", web + "    volumes:\n      - {type: image, source: y, target: /a}\n", "5 web | a mount has the type image, which keepmum does not convert"},
		{"tmpfs", web + "    tmpfs:\n      - /a:exec\n      - /b:size=much\n      - /c:mode=999\n", "5 web | tmpfs has the option exec, which a Swarm does not take\n6 web | the size of a tmpfs is not understood\n7 web | the mode of a tmpfs is not understood"},
		{"cluster volume", web + "    volumes: [\"v:/v\"]\nvolumes:\n  v:\n    x-cluster-spec: {group: g}\n", "7 v | is a cluster volume, which keepmum does not make"},
		{"network of one node", web + "    networks: [n, host]\nnetworks:\n  n:\n    driver: macvlan\n  host: {name: host}\n", "7 n | has the driver macvlan, whose networks are of one node only\n8 host | is the network host, which every engine has already"},
		{"IPv4", web + "    networks: [n]\nnetworks:\n  n: {enable_ipv4: false}\n", "6 n | enable_ipv4: false is not possible in a Swarm"},
		{"service name as alias", web + "    networks: {default: {use_service_name_alias: false}}\n", "4 web | use_service_name_alias: false is not possible: a Swarm always knows a service by its name"},
		{"targets of secrets", web + "    secrets:\n      - {source: s, target: ../x}\n      - {source: s, target: a/../../b}\n      - {source: s, target: .}\n      - {source: s, target: /etc/ok}\n      - {source: s, target: a/../b}\nsecrets: {s: {external: true}}\n",
			"5 web | the target of s is not a file in /run/secrets\n6 web | the target of s is not a file in /run/secrets\n7 web | the target of s is not a file in /run/secrets\n9 web | the target of s is not a file in /run/secrets"},
		{"targets of configs", web + "    configs:\n      - {source: c, target: ../x}\n      - {source: c, target: x/y}\n      - {source: c, target: /x/y}\nconfigs: {c: {content: a}}\n",
			"5 web | the target of c is not a file in /\n7 web | grants c at /x/y, where c is already"},
		{"owner and mode", web + "    secrets:\n      - {source: s, uid: root, gid: \"-1\", mode: 01777}\nsecrets: {s: {external: true}}\n",
			"5 web | gid of a grant is not a number, and a Swarm takes no names\n5 web | mode of the grant of s is not one of a file\n5 web | uid of a grant is not a number, and a Swarm takes no names"},
		{"content of configs", web + "    configs: [a, b, c, d]\nconfigs:\n  a: {file: ./none}\n  b: {environment: UNSET}\n  c: {file: ./empty}\n  d: {external: true, name: a}\n",
			"6 a | an external config has the same name in the Swarm\n6 a | its file ./none cannot be read\n7 b | takes its content from the variable UNSET, which is not set\n8 c | its file ./empty cannot be read"},
		{"template", web + "    configs: [a]\n    secrets: [s]\nconfigs:\n  a: {content: x, template_driver: golang}\nsecrets:\n  s: {external: true, template_driver: golang}\n",
			"7 a | template_driver is not set by keepmum, so the service would see the template itself\n9 s | template_driver is not set by keepmum, so the service would see the template itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, _ := refusals(t, c.text, options())
			if diff := cmp.Diff(c.want, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConvert_Notices(t *testing.T) {
	const web = "services:\n  web:\n    image: x\n"
	for _, c := range []struct{ name, text, want string }{
		{"of another way of running", web + "    build: .\n    container_name: web\n    expose: [80]\n    profiles: [p]\n    pull_policy: always\n    attach: false\n",
			"4 web | build has no effect in a Swarm, which runs images that a registry has\n5 web | container_name has no effect in a Swarm, which names each task's container\n6 web | expose has no effect in a Swarm: services of one network reach each other at every port\n7 web | profiles has no effect in a Swarm: the service is deployed in any case\n8 web | pull_policy has no effect in a Swarm, which pulls an image that a node lacks\n9 web | attach has no effect in a Swarm"},
		{"restart", web + "    restart: always\n    deploy: {restart_policy: {condition: any}}\n", "4 web | restart has no effect beside deploy.restart_policy"},
		{"dependency", web + "    depends_on:\n      db: {condition: service_started, required: false, restart: true}\n  db: {image: x}\n", "5 web | depends_on.db.restart has no effect in a Swarm\n5 web | required: false of depends_on has no effect: db is waited for all the same"},
		{"variable", web + "    hostname: ${HOST}${HOME_PAGE}${A:-b}${C:+d}\n", "4 HOST | this variable is not set, so nothing stands in its place in services.web.hostname"},
		{"environment", web + "    environment:\n      - HOME_PAGE\n      - UNSET\n", "4 web | UNSET has no value in the environment, so it is not set"},
		{"relative mount", web + "    volumes:\n      - ./a:/a\n", "5 web | mounts ./a of this machine's directory: every node where the service may run must have it at the same path"},
		{"unused", web + "networks:\n  n: {}\nvolumes:\n  v: {}\nconfigs:\n  c: {content: x}\nsecrets:\n  s: {external: true}\n",
			"5 n | no service uses it, so it is not made\n7 v | no service uses it, so it is not made\n9 c | no service uses it, so it is not made\n11 s | no service uses it, so it is not made"},
		{"names of versions", web + "    configs: [c]\n    secrets: [s]\nconfigs:\n  c: {content: x, name: c_v2}\nsecrets:\n  s: {file: ./s, name: s_v2, labels: {a: b}}\n",
			"7 c | name: has no effect: keepmum names the versions of a config by the stack and c\n9 s | file is not read: versions come from mage secrets:toSwarm -from=DIR alone\n9 s | labels has no effect: a version has keepmum's labels\n9 s | name: has no effect without external: true: keepmum names the versions of a secret by the stack and s"},
		{"none", web + "    x-mine: 1\n    privileged: false\nx-other: {a: b}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, notices := refusals(t, c.text, options())
			if findings != "" {
				t.Errorf("refused: %s", findings)
			}
			if diff := cmp.Diff(c.want, notices); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConvert_RefusesWhatAnOlderEngineWouldLeaveOut(t *testing.T) {
	const web = "services:\n  web:\n    image: x\n"
	for text, since := range map[string]string{
		"    security_opt: [no-new-privileges]\n":                                      "1.44",
		"    security_opt: [\"seccomp:unconfined\"]\n":                                 "1.44",
		"    security_opt: [\"apparmor:unconfined\"]\n":                                "1.44",
		"    healthcheck: {test: \"true\", start_interval: 1s}\n":                      "1.44",
		"    volumes: [{type: volume, source: v, target: /v, volume: {subpath: s}}]\n": "1.45",
		"    oom_score_adj: 5\n":                                                       "1.46",
	} {
		before := map[string]string{"1.44": "1.43", "1.45": "1.44", "1.46": "1.45"}[since]
		text = web + text
		if strings.Contains(text, "source: v") {
			text += "volumes: {v: {}}\n"
		}
		for _, api := range []string{before, ""} {
			o := options()
			o.API = api
			if findings, _ := refusals(t, text, o); !strings.Contains(findings, "needs an engine with API "+since) || !strings.HasPrefix(findings, "4 web | ") {
				t.Errorf("with API %q: %q of\n%s", api, findings, text)
			}
		}
		for _, api := range []string{since, "1.51", "2.0"} {
			o := options()
			o.API = api
			if findings, _ := refusals(t, text, o); findings != "" {
				t.Errorf("with API %s: %s", api, findings)
			}
		}
	}
	o := options()
	o.API = "1.41"
	if findings, _ := refusals(t, web+"    security_opt: [\"no-new-privileges:false\", \"label:level:s0\"]\n", o); findings != "" {
		t.Error(findings)
	}
}

func TestConvert_EnvFiles(t *testing.T) {
	for _, c := range []struct{ name, file, entry, want, findings string }{
		{"plain", "A=1\nB=x=y\n\n# C=3\n  D=4\nE=\n", "a.env", "A=1 B=x=y D=4 E=", ""},
		{"end of lines", "\uFEFFA=1\r\nB=2", "a.env", "A=1 B=2", ""},
		{"name alone", "HOME_PAGE\nUNSET\n", "a.env", "HOME_PAGE=home", ""},
		{"quotes", "A='x y'\nB=\"x $$\"\nC=\"x\"\nD=''\n", "a.env", "A=x y C=x D=", "2 web | has a quoted value with $, \\ or text after it, which readers of such files do not read alike"},
		{"raw", "A='x'\nB=$HOME # c\n", "{path: a.env, format: raw}", "A='x' B=$HOME # c", ""},
		{"not alike", "A=$HOME\nB=x # c\nC=\\n\nD= x\nE='a\nF='a' b\nG='a'\\''b'\n", "a.env", "",
			"1 web | has a value with $, \\, a comment or blanks around it, which readers of such files do not read alike\n2 web | has a value with $, \\, a comment or blanks around it, which readers of such files do not read alike\n3 web | has a value with $, \\, a comment or blanks around it, which readers of such files do not read alike\n4 web | has a value with $, \\, a comment or blanks around it, which readers of such files do not read alike\n5 web | has a value of several lines\n6 web | has a quoted value with $, \\ or text after it, which readers of such files do not read alike\n7 web | has a quoted value with $, \\ or text after it, which readers of such files do not read alike"},
		{"no assignment", "export A=1\n=1\n", "a.env", "", "1 web | has a line that is not NAME=value\n2 web | has a line that is not NAME=value"},
		{"missing", "", "none.env", "", "4 web | env_file none.env cannot be read"},
		{"missing and not required", "", "{path: none.env, required: false}", "", ""},
		{"unknown format", "A=1\n", "{path: a.env, format: json}", "", "4 web | env_file has an unknown format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			read := o.ReadFile
			o.ReadFile = func(path string) ([]byte, error) {
				if path == "a.env" {
					return []byte(c.file), nil
				}
				return read(path)
			}
			text := "services:\n  web:\n    image: x\n    env_file: [" + c.entry + "]\n"
			spec, findings, _ := Convert(parse(t, text, nil), o)
			if diff := cmp.Diff(c.findings, said(findings)); diff != "" {
				t.Error(diff)
			}
			if got := envOf(t, spec); got != c.want {
				t.Errorf("the environment is %q, want %q", got, c.want)
			}
		})
	}
}

func TestConvert_EnvironmentWinsOverEnvFiles(t *testing.T) {
	o := options()
	spec, findings, _ := Convert(parse(t, "services: {web: {image: x, env_file: [app.env, b.env], environment: {A: \"2\", C: \"\", HOME_PAGE: }}}\n", nil), o)
	if len(findings) > 0 || envOf(t, spec) != "A=2 B=2 C= HOME_PAGE=home" {
		t.Errorf("%q %v", envOf(t, spec), findings)
	}
}

// No finding about an env_file shows anything of its lines.
func TestConvert_QuotesNoValue(t *testing.T) {
	o := options()
	o.ReadFile = func(string) ([]byte, error) {
		return []byte("A=canary$x\nB='canary\ncanary\"=1\nC=canary # x\n\xffcanary"), nil
	}
	_, findings, notices := Convert(parse(t, "services: {web: {image: x, env_file: a.env, configs: [c]}}\nconfigs: {c: {file: f}}\n", nil), o)
	if len(findings) == 0 {
		t.Fatal("nothing is refused")
	}
	for _, f := range append(findings, notices...) {
		if strings.Contains(f.String()+f.Next, "canary") {
			t.Errorf("quotes a value: %s", f)
		}
	}
}
