package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// Facts is what this machine is, as far as setting up an engine on it is
// concerned.
type Facts struct {
	OS           string   `json:"os"` // Go's word: linux, darwin, windows
	Distribution string   `json:"distribution,omitempty"`
	Version      string   `json:"version,omitempty"`
	Like         []string `json:"like,omitempty"` // distributions that it descends from
	Pretty       string   `json:"pretty,omitempty"`
	Root         bool     `json:"root"`
	User         string   `json:"user,omitempty"`
	WSL          bool     `json:"wsl"`
	Container    string   `json:"container,omitempty"` // docker, podman, lxc …; "" on a machine of its own
	Init         string   `json:"init"`                // systemd, openrc, sysv, none
	Dockerd      string   `json:"dockerd,omitempty"`   // path of an installed engine
	Docker       string   `json:"docker,omitempty"`    // path of the docker command
	Package      string   `json:"package,omitempty"`   // docker.io, docker-ce, moby-engine, snap …
	Service      string   `json:"service,omitempty"`   // systemd's word for the engine's unit; "" where there is none
	Iptables     string   `json:"iptables,omitempty"`  // path
	GroupExists  bool     `json:"groupExists"`         // there is a group docker
	GroupListed  bool     `json:"groupListed"`         // this user is a member by /etc/group
	GroupActive  bool     `json:"groupActive"`         // this process has it
	DpkgBroken   bool     `json:"dpkgBroken"`          // an installation was interrupted
}

// Step is one command of a plan.
type Step struct {
	Args       []string      `json:"args"`
	Why        string        `json:"why"`
	Background bool          `json:"background,omitempty"` // a daemon: it outlives keepmum
	Log        string        `json:"log,omitempty"`        // where a daemon writes
	Deadline   time.Duration `json:"-"`                    // 0: none of its own
	Busy       string        `json:"-"`                    // what it says when another program is at work: then it is tried again
	Seconds    float64       `json:"seconds,omitempty"`    // how long it took, when it was run
}

// Plan is how an engine comes to this machine.
type Plan struct {
	System    string   // for messages: "Debian GNU/Linux 12"
	Automatic bool     // keepmum may install: Debian or Ubuntu
	Install   []Step   // before Start, when no engine is installed
	Start     []Step   // when one is; empty where a person must do it
	Fallback  *Step    // instead of the daemon of Start, when it ends for its storage
	Manual    []string // lines for a person, where commands do not say it all
}

// Engine is an engine that answers.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	Endpoint() docker.Endpoint
	Close() error
}

// Machine is this machine.
type Machine interface {
	// Look says what it is.
	Look(ctx context.Context) Facts
	// Plan says how an engine comes to it.
	Plan(facts Facts) Plan
	// Run runs a step and tells what it says; of a daemon it returns at once.
	Run(ctx context.Context, step Step, talk fault.Progress) error
	// Ended returns an error when a daemon that Run started has ended.
	Ended() error
}

// Up makes sure that an engine answers.
type Up struct {
	Connect  func(context.Context) (Engine, error)
	Host     Machine
	Progress fault.Progress
	Install  bool          // run the commands, not only name them
	DryRun   bool          // with Install: name what would be run
	Wait     time.Duration // how long a started engine may take to answer; 0: 90 s
	Poll     time.Duration // 0: 250 ms
}

// UpResult is how it ended.
type UpResult struct {
	State    string          `json:"state"` // answers, started, installed; planned or absent when nothing was run
	Endpoint docker.Endpoint `json:"endpoint"`
	Version  string          `json:"version,omitempty"`
	System   string          `json:"system,omitempty"`
	Steps    []Step          `json:"steps,omitempty"`  // those that were, or would be, run
	Manual   []string        `json:"manual,omitempty"` // for a person
}

// localSockets are where this machine's own engine listens by default.
func localSocket(host string) bool {
	return host == "unix:///var/run/docker.sock" || host == "unix:///run/docker.sock"
}

// Run connects; where no engine answers it says or does what helps. The result
// is filled in also when the error is not nil.
func (up Up) Run(ctx context.Context) (UpResult, error) {
	engine, err := up.Connect(ctx)
	if err == nil {
		return up.answered(ctx, engine, UpResult{State: "answers"})
	}
	var why *docker.Failure
	if !errors.As(err, &why) {
		return UpResult{State: "absent"}, err
	}
	result := UpResult{State: "absent", Endpoint: why.Endpoint}
	if why.Cause != docker.CauseAbsent && why.Cause != docker.CauseStopped {
		return result, err // its Next is the way out; nothing to set up here
	}
	if why.Endpoint.Source != "default" && !localSocket(why.Endpoint.Host) {
		return result, up.elsewhere(err, why)
	}
	facts := up.Host.Look(ctx)
	plan := up.Host.Plan(facts)
	result.System, result.Manual = plan.System, plan.Manual
	installed := why.Cause == docker.CauseStopped || facts.Dockerd != ""
	if !installed {
		result.Steps = append(result.Steps, plan.Install...)
	}
	result.Steps = append(result.Steps, plan.Start...)
	if refusal := up.refuse(err, facts, plan, installed); refusal != nil {
		return result, refusal
	}
	if up.DryRun {
		result.State = "planned"
		return result, nil
	}
	return up.execute(ctx, plan, installed, result)
}

// elsewhere refuses to set up this machine when another one is meant.
func (up Up) elsewhere(err error, why *docker.Failure) error {
	refusal := &fault.Error{Code: fault.NoEngine, Cause: err,
		What: firstLine(err) + "; engine:up sets up only this machine's own engine, and " + why.Endpoint.Source + " points elsewhere"}
	var told *fault.Error
	if errors.As(err, &told) {
		refusal.Next = told.Next
	}
	return refusal
}

