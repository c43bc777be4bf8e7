// Command probe is a service as a user of package secrets would write it: it loads
// one secret that is required and one that has a default, logs where they came
// from, and uses both. Only TestStartup builds its image.
//
//	GET /required   204 with the header "Authorization: Bearer " and the value of PROBE_TOKEN
//	GET /optional   the same with that of PROBE_GUEST
//	GET /written    500 if it can write a file into its root directory, 204 if it cannot
package main

import (
	"log/slog"
	"net/http"
	"os"

	"github.com/keepmum/keepmum/pkg/secrets"
)

type config struct {
	Token secrets.Secret `secret:"PROBE_TOKEN"`
	Guest secrets.Secret `secret:"PROBE_GUEST,optional,default=everybody-is-a-guest-here"`
}

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	var c config
	report, err := secrets.Load(&c)
	for _, one := range report.Loaded {
		log.Info("secret loaded", "secret", one.Name, "source", one.Kind, "place", one.Place)
	}
	if err != nil {
		log.Error("not started", "error", err.Error())
		os.Exit(3)
	}
	http.HandleFunc("GET /required", guarded(c.Token))
	http.HandleFunc("GET /optional", guarded(c.Guest))
	http.HandleFunc("GET /written", written)
	log.Error("ended", "error", http.ListenAndServe(":8080", nil))
	os.Exit(1)
}

// guarded accepts requests with the token.
func guarded(token secrets.Secret) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNoContent
		if !secrets.New([]byte(r.Header.Get("Authorization"))).Equal(secrets.New(append([]byte("Bearer "), token.Reveal()...))) {
			status = http.StatusUnauthorized
		}
		w.WriteHeader(status)
	}
}

// written tries to write into the image's root directory.
func written(w http.ResponseWriter, _ *http.Request) {
	if os.WriteFile("/written", nil, 0o600) == nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
