package project_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
)

// labelled is a container with a digest.
func labelled(digest string) docker.Container {
	return docker.Container{Labels: map[string]string{docker.LabelGrants: digest}}
}

func TestDigests_Freshness(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	state := b.Load()
	digests, err := b.Project().Digests(state, true)
	if err != nil || !digests.Keyed() || !strings.Contains(b.Said.String(), "made the project's key") {
		t.Fatalf("%v, said %q", err, b.Said.String())
	}
	api, _ := state.Manifest.Service("api")
	current, err := digests.Of(api)
	if err != nil {
		t.Fatal(err)
	}
	b.Write("TOKEN", opstest.OtherValue)
	changed, err := b.Project().Digests(b.Load(), false)
	if err != nil {
		t.Fatal(err)
	}
	keyless, err := opstest.New(t).Project().Digests(state, false)
	if err != nil || keyless.Keyed() {
		t.Fatalf("without a key: %v, %v", keyless.Keyed(), err)
	}
	if _, err := keyless.Of(api); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a digest without a key: %v", err)
	}
	none := manifest.Service{Name: "none"}
	nothing, err := digests.Of(none)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		digests project.Digests
		service manifest.Service
		label   string
		want    project.Freshness
	}{
		"same":                     {digests, api, current, project.Current},
		"changed":                  {changed, api, current, project.Stale},
		"no label":                 {digests, api, "", project.Unknown},
		"another key":              {digests, api, "v1:0000000000000000.0000000000000000:00", project.Unknown},
		"no key":                   {keyless, api, current, project.Unknown},
		"no grants":                {digests, none, nothing, project.None},
		"no grants, no label":      {digests, none, "", project.None},
		"no grants, no key at all": {keyless, none, "", project.None},
		"no grants any more":       {digests, none, current, project.Stale},
		"no grants, no key":        {keyless, none, nothing, project.Unknown},
		"no grants, another key":   {digests, none, "v1:0000000000000000.0000000000000000:00", project.Unknown},
	} {
		if got := test.digests.Freshness(test.service, labelled(test.label)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestDigests_ReportAKeyThatIsBroken(t *testing.T) {
	b := opstest.New(t)
	b.Put(".keepmum/key", "short")
	for _, create := range []bool{false, true} {
		_, err := b.Project().Digests(b.Load(), create)
		refused(t, err, fault.Invalid, ".keepmum/key")
	}
}

func TestDigests_NeedEveryGrantedValueToBeReadable(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	b.Put("secrets/TOKEN", "")
	state := b.Load()
	digests, err := b.Project().Digests(state, true)
	if err != nil {
		t.Fatal(err)
	}
	api, _ := state.Manifest.Service("api")
	if _, err := digests.Of(api); !errors.Is(err, project.ErrContent) {
		t.Errorf("over an empty value: %v", err)
	}
	if got := digests.Freshness(api, labelled("v1:x")); got != project.Unknown {
		t.Errorf("%s, want unknown", got)
	}
}

func TestStaleServices(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "TOKEN", opstest.TokenValue)
	stale := func(state *project.State, touched ...string) string {
		return fmt.Sprint(b.Project().StaleServices(t.Context(), state, b, touched))
	}
	state := b.Load()
	if got := stale(state, "LOGIN"); got != "[]" {
		t.Errorf("without an engine: %s", got)
	}
	b.Running = map[string]string{"worker": "v1:x"}
	if got := stale(state, "LOGIN", "TOKEN"); got != "[{worker [LOGIN]}]" {
		t.Errorf("without a key: %s", got)
	}
	digests, err := b.Project().Digests(state, true)
	if err != nil {
		t.Fatal(err)
	}
	worker, _ := state.Manifest.Service("worker")
	if b.Running["worker"], err = digests.Of(worker); err != nil {
		t.Fatal(err)
	}
	b.Running["api"] = "v1:old"
	for want, touched := range map[string][]string{"[]": nil, "[{api [LOGIN TOKEN]}]": {"TOKEN", "LOGIN"}, "[{api [TOKEN]}]": {"TOKEN", "NOWHERE"}} {
		if got := stale(state, touched...); got != want {
			t.Errorf("touched %v: %s, want %s", touched, got, want)
		}
	}
	if got := b.Project().StaleServices(t.Context(), state, nil, []string{"LOGIN"}); len(got) > 0 {
		t.Errorf("no engine to ask: %v", got)
	}
}

// asked is an engine's word on running services, by Compose project.
type asked map[string]map[string]string

func (a asked) GrantDigests(_ context.Context, project string) (map[string]string, error) {
	return a[project], nil
}

func TestStaleServices_AskForTheProjectThatComposeHas(t *testing.T) {
	b := opstest.New(t)
	running := map[string]string{"worker": ""}
	for name, test := range map[string]struct{ given, file, want string }{
		"the file's name": {"", opstest.ComposeFile, "shop"},
		"a given name":    {"other", opstest.ComposeFile, "other"},
		"no name":         {"", strings.TrimPrefix(opstest.ComposeFile, "name: shop\n"), "keepmum"},
	} {
		b.Put("docker-compose.yml", test.file)
		p := b.Project()
		p.Name = test.given
		got := p.StaleServices(t.Context(), b.Load(), asked{test.want: running}, []string{"LOGIN"})
		if fmt.Sprint(got) != "[{worker [LOGIN]}]" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStaleServices_ListIsEmptyAndNotNull(t *testing.T) {
	b := opstest.New(t)
	b.Running = map[string]string{"left": "v1:x"} // a service that is not declared
	for name, got := range map[string][]project.StaleService{
		"no engine to ask":  b.Project().StaleServices(t.Context(), b.Load(), nil, []string{"LOGIN"}),
		"nothing touched":   b.Project().StaleServices(t.Context(), b.Load(), b, nil),
		"nothing declared":  b.Project().StaleServices(t.Context(), b.Load(), b, []string{"LOGIN"}),
		"no engine answers": b.Project().StaleServices(t.Context(), b.Load(), &opstest.Bench{}, []string{"LOGIN"}),
	} {
		if got == nil || len(got) > 0 {
			t.Errorf("%s: %#v", name, got)
		}
	}
}

func TestStaleServices_CountAServiceWhoseValuesCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	state := b.Load()
	digests, err := b.Project().Digests(state, true)
	if err != nil {
		t.Fatal(err)
	}
	worker, _ := state.Manifest.Service("worker")
	label, err := digests.Of(worker)
	if err != nil {
		t.Fatal(err)
	}
	b.Running = map[string]string{"worker": label}
	if got := b.Project().StaleServices(t.Context(), state, b, []string{"LOGIN"}); len(got) > 0 {
		t.Errorf("with the same value: %v", got)
	}
	b.Put("secrets/LOGIN", "")
	if got := b.Project().StaleServices(t.Context(), b.Load(), b, []string{"LOGIN"}); fmt.Sprint(got) != "[{worker [LOGIN]}]" {
		t.Errorf("with an empty file: %v", got)
	}
}

func TestDigests_DependOnProjectServiceAndTarget(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue)
	state := b.Load()
	service := manifest.Service{Name: "worker", Grants: []manifest.Grant{{Secret: "LOGIN", Target: "LOGIN"}}}
	of := func(p project.Project, service manifest.Service) string {
		t.Helper()
		digests, err := p.Digests(state, true)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := digests.Of(service)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	p := b.Project()
	seen := map[string]string{of(p, service): "itself"}
	if _, same := seen[of(p, service)]; !same {
		t.Error("two digests of the same differ")
	}
	p.Name = "other"
	seen[of(p, service)] = "another project"
	p.Name = ""
	service.Name = "api"
	seen[of(p, service)] = "another service"
	service.Name, service.Grants[0].Target = "worker", "login"
	seen[of(p, service)] = "another target"
	service.Grants = append(service.Grants, manifest.Grant{Secret: "EXTRA", Target: "EXTRA"})
	seen[of(p, service)] = "with an optional secret that has no file"
	if len(seen) != 4 {
		t.Errorf("%d digests, want 4: a secret without a file changes none: %v", len(seen), slices.Collect(maps.Values(seen)))
	}
	if got := b.File(".keepmum/key"); got == "" || strings.Count(b.Said.String(), "made the project's key") != 1 {
		t.Errorf("the key was made more often than once: %s", b.Said.String())
	}
}

// engine lists containers and keeps what it was asked for.
type engine struct {
	all    []docker.Container
	err    error
	labels map[string]string
}

func (e *engine) Containers(_ context.Context, labels map[string]string) ([]docker.Container, error) {
	e.labels = labels
	return slices.Clone(e.all), e.err
}

func TestServiceContainers_AreSortedAndWithoutOneOffs(t *testing.T) {
	of := func(service, name, oneOff string) docker.Container {
		return docker.Container{Service: service, Name: name, Labels: map[string]string{docker.LabelOneOff: oneOff}}
	}
	e := &engine{all: []docker.Container{of("b", "shop-b-1", "False"), of("a", "shop-a-run-1", "True"), of("a", "shop-a-2", ""), {Service: "c", Name: "shop-c-1"}, of("a", "shop-a-10", "False"), of("a", "shop-a-2", "")}}
	all, err := project.ServiceContainers(t.Context(), e, "shop")
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	if want := []string{"shop-a-10", "shop-a-2", "shop-a-2", "shop-b-1", "shop-c-1"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v; want %q", names, err, want)
	}
	if want := map[string]string{docker.LabelProject: "shop"}; !maps.Equal(e.labels, want) {
		t.Errorf("asked for %v, want %v", e.labels, want)
	}
	e.err = &fault.Error{Code: fault.NoEngine, What: "gone"}
	if all, err = project.ServiceContainers(t.Context(), e, "shop"); !errors.Is(err, e.err) || all != nil {
		t.Errorf("an engine that is gone: %v, %v", all, err)
	}
}
