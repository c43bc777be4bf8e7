package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// bench is a Host over a Debian without an engine until one is started.
type bench struct {
	config  Config
	machine *fakeMachine
	said    *recorder
	asked   int // for a connection, since an engine was started
}

func newBench(cause docker.Cause) *bench {
	b := &bench{said: &recorder{}, asked: -1}
	b.machine = &fakeMachine{facts: Facts{OS: "linux", Root: true, Pretty: "Debian"}, plan: Plan{System: "Debian", Automatic: true, Manual: []string{"by hand"},
		Install: []Step{{Why: "read", Args: []string{"apt-get", "update"}}, {Why: "install", Args: []string{"apt-get", "install", "docker.io"}}},
		Start:   []Step{{Why: "start", Args: []string{"service", "docker", "start"}}}}}
	b.machine.onRun = func(s Step) {
		if s.Args[0] == "service" || s.Args[0] == "dockerd" {
			b.asked = 0
		}
	}
	b.config = Config{Machine: b.machine, Progress: b.said, Connect: func(context.Context) (Engine, error) {
		if b.asked >= 0 {
			b.asked++
		}
		if b.asked == 3 {
			return fakeEngine{info: docker.Info{ServerVersion: "20.10"}, at: docker.Endpoint{Host: socket, Source: "default"}}, nil
		}
		return nil, failure(cause, socket, "default")
	}}
	return b
}

// up runs Up with Install and requires that nothing more was run than it says.
func (b *bench) up(ctx context.Context, t *testing.T) (UpResult, error) {
	t.Helper()
	got, err := New(b.config).Up(ctx, UpOptions{Install: true})
	if len(got.Steps) != len(b.machine.ran) && len(b.machine.ran) > 0 {
		t.Errorf("ran %v, reported %v", b.machine.ran, got.Steps)
	}
	return got, err
}

// bubble runs a test on a virtual clock.
func bubble(t *testing.T, name string, fn func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, fn) })
}

func TestUp_LeavesAnAnsweringEngineAlone(t *testing.T) {
	b, closed := newBench(docker.CauseAbsent), 0
	b.config.Connect = answering(fakeEngine{info: docker.Info{ServerVersion: "28.5"}, at: docker.Endpoint{Host: "tcp://x", Source: "DOCKER_HOST"}, closed: &closed})
	got, err := b.up(t.Context(), t)
	if err != nil || got.State != "answers" || got.Version != "28.5" || got.Endpoint.Host != "tcp://x" || len(b.machine.ran) != 0 || closed != 1 {
		t.Errorf("%+v %v, ran %v, closed %d times", got, err, b.machine.ran, closed)
	}
}

func TestUp_Installs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, begun := newBench(docker.CauseAbsent), time.Now()
		got, err := b.up(t.Context(), t)
		if err != nil || got.State != "installed" || got.Version != "20.10" || got.System != "Debian" || len(got.Manual) != 1 || got.Endpoint.Source != "default" {
			t.Fatalf("%+v %v", got, err)
		}
		if ran := strings.Join(b.machine.ran, "; "); ran != "apt-get update; apt-get install docker.io; service docker start" {
			t.Errorf("ran %s", ran)
		}
		for _, step := range got.Steps {
			if step.Seconds != 1 {
				t.Errorf("%s took %v seconds", step, step.Seconds)
			}
		}
		if b.machine.plan.Install[0].Seconds != 0 {
			t.Error("the plan is changed")
		}
		want := "read: apt-get update|  output of apt-get|install: apt-get install docker.io|  output of apt-get|start: service docker start|  output of service|waiting for the engine to answer"
		if b.said.text() != want {
			t.Errorf("said %s", b.said.text())
		}
		if took := time.Since(begun); took != 3*time.Second+2*250*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

func TestUp_StartsAnInstalledEngine(t *testing.T) {
	for _, c := range []struct {
		name    string
		cause   docker.Cause
		prepare func(*fakeMachine)
	}{
		{"the cause says so", docker.CauseStopped, func(*fakeMachine) {}},
		{"the machine says so", docker.CauseAbsent, func(m *fakeMachine) { m.facts.Dockerd = "/usr/bin/dockerd" }},
		{"on a system that it does not install on", docker.CauseStopped, func(m *fakeMachine) { m.plan.Automatic = false }},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b := newBench(c.cause)
			c.prepare(b.machine)
			got, err := b.up(t.Context(), t)
			if err != nil || got.State != "started" || strings.Join(b.machine.ran, "; ") != "service docker start" {
				t.Errorf("%+v %v, ran %v", got, err, b.machine.ran)
			}
		})
	}
}

