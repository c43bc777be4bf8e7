package docker

import (
	"errors"
	"time"
)

// The causes of errors of a Swarm, for errors.Is.
var (
	ErrNotFound  = errors.New("not found in the Swarm")
	ErrExists    = errors.New("the name is taken in the Swarm")
	ErrInUse     = errors.New("still used in the Swarm")
	ErrOutOfDate = errors.New("somebody else changed it meanwhile")
)

// Service is a service of a Swarm.
type Service struct {
	ID       string
	Version  uint64 // an update names the version that it changes
	Spec     ServiceSpec
	Previous *ServiceSpec // nil: never updated, or rolled back by the Swarm itself
	Update   UpdateStatus
	Created  time.Time
	Updated  time.Time
	Job      uint64 // iteration of a job; 0 for other services
}

// UpdateStatus is what the Swarm says about a service's last update. It is empty
// after a create and after an update that changes no task, so it never proves
// that a service runs: only tasks do.
type UpdateStatus struct {
	State   string // "", updating, paused, completed, rollback_started, rollback_paused, rollback_completed
	Message string
}

// Task is one task of a service: a container on one node, or the wish for one.
type Task struct {
	ID          string
	Name        string // SERVICE.SLOT, or SERVICE.NODE for a global service
	ServiceID   string
	NodeID      string // "" until it is assigned
	Slot        int
	State       string // new, allocated, pending, assigned, accepted, preparing, ready, starting, running, complete, shutdown, failed, rejected, remove, orphaned
	Desired     string // running, shutdown, complete, remove, ready
	Message     string
	Problem     string // the engine's words if it failed
	ExitCode    int
	ContainerID string
	Job         uint64 // iteration of the job that it belongs to
	Created     time.Time
	Changed     time.Time // of State, by the clock of the task's node
	Spec        TaskSpec
}

// Over reports whether the task's container runs no more and will not again.
func (t Task) Over() bool {
	switch t.State {
	case "complete", "shutdown", "failed", "rejected", "remove", "orphaned":
		return true
	}
	return false
}

// Node is a member of a Swarm, as a manager sees it.
type Node struct {
	ID           string
	Hostname     string
	Manager      bool
	Leader       bool
	Reachable    bool   // of a manager: it takes part in the quorum
	State        string // unknown, down, ready, disconnected
	Availability string // active, pause, drain
	Labels       map[string]string
	EngineLabels map[string]string
	OS, Arch     string // in the engine's words: linux, x86_64
	NanoCPUs     int64
	Memory       int64 // bytes
	Engine       string
	Address      string
}

// SwarmSecret is a secret of a Swarm. Its value cannot be read back.
type SwarmSecret struct {
	ID      string
	Version uint64
	Name    string
	Labels  map[string]string
	Created time.Time
	Updated time.Time
}

// SwarmConfig is a config of a Swarm. Everybody who may use the API can read its
// data.
type SwarmConfig struct {
	ID      string
	Version uint64
	Name    string
	Labels  map[string]string
	Data    []byte
	Created time.Time
	Updated time.Time
}

// Network is a network of the engine or of the Swarm.
type Network struct {
	ID         string
	Name       string
	Driver     string
	Scope      string // swarm, local, global
	Attachable bool
	Ingress    bool
	Internal   bool
	Labels     map[string]string
	Options    map[string]string
	Subnets    []string
}
