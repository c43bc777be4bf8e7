package stack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/images"
	"github.com/keepmum/keepmum/internal/ops/opstest"
	"github.com/keepmum/keepmum/internal/ops/stack"
)

func TestLogs_AreMaskedAndPrefixed(t *testing.T) {
	w := newWorld(t)
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.logs = map[string]string{"api": "one " + opstest.TokenValue + "\r\ntwo", "db": "three\n", "setup": "four " + adminValue + "\n"}
	read := func(o stack.LogsOptions) (string, stack.LogsResult, error) {
		t.Helper()
		var out bytes.Buffer
		o.Out = &out
		result, err := w.use().Logs(t.Context(), o)
		w.silentStack(out.String(), err)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n"), result, err
	}
	got, _, err := read(stack.LogsOptions{})
	if want := "api | one ‹TOKEN›\napi | two\ndb | three\nsetup | four ‹ADMIN›"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, _, err = read(stack.LogsOptions{Service: "db"}); got != "db | three" || err != nil {
		t.Errorf("one service: %q, %v", got, err)
	}
	if _, _, err = read(stack.LogsOptions{Service: "web\x1b"}); asError(t, err, fault.Usage).What != "docker-compose.yml has no service web?; it has api, db, setup" {
		t.Errorf("no such service: %v", err)
	}
	w.write("TOKEN", opstest.OtherValue)
	got, result, err := read(stack.LogsOptions{})
	if got != "db | three\nsetup | four ‹ADMIN›" || err != nil || !slices.Equal(result.Withheld, []string{"api"}) {
		t.Errorf("a value that is no longer known: %q, %v, %+v", got, err, result)
	}
	if !strings.Contains(w.Said.String(), "api: log withheld: it holds an older value") {
		t.Errorf("said %s", w.Said.String())
	}
	w.write("TOKEN", "abc")
	clear(w.containers)
	if _, _, err = read(stack.LogsOptions{}); !strings.Contains(asError(t, err, fault.Failed).What, "no containers") {
		t.Errorf("nothing runs: %v", err)
	}
	if !strings.Contains(w.Said.String(), "not masked: TOKEN") {
		t.Errorf("a value too short to mask is not named: %s", w.Said.String())
	}
}

// lockedBuffer is a buffer that a goroutine writes and the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func TestLogs_FollowNewContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.logs["api"] = "first\n"
		var out lockedBuffer
		end := follow(t, w, &out)
		pass(time.Second / 2)
		if !out.has("api | first") {
			t.Error("the first log is not shown")
		}
		w.mu.Lock()
		w.logs["api"] = "second\n"
		w.mu.Unlock()
		w.change("api", func(c *docker.Container) { c.ID, c.Started = "c99", time.Now() })
		pass(time.Second)
		if !out.has("api | second") {
			t.Error("the new container's log is not shown")
		}
		if _, err := end(); err != nil {
			t.Errorf("the end of following is an error: %v", err)
		}
	})
}

func TestLogs_FollowEndsWhenTheEngineGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		done := make(chan error, 1)
		go func() {
			_, err := w.use().Logs(t.Context(), stack.LogsOptions{Out: io.Discard, Follow: true})
			done <- err
		}()
		pass(5 * time.Second)
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		if err := <-done; fault.CodeOf(err) != fault.NoEngine {
			t.Errorf("got %v", err)
		}
	})
}

// logsOf runs stack:logs to its end and returns the lines, sorted.
func logsOf(w *world, o stack.LogsOptions) ([]string, stack.LogsResult, error) {
	w.T.Helper()
	var out bytes.Buffer
	o.Out = &out
	result, err := w.use().Logs(w.T.Context(), o)
	w.silentStack(out.String(), err)
	lines := strings.SplitAfter(out.String(), "\n")
	slices.Sort(lines)
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" }), result, err
}

