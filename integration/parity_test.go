//go:build integration

package integration

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/internal/compose"

	"github.com/keepmum/keepmum/internal/ops/stack"
	"github.com/keepmum/keepmum/internal/sweep"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// mountedFile describes a file as the helper reports it: see integration/helper.
type mountedFile struct {
	Path, Mode, Owner, Digest string
	Size                      int64
}

// parityValues are values that some way of passing them on could change. Each
// holds random bytes; the value of one byte is too short to be searched for.
func parityValues(t *testing.T) map[string][]byte {
	t.Helper()
	noise := func(n int) []byte {
		data := make([]byte, n)
		rand.Read(data) // never fails
		return data
	}
	text := func() string { return hex.EncodeToString(noise(20)) }
	return map[string][]byte{
		"TEXT":             []byte(text()),
		"PEM":              pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: noise(300)}),
		"JSON":             []byte(`{"user": "a", "password": "` + text() + `", "hosts": ["` + text() + `"]}`),
		"BINARY":           append([]byte{0, 0xff, 0xfe, '\r', '\n', 0}, noise(200)...),
		"CRLF":             []byte(text() + "\r\n" + text() + "\r\n"),
		"BOM":              []byte("\xef\xbb\xbf" + text()),
		"TRAILING_NEWLINE": []byte(text() + "\n"),
		"DOLLAR":           []byte("$" + text() + "$$${HOME}$(id)"),
		"ONE_BYTE":         []byte("x"),
		"LARGEST":          noise(secrets.MaxSize),
	}
}

// TestParity gives the same secrets to the same image under Compose and under
// Swarm, and compares what a program in the container sees.
func TestParity(t *testing.T) {
	t.Parallel() // most of it is waiting
	p := &project{t: t}
	p.connect()
	p.takeHome()
	p.audit = newAudit(t)
	values := parityValues(t)
	for name, value := range values {
		if name != "ONE_BYTE" {
			p.audit.know(map[string]string{name: string(value[:min(len(value), 256)])}) // of the largest only the beginning: all of it would take half a minute
		}
	}
	keys := map[string]string{"THE_ODDS_API_KEY": random(t, "0123456789abcdef", 32), "API_BASKETBALL_KEY": random(t, "0123456789abcdef", 32)}
	p.audit.know(keys)
	p.audit.begin(t, []byte(random(t, "abcdefghijklmnopqrstuvwxyz", 32)))
	helper := p.helperImage(t)
	for name, key := range keys {
		values[name] = []byte(key)
	}
	p.writeSecrets(t, values)

	composed := p.underCompose(t, helper, slices.Sorted(maps.Keys(values)), slices.Sorted(maps.Keys(keys)))
	r := newDind(t, p)
	r.swarmInit(t)
	plain, narrow := r.underSwarm(t, helper, values, slices.Sorted(maps.Keys(keys)))

	t.Run("too large", func(t *testing.T) {
		_, err := r.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: "TOO_LARGE"}, Data: make([]byte, secrets.MaxSize+1)})
		if err == nil || !strings.Contains(err.Error(), "less than 512000 bytes") {
			t.Errorf("512,000 bytes: %v", err)
		}
	})
	requireParity(t, parityCases(values, composed, plain, narrow))
	p.audit.finish(t, map[string]int{"canaries": 10, "logs": 7, "inspect": 13})
}

// writeSecrets writes values as keepmum lays them out: files of 0444 in a
// directory of 0700.
func (p *project) writeSecrets(t *testing.T, values map[string][]byte) {
	t.Helper()
	dir := filepath.Join(p.home, "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o444); err != nil {
			t.Fatal(err)
		}
	}
}

// underCompose starts the helper with all secrets, and the simulator with its
// keys, by the Compose that keepmum uses, and returns what the helper sees.
func (p *project) underCompose(t *testing.T, helper string, names, keys []string) map[string]mountedFile {
	t.Helper()
	var file strings.Builder
	fmt.Fprintf(&file, "name: %s\nservices:\n  helper:\n    image: %s\n    command: [mounts]\n    network_mode: none\n    secrets: [%s]\n", p.name, helper, strings.Join(names, ", "))
	fmt.Fprintf(&file, "  canary:\n    image: %s\n    command: [linger]\n    network_mode: none\n    environment: {CANARY: %q}\n", helper, p.audit.plain)
	fmt.Fprintf(&file, "  provider-sim:\n    image: keepmum/provider-sim:dev\n    network_mode: none\n    secrets: [%s]\n", strings.Join(keys, ", "))
	file.WriteString("secrets:\n")
	for _, name := range names {
		fmt.Fprintf(&file, "  %s: {file: ./secrets/%[1]s}\n", name)
	}
	path := filepath.Join(p.home, "docker-compose.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tool, err := compose.Finder{}.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Up(t.Context(), stack.Composition{Project: p.name, Dir: p.home, Files: []string{path}}); err != nil {
		t.Fatal(err)
	}
	id := p.container(t, "helper").ID
	p.waitLog(t, id, "\n")
	seen := bySecret(t, p.log(t, id, time.Time{}))
	p.requireLoaded(t, func() string { return p.log(t, p.container(t, "provider-sim").ID, time.Time{}) }, keys)
	p.waitLog(t, p.container(t, "canary").ID, "a canary, go")
	var surfaces []sweep.Surface
	for _, service := range []string{"helper", "provider-sim", "canary"} {
		name := p.container(t, service).Name
		surfaces = append(surfaces, sweep.Logs(p.engine, name), sweep.Inspect(p.engine, name))
	}
	canaryName := p.container(t, "canary").Name
	p.audit.require(t, []plant{{"logs of " + canaryName, "stdout", "hex"}, {"logs of " + canaryName, "stderr", "raw"}, {surface: "inspect of " + canaryName},
		{surface: "inspect of " + p.container(t, "helper").Name}}, nil, surfaces...) // its image has one
	return seen
}

