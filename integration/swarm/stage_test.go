//go:build swarm && linux

package swarm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/integration/swarmlab"
)

// commandTime is how long one run of keepmum may take at most.
const commandTime = 5 * time.Minute

// stackFile is the stack of a stage: a single service, a job that needs it, and a
// service of two replicas that needs the job. Stage.file replaces parts of it.
const stackFile = `x-health: &health
  healthcheck: {test: [CMD, /helper, health], interval: 1s, timeout: 5s, retries: 3, start_period: 4s}
services:
  db:
    <<: *health
    image: keepmum-lab/helper:1
    command: [serve]
    environment: {SERVE_VERSION: "1"}
    secrets: [LOGIN]
    networks: [inner]
    deploy:
      endpoint_mode: dnsrr
      replicas: 1
      restart_policy: {condition: any, delay: 500ms}
      update_config: {order: stop-first, monitor: 2s, failure_action: rollback}
      rollback_config: {order: stop-first, monitor: 2s}
      resources: {limits: {memory: 64M}}
  setup:
    image: keepmum-lab/helper:1
    command: [serve]
    environment: {SERVE_CRASH_AFTER: 1ms, SERVE_EXIT_CODE: "0", STEP: "1"}
    secrets: [LOGIN]
    networks: [inner]
    depends_on: [db]
    deploy:
      endpoint_mode: dnsrr
      mode: replicated-job
      replicas: 1
      restart_policy: {condition: on-failure, delay: 500ms, max_attempts: 2}
      resources: {limits: {memory: 64M}}
  api:
    <<: *health
    image: keepmum-lab/helper:1
    command: [serve]
    environment: {SERVE_VERSION: "1"}
    secrets: [TOKEN, LOGIN]
    networks: [inner]
    depends_on: [setup]
    deploy:
      endpoint_mode: dnsrr
      replicas: 2
      restart_policy: {condition: any, delay: 500ms}
      update_config: {order: start-first, parallelism: 1, monitor: 2s, failure_action: rollback}
      rollback_config: {order: start-first, parallelism: 1, monitor: 2s}
      resources: {limits: {memory: 64M}}
secrets:
  TOKEN: {external: true}
  LOGIN: {external: true}
networks:
  inner: {driver: overlay}
`

// projectFile is the manifest: the secrets and their rules.
const projectFile = `name: NAME
services:
  db: {image: keepmum-lab/helper:1, secrets: [LOGIN]}
  setup: {image: keepmum-lab/helper:1, secrets: [LOGIN]}
  api: {image: keepmum-lab/helper:1, secrets: [TOKEN, LOGIN]}
secrets:
  TOKEN: {file: ./secrets/TOKEN}
  LOGIN: {file: ./secrets/LOGIN}
`

// Parts of the stack file that stages replace.
const (
	apiStart   = "SERVE_VERSION: \"1\"}\n    secrets: [TOKEN, LOGIN]"
	apiLogin   = "\n    secrets: [TOKEN, LOGIN]"
	dbStart    = "SERVE_VERSION: \"1\"}\n    secrets: [LOGIN]\n    networks"
	dbLogin    = "\n    secrets: [LOGIN]\n    networks"
	apiDeploy  = "      endpoint_mode: dnsrr\n      replicas: 2\n"
	setupStep  = `STEP: "1"`
	setupEnd   = `SERVE_EXIT_CODE: "0"`
	helper     = "    image: keepmum-lab/helper:1\n"
	apiWaits   = "    depends_on: [setup]\n"
	setupWaits = "    depends_on: [db]\n"
)

// stage is a project with one stack, on a Swarm.
type stage struct {
	testing.TB
	lab    *swarmlab.Lab
	node   *swarmlab.Node // whose engine keepmum is connected to
	host   string         // DOCKER_HOST
	dir    string
	stack  string
	text   string // the stack file, as it was written last
	values map[string][]byte
	env    []string // more of the environment of keepmum
	begun  time.Time
	locked bool // a run that was stopped could not give the lock back, and said so

	mu     sync.Mutex
	output bytes.Buffer // of all runs
}

// newStage makes the project of a situation with a stack file and values. Its
// services are removed at the end.
func newStage(t testing.TB, lab *swarmlab.Lab, name string) *stage {
	s := &stage{TB: t, lab: lab, node: lab.Node(1), dir: t.TempDir(), stack: "on-" + strings.ReplaceAll(name, "_", "-"), begun: time.Now()}
	s.host = s.node.Host()
	s.values = map[string][]byte{"TOKEN": []byte("token-" + rand.Text()), "LOGIN": []byte("login-" + rand.Text())}
	s.text = stackFile
	s.put("docker-compose.yml", strings.ReplaceAll(projectFile, "NAME", s.stack))
	s.put("docker-compose.swarm.yml", s.text)
	s.put("prod/.environment", "production\n")
	s.put(".keepmum/key", "")
	if err := os.Remove(s.path(".keepmum/key")); err != nil {
		t.Fatal(err)
	}
	for name, value := range s.values {
		s.put("prod/"+name, string(value))
	}
	t.Cleanup(s.stop)
	return s
}

// stop removes the stack's services: containers of situations that are over would
// go on with their health checks.
func (s *stage) stop() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.TB.Context()), time.Minute)
	defer cancel()
	c := s.node.Client()
	services, err := c.ServiceList(ctx, swarmapi.ServiceListOptions{Filters: ofStack(s.stack)})
	for _, one := range services {
		if err == nil {
			err = c.ServiceRemove(ctx, one.ID)
		}
	}
	if err != nil {
		s.Logf("the stack %s goes on running: %v", s.stack, err)
	}
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// put writes a file of the project.
func (s *stage) put(name, text string) {
	s.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(s.path(name)), 0o700), os.WriteFile(s.path(name), []byte(text), 0o600))
	if err != nil {
		s.Fatal(err)
	}
}

