package docker

// Cause says in one word why no engine can be used.
type Cause string

// The causes. Each has its own message and its own way out.
const (
	CauseAbsent     Cause = "absent"     // no socket, and no engine is installed
	CauseStopped    Cause = "stopped"    // an engine is installed on this machine, but does not run
	CausePermission Cause = "permission" // the socket exists and denies access
	CauseContext    Cause = "context"    // the chosen docker context does not exist or cannot be read
	CauseAddress    Cause = "address"    // DOCKER_HOST or the context has no usable address
	CauseRemote     Cause = "remote"     // a remote address is unknown, unreachable or refuses
	CauseTLS        Cause = "tls"        // certificates, or TLS on one side only
	CauseSSH        Cause = "ssh"        // the ssh connection failed
	CauseVersion    Cause = "version"    // the engine and keepmum have no API version in common
	CauseTimeout    Cause = "timeout"    // connected, but no answer within the deadline
	CauseWindows    Cause = "windows"    // the engine runs Windows containers
	CauseAnswer     Cause = "answer"     // the answer is not that of a healthy engine
	CauseGone       Cause = "gone"       // the engine stopped in the middle of the work
	CauseSwarm      Cause = "swarm"      // it is no manager of a Swarm, or its Swarm has no leader
)

// Failure is the cause of an error about the engine. Its text contains no
// value.
type Failure struct {
	Cause    Cause
	Endpoint Endpoint
	Detail   string // what was seen, for engine:doctor
}

// Error returns what was seen.
func (f *Failure) Error() string {
	return "engine at " + f.Endpoint.Host + ": " + string(f.Cause) + ": " + f.Detail
}
