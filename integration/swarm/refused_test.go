//go:build swarm && linux

package swarm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/keepmum/keepmum/integration/swarmlab"
	"github.com/keepmum/keepmum/internal/docker"
)

// notAManager is a stage on an engine that is no manager of a Swarm.
func notAManager(node int, words, next string) func(*testing.T, *swarmlab.Lab, string) row {
	return func(t *testing.T, lab *swarmlab.Lab, name string) row {
		s := newStage(t, lab, name)
		s.prepared()
		s.host = lab.Node(node).Host()
		for _, args := range [][]string{{"secrets:toSwarm", "-from=prod"}, {"deploy:plan"}, {"deploy:status", "-stack=" + s.stack}, {"deploy:rollback", s.stack}, {"deploy:remove", s.stack}} {
			s.must(4, args...).is(s, 4, words)
		}
		r := s.must(4, "deploy:swarm")
		r.is(s, 4, words)
		if !strings.Contains(r.next(), next) {
			s.Errorf("the next command is %q", r.next())
		}
		s.host = lab.Node(1).Host() // what it advised
		led := s.must(0, "deploy:swarm")
		s.silent(true)
		return s.row(r, "nothing was changed", 0, fmt.Sprintf("`%s`; with a manager `mage deploy:swarm` (%d)", r.next(), led.code))
	}
}

// refusal is a stage whose change is refused: the parts of the stack file that
// make it, words of the refusal and of the next command, and what leads on.
type refusal struct {
	parts []string
	words []string
	next  string
	leads func(s *stage, r said, whole string) string
}

func (f refusal) test(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	whole, before := s.text, s.look()
	s.file(f.parts...)
	s.refused(s.run("deploy:plan"), 3, before, f.words...)
	s.refused(s.run("deploy:swarm", "-allowOutage"), 3, before, f.words...)
	r := s.run("deploy:swarm")
	s.refused(r, 3, before, append(f.words, "docker-compose.swarm.yml:", "nothing was changed")...)
	if !strings.Contains(r.next(), f.next) {
		s.Errorf("the next command is %q, want %q", r.next(), f.next)
	}
	led := "`" + s.words(r.next()) + "`; "
	if f.leads != nil {
		led += f.leads(s, r, whole)
	} else {
		led += s.repaired(whole)
	}
	s.silent(true)
	return s.row(r, unchanged, 0, led)
}

