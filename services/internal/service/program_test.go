package service_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
)

// Values of the tests. They are random enough to appear nowhere by chance.
const (
	keyValue      = "k3y+/=&?canary-9c41d0e7"
	passwordValue = "pw-canary-51b7a2f8"
)

type config struct {
	Key      secrets.Secret `secret:"UPSTREAM_KEY"`
	Login    secrets.Secret `secret:"LOGIN"`
	Interval time.Duration  `env:"POLL_INTERVAL,default=30s"`
}

// surroundings is a process with both secrets, an environment and its own
// health address.
type surroundings struct {
	service.Process
	stdout, stderr *servicetest.Buffer
}

func surround(t *testing.T, environment map[string]string, arguments ...string) surroundings {
	t.Helper()
	if environment == nil {
		environment = map[string]string{}
	}
	if environment["HEALTH_ADDRESS"] == "" {
		environment["HEALTH_ADDRESS"] = servicetest.FreeAddress(t).String()
	}
	process, stderr := servicetest.Process(environment, secrets.Map(map[string]string{
		"UPSTREAM_KEY": keyValue, "LOGIN": "app_a:" + passwordValue,
	}))
	s := surroundings{Process: process, stdout: &servicetest.Buffer{}, stderr: stderr}
	s.Args, s.Stdout = arguments, s.stdout
	return s
}

// leaks names the values that text holds, in any encoding.
func leaks(t *testing.T, text string) []string {
	t.Helper()
	return servicetest.Leaks(t, text, map[string]string{"UPSTREAM_KEY": keyValue, "PASSWORD": passwordValue})
}

// records parses JSON log lines.
func records(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("a line of the log is not JSON: %s", line)
		}
		all = append(all, record)
	}
	return all
}

func program(run func(context.Context, *service.Kit, *config) error) service.Program[config] {
	return service.Program[config]{Name: "example", Run: run}
}

// every is a value raw and in the encodings that logs bring about.
func every(value string) string {
	quoted, _ := json.Marshal(value)
	return strings.Join([]string{
		value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte("x" + value)),
		hex.EncodeToString([]byte(value)), string(quoted), fmt.Sprintf("%q", value),
	}, " ")
}

// failing cannot be marshalled, and says why with the value in it.
type failing struct{ text string }

func (f failing) MarshalJSON() ([]byte, error) { return nil, errors.New(f.text) }

// speaking marshals itself as its text.
type speaking struct{ text string }

func (s speaking) MarshalJSON() ([]byte, error) { return json.Marshal(s.text) }

func TestExitCodesAndMaskedLogs(t *testing.T) {
	both := every(keyValue) + " " + every(passwordValue)
	if len(leaks(t, both)) < 8 {
		t.Fatalf("the canary is not found: %v", leaks(t, both))
	}
	for name, test := range map[string]struct {
		run  func(context.Context, *service.Kit, *config) error
		code int
		says string
	}{
		"its end": {func(context.Context, *service.Kit, *config) error { return nil }, 0, "stopped"},
		"failure": {func(context.Context, *service.Kit, *config) error { return errors.New(both) }, 1, "‹UPSTREAM_KEY›"},
		"panic":   {func(context.Context, *service.Kit, *config) error { panic(both) }, 2, "‹LOGIN›"},
		"panic with an error": {func(context.Context, *service.Kit, *config) error {
			panic(fmt.Errorf("wrapped: %w", errors.New(both)))
		}, 2, "wrapped"},
		"panic in a goroutine": {func(ctx context.Context, kit *service.Kit, _ *config) error {
			kit.Go("other", func(context.Context) error { panic(both) })
			<-ctx.Done()
			return ctx.Err()
		}, 2, `"goroutine":"other"`},
		"failure in a goroutine": {func(ctx context.Context, kit *service.Kit, _ *config) error {
			kit.Go("other", func(context.Context) error { return errors.New(both) })
			<-ctx.Done()
			return ctx.Err()
		}, 1, "other: ‹UPSTREAM_KEY›"},
		"runtime panic": {func(context.Context, *service.Kit, *config) error {
			return []error{}[len(both)]
		}, 2, "index out of range"},
		"ended by Goexit": {func(context.Context, *service.Kit, *config) error {
			runtime.Goexit()
			return nil
		}, 1, "goroutine run ended itself"},
		"configuration found bad late": {func(context.Context, *service.Kit, *config) error {
			return fmt.Errorf("late: %w", &service.ConfigError{Name: "UPSTREAM_KEY", What: "is not a key", Next: "secrets:set"})
		}, 3, "is not a key"},
		"log of any kind": {func(_ context.Context, kit *service.Kit, c *config) error {
			kit.Log.With("a", both).WithGroup("g").Info(both, "err", errors.New(both), "any", struct{ V string }{both}, "bytes", []byte(both), "secret", c.Key)
			kit.Log.Info("marshallers", "fails", failing{both}, "speaks", speaking{both}, "url", &url.URL{RawQuery: both})
			return nil
		}, 0, "‹UPSTREAM_KEY›"},
	} {
		t.Run(name, func(t *testing.T) {
			s := surround(t, nil)
			code := program(test.run).Execute(t.Context(), s.Process)
			log := s.stderr.String()
			if code != test.code || !strings.Contains(log, test.says) {
				t.Errorf("exit code %d, want %d; the log should say %q", code, test.code, test.says)
			}
			if found := leaks(t, log+s.stdout.String()); len(found) > 0 {
				t.Errorf("the output shows values: %v", found)
			}
			records(t, log)
		})
	}
}

