package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// upEngine is an engine that answers.
type upEngine struct {
	info   EngineInfo
	at     EngineEndpoint
	err    error
	closed *int
}

func (e upEngine) Info(context.Context) (EngineInfo, error) { return e.info, e.err }
func (e upEngine) Endpoint() EngineEndpoint                 { return e.at }
func (e upEngine) Close() error {
	if e.closed != nil {
		*e.closed++
	}
	return nil
}

// upHost is a machine that notes what is run on it.
type upHost struct {
	facts HostFacts
	plan  EnginePlan
	ran   []string
	fail  map[string]error // by command line
	block string           // a command that ends with its context
	ended error            // of the first daemon
	onRun func(step EngineStep)
}

func (h *upHost) Look(context.Context) HostFacts { return h.facts }
func (h *upHost) Plan(HostFacts) EnginePlan      { return h.plan }
func (h *upHost) Ended() error                   { return h.ended }
func (h *upHost) Run(ctx context.Context, step EngineStep, talk Talk) error {
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

func upStep(why string, args ...string) EngineStep { return EngineStep{Why: why, Args: args} }

// upFailure is what engine.Connect returns.
func upFailure(cause EngineCause, host, source string) error {
	at := EngineEndpoint{Host: host, Source: source, Remote: strings.HasPrefix(host, "tcp")}
	return &Error{Class: NoEngine, What: "no engine: " + string(cause), Next: "the way out of " + string(cause),
		Cause: &EngineFailure{Cause: cause, Endpoint: at, Detail: "d"}}
}

// upCase is EngineUp on Debian, without an engine until one is started.
func upCase(cause EngineCause) (*EngineUp, *upHost, *upTalk) {
	host := &upHost{facts: HostFacts{OS: "linux", Root: true, Pretty: "Debian"}, plan: EnginePlan{System: "Debian", Automatic: true,
		Install: []EngineStep{upStep("read", "apt-get", "update"), upStep("install", "apt-get", "install", "docker.io")},
		Start:   []EngineStep{upStep("start", "service", "docker", "start")}}}
	talk, running := &upTalk{}, 0
	host.onRun = func(s EngineStep) {
		if s.Args[0] == "service" || s.Args[0] == "dockerd" {
			running = 3 // it answers the third time that it is asked
		}
	}
	return &EngineUp{Host: host, Talk: talk, Install: true, Poll: time.Millisecond, Wait: 5 * time.Second,
		Connect: func(context.Context) (EnginePort, error) {
			if running == 1 {
				return upEngine{info: EngineInfo{ServerVersion: "20.10"}, at: EngineEndpoint{Host: "unix:///var/run/docker.sock", Source: "default"}}, nil
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
	up := EngineUp{Host: host, Talk: Quiet{}, Install: true, Connect: func(context.Context) (EnginePort, error) {
		return upEngine{info: EngineInfo{ServerVersion: "28.5"}, closed: &closed}, nil
	}}
	got, err := up.Run(t.Context())
	if err != nil || got.State != "answers" || got.Version != "28.5" || len(host.ran) != 0 || closed != 1 {
		t.Errorf("%+v %v, ran %v, closed %d times", got, err, host.ran, closed)
	}
}

func TestEngineUpInstalls(t *testing.T) {
	up, host, talk := upCase(CauseAbsent)
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
	for name, prepare := range map[string]func(*EngineUp, *upHost){
		"the cause says so": func(*EngineUp, *upHost) {},
		"the machine says so": func(up *EngineUp, h *upHost) {
			other, _, _ := upCase(CauseAbsent)
			h.facts.Dockerd, h.onRun, up.Connect = "/usr/bin/dockerd", other.Host.(*upHost).onRun, other.Connect
		},
		"on a system that it does not install on": func(_ *EngineUp, h *upHost) { h.plan.Automatic = false },
	} {
		up, host, _ := upCase(CauseStopped)
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
		cause   EngineCause
		prepare func(*EngineUp, *upHost)
		says    string
		next    string
		steps   int
	}{
		{"without -install", CauseAbsent, func(up *EngineUp, _ *upHost) { up.Install = false }, "no engine: absent", "mage engine:up -install", 3},
		{"stopped, without -install", CauseStopped, func(up *EngineUp, _ *upHost) { up.Install = false }, "no engine: stopped", "mage engine:up -install", 1},
		{"without -install or root", CauseAbsent, func(up *EngineUp, h *upHost) { up.Install, h.facts.Root = false, false }, "no engine: absent", "as root", 3},
		{"not root", CauseAbsent, func(_ *EngineUp, h *upHost) { h.facts.Root = false }, "only root can install it", "sudo", 3},
		{"stopped, not root", CauseStopped, func(_ *EngineUp, h *upHost) { h.facts.Root = false }, "only root can start it", "sudo", 1},
		{"another distribution", CauseAbsent, func(_ *EngineUp, h *upHost) { h.plan.Automatic = false }, "on Debian keepmum does not install it", "do what is listed", 3},
		{"no commands at all", CauseAbsent, func(_ *EngineUp, h *upHost) { h.plan = EnginePlan{System: "macOS", Manual: []string{"x"}} }, "on macOS keepmum does not install it", "do what is listed", 0},
		{"the socket denies", CausePermission, nil, "no engine: permission", "the way out of permission", 0},
		{"no answer", CauseTimeout, nil, "no engine: timeout", "the way out of timeout", 0},
		{"Windows containers", CauseWindows, nil, "no engine: windows", "the way out", 0},
		{"too old", CauseVersion, nil, "no engine: version", "the way out", 0},
		{"a bad context", CauseContext, nil, "no engine: context", "the way out", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, host, _ := upCase(c.cause)
			if c.prepare != nil {
				c.prepare(up, host)
			}
			got, err := up.Run(t.Context())
			var told *Error
			if !errors.As(err, &told) || told.Class != NoEngine || !strings.Contains(told.What, c.says) || !strings.Contains(told.Next, c.next) {
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
		up, host, _ := upCase(CauseAbsent)
		connect := up.Connect
		up.Connect = func(ctx context.Context) (EnginePort, error) {
			engine, err := connect(ctx)
			if err != nil {
				err = upFailure(CauseAbsent, c.host, c.source)
			}
			return engine, err
		}
		_, err := up.Run(t.Context())
		if touched := len(host.ran) > 0; touched != c.touched || touched != (err == nil) {
			t.Errorf("%s by %s: ran %v, %v", c.host, c.source, host.ran, err)
		}
		if !c.touched && (!strings.Contains(err.Error(), c.source+" points elsewhere") || ClassOf(err) != NoEngine) {
			t.Errorf("%v", err)
		}
	}
}

func TestEngineUpDryRun(t *testing.T) {
	up, host, _ := upCase(CauseAbsent)
	up.DryRun, host.facts.Root = true, false
	got, err := up.Run(t.Context())
	if err != nil || got.State != "planned" || len(got.Steps) != 3 || len(host.ran) != 0 {
		t.Errorf("%+v %v, ran %v", got, err, host.ran)
	}
}

func TestEngineUpStopsAtTheFirstFailure(t *testing.T) {
	up, host, _ := upCase(CauseAbsent)
	host.fail = map[string]error{"apt-get install docker.io": errors.New("exit status 100: E: no such package\nmore")}
	got, err := up.Run(t.Context())
	if ClassOf(err) != NoEngine || !strings.Contains(err.Error(), "apt-get install docker.io failed: exit status 100: E: no such package") || strings.Contains(err.Error(), "more") {
		t.Errorf("%v", err)
	}
	if len(host.ran) != 2 || len(got.Steps) != 2 {
		t.Errorf("ran %v; %+v", host.ran, got.Steps)
	}
}

func TestEngineUpEnds(t *testing.T) {
	const stuck = "apt-get install docker.io"
	t.Run("by a signal", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.block = stuck
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := up.Run(ctx); ClassOf(err) != Interrupted || !strings.Contains(err.Error(), "stopped during "+stuck) {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the caller's deadline", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.block = stuck
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := up.Run(ctx); ClassOf(err) != Incomplete || !strings.Contains(err.Error(), "the deadline passed during "+stuck) {
			t.Errorf("%v", err)
		}
	})
	t.Run("by a step's own deadline", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.block, host.plan.Install[1].Deadline = stuck, 20*time.Millisecond
		if _, err := up.Run(t.Context()); ClassOf(err) != Incomplete || !strings.Contains(err.Error(), stuck+" did not end within 20ms") {
			t.Errorf("%v", err)
		}
	})
	t.Run("when no engine comes", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.onRun, up.Wait = nil, 20*time.Millisecond
		if _, err := up.Run(t.Context()); ClassOf(err) != Incomplete || !strings.Contains(err.Error(), "does not answer after 20ms: no engine: absent") {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the caller's deadline while waiting", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.onRun = nil
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := up.Run(ctx); ClassOf(err) != Incomplete || !strings.Contains(err.Error(), "it goes on starting") {
			t.Errorf("%v", err)
		}
	})
	t.Run("by a signal while waiting", func(t *testing.T) {
		up, host, _ := upCase(CauseAbsent)
		host.onRun = nil
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := up.Run(ctx); ClassOf(err) != Interrupted || !strings.Contains(err.Error(), "it goes on starting") {
			t.Errorf("%v", err)
		}
	})
}

func TestEngineUpFallsBack(t *testing.T) {
	prepare := func(words string) (*EngineUp, *upHost, *upTalk) {
		up, host, talk := upCase(CauseStopped)
		first := EngineStep{Why: "start", Args: []string{"dockerd"}, Background: true, Log: "/l"}
		second := EngineStep{Why: "start otherwise", Args: []string{"dockerd", "--storage-driver=vfs"}, Background: true, Log: "/l"}
		host.plan.Start, host.plan.Fallback = []EngineStep{first}, &second
		host.ended = errors.New(words)
		works := host.onRun
		host.onRun = func(s EngineStep) {
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
	if _, err = up.Run(t.Context()); ClassOf(err) != NoEngine || !strings.Contains(err.Error(), "ended right after its start: failed to start daemon: iptables not found: see /l") || len(host.ran) != 1 {
		t.Errorf("%v, ran %v", err, host.ran)
	}
}

func TestEngineUpPassesOtherErrors(t *testing.T) {
	odd := errors.New("odd")
	up, _, _ := upCase(CauseAbsent)
	up.Connect = func(context.Context) (EnginePort, error) { return nil, odd }
	if _, err := up.Run(t.Context()); !errors.Is(err, odd) {
		t.Errorf("%v", err)
	}
	up.Connect = func(context.Context) (EnginePort, error) { return upEngine{err: odd}, nil }
	if _, err := up.Run(t.Context()); !errors.Is(err, odd) {
		t.Errorf("%v", err)
	}
}

func TestEngineStepIsALineForAShell(t *testing.T) {
	for want, s := range map[string]EngineStep{
		"apt-get -y install a":            upStep("", "apt-get", "-y", "install", "a"),
		`echo 'it'\''s' '' '$x'`:          upStep("", "echo", "it's", "", "$x"),
		"setsid d </dev/null >>/l 2>&1 &": {Args: []string{"d"}, Background: true, Log: "/l"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
