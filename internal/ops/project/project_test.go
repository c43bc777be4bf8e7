package project_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// variablesFile interpolates a port, an image, and in its comment a secret.
const variablesFile = `name: ${SHOP_NAME:-shop}
services:
  api:
    image: shop/api:${SHOP_TAG:-1}
    ports: ["127.0.0.1:${SHOP_PORT:-8090}:8090"]
    secrets: [LOGIN]
secrets:
  LOGIN: {file: ./secrets/LOGIN, x-keepmum: {description: of the database}}
`

// withEnv is the bench's project with an environment.
func withEnv(b *opstest.Bench, environment map[string]string) project.Project {
	p := b.Project()
	p.LookupEnv = func(name string) (string, bool) { value, set := environment[name]; return value, set }
	return p
}

// refused requires an error with a code and a next command.
func refused(t *testing.T, err error, code fault.Code, parts ...string) *fault.Error {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != code || e.Next == "" {
		t.Fatalf("got %v, want code %d with a next command", err, code)
	}
	for _, part := range parts {
		if text := err.Error() + "\n" + e.Next; !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, text)
		}
	}
	return e
}

func TestLoad_InterpolatesTheEnvironmentAndAfterItTheDotEnv(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(".env", "SHOP_TAG=2\nSHOP_PORT='9\"'\nOTHER=x\n")
	p := withEnv(b, map[string]string{"SHOP_PORT": "9000"})
	state, err := p.LoadValid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"SHOP_PORT": "9000", "SHOP_TAG": "2"}; !maps.Equal(state.Variables, want) {
		t.Errorf("variables %v, want %v", state.Variables, want)
	}
	service, _ := state.Manifest.Service("api")
	if service.Image != "shop/api:2" || service.Ports[0].Published != "9000" {
		t.Errorf("image %s, ports %v", service.Image, service.Ports)
	}
}

func TestLoad_WithoutAnEnvironmentTakesEveryDefault(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(".env", "SHOP_TAG=2\n")
	state, err := b.Project().LoadValid(t.Context())
	if err != nil || len(state.Variables) > 0 {
		t.Fatalf("variables %v, %v", state.Variables, err)
	}
	if service, _ := state.Manifest.Service("api"); service.Image != "shop/api:1" {
		t.Errorf("image %s", service.Image)
	}
}

func TestLoad_NeverAsksForADeclaredSecret(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(variablesFile, "shop/api:${SHOP_TAG:-1}", "shop/api:${LOGIN}", 1))
	b.Put(".env", "LOGIN="+opstest.LoginValue+"\n")
	p := withEnv(b, map[string]string{"LOGIN": opstest.OtherValue})
	state, err := p.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, asked := state.Variables["LOGIN"]; asked {
		t.Error("a declared secret is among the variables")
	}
	b.Silent(state.Findings, refused(t, state.Valid(), fault.Invalid, "LOGIN"))
}

func TestLoad_ReportsAVariableOfTheDotEnvThatCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(".env", "SHOP_TAG=\"2\n")
	_, err := withEnv(b, nil).Load(t.Context())
	e := refused(t, err, fault.Invalid, ".env sets variables of docker-compose.yml that cannot be read")
	if len(e.Findings) == 0 || e.Findings[0].File != ".env" || e.Findings[0].Line != 1 || e.Findings[0].Subject != "SHOP_TAG" {
		t.Errorf("findings %v", e.Findings)
	}
	if _, err := withEnv(b, map[string]string{"SHOP_TAG": "3", "SHOP_NAME": "x", "SHOP_PORT": "1"}).Load(t.Context()); err != nil {
		t.Errorf("a variable that the environment has is read from the .env: %v", err)
	}
}

func TestLoad_ReportsADotEnvThatIsNotAFile(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(".env/x", "")
	_, err := withEnv(b, nil).Load(t.Context())
	refused(t, err, fault.Invalid, ".env is a directory")
}

