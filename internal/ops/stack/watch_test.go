package stack_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestWatch_ShowsTheLastWordsOfAFailedService(t *testing.T) {
	w := newWorld(t)
	w.become = func(service string, c *docker.Container) {
		if service == "api" {
			c.State, c.Health, c.ExitCode = "exited", "", 3
		}
	}
	w.logs["api"] = "starting\nlogin failed: " + opstest.LoginValue + "\x1b[31m\n"
	result, err := w.up(stack.UpOptions{})
	e := asError(t, err, fault.Failed)
	if !strings.HasPrefix(e.What, "api failed; ") || !strings.Contains(e.What, "db healthy") || len(e.Findings) != 1 || !strings.Contains(e.Findings[0].Problem, "ended with 3: its secrets are missing") || e.Findings[0].Next != "mage secrets:validate" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(w.Said.String(), "api | login failed: ‹LOGIN›?[31m") {
		t.Errorf("said %s", w.Said.String())
	}
	if did(result) != "api created ended with 3, db created healthy, setup created done" {
		t.Errorf("result %s", did(result))
	}
}

// starting is a container that is not healthy yet.
func starting(_ string, c *docker.Container) { c.State, c.Health = "running", "starting" }

func TestWatch_EndsInEveryWay(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange func(*world)
		during  func(*world, context.CancelFunc)
		class   fault.Code
		want    string
		next    string
		took    time.Duration
	}{
		{"unhealthy", func(w *world) {
			w.become = func(s string, c *docker.Container) { c.Health = "unhealthy" }
		}, nil, fault.Failed, "api, db failed; api unhealthy, db unhealthy, setup done", "mage stack:logs, then mage stack:up", 0},
		{"Compose fails", func(w *world) {
			w.upErr = &fault.Error{Code: fault.Failed, What: "compose up failed: no space for " + opstest.TokenValue, Next: "x"}
		}, nil, fault.Failed, "compose up failed: no space for ‹TOKEN›; so far: api healthy, db healthy, setup done", "x", 0},
		{"Compose fails after half of it", func(w *world) {
			w.half, w.upErr = []string{"db"}, &fault.Error{Code: fault.Failed, What: "compose up failed: port is taken", Next: "x"}
		}, nil, fault.Failed, "compose up failed: port is taken; so far: api not started, db healthy, setup not started", "x", 0},
		{"Compose fails, because of a service", func(w *world) {
			w.upErr = &fault.Error{Code: fault.Failed, What: "compose up failed: dependency failed", Next: "x"}
			w.half, w.become = []string{"db"}, func(_ string, c *docker.Container) { c.State, c.Health, c.ExitCode = "exited", "", 1 }
		}, nil, fault.Failed, "db failed; api not started, db ended with 1, setup not started", "mage stack:logs", 0},
		{"Compose cannot say why", func(w *world) { w.upErr = errors.New("exit status 1") }, nil, fault.Failed, "exit status 1", "", 0},
		{"never healthy", func(w *world) { w.become = starting }, nil, fault.Incomplete, "not healthy after 10s: api, db, setup; all: api starting, db starting, setup starting", "mage stack:logs, then mage stack:up", 10 * time.Second},
		{"Compose never ends", func(w *world) { w.upHangs = true }, nil, fault.Incomplete, "not healthy after 10s: ; all: api healthy", "", 10 * time.Second},
		{"the engine goes", func(w *world) { w.become, w.upHangs = starting, true }, func(w *world, _ context.CancelFunc) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.gone = true
		}, fault.NoEngine, "the engine stopped answering; last seen: api starting", "mage engine:doctor, then mage stack:up", 5200 * time.Millisecond},
		{"the engine answers an error", func(w *world) { w.become = starting }, func(w *world, _ context.CancelFunc) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.listErr = errLost
		}, fault.Failed, "it is lost; so far: api starting", errLost.Next, 5200 * time.Millisecond},
		{"interrupted", func(w *world) { w.become, w.upHangs = starting, true }, func(_ *world, cancel context.CancelFunc) { cancel() }, fault.Interrupted, "stopped; so far: api starting", "mage stack:up continues, mage stack:down undoes it", 5 * time.Second},
		{"a service fails while Compose runs", func(w *world) { w.become, w.upHangs = starting, true }, func(w *world, _ context.CancelFunc) {
			w.change("db", func(c *docker.Container) { c.State, c.ExitCode = "dead", 9 })
		}, fault.Failed, "db failed; api starting, db ended with 9, setup starting", "", 5200 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				test.arrange(w)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				begun := time.Now()
				go func() {
					result, err := w.use().Up(ctx, stack.UpOptions{Deadline: 10 * time.Second})
					w.silentStack(result, err)
					done <- err
				}()
				if test.during != nil {
					pass(5 * time.Second)
					test.during(w, cancel)
				}
				err := <-done
				if took := time.Since(begun); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if err == nil || !strings.Contains(err.Error(), test.want) || fault.CodeOf(err) != test.class {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				if e := new(fault.Error); errors.As(err, &e) && !strings.HasPrefix(e.Next, test.next) {
					t.Errorf("next %s, want %s", e.Next, test.next)
				}
			})
		})
	}
}

func TestWatch_WaitsFiveMinutesUnlessTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.become = starting
		begun := time.Now()
		result, err := w.upHere(stack.UpOptions{})
		if e := asError(t, err, fault.Incomplete); time.Since(begun) != 5*time.Minute || !errors.Is(e, context.DeadlineExceeded) || !strings.Contains(e.What, "not healthy after 5m0s") {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if did(result) != "api created starting, db created starting, setup created starting" || result.Seconds != 300 {
			t.Errorf("%s in %g s", did(result), result.Seconds)
		}
	})
}

func TestWatch_CallersDeadlineIsIncompleteToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.become = starting
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := w.use().Up(ctx, stack.UpOptions{})
		asError(t, err, fault.Incomplete)
	})
}

func TestWatch_SaysEachStateOnceAndWhenAServiceIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.become = starting
		done := make(chan stack.UpResult, 1)
		go func() {
			result, err := w.upHere(stack.UpOptions{})
			if err != nil {
				t.Error(err)
			}
			done <- result
		}()
		pass(2 * time.Second)
		w.change("db", func(c *docker.Container) { c.Health = "healthy" })
		pass(2 * time.Second)
		w.change("setup", func(c *docker.Container) { c.State, c.Health = "exited", "" })
		w.change("api", func(c *docker.Container) { c.Health = "healthy" })
		result := <-done
		for i, want := range []float64{4.4, 2.4, 4.4} {
			if got := result.Services[i]; got.Seconds != want {
				t.Errorf("%s was ready after %g s, want %g", got.Service, got.Seconds, want)
			}
		}
		for _, line := range []string{"api: starting (0.0 s)\n", "db: starting (0.0 s)\n", "db: healthy (2.4 s)\n", "setup: done (4.4 s)\n", "api: healthy (4.4 s)\n"} {
			if strings.Count(w.Said.String(), line) != 1 {
				t.Errorf("%q is not said once in %s", line, w.Said.String())
			}
		}
	})
}

func TestWatch_RunningIsReadyWithoutAHealthCheck(t *testing.T) {
	w := newWorld(t)
	w.become = func(service string, c *docker.Container) {
		if service == "api" {
			c.Health = ""
		}
	}
	if result, err := w.up(stack.UpOptions{}); err != nil || did(result) != "api created running, db created healthy, setup created done" {
		t.Errorf("%s, %v", did(result), err)
	}
}

func TestWatch_OneShotMustEndWell(t *testing.T) {
	for _, test := range []struct {
		state string
		code  int
		want  string
	}{{"exited", 1, "setup: ended with 1"}, {"dead", 0, ""}, {"dead", 2, "setup: ended with 2"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.become = func(service string, c *docker.Container) {
				if service == "setup" {
					c.State, c.ExitCode = test.state, test.code
				}
			}
			_, err := w.upHere(stack.UpOptions{})
			if test.want == "" { // Docker could not remove it; it is waited for
				asError(t, err, fault.Incomplete)
				return
			}
			e := asError(t, err, fault.Failed)
			if len(e.Findings) != 1 || e.Findings[0].String() != test.want || e.Findings[0].Next != "" {
				t.Errorf("findings %v", e.Findings)
			}
		})
	}
}

func TestWatch_ShowsWhyAContainerCouldNotStart(t *testing.T) {
	w := newWorld(t)
	w.become = func(service string, c *docker.Container) {
		switch service {
		case "db":
			c.State, c.Health, c.ExitCode, c.Problem = "exited", "", 127, "no such file: "+adminValue
		case "api": // 3 means its secrets only from a service that has ended
			c.Health, c.ExitCode = "unhealthy", 3
		}
	}
	_, err := w.up(stack.UpOptions{})
	w.silentStack(nil, err)
	e := asError(t, err, fault.Failed)
	if len(e.Findings) != 2 || e.Findings[0].Problem != "unhealthy" || e.Findings[0].Next != "" || e.Findings[1].Problem != "ended with 127: no such file: ‹ADMIN›" {
		t.Errorf("findings %v", e.Findings)
	}
}

func TestWatch_LetsComposeReplaceWhatHadFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.change("api", func(c *docker.Container) { c.State, c.Health, c.ExitCode = "exited", "", 1 })
		w.again = func(service string, c *docker.Container) {
			if service == "api" {
				c.State, c.Health, c.Started = "running", "healthy", time.Now().Add(time.Hour)
			}
		}
		result, err := w.upHere(stack.UpOptions{})
		if err != nil || did(result) != "api started healthy, db unchanged healthy, setup unchanged done" {
			t.Errorf("%s, %v", did(result), err)
		}
		w.again = nil // Compose leaves it as it is
		w.change("api", func(c *docker.Container) { c.State, c.Health, c.ExitCode = "exited", "", 1 })
		_, err = w.upHere(stack.UpOptions{})
		asError(t, err, fault.Failed)
	})
}

