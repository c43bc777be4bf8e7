package convert

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/internal/manifest"
)

// places adds the place of every field of a type, but nothing below a place
// that is not used.
func places(t reflect.Type, at string, table map[string]field, into map[string]bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if at != "" {
		into[at] = true
		if table[at].treatment != used {
			return
		}
	}
	below := func(step string) string { return strings.TrimPrefix(at+"."+step, ".") }
	switch {
	case t.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			if tag := tagOf(f); tag != "" {
				places(f.Type, below(tag), table, into)
			}
		}
	case t.Kind() == reflect.Map && structural(t.Elem()):
		places(t.Elem(), below("*"), table, into)
	case t.Kind() == reflect.Slice && structural(t.Elem()):
		places(t.Elem(), below("[]"), table, into)
	}
}

func TestRules_HaveEveryFieldOfComposeGoAndNoOther(t *testing.T) {
	table := rules()
	all := map[string]bool{}
	places(reflect.TypeFor[types.Project](), "", table, all)
	if len(all) < 250 {
		t.Fatalf("only %d fields were found", len(all))
	}
	want, got := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(table))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table does not have the fields of compose-go (-) or has others (+):\n%s", diff)
	}
	for place, f := range table {
		if (f.treatment == refused || f.treatment == noted) && (f.problem == "" || f.next == "") {
			t.Errorf("%s: half a rule", place)
		}
	}
}

// base has one of everything that has fields below it.
const base = `
services:
  web:
    image: example/web:1
    networks: {front: {aliases: [www]}}
    volumes: [{type: volume, source: data, target: /data}]
    configs: [{source: conf, target: /c}]
    secrets: [{source: pw, target: pw}]
    ulimits: {nofile: {soft: 1, hard: 2}}
    depends_on: {db: {condition: service_started}}
    healthcheck: {test: [CMD, "true"]}
    ports: [{target: 80}]
    logging: {driver: json-file}
    env_file: [app.env]
    deploy:
      update_config: {parallelism: 2}
      rollback_config: {parallelism: 2}
      restart_policy: {condition: any}
      resources:
        limits: {cpus: "1"}
        reservations: {cpus: "1", generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]}
      placement: {preferences: [{spread: node.labels.a}]}
  db: {image: example/db:1}
networks: {front: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}
volumes: {data: {}}
configs: {conf: {content: text}}
secrets: {pw: {external: true}}
`

// sample is a value for a place whose kind alone does not say what is valid.
func sample(place string) any {
	last := place[strings.LastIndex(place, ".")+1:]
	switch place {
	case "services.*.restart":
		return "on-failure:3"
	case "services.*.platform":
		return "linux/arm64"
	case "services.*.security_opt":
		return []string{"no-new-privileges"}
	case "services.*.tmpfs":
		return []string{"/run:size=1m"}
	case "services.*.env_file.[].format":
		return "raw"
	case "services.*.env_file.[].path":
		return "b.env"
	case "configs.*.file":
		return "./nginx.conf"
	case "services.*.environment":
		value := "x"
		return types.MappingWithEquals{"ADDED": &value}
	case "services.*.extra_hosts":
		return types.HostsList{"a": {"10.0.0.1"}}
	case "services.*.ports.[].published":
		return "8080"
	case "services.*.ports.[].mode":
		return "host"
	case "services.*.ports.[].protocol":
		return "udp"
	case "services.*.ports.[].host_ip":
		return "127.0.0.1"
	case "services.*.volumes.[].type":
		return "npipe"
	case "services.*.volumes.[].bind.propagation":
		return "rslave"
	case "services.*.deploy.mode":
		return "global"
	case "services.*.deploy.endpoint_mode":
		return "dnsrr"
	case "services.*.depends_on.*.condition":
		return "service_healthy"
	case "services.*.configs.[].source":
		return "conf2"
	case "services.*.secrets.[].source":
		return "pw2"
	case "services.*.volumes.[].source":
		return "data2"
	case "services.*.networks.*.use_service_name_alias", "networks.*.enable_ipv4":
		no := false
		return &no
	case "configs.*.environment":
		return "HOME_PAGE"
	}
	switch last {
	case "failure_action":
		return "continue"
	case "order":
		return "start-first"
	case "condition":
		return "none"
	case "uid", "gid":
		return "1000"
	}
	return nil
}

// fill sets a value to something else than it is.
func fill(v reflect.Value, given any) {
	if given != nil {
		v.Set(reflect.ValueOf(given).Convert(v.Type()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), nil)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString("something")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 7)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 7)
	case reflect.Float32:
		v.SetFloat(0.5)
	case reflect.Slice:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one, nil)
		v.Set(reflect.Append(reflect.MakeSlice(v.Type(), 0, 1), one))
	case reflect.Map:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one, nil)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), one)
	case reflect.Struct:
		for n := range v.NumField() {
			if tagOf(v.Type().Field(n)) != "" {
				fill(v.Field(n), nil)
				return
			}
		}
	default:
		panic("no value of " + v.Type().String())
	}
}

