package engine

import "time"

// SetPatience shortens the deadline of calls, to see it pass.
func (e *Engine) SetPatience(d time.Duration) { e.callDeadline = d }

// The parts that are tested by themselves.
var (
	Demultiplex = demultiplex
	Show        = show
	OneLine     = oneLine
	GoArch      = goArch
	Selection   = selection
	ProbeConfig = probeConfig
	TimeOf      = timeOf
	DiagnoseTCP = func(cause, dialled error) error {
		t := target{scheme: "tcp", address: "10.0.0.1:2375"}
		t.Host, t.Source = "tcp://10.0.0.1:2375", "context far"
		return diagnoseTCP(t, Options{ConfigDir: "none"}, cause, dialled)
	}
)
