package convert

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/internal/fault"
	"go.yaml.in/yaml/v4"
)

// rendering returns options with a version of each secret pw and config conf.
func rendering() RenderOptions {
	return RenderOptions{
		Options: options(),
		Secrets: map[string]string{"pw": "shop_pw.v3"},
		Configs: map[string]string{"conf": "shop_conf.v2"},
	}
}

const rendered = `
x-common: &common {restart: always}
services:
  web:
    <<: *common
    image: example/web:${TAG:-7}
    command: ["sh", "-c", "echo $$HOME"]
    environment: ["A=${HOME_PAGE}", NONE, "PRICE=5$$"]
    env_file: app.env
    secrets: [pw, {source: fixed, target: other, mode: 0400}]
    configs: [{source: conf, target: /conf}, {source: file, target: /file}, {source: outside, target: /o}]
    ports: ["8080:80"]
    volumes: ["data:/data", "./www:/www:ro"]
    depends_on: {db: {condition: service_healthy}}
    cpus: 0.5
    build: .
  db: {image: example/db:1, networks: [back]}
networks:
  back: {name: back-net, labels: {a: $$b}}
volumes: {data: {labels: {c: d}}}
secrets:
  pw: {file: ./secrets/pw}
  fixed: {external: true, name: fixed_v1}
configs:
  conf: {content: "text"}
  file: {file: ./nginx.conf}
  outside: {external: true}
`

