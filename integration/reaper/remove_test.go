//go:build unix

package reaper

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// TestRemoveNetwork_Stuck uses a fake engine, because a real one cannot be made
// to miscount.
func TestRemoveNetwork_Stuck(t *testing.T) {
	for _, c := range []struct {
		name     string
		refuses  int // this many times
		with     int // status
		attached string
		stuck    bool
		err      bool
	}{
		{"a container is attached", 1 << 20, http.StatusForbidden, `{"aa": {"Name": "other"}}`, false, true},
		{"nothing is attached", 1 << 20, http.StatusForbidden, `{}`, true, false},
		{"the engine is broken", 1 << 20, http.StatusInternalServerError, `{}`, false, true},
		{"a container was going away", 2, http.StatusForbidden, `{}`, false, false},
		{"it is gone", -1, 0, `{}`, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				switch {
				case r.Method == http.MethodGet:
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"Name": "n", "Containers": %s}`, c.attached)
				case c.refuses < 0:
					w.WriteHeader(http.StatusNotFound)
				case asked <= c.refuses:
					w.WriteHeader(c.with)
				default:
					w.WriteHeader(http.StatusNoContent)
				}
			}))
			defer engine.Close()
			docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+engine.Listener.Addr().String()), client.WithVersion("1.41"))
			if err != nil {
				t.Fatal(err)
			}
			defer docker.Close()
			patience := time.Minute
			if c.refuses > 2 {
				patience = 0
			}
			stuck, err := removeNetwork(t.Context(), docker, "id", patience)
			if stuck != c.stuck || (err != nil) != c.err {
				t.Errorf("stuck %t, %v", stuck, err)
			}
		})
	}
}

func TestClean_WithoutAnEngineIsAnError(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/no-engine.sock")
	if err := Clean(t.Context(), "mark"); err == nil {
		t.Error("nothing was removed, and nothing is said")
	}
}
