package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
	"github.com/keepmum/keepmum/services/internal/service"
)

// passwordValue is the database password of the tests, not a secret.
const passwordValue = "Qm7xW2nB5vC8zL4k"

// output is a buffer for several writers.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// running is the whole program in this process, on a free port.
type running struct {
	url    string
	stop   context.CancelFunc
	code   chan int
	stderr *output
}

// start runs the program with no database at the address given.
func start(t *testing.T, values map[string]string, databasePort string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, code: make(chan int, 1), stderr: &output{}}
	listening := make(chan net.Addr, 1)
	environment := map[string]string{"DB_HOST": "127.0.0.1", "DB_PORT": databasePort}
	process := service.Process{
		LookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		Stdout:    io.Discard, Stderr: r.stderr,
		Loader: secrets.Loader{Source: secrets.Dir(secretstest.Write(t, values, nil))},
	}
	p := program(service.Server{Address: "127.0.0.1:0", Linger: 3 * time.Second, Listening: func(a net.Addr) { listening <- a }})
	go func() { r.code <- p.Execute(ctx, process) }()
	t.Cleanup(func() { stop(); r.wait(t) })
	select {
	case address := <-listening:
		r.url = "http://" + address.String()
	case code := <-r.code:
		r.code <- code
	case <-time.After(time.Minute):
		t.Fatal("the program neither listens nor ends")
	}
	return r
}

func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		r.code <- code
		return code
	case <-time.After(time.Minute):
		t.Fatal("the program does not end")
		return -1
	}
}

// get asks with a new connection; status 0 means that nobody answers.
func (r *running) get(t *testing.T, path string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal("the address is none")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// until polls until ok, with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func goodSecrets() map[string]string {
	return map[string]string{"STRICT_API_TOKEN": rightValue, "DB_APP_LOGIN": "app_a:" + passwordValue}
}

// closedPort is one where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Without its database the API answers, says what fails, and stops when asked:
// health fails at once, requests are still answered for a while, and the end
// is a good one. The whole of its log tells no value.
func TestProgramWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	r := start(t, goodSecrets(), closedPort(t))
	token := []string{"Authorization", "Bearer " + rightValue}
	until(t, "health names postgres", func() bool {
		code, body := r.get(t, "/health")
		return code == 503 && strings.Contains(body, `"failing":["postgres"]`)
	})
	if code, body := r.get(t, "/games", token...); code != 503 || !strings.Contains(body, `"code":"database"`) {
		t.Errorf("/games: %d %s", code, body)
	}
	if code, _ := r.get(t, "/games?token="+rightValue); code != 400 {
		t.Errorf("token in the query: %d", code)
	}
	if code, body := r.get(t, "/health", token...); code != 503 || !strings.Contains(body, `"name":"STRICT_API_TOKEN"`) || !strings.Contains(body, `"name":"DB_APP_LOGIN"`) {
		t.Errorf("/health with the token: %d %s", code, body)
	}
	r.stop()
	until(t, "health says that it stops", func() bool {
		code, body := r.get(t, "/health")
		return code == 503 && strings.Contains(body, "stop")
	})
	if code, _ := r.get(t, "/games"); code != 401 {
		t.Errorf("a request while it lingers: %d, want 401", code)
	}
	if code := r.wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if code, _ := r.get(t, "/health"); code != 0 {
		t.Errorf("it still answers after its end: %d", code)
	}
	for _, value := range []string{rightValue, passwordValue} {
		if len(tells(r.stderr.String(), value)) > 0 {
			t.Error("the log tells a value")
		}
	}
}

func TestProgramRefusesBadSecrets(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]string{
		"none":               {},
		"no token":           {"DB_APP_LOGIN": "app_a:" + passwordValue},
		"login without role": {"STRICT_API_TOKEN": rightValue, "DB_APP_LOGIN": passwordValue},
		"login of another":   {"STRICT_API_TOKEN": rightValue, "DB_APP_LOGIN": "postgres:" + passwordValue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, values, "5432")
			if code := r.wait(t); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			if len(tells(r.stderr.String(), passwordValue)) > 0 {
				t.Error("the log tells a value")
			}
			if name == "none" && (!strings.Contains(r.stderr.String(), "STRICT_API_TOKEN") || !strings.Contains(r.stderr.String(), "DB_APP_LOGIN")) {
				t.Error("the log does not name both secrets")
			}
		})
	}
}
