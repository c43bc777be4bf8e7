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

// upEngine is an engine that answers.
type upEngine struct {
	info   docker.Info
	at     docker.Endpoint
	err    error
	closed *int
}

func (e upEngine) Info(context.Context) (docker.Info, error) { return e.info, e.err }
func (e upEngine) Endpoint() docker.Endpoint                 { return e.at }
func (e upEngine) Close() error {
	if e.closed != nil {
		*e.closed++
	}
	return nil
}

// upHost is a machine that notes what is run on it.
type upHost struct {
	facts Facts
	plan  Plan
	ran   []string
	fail  map[string]error // by command line
	block string           // a command that ends with its context
	ended error            // of the first daemon
	onRun func(step Step)
}

func (h *upHost) Look(context.Context) Facts { return h.facts }
func (h *upHost) Plan(Facts) Plan            { return h.plan }
func (h *upHost) Ended() error               { return h.ended }
func (h *upHost) Run(ctx context.Context, step Step, talk fault.Progress) error {
	h.ran = append(h.ran, step.String())
	talk.Say("  output of %s", step.Args[0])
	if h.onRun != nil {
		h.onRun(step)
	}
	if h.block == step.String() {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.fail[step.String()]
}

// upTalk collects what is said.
type upTalk struct{ lines []string }

func (t *upTalk) Say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func upStep(why string, args ...string) Step { return Step{Why: why, Args: args} }

// upFailure is what engine.Connect returns.
func upFailure(cause docker.Cause, host, source string) error {
	at := docker.Endpoint{Host: host, Source: source, Remote: strings.HasPrefix(host, "tcp")}
	return &fault.Error{Code: fault.NoEngine, What: "no engine: " + string(cause), Next: "the way out of " + string(cause),
		Cause: &docker.Failure{Cause: cause, Endpoint: at, Detail: "d"}}
}

// upCase is EngineUp on Debian, without an engine until one is started.
func upCase(cause docker.Cause) (*Up, *upHost, *upTalk) {
	host := &upHost{facts: Facts{OS: "linux", Root: true, Pretty: "Debian"}, plan: Plan{System: "Debian", Automatic: true,
		Install: []Step{upStep("read", "apt-get", "update"), upStep("install", "apt-get", "install", "docker.io")},
		Start:   []Step{upStep("start", "service", "docker", "start")}}}
	talk, running := &upTalk{}, 0
	host.onRun = func(s Step) {
		if s.Args[0] == "service" || s.Args[0] == "dockerd" {
			running = 3 // it answers the third time that it is asked
		}
	}
	return &Up{Host: host, Progress: talk, Install: true, Poll: time.Millisecond, Wait: 5 * time.Second,
		Connect: func(context.Context) (Engine, error) {
			if running == 1 {
				return upEngine{info: docker.Info{ServerVersion: "20.10"}, at: docker.Endpoint{Host: "unix:///var/run/docker.sock", Source: "default"}}, nil
			}
			if running > 1 {
				running--
			}
			return nil, upFailure(cause, "unix:///var/run/docker.sock", "default")
		}}, host, talk
}

func TestEngineUpDoesNothingWhenOneAnswers(t *testing.T) {
	closed := 0
	host := &upHost{}
	up := Up{Host: host, Progress: fault.Quiet{}, Install: true, Connect: func(context.Context) (Engine, error) {
		return upEngine{info: docker.Info{ServerVersion: "28.5"}, closed: &closed}, nil
	}}
	got, err := up.Run(t.Context())
	if err != nil || got.State != "answers" || got.Version != "28.5" || len(host.ran) != 0 || closed != 1 {
		t.Errorf("%+v %v, ran %v, closed %d times", got, err, host.ran, closed)
	}
}

func TestEngineUpInstalls(t *testing.T) {
	up, host, talk := upCase(docker.CauseAbsent)
	got, err := up.Run(t.Context())
	if err != nil || got.State != "installed" || got.Version != "20.10" || len(got.Steps) != 3 {
		t.Fatalf("%+v %v", got, err)
	}
	if ran := strings.Join(host.ran, "; "); ran != "apt-get update; apt-get install docker.io; service docker start" {
		t.Errorf("ran %s", ran)
	}
	if said := strings.Join(talk.lines, "|"); !strings.Contains(said, "read: apt-get update|  output of apt-get|install:") || !strings.HasSuffix(said, "waiting for the engine to answer") {
		t.Errorf("said %s", said)
	}
}

func TestEngineUpStartsWhatIsInstalled(t *testing.T) {
	for name, prepare := range map[string]func(*Up, *upHost){
		"the cause says so": func(*Up, *upHost) {},
		"the machine says so": func(up *Up, h *upHost) {
			other, _, _ := upCase(docker.CauseAbsent)
			h.facts.Dockerd, h.onRun, up.Connect = "/usr/bin/dockerd", other.Host.(*upHost).onRun, other.Connect
		},
		"on a system that it does not install on": func(_ *Up, h *upHost) { h.plan.Automatic = false },
	} {
		up, host, _ := upCase(docker.CauseStopped)
		prepare(up, host)
		got, err := up.Run(t.Context())
		if err != nil || got.State != "started" || strings.Join(host.ran, "; ") != "service docker start" {
			t.Errorf("%s: %+v %v, ran %v", name, got, err, host.ran)
		}
	}
}

func TestEngineUpRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		cause   docker.Cause
		prepare func(*Up, *upHost)
		says    string
		next    string
		steps   int
	}{
		{"without -install", docker.CauseAbsent, func(up *Up, _ *upHost) { up.Install = false }, "no engine: absent", "mage engine:up -install", 3},
		{"stopped, without -install", docker.CauseStopped, func(up *Up, _ *upHost) { up.Install = false }, "no engine: stopped", "mage engine:up -install", 1},
		{"without -install or root", docker.CauseAbsent, func(up *Up, h *upHost) { up.Install, h.facts.Root = false, false }, "no engine: absent", "as root", 3},
		{"not root", docker.CauseAbsent, func(_ *Up, h *upHost) { h.facts.Root = false }, "only root can install it", "sudo", 3},
		{"stopped, not root", docker.CauseStopped, func(_ *Up, h *upHost) { h.facts.Root = false }, "only root can start it", "sudo", 1},
		{"another distribution", docker.CauseAbsent, func(_ *Up, h *upHost) { h.plan.Automatic = false }, "on Debian keepmum does not install it", "do what is listed", 3},
		{"no commands at all", docker.CauseAbsent, func(_ *Up, h *upHost) { h.plan = Plan{System: "macOS", Manual: []string{"x"}} }, "on macOS keepmum does not install it", "do what is listed", 0},
		{"the socket denies", docker.CausePermission, nil, "no engine: permission", "the way out of permission", 0},
		{"no answer", docker.CauseTimeout, nil, "no engine: timeout", "the way out of timeout", 0},
		{"Windows containers", docker.CauseWindows, nil, "no engine: windows", "the way out", 0},
		{"too old", docker.CauseVersion, nil, "no engine: version", "the way out", 0},
		{"a bad context", docker.CauseContext, nil, "no engine: context", "the way out", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, host, _ := upCase(c.cause)
			if c.prepare != nil {
				c.prepare(up, host)
			}
			got, err := up.Run(t.Context())
			var told *fault.Error
			if !errors.As(err, &told) || told.Code != fault.NoEngine || !strings.Contains(told.What, c.says) || !strings.Contains(told.Next, c.next) {
				t.Errorf("%+v", told)
			}
			if len(host.ran) != 0 || got.State != "absent" || len(got.Steps) != c.steps {
				t.Errorf("ran %v; %+v", host.ran, got)
			}
		})
	}
}