func TestUp_Refuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		cause   docker.Cause
		options UpOptions
		prepare func(*fakeMachine)
		what    string
		next    string
		steps   int
	}{
		{"without -install", docker.CauseAbsent, UpOptions{}, nil, "no engine: absent", "mage engine:up -install runs the commands listed", 3},
		{"stopped, without -install", docker.CauseStopped, UpOptions{}, nil, "no engine: stopped", "mage engine:up -install runs the commands listed", 1},
		{"without -install or root", docker.CauseAbsent, UpOptions{}, func(m *fakeMachine) { m.facts.Root = false }, "no engine: absent", "run the commands listed as root, or mage engine:up -install as root", 3},
		{"not root", docker.CauseAbsent, UpOptions{Install: true}, func(m *fakeMachine) { m.facts.Root = false }, "no engine: absent; only root can install it", "run the commands listed as root, or this command as root (sudo)", 3},
		{"stopped, not root", docker.CauseStopped, UpOptions{Install: true}, func(m *fakeMachine) { m.facts.Root = false }, "no engine: stopped; only root can start it", "run the commands listed as root, or this command as root (sudo)", 1},
		{"another distribution", docker.CauseAbsent, UpOptions{Install: true}, func(m *fakeMachine) { m.plan.Automatic = false }, "no engine: absent; keepmum does not install it on Debian", "follow the steps listed, then mage engine:doctor", 3},
		{"stopped, and how to start it is not known", docker.CauseStopped, UpOptions{Install: true}, func(m *fakeMachine) { m.plan.Start = nil }, "no engine: stopped; keepmum does not start it on Debian", "follow the steps listed, then mage engine:doctor", 0},
		{"no commands at all", docker.CauseAbsent, UpOptions{Install: true}, func(m *fakeMachine) { m.plan = Plan{System: "macOS"} }, "no engine: absent; keepmum does not install it on macOS", "follow the steps listed, then mage engine:doctor", 0},
		{"no commands, in a dry run", docker.CauseAbsent, UpOptions{Install: true, DryRun: true}, func(m *fakeMachine) { m.plan = Plan{System: "macOS"} }, "no engine: absent; keepmum does not install it on macOS", "follow the steps listed, then mage engine:doctor", 0},
		{"a dry run without -install", docker.CauseAbsent, UpOptions{DryRun: true}, nil, "no engine: absent", "mage engine:up -install runs the commands listed", 3},
		{"the socket denies", docker.CausePermission, UpOptions{Install: true}, nil, "no engine: permission", "the way out of permission", 0},
		{"no answer", docker.CauseTimeout, UpOptions{Install: true}, nil, "no engine: timeout", "the way out of timeout", 0},
		{"Windows containers", docker.CauseWindows, UpOptions{Install: true}, nil, "no engine: windows", "the way out of windows", 0},
		{"too old", docker.CauseVersion, UpOptions{Install: true}, nil, "no engine: version", "the way out of version", 0},
		{"a bad context", docker.CauseContext, UpOptions{Install: true}, nil, "no engine: context", "the way out of context", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(c.cause)
			if c.prepare != nil {
				c.prepare(b.machine)
			}
			got, err := New(b.config).Up(t.Context(), c.options)
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != fault.NoEngine || e.What != c.what || e.Next != c.next {
				t.Errorf("%+v", e)
			}
			if len(b.machine.ran) != 0 || got.State != "absent" || got.Endpoint.Host != socket || len(got.Steps) != c.steps {
				t.Errorf("ran %v; %+v", b.machine.ran, got)
			}
		})
	}
}

