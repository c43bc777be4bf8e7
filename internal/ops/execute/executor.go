// Package execute carries a rollout.Plan out in a Swarm, and puts back what it
// changed if that fails.
//
// [New] makes an [Executor] over the ports of a Swarm; [Executor.Run] walks a plan.
// What it says of a service it has seen in the service's tasks: an update that the
// Swarm calls completed proves nothing. Somebody else's change in the middle is
// not overwritten, nor on the way back. A manager that does not answer, because
// the Swarm elects a leader, is waited for; an answer that was lost is found out.
package execute

import (
	"context"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/redact"
)

// Config is what an executor works with.
type Config struct {
	Services Services
	Tasks    Tasks
	Networks Networks
	Configs  Configs
	Nodes    Nodes

	Progress fault.Progress
	Clock    func() time.Duration // monotonic
	Every    time.Duration        // between two looks at the tasks
	Stack    string
	Onward   string // the command that goes on after a signal

	// Place makes a finding about a service, at its place in the stack's file.
	Place func(service, problem, next string) fault.Finding
	// Matcher masks the log of a task, and names the versions that the task mounts
	// and whose values are not known. A log with such a version is withheld, unless
	// ShowLogs.
	Matcher  func(ctx context.Context, task docker.Task) (*redact.Matcher, []string)
	ShowLogs bool
}

// Executor carries plans out.
type Executor struct{ Config }

// New makes an executor.
func New(c Config) *Executor { return &Executor{c} }

// Outcome is how a command over a stack ended.
type Outcome string

// The outcomes.
const (
	Planned     Outcome = "planned"     // nothing was to be changed yet
	Refused     Outcome = "refused"     // no service was changed
	Unchanged   Outcome = "unchanged"   // nothing was to be changed, and all of it runs
	Deployed    Outcome = "deployed"    // every task runs the plan
	Removed     Outcome = "removed"     // it is gone
	RolledBack  Outcome = "rolled back" // every service that was touched is as it was
	InBetween   Outcome = "in between"
	Interrupted Outcome = "interrupted" // by a signal
)

// Result says how a plan was carried out.
type Result struct {
	Outcome  Outcome   `json:"outcome"`
	Services []Service `json:"services"`
	Kept     []string  `json:"kept"` // after a failure: networks and configs that were made and stay
}

// Service is what became of one service.
type Service struct {
	Service  string   `json:"service"`
	Action   string   `json:"action"` // created, updated, removed, unchanged, restored
	State    string   `json:"state"`
	Versions []string `json:"versions"` // of secrets, that its running tasks mount
	Cause    string   `json:"cause,omitempty"`
	Problem  string   `json:"problem,omitempty"`
	Attempts int      `json:"attempts,omitempty"`
	Seconds  float64  `json:"seconds"` // until it had converged
}
