package engine

import (
	"time"

	"github.com/keepmum/keepmum/internal/docker"
)

// SetPatience sets the deadline of calls.
func (e *Engine) SetPatience(d time.Duration) { e.callDeadline = d }

// Parts that are tested alone.
var (
	Demultiplex     = demultiplex
	RemoveContainer = (*Engine).removeContainer
	Show            = show
	GoArch          = goArch
	Selection       = selection
	ProbeConfig     = probeConfig
	TimeOf          = timeOf
	DiagnoseTCP     = func(cause, dialled error) error {
		t := target{scheme: "tcp", address: "10.0.0.1:2375"}
		t.Host, t.Source = "tcp://10.0.0.1:2375", "context far"
		return diagnoseTCP(t, Options{ConfigDir: "none"}, cause, dialled)
	}
)

// Base returns the URL of the API at an address that the client has for a
// connection by this scheme.
func Base(scheme, host string, tls bool) string {
	base := target{scheme: scheme, tls: tls}.base(host)
	return base.String()
}

// Resolve returns the endpoint that Connect would use.
func Resolve(opt Options) (docker.Endpoint, error) {
	t, err := resolve(opt)
	return t.Endpoint, err
}
