//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/docker/engine"
	"github.com/keepmum/keepmum/internal/docker/swarm"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
	"github.com/keepmum/keepmum/internal/ops/versions"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// swarmUser is a team's project beside a Swarm of one node, used through the
// binary.
type swarmUser struct {
	*swarm.Swarm
	dir    string
	socket string
	known  []secrets.Known
}

// TestVersions makes and asks for versions in a real Swarm.
func TestVersions(t *testing.T) {
	t.Parallel()
	p := &project{t: t}
	p.connect()
	p.takeHome()
	p.audit = newAudit(t)
	p.audit.begin(t, []byte(random(t, "abcdefghijklmnopqrstuvwxyz", 32)))
	r := newDind(t, p)
	u := &swarmUser{dir: t.TempDir(), socket: "unix://" + r.listen(t)}
	none := func(string) (string, bool) { return "", false }
	e, err := engine.Connect(t.Context(), engine.Options{DefaultHost: u.socket, ConfigDir: t.TempDir(), LookupEnv: none})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	u.Swarm = swarm.New(e, swarm.Options{LookupEnv: none})
	helper := p.helperImage(t)
	r.load(t, helper)
	u.project(t, "LOGIN", "TOKEN")

	u.run(t, 4, "secrets:toSwarm", "-from=prod").says(t, "docker swarm init")
	r.swarmInit(t)
	t.Run("Contract", func(t *testing.T) { clustertest.Contract(t, "contract", u, u) })
	t.Run("Life", func(t *testing.T) { u.life(t, helper) })
	t.Run("TwoAtOnce", u.twoAtOnce)
	t.Run("Many", u.many)
	t.Run("Killed", u.killed)
	u.silent(t)
}

// project writes a compose file that grants the named secrets to a service, and
// random values of production.
func (u *swarmUser) project(t *testing.T, names ...string) {
	t.Helper()
	text := "name: shop\nservices:\n  api: {image: shop/api, secrets: [" + strings.Join(names, ", ") + "]}\nsecrets:\n"
	for _, name := range names {
		text += "  " + name + ": {file: ./secrets/" + name + ", x-keepmum: {description: x, rotate_every: 90d}}\n"
	}
	u.write(t, "docker-compose.yml", text)
	u.write(t, "prod/.environment", "production\n")
	for _, name := range names {
		u.renew(t, name)
	}
}

// write writes a file of the project.
func (u *swarmUser) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(u.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// renew writes another value.
func (u *swarmUser) renew(t *testing.T, name string) {
	t.Helper()
	value := random(t, "abcdefghijklmnopqrstuvwxyz", 24)
	u.known = append(u.known, secrets.Known{Name: name, Value: secrets.New([]byte(value))})
	u.write(t, "prod/"+name, value+"\n")
}

// answer is what the binary wrote.
type answer struct{ out, said string }

// says requires parts of the output.
func (a answer) says(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(a.out+a.said, part) {
			t.Errorf("no %q in\n%s%s", part, a.out, a.said)
		}
	}
}

// command is a run of the binary in the project, over the Swarm.
func (u *swarmUser) command(t *testing.T, args ...string) (cmd *exec.Cmd, out, said *bytes.Buffer) {
	t.Helper()
	out, said = &bytes.Buffer{}, &bytes.Buffer{}
	cmd = exec.CommandContext(t.Context(), keepmumBinary(t), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = u.dir, out, said
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+u.socket, "KEEPMUM_STACK=", "KEEPMUM_KEY_FILE=", "KEEPMUM_COMPOSE_FILE=")
	return cmd, out, said
}

// run runs the binary and requires its exit code, and that it shows no value.
func (u *swarmUser) run(t *testing.T, code int, args ...string) answer {
	t.Helper()
	cmd, out, said := u.command(t, args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, out, said)
	}
	if hits := redact.New(u.known).Find(append(out.Bytes(), said.Bytes()...)); len(hits) > 0 {
		t.Errorf("%v shows %s (%s)", args, hits[0].Name, hits[0].Encoding)
	}
	return answer{out.String(), said.String()}
}

