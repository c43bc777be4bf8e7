package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
)

// passwordValue is the database password of the tests, not a secret.
const passwordValue = "Qm7xW2nB5vC8zL4k"

// running is the whole program in this process, on a free port.
type running struct {
	*servicetest.Running
	url string
}

// start runs a program by run and waits until it listens or ends.
func start(t *testing.T, run func(service.Program[config]) *servicetest.Running) running {
	t.Helper()
	listening := make(chan net.Addr, 1)
	r := running{Running: run(program(service.Server{Address: "127.0.0.1:0", Listening: func(a net.Addr) { listening <- a }}))}
	select {
	case address := <-listening:
		r.url = "http://" + address.String()
	case <-r.Ended:
	case <-time.After(time.Minute):
		t.Fatal("the program neither listens nor ends")
	}
	return r
}

// startAlone runs the program with no database on the port given.
func startAlone(t *testing.T, values map[string]string, databasePort string) running {
	t.Helper()
	return start(t, func(p service.Program[config]) *servicetest.Running {
		return servicetest.Start(t, p, map[string]string{"DB_HOST": "127.0.0.1", "DB_PORT": databasePort, "SHUTDOWN_DELAY": "3s"}, secrets.Dir(secretstest.Write(t, values, nil)))
	})
}

// get asks with a new connection; status 0 means that there is no answer.
func (r running) get(t *testing.T, path string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal("the address is not valid")
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

func goodSecrets() map[string]string {
	return map[string]string{"STRICT_API_TOKEN": rightValue, "DB_APP_LOGIN": "app_a:" + passwordValue}
}

// Without its database the API answers, says what fails, and stops when asked:
// health fails at once, requests are still answered for a while, and it
// exits 0. Its log shows no value.
func TestProgramWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	r := startAlone(t, goodSecrets(), strconv.Itoa(servicetest.FreeAddress(t).Port))
	token := []string{"Authorization", "Bearer " + rightValue}
	servicetest.Until(t, "health names postgres", func() bool {
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
	r.Ask()
	servicetest.Until(t, "health says that it stops", func() bool {
		code, body := r.get(t, "/health")
		return code == 503 && strings.Contains(body, "stop")
	})
	if code, _ := r.get(t, "/games"); code != 401 {
		t.Errorf("a request while it lingers: %d, want 401", code)
	}
	if code := r.Wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if code, _ := r.get(t, "/health"); code != 0 {
		t.Errorf("it still answers after its end: %d", code)
	}
	for _, value := range []string{rightValue, passwordValue} {
		if len(leaks(r.Log.String(), value)) > 0 {
			t.Error("the log shows a value")
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
			r := startAlone(t, values, "5432")
			if code := r.Wait(t); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			if len(leaks(r.Log.String(), passwordValue)) > 0 {
				t.Error("the log shows a value")
			}
			if name == "none" && (!strings.Contains(r.Log.String(), "STRICT_API_TOKEN") || !strings.Contains(r.Log.String(), "DB_APP_LOGIN")) {
				t.Error("the log does not name both secrets")
			}
		})
	}
}