func TestLoad_TakesTheFirstOfComposesNames(t *testing.T) {
	b := opstest.New(t)
	for _, file := range []string{"docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"} {
		b.Put(file, opstest.ComposeFile)
		state, err := b.Project().Load(t.Context())
		if err != nil || state.Manifest.File != file {
			t.Errorf("%s: %v, %v", file, state.Manifest.File, err)
		}
	}
	p := b.Project()
	p.ComposeFile = "docker-compose.yml"
	if state, err := p.Load(t.Context()); err != nil || state.Manifest.File != "docker-compose.yml" {
		t.Errorf("a named file: %v", err)
	}
	p.ComposeFile = "nowhere.yml"
	_, err := p.Load(t.Context())
	refused(t, err, fault.Invalid, "looked for nowhere.yml", "KEEPMUM_COMPOSE_FILE")
	refused(t, p.HasManifest(), fault.Invalid)
}

func TestLoad_ReportsAComposeFileThatCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	b.Put("compose.yaml/x", "")
	_, err := b.Project().Load(t.Context())
	refused(t, err, fault.Invalid, "compose.yaml is a directory")
}

func TestLoadValid_HoldsEveryFinding(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.NewReplacer("min_length", "min_lenght").Replace(opstest.ComposeFile))
	_, err := b.Project().LoadValid(t.Context())
	if e := refused(t, err, fault.Invalid, "docker-compose.yml has 2 findings", "mage secrets:validate"); len(e.Findings) != 2 {
		t.Errorf("findings %v", e.Findings)
	}
	state, err := b.Project().Load(t.Context())
	if err != nil || len(state.Findings) != 2 || state.Manifest == nil || state.Values == nil {
		t.Errorf("Load: %v, %v", state, err)
	}
	_, err = b.Project().LoadManifest()
	refused(t, err, fault.Invalid)
}

func TestLoadValid_NamesTheVariablesThatMayBeToBlame(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	_, err := withEnv(b, map[string]string{"SHOP_PORT": "no-port"}).LoadValid(t.Context())
	refused(t, err, fault.Invalid, "with the variables that are set", "SHOP_PORT")
	if strings.Contains(err.Error(), "no-port") {
		t.Error("the error quotes a variable")
	}
}

func TestLoadLegacy_HidesTheManifestsSecrets(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(project.LegacyFile, "name: shop\nservices:\n  api:\n    image: shop/api:${SHOP_TAG:-1}\n    environment: {LOGIN: \"${LOGIN:-}\"}\n")
	p := withEnv(b, map[string]string{"LOGIN": opstest.LoginValue, "SHOP_TAG": "7"})
	state, err := p.LoadValid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := p.LoadLegacy(state)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"SHOP_TAG": "7"}; !maps.Equal(legacy.Variables, want) || legacy.Values != state.Values {
		t.Errorf("variables %v, want %v", legacy.Variables, want)
	}
	b.Put(project.LegacyFile, "services: []\n")
	_, err = p.LoadLegacy(state)
	refused(t, err, fault.Invalid, project.LegacyFile)
}