func TestUp_LeavesOtherEnginesAlone(t *testing.T) {
	for _, c := range []struct {
		host, source string
		touched      bool
	}{
		{"tcp://10.0.0.1:2375", "DOCKER_HOST", false},
		{"unix:///home/ann/.docker/run/docker.sock", "context desktop-linux", false},
		{"unix:///tmp/x.sock", "DOCKER_HOST", false},
		{socket, "DOCKER_HOST", true},
		{"unix:///run/docker.sock", "context mine", true},
	} {
		bubble(t, c.source+" "+c.host, func(t *testing.T) {
			b := newBench(docker.CauseAbsent)
			connect := b.config.Connect
			b.config.Connect = func(ctx context.Context) (Engine, error) {
				engine, err := connect(ctx)
				if err != nil {
					err = failure(docker.CauseAbsent, c.host, c.source)
				}
				return engine, err
			}
			_, err := b.up(t.Context(), t)
			if touched := len(b.machine.ran) > 0; touched != c.touched || touched != (err == nil) {
				t.Errorf("ran %v, %v", b.machine.ran, err)
			}
			var e *fault.Error
			if !c.touched && (!errors.As(err, &e) || e.Code != fault.NoEngine || e.Next != "the way out of absent" || !strings.HasSuffix(e.What, c.source+" points elsewhere")) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestUp_DryRun(t *testing.T) {
	b := newBench(docker.CauseAbsent)
	b.machine.facts.Root = false
	got, err := New(b.config).Up(t.Context(), UpOptions{Install: true, DryRun: true})
	if err != nil || got.State != "planned" || len(got.Steps) != 3 || len(b.machine.ran) != 0 {
		t.Errorf("%+v %v, ran %v", got, err, b.machine.ran)
	}
}

func TestUp_StopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(docker.CauseAbsent)
		b.machine.fail = map[string]error{"apt-get install docker.io": errors.New("exit status 100: E: no such package\nmore")}
		got, err := b.up(t.Context(), t)
		var e *fault.Error
		if !errors.As(err, &e) || e.Code != fault.NoEngine || e.What != "apt-get install docker.io failed: exit status 100: E: no such package" || e.Next != "fix the problem, then mage engine:up -install continues from here" {
			t.Errorf("%+v", e)
		}
		if len(b.machine.ran) != 2 || got.State != "absent" || got.Steps[0].Seconds != 1 || got.Steps[1].Seconds != 0 {
			t.Errorf("ran %v; %+v", b.machine.ran, got.Steps)
		}
	})
}

func TestUp_Ends(t *testing.T) {
	const stuck = "apt-get install docker.io"
	for _, c := range []struct {
		name    string
		prepare func(*bench)
		end     func(context.Context) (context.Context, context.CancelFunc) // of the caller's context
		after   time.Duration
		code    fault.Code
		what    string
		next    string
		cause   error
	}{
		{"by a signal during a step", func(b *bench) { b.machine.block = stuck }, signalAfter(time.Hour), time.Hour,
			fault.Interrupted, "stopped during " + stuck, "mage engine:up -install continues from here", context.Canceled},
		{"by the caller's deadline during a step", func(b *bench) { b.machine.block = stuck }, deadlineAfter(time.Hour), time.Hour,
			fault.Incomplete, "the deadline passed during " + stuck, "mage engine:up -install continues from here", context.DeadlineExceeded},
		{"by the step's own deadline", func(b *bench) { b.machine.block, b.machine.plan.Install[1].Deadline = stuck, time.Minute }, nil, time.Minute + time.Second,
			fault.Incomplete, stuck + " did not end within 1m0s", "mage engine:up -install continues from here", context.DeadlineExceeded},
		{"by a signal during a step with a deadline", func(b *bench) { b.machine.block, b.machine.plan.Install[1].Deadline = stuck, time.Minute }, signalAfter(time.Second * 30), time.Second * 30,
			fault.Interrupted, "stopped during " + stuck, "mage engine:up -install continues from here", context.Canceled},
		{"when the engine never answers", func(b *bench) { b.machine.onRun = nil }, nil, 93 * time.Second,
			fault.Incomplete, "the engine was started, but does not answer after 1m30s: no engine: absent", "mage engine:doctor", nil},
		{"by the caller's deadline while waiting", func(b *bench) { b.machine.onRun = nil }, deadlineAfter(time.Minute + 100*time.Millisecond), time.Minute + 100*time.Millisecond,
			fault.Incomplete, "the deadline passed while waiting for the engine, which is still starting", "mage engine:up", context.DeadlineExceeded},
		{"by a signal while waiting", func(b *bench) { b.machine.onRun = nil }, signalAfter(time.Minute + 100*time.Millisecond), time.Minute + 100*time.Millisecond,
			fault.Interrupted, "stopped while waiting for the engine, which is still starting", "mage engine:up", context.Canceled},
		{"when the daemon ends", func(b *bench) { b.machine.ended = errors.New("no iptables") }, nil, 3 * time.Second,
			fault.NoEngine, "the engine ended right after its start: no iptables", "mage engine:doctor", nil},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b, begun, ctx := newBench(docker.CauseAbsent), time.Now(), t.Context()
			c.prepare(b)
			if c.end != nil {
				var cancel context.CancelFunc
				ctx, cancel = c.end(ctx)
				defer cancel()
			}
			got, err := b.up(ctx, t)
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != c.code || e.What != c.what || e.Next != c.next || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("%+v", e)
			}
			if took := time.Since(begun); took != c.after || got.State != "absent" {
				t.Errorf("took %s; %+v", took, got)
			}
		})
	}
}