// requireLoaded waits until the simulator has loaded its keys from /run/secrets,
// and serves.
func (p *project) requireLoaded(t *testing.T, log func() string, keys []string) {
	t.Helper()
	for _, key := range keys {
		poll(t, time.Minute, "provider-sim loads "+key+" from docker", func() bool {
			return slices.ContainsFunc(strings.Split(log(), "\n"), func(line string) bool {
				return strings.Contains(line, `"msg":"secret loaded"`) && strings.Contains(line, `"secret":"`+key+`","source":"docker","place":"/run/secrets/`+key+`"`)
			})
		})
	}
	poll(t, time.Minute, "provider-sim serves", func() bool { return strings.Contains(log(), `"msg":"started"`) })
}

// bySecret reads the report of the helper.
func bySecret(t *testing.T, said string) map[string]mountedFile {
	t.Helper()
	all := map[string]mountedFile{}
	for _, one := range decoded[[]mountedFile](t, said) {
		all[filepath.Base(one.Path)] = one
	}
	return all
}

// underSwarm makes a Swarm secret of each value, and runs the helper twice with
// all of them: with the default grants of docker stack deploy, and with grants
// for one user.
func (r *dind) underSwarm(t *testing.T, helper string, values map[string][]byte, keys []string) (plain, narrow map[string]mountedFile) {
	t.Helper()
	r.load(t, helper)
	r.load(t, "keepmum/provider-sim:dev")
	grants := map[string]func(mode os.FileMode, owner string) *swarm.SecretReference{}
	for name, value := range values {
		made, err := r.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: "parity_" + name + ".v1"}, Data: value})
		if err != nil {
			t.Fatalf("%s cannot be a Swarm secret: %s", name, r.project.audit.masked(err.Error()))
		}
		grants[name] = func(mode os.FileMode, owner string) *swarm.SecretReference {
			return &swarm.SecretReference{SecretID: made.ID, SecretName: "parity_" + name + ".v1", File: &swarm.SecretReferenceFileTarget{Name: name, UID: owner, GID: owner, Mode: mode}}
		}
	}
	all := slices.Sorted(maps.Keys(values))
	run := func(name, image string, spec swarm.ContainerSpec, mode os.FileMode, owner string, names []string) func() string {
		spec.Image = image
		for _, secret := range names {
			spec.Secrets = append(spec.Secrets, grants[secret](mode, owner))
		}
		_, err := r.ServiceCreate(t.Context(), swarm.ServiceSpec{
			Annotations: swarm.Annotations{Name: name}, TaskTemplate: swarm.TaskSpec{ContainerSpec: &spec},
			EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
		}, swarm.ServiceCreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return func() string { return r.taskLog(t, name) }
	}
	first := run("helper", helper, swarm.ContainerSpec{Args: []string{"mounts"}}, 0o444, "0", all)
	second := run("narrow", helper, swarm.ContainerSpec{Args: []string{"mounts"}, User: "65532:65532"}, 0o400, "65532", all)
	sim := run("provider-sim", "keepmum/provider-sim:dev", swarm.ContainerSpec{ReadOnly: true}, 0o444, "0", keys)
	canary := run("canary", helper, swarm.ContainerSpec{Args: []string{"linger"}, Env: []string{"CANARY=" + r.project.audit.plain}}, 0o444, "0", nil)
	for _, log := range []func() string{first, second} {
		poll(t, dindTimeout, "the helper sees its files in the Swarm", func() bool { return strings.Contains(log(), "\n") })
	}
	r.project.requireLoaded(t, sim, keys)
	poll(t, time.Minute, "the end of the canary's output", func() bool { return strings.Contains(canary(), "a canary, go") })
	r.search(t, map[string]func() string{"helper": first, "narrow": second, "provider-sim": sim, "canary": canary})
	return bySecret(t, first()), bySecret(t, second())
}

