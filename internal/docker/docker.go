package docker

import "time"

// Cause says why no engine can be used, in one word.
type Cause string

// The causes. Each has its own text and its own way out.
const (
	CauseAbsent     Cause = "absent"     // no socket, and no engine is installed
	CauseStopped    Cause = "stopped"    // an engine is installed on this machine, but does not run
	CausePermission Cause = "permission" // the socket is there and denies access
	CauseContext    Cause = "context"    // the chosen docker context does not exist or cannot be read
	CauseAddress    Cause = "address"    // DOCKER_HOST or the context holds no usable address
	CauseRemote     Cause = "remote"     // a remote address is unknown, unreachable or refuses
	CauseTLS        Cause = "tls"        // certificates, or TLS on one side only
	CauseSSH        Cause = "ssh"        // the ssh connection failed
	CauseVersion    Cause = "version"    // the API of the engine and ours do not meet
	CauseTimeout    Cause = "timeout"    // connected, but no answer within the deadline
	CauseWindows    Cause = "windows"    // the engine runs Windows containers
	CauseSwarm      Cause = "swarm"      // a Swarm manager is needed and this is none
	CauseAnswer     Cause = "answer"     // something answers that is no healthy engine
	CauseGone       Cause = "gone"       // the engine stopped in the middle of the work
)

// Endpoint says which engine is meant and who chose it.
type Endpoint struct {
	Host   string `json:"host"`   // unix://, tcp://, ssh:// or npipe:// address; a password in it is left out
	Source string `json:"source"` // "DOCKER_HOST", "context NAME" or "default"
	Remote bool   `json:"remote"` // true: bind mounts name files of another machine
}

// Failure is the Cause of an *Error about the engine. Its text holds no
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

// Swarm is the engine's part in a Swarm.
type Swarm struct {
	State   string `json:"state"`   // inactive, pending, active, error, locked
	Manager bool   `json:"manager"` // the node can change the Swarm
	NodeID  string `json:"node,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Info is what an engine says about itself.
type Info struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	ServerVersion   string    `json:"serverVersion"`
	APIVersion      string    `json:"apiVersion"` // the one that is spoken with it
	OS              string    `json:"os"`         // linux or windows
	Arch            string    `json:"arch"`       // in Go's words: amd64, arm64, …
	OperatingSystem string    `json:"operatingSystem"`
	Kernel          string    `json:"kernel"`
	StorageDriver   string    `json:"storageDriver"`
	CgroupDriver    string    `json:"cgroupDriver"`
	CgroupVersion   string    `json:"cgroupVersion"`
	RootDir         string    `json:"rootDir"` // on the engine's machine
	CPUs            int       `json:"cpus"`
	Memory          int64     `json:"memory"`
	Rootless        bool      `json:"rootless"`
	UsernsRemap     bool      `json:"usernsRemap"`
	SELinux         bool      `json:"selinux"`
	SecurityOptions []string  `json:"securityOptions"`
	Swarm           Swarm     `json:"swarm"`
	Proxies         []string  `json:"proxies"` // which proxy settings the engine has, by name only
	Warnings        []string  `json:"warnings"`
	Time            time.Time `json:"time"` // the engine's clock when it answered
}

// Image is an image that the engine holds.
type Image struct {
	ID      string
	Tags    []string
	Labels  map[string]string
	OS      string
	Arch    string
	User    string
	Size    int64
	Created time.Time
}

// Mount is a mount of a container: a bind mount has a Source on the
// engine's machine, a volume has a Name.
type Mount struct {
	Type        string // bind, volume or tmpfs
	Name        string
	Source      string
	Destination string
	ReadOnly    bool
}

// Container is a container as the engine sees it. Env holds names only:
// the values of a container's environment are read from the raw inspect
// output, by those who search it.
type Container struct {
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
	Mounts    []Mount
	Problem   string // the engine's own word why it could not start
}

// LogOptions chooses what part of a log is read.
type LogOptions struct {
	Follow bool      // go on until the container ends
	Since  time.Time // zero: from the beginning
	Tail   int       // the last lines only; 0: all
}

// Probe is a one-shot container. It has no network.
type Probe struct {
	Image      string
	Entrypoint []string // empty: the image's own
	Cmd        []string // empty: the image's own, unless Entrypoint is set
	User       string   // empty: the image's own
	Mounts     []Mount
	ReadOnly   bool
	Labels     map[string]string
	Deadline   time.Duration // 0: one minute
	MaxOutput  int           // bytes kept of each stream; 0: 64 KiB
}

// ProbeResult is how a probe ended.
type ProbeResult struct {
	ExitCode int
	Stdout   []byte
	Stderr   []byte
}

// LabelBuild is the label of an image that holds the digest of all the rest of
// it, or of what it was made of: an image with the same digest is the same.
const LabelBuild = "io.keepmum.build"

// LabelGrants is the label of a service that holds the keyed digest of its
// grants: Compose's own hash does not cover what is in a secret's file.
const LabelGrants = "io.keepmum.grants"

// Labels of Compose's own: on all that belongs to a project, and on containers
// that docker compose run made beside a service's.
const (
	LabelProject = "com.docker.compose.project"
	LabelOneOff  = "com.docker.compose.oneoff"
)