func TestStopIsGraceful(t *testing.T) {
	s := surround(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	finished := false
	code := program(func(ctx context.Context, kit *service.Kit, _ *config) error {
		stop()
		<-ctx.Done()
		finished = true // the work's own end
		return ctx.Err()
	}).Execute(ctx, s.Process)
	if code != 0 || !finished {
		t.Errorf("exit code %d, finished %v", code, finished)
	}
}

func TestProgramReportsAllProblems(t *testing.T) {
	canary := "canary-77aa"
	type bad struct {
		Key   secrets.Secret `secret:"UPSTREAM_KEY"`
		Other secrets.Secret `secret:"OTHER_KEY"`
		Speed float64        `env:"SPEED"`
		Every time.Duration  `env:"EVERY"`
	}
	s := surround(t, map[string]string{"EVERY": canary, "LOG_LEVEL": canary, "HEALTH_ADDRESS": "0.0.0.0:1"})
	s.Loader.Source = secrets.Map(nil)
	ran := false
	code := service.Program[bad]{Name: "example", Run: func(context.Context, *service.Kit, *bad) error {
		ran = true
		return nil
	}}.Execute(t.Context(), s.Process)
	if code != 3 || ran {
		t.Errorf("exit code %d, ran %v; want 3 and no run", code, ran)
	}
	var names []any
	for _, record := range records(t, s.stderr.String()) {
		if record["level"] == "ERROR" && record["name"] != nil {
			names = append(names, record["name"])
		}
	}
	if got := fmt.Sprint(names); got != "[UPSTREAM_KEY OTHER_KEY SPEED EVERY LOG_LEVEL HEALTH_ADDRESS]" {
		t.Errorf("problems of %s", got)
	}
	if strings.Contains(s.stderr.String(), canary) {
		t.Error("the log quotes the content of a variable")
	}
}

func TestSubcommands(t *testing.T) {
	never := program(func(context.Context, *service.Kit, *config) error { t.Error("it ran"); return nil })
	for _, test := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"version"}, 0, "example "},
		{[]string{"serve"}, 2, "unknown arguments"},
		{[]string{"health", "-w"}, 2, "unknown arguments"},
		{[]string{"health"}, 1, "no answer: connection refused"},
		{[]string{"health", "-v"}, 1, "secret UPSTREAM_KEY from map"},
	} {
		s := surround(t, nil, test.arguments...)
		if code := never.Execute(t.Context(), s.Process); code != test.code {
			t.Errorf("%v: exit code %d, want %d", test.arguments, code, test.code)
		}
		output := s.stdout.String() + s.stderr.String()
		if !strings.Contains(output, test.says) || len(leaks(t, output)) > 0 {
			t.Errorf("%v says %s, want %q", test.arguments, output, test.says)
		}
	}
}