// shell runs the command that keepmum named, with docker for this stage's node.
func (s *stage) shell(line string) {
	s.Helper()
	ctx, cancel := s.context()
	defer cancel()
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = []string{"DOCKER_HOST=" + s.node.Host(), "PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// labelled does what the next command says with a node of the lab, and deploys.
func labelled(s *stage, r said, _ string) string {
	s.shell(strings.ReplaceAll(r.next(), "NODE", "n3"))
	got := s.must(0, "deploy:swarm")
	s.unlocked()
	return fmt.Sprintf("with n3 for NODE; `mage deploy:swarm` (%d)", got.code)
}

func outage(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	before := s.look()
	s.file(dbStart, `SERVE_VERSION: "2"}`+dbLogin)
	s.must(7, "deploy:plan")
	r := s.run("deploy:swarm")
	s.refused(r, 3, before, s.stack+"_db: cannot be updated without an outage: 1 replica, stop-first")
	if r.next() != "the same command with -allowOutage" {
		s.Errorf("the next command is %q", r.next())
	}
	led := s.must(0, "deploy:swarm", "-allowOutage")
	s.well(s.begun)
	s.silent(true)
	return s.row(r, unchanged, 0, fmt.Sprintf("`mage deploy:swarm -allowOutage` (%d)", led.code))
}

func foreignStack(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.prepared()
	rendered := s.must(0, "deploy:render")
	s.put("rendered.yml", rendered.stdout)
	s.shell("docker stack deploy --resolve-image never -c rendered.yml " + s.stack)
	s.well(s.begun)
	before := s.look()
	s.file(apiStart, strings.Replace(apiStart, `"1"`, `"2"`, 1))
	s.refused(s.run("deploy:plan"), 3, before, "keepmum did not deploy it")
	s.refused(s.run("deploy:rollback", s.stack), 3, before, "keepmum did not deploy")
	s.refused(s.run("deploy:remove", s.stack), 3, before, "keepmum did not deploy")
	r := s.run("deploy:swarm")
	s.refused(r, 3, before, s.stack+"_api: belongs to the stack "+s.stack+", but keepmum did not deploy it")
	led := s.follow(r, 7, 0)
	if db := s.look().running["db"]; !slices.Equal(db, before.running["db"]) {
		t.Errorf("db, of which only a label changes, has other tasks: %v, %v", before.running["db"], db)
	}
	s.well(s.begun)
	s.must(0, "deploy:swarm").is(s, 0, "nothing to change")
	s.silent(true)
	return s.row(r, unchanged, 0, led+"; what only gets a label goes on running")
}

func versionMissing(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.prepared()
	s.shell("docker secret rm " + s.stack + "_TOKEN.v1")
	before := s.look()
	s.must(3, "deploy:plan")
	r := s.run("deploy:swarm")
	s.refused(r, 3, before, "TOKEN: has no version in the Swarm")
	if r.next() != "mage secrets:toSwarm -from=DIR" {
		s.Errorf("the next command is %q", r.next())
	}
	made := s.must(0, "secrets:toSwarm", "-from=prod")
	led := s.must(0, "deploy:swarm")
	s.silent(true)
	return s.row(r, unchanged, 0, fmt.Sprintf("`mage secrets:toSwarm -from=prod` (%d), `mage deploy:swarm` (%d)", made.code, led.code))
}

func longName(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	long := strings.Repeat("N", 65-len(s.stack)-len("_.v1"))
	for _, file := range []string{"docker-compose.yml", "docker-compose.swarm.yml"} {
		text, err := os.ReadFile(s.path(file))
		if err != nil {
			t.Fatal(err)
		}
		s.put(file, strings.ReplaceAll(string(text), "TOKEN", long))
	}
	s.put("prod/"+long, string(s.values["TOKEN"]))
	if err := os.Remove(s.path("prod/TOKEN")); err != nil {
		t.Fatal(err)
	}
	s.must(0, "secrets:init")
	before := s.look()
	r := s.run("secrets:toSwarm", "-from=prod")
	s.refused(r, 3, before, long+": ", "64")
	short := long[1:]
	for _, file := range []string{"docker-compose.yml", "docker-compose.swarm.yml"} {
		text, err := os.ReadFile(s.path(file))
		if err != nil {
			t.Fatal(err)
		}
		s.put(file, strings.ReplaceAll(string(text), long, short))
	}
	s.put("prod/"+short, string(s.values["TOKEN"]))
	if err := os.Remove(s.path("prod/" + long)); err != nil {
		t.Fatal(err)
	}
	made := s.must(0, "secrets:toSwarm", "-from=prod")
	if got := s.look().versions; len(got) != 2 || len(got[1]) != 64 {
		t.Errorf("versions %q", got)
	}
	led := s.must(0, "deploy:swarm")
	s.silent(true)
	return s.row(said{args: r.args, code: r.code, stderr: strings.ReplaceAll(r.stderr, long, "N…"), took: r.took}, unchanged, 0, fmt.Sprintf("one character less: `mage secrets:toSwarm -from=prod` (%d), `mage deploy:swarm` (%d)", made.code, led.code))
}

func sizes(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.must(0, "secrets:init")
	random := bytes.Repeat(s.values["TOKEN"], 512_000/len(s.values["TOKEN"])+1)
	s.put("prod/LOGIN", "")
	s.put("prod/TOKEN", string(random[:512_000]))
	before := s.look()
	r := s.run("secrets:toSwarm", "-from=prod")
	s.refused(r, 3, before, "LOGIN: ", "TOKEN: ")
	s.put("prod/LOGIN", string(s.values["LOGIN"]))
	s.put("prod/TOKEN", string(random[:511_999]))
	made := s.must(0, "secrets:toSwarm", "-from=prod")
	led := s.must(0, "deploy:swarm")
	s.must(0, "secrets:diff", "-from=prod")
	s.silent(true)
	return s.row(r, unchanged, 0, fmt.Sprintf("511,999 bytes: `mage secrets:toSwarm -from=prod` (%d), `mage deploy:swarm` (%d), `mage secrets:diff -from=prod` (0)", made.code, led.code))
}

// relay joins the connections of a port of this machine to the stage's engine. Its
// address is not one of loopback, over which values may go.
func (s *stage) relay() (address string) {
	s.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				inner, err := net.Dial("unix", strings.TrimPrefix(s.node.Host(), "unix://"))
				if err != nil {
					return
				}
				defer inner.Close()
				go func() {
					defer inner.Close()
					_, _ = io.Copy(inner, conn)
				}()
				_, _ = io.Copy(conn, inner)
			}()
		}
	}()
	return fmt.Sprintf("0.0.0.0:%d", listener.Addr().(*net.TCPAddr).Port)
}

