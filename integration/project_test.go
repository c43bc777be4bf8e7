//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/manifest"
)

// commandTime is the limit for one command, including stack:up with an empty
// build cache.
const commandTime = 8 * time.Minute

// project is a copy of this checkout under its own name, as a user would have it:
// with a real .env next to the compose file.
type project struct {
	t        *testing.T
	name     string // of the Compose project
	home     string // directory of everything that the test writes
	dir      string // the copy
	tmp      string // temporary directory of the commands
	port     string // of strict-api
	env      []string
	manifest *manifest.Manifest
	engine   *engine.Engine
	docker   *testcontainers.DockerClient
	audit    *audit
	starved  atomic.Int32 // containers that were killed for memory
}

// newProject copies the checkout and connects to the engine. Everything is
// removed at the end of the test; what a killed run left is removed now.
func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{t: t, port: freePort(t)}
	p.connect()
	p.takeHome()
	p.dir, p.tmp = filepath.Join(p.home, "keepmum"), filepath.Join(p.home, "tmp")
	if err := os.Mkdir(p.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	p.copyCheckout()
	p.rename("docker-compose.yml")
	p.rename("docker-compose.env.yml")
	p.env = p.environment()
	p.readManifest()
	return p
}

// connect connects to the engine, with the engine package of keepmum and with the
// plain client.
func (p *project) connect() {
	p.t.Helper()
	var err error
	if p.engine, err = engine.Connect(p.t.Context(), engine.Options{}); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.engine.Close() })
	if p.docker, err = testcontainers.NewDockerClientWithOpts(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.docker.Close() })
}

// copyCheckout copies the files that git tracks, and the new ones that it does
// not ignore.
func (p *project) copyCheckout() {
	p.t.Helper()
	list := exec.CommandContext(p.t.Context(), "git", "ls-files", "-co", "--exclude-standard", "-z")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		p.t.Fatalf("git ls-files: %v", err)
	}
	copied := 0
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		from, to := filepath.Join("..", filepath.FromSlash(name)), filepath.Join(p.dir, filepath.FromSlash(name))
		info, err := os.Lstat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, info.Mode().Perm())
		}
		if err != nil {
			p.t.Fatal(err)
		}
		copied++
	}
	if copied < 100 {
		p.t.Fatalf("only %d files were copied", copied)
	}
}

// rename gives a compose file of the copy the name of the project.
func (p *project) rename(file string) {
	p.t.Helper()
	data := p.read(file)
	if strings.Count(data, "\nname: keepmum\n") != 1 {
		p.t.Fatalf("%s has not one line `name: keepmum`", file)
	}
	p.write(file, strings.Replace(data, "\nname: keepmum\n", "\nname: "+p.name+"\n", 1))
}

// environment is the environment of commands: enough for Go and Docker, and
// nothing that would choose another project, key or compose file. Compose and the
// apt state that keepmum keeps between runs are shared; its builds are not, so
// that the cache of the user does not grow with each run.
func (p *project) environment() []string {
	p.t.Helper()
	goCache, err := exec.CommandContext(p.t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		p.t.Fatalf("go env: %v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		p.t.Fatal(err)
	}
	own := filepath.Join(p.home, "cache")
	for _, shared := range []string{"compose", "apt"} {
		if err := errors.Join(
			os.MkdirAll(filepath.Join(cache, "keepmum", shared), 0o700),
			os.MkdirAll(filepath.Join(own, "keepmum"), 0o700),
			os.Symlink(filepath.Join(cache, "keepmum", shared), filepath.Join(own, "keepmum", shared)),
		); err != nil {
			p.t.Fatal(err)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "KEEPMUM_") && !strings.HasPrefix(pair, "KEEPMUM_POSTGRES_IMAGE=") ||
			strings.HasPrefix(pair, "COMPOSE_") || slices.Contains(secretNames(), strings.SplitN(pair, "=", 2)[0])
	})
	return append(env, "XDG_CACHE_HOME="+own, "GOCACHE="+strings.TrimSpace(string(goCache)), "TMPDIR="+p.tmp)
}

// secretNames are the secrets of the project. readManifest requires that the
// manifest has these.
func secretNames() []string {
	return []string{"API_BASKETBALL_KEY", "DB_ADMIN_PASSWORD", "DB_APP_LOGIN", "STRICT_API_TOKEN", "THE_ODDS_API_KEY"}
}

