package engine_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/fault"
)

// addContext writes a context as the docker command does.
func addContext(t *testing.T, dir, name, meta string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	write(t, filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"), meta)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func contextAt(name, host string) string {
	return `{"Name":"` + name + `","Metadata":{},"Endpoints":{"docker":{"Host":"` + host + `","SkipTLSVerify":false}}}`
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), `{"currentContext":"far","auths":{}}`)
	addContext(t, dir, "far", contextAt("far", "tcp://10.1.2.3:2375"))
	addContext(t, dir, "near", contextAt("near", "unix:///tmp/near.sock"))
	plain := t.TempDir()
	for _, c := range []struct {
		name string
		dir  string
		env  map[string]string
		want docker.Endpoint
	}{
		{"nothing is set", plain, nil, docker.Endpoint{Host: "unix:///d.sock", Source: "default"}},
		{"current context", dir, nil, docker.Endpoint{Host: "tcp://10.1.2.3:2375", Source: "context far", Remote: true}},
		{"DOCKER_CONTEXT before it", dir, map[string]string{"DOCKER_CONTEXT": "near"}, docker.Endpoint{Host: "unix:///tmp/near.sock", Source: "context near"}},
		{"DOCKER_CONTEXT default", dir, map[string]string{"DOCKER_CONTEXT": "default"}, docker.Endpoint{Host: "unix:///d.sock", Source: "default"}},
		{"DOCKER_HOST before all", dir, map[string]string{"DOCKER_CONTEXT": "near", "DOCKER_HOST": "ssh://me@far.example"}, docker.Endpoint{Host: "ssh://me@far.example", Source: "DOCKER_HOST", Remote: true}},
		{"empty DOCKER_HOST", plain, map[string]string{"DOCKER_HOST": ""}, docker.Endpoint{Host: "unix:///d.sock", Source: "default"}},
		{"port is added", plain, map[string]string{"DOCKER_HOST": "tcp://far.example"}, docker.Endpoint{Host: "tcp://far.example:2375", Source: "DOCKER_HOST", Remote: true}},
		{"port of TLS is added", plain, map[string]string{"DOCKER_HOST": "tcp://far.example", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": plain}, docker.Endpoint{Host: "tcp://far.example:2376", Source: "DOCKER_HOST", Remote: true}},
		{"scheme is added", plain, map[string]string{"DOCKER_HOST": "far.example:99"}, docker.Endpoint{Host: "tcp://far.example:99", Source: "DOCKER_HOST", Remote: true}},
		{"loopback is this machine", plain, map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:99"}, docker.Endpoint{Host: "tcp://127.0.0.1:99", Source: "DOCKER_HOST"}},
		{"loopback of IPv6", plain, map[string]string{"DOCKER_HOST": "tcp://[::1]:99"}, docker.Endpoint{Host: "tcp://[::1]:99", Source: "DOCKER_HOST"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := engine.Resolve(engine.Options{ConfigDir: c.dir, LookupEnv: env(c.env), DefaultHost: "unix:///d.sock"})
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestResolve_FindsConfigByEnvironment(t *testing.T) {
	home := t.TempDir()
	addContext(t, filepath.Join(home, ".docker"), "a", contextAt("a", "unix:///a.sock"))
	addContext(t, filepath.Join(home, "other"), "a", contextAt("a", "unix:///other.sock"))
	for want, values := range map[string]map[string]string{
		"unix:///a.sock":     {"DOCKER_CONTEXT": "a", "HOME": home, "USERPROFILE": home},
		"unix:///other.sock": {"DOCKER_CONTEXT": "a", "HOME": home, "USERPROFILE": home, "DOCKER_CONFIG": filepath.Join(home, "other")},
	} {
		if got, err := engine.Resolve(engine.Options{LookupEnv: env(values)}); err != nil || got.Host != want {
			t.Errorf("got %+v, %v; want %s", got, err, want)
		}
	}
}

func TestResolve_Refuses(t *testing.T) {
	dir := t.TempDir()
	addContext(t, dir, "far", contextAt("far", "tcp://10.1.2.3:2375"))
	tornDir := t.TempDir()
	addContext(t, tornDir, "torn", `{"Name":"torn","Endpoints":{"docker":{"Host":"canary-`)
	addContext(t, dir, "empty", `{"Name":"empty","Endpoints":{}}`)
	torn := t.TempDir()
	write(t, filepath.Join(torn, "config.json"), `{"auths":{"r":{"auth":"canary-value"}},"currentContext":`)
	badTLS := t.TempDir()
	write(t, filepath.Join(badTLS, "ca.pem"), "canary-ca")
	write(t, filepath.Join(badTLS, "cert.pem"), "canary-cert")
	write(t, filepath.Join(badTLS, "key.pem"), "canary-key")
	dirTLS := t.TempDir()
	if err := os.Mkdir(filepath.Join(dirTLS, "key.pem"), 0o755); err != nil {
		t.Fatal(err)
	}
	tls := func(path string) map[string]string {
		return map[string]string{"DOCKER_HOST": "tcp://far.example:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": path}
	}
	for _, c := range []struct {
		name, dir string
		env       map[string]string
		cause     docker.Cause
		says      string
	}{
		{"unknown context", dir, map[string]string{"DOCKER_CONTEXT": "fra"}, docker.CauseContext, "the docker context fra does not exist; there are: default, empty, far"},
		{"torn context", tornDir, map[string]string{"DOCKER_CONTEXT": "torn"}, docker.CauseContext, "cannot be read"},
		{"context without endpoint", dir, map[string]string{"DOCKER_CONTEXT": "empty"}, docker.CauseContext, "has no Docker endpoint"},
		{"torn config.json", torn, nil, docker.CauseContext, "config.json is not a valid docker configuration"},
		{"odd scheme", dir, map[string]string{"DOCKER_HOST": "ftp://x"}, docker.CauseAddress, "ftp://x (DOCKER_HOST) has an unknown scheme"},
		{"no socket", dir, map[string]string{"DOCKER_HOST": "unix://"}, docker.CauseAddress, "names no socket"},
		{"no host", dir, map[string]string{"DOCKER_HOST": "tcp://:2375"}, docker.CauseAddress, "names no host"},
		{"no host of ssh", dir, map[string]string{"DOCKER_HOST": "ssh://"}, docker.CauseAddress, "names no host"},
		{"a password", dir, map[string]string{"DOCKER_HOST": "ssh://me:canary-value@far"}, docker.CauseAddress, "ssh://me@far (DOCKER_HOST) contains a password"},
		{"not a URL", dir, map[string]string{"DOCKER_HOST": "tcp://x:canary-value"}, docker.CauseAddress, "names no host"},
		{"bad certificates", dir, tls(badTLS), docker.CauseTLS, "not valid PEM"},
		{"unreadable certificates", dir, tls(dirTLS), docker.CauseTLS, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := engine.Resolve(engine.Options{ConfigDir: c.dir, LookupEnv: env(c.env), DefaultHost: "unix:///d.sock"})
			refused(t, err, c.cause, c.says)
			var got *fault.Error
			if errors.As(err, &got) && strings.Contains(got.Error()+got.Next+got.Cause.Error(), "canary") && c.name != "not a URL" {
				t.Errorf("a value leaks: %v", err)
			}
		})
	}
}

// refused checks that err is a failure with the cause, contains says and has a
// next step.
func refused(t *testing.T, err error, cause docker.Cause, says string) {
	t.Helper()
	var got *fault.Error
	var why *docker.Failure
	if !errors.As(err, &got) || !errors.As(err, &why) {
		t.Fatalf("not a failure of the engine: %v", err)
	}
	if got.Code != fault.NoEngine || why.Cause != cause || !strings.Contains(got.What, says) || got.Next == "" || strings.Contains(got.What, "\n") {
		t.Errorf("class %d, cause %s: %s\nnext: %s\nwant %s: …%s…", got.Code, why.Cause, got.What, got.Next, cause, says)
	}
}

func TestShowHidesPasswords(t *testing.T) {
	for in, want := range map[string]string{
		"ssh://me:canary@h:22/p": "ssh://me@h:22",
		"ssh://me:can/ary@h":     "ssh://me@h",
		"ssh://me:can@ary@h":     "ssh://me@h",
		"tcp://h:1?x=canary":     "tcp://h:1",
		"h:1":                    "tcp://h:1",
		"unix:///run/a@b:c":      "unix:///run/a@b:c",
	} {
		if got := engine.Show(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
