package manifest

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// ofProject reads a file at the root of this repository.
func ofProject(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsed(t *testing.T, name string) *Manifest {
	t.Helper()
	m, findings := Parse(name, ofProject(t, name))
	for _, f := range findings {
		t.Errorf("%s:%d: %s: %s (%s)", f.File, f.Line, f.Subject, f.Problem, f.Next)
	}
	return m
}

func TestProject_ComposeFilesHaveNoFindings(t *testing.T) {
	for _, name := range []string{"docker-compose.yml", "docker-compose.env.yml"} {
		if m := parsed(t, name); m.Project != "keepmum" || len(m.Services) != 8 {
			t.Errorf("%s: project %q with %d services", name, m.Project, len(m.Services))
		}
	}
}

func TestProject_ComposeFilesAreAlike(t *testing.T) {
	m, legacy := parsed(t, "docker-compose.yml"), parsed(t, "docker-compose.env.yml")
	for _, f := range compareLegacy(m, legacy) {
		t.Errorf("%s:%d: %s: %s (%s)", f.File, f.Line, f.Subject, f.Problem, f.Next)
	}
	if len(legacy.Secrets) != 0 {
		t.Error("the compose file of legacy mode declares secrets")
	}
}

func TestProject_GrantsAreWhatEachServiceNeeds(t *testing.T) {
	m := parsed(t, "docker-compose.yml")
	got := map[string][]string{}
	for _, name := range m.Names() {
		got[name] = m.GrantedTo(name)
	}
	want := map[string][]string{
		"DB_ADMIN_PASSWORD":  {"db-setup", "postgres"},
		"DB_APP_LOGIN":       {"db-setup", "line-movement-analyzer", "odds-ingestion", "prediction-service", "schedule-poller", "strict-api"},
		"THE_ODDS_API_KEY":   {"odds-ingestion", "provider-sim"},
		"API_BASKETBALL_KEY": {"provider-sim", "schedule-poller"},
		"STRICT_API_TOKEN":   {"strict-api"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProject_EveryServiceIsHardened(t *testing.T) {
	const most = types.Duration(5 * time.Second)
	m := parsed(t, "docker-compose.yml")
	for _, s := range m.Services {
		if !s.ReadOnly || s.Privileged || len(s.CapAdd) > 0 || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s is not hardened", s.Name)
		}
		if s.Name != "postgres" && (s.User != "65532:65532" || s.PullPolicy != "never" || s.Image != "keepmum/"+s.Name+":dev" || len(s.Volumes)+len(s.Tmpfs) > 0) {
			t.Errorf("%s: user %q, pull policy %q, image %q, %d mounts", s.Name, s.User, s.PullPolicy, s.Image, len(s.Volumes))
		}
		if s.User == "" || s.User == "root" || strings.HasPrefix(s.User, "0") {
			t.Errorf("%s runs as root", s.Name)
		}
		if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
			t.Errorf("%s: its log has no limit", s.Name)
		}
		if s.Name == "db-setup" {
			continue // it ends alone
		}
		if s.HealthCheck == nil || *s.HealthCheck.Interval > most || *s.HealthCheck.Timeout > most {
			t.Errorf("%s: no short health check", s.Name)
		} else if s.Name != "postgres" && !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/" + s.Name, "health"}) {
			t.Errorf("%s: its health check is not its own binary's: %v", s.Name, s.HealthCheck.Test)
		}
	}
}

func TestProject_PublishesOnlyTheAPIOnLoopback(t *testing.T) {
	var published []string
	for _, s := range parsed(t, "docker-compose.yml").Services {
		for _, p := range s.Ports {
			published = append(published, fmt.Sprintf("%s %s:%s:%d", s.Name, p.HostIP, p.Published, p.Target))
		}
	}
	if !slices.Equal(published, []string{"strict-api 127.0.0.1:8090:8090"}) {
		t.Errorf("published: %v", published)
	}
	m, _ := Options{Lookup: lookupIn(map[string]string{"KEEPMUM_API_PORT": "9999", "KEEPMUM_POSTGRES_IMAGE": "other"})}.Parse("docker-compose.yml", ofProject(t, "docker-compose.yml"))
	api, _ := m.Service("strict-api")
	database, _ := m.Service("postgres")
	if api.Ports[0].Published != "9999" || database.Image != "other" {
		t.Errorf("port %s, image %s", api.Ports[0].Published, database.Image)
	}
}

func TestProject_EverySecretCanBeGenerated(t *testing.T) {
	for _, d := range parsed(t, "docker-compose.yml").Secrets {
		value, err := d.NewValue(rand.Reader)
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		if problems := d.Check(value); len(problems) > 0 {
			t.Errorf("%s: a made value breaks %v", d.Name, rulesOf(problems))
		}
		if problems := d.Check(secrets.New(d.Example())); len(problems) == 0 {
			t.Errorf("%s: its example is taken", d.Name)
		}
		if d.Description == "" {
			t.Errorf("%s has no description", d.Name)
		}
	}
}

func TestProject_IgnoreFilesCoverTheValues(t *testing.T) {
	m := parsed(t, "docker-compose.yml")
	scaffolded := []byte("*\n!.gitignore\n!README.md\n!*.example\n") // what secrets:init writes into secrets/
	byLines, err := m.CheckGitignore(ofProject(t, ".gitignore"), scaffolded, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(byLines, m.CheckDockerignore(ofProject(t, ".dockerignore"))...) {
		t.Errorf("%s: %s (%s)", f.File, f.Problem, f.Next)
	}
}
