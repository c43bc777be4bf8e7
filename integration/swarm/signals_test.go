//go:build swarm && linux

package swarm

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepmum/keepmum/integration/swarmlab"
)

// stopTime is how long keepmum may take to end after SIGINT or SIGTERM.
const stopTime = 3 * time.Second

// creation and updating are the lines with which keepmum begins each step of a
// first deployment and of an update of everything; NAME is the stack's name.
var (
	creation = []string{"create network NAME_inner", "create service NAME_db", "create service NAME_setup", "create service NAME_api"}
	updating = []string{"update service NAME_db", "update service NAME_setup", "update service NAME_api"}
)

// everything changes every service to a version of that number.
func (s *stage) everything(number int) {
	s.Helper()
	s.text = regexp.MustCompile(`(SERVE_VERSION|STEP): "\d+"`).ReplaceAllString(s.text, fmt.Sprintf(`$1: "%d"`, number))
	s.put("docker-compose.swarm.yml", s.text)
}

// stopped stops a deployment by a signal right after a step began, and checks how
// it ended. It returns whether the step was there to be reached: a step that an
// earlier run did is not done again.
func (s *stage) stopped(signal syscall.Signal, step string) (r said, reached bool) {
	s.Helper()
	running := s.start("deploy:swarm", "-allowOutage")
	if reached = running.reaches(s.unname(step)); !reached {
		r = running.end()
		r.is(s, 0)
		return r, false
	}
	sent := time.Now()
	running.signal(signal)
	r = running.end()
	if signal == syscall.SIGKILL {
		if r.code != -1 {
			s.Fatalf("SIGKILL came too late: %s", r)
		}
		if !s.look().lock {
			s.Errorf("after SIGKILL there is no lock: %s", r)
		}
		return r, true
	}
	r.is(s, 130, "stopped; nothing was put back; so far: ", "next: the same command goes on, mage deploy:rollback "+s.stack+" undoes it")
	if took := time.Since(sent); took > stopTime {
		s.Errorf("it took %.1f s to end after the signal: %s", took.Seconds(), r)
	}
	if s.look().lock {
		s.Errorf("the lock is still there: %s", r)
	}
	return r, true
}

// unname puts the stack's name into words of a table.
func (s *stage) unname(text string) string { return strings.ReplaceAll(text, "NAME", s.stack) }

// reaches waits until keepmum has said a line that begins so, or has ended.
func (r *running) reaches(line string) bool {
	r.stage.Helper()
	for {
		if strings.Contains("\n"+r.talk(), "\n"+line) {
			return true
		}
		select {
		case <-r.wrote:
		case <-r.ended:
			return strings.Contains("\n"+r.talk(), "\n"+line)
		}
	}
}

// onward runs the deployment again after it was stopped, and requires that
// everything runs and that another run changes nothing.
func (s *stage) onward(signal syscall.Signal) time.Duration {
	s.Helper()
	r := s.must(0, "deploy:swarm", "-allowOutage")
	if signal == syscall.SIGKILL {
		r.is(s, 0, "did not move for 30s and was taken over from ")
	}
	s.unlocked()
	s.well(time.Now())
	return r.took
}

// undone stops an update, and goes back by deploy:rollback: all services have
// then the specifications that they had before.
func (s *stage) undone(signal syscall.Signal, step string, number int) {
	s.Helper()
	before := s.look()
	s.everything(number)
	if _, reached := s.stopped(signal, step); !reached {
		s.Fatalf("%q was not reached", step)
	}
	if before.differs(s.look(), false) == "" {
		s.Error("nothing was changed: there is nothing to undo")
	}
	s.must(0, "deploy:rollback", s.stack)
	s.as(before, false)
	s.well(time.Now())
	s.must(0, "deploy:status")
}

// interruption is the stage of a signal: it stops a first deployment after each
// step and goes on, then an update, and goes back from another.
type interruption struct {
	signal         syscall.Signal
	create, update bool
}

func (i interruption) test(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.prepared()
	var last said
	stops := 0
	stop := func(steps []string) (took time.Duration) { // each run goes on where the one before was stopped
		for _, step := range steps {
			r, reached := s.stopped(i.signal, step)
			if !reached {
				t.Errorf("%q was not reached: %s", step, r)
			}
			stops, last = stops+1, r
		}
		return s.onward(i.signal)
	}
	var took time.Duration
	if i.create {
		took = stop(creation)
	} else {
		s.must(0, "deploy:swarm")
	}
	if i.update {
		s.everything(2)
		took = stop(updating)
		s.undone(i.signal, updating[1], 3)
	}
	s.must(0, "deploy:swarm", "-allowOutage")
	s.must(0, "deploy:swarm", "-allowOutage").is(s, 0, "nothing to change")
	s.silent(true)
	after := "some services as before, some as in the file; nothing was put back; the lock stays, and the next command takes it over after 30 s"
	code := "killed"
	if i.signal != syscall.SIGKILL {
		after, code = "some services as before, some as in the file; nothing was put back; no lock", "130"
	}
	led := fmt.Sprintf("the same command each of %d times, and at the end `mage deploy:swarm` (0, %s s)", stops, seconds(took))
	if i.update {
		led += "; `mage deploy:rollback NAME` (0): every specification as before"
	}
	one := s.row(last, after, took, led)
	one.code, one.ended = code, 0
	if one.ended == 0 && i.signal != syscall.SIGKILL {
		one.ended = stopTime // at most
	}
	if i.signal == syscall.SIGKILL {
		one.said = "nothing; the next command: the lock of stack NAME did not move for 30s and was taken over"
	}
	return one
}

// interruptedWaiting is stopped while the lock is somebody else's.
func interruptedWaiting(t *testing.T, lab *swarmlab.Lab, name string) row {
	s := newStage(t, lab, name)
	s.deployed()
	s.everything(2)
	first := s.start("deploy:swarm", "-allowOutage")
	first.until("update service " + s.stack + "_db")
	second := s.start("deploy:swarm", "-allowOutage")
	second.until("stack " + s.stack + " is locked by ")
	sent := time.Now()
	second.signal(syscall.SIGINT)
	r := second.end()
	if took := time.Since(sent); took > stopTime {
		t.Errorf("it took %.1f s to end after the signal: %s", took.Seconds(), r)
	}
	r.is(s, 130, "is locked by", "nothing was changed")
	first.end().is(s, 0, "deployed")
	led := s.must(0, "deploy:swarm")
	led.is(s, 0, "nothing to change")
	s.unlocked()
	s.silent(true)
	return s.row(r, "the other deployment went on and kept its lock until its end", 0, fmt.Sprintf("%s: `mage deploy:swarm` (%d)", r.next(), led.code))
}
