package leaktest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/testcontainers/testcontainers-go"
)

// What testcontainers starts can be checked.
var _ Container = testcontainers.Container(nil)

// home makes an empty home directory, without an engine in the environment, and
// returns a function that writes a file into it.
func home(t *testing.T) (dir string, write func(text string, path ...string)) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("HOME", dir)
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	return dir, func(text string, path ...string) {
		t.Helper()
		full := filepath.Join(append([]string{dir}, path...)...)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// hosts are the addresses of endpoints, without the socket that this machine may
// have.
func hosts() []string {
	var all []string
	for _, one := range endpoints() {
		if !strings.HasPrefix(one.host, "unix:///run/user/") {
			all = append(all, one.host)
		}
	}
	return all
}

// TestEndpointsAreInOrder of testcontainers, and the docker context is last.
func TestEndpointsAreInOrder(t *testing.T) {
	dir, write := home(t)
	if got := hosts(); !slices.Equal(got, []string{client.DefaultDockerHost}) {
		t.Errorf("nothing is set: %v", got)
	}
	t.Setenv("DOCKER_HOST", client.DefaultDockerHost)
	if got := hosts(); !slices.Equal(got, []string{client.DefaultDockerHost}) {
		t.Errorf("DOCKER_HOST is the default: %v", got)
	}
	t.Setenv("DOCKER_HOST", "tcp://variable:2")
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
	write("# docker.host=tcp://comment:9\n\n tc.host = tcp\\://first:1\r\ndocker.host:tcp://fourth:4\nname-alone\n", ".testcontainers.properties")
	write("", "run", "docker.sock")
	write("", ".docker", "run", "docker.sock")
	write("", ".docker", "desktop", "docker.sock")
	write(`{"auths":{},"currentContext":"mine"}`, ".docker", "config.json")
	// The directory's name is the SHA-256 of the context's name.
	write(`{"Name":"mine","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://context:5","SkipTLSVerify":false}}}`,
		".docker", "contexts", "meta", "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff", "meta.json")
	want := []string{
		"tcp://first:1", "tcp://variable:2", client.DefaultDockerHost, "tcp://fourth:4",
		"unix://" + dir + "/run/docker.sock", "unix://" + dir + "/.docker/run/docker.sock", "unix://" + dir + "/.docker/desktop/docker.sock",
		"tcp://context:5",
	}
	if got := hosts(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	t.Setenv("DOCKER_CONTEXT", "another")
	if got := hosts(); !slices.Equal(got, want[:len(want)-1]) {
		t.Errorf("a context that is not there: %v", got)
	}
}

// TestEndpointUsesTLSOfSettings: it looks for the certificates.
func TestEndpointUsesTLSOfSettings(t *testing.T) {
	dir, write := home(t)
	for value, want := range map[string]bool{"0": false, "1": true} {
		write("docker.tls.verify="+value+"\ndocker.cert.path="+filepath.Join(dir, "certificates"), ".testcontainers.properties")
		docker, err := endpoint{"", "tcp://127.0.0.1:1"}.client(dir)
		if got := err != nil && strings.Contains(err.Error(), "certificates"); got != want {
			t.Errorf("docker.tls.verify=%s: %v", value, err)
		}
		if err == nil {
			docker.Close()
		}
	}
}

// anEngine answers for one container and returns its address.
func anEngine(t *testing.T, id string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, asked, _ := strings.Cut(r.URL.Path, "/containers/")
		if asked = strings.TrimSuffix(asked, "/json"); asked == "" || id == "" || !strings.HasPrefix(id, asked) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"No such container"}`))
			return
		}
		_, _ = w.Write([]byte(`{"Id":"` + id + `"}`))
	}))
	t.Cleanup(server.Close)
	return "tcp://" + server.Listener.Addr().String()
}

// TestConnectFindsEngineOfContainer behind engines that do not answer or do not
// have it.
func TestConnectFindsEngineOfContainer(t *testing.T) {
	home(t)
	id := strings.Repeat("0123456789abcdef", 4)
	none, other, right := "unix:///does/not/exist", anEngine(t, ""), anEngine(t, id)
	docker, err := connect(t.Context(), id, []endpoint{{"a", none}, {"b", other}, {"c", right}, {"d", other}})
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	if docker.DaemonHost() != right {
		t.Errorf("the engine is %s, want %s", docker.DaemonHost(), right)
	}
}

// TestConnectNamesEngines that it tried, and no password in their addresses.
func TestConnectNamesEngines(t *testing.T) {
	home(t)
	id := strings.Repeat("0123456789abcdef", 4)
	none, other, right := "unix:///does/not/exist", anEngine(t, ""), anEngine(t, id)
	_, err := connect(t.Context(), id, []endpoint{
		{"a", none}, {"b", other}, {"c", "tcp://me:pass%word@127.0.0.1:1"}, {"d", "http://me:pass/word@127.0.0.1:1"}, {"e", "ssh://me@machine"}, {"f", "nonsense"},
	})
	if err == nil || !errdefs.IsNotFound(err) {
		t.Fatalf("error %v, want one of a container that was not found", err)
	}
	for _, want := range []string{"container 0123456789ab was not found", none + " (a): ", other + " (b): Error response from daemon: No such container", "tcp://127.0.0.1:1 (c): failed; details are hidden", "http://127.0.0.1:1 (d): failed", "ssh://machine (e): failed", "nonsense (f): ", "set DOCKER_HOST or Check.Client"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "pass") || strings.Contains(err.Error(), "%wo") {
		t.Error("it shows a password")
	}
	if _, err := connect(t.Context(), id[:12], []endpoint{{"c", right}}); err == nil || !strings.Contains(err.Error(), "not the whole ID") {
		t.Errorf("part of an ID: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := connect(ctx, id, []endpoint{{"c", right}}); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("an ended context: %v", err)
	}
}