func TestRender_WritesWhatTheDockerCommandTakes(t *testing.T) {
	o := rendering()
	data, err := Render(parse(t, rendered, o.Lookup), o)
	if err != nil {
		t.Fatal(err)
	}
	want := `version: "3.9"
configs:
    conf:
        external: true
        name: shop_conf.v2
    file:
        file: ./nginx.conf
    outside:
        external: true
        name: outside
networks:
    back:
        labels:
            a: $$b
        name: back-net
secrets:
    fixed:
        external: true
        name: fixed_v1
    pw:
        external: true
        name: shop_pw.v3
services:
    db:
        image: example/db:1
        networks:
            back: null
    web:
        command:
            - sh
            - -c
            - echo $$HOME
        configs:
            - gid: "0"
              mode: 292
              source: conf
              target: /conf
              uid: "0"
            - gid: "0"
              mode: 292
              source: file
              target: /file
              uid: "0"
            - gid: "0"
              mode: 292
              source: outside
              target: /o
              uid: "0"
        depends_on:
            - db
        deploy:
            resources:
                limits:
                    cpus: "0.5"
            restart_policy:
                condition: any
        environment:
            A: home
            B: two words
            HOME_PAGE: home
            NONE: null
            PRICE: 5$$
        image: example/web:7
        networks:
            default: null
        ports:
            - mode: ingress
              protocol: tcp
              published: 8080
              target: 80
        secrets:
            - gid: "0"
              mode: 256
              source: fixed
              target: other
              uid: "0"
            - gid: "0"
              mode: 292
              source: pw
              target: pw
              uid: "0"
        volumes:
            - source: data
              target: /data
              type: volume
            - read_only: true
              source: /srv/shop/www
              target: /www
              type: bind
volumes:
    data:
        labels:
            c: d
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Error(diff)
	}
}

func TestRender_IsTheSameTwice(t *testing.T) {
	o := rendering()
	first, err := Render(parse(t, rendered, o.Lookup), o)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, err := Render(parse(t, rendered, o.Lookup), o); err != nil || string(again) != string(first) {
			t.Fatalf("differs (%v):\n%s", err, again)
		}
	}
}

// What is rendered can be read again, and gives the same but for the bindings.
func TestRender_CanBeConvertedAgain(t *testing.T) {
	o := rendering()
	text := strings.NewReplacer("    security_opt: [\"no-new-privileges:true\", \"apparmor=unconfined\", \"label:type:web_t\"]\n", "", "    group_add: [\"44\"]\n", "", "    platform: linux/arm64\n", "",
		"    dns_opt: [ndots:1]\n", "", ", start_interval: 1s", "", ",mode=0700", "", "enable_ipv6: true, ", "", ", gateway: 10.1.0.1", "").Replace(everything)
	first := converted(t, text)
	data, err := Render(parse(t, text, o.Lookup), o)
	if err != nil {
		t.Fatal(err)
	}
	second := converted(t, string(data))
	if diff := cmp.Diff(serviceJSON(t, first, "shop_web"), serviceJSON(t, second, "shop_web")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.Networks, second.Networks); diff != "" {
		t.Error(diff)
	}
}

func TestRender_RefusesWhatTheFormatCannotSay(t *testing.T) {
	const web = "services:\n  web:\n    image: x\n"
	for _, c := range []struct{ name, text, want string }{
		{"what Convert refuses", web + "    privileged: true\n", "4 web | privileged is not possible in a Swarm"},
		{"fields of the service", web + "    group_add: [\"5\"]\n    security_opt: [\"label:disable\"]\n    dns_opt: [a]\n    platform: linux/amd64\n    oom_score_adj: 3\n    healthcheck: {test: \"true\", start_interval: 1s}\n    ports: [{target: 80, name: http}]\n",
			"4 web | docker stack deploy has no group_add\n5 web | docker stack deploy has no security_opt\n6 web | docker stack deploy has no dns_opt\n7 web | docker stack deploy has no platform\n8 web | docker stack deploy has no oom_score_adj\n9 web | docker stack deploy has no start_interval\n10 web | docker stack deploy has no name of a port"},
		{"mounts", web + "    tmpfs: \"/t:mode=0700\"\n    volumes:\n      - {type: volume, source: v, target: /v, volume: {subpath: s, labels: {a: b}}}\nvolumes: {v: {}}\n",
			"5 web | docker stack deploy has no labels of a mount\n5 web | docker stack deploy has no mode of a tmpfs\n5 web | docker stack deploy has no subpath of a volume"},
		{"networks", web + "    networks: {n: {driver_opts: {a: b}}}\nnetworks:\n  n: {enable_ipv6: true, ipam: {options: {c: d}, config: [{subnet: 10.0.0.0/8, ip_range: 10.1.0.0/16}]}}\n",
			"4 web | docker stack deploy has no driver_opts\n6 n | docker stack deploy has no enable_ipv6\n6 n | docker stack deploy has no gateway or ip_range\n6 n | docker stack deploy has no options"},
		{"secret without a version", web + "    secrets: [s]\nsecrets:\n  s: {external: true}\n", "6 s | has no version in the Swarm"},
		{"config without a file", web + "    configs: [c]\nconfigs:\n  c: {content: x}\n", "6 c | docker stack deploy reads configs from files only, and there is no version of it in the Swarm"},
		{"empty value", web + "    environment:\n      HOME_PAGE: \"\"\n      OTHER: \"\"\n", "4 web | docker stack deploy would replace the empty HOME_PAGE by that of its environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := rendering()
			data, err := Render(parse(t, c.text, o.Lookup), o)
			var failed *fault.Error
			if !errors.As(err, &failed) || failed.Code != fault.Invalid || data != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			if diff := cmp.Diff(c.want, said(failed.Findings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every stack file that is accepted is rendered as YAML of one document, without
// keys of other programs and without a variable.
func TestRender_OfStackFiles(t *testing.T) {
	count := 0
	for _, name := range stackFiles(t) {
		m, _, findings, _ := readStack(t, name)
		if len(findings) > 0 {
			continue
		}
		count++
		o := RenderOptions{Options: stackOptions(), Secrets: map[string]string{}}
		for _, d := range m.Secrets {
			o.Secrets[d.Name] = "shop_" + d.Name + ".v1"
		}
		data, err := Render(m, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var file map[string]any
		if err := yaml.Unmarshal(data, &file); err != nil || file["version"] != "3.9" || file["name"] != nil {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
		if text := strings.ReplaceAll(string(data), "$$", ""); strings.Contains(text, "$") || strings.Contains(text, "x-") && strings.Contains(text, "\nx-") {
			t.Errorf("%s: a variable or a key of another program is left:\n%s", name, data)
		}
	}
	if count < 15 {
		t.Errorf("only %d files were rendered", count)
	}
}
