package project_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/project"
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

func TestLoad_ReportsAStoreThatCannotBeRead(t *testing.T) {
	b := opstest.New(t)
	broken := &fault.Error{Code: fault.Failed, What: "the disk is gone"}
	p := b.Project()
	p.Store = opstest.Store{SecretStore: b.Store, SnapshotErr: broken}
	if _, err := p.Load(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Load: %v", err)
	}
	if _, err := p.LoadValid(t.Context()); !errors.Is(err, broken) {
		t.Errorf("LoadValid: %v", err)
	}
	if state, err := p.LoadManifest(); err != nil || state.Values != nil {
		t.Errorf("LoadManifest reads values: %v", err)
	}
}

func TestLoad_ReportsAVariableOnceHoweverOftenItIsUsed(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(variablesFile, "    ports:", "    hostname: ${SHOP_TAG:-1}\n    ports:", 1))
	b.Put(".env", "SHOP_TAG=\"2\n")
	_, err := withEnv(b, nil).Load(t.Context())
	if e := refused(t, err, fault.Invalid, ".env sets variables"); len(e.Findings) != 1 {
		t.Errorf("findings %v", e.Findings)
	}
}

func TestLoad_ReadsNoDotEnvIfNothingIsInterpolated(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env/x", "")
	if _, err := withEnv(b, nil).Load(t.Context()); err != nil {
		t.Error(err)
	}
	b.Put("docker-compose.yml", variablesFile)
	state, err := b.Project().Load(t.Context())
	if err != nil || len(state.Variables) > 0 {
		t.Errorf("without an environment: %v, %v", state, err)
	}
}

func TestLoad_ReadsTheDotEnvThatIsNamed(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", variablesFile)
	b.Put(".env", "SHOP_TAG=2\n")
	b.Put("other.env", "SHOP_TAG=3\nLOGIN="+opstest.LoginValue+"\n")
	p := withEnv(b, nil)
	if p.EnvFileName() != ".env" {
		t.Errorf("without a name: %s", p.EnvFileName())
	}
	p.EnvFile = "other.env"
	state, err := p.Load(t.Context())
	if err != nil || state.Variables["SHOP_TAG"] != "3" || p.EnvFileName() != "other.env" {
		t.Errorf("%v, %v", state, err)
	}
	if known, err := p.EnvSecrets(state.Manifest); err != nil || len(known) != 1 || known[0].Name != "LOGIN" {
		t.Errorf("%d secrets, %v", len(known), err)
	}
}

func TestLoad_TakesNoSecretForAVariable(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(variablesFile, "shop/api:${SHOP_TAG:-1}", "shop/api:${LOGIN:-1}", 1))
	state, err := withEnv(b, map[string]string{"LOGIN": opstest.LoginValue}).Load(t.Context())
	if err == nil {
		if _, there := state.Variables["LOGIN"]; there {
			t.Error("a secret is among the variables")
		}
		err = state.Valid()
	}
	b.Silent(nil, err)
	refused(t, err, fault.Invalid)
}

func TestValid_NamesTheCountAndTheNextCommand(t *testing.T) {
	state := opstest.New(t).Load()
	if err := state.Valid(); err != nil {
		t.Errorf("without findings: %v", err)
	}
	state.Findings = []fault.Finding{{Problem: "x"}}
	e := refused(t, state.Valid(), fault.Invalid)
	if e.What != "docker-compose.yml has 1 finding" || e.Next != "fix it, then mage secrets:validate" {
		t.Errorf("%s, next %s", e.What, e.Next)
	}
	state.Variables = map[string]string{"B": opstest.OtherValue, "A": "1"}
	e = refused(t, state.Valid(), fault.Invalid)
	if e.What != "docker-compose.yml has 1 finding, with the variables that are set" || e.Next != "fix it, or look at A, B; then mage secrets:validate" {
		t.Errorf("%s, next %s", e.What, e.Next)
	}
}

func TestLoadLegacy_NeedsItsFile(t *testing.T) {
	b := opstest.New(t)
	_, err := b.Project().LoadLegacy(b.Load())
	refused(t, err, fault.Invalid, "looked for "+project.LegacyFile)
}

func TestHasManifest_TakesAFileWithFindings(t *testing.T) {
	b := opstest.New(t)
	b.Put("docker-compose.yml", strings.Replace(opstest.ComposeFile, "min_length", "min_lenght", 1))
	if err := b.Project().HasManifest(); err != nil {
		t.Error(err)
	}
}

func TestEnvSecrets_ReadAsComposeDoes(t *testing.T) {
	b := opstest.New(t)
	b.Put(".env", "LOGIN=\"login${NONE:-}-value\"\nTOKEN="+opstest.TokenValue+"\nTOKEN="+opstest.OtherValue+"\nEXTRA='\n")
	known, err := b.Project().EnvSecrets(b.Load().Manifest)
	if err != nil || len(known) != 1 || known[0].Name != "LOGIN" || known[0].Value.RevealString() != "login-value" {
		t.Errorf("%d secrets, %v", len(known), err)
	}
}
