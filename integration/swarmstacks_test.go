//go:build integration

package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"go.yaml.in/yaml/v4"
)

// stackFiles are other people's kinds of stack files, and the document that says
// what keepmum says of them.
const (
	stackFiles    = "../internal/docker/convert/testdata/stacks"
	stackDocument = "../docs/STACK_FILES.md"
	fewestStacks  = 10 // that really run
	shortStacks   = 1  // that run with -short, as in test:all
)

// TestSwarmStackFiles plans and renders each stack file by the binary, on a Swarm
// that has nothing of what they need, and then deploys those that are accepted
// with the helper's image, twice. With -short, which test:all gives, a few of them
// are deployed.
func TestSwarmStackFiles(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := newSmoke(t)
	s.project.env = append(s.project.env, "ACME_EMAIL=ops@example.org", "ADMIN_HASH=made-by-htpasswd")
	all := stackVerdicts(t)
	t.Run("say", func(t *testing.T) {
		for name, findings := range all {
			s.copyStack(t, name)
			s.judge(t, name, findings)
		}
	})
	s.furnish(t)
	ran := make(chan string, len(all))
	t.Run("run", func(t *testing.T) {
		for i, name := range slices.Sorted(maps.Keys(all)) {
			if all[name] != nil {
				continue
			}
			if testing.Short() && name != "postgres_app" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.runStack(t, name, i)
				ran <- name
			})
		}
	})
	if testing.Short() && len(ran) < shortStacks || !testing.Short() && len(ran) < fewestStacks {
		t.Errorf("only %d stack files were deployed", len(ran))
	}
	t.Logf("%d stack files were judged, %d of them deployed", len(all), len(ran))
}

