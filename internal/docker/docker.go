// Package docker has the plain types in which keepmum speaks about a Docker
// engine: what it is ([Endpoint], [Info], [Swarm]), what it has ([Image],
// [Container], [Mount]), what can be asked of it ([Probe], [LogOptions]) and why
// it cannot be used ([Failure], with a [Cause]).
//
// It also has every label key, keepmum's and Compose's; no other package spells
// one out.
//
// The package connects to nothing and imports the standard library alone, so
// that use cases can name these types. The connection is in docker/engine.
package docker

import "time"

// Endpoint says which engine is used and who chose it.
type Endpoint struct {
	Host   string `json:"host"`   // unix://, tcp://, ssh:// or npipe:// address; without a password
	Source string `json:"source"` // "DOCKER_HOST", "context NAME" or "default"
	Remote bool   `json:"remote"` // true: bind mounts refer to files of another machine
}

// Swarm is an engine's role in a Swarm.
type Swarm struct {
	State   string `json:"state"`   // inactive, pending, active, error, locked
	Manager bool   `json:"manager"` // the node may change the Swarm
	NodeID  string `json:"node,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Info is what an engine says about itself.
type Info struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	ServerVersion   string    `json:"serverVersion"`
	APIVersion      string    `json:"apiVersion"` // the one in use
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
	Proxies         []string  `json:"proxies"` // names of the proxy settings that the engine has
	Warnings        []string  `json:"warnings"`
	Time            time.Time `json:"time"` // the engine's clock when it answered
}

// Image is an image on the engine.
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

// Container is a container as the engine sees it. Of its environment it has
// the names only: a search for values reads the raw inspect output.
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
	Problem   string // the engine's message if it could not start
}

// LogOptions selects a part of a log.
type LogOptions struct {
	Follow bool      // go on until the container ends
	Since  time.Time // zero: from the beginning
	Tail   int       // the last lines only; 0: all
}

// Probe is a container that runs once, without a network.
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
