//go:build unix

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// unprivileged is the user that runs commands if the tests run as root, whom file modes
// do not stop.
const unprivileged = 65534

// unixCommands are the commands of scripts that need users and signals.
func unixCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"asuser":     asUser,
		"interrupts": interrupts,
		"mute":       mute,
	}
}

// asuser [off]: run the binary from now on as a user whom file modes stop.
func asUser(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) > 0 {
		of(ts).elsewhere = nil
		return
	}
	if os.Geteuid() == 0 { // the directories of tests are only for root
		passable(ts, ts.MkAbs("."))
		passable(ts, filepath.Dir(ts.Getenv("KEEPMUM")))
	}
	of(ts).elsewhere = func(ts *testscript.TestScript, args []string) (said, error) {
		cmd := command(ts, args)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged, NoSetGroups: false}}
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		return said{stdout.String(), stderr.String()}, err
	}
}

// passable lets every user pass through a directory of these tests and its
// parents.
func passable(ts *testscript.TestScript, dir string) {
	for ; strings.HasPrefix(dir, sharedTemporary+string(filepath.Separator)); dir = filepath.Dir(dir) {
		ts.Check(os.Chmod(dir, 0o755))
	}
}

// command runs the binary in the directory of the script, with those of its
// variables that matter.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(ts.Getenv("KEEPMUM"), args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "DOCKER_HOST", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "XDG_CACHE_HOME", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "KEEPMUM_COMPOSE_FILE", "KEEPMUM_POSTGRES_IMAGE", "KEEPMUM_KEY_FILE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// A waiting command has to return within a second after a signal, and within
// three if it has to end a child too (DESIGN section 8).
const (
	prompt  = time.Second
	patient = 3 * time.Second
	// reach is the limit until a command waits.
	reach = 2 * time.Minute
)

// interrupts SIGNAL REGEXP ARGS...: run the binary with an open standard input,
// wait until its output matches, send the signal, and require exit code 130
// within a second (with -children within three), an error that says so, and
// nothing on standard output. A log that is followed ends with 0. In place of the
// expression, `reading` waits until the binary reads its standard input, and
// `file=NAME` until that file exists.
func interrupts(ts *testscript.TestScript, _ bool, args []string) {
	limit := prompt
	if args[0] == "-children" {
		limit, args = patient, args[1:]
	}
	signal, ok := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[args[0]]
	if !ok {
		ts.Fatalf("no signal %s", args[0])
	}
	cmd := command(ts, args[2:])
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	defer stdin.Close()
	stdout, stderr := &watched{}, &watched{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), reach)
	defer cancel()
	if name, ok := strings.CutPrefix(args[1], "file="); ok {
		stderr.reached = appeared(ctx, ts.MkAbs(name))
	} else if args[1] == "reading" {
		stderr.reached = fed(stdin)
	} else {
		stdout.until(regexp.MustCompile(args[1]))
		stderr.until(regexp.MustCompile(args[1]))
	}
	select {
	case <-stdout.reached:
	case <-stderr.reached:
	case err := <-ended:
		ts.Fatalf("the command ended before it waited: %v\n%s", err, stderr)
	case <-ctx.Done():
		ts.Fatalf("the command never waited\n%s", stderr)
	}
	sent := time.Now()
	ts.Check(cmd.Process.Signal(signal))
	select {
	case err = <-ended:
	case <-ctx.Done():
		ts.Fatalf("the command did not end after the signal\n%s", stderr)
	}
	took := time.Since(sent)
	t := of(ts)
	t.last = said{stdout.String(), stderr.String()}
	t.output.WriteString(t.last.stdout + t.last.stderr)
	_, _ = io.WriteString(ts.Stdout(), t.last.stdout)
	_, _ = io.WriteString(ts.Stderr(), t.last.stderr)
	if took > limit {
		ts.Fatalf("the command took %s to end, want %s at most", took, limit)
	}
	if args[2] == "stack:logs" { // the way to end a followed log
		ts.Check(err)
		return
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		ts.Fatalf("ended with %v, want exit code 130", err)
	}
	requireError(ts, t.last.stderr)
	switch {
	case slices.Contains(args, "-json"):
		requireDocument(ts, t.last.stdout)
	case t.last.stdout != "" && args[2] != "test:unit": // whose tally is data
		ts.Fatalf("standard output is not empty")
	}
}

// mute: use an engine from now on that accepts connections and never answers. The
// file asked appears with each connection.
func mute(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := os.MkdirTemp("/tmp", "keepmum-mute-") // a socket's path is short
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	path, asked := filepath.Join(dir, "mute.sock"), ts.MkAbs("asked")
	listener, err := net.Listen("unix", path)
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_ = os.WriteFile(asked, nil, 0o600)
		}
	}()
	ts.Setenv("DOCKER_HOST", "unix://"+path)
}

// fed writes more to a pipe than it can hold, and closes the channel when all is
// read.
func fed(pipe io.Writer) <-chan struct{} {
	reached := make(chan struct{})
	go func() {
		if _, err := pipe.Write(bytes.Repeat([]byte("v"), 200_000)); err == nil {
			close(reached)
		}
	}()
	return reached
}

// appeared closes the channel when the file exists, and removes it.
func appeared(ctx context.Context, path string) <-chan struct{} {
	reached := make(chan struct{})
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for os.Remove(path) != nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		close(reached)
	}()
	return reached
}

// watched keeps what is written and signals a match.
type watched struct {
	mu      sync.Mutex
	text    bytes.Buffer
	sign    *regexp.Regexp
	reached <-chan struct{}
	signal  func()
}

// until closes reached when the text matches.
func (w *watched) until(sign *regexp.Regexp) {
	w.mu.Lock()
	defer w.mu.Unlock()
	reached := make(chan struct{})
	w.sign, w.reached, w.signal = sign, reached, sync.OnceFunc(func() { close(reached) })
	if sign.Match(w.text.Bytes()) {
		w.signal()
	}
}

// Write keeps the text.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.sign != nil && w.sign.Match(w.text.Bytes()) {
		w.signal()
	}
	return len(p), nil
}

// String returns what was written.
func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