// refuse says why nothing is run, nil when all is well.
func (up Up) refuse(err error, facts Facts, plan Plan, installed bool) error {
	what, verb := firstLine(err), "install it"
	if installed {
		verb = "start it"
	}
	say := func(more, next string) error {
		return &fault.Error{Code: fault.NoEngine, What: what + more, Next: next, Cause: err}
	}
	possible := len(plan.Start) > 0 && (installed || plan.Automatic)
	switch {
	case !possible:
		return say("; on "+plan.System+" keepmum does not "+verb+" by itself", "do what is listed, then mage engine:doctor")
	case !up.Install && facts.Root:
		return say("", "mage engine:up -install runs the commands listed")
	case !up.Install:
		return say("", "run the commands listed as root, or mage engine:up -install as root")
	case !facts.Root && !up.DryRun:
		return say("; only root can "+verb, "run the commands listed as root, or this command as root (sudo)")
	}
	return nil
}

// execute runs the steps and waits for the engine.
func (up Up) execute(ctx context.Context, plan Plan, installed bool, result UpResult) (UpResult, error) {
	for i, step := range result.Steps {
		up.Progress.Say("%s: %s", step.Why, step)
		began := time.Now()
		if err := up.step(ctx, step); err != nil {
			result.Steps = result.Steps[:i+1]
			return result, err
		}
		result.Steps[i].Seconds = time.Since(began).Seconds()
	}
	up.Progress.Say("waiting for the engine to answer")
	engine, err := up.await(ctx)
	if err != nil && plan.Fallback != nil && aboutStorage(err) && ctx.Err() == nil {
		up.Progress.Say("the engine cannot use this storage; %s: %s", plan.Fallback.Why, plan.Fallback)
		result.Steps = append(result.Steps, *plan.Fallback)
		if err = up.step(ctx, *plan.Fallback); err == nil {
			engine, err = up.await(ctx)
		}
	}
	if err != nil {
		return result, err
	}
	result.State = "installed"
	if installed {
		result.State = "started"
	}
	return up.answered(ctx, engine, result)
}

// step runs one step; its failure says what goes on from here.
func (up Up) step(ctx context.Context, step Step) error {
	if step.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Deadline, errStepDeadline)
		defer cancel()
	}
	err := up.Host.Run(ctx, step, up.Progress)
	if err == nil {
		return nil
	}
	again := "mage engine:up -install goes on from here"
	switch {
	case errors.Is(context.Cause(ctx), errStepDeadline):
		return &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("%s did not end within %s", step, step.Deadline), Next: again, Cause: context.DeadlineExceeded}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &fault.Error{Code: fault.Incomplete, What: "the deadline passed during " + step.String(), Next: again, Cause: context.DeadlineExceeded}
	case ctx.Err() != nil:
		return &fault.Error{Code: fault.Interrupted, What: "stopped during " + step.String(), Next: again, Cause: context.Canceled}
	}
	return &fault.Error{Code: fault.NoEngine, What: step.String() + " failed: " + firstLine(err), Next: "mend what it names, then " + again, Cause: err}
}

// errStepDeadline tells a step's own deadline from the caller's.
var errStepDeadline = errors.New("a step's deadline")

// await polls until the engine answers, the daemon ends, or time is up.
func (up Up) await(ctx context.Context) (Engine, error) {
	wait, poll := up.Wait, up.Poll
	if wait == 0 {
		wait = 90 * time.Second
	}
	if poll == 0 {
		poll = 250 * time.Millisecond
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		engine, err := up.Connect(ctx)
		if err == nil {
			return engine, nil
		}
		if ctx.Err() != nil {
			return nil, up.cutShort(ctx)
		}
		if ended := up.Host.Ended(); ended != nil {
			return nil, &fault.Error{Code: fault.NoEngine, What: "the engine ended right after its start: " + ended.Error(), Next: "mage engine:doctor", Cause: ended}
		}
		select {
		case <-time.After(poll):
		case <-deadline.C:
			return nil, &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("the engine was started, but does not answer after %s: %s", wait, firstLine(err)),
				Next: "mage engine:doctor", Cause: err}
		case <-ctx.Done():
			return nil, up.cutShort(ctx)
		}
	}
}

// cutShort is the error that ctx ended while the engine was starting.
func (up Up) cutShort(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Error{Code: fault.Incomplete, What: "the deadline passed while waiting for the engine; it goes on starting", Next: "mage engine:up", Cause: ctx.Err()}
	}
	return &fault.Error{Code: fault.Interrupted, What: "stopped while waiting for the engine; it goes on starting", Next: "mage engine:up", Cause: ctx.Err()}
}

// answered fills in what the engine says and hangs up.
func (up Up) answered(ctx context.Context, engine Engine, result UpResult) (UpResult, error) {
	defer func() { _ = engine.Close() }()
	result.Endpoint = engine.Endpoint()
	info, err := engine.Info(ctx)
	if err != nil {
		return result, err
	}
	result.Version = info.ServerVersion
	return result, nil
}

// aboutStorage reports whether a daemon ended because it cannot use the file
// system under it.
func aboutStorage(err error) bool {
	for _, sign := range []string{"graphdriver", "storage driver", "storage-driver", "overlay"} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}

// String is the step as a line for a shell.
func (s Step) String() string {
	words := make([]string, len(s.Args))
	for i, arg := range s.Args {
		if words[i] = arg; arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	line := strings.Join(words, " ")
	if s.Background {
		line = "setsid " + line + " </dev/null >>" + s.Log + " 2>&1 &"
	}
	return line
}

// firstLine is an error without its findings.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