// names returns the names of the Swarm's secrets that begin with the prefix.
func (u *swarmUser) names(t *testing.T, prefix string) []string {
	t.Helper()
	all, err := u.Secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		if strings.HasPrefix(one.Name, prefix) {
			names = append(names, one.Name)
		}
	}
	return names
}

// id returns the id of a secret.
func (u *swarmUser) id(t *testing.T, name string) string {
	t.Helper()
	all, err := u.Secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(one docker.SwarmSecret) bool { return one.Name == name })
	if i < 0 {
		t.Fatalf("there is no secret %s", name)
	}
	return all[i].ID
}

// silent requires that no value is in what the API shows of secrets and configs.
// It finds a canary first.
func (u *swarmUser) silent(t *testing.T) {
	t.Helper()
	all, err := u.Secrets(t.Context())
	configs, other := u.Configs(t.Context())
	if err != nil || other != nil || len(all) == 0 || len(configs) == 0 {
		t.Fatal(len(all), len(configs), err, other)
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range configs {
		data = append(data, fmt.Sprintf("%v %s\n", config.Labels, config.Data)...)
	}
	matcher := redact.New(u.known)
	if len(matcher.Find(append(slices.Clone(data), u.known[0].Value.Reveal()...))) != 1 {
		t.Error("the canary was not found, or more than it")
	}
	for _, hit := range matcher.Find(data) {
		t.Errorf("%s (%s) is in a label or a config", hit.Name, hit.Encoding)
	}
}

// life goes from the first version to the second, and asks about them.
func (u *swarmUser) life(t *testing.T, image string) {
	u.run(t, 3, "secrets:toSwarm", "-from=prod").says(t, "there is no project's key")
	u.run(t, 0, "secrets:init")
	u.run(t, 7, "secrets:diff", "-from=prod").says(t, "onlyHere", "2 versions are to be made")
	u.run(t, 0, "secrets:toSwarm", "-from=prod", "-dryRun").says(t, "environment  production", "would be created")
	if names := u.names(t, "shop_"); len(names) > 0 {
		t.Fatalf("a dry run made %q", names)
	}
	u.run(t, 0, "secrets:toSwarm", "-from=prod", "-reason=the first ones").says(t, "shop_LOGIN.v1", "shop_TOKEN.v1")
	u.run(t, 0, "secrets:toSwarm", "-from=prod").says(t, "unchanged")
	u.run(t, 0, "secrets:diff", "-from=prod").says(t, "same")

	spec, err := docker.ParseServiceSpec(fmt.Appendf(nil, `{"Name":"shop_api","Labels":{"io.keepmum.stack":"shop"},"TaskTemplate":{"ContainerSpec":{"Image":%q,"Args":["linger"],"Env":["CANARY=nothing"],
		"Secrets":[{"SecretID":%q,"SecretName":"shop_TOKEN.v1","File":{"Name":"TOKEN","UID":"0","GID":"0","Mode":292}}]}}}`, image, u.id(t, "shop_TOKEN.v1")))
	if err != nil {
		t.Fatal(err)
	}
	service, _, err := u.CreateService(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := u.RemoveService(t.Context(), service); err != nil {
			t.Error(err)
		}
	}()
	poll(t, dindTimeout, "a running task", func() bool {
		tasks, err := u.Tasks(t.Context(), service)
		return err == nil && slices.ContainsFunc(tasks, func(task docker.Task) bool { return task.State == "running" })
	})
	u.renew(t, "TOKEN")
	u.run(t, 7, "secrets:diff", "-from=prod").says(t, "changed", "same", "1 version is to be made")
	u.run(t, 0, "secrets:toSwarm", "-from=prod", "-reason=audit 7").says(t, "shop_TOKEN.v2", "updated")
	if names := u.names(t, "shop_"); !slices.Equal(names, []string{"shop_LOGIN.v1", "shop_TOKEN.v1", "shop_TOKEN.v2"}) {
		t.Errorf("secrets: %q", names)
	}
	var where versions.WhereResult
	if err := json.Unmarshal([]byte(u.run(t, 0, "secrets:where", "TOKEN", "-json").out), &where); err != nil {
		t.Fatal(err)
	}
	if uses := where.Uses; len(uses) != 2 || uses[0].Version != "shop_TOKEN.v2" || uses[0].Service != "" || uses[1].Service != "shop_api" || uses[1].Stack != "shop" || uses[1].Running != 1 || len(uses[1].Nodes) != 1 || uses[1].Nodes[0] == "" {
		t.Errorf("%+v", uses)
	}
	u.run(t, 0, "secrets:whereService", "api").says(t, "shop_TOKEN.v1", "shop_TOKEN.v2", "0:0 0444")
	u.run(t, 3, "secrets:whereService", "web").says(t, "no service web", "name one of api")
	u.run(t, 0, "secrets:history", "TOKEN").says(t, "audit 7", "the first ones", "shop_api", "production")
	u.run(t, 0, "secrets:age").says(t, "90d", "shop_LOGIN.v1", "ok")
	u.run(t, 3, "secrets:toSwarm", "-from=prod", "-environment=staging")
	u.write(t, "prod/.environment", "staging\n")
	u.run(t, 3, "secrets:toSwarm", "-from=prod").says(t, "is of staging, and the versions of stack shop are of production")
	u.write(t, "prod/.environment", "production\n")
	key := filepath.Join(u.dir, ".keepmum", "key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	u.run(t, 3, "secrets:toSwarm", "-from=prod").says(t, "unknown")
	u.run(t, 3, "secrets:diff", "-from=prod").says(t, "unknown")
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
}

// twoAtOnce starts two commands that want to make the same version.
func (u *swarmUser) twoAtOnce(t *testing.T) {
	u.renew(t, "LOGIN")
	before := len(u.names(t, "shop_LOGIN"))
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { u.run(t, 0, "secrets:toSwarm", "-from=prod", "-timeout=2m") })
	}
	both.Wait()
	if after := u.names(t, "shop_LOGIN"); len(after) != before+1 {
		t.Errorf("two commands made %q", after)
	}
}