// follow runs stack:logs -follow until the returned function is called, which
// returns what Logs did.
func follow(t *testing.T, w *world, out io.Writer) (end func() (stack.LogsResult, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var result stack.LogsResult
	done := make(chan error, 1)
	go func() {
		var err error
		result, err = w.use().Logs(ctx, stack.LogsOptions{Out: out, Follow: true, Tail: 5, Since: time.Unix(9, 0)})
		done <- err
	}()
	return func() (stack.LogsResult, error) { cancel(); err := <-done; return result, err }
}

func TestLogs_CutsWhatIsWrittenIntoLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		writes []string
		want   []string
	}{
		"no newline at the end":       {[]string{"one\ntwo"}, []string{"db | one\n", "db | two\n"}},
		"CRLF":                        {[]string{"one\r\ntwo\r\n"}, []string{"db | one\n", "db | two\n"}},
		"CRLF, cut in two":            {[]string{"one\r", "\ntwo"}, []string{"db | one\n", "db | two\n"}},
		"a carriage return in a line": {[]string{"one\rtwo\n"}, []string{"db | one\rtwo\n"}},
		"an empty line":               {[]string{"\none\n"}, []string{"db | \n", "db | one\n"}},
		"nothing":                     {nil, nil},
		"in pieces":                   {[]string{"o", "n", "e", "\nt", "wo\n"}, []string{"db | one\n", "db | two\n"}},
		"a value in pieces":           {[]string{"x " + adminValue[:4], adminValue[4:9], adminValue[9:] + " y\n"}, []string{"db | x ‹ADMIN› y\n"}},
		"one MiB":                     {[]string{long, "\n"}, []string{"db | " + long + "\n"}},
		"more than one MiB":           {[]string{long + "y", "z\n"}, []string{"db | " + long + "y\n", "db | z\n"}},
		"more than one MiB, ended":    {[]string{long + "y\n"}, []string{"db | " + long + "y\n"}},
		"a value at the cut":          {[]string{long + adminValue[:5], adminValue[5:] + "\n"}, []string{"db | " + long + "‹ADMIN›\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := started(t)
			w.read = func(_ context.Context, _ docker.Container, _ docker.LogOptions, stdout, _ io.Writer) error {
				for _, text := range test.writes {
					if n, err := io.WriteString(stdout, text); n != len(text) || err != nil {
						t.Errorf("wrote %d of %d bytes: %v", n, len(text), err)
					}
				}
				return nil
			}
			got, result, err := logsOf(w, stack.LogsOptions{Service: "db"})
			if !slices.Equal(got, test.want) || err != nil || !slices.Equal(result.Shown, []string{"db"}) {
				t.Errorf("%d lines, shown %v, %v", len(got), result.Shown, err)
				for _, line := range got {
					t.Logf("%.80q, %d bytes", line, len(line))
				}
			}
		})
	}
}