func TestWatch_JudgesAnOldContainerOnlyAfterCompose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.change("api", func(c *docker.Container) { c.State, c.Health, c.ExitCode = "exited", "", 1 })
		w.upHangs = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := w.use().Up(ctx, stack.UpOptions{})
			done <- err
		}()
		pass(time.Minute)
		select {
		case err := <-done:
			t.Errorf("ended while Compose ran: %v", err)
			done <- err
		default:
		}
		w.change("api", func(c *docker.Container) { c.Started = time.Now() }) // it was started again, and failed
		pass(time.Second)
		cancel()
		asError(t, <-done, fault.Failed)
	})
}

func TestWatch_TakesNoWordOfAContainerThatIsToBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.change("api", func(c *docker.Container) { c.State, c.Health, c.ExitCode = "exited", "", 3 })
		w.logs["api"] = "login failed: " + opstest.TokenValue + "\n"
		w.write("TOKEN", opstest.OtherValue)
		w.Said.Reset()
		w.half, w.upHangs = []string{}, true
		_, err := w.upHere(stack.UpOptions{Deadline: time.Minute})
		asError(t, err, fault.Incomplete)
		if w.saw("api") {
			t.Errorf("said %s", w.Said.String())
		}
	})
}

func TestWatch_ShowsTheLastLinesOfWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.become = func(service string, c *docker.Container) {
			if service != "db" {
				starting(service, c)
			}
		}
		w.logs = map[string]string{"api": "\n\none\n\ntwo " + adminValue + "\n\n", "db": "of one that is ready\n"}
		w.read = func(ctx context.Context, c docker.Container, o docker.LogOptions, stdout, stderr io.Writer) error {
			if c.Service == "setup" {
				<-ctx.Done() // it is given five seconds
				return ctx.Err()
			}
			_, _ = io.WriteString(stderr, w.logs[c.Service])
			return nil
		}
		begun := time.Now()
		_, err := w.upHere(stack.UpOptions{Deadline: time.Minute})
		asError(t, err, fault.Incomplete)
		if took := time.Since(begun); took != 65*time.Second {
			t.Errorf("took %s", took)
		}
		if !w.saw("api | one\napi | two ‹ADMIN›\n") || w.saw("db | ") || w.saw("setup | ") || w.saw("api | \n") {
			t.Errorf("said %s", w.Said.String())
		}
		for _, o := range w.asked {
			if want := (docker.LogOptions{Tail: 20}); o != want {
				t.Errorf("asked for %+v, want %+v", o, want)
			}
		}
	})
}

func TestWatch_ServiceOfAProfileIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Put("docker-compose.yml", strings.Replace(stackFile, "secrets:\n  ADMIN", "  tool:\n    image: shop/tool\n    profiles: [once]\nsecrets:\n  ADMIN", 1))
		w.half = []string{"api", "db", "setup"}
		result, err := w.upHere(stack.UpOptions{})
		if err != nil || did(result) != "api created healthy, db created healthy, setup created done, tool unchanged absent" {
			t.Errorf("%s, %v", did(result), err)
		}
		w.half, w.become = nil, starting // now it is there, and then it counts
		_, err = w.upHere(stack.UpOptions{})
		if e := asError(t, err, fault.Incomplete); !strings.Contains(e.What, "not healthy after 5m0s: tool;") {
			t.Errorf("got %v", err)
		}
		w.half = []string{"api", "db"} // without a profile it is missed
		delete(w.containers, "setup")
		_, err = w.upHere(stack.UpOptions{})
		if e := asError(t, err, fault.Incomplete); !strings.Contains(e.What, ": setup, tool;") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWatch_WaitsForAContainerThatMayStillStart(t *testing.T) {
	for _, state := range []string{"created", "restarting", "paused"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.become = func(service string, c *docker.Container) {
				if service == "api" {
					c.State, c.Health, c.ExitCode = state, "", 1
				}
			}
			_, err := w.upHere(stack.UpOptions{Deadline: time.Minute})
			if e := asError(t, err, fault.Incomplete); !strings.Contains(e.What, "not healthy after 1m0s: api;") {
				t.Errorf("%s: %v", state, err)
			}
		})
	}
}

func TestWatch_EndsAfterComposeHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.become, w.upHangs, w.grace = starting, true, 3*time.Second
		begun := time.Now()
		_, err := w.upHere(stack.UpOptions{Deadline: time.Minute})
		if asError(t, err, fault.Incomplete); time.Since(begun) != 63*time.Second {
			t.Errorf("took %s: Compose still runs, or is waited for in vain", time.Since(begun))
		}
	})
}
