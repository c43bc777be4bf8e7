//go:build integration && unix

package storetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/internal/service/servicetest"
	"github.com/keepmum/keepmum/services/internal/store"
)

// Run starts a service with the database of settings, more secrets (nil for
// none) and POLL_INTERVAL at its fastest. It is stopped when the test ends;
// then its whole log is searched for every value, and for the password of the
// login alone, in every encoding.
func Run[C any](t testing.TB, p service.Program[C], settings store.Settings, more map[string]string) *servicetest.Running {
	t.Helper()
	values := map[string]string{store.LoginName: settings.Login.RevealString()}
	maps.Copy(values, more)
	var r *servicetest.Running
	t.Cleanup(func() { // after the stop
		text := r.Log.String()
		if text == "" {
			t.Error("the service has logged nothing: there was nothing to search")
		}
		_, values["password of "+store.LoginName], _ = strings.Cut(values[store.LoginName], ":")
		if found := servicetest.Leaks(t, text, values); len(found) > 0 {
			t.Errorf("the log shows values: %v", found)
		}
	})
	r = servicetest.Start(t, p, map[string]string{
		"DB_HOST": settings.Host, "DB_PORT": fmt.Sprint(settings.Port), "DB_NAME": "odds", "POLL_INTERVAL": "50ms", "LOG_LEVEL": "debug",
		"HEALTH_ADDRESS": servicetest.FreeAddress(t).String(),
	}, secrets.Map(maps.Clone(values)))
	return r
}

// WrongPassword runs a service with a password that the database refuses. The
// log has to name that, and the service stops when asked.
func WrongPassword[C any](t *testing.T, p service.Program[C]) {
	t.Helper()
	server := Start(t)
	server.Setup(t, server.Settings(store.RoleA))
	running := Run(t, p, server.Settings(store.RoleA), nil)
	servicetest.Until(t, "the log names the wrong password", func() bool {
		return strings.Contains(running.Log.String(), "wrong password for role app_a")
	})
	if code := running.Stop(t); code != 0 {
		t.Errorf("exit code %d, want 0: it was asked to stop", code)
	}
}