func TestComposeProject_IsTheNameOrTheManifestsOrKeepmum(t *testing.T) {
	for want, p := range map[string]struct{ given, declared string }{"given": {"given", "declared"}, "declared": {"", "declared"}, "keepmum": {"", ""}} {
		if got := (project.Project{Name: p.given}).ComposeProject(&manifest.Manifest{Project: p.declared}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPath_JoinsToTheDirectory(t *testing.T) {
	for _, dir := range []string{"/shop", "/shop/"} {
		if got := (project.Project{Dir: dir}).Path("./secrets/A"); got != "/shop/secrets/A" {
			t.Errorf("%s: %s", dir, got)
		}
	}
}

func TestKnown_HoldsTheValuesOfFilesAndOfTheDotEnv(t *testing.T) {
	b := opstest.New(t)
	b.Write("LOGIN", opstest.LoginValue, "ORPHAN", "orphan-value")
	b.Put("secrets/EXTRA", "")
	b.Put(".env", "TOKEN="+opstest.TokenValue+"\nLOGIN="+opstest.OtherValue+"\nEXTRA=\nPORT=80\n")
	p := b.Project()
	known, err := p.Known(b.Load())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range known {
		got = append(got, k.Name+"="+k.Value.RevealString())
	}
	if want := []string{"LOGIN=" + opstest.LoginValue, "ORPHAN=orphan-value", "TOKEN=" + opstest.TokenValue, "LOGIN=" + opstest.OtherValue}; !slices.Equal(got, want) {
		t.Error("the known values are not those of the files and then those of the .env")
	}
	if err := os.Remove(filepath.Join(b.Dir, ".env")); err != nil {
		t.Fatal(err)
	}
	b.Put(".env/x", "")
	_, err = p.Known(b.Load())
	refused(t, err, fault.Invalid)
}

func TestDeclared_RefusesNamesThatAreNone(t *testing.T) {
	state := opstest.New(t).Load()
	if d, err := state.Declared("LOGIN"); err != nil || d.Name != "LOGIN" {
		t.Errorf("%v, %v", d.Name, err)
	}
	_, err := state.Declared("LOGON")
	refused(t, err, fault.Invalid, "declares no secret LOGON")
	_, err = state.Declared("../" + opstest.LoginValue)
	refused(t, err, fault.Usage)
	if strings.Contains(err.Error(), opstest.LoginValue) {
		t.Error("the error quotes what may be a value")
	}
}

func TestSnapshot_Compare(t *testing.T) {
	value := func(s string) secrets.Secret { return secrets.New([]byte(s)) }
	unreadable := errors.New("unreadable")
	s := &project.Snapshot{Values: map[string]project.Value{
		"SAME":  {Secret: value("x")},
		"EMPTY": {Err: &fault.Error{Code: fault.Invalid, Cause: project.ErrContent}},
		"DIR":   {Err: unreadable},
	}}
	for name, want := range map[string]struct {
		change project.Change
		err    error
	}{"NEW": {project.Created, nil}, "SAME": {project.Unchanged, nil}, "EMPTY": {project.Updated, nil}, "DIR": {"", unreadable}} {
		if got, err := s.Compare(name, value("x")); got != want.change || !errors.Is(err, want.err) {
			t.Errorf("%s: %s, %v; want %s, %v", name, got, err, want.change, want.err)
		}
	}
	if got, err := s.Compare("SAME", value("y")); got != project.Updated || err != nil {
		t.Errorf("another value: %s, %v", got, err)
	}
}

func TestSnapshot_LooksUpAsASource(t *testing.T) {
	s := &project.Snapshot{Values: map[string]project.Value{"A": {Secret: secrets.New([]byte("x"))}, "BAD": {Err: fs.ErrPermission}}}
	if found, err := s.Lookup("A"); err != nil || found.Kind != secrets.KindFile || found.Value.RevealString() != "x" {
		t.Errorf("%v, %v", found.Kind, err)
	}
	if _, err := s.Lookup("NONE"); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
	if _, err := s.Lookup("BAD"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
}

func TestSnapshot_AfterLeavesTheOldOneAlone(t *testing.T) {
	now := time.Unix(1000, 0)
	old := &project.Snapshot{Dir: "secrets", Values: map[string]project.Value{"A": {Secret: secrets.New([]byte("x"))}, "B": {}}}
	after := old.After(project.Batch{Write: map[string]secrets.Secret{"C": secrets.New([]byte("z"))}, Remove: []string{"A"}}, now)
	if !slices.Equal(old.Names(), []string{"A", "B"}) || !slices.Equal(after.Names(), []string{"B", "C"}) || after.Dir != "secrets" {
		t.Errorf("old %q, after %q in %s", old.Names(), after.Names(), after.Dir)
	}
	if c := after.Values["C"]; !c.Written.Equal(now) || c.Mode != 0o444 {
		t.Errorf("written %v with mode %#o", c.Written, c.Mode)
	}
	if none := (&project.Snapshot{}).After(project.Batch{Write: map[string]secrets.Secret{"C": secrets.New([]byte("z"))}}, now); len(none.Values) != 1 {
		t.Error("an empty snapshot takes no values")
	}
}

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
	for name, test := range map[string]struct {
		digests project.Digests
		service manifest.Service
		label   string
		want    project.Freshness
	}{
		"same":        {digests, api, current, project.Current},
		"changed":     {changed, api, current, project.Stale},
		"no label":    {digests, api, "", project.Unknown},
		"another key": {digests, api, "v1:0000000000000000.0000000000000000:00", project.Unknown},
		"no key":      {keyless, api, current, project.Unknown},
		"no grants":   {digests, none, current, project.None},
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
		t.Errorf("nobody to ask: %v", got)
	}
}
