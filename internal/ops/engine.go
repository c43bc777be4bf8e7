package ops

import "time"

// EngineCause says why no engine can be used, in one word.
type EngineCause string

// The causes. Each has its own text and its own way out.
const (
	CauseAbsent     EngineCause = "absent"     // no socket, and no engine is installed
	CauseStopped    EngineCause = "stopped"    // an engine is installed on this machine, but does not run
	CausePermission EngineCause = "permission" // the socket is there and denies access
	CauseContext    EngineCause = "context"    // the chosen docker context does not exist or cannot be read
	CauseAddress    EngineCause = "address"    // DOCKER_HOST or the context holds no usable address
	CauseRemote     EngineCause = "remote"     // a remote address is unknown, unreachable or refuses
	CauseTLS        EngineCause = "tls"        // certificates, or TLS on one side only
	CauseSSH        EngineCause = "ssh"        // the ssh connection failed
	CauseVersion    EngineCause = "version"    // the API of the engine and ours do not meet
	CauseTimeout    EngineCause = "timeout"    // connected, but no answer within the deadline
	CauseWindows    EngineCause = "windows"    // the engine runs Windows containers
	CauseSwarm      EngineCause = "swarm"      // a Swarm manager is needed and this is none
	CauseAnswer     EngineCause = "answer"     // something answers that is no healthy engine
	CauseGone       EngineCause = "gone"       // the engine stopped in the middle of the work
)

// EngineEndpoint says which engine is meant and who chose it.
type EngineEndpoint struct {
	Host   string `json:"host"`   // unix://, tcp://, ssh:// or npipe:// address; a password in it is left out
	Source string `json:"source"` // "DOCKER_HOST", "context NAME" or "default"
	Remote bool   `json:"remote"` // true: bind mounts name files of another machine
}

// EngineFailure is the Cause of an *Error about the engine. Its text holds no
// value.
type EngineFailure struct {
	Cause    EngineCause
	Endpoint EngineEndpoint
	Detail   string // what was seen, for engine:doctor
}

// Error returns what was seen.
func (f *EngineFailure) Error() string {
	return "engine at " + f.Endpoint.Host + ": " + string(f.Cause) + ": " + f.Detail
}

// EngineSwarm is the engine's part in a Swarm.
type EngineSwarm struct {
	State   string `json:"state"`   // inactive, pending, active, error, locked
	Manager bool   `json:"manager"` // the node can change the Swarm
	NodeID  string `json:"node,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Error   string `json:"error,omitempty"`
}

// EngineInfo is what an engine says about itself.
type EngineInfo struct {
	ID              string      `json:"id"`
	Name            string      `json:"name"`
	ServerVersion   string      `json:"serverVersion"`
	APIVersion      string      `json:"apiVersion"` // the one that is spoken with it
	OS              string      `json:"os"`         // linux or windows
	Arch            string      `json:"arch"`       // in Go's words: amd64, arm64, …
	OperatingSystem string      `json:"operatingSystem"`
	Kernel          string      `json:"kernel"`
	StorageDriver   string      `json:"storageDriver"`
	CgroupDriver    string      `json:"cgroupDriver"`
	CgroupVersion   string      `json:"cgroupVersion"`
	RootDir         string      `json:"rootDir"` // on the engine's machine
	CPUs            int         `json:"cpus"`
	Memory          int64       `json:"memory"`
	Rootless        bool        `json:"rootless"`
	UsernsRemap     bool        `json:"usernsRemap"`
	SELinux         bool        `json:"selinux"`
	SecurityOptions []string    `json:"securityOptions"`
	Swarm           EngineSwarm `json:"swarm"`
	Proxies         []string    `json:"proxies"` // which proxy settings the engine has, by name only
	Warnings        []string    `json:"warnings"`
	Time            time.Time   `json:"time"` // the engine's clock when it answered
}

// EngineImage is an image that the engine holds.
type EngineImage struct {
	ID      string
	Tags    []string
	Labels  map[string]string
	OS      string
	Arch    string
	User    string
	Size    int64
	Created time.Time
}

// EngineMount is a mount of a container: a bind mount has a Source on the
// engine's machine, a volume has a Name.
type EngineMount struct {
	Type        string // bind, volume or tmpfs
	Name        string
	Source      string
	Destination string
	ReadOnly    bool
}

// EngineContainer is a container as the engine sees it. Env holds names only:
// the values of a container's environment are read from the raw inspect
// output, by those who search it.
type EngineContainer struct {
	ID        string
	Name      string // without the leading slash
	Service   string // compose's label, "" outside compose
	Project   string // compose's label
	Image     string // the name it was started from
	ImageID   string
	State     string // created, running, paused, restarting, removing, exited, dead
	Health    string // "", starting, healthy, unhealthy
	ExitCode  int
	OOMKilled bool
	Restarts  int
	Started   time.Time
	Finished  time.Time
	TTY       bool
	Labels    map[string]string
	EnvNames  []string // of variables that are not empty, sorted
	Mounts    []EngineMount
	Problem   string // the engine's own word why it could not start
}

// EngineLogOptions chooses what part of a log is read.
type EngineLogOptions struct {
	Follow bool      // go on until the container ends
	Since  time.Time // zero: from the beginning
	Tail   int       // the last lines only; 0: all
}

// EngineProbe is a one-shot container. It has no network.
type EngineProbe struct {
	Image      string
	Entrypoint []string // empty: the image's own
	Cmd        []string // empty: the image's own, unless Entrypoint is set
	User       string   // empty: the image's own
	Mounts     []EngineMount
	ReadOnly   bool
	Labels     map[string]string
	Deadline   time.Duration // 0: one minute
	MaxOutput  int           // bytes kept of each stream; 0: 64 KiB
}

// EngineProbeResult is how a probe ended.
type EngineProbeResult struct {
	ExitCode int
	Stdout   []byte
	Stderr   []byte
}
