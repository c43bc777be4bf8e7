package leaktest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// endpoint is an address at which the engine of the containers may be.
type endpoint struct{ source, host string }

// endpoints lists the addresses that testcontainers tries, in its order (v0.41,
// internal/core/docker_host.go), and after them the docker command's current
// context, which testcontainers does not read. Files that cannot be read name
// no address.
func endpoints() []endpoint {
	home, _ := os.UserHomeDir()
	set := settings(home)
	all := []endpoint{
		{"tc.host in " + settingsFile, set["tc.host"]},
		{"DOCKER_HOST", os.Getenv("DOCKER_HOST")},
		{"default", client.DefaultDockerHost},
		{"docker.host in " + settingsFile, set["docker.host"]},
	}
	rootless := []string{os.Getenv("XDG_RUNTIME_DIR"), filepath.Join(home, ".docker/run"), filepath.Join(home, ".docker/desktop"), "/run/user/" + strconv.Itoa(os.Getuid())}
	for _, dir := range rootless {
		socket := filepath.Join(dir, "docker.sock")
		if _, err := os.Stat(socket); err == nil && filepath.IsAbs(socket) {
			all = append(all, endpoint{"rootless", "unix://" + socket})
		}
	}
	all = append(all, currentContext(home))
	seen := map[string]bool{"": true}
	return slices.DeleteFunc(all, func(one endpoint) bool {
		again := seen[one.host]
		seen[one.host] = true
		return again
	})
}

// settingsFile holds testcontainers' settings, in the home directory.
const settingsFile = ".testcontainers.properties"

// settings reads testcontainers' settings, in the form of Java's properties
// without its continued lines.
func settings(home string) map[string]string {
	text, _ := os.ReadFile(filepath.Join(home, settingsFile))
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if end := strings.IndexAny(line, "=: \t"); end > 0 { // a comment's name begins with # or !
			set[line[:end]] = strings.ReplaceAll(strings.TrimLeft(line[end:], "=: \t"), `\`, "") // tcp\:// is tcp://
		}
	}
	return set
}

// currentContext returns the address of the docker command's current context,
// "" if that is the default one. The layout of its directory is that of
// docker/cli, cli/context/store.
func currentContext(home string) endpoint {
	dir := cmp.Or(os.Getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker"))
	read := func(into any, path ...string) {
		text, _ := os.ReadFile(filepath.Join(append([]string{dir}, path...)...))
		_ = json.Unmarshal(text, into)
	}
	var config struct{ CurrentContext string }
	read(&config, "config.json")
	name := cmp.Or(os.Getenv("DOCKER_CONTEXT"), config.CurrentContext)
	digest := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints struct{ Docker struct{ Host string } }
	}
	read(&meta, "contexts", "meta", hex.EncodeToString(digest[:]), "meta.json")
	return endpoint{"docker context " + name, meta.Endpoints.Docker.Host}
}

// client makes a client, with the TLS and the API version that the environment
// asks for.
func (e endpoint) client(home string) (*client.Client, error) {
	options := []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithVersionFromEnv(), client.WithAPIVersionNegotiation(), client.WithHost(e.host)}
	if set := settings(home); set["docker.tls.verify"] == "1" {
		file := func(name string) string { return filepath.Join(set["docker.cert.path"], name) }
		options = append(options, client.WithTLSClientConfig(file("ca.pem"), file("cert.pem"), file("key.pem")))
	}
	return client.NewClientWithOpts(options...)
}

// connect returns a client of the first engine that has the container. So it
// does not matter whether testcontainers prefers another: an ID names one
// container on one engine.
func connect(ctx context.Context, id string, all []endpoint) (*client.Client, error) {
	home, _ := os.UserHomeDir()
	var tried []string
	var causes []error
	for _, one := range all {
		docker, err := one.client(home)
		if err == nil {
			if _, err = find(ctx, docker, id); err == nil {
				return docker, nil
			}
			docker.Close()
		}
		tried, causes = append(tried, attempt(one.host, one.source, err)), append(causes, err)
	}
	return nil, notFound(id, tried, causes...)
}

// find inspects a container. It wants the whole ID, because a name may be that
// of another container on another engine.
func find(ctx context.Context, docker client.APIClient, id string) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen, err := docker.ContainerInspect(ctx, id)
	if err == nil && seen.ID != id {
		err = errors.New("that is not the whole ID of a container")
	}
	return seen, err
}

// notFound is the error for a container that is on none of the engines tried.
func notFound(id string, tried []string, causes ...error) error {
	text := fmt.Sprintf("leaktest: container %.12s was not found:\n  %s\n  run the check before the container is removed; if its engine is another one, set DOCKER_HOST or Check.Client", id, strings.Join(tried, "\n  "))
	return &failure{text, errors.Join(causes...)}
}

// attempt says how a search at an address ended. An address may hold a password,
// and errors quote addresses in many forms.
func attempt(host, source string, err error) string {
	scheme, rest, _ := strings.Cut(host, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && scheme != "unix" && scheme != "npipe" {
		return fmt.Sprintf("%s://%s (%s): failed; details are hidden because the address has a user", scheme, rest[at+1:], source)
	}
	return fmt.Sprintf("%s (%s): %v", host, source, err)
}