// change fills the field at a place of the model, in the entry web, front, data,
// conf or pw, and makes what is missing on the way.
func change(v reflect.Value, steps []string, given any) {
	if v.Kind() == reflect.Pointer && len(steps) > 0 {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		change(v.Elem(), steps, given)
		return
	}
	if len(steps) == 0 {
		fill(v, given)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if tagOf(f) == steps[0] {
				change(v.FieldByIndex(f.Index), steps[1:], given)
				return
			}
		}
		panic("no field " + steps[0])
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		change(v.Index(0), steps[1:], given)
	case reflect.Map:
		key := reflect.ValueOf("key")
		for _, known := range []string{"web", "front", "data", "conf", "pw", "db", "nofile"} {
			if v.MapIndex(reflect.ValueOf(known).Convert(v.Type().Key())).IsValid() {
				key = reflect.ValueOf(known)
				break
			}
		}
		one := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(key); old.IsValid() {
			one.Set(old)
		}
		change(one, steps[1:], given)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(key, one)
	}
}

// prepare makes a model in which a place means something.
func prepare(p *types.Project, place string) {
	web := p.Services["web"]
	p.Configs["conf2"], p.Secrets["pw2"], p.Volumes["data2"] = p.Configs["conf"], p.Secrets["pw"], p.Volumes["data"]
	switch {
	case strings.HasPrefix(place, "services.*.volumes.[].bind"):
		web.Volumes[0] = types.ServiceVolumeConfig{Type: "bind", Source: "/srv", Target: "/data"}
	case strings.HasPrefix(place, "services.*.volumes.[].tmpfs"):
		web.Volumes[0] = types.ServiceVolumeConfig{Type: "tmpfs", Target: "/data"}
	case place == "services.*.volumes.[].type":
		web.Volumes[0] = types.ServiceVolumeConfig{Type: "bind", Source: "/srv", Target: "/data"}
	case place == "services.*.healthcheck.disable":
		web.HealthCheck.Test = nil
	case place == "services.*.restart":
		web.Deploy.RestartPolicy = nil
	case place == "services.*.deploy.mode" || place == "services.*.deploy.endpoint_mode":
		web.Ports = nil
	case place == "configs.*.file":
		conf := p.Configs["conf"]
		conf.Content = ""
		conf.Environment = "HOME_PAGE"
		p.Configs["conf"] = conf
	case place == "services.*.cpus" || place == "services.*.mem_limit" || place == "services.*.pids_limit" || place == "services.*.mem_reservation":
		web.Deploy.Resources = types.Resources{}
	case place == "services.*.env_file.[].required":
		web.EnvFiles[0].Path = "none.env"
		web.EnvFiles[0].Required = false
	}
	p.Services["web"] = web
}

// setPlace sets one field of a manifest's model to a valid value.
func setPlace(m *manifest.Manifest, place string) {
	change(reflect.ValueOf(m.Model).Elem(), strings.Split(place, "."), sample(place))
}

// outcome is everything that Convert says of a model that was changed.
func outcome(t *testing.T, place string, changed bool) (spec, findings, notices string) {
	t.Helper()
	m := parse(t, base, nil)
	prepare(m.Model, place)
	if changed {
		if place == "configs.*.file" {
			conf := m.Model.Configs["conf"]
			conf.Environment = ""
			m.Model.Configs["conf"] = conf
		}
		setPlace(m, place)
	}
	all, refused, noticed := Convert(m, options())
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), said(refused), said(noticed)
}

// speaks are used fields for which there is a finding or notice and no change of
// the specification, with the reason.
var speaks = map[string]string{
	"services.*.ports.[].host_ip":                  "refused: a Swarm publishes on all addresses",
	"services.*.networks.*.use_service_name_alias": "false is refused, true is what a Swarm does",
	"networks.*.enable_ipv4":                       "false is refused, true is what a Swarm does",
	"services.*.depends_on.*.required":             "false has a notice, true is the default",
	"services.*.env_file.[].required":              "decides whether a missing file is refused",
	"configs.*.name":                               "a notice: keepmum names versions itself",
	"secrets.*.name":                               "read from the manifest's declaration",
	"secrets.*.external":                           "read from the manifest's declaration",
	"services.*.volumes.[].bind.create_host_path":  "refused if the file itself says true",
	"services.*.env_file.[].format":                "raw keeps quotes",
}

func TestFields_NoneIsDropped(t *testing.T) {
	table := rules()
	checked := 0
	for _, place := range slices.Sorted(maps.Keys(table)) {
		below := func(other string) bool { return strings.HasPrefix(other, place+".") }
		if table[place].treatment == read || slices.ContainsFunc(slices.Collect(maps.Keys(table)), below) {
			continue
		}
		checked++
		t.Run(place, func(t *testing.T) {
			before, refusedBefore, noticedBefore := outcome(t, place, false)
			after, refusedAfter, noticedAfter := outcome(t, place, true)
			if refusedBefore != "" {
				t.Fatalf("the base is refused: %s", refusedBefore)
			}
			said := refusedAfter != refusedBefore || noticedAfter != noticedBefore
			switch table[place].treatment {
			case used:
				if speaks[place] == "" && (before == after || refusedAfter != "") {
					t.Errorf("set to a valid value: changed %v, refused %q, noticed %q", before != after, refusedAfter, noticedAfter)
				}
			case refused:
				if refusedAfter == "" {
					t.Error("is not refused")
				}
			case noted:
				if !said || refusedAfter != "" {
					t.Errorf("has no notice (%q), or is refused: %q", noticedAfter, refusedAfter)
				}
			}
		})
	}
	if checked < 200 {
		t.Errorf("only %d fields were checked", checked)
	}
	for place := range speaks {
		if table[place].treatment != used || table[place] != (field{}) {
			t.Errorf("%s is not used", place)
		}
	}
}