// signalAfter ends a context as a signal does.
func signalAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}

// deadlineAfter ends a context as a target's deadline does.
func deadlineAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

// The context may end while a connection is tried.
func TestUp_InterruptedWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(docker.CauseStopped)
		ctx, cancel := context.WithCancel(t.Context())
		first := true
		b.config.Connect = func(context.Context) (Engine, error) {
			if !first {
				cancel()
			}
			first = false
			return nil, failure(docker.CauseStopped, socket, "default")
		}
		b.machine.ended = errors.New("must not be reported")
		if _, err := b.up(ctx, t); fault.CodeOf(err) != fault.Interrupted || !strings.Contains(err.Error(), "stopped while waiting") {
			t.Errorf("%v", err)
		}
	})
}

// storageBench is a machine whose daemon ends with these words.
func storageBench(words string) *bench {
	b := newBench(docker.CauseStopped)
	first := Step{Why: "start", Args: []string{"dockerd"}, Background: true, Log: "/l"}
	second := Step{Why: "start otherwise", Args: []string{"dockerd", "--storage-driver=vfs"}, Background: true, Log: "/l"}
	b.machine.plan.Start, b.machine.plan.Fallback, b.machine.ended = []Step{first}, &second, errors.New(words)
	works := b.machine.onRun
	b.machine.onRun = func(s Step) {
		if len(s.Args) == 2 {
			b.machine.ended = nil
			works(s)
		}
	}
	return b
}

func TestUp_FallsBackToAnotherStorage(t *testing.T) {
	for _, words := range []string{"error initializing graphdriver: not supported", "no storage driver", "bad --storage-driver", "overlayfs: invalid argument"} {
		bubble(t, words, func(t *testing.T) {
			b := storageBench("failed to start daemon: " + words + ": see /l")
			got, err := b.up(t.Context(), t)
			if err != nil || got.State != "started" || len(got.Steps) != 2 || got.Steps[1].Seconds != 1 {
				t.Errorf("%+v %v, ran %v", got, err, b.machine.ran)
			}
			if !strings.Contains(b.said.text(), "the engine cannot use this storage; start otherwise: setsid dockerd --storage-driver=vfs") {
				t.Errorf("said %s", b.said.text())
			}
		})
	}
}

func TestUp_DoesNotFallBack(t *testing.T) {
	const words = "failed to start daemon: error initializing graphdriver: see /l"
	for _, c := range []struct {
		name  string
		words string
		spoil func(*bench)
		says  string
		code  fault.Code
		steps int
	}{
		{"for another reason", "failed to start daemon: iptables not found: see /l", func(*bench) {}, "ended right after its start: failed to start daemon: iptables not found: see /l", fault.NoEngine, 1},
		{"without a fallback", words, func(b *bench) { b.machine.plan.Fallback = nil }, "ended right after its start: " + words, fault.NoEngine, 1},
		{"to one that does not start", words, func(b *bench) {
			b.machine.fail = map[string]error{b.machine.plan.Fallback.String(): errors.New("not found")}
		}, "failed: not found", fault.NoEngine, 2},
		{"to one that ends too", words, func(b *bench) { b.machine.onRun = nil }, "ended right after its start: " + words, fault.NoEngine, 2},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b := storageBench(c.words)
			c.spoil(b)
			got, err := b.up(t.Context(), t)
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || len(b.machine.ran) != c.steps || got.State != "absent" {
				t.Errorf("%+v %v, ran %v", got, err, b.machine.ran)
			}
		})
	}
}

func TestUp_PassesOtherErrorsOn(t *testing.T) {
	odd := errors.New("odd")
	b := newBench(docker.CauseAbsent)
	b.config.Connect = refusing(odd)
	if got, err := b.up(t.Context(), t); !errors.Is(err, odd) || got.State != "absent" {
		t.Errorf("%+v %v", got, err)
	}
	b.config.Connect = answering(fakeEngine{err: odd, at: docker.Endpoint{Host: socket}})
	if got, err := b.up(t.Context(), t); !errors.Is(err, odd) || got.State != "answers" || got.Endpoint.Host != socket {
		t.Errorf("%+v %v", got, err)
	}
}
