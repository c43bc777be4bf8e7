package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

const socket = "unix:///var/run/docker.sock"

// fakeEngine is an engine that answers, or fails at its first question.
type fakeEngine struct {
	info   docker.Info
	at     docker.Endpoint
	err    error
	delay  time.Duration // until it answers
	closed *int
}

func (e fakeEngine) Info(context.Context) (docker.Info, error) {
	if e.delay > 0 {
		<-time.After(e.delay)
	}
	return e.info, e.err
}
func (e fakeEngine) Endpoint() docker.Endpoint { return e.at }
func (e fakeEngine) Close() error {
	if e.closed != nil {
		*e.closed++
	}
	return nil
}

// fakeMachine records the steps that are run on it.
type fakeMachine struct {
	facts  Facts
	plan   Plan
	ran    []string
	fail   map[string]error // by command line
	block  string           // a command that ends with its context
	ended  error            // of the first daemon
	onRun  func(step Step)
	disk   uint64
	noDisk error
	looked string // path whose space was asked for
}

func (m *fakeMachine) Look(context.Context) Facts { return m.facts }
func (m *fakeMachine) Plan(Facts) Plan            { return m.plan }
func (m *fakeMachine) Ended() error               { return m.ended }
func (m *fakeMachine) FreeDisk(path string) (uint64, error) {
	m.looked = path
	return m.disk, m.noDisk
}

// Run takes a second.
func (m *fakeMachine) Run(ctx context.Context, step Step, talk fault.Progress) error {
	m.ran = append(m.ran, step.String())
	talk.Say("  output of %s", step.Args[0])
	if m.onRun != nil {
		m.onRun(step)
	}
	if m.block == step.String() {
		<-ctx.Done()
		return ctx.Err()
	}
	<-time.After(time.Second)
	return m.fail[step.String()]
}

// recorder keeps the progress.
type recorder struct{ lines []string }

func (r *recorder) Say(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) text() string { return strings.Join(r.lines, "|") }

// failure is an error as the engine's adapter makes it.
func failure(cause docker.Cause, host, source string) error {
	at := docker.Endpoint{Host: host, Source: source, Remote: strings.HasPrefix(host, "tcp")}
	return &fault.Error{Code: fault.NoEngine, What: "no engine: " + string(cause), Next: "the way out of " + string(cause),
		Cause: &docker.Failure{Cause: cause, Endpoint: at, Detail: "d"}}
}

// answering is a Connect to an engine that answers.
func answering(e fakeEngine) func(context.Context) (Engine, error) {
	return func(context.Context) (Engine, error) { return e, nil }
}

// refusing is a Connect that fails.
func refusing(err error) func(context.Context) (Engine, error) {
	return func(context.Context) (Engine, error) { return nil, err }
}

func TestNew_ZeroValuesMeanSomething(t *testing.T) {
	h := New(Config{})
	if _, ok := h.LookupEnv("HTTP_PROXY"); ok {
		t.Error("a variable is set")
	}
	h.Progress.Say("nothing")
}

func TestStep_IsALineForAShell(t *testing.T) {
	for want, s := range map[string]Step{
		"apt-get -y install a":            {Args: []string{"apt-get", "-y", "install", "a"}},
		`echo 'it'\''s' '' '$x'`:          {Args: []string{"echo", "it's", "", "$x"}},
		"setsid d </dev/null >>/l 2>&1 &": {Args: []string{"d"}, Background: true, Log: "/l"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestFirstLine_LeavesFindingsOut(t *testing.T) {
	if got := firstLine(errors.New("one\ntwo")); got != "one" {
		t.Errorf("%q", got)
	}
}
