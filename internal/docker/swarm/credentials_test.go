//go:build unix

package swarm_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/registry"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/fault"
)

const password = "p4ss:word/of+registry"

// basic is what docker login writes into config.json.
func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// configDir is a docker configuration.
func configDir(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// helper puts a credential helper into PATH: a shell script.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// fleet is an engine that takes services and finds every image.
func fleet() *fake {
	return &fake{answers: map[string]http.HandlerFunc{
		"POST /services/create": say(201, `{"ID":"made"}`), "POST /services/made/update": say(200, `{}`),
	}, other: has(aDigest)}
}

// sent returns the credentials that each request with an image carried.
func sent(t *testing.T, s *swarm.Swarm, f *fake, image string) map[string]registry.AuthConfig {
	t.Helper()
	f.requests()
	spec := parsed(t, `{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"`+image+`"}}}`)
	if _, _, err := s.CreateService(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateService(t.Context(), "made", 7, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResolveImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	got := map[string]registry.AuthConfig{}
	for _, one := range f.requests() {
		if one.auth == "" {
			continue
		}
		login, err := registry.DecodeAuthConfig(one.auth)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(one.line, "registryAuthFrom") {
			t.Errorf("%s has credentials too", one.line)
		}
		method, _, _ := strings.Cut(one.line, "/")
		got[method+one.line[strings.LastIndex(one.line, "/"):]] = *login
	}
	return got
}

// The same credentials go with a create, an update and a question to a registry.
func TestCredentials_GoWithEveryRequestThatNeedsThem(t *testing.T) {
	const host, hub = "registry.example:5000", "https://index.docker.io/v1/"
	for name, c := range map[string]struct {
		config, env, script, image string
		want                       registry.AuthConfig
	}{
		"config.json":              {config: `{"auths":{"registry.example:5000":{"auth":"` + basic("ann", password) + `"}}}`, image: host + "/web:1", want: registry.AuthConfig{Username: "ann", Password: password, ServerAddress: host}},
		"config.json with an URL":  {config: `{"auths":{"https://registry.example:5000/v2/":{"auth":"` + basic("ann", password) + `"}}}`, image: host + "/web:1", want: registry.AuthConfig{Username: "ann", Password: password, ServerAddress: "https://registry.example:5000/v2/"}},
		"an identity token":        {config: `{"auths":{"registry.example:5000":{"auth":"` + basic("ann", "x") + `","identitytoken":"` + password + `"}}}`, image: host + "/web:1", want: registry.AuthConfig{Username: "ann", Password: "x", IdentityToken: password, ServerAddress: host}},
		"docker.io":                {config: `{"auths":{"` + hub + `":{"auth":"` + basic("ann", password) + `"}}}`, image: "team/web:1", want: registry.AuthConfig{Username: "ann", Password: password, ServerAddress: hub}},
		"another registry's":       {config: `{"auths":{"other.example":{"auth":"` + basic("ann", password) + `"}}}`, image: host + "/web:1"},
		"a helper":                 {config: `{"credsStore":"keep","auths":{"registry.example:5000":{}}}`, script: `read u; echo "{\"ServerURL\":\"$u\",\"Username\":\"$1 for $u\",\"Secret\":\"` + password + `\"}"`, image: host + "/web:1", want: registry.AuthConfig{Username: "get for " + host, Password: password, ServerAddress: host}},
		"a registry's own helper":  {config: `{"credsStore":"none","credHelpers":{"registry.example:5000":"keep"}}`, script: `echo '{"Username":"<token>","Secret":"` + password + `"}'`, image: host + "/web:1", want: registry.AuthConfig{IdentityToken: password, ServerAddress: host}},
		"a helper without any":     {config: `{"credsStore":"keep"}`, script: `echo "credentials not found in native keychain"; exit 1`, image: host + "/web:1"},
		"the environment":          {config: `{"auths":{"registry.example:5000":{"auth":"` + basic("ann", "x") + `"}}}`, env: `{"auths":{"registry.example:5000":{"auth":"` + basic("ci", password) + `"}}}`, image: host + "/web:1", want: registry.AuthConfig{Username: "ci", Password: password, ServerAddress: host}},
		"the environment's others": {config: `{"auths":{"registry.example:5000":{"auth":"` + basic("ann", password) + `"}}}`, env: `{"auths":{"other.example":{"auth":"` + basic("ci", "x") + `"}}}`, image: host + "/web:1", want: registry.AuthConfig{Username: "ann", Password: password, ServerAddress: host}},
		"no configuration":         {image: host + "/web:1"},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := fleet(), swarm.Options{ConfigDir: t.TempDir()}
			if c.config != "" {
				o.ConfigDir = configDir(t, c.config)
			}
			if c.script != "" {
				helper(t, "keep", c.script)
			}
			s := connect(t, f, settings{Options: o, env: map[string]string{"DOCKER_AUTH_CONFIG": c.env, "PATH": os.Getenv("PATH")}})
			got := sent(t, s, f, c.image)
			requests := []string{"POST /create", "POST /update?version=7", "GET /json"}
			if c.want == (registry.AuthConfig{}) {
				requests = nil
			}
			if len(got) != len(requests) {
				t.Errorf("%d requests have credentials, should be %d", len(got), len(requests))
			}
			for _, request := range requests {
				if got[request] != c.want {
					t.Errorf("%s: %+v, want %+v", request, got[request], c.want)
				}
			}
		})
	}
}

// An empty ConfigDir is that of the engine.
func TestCredentials_OfTheEnginesConfiguration(t *testing.T) {
	s := connect(t, &fake{}, settings{})
	if known := s.Credentials(t.Context(), "registry.example/web:1"); len(known) > 0 {
		t.Errorf("%d values without a configuration", len(known))
	}
	text := `{"auths":{"registry.example":{"auth":"` + basic("ann", password) + `"}}}`
	s = connect(t, &fake{}, settings{config: text})
	if known := s.Credentials(t.Context(), "registry.example/web:1"); len(known) != 2 {
		t.Errorf("%d values of the engine's configuration", len(known))
	}
}

// The engine's answer names the credentials' problem, and never what a helper
// said.
func TestCredentials_ProblemIsNamedIfTheRegistryRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		config, env, script, words string
		patience                   time.Duration
	}{
		"a helper that has none":         {config: `{"credsStore":"keep"}`, script: `echo "credentials not found in native keychain"; exit 1`},
		"a helper that is not installed": {config: `{"credsStore":"nowhere"}`, words: "the credential helper docker-credential-nowhere is not installed"},
		"a helper that fails":            {config: `{"credsStore":"keep"}`, script: "echo canary; echo canary >&2; exit 1", words: "the credential helper docker-credential-keep failed"},
		"a helper that says nonsense":    {config: `{"credsStore":"keep"}`, script: "echo canary", words: "the credential helper docker-credential-keep failed"},
		"a helper that hangs":            {config: `{"credsStore":"keep"}`, script: "sleep 60", words: "the credential helper docker-credential-keep did not answer within 300ms", patience: 300 * time.Millisecond},
		"config.json":                    {config: `{"auths":{"canary":7}}`, words: "config.json of the docker configuration is not understood"},
		"the environment":                {env: `{"canary"`, words: "DOCKER_AUTH_CONFIG is not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			o := swarm.Options{ConfigDir: t.TempDir(), Registry: c.patience}
			if c.config != "" {
				o.ConfigDir = configDir(t, c.config)
			}
			if c.script != "" {
				helper(t, "keep", c.script)
			}
			s := connect(t, &fake{other: refuse(401, "unauthorized")}, settings{Options: o, env: map[string]string{"DOCKER_AUTH_CONFIG": c.env, "PATH": os.Getenv("PATH")}})
			began := time.Now()
			_, err := s.ResolveImage(t.Context(), "registry.example/web:1")
			want := "unauthorized"
			switch {
			case c.patience > 0: // the registry, too, may be late
				want = "; no credentials were sent: " + c.words
			case c.words != "":
				want += "; no credentials were sent: " + c.words
			}
			if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(shown(err), "canary") {
				t.Errorf("%s, want %s", shown(err), want)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A helper is asked once for each registry, and gets no other variables than
// those that helpers need.
func TestCredentials_HelperIsAskedOnceWithoutOurEnvironment(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	helper(t, "keep", `read u; echo "$u $AWS_PROFILE $MY_SECRET" >>`+log+`; echo '{"Username":"ann","Secret":"`+password+`"}'`)
	t.Setenv("MY_SECRET", "canary")
	s := connect(t, fleet(), settings{Options: swarm.Options{ConfigDir: configDir(t, `{"credsStore":"keep"}`)}, env: map[string]string{"AWS_PROFILE": "work", "MY_SECRET": "canary", "PATH": os.Getenv("PATH")}})
	for range 2 {
		for _, image := range []string{"one.example/a:1", "one.example/b:2", "two.example/a:1"} {
			if _, err := s.ResolveImage(t.Context(), image); err != nil {
				t.Fatal(err)
			}
			s.Credentials(t.Context(), image)
		}
	}
	if got, err := os.ReadFile(log); err != nil || string(got) != "one.example work \ntwo.example work \n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCredentials_AreKnownForMasking(t *testing.T) {
	text := `{"auths":{"one.example":{"auth":"` + basic("ann", password) + `","identitytoken":"the-token","registrytoken":"the-bearer"},"two.example":{"auth":"` + basic("bob", "another") + `"}}}`
	s := connect(t, &fake{}, settings{Options: swarm.Options{ConfigDir: configDir(t, text)}})
	got := map[string]string{}
	for _, known := range s.Credentials(t.Context(), "one.example/a:1", "one.example/b", "not an image", "two.example/a", "three.example/a") {
		got[known.Value.RevealString()] = known.Name
	}
	for value, name := range map[string]string{password: "registry one.example", "the-token": "registry one.example", "the-bearer": "registry one.example", "another": "registry two.example"} {
		if got[value] != name {
			t.Errorf("%s has the name %q", value, got[value])
		}
		delete(got, value)
	}
	headers := 0
	for value := range got {
		if login, err := registry.DecodeAuthConfig(value); err == nil && login.Password != "" {
			headers++
		}
	}
	if headers != 2 || len(got) != 2 {
		t.Errorf("%d headers of %d other values", headers, len(got))
	}
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, password) || strings.Contains(text, "the-token") {
		t.Error("the Swarm shows them")
	}
}

// Credentials are values, too.
func TestCredentials_AreNotSentInClear(t *testing.T) {
	f := fleet()
	with := inClear()
	with.ConfigDir = configDir(t, `{"auths":{"registry.example":{"auth":"`+basic("ann", password)+`"}}}`)
	s := connect(t, f, with)
	f.requests()
	spec := parsed(t, `{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"registry.example/web:1"}}}`)
	_, _, created := s.CreateService(t.Context(), spec)
	_, updated := s.UpdateService(t.Context(), "made", 7, spec)
	_, resolved := s.ResolveImage(t.Context(), "registry.example/web:1")
	for name, err := range map[string]error{"create": created, "update": updated, "resolve": resolved} {
		if fault.CodeOf(err) != fault.NoEngine || !strings.Contains(err.Error(), "by TCP without TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if lines := f.lines(); len(lines) > 0 {
		t.Errorf("sent: %q", lines)
	}
	// Without credentials there is nothing to protect.
	if _, err := s.UpdateService(t.Context(), "made", 7, docker.ServiceSpec{JSON: json.RawMessage(`{}`)}); err != nil {
		t.Error(err)
	}
}