func TestLogs_KeepStandardOutputAndErrorApart(t *testing.T) {
	w := started(t)
	w.read = func(_ context.Context, _ docker.Container, _ docker.LogOptions, stdout, stderr io.Writer) error {
		for i, text := range []string{"out " + adminValue[:6], "err\n", adminValue[6:] + "\n", "last words"} {
			_, _ = io.WriteString([]io.Writer{stdout, stderr}[i%2], text)
		}
		return nil
	}
	got, _, err := logsOf(w, stack.LogsOptions{Service: "db"})
	if want := []string{"db | err\n", "db | last words\n", "db | out ‹ADMIN›\n"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestLogs_AskForTheGivenPart(t *testing.T) {
	w := started(t)
	since := time.Unix(1000, 0)
	if _, _, err := logsOf(w, stack.LogsOptions{Service: "db", Tail: 7, Since: since}); err != nil {
		t.Fatal(err)
	}
	if w.saw("not masked") {
		t.Errorf("said %s", w.Said.String())
	}
	if want := []docker.LogOptions{{Tail: 7, Since: since}}; !slices.Equal(w.asked, want) {
		t.Errorf("asked for %+v, want %+v", w.asked, want)
	}
}

func TestLogs_ShowTheValuesOfAServiceWithoutADigestAndWarn(t *testing.T) {
	w := started(t)
	w.change("db", func(c *docker.Container) { c.Labels = nil })
	w.logs["db"] = adminValue + "\n"
	got, result, err := logsOf(w, stack.LogsOptions{Service: "db"})
	if !slices.Equal(got, []string{"db | ‹ADMIN›\n"}) || err != nil || !slices.Equal(result.Shown, []string{"db"}) || len(result.Withheld) > 0 {
		t.Errorf("got %q, %+v, %v", got, result, err)
	}
	if !w.saw("warning: db was not started by stack:up with this key: only the values that are in secrets/ now are masked") {
		t.Errorf("said %s", w.Said.String())
	}
}

func TestLogs_WithholdWhatAnUndeclaredServiceWasGiven(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"it is no longer declared": func(w *world) {
			w.extra = []docker.Container{{ID: "x", Name: "shop-left-1", Service: "left", State: "running", Labels: w.containers["api"].Labels}}
		},
		"it is no longer granted anything": func(w *world) {
			w.Put("docker-compose.yml", strings.Replace(stackFile, "    secrets: [LOGIN, TOKEN]\n", "", 1))
			w.Put("docker-compose.yml", strings.Replace(w.File("docker-compose.yml"), "    secrets: [ADMIN, LOGIN]\n", "    secrets: [ADMIN, LOGIN, TOKEN]\n", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := started(t)
			spoil(w)
			w.write("TOKEN", opstest.OtherValue) // the container still has the one before
			service := "api"
			if w.extra != nil {
				service = "left"
			}
			w.logs[service] = "login with " + opstest.TokenValue + "\n"
			got, result, err := logsOf(w, stack.LogsOptions{})
			if service == "left" && !w.saw("left: log withheld: it holds an older value, which is not known here and cannot be masked; docker-compose.yml does not declare it any more") {
				t.Errorf("said %s", w.Said.String())
			}
			if err != nil || !slices.Contains(result.Withheld, service) || slices.Contains(result.Shown, service) {
				t.Errorf("%d lines, %+v, %v", len(got), result, err)
			}
		})
	}
}

func TestLogs_ShowAServiceThatWasNeverGrantedAnything(t *testing.T) {
	w := newWorld(t)
	w.Put("docker-compose.yml", strings.Replace(stackFile, "secrets:\n  ADMIN", "  web:\n    image: shop/web\nsecrets:\n  ADMIN", 1))
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.extra = []docker.Container{{ID: "x", Name: "shop-left-1", Service: "left", State: "running"}} // and one that has no digest
	w.logs["web"], w.logs["left"] = "served\n", "left\n"
	got, result, err := logsOf(w, stack.LogsOptions{})
	if want := []string{"left | left\n", "web | served\n"}; !slices.Equal(got, want) || err != nil || len(result.Withheld) > 0 {
		t.Errorf("got %q, %+v, %v; want %q", got, result, err, want)
	}
	w.Put("docker-compose.yml", stackFile) // web is no longer declared, and its digest is that of no grants
	if got, result, err = logsOf(w, stack.LogsOptions{}); !slices.Equal(got, []string{"left | left\n", "web | served\n"}) || err != nil || len(result.Withheld) > 0 {
		t.Errorf("not declared: %q, %+v, %v", got, result, err)
	}
}

func TestLogs_SayWhyThereIsNothing(t *testing.T) {
	w := newWorld(t)
	_, _, err := logsOf(w, stack.LogsOptions{})
	if e := asError(t, err, fault.Failed); e.What != "the stack has no containers here" || e.Next != "mage stack:up" {
		t.Errorf("got %v, next %s", err, e.Next)
	}
	if _, err := w.up(stack.UpOptions{}); err != nil {
		t.Fatal(err)
	}
	w.write("ADMIN", "another-admin")
	got, result, err := logsOf(w, stack.LogsOptions{Service: "db"})
	if err != nil || len(got) > 0 || len(result.Shown) > 0 || !slices.Equal(result.Withheld, []string{"db"}) {
		t.Errorf("all is withheld: %q, %+v, %v", got, result, err)
	}
	if err := os.Remove(filepath.Join(w.Dir, "docker-compose.yml")); err != nil {
		t.Fatal(err)
	}
	_, err = w.use().Logs(t.Context(), stack.LogsOptions{Out: io.Discard, Follow: true})
	asError(t, err, fault.Invalid)
}

func TestLogs_NeedTheDotEnvToKnowWhatToMask(t *testing.T) {
	w := started(t)
	w.files = map[string]error{"Read .env": errLost}
	w.env["SHOP_PORT"], w.env[images.PostgresVariable] = "9000", "postgres:17" // nothing else asks for the .env
	w.logs["db"] = "one\n"
	got, _, err := logsOf(w, stack.LogsOptions{})
	if !errors.Is(err, errLost) || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLogs_MaskValuesOfTheDotEnv(t *testing.T) {
	w := started(t)
	w.Put(".env", "TOKEN="+opstest.OtherValue+"\n")
	w.logs["api"] = opstest.OtherValue + " and " + opstest.TokenValue + "\n"
	if got, _, err := logsOf(w, stack.LogsOptions{Service: "api"}); !slices.Equal(got, []string{"api | ‹TOKEN› and ‹TOKEN›\n"}) || err != nil {
		t.Errorf("%d lines, %v", len(got), err)
	}
}

func TestLogs_FailIfTheEngineGoesWhileOneIsRead(t *testing.T) {
	for _, test := range []struct {
		err  error
		want fault.Code
	}{{&fault.Error{Code: fault.NoEngine, What: "gone"}, fault.NoEngine}, {errors.New("the container was removed"), 0}} {
		w := started(t)
		w.read = func(_ context.Context, c docker.Container, _ docker.LogOptions, stdout, _ io.Writer) error {
			_, _ = io.WriteString(stdout, "before\n")
			if c.Service == "api" {
				return test.err
			}
			return nil
		}
		got, _, err := logsOf(w, stack.LogsOptions{})
		if want := []string{"api | before\n", "db | before\n", "setup | before\n"}; fault.CodeOf(err) != test.want || !slices.Equal(got, want) {
			t.Errorf("%v: got %q, %v", test.err, got, err)
		}
	}
}

func TestLogs_FollowEndsIfTheEngineGoesWhileOneIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.read = func(context.Context, docker.Container, docker.LogOptions, io.Writer, io.Writer) error {
			return &fault.Error{Code: fault.NoEngine, What: "gone"}
		}
		begun := time.Now()
		_, err := w.use().Logs(t.Context(), stack.LogsOptions{Out: io.Discard, Follow: true})
		if took := time.Since(begun); fault.CodeOf(err) != fault.NoEngine || took != time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestLogs_FollowAContainerThatStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.logs["db"] = "first\n"
		var out lockedBuffer
		end := follow(t, w, &out)
		pass(3 * time.Second)
		if !out.has("db | first\n") || len(w.asked) != 3 {
			t.Errorf("read %d logs, want one for each container", len(w.asked))
		}
		for _, o := range w.asked {
			if want := (docker.LogOptions{Follow: true, Tail: 5, Since: time.Unix(9, 0)}); o != want {
				t.Errorf("asked for %+v, want %+v", o, want)
			}
		}
		again := time.Now()
		w.mu.Lock()
		w.logs["db"], w.logs["setup"] = "second\n", "not running\n"
		w.mu.Unlock()
		w.change("db", func(c *docker.Container) { c.Started = again })
		w.change("setup", func(c *docker.Container) { c.Started = again }) // it has ended again
		pass(3 * time.Second)
		if want := (docker.LogOptions{Follow: true, Since: again}); len(w.asked) != 4 || w.asked[3] != want || !out.has("db | second\n") || out.has("not running") {
			t.Errorf("asked for %+v, want %+v in the end", w.asked, want)
		}
		w.mu.Lock()
		w.extra = []docker.Container{{ID: "x", Name: "shop-db-2", Service: "db", State: "running", Labels: w.containers["db"].Labels}}
		w.mu.Unlock()
		pass(3 * time.Second)
		if want := (docker.LogOptions{Follow: true}); len(w.asked) != 5 || w.asked[4] != want {
			t.Errorf("asked for %+v, want a new container's whole log", w.asked)
		}
		if _, err := end(); err != nil {
			t.Errorf("the end of following: %v", err)
		}
	})
}