func TestEngineUpLeavesOtherEnginesAlone(t *testing.T) {
	for _, c := range []struct {
		host, source string
		touched      bool
	}{
		{"tcp://10.0.0.1:2375", "DOCKER_HOST", false},
		{"unix:///home/ann/.docker/run/docker.sock", "context desktop-linux", false},
		{"unix:///tmp/x.sock", "DOCKER_HOST", false},
		{"unix:///var/run/docker.sock", "DOCKER_HOST", true},
		{"unix:///run/docker.sock", "context mine", true},
	} {
		up, host, _ := upCase(docker.CauseAbsent)
		connect := up.Connect
		up.Connect = func(ctx context.Context) (Engine, error) {
			engine, err := connect(ctx)
			if err != nil {
				err = upFailure(docker.CauseAbsent, c.host, c.source)
			}
			return engine, err
		}
		_, err := up.Run(t.Context())
		if touched := len(host.ran) > 0; touched != c.touched || touched != (err == nil) {
			t.Errorf("%s by %s: ran %v, %v", c.host, c.source, host.ran, err)
		}
		if !c.touched && (!strings.Contains(err.Error(), c.source+" points elsewhere") || fault.CodeOf(err) != fault.NoEngine) {
			t.Errorf("%v", err)
		}
	}
}

func TestEngineUpDryRun(t *testing.T) {
	up, host, _ := upCase(docker.CauseAbsent)
	up.DryRun, host.facts.Root = true, false
	got, err := up.Run(t.Context())
	if err != nil || got.State != "planned" || len(got.Steps) != 3 || len(host.ran) != 0 {
		t.Errorf("%+v %v, ran %v", got, err, host.ran)
	}
}