func (p *project) readManifest() {
	p.t.Helper()
	m, findings := manifest.Parse("docker-compose.yml", []byte(p.read("docker-compose.yml")))
	if len(findings) > 0 || !slices.Equal(m.Names(), secretNames()) {
		p.t.Fatalf("the manifest has the secrets %v, not %v; findings: %v", m.Names(), secretNames(), findings)
	}
	p.manifest = m
}

// grants returns the services by the secrets that they are granted, and the
// secrets by service.
func (p *project) grants() (bySecret, byService map[string][]string) {
	bySecret, byService = map[string][]string{}, map[string][]string{}
	for _, service := range p.manifest.Services {
		for _, grant := range service.Grants {
			bySecret[grant.Secret] = append(bySecret[grant.Secret], service.Name)
			byService[service.Name] = append(byService[service.Name], grant.Secret)
		}
	}
	return bySecret, byService
}

func (p *project) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func (p *project) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// unrelated is a key of the .env that the manifest does not declare. keepmum does
// not use it, and its value must not appear anywhere either.
const unrelated = "MAILER_API_KEY"

// writeEnv writes the .env that a team could have had for years.
func (p *project) writeEnv(values map[string]string) {
	p.t.Helper()
	text := fmt.Sprintf("# settings\nKEEPMUM_API_PORT=%s\nKEEPMUM_POLL_INTERVAL=1s\nexport KEEPMUM_LOG_LEVEL=debug # all of it\n\n# credentials\n", p.port)
	for _, name := range append(secretNames(), unrelated) {
		value, ok := values[name]
		if !ok {
			p.t.Fatalf("there is no value for %s", name)
		}
		text += name + "='" + value + "'\n" // no value has a single quote
	}
	p.write(".env", text)
}

// newValue makes a random value that keeps the rules of the manifest. Where they
// allow it, the value holds characters that encoders treat differently, so that
// each encoding of it is another text.
func newValue(t *testing.T, name string) string {
	t.Helper()
	const hexadecimal, tricky, plain = "0123456789abcdef", "\"\\<>&%+/$#?=~`!;:@", "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRSTUVWXYZ23456789"
	switch name {
	case "THE_ODDS_API_KEY", "API_BASKETBALL_KEY":
		return random(t, hexadecimal, 32)
	case "DB_APP_LOGIN":
		return "app_a:" + newValue(t, "DB_ADMIN_PASSWORD")
	}
	value := random(t, plain, 8)
	for _, c := range tricky {
		value += string(c) + random(t, plain, 1)
	}
	return value + random(t, plain, 8)
}

// freePort returns a port of this machine that is not in use.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// keepmum runs the binary in the project, with an input that may be empty, and
// searches its output, and the environment and arguments of its process and of
// every program that it starts.
func (p *project) keepmum(t *testing.T, input string, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	name := p.audit.masked("keepmum " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, keepmumBinary(t), args...)
	cmd.Dir = p.dir
	cmd.Env = append(slices.Clone(p.env), p.audit.variable())
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watched := p.audit.watchProcesses(ctx, name, cmd.Process.Pid)
	err := cmd.Wait()
	watched(t)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%s: %v", name, err)
	}
	said := output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	p.audit.said(t, name, said)
	t.Logf("%s: exit code %d after %.1f s", name, said.code, time.Since(begun).Seconds())
	return said
}

// must is keepmum for a command that has to succeed. If it does not, its output
// is shown masked.
func (p *project) must(t *testing.T, input string, args ...string) output {
	t.Helper()
	said := p.keepmum(t, input, args...)
	if said.code != 0 {
		t.Fatalf("keepmum %s: exit code %d\n%s", strings.Join(args, " "), said.code, p.audit.masked(said.stdout+said.stderr))
	}
	return said
}

// status is the document of stack:status -json.
type status struct {
	Ready    bool
	Services []struct {
		Service, Status, Values string
		Declared                bool
		Visible                 []string
	}
}

// status runs stack:status.
func (p *project) status(t *testing.T) status {
	t.Helper()
	return decoded[status](t, p.must(t, "", "stack:status", "-json").stdout)
}

// older returns the services that hold an older value.
func (s status) older() []string {
	var names []string
	for _, service := range s.Services {
		if service.Values == "stale" {
			names = append(names, service.Service)
		}
	}
	return names
}

// decoded reads a JSON document.
func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("not a JSON document of this form: %v", err)
	}
	return value
}