// stackVerdicts reads the document: the findings of each file, by its name; nil if
// it is accepted.
func stackVerdicts(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(stackDocument)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| \[(\w+)\]\([^)]*\) \| .* \| (accepted|\*\*refused\*\*)(.*) \|$`).FindAllStringSubmatch(string(data), -1) {
		all[row[1]] = nil
		if row[2] != "accepted" {
			all[row[1]] = strings.Split(strings.TrimPrefix(row[3], "<br>"), "<br>")
		}
	}
	found, err := filepath.Glob(stackFiles + "/*.yml")
	if err != nil || len(found) != len(all) || len(all) < 15 {
		t.Fatalf("%d files, and %d rows of the document: %v", len(found), len(all), err)
	}
	return all
}

// copyStack puts a stack file into the project, and a file for each that it names.
func (s *smoke) copyStack(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(stackFiles, name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	s.project.write(name+".yml", string(data))
	var file struct {
		Configs map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, config := range file.Configs {
		if config.File == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(s.project.dir, filepath.Dir(config.File)), 0o700); err != nil {
			t.Fatal(err)
		}
		s.project.write(config.File, "text of "+config.File+"\n")
	}
	if env, err := os.ReadFile(filepath.Join(stackFiles, name+".env")); err == nil {
		s.project.write(name+".env", string(env))
	}
}

// foreignWords are what a user must not see: a panic, or an error that is not in
// keepmum's words.
var foreignWords = regexp.MustCompile(`panic|goroutine |runtime error|rpc error|<nil>|%!|json: |yaml: |unmarshal|\.go:\d`)

// judge requires what plan and render say of a file: the document's findings, or
// only what the Swarm lacks, with file and line.
func (s *smoke) judge(t *testing.T, name string, findings []string) {
	t.Helper()
	for _, target := range []string{"deploy:plan", "deploy:render"} {
		said := s.project.keepmum(t, "", target, "-file="+name+".yml", "-stack="+strings.ReplaceAll(name, "_", "-"))
		if said.code != 3 && (target == "deploy:plan" || said.code != 0 || findings != nil) { // render does not ask for images
			t.Errorf("%s of %s: exit code %d\n%s%s", target, name, said.code, said.stdout, said.stderr)
			continue
		}
		if foreignWords.MatchString(said.stderr) {
			t.Errorf("%s of %s: not in keepmum's words:\n%s", target, name, said.stderr)
		}
		for _, finding := range findings {
			line, rest, _ := strings.Cut(strings.TrimPrefix(finding, "line "), ", ")
			if strings.Contains(rest, "needs an engine with API") && !strings.Contains(said.stderr, "that a Swarm cannot honour") {
				continue // said when the rest is right: it depends on the engine
			}
			if want := name + ".yml:" + line + ": " + strings.ReplaceAll(rest, `\|`, "|"); !strings.Contains(said.stderr, want) {
				t.Errorf("%s of %s does not say %q:\n%s", target, name, want, said.stderr)
			}
		}
		for line := range strings.SplitSeq(said.stderr, "\n") {
			if finding, ok := strings.CutPrefix(line, "  "); ok && !strings.HasPrefix(finding, " ") && !strings.HasPrefix(finding, name+".yml:") {
				t.Errorf("%s of %s: a finding without file and line: %s", target, name, line)
			}
		}
	}
}

// furnish gives the Swarm what the stack files use of others: networks, a config,
// secrets.
func (s *smoke) furnish(t *testing.T) {
	t.Helper()
	for _, name := range []string{"edge", "edge-public"} {
		if _, err := s.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "overlay", Attachable: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ConfigCreate(t.Context(), swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "nginx_conf"}, Data: []byte("text\n")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"drone_rpc", "kc_db", "minio_user", "minio_password", "rs0.key-2024", "grafana_admin", "nextcloud_db",
		"db_password", "app_session_key_v3", "erlang.cookie", "domain.crt", "domain.key", "htpasswd", "mysql-password", "mysql-root-password"} {
		if _, err := s.SecretCreate(t.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: name}, Data: []byte("a value of others")}); err != nil {
			t.Fatal(err)
		}
	}
}

// runStack deploys a stack file with the helper's image, and again, which must
// change nothing. Then it removes it.
func (s *smoke) runStack(t *testing.T, name string, n int) {
	data, err := os.ReadFile(filepath.Join(stackFiles, name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	file := map[string]any{}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	s.substitute(file, n)
	if data, err = yaml.Marshal(file); err != nil {
		t.Fatal(err)
	}
	s.project.write("run-"+name+".yml", string(data))
	stack := strings.ReplaceAll(name, "_", "-")
	args := []string{"-file=run-" + name + ".yml", "-stack=" + stack}
	if said := s.project.keepmum(t, "", append([]string{"deploy:swarm", "-timeout=3m"}, args...)...); said.code != 0 {
		t.Fatalf("exit code %d\n%s%s\n%s", said.code, said.stdout, said.stderr, data)
	}
	if said := s.project.keepmum(t, "", append([]string{"deploy:plan"}, args...)...); said.code != 0 {
		t.Errorf("deployed, and there is something to change: exit code %d\n%s%s\n%s", said.code, said.stdout, said.stderr, data)
	}
	if said := s.project.keepmum(t, "", "deploy:remove", stack); said.code != 0 {
		t.Errorf("exit code %d\n%s", said.code, said.stderr)
	}
}

// substitute makes a stack file one that this Swarm can run: the helper's image,
// at most two replicas, and nothing that the machine lacks.
func (s *smoke) substitute(file map[string]any, n int) {
	for _, one := range mapping(file, "services") {
		service := one.(map[string]any)
		service["image"], service["command"] = s.helper, []any{"wait"}
		delete(service, "entrypoint")
		delete(service, "user")
		delete(service, "env_file")
		if service["init"] != nil {
			service["init"] = false // the engine has no docker-init
		}
		if service["ulimits"] != nil {
			service["ulimits"] = map[string]any{"nofile": map[string]any{"soft": 512, "hard": 1024}} // more is not allowed here
		}
		if check := mapping(service, "healthcheck"); check != nil {
			service["command"] = []any{"serve"}
			check["test"], check["interval"] = []any{"CMD", "/helper", "health"}, "1s"
		}
		if logging := mapping(service, "logging"); logging["driver"] == "journald" {
			logging["driver"] = "json-file"
		}
		s.substituteDeploy(service)
		list, _ := service["ports"].([]any)
		for i, port := range list {
			list[i] = shifted(port, n)
		}
		volumes, _ := service["volumes"].([]any)
		for i, volume := range volumes {
			if long, ok := volume.(map[string]any); ok {
				delete(long, "bind")
			} else if text := volume.(string); strings.HasPrefix(text, "/mnt/") || strings.HasPrefix(text, "/var/log:") {
				volumes[i] = "/tmp" + text[strings.Index(text, ":"):] // in the image of the engine there is nothing else
			}
		}
	}
	for _, one := range mapping(file, "volumes") {
		if volume, ok := one.(map[string]any); ok {
			delete(volume, "driver_opts")
		}
	}
}

// substituteDeploy changes where and how often a service runs.
func (s *smoke) substituteDeploy(service map[string]any) {
	deploy := mapping(service, "deploy")
	if deploy["mode"] == "replicated-job" {
		service["command"] = []any{"serve"}
		service["environment"] = map[string]any{"SERVE_CRASH_AFTER": "1ms", "SERVE_EXIT_CODE": "0"} // it ends
	}
	if placement := mapping(deploy, "placement"); placement != nil {
		constraints, _ := placement["constraints"].([]any)
		for i, one := range constraints {
			if !strings.Contains(one.(string), "platform") {
				constraints[i] = "node.role == manager"
			}
		}
		delete(placement, "max_replicas_per_node")
	}
	if replicas, ok := deploy["replicas"].(int); ok {
		deploy["replicas"] = min(replicas, 2)
	}
	for _, config := range []string{"update_config", "rollback_config"} {
		if update := mapping(deploy, config); update["monitor"] != nil {
			update["monitor"] = "1s"
		}
	}
	delete(mapping(mapping(deploy, "resources"), "reservations"), "generic_resources")
}

// mapping returns a mapping of a mapping; nil if there is none.
func mapping(of map[string]any, name string) map[string]any {
	found, _ := of[name].(map[string]any)
	return found
}

// shifted publishes a port at a number that no other stack has.
func shifted(port any, n int) any {
	free := func(published int) int { return 20000 + n*1000 + published%1000 }
	switch port := port.(type) {
	case map[string]any:
		if published, ok := port["published"].(int); ok {
			port["published"] = free(published)
		}
	case string:
		if before, target, both := strings.Cut(port, ":"); both {
			if published, err := strconv.Atoi(before); err == nil {
				return fmt.Sprintf("%d:%s", free(published), target)
			}
		}
	}
	return port
}