func plainTCP(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.must(0, "secrets:init")
	before := s.look()
	address := s.relay()
	s.host = "tcp://" + address
	r := s.run("secrets:toSwarm", "-from=prod")
	s.refused(r, 4, before, "is reached by TCP without TLS: everybody on the way could read the values")
	next := r.next()
	s.host = s.node.Host()
	made := s.must(0, "secrets:toSwarm", "-from=prod")
	s.silent(true)
	return s.row(said{args: r.args, code: r.code, stderr: strings.ReplaceAll(r.stderr, address, "HOST:2375"), took: r.took}, unchanged, 0, fmt.Sprintf("`%s`; by the socket `mage secrets:toSwarm -from=prod` (%d)", next, made.code))
}

func versionInUse(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.flat()
	s.deployed()
	s.values["TOKEN.new"] = []byte("token-2-" + string(s.values["TOKEN"][6:]))
	s.put("prod/TOKEN", string(s.values["TOKEN.new"]))
	s.must(0, "secrets:toSwarm", "-from=prod")
	before := s.look()
	refusals := 0
	s.poll("v1 to be refused", func(ctx context.Context) error {
		all, err := s.node.Client().SecretList(ctx, swarmapi.SecretListOptions{})
		if err != nil {
			return err
		}
		for _, one := range all {
			if one.Spec.Name != s.stack+"_TOKEN.v1" {
				continue
			}
			if err := s.node.Client().SecretRemove(ctx, one.ID); err == nil || !strings.Contains(err.Error(), "in use") {
				return fmt.Errorf("not refused: %w", err)
			}
			refusals++
		}
		return nil
	})
	if refusals != 1 {
		t.Fatalf("%d refusals", refusals)
	}
	s.as(before, true)
	s.shell("docker secret rm " + s.stack + "_TOKEN.v2") // which nobody uses yet
	r := s.must(0, "deploy:swarm")
	r.is(s, 0, "nothing to change", s.stack+"_TOKEN.v1")
	made := s.must(0, "secrets:toSwarm", "-from=prod")
	led := s.must(0, "deploy:swarm", "-allowOutage")
	s.well(s.begun)
	if got := s.service("api").Spec.Labels[docker.LabelStack]; got != s.stack {
		t.Errorf("the label of the stack is %q", got)
	}
	s.silent(true)
	one := s.row(r, "the Swarm refuses to remove a version in use; after v2, which no service used, was removed, services go on with v1", 0, fmt.Sprintf("`mage secrets:toSwarm -from=prod` (%d), `mage deploy:swarm` (%d)", made.code, led.code))
	one.said = "nothing to change"
	return one
}