func TestLogs_FollowReadsALogOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.read = func(ctx context.Context, _ docker.Container, _ docker.LogOptions, _, _ io.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		}
		end := follow(t, w, io.Discard)
		pass(3 * time.Second)
		w.change("db", func(c *docker.Container) { c.Started = time.Now() })
		pass(3 * time.Second)
		result, err := end()
		if len(w.asked) != 3 || err != nil || len(result.Shown) != 3 {
			t.Errorf("read %d logs, %+v, %v", len(w.asked), result, err)
		}
	})
}

func TestLogs_FollowWithholdsAContainerAlsoAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startedHere(t)
		w.write("TOKEN", opstest.OtherValue)
		w.logs["api"] = "login with " + opstest.TokenValue + "\n"
		var out lockedBuffer
		end := follow(t, w, &out)
		pass(3 * time.Second)
		w.change("api", func(c *docker.Container) { c.Started = time.Now() })
		pass(3 * time.Second)
		result, err := end()
		if err != nil || !slices.Equal(result.Withheld, []string{"api"}) {
			t.Errorf("%+v, %v", result, err)
		}
		if out.has("api |") {
			t.Error("the log of a container with an older value was shown after it started again")
		}
	})
}

func TestLogs_FollowWaitsForTheFirstContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var out lockedBuffer
		end := follow(t, w, &out)
		pass(10 * time.Second)
		w.mu.Lock()
		w.containers["db"] = docker.Container{ID: "c", Name: "shop-db-1", Service: "db", State: "running"}
		w.logs["db"] = "here\n"
		w.mu.Unlock()
		pass(2 * time.Second)
		if result, err := end(); !out.has("db | here\n") || err != nil || !slices.Equal(result.Shown, []string{"db"}) {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

func TestLogs_FollowThatIsStoppedAtOnceIsNoError(t *testing.T) {
	w := started(t)
	w.connectErr = &fault.Error{Code: fault.Interrupted, What: "stopped", Cause: context.Canceled}
	if _, err := w.use().Logs(t.Context(), stack.LogsOptions{Out: io.Discard, Follow: true}); err != nil {
		t.Errorf("followed: %v", err)
	}
	_, err := w.use().Logs(t.Context(), stack.LogsOptions{Out: io.Discard})
	if fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("not followed: %v", err)
	}
}

// closedPipe fails every write.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLogs_ReaderMayCloseThePipe(t *testing.T) {
	w := started(t)
	w.logs["db"] = "one\ntwo\n"
	if result, err := w.use().Logs(t.Context(), stack.LogsOptions{Out: closedPipe{}}); err != nil || len(result.Shown) != 3 {
		t.Errorf("%+v, %v", result, err)
	}
}