func TestEngineUpStopsAtTheFirstFailure(t *testing.T) {
	up, host, _ := upCase(docker.CauseAbsent)
	host.fail = map[string]error{"apt-get install docker.io": errors.New("exit status 100: E: no such package\nmore")}
	got, err := up.Run(t.Context())
	if fault.CodeOf(err) != fault.NoEngine || !strings.Contains(err.Error(), "apt-get install docker.io failed: exit status 100: E: no such package") || strings.Contains(err.Error(), "more") {
		t.Errorf("%v", err)
	}
	if len(host.ran) != 2 || len(got.Steps) != 2 {
		t.Errorf("ran %v; %+v", host.ran, got.Steps)
	}
}

func TestEngineUpEnds(t *testing.T) {
	const stuck = "apt-get install docker.io"
	t.Run("by a signal", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.block = stuck
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := up.Run(ctx); fault.CodeOf(err) != fault.Interrupted || !strings.Contains(err.Error(), "stopped during "+stuck) {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the caller's deadline", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.block = stuck
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := up.Run(ctx); fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "the deadline passed during "+stuck) {
			t.Errorf("%v", err)
		}
	})
	t.Run("by a step's own deadline", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.block, host.plan.Install[1].Deadline = stuck, 20*time.Millisecond
		if _, err := up.Run(t.Context()); fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), stuck+" did not end within 20ms") {
			t.Errorf("%v", err)
		}
	})
	t.Run("when no engine comes", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.onRun, up.Wait = nil, 20*time.Millisecond
		if _, err := up.Run(t.Context()); fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "does not answer after 20ms: no engine: absent") {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the caller's deadline while waiting", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.onRun = nil
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := up.Run(ctx); fault.CodeOf(err) != fault.Incomplete || !strings.Contains(err.Error(), "it goes on starting") {
			t.Errorf("%v", err)
		}
	})
	t.Run("by a signal while waiting", func(t *testing.T) {
		up, host, _ := upCase(docker.CauseAbsent)
		host.onRun = nil
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := up.Run(ctx); fault.CodeOf(err) != fault.Interrupted || !strings.Contains(err.Error(), "it goes on starting") {
			t.Errorf("%v", err)
		}
	})
}

func TestEngineUpFallsBack(t *testing.T) {
	prepare := func(words string) (*Up, *upHost, *upTalk) {
		up, host, talk := upCase(docker.CauseStopped)
		first := Step{Why: "start", Args: []string{"dockerd"}, Background: true, Log: "/l"}
		second := Step{Why: "start otherwise", Args: []string{"dockerd", "--storage-driver=vfs"}, Background: true, Log: "/l"}
		host.plan.Start, host.plan.Fallback = []Step{first}, &second
		host.ended = errors.New(words)
		works := host.onRun
		host.onRun = func(s Step) {
			if len(s.Args) == 2 {
				host.ended = nil
				works(s)
			}
		}
		return up, host, talk
	}
	up, host, talk := prepare("failed to start daemon: error initializing graphdriver: not supported: see /l")
	got, err := up.Run(t.Context())
	if err != nil || got.State != "started" || len(got.Steps) != 2 || len(host.ran) != 2 {
		t.Errorf("%+v %v, ran %v", got, err, host.ran)
	}
	if said := strings.Join(talk.lines, "|"); !strings.Contains(said, "cannot use this storage; start otherwise") {
		t.Errorf("said %s", said)
	}
	up, host, _ = prepare("failed to start daemon: iptables not found: see /l")
	if _, err = up.Run(t.Context()); fault.CodeOf(err) != fault.NoEngine || !strings.Contains(err.Error(), "ended right after its start: failed to start daemon: iptables not found: see /l") || len(host.ran) != 1 {
		t.Errorf("%v, ran %v", err, host.ran)
	}
}

func TestEngineUpPassesOtherErrors(t *testing.T) {
	odd := errors.New("odd")
	up, _, _ := upCase(docker.CauseAbsent)
	up.Connect = func(context.Context) (Engine, error) { return nil, odd }
	if _, err := up.Run(t.Context()); !errors.Is(err, odd) {
		t.Errorf("%v", err)
	}
	up.Connect = func(context.Context) (Engine, error) { return upEngine{err: odd}, nil }
	if _, err := up.Run(t.Context()); !errors.Is(err, odd) {
		t.Errorf("%v", err)
	}
}

func TestEngineStepIsALineForAShell(t *testing.T) {
	for want, s := range map[string]Step{
		"apt-get -y install a":            upStep("", "apt-get", "-y", "install", "a"),
		`echo 'it'\''s' '' '$x'`:          upStep("", "echo", "it's", "", "$x"),
		"setsid d </dev/null >>/l 2>&1 &": {Args: []string{"d"}, Background: true, Log: "/l"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