// file writes the stack file with parts replaced: what, by what.
func (s *stage) file(parts ...string) {
	s.Helper()
	for i := 0; i < len(parts); i += 2 {
		if strings.Count(s.text, parts[i]) == 0 {
			s.Fatalf("the stack file has no %q:\n%s", parts[i], s.text)
		}
		s.text = strings.ReplaceAll(s.text, parts[i], parts[i+1])
	}
	s.put("docker-compose.swarm.yml", s.text)
}

// flat writes a stack file whose services do not wait for each other.
func (s *stage) flat() {
	s.Helper()
	s.file(apiWaits, "", setupWaits, "")
}

// said is how one run of keepmum ended.
type said struct {
	args   []string
	code   int // -1: by a signal
	stdout string
	stderr string
	took   time.Duration
}

func (r said) String() string {
	return fmt.Sprintf("keepmum %s: %d after %.1f s\n%s%s", strings.Join(r.args, " "), r.code, r.took.Seconds(), r.stdout, r.stderr)
}

// running is keepmum while it runs.
type running struct {
	stage  *stage
	cmd    *exec.Cmd
	args   []string
	begun  time.Time
	limit  *time.Timer
	stdout bytes.Buffer

	mu     sync.Mutex
	stderr bytes.Buffer
	wrote  chan struct{} // one for each write to stderr, if somebody waits
	ended  chan struct{}
}

// Write takes what keepmum writes to standard error.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.wrote <- struct{}{}:
	default:
	}
	return r.stderr.Write(p)
}

func (r *running) talk() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// start runs keepmum in the project, with nothing but DOCKER_HOST and the stage's
// own variables in its environment.
func (s *stage) start(args ...string) *running {
	s.Helper()
	r := &running{stage: s, args: args, begun: time.Now(), wrote: make(chan struct{}, 1), ended: make(chan struct{})}
	r.cmd = exec.Command(keepmum, args...)
	r.cmd.Dir, r.cmd.Env = s.dir, []string{"DOCKER_HOST=" + s.host, "DOCKER_CONFIG=" + s.path("no-docker-config"), "HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	r.cmd.Env = append(r.cmd.Env, s.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, r
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	r.limit = time.AfterFunc(commandTime, func() { _ = r.cmd.Process.Kill() })
	go func() {
		_ = r.cmd.Wait() // its state says how it ended
		close(r.ended)
	}()
	s.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// until waits until keepmum has said a line that begins so.
func (r *running) until(line string) {
	r.stage.Helper()
	pattern := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(line))
	for {
		if pattern.MatchString(r.talk()) {
			return
		}
		select {
		case <-r.wrote:
		case <-r.ended:
			if !pattern.MatchString(r.talk()) {
				r.stage.Fatalf("it has ended and has never said %q: %s", line, r.end())
			}
		}
	}
}

// signal sends a signal.
func (r *running) signal(signal syscall.Signal) {
	r.stage.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil {
		r.stage.Fatal(err)
	}
}

// end waits until keepmum has ended.
func (r *running) end() said {
	r.stage.Helper()
	<-r.ended
	if !r.limit.Stop() {
		r.stage.Errorf("keepmum %v did not end within %s and was killed: %s", r.args, commandTime, r.talk())
	}
	got := said{args: r.args, code: r.cmd.ProcessState.ExitCode(), stdout: r.stdout.String(), stderr: r.talk(), took: time.Since(r.begun)}
	r.stage.mu.Lock()
	defer r.stage.mu.Unlock()
	r.stage.output.WriteString(got.String())
	return got
}

// run runs keepmum to its end.
func (s *stage) run(args ...string) said {
	s.Helper()
	return s.start(args...).end()
}

// must runs keepmum and requires its exit code.
func (s *stage) must(code int, args ...string) said {
	s.Helper()
	r := s.run(args...)
	r.is(s, code)
	return r
}

// is requires an exit code, and that these words are in what was said.
func (r said) is(s *stage, code int, words ...string) {
	s.Helper()
	if r.code != code {
		s.Fatalf("the exit code is %d, want %d: %s", r.code, code, r)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr+r.stdout, w) {
			s.Fatalf("it does not say %q: %s", w, r)
		}
	}
}

// problem is what keepmum said is wrong: its error, with the findings, on one
// line; "" if it named none.
func (r said) problem() string {
	_, text, found := strings.Cut("\n"+r.stderr, "\nError: ")
	if !found {
		return ""
	}
	var parts []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "next: ") {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// next is the command that keepmum named.
func (r said) next() string {
	all := regexp.MustCompile(`(?m)^next: (.*)$`).FindAllStringSubmatch(r.stderr, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// commands are keepmum's own targets in a line that names the next command.
func commands(next string) [][]string {
	var all [][]string
	for _, found := range regexp.MustCompile(`mage ([a-z]+:[a-zA-Z]+(?: [A-Za-z0-9=./-]+)*)`).FindAllStringSubmatch(next, -1) {
		words := strings.Fields(found[1])
		if i := slices.IndexFunc(words, func(w string) bool { return w == "goes" || w == "undoes" || w == "with" }); i > 0 {
			words = words[:i]
		}
		all = append(all, words)
	}
	return all
}

// prepared makes the project's key and the first versions.
func (s *stage) prepared() {
	s.Helper()
	s.must(0, "secrets:init")
	s.must(0, "secrets:toSwarm", "-from=prod")
}

// deployed is prepared, and deploys the stack file.
func (s *stage) deployed() {
	s.Helper()
	s.prepared()
	s.must(0, "deploy:swarm")
}

// context is one for a call of the test itself.
func (s *stage) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.TB.Context(), time.Minute)
}