// taskLog is the log of the container of a task; empty until there is one.
func (r *dind) taskLog(t *testing.T, service string) string {
	t.Helper()
	found, err := r.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name="+service))})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return ""
	}
	return r.log(t, found[0].ID)
}

// search searches the logs of all tasks, and what the Swarm shows of services,
// tasks, secrets and containers. The canary is in the log, and in what is shown
// of the service and the container that have it in their environment.
func (r *dind) search(t *testing.T, logs map[string]func() string) {
	t.Helper()
	var surfaces []sweep.Surface
	var plants []plant
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		surfaces = append(surfaces, sweep.Bytes("logs of task "+name, []byte(logs[name]())))
		_, raw, err := r.ServiceInspectWithRaw(t.Context(), name, swarm.ServiceInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("inspect of service "+name, raw))
		found, err := r.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.name="+name))})
		if err != nil || len(found) == 0 {
			t.Fatalf("%s has no container: %v", name, err)
		}
		_, raw, err = r.ContainerInspectWithRaw(t.Context(), found[0].ID, false)
		if err != nil {
			t.Fatal(err)
		}
		surfaces = append(surfaces, sweep.Bytes("inspect of task "+name, raw))
		if name != "provider-sim" {
			plants = append(plants, plant{surface: "inspect of task " + name}) // its image has one
		}
	}
	tasks, err := r.TaskList(t.Context(), swarm.TaskListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all tasks", tasks, err))
	all, err := r.SecretList(t.Context(), swarm.SecretListOptions{})
	surfaces = append(surfaces, asJSON(t, "inspect of all secrets", all, err))
	plants = append(plants, plant{"logs of task canary", "", "base64"}, plant{surface: "inspect of service canary"}, plant{surface: "inspect of all tasks"})
	r.project.audit.require(t, plants, nil, surfaces...)
}

// parityCase is a file of one secret as a program saw it.
type parityCase struct {
	secret string
	under  string // Compose or Swarm
	seen   mountedFile
	want   mountedFile
}

// parityCases pairs each file that a program saw with the file that it should
// have seen: the same bytes at the same path, with the mode and owner of Compose
// or Swarm.
func parityCases(values map[string][]byte, composed, plain, narrow map[string]mountedFile) []parityCase {
	var all []parityCase
	for _, name := range slices.Sorted(maps.Keys(values)) {
		sum := sha256.Sum256(values[name])
		want := func(mode, owner string) mountedFile {
			return mountedFile{Path: "/run/secrets/" + name, Mode: mode, Owner: owner, Digest: hex.EncodeToString(sum[:]), Size: int64(len(values[name]))}
		}
		all = append(all,
			parityCase{name, "Compose", composed[name], want("0444", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))},
			parityCase{name, "Swarm", plain[name], want("0444", "0:0")},
			parityCase{name, "Swarm, for one user", narrow[name], want("0400", "65532:65532")})
	}
	return all
}

// requireParity requires that each program saw what it should have seen, and
// logs a table of it. Digests are not shown: that of one byte is its value.
func requireParity(t testing.TB, cases []parityCase) {
	t.Helper()
	table := "\n| secret | bytes | under | path | mode | owner |\n| --- | --- | --- | --- | --- | --- |\n"
	for _, c := range cases {
		if c.seen.Digest != c.want.Digest {
			t.Errorf("%s under %s has other bytes", c.secret, c.under)
		}
		c.seen.Digest, c.want.Digest = "", ""
		if c.seen != c.want {
			t.Errorf("%s under %s is %+v, want %+v", c.secret, c.under, c.seen, c.want)
		}
		table += fmt.Sprintf("| %s | %d | %s | %s | %s | %s |\n", c.secret, c.seen.Size, c.under, c.seen.Path, c.seen.Mode, c.seen.Owner)
	}
	t.Log(table)
}

// TestRequireParity makes sure that the comparison can fail.
func TestRequireParity(t *testing.T) {
	values := map[string][]byte{"A": []byte("some value")}
	for what, change := range map[string]func(*mountedFile){
		"nothing": func(*mountedFile) {},
		"path":    func(m *mountedFile) { m.Path = "/run/A" },
		"mode":    func(m *mountedFile) { m.Mode = "0644" },
		"owner":   func(m *mountedFile) { m.Owner = "1:1" },
		"bytes":   func(m *mountedFile) { m.Digest = strings.Repeat("0", 64) },
		"size":    func(m *mountedFile) { m.Size++ },
	} {
		cases := parityCases(values, nil, nil, nil)
		for i := range cases {
			cases[i].seen = cases[i].want
			change(&cases[i].seen)
		}
		w := &recordingTB{TB: t}
		if requireParity(w, cases); what == "nothing" == (len(w.errors) > 0) {
			t.Errorf("%s changed: %q", what, w.errors)
		}
	}
}