// many makes 200 versions. How long that takes is measured by BenchmarkSecrets in
// integration/swarm.
func (u *swarmUser) many(t *testing.T) {
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("S%03d", i)
	}
	u.project(t, names...)
	u.run(t, 0, "secrets:toSwarm", "-from=prod", "-stack=many")
	if made := u.names(t, "many_"); len(made) != 200 {
		t.Errorf("%d versions", len(made))
	}
}

// killed kills a command in the middle and runs it again.
func (u *swarmUser) killed(t *testing.T) {
	cmd, _, _ := u.command(t, "secrets:toSwarm", "-from=prod", "-stack=killed")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	poll(t, dindTimeout, "some versions", func() bool { return len(u.names(t, "killed_")) > 5 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	left := len(u.names(t, "killed_"))
	if left >= 200 {
		t.Fatal("it was killed too late")
	}
	began := time.Now()
	again := u.run(t, 0, "secrets:toSwarm", "-from=prod", "-stack=killed", "-json")
	again.says(t, "stack killed is locked by", "was taken over from")
	if after := time.Since(began); after < 29*time.Second {
		t.Errorf("it waited %s for the lock of a dead command", after)
	}
	var result versions.ToSwarmResult
	if err := json.Unmarshal([]byte(again.out), &result); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, row := range result.Secrets {
		if row.Change == "created" {
			made++
		}
	}
	// One more may have been under way when the command was killed.
	if all := u.names(t, "killed_"); len(all) != 200 || made > 200-left || made < 200-left-1 {
		t.Errorf("%d versions, %d of them made by the second run, %d were there", len(all), made, left)
	}
	t.Logf("killed after %d of 200 versions; the second run made %d, after %s", left, made, time.Since(began).Round(time.Second))
}
