package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// served starts the program with variables, waits until it listens, and returns
// its port and the function that signals it and waits for its exit code.
func served(t *testing.T, variables ...string) (port string, end func(syscall.Signal) int) {
	t.Helper()
	cmd, _, stderr := started(t, "", "serve")
	cmd.Env = append(append(cmd.Env, "SERVE_PORT=0"), variables...)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), "listens on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v, %q", line, err, stderr.String())
	}
	if _, port, err = net.SplitHostPort(address); err != nil {
		t.Fatal(err)
	}
	return port, func(signal syscall.Signal) int {
		if signal != 0 {
			if err := cmd.Process.Signal(signal); err != nil {
				t.Error(err)
			}
		}
		_ = cmd.Wait() // its code says how it ended
		return cmd.ProcessState.ExitCode()
	}
}

// asked sends one request to a port of this machine.
func asked(t *testing.T, port, path string) (string, error) {
	t.Helper()
	return request(t.Context(), order{url: "http://127.0.0.1:" + port + path, timeout: 10 * time.Second})
}

func TestServe_AnswersWithItsVersionAndEndsWithASignal(t *testing.T) {
	port, end := served(t, "SERVE_VERSION=v7")
	for _, path := range []string{"/", "/health", "/any"} {
		if answer, err := asked(t, port, path); err != nil || answer != "v7" {
			t.Errorf("%s: %q, %v", path, answer, err)
		}
	}
	if err := (service{port: port}).health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	if code := end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := asked(t, port, "/"); err == nil {
		t.Error("it still answers")
	}
	if (service{port: port}).health(t.Context()) == nil {
		t.Error("health of nothing is well")
	}
}

func TestServe_IsNeverHealthy(t *testing.T) {
	port, end := served(t, "SERVE_UNHEALTHY=true", "SERVE_VERSION=v1")
	if answer, err := asked(t, port, "/"); err != nil || answer != "v1" {
		t.Errorf("%q, %v", answer, err)
	}
	cmd, _, _ := started(t, "", "health")
	cmd.Env = append(cmd.Env, "SERVE_PORT="+port)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("health: %v", err)
	}
	end(syscall.SIGKILL)
}

func TestServe_GoesOnAfterSIGTERMForAsLongAsItDrains(t *testing.T) {
	const drain = 700 * time.Millisecond
	port, end := served(t, "SERVE_DRAIN="+drain.String(), "SERVE_VERSION=v1")
	begun, ended := time.Now(), make(chan int, 1)
	go func() { ended <- end(syscall.SIGTERM) }()
	answers := 0
	for {
		select {
		case code := <-ended:
			if took := time.Since(begun); code != 0 || took < drain || answers == 0 {
				t.Errorf("exit code %d after %s and %d answers", code, took, answers)
			}
			return
		default:
		}
		if _, err := asked(t, port, "/"); err == nil && time.Since(begun) > drain/7 { // the signal has arrived
			answers++
		}
	}
}

func TestServe_CrashesWithTheCodeThatItIsTold(t *testing.T) {
	begun := time.Now()
	_, end := served(t, "SERVE_CRASH_AFTER=300ms", "SERVE_EXIT_CODE=7")
	if code := end(0); code != 7 || time.Since(begun) < 300*time.Millisecond {
		t.Errorf("exit code %d after %s", code, time.Since(begun))
	}
	crash := service{crashAfter: time.Millisecond, listenAfter: time.Hour, code: 9}
	var code exitCode
	if err := crash.serve(t.Context(), nil); !errors.As(err, &code) || code != 9 {
		t.Errorf("a crash while it hangs: %v", err)
	}
}

func TestServe_HangsBeforeItListens(t *testing.T) {
	begun := time.Now()
	_, end := served(t, "SERVE_LISTEN_AFTER=400ms")
	if took := time.Since(begun); took < 400*time.Millisecond {
		t.Errorf("it listens after %s", took)
	}
	end(syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (service{listenAfter: time.Hour}).serve(ctx, nil); err != nil {
		t.Errorf("a signal while it hangs: %v", err)
	}
}

func TestServe_SaysThatItsPortIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := (service{port: port}).serve(t.Context(), nil); err == nil {
		t.Error("a port that is taken is served")
	}
}

func TestServiceOf_NamesEveryVariableThatIsWrong(t *testing.T) {
	variables := map[string]string{"SERVE_VERSION": "v2", "SERVE_UNHEALTHY": "1", "SERVE_EXIT_CODE": "3", "SERVE_LISTEN_AFTER": "1s", "SERVE_CRASH_AFTER": "2s", "SERVE_DRAIN": "3s", "SERVE_PORT": "81", "SERVE_FILL": "9"}
	want := service{version: "v2", port: "81", unhealthy: true, listenAfter: time.Second, crashAfter: 2 * time.Second, code: 3, drain: 3 * time.Second, fill: 9}
	if s, err := serviceOf(func(name string) string { return variables[name] }); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := serviceOf(func(string) string { return "" }); err != nil || s != (service{port: "8080", code: 1}) {
		t.Errorf("nothing is set: %+v, %v", s, err)
	}
	_, err := serviceOf(func(string) string { return "soon" })
	for name := range variables {
		free := name == "SERVE_VERSION" || name == "SERVE_PORT" // any text
		if err == nil || strings.Contains(err.Error(), name) == free {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := serviceOf(func(name string) string { return map[string]string{"SERVE_FILL": "-1"}[name] }); err == nil {
		t.Error("less than no memory is filled")
	}
	cmd, _, stderr := started(t, "", "serve")
	cmd.Env = append(cmd.Env, "SERVE_DRAIN=soon")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 || stderr.String() != "helper: SERVE_DRAIN is not understood\n" {
		t.Errorf("%v, %q", err, stderr.String())
	}
}