// A serving program answers its own health subcommand, by the registry.
func TestHealthOfARunningProgram(t *testing.T) {
	s := surround(t, nil)
	kits := make(chan *service.Kit)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int)
	p := program(func(ctx context.Context, kit *service.Kit, _ *config) error {
		kits <- kit
		<-ctx.Done()
		return ctx.Err()
	})
	go func() { ended <- p.Execute(ctx, s.Process) }()
	kit := <-kits
	ask := func(arguments ...string) (int, string) {
		asked := s.Process
		asked.Args = append([]string{"health"}, arguments...)
		output := &servicetest.Buffer{}
		asked.Stdout = output
		return p.Execute(t.Context(), asked), output.String()
	}
	servicetest.Until(t, "the registry says that no check is there", func() bool { _, says := ask(); return strings.Contains(says, "start (the service has not registered") })
	if code, says := ask("-started"); code != 1 || !strings.Contains(says, "failing: start") {
		t.Errorf("started, before it was ever healthy: exit code %d: %s", code, says)
	}
	kit.Health.Set("upstream", nil)
	if code, says := ask("-v"); code != 0 || !strings.HasPrefix(says, "ok\nsecret LOGIN from map") {
		t.Errorf("exit code %d: %s", code, says)
	}
	kit.Health.Set("upstream", errors.New("it is down"))
	kit.Health.Set("another", errors.New("it is late"))
	if code, says := ask(); code != 1 || says != "failing: another (it is late), upstream (it is down)\n" {
		t.Errorf("exit code %d: %s", code, says)
	}
	if code, says := ask("-started"); code != 0 || says != "started, failing: another (it is late), upstream (it is down)\n" {
		t.Errorf("started: exit code %d: %s", code, says)
	}
	kit.Health.Set("upstream", nil)
	kit.Health.Set("another", nil)
	if code, says := ask("-started"); code != 0 || says != "ok\n" {
		t.Errorf("started and healthy: exit code %d: %s", code, says)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after a stop", code)
	}
	if code, says := ask("-started"); code != 1 || !strings.Contains(says, "no answer") {
		t.Errorf("after its end: exit code %d: %s", code, says)
	}
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := surround(t, map[string]string{"HEALTH_ADDRESS": taken.Addr().String()})
	code := program(func(ctx context.Context, _ *service.Kit, _ *config) error { <-ctx.Done(); return ctx.Err() }).Execute(t.Context(), s.Process)
	if code != 1 || !strings.Contains(s.stderr.String(), "address already in use; is another program using the port?") {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}

// A request under way is answered after the stop; a panic in a handler is
// logged masked and the server goes on.
func TestServe(t *testing.T) {
	s := surround(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	arrived, release := make(chan bool), make(chan bool)
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-release
		fmt.Fprint(w, "whole")
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(every(keyValue)) })
	address := make(chan string, 1)
	ended := make(chan int, 1)
	go func() {
		ended <- program(func(ctx context.Context, kit *service.Kit, _ *config) error {
			return kit.Serve(ctx, service.Server{
				Address: "127.0.0.1:0", Handler: mux, Listening: func(a net.Addr) { address <- a.String() },
			})
		}).Execute(ctx, s.Process)
	}()
	base := "http://" + <-address
	if status, _ := get(base + "/panic"); status != http.StatusInternalServerError {
		t.Errorf("status %d after a panic", status)
	}
	answer := make(chan string, 1)
	go func() { _, body := get(base + "/slow"); answer <- body }()
	<-arrived
	stop()
	servicetest.Until(t, "the server accepts no calls", func() bool { status, _ := get(base + "/panic"); return status == 0 })
	release <- true
	if body := <-answer; body != "whole" {
		t.Errorf("the request under way got %q", body)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := s.stderr.String()
	if found := leaks(t, log); len(found) > 0 || !strings.Contains(log, "‹UPSTREAM_KEY›") {
		t.Errorf("the panic is not logged masked: %v", found)
	}
}

// get returns status and body; status 0 without an answer.
func get(address string) (int, string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(address)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body := &bytes.Buffer{}
	_, _ = body.ReadFrom(response.Body)
	return response.StatusCode, body.String()
}
