package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

const (
	answerDeadline = 90 * time.Second // for an engine that was started
	answerPoll     = 250 * time.Millisecond
)

// UpOptions says how far [Host.Up] goes.
type UpOptions struct {
	Install bool // run the commands, do not only name them
	DryRun  bool // with Install: name what would be run
}

// UpResult says how it ended.
type UpResult struct {
	State    string          `json:"state"` // answers, started, installed; planned or absent if nothing was run
	Endpoint docker.Endpoint `json:"endpoint"`
	Version  string          `json:"version,omitempty"`
	System   string          `json:"system,omitempty"`
	Steps    []Step          `json:"steps,omitempty"`  // those that were, or would be, run
	Manual   []string        `json:"manual,omitempty"` // for a person
}

// Up makes sure that an engine answers. If none does it names or runs the
// commands that set one up. With an error, the result says how far it got.
func (h *Host) Up(ctx context.Context, o UpOptions) (UpResult, error) {
	result := UpResult{State: "absent"}
	engine, err := h.Connect(ctx)
	if err == nil {
		result.State = "answers"
		result.Endpoint, result.Version, err = greet(ctx, engine)
		return result, err
	}
	var why *docker.Failure
	if !errors.As(err, &why) {
		return result, err
	}
	result.Endpoint = why.Endpoint
	if why.Cause != docker.CauseAbsent && why.Cause != docker.CauseStopped {
		return result, err // its Next is the way out; nothing to set up here
	}
	if why.Endpoint.Source != "default" && !localSocket(why.Endpoint.Host) {
		return result, elsewhere(err, why)
	}
	facts := h.Machine.Look(ctx)
	plan := h.Machine.Plan(facts)
	result.System, result.Manual = plan.System, plan.Manual
	installed := why.Cause == docker.CauseStopped || facts.Dockerd != ""
	if !installed {
		result.Steps = append(result.Steps, plan.Install...)
	}
	result.Steps = append(result.Steps, plan.Start...)
	if refusal := refuse(err, facts, plan, installed, o); refusal != nil {
		return result, refusal
	}
	if o.DryRun {
		result.State = "planned"
		return result, nil
	}
	result.Steps, engine, err = h.execute(ctx, result.Steps, plan.Fallback)
	if err != nil {
		return result, err
	}
	result.State = "installed"
	if installed {
		result.State = "started"
	}
	result.Endpoint, result.Version, err = greet(ctx, engine)
	return result, err
}

// greet returns the engine's endpoint and version, and closes it.
func greet(ctx context.Context, engine Engine) (docker.Endpoint, string, error) {
	defer func() { _ = engine.Close() }()
	info, err := engine.Info(ctx)
	return engine.Endpoint(), info.ServerVersion, err
}

// elsewhere refuses to set up this machine when another one is meant.
func elsewhere(err error, why *docker.Failure) error {
	refusal := &fault.Error{Code: fault.NoEngine, Cause: err,
		What: firstLine(err) + "; engine:up sets up only this machine's own engine, and " + why.Endpoint.Source + " points elsewhere"}
	var e *fault.Error
	if errors.As(err, &e) {
		refusal.Next = e.Next
	}
	return refusal
}

// refuse returns the reason to run nothing, nil if the steps may be run or shown.
func refuse(err error, facts Facts, plan Plan, installed bool, o UpOptions) error {
	verb := "install it"
	if installed {
		verb = "start it"
	}
	refusal := func(more, next string) error {
		return &fault.Error{Code: fault.NoEngine, What: firstLine(err) + more, Next: next, Cause: err}
	}
	possible := len(plan.Start) > 0 && (installed || plan.Automatic)
	switch {
	case !possible:
		return refusal("; keepmum does not "+verb+" on "+plan.System, "follow the steps listed, then mage engine:doctor")
	case !o.Install && facts.Root:
		return refusal("", "mage engine:up -install runs the commands listed")
	case !o.Install:
		return refusal("", "run the commands listed as root, or mage engine:up -install as root")
	case !facts.Root && !o.DryRun:
		return refusal("; only root can "+verb, "run the commands listed as root, or this command as root (sudo)")
	}
	return nil
}

// execute runs the steps, waits for the engine, and tries the fallback if the
// daemon cannot use its storage. It returns the steps that were run, also with
// an error.
func (h *Host) execute(ctx context.Context, steps []Step, fallback *Step) (ran []Step, engine Engine, err error) {
	run := func(step Step) error {
		begun := time.Now()
		err := h.step(ctx, step)
		if err == nil {
			step.Seconds = time.Since(begun).Seconds()
		}
		ran = append(ran, step)
		return err
	}
	for _, step := range steps {
		h.Progress.Say("%s: %s", step.Why, step)
		if err := run(step); err != nil {
			return ran, nil, err
		}
	}
	h.Progress.Say("waiting for the engine to answer")
	engine, err = h.await(ctx)
	if err != nil && fallback != nil && aboutStorage(err) && ctx.Err() == nil {
		h.Progress.Say("the engine cannot use this storage; %s: %s", fallback.Why, fallback)
		if err = run(*fallback); err == nil {
			engine, err = h.await(ctx)
		}
	}
	return ran, engine, err
}

// step runs one step; its error says how to continue.
func (h *Host) step(ctx context.Context, step Step) error {
	if step.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, step.Deadline, errStepDeadline)
		defer cancel()
	}
	err := h.Machine.Run(ctx, step, h.Progress)
	if err == nil {
		return nil
	}
	again := "mage engine:up -install continues from here"
	switch {
	case errors.Is(context.Cause(ctx), errStepDeadline):
		return &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("%s did not end within %s", step, step.Deadline), Next: again, Cause: context.DeadlineExceeded}
	case ctx.Err() != nil:
		return cutShort(ctx, "during "+step.String(), again)
	}
	return &fault.Error{Code: fault.NoEngine, What: step.String() + " failed: " + firstLine(err), Next: "fix the problem, then " + again, Cause: err}
}

// errStepDeadline distinguishes a step's deadline from the caller's.
var errStepDeadline = errors.New("a step's deadline")

// await polls until the engine answers, the daemon ends, or time is up.
func (h *Host) await(ctx context.Context) (Engine, error) {
	const waiting = "while waiting for the engine, which is still starting"
	deadline := time.NewTimer(answerDeadline)
	defer deadline.Stop()
	for {
		engine, err := h.Connect(ctx)
		if err == nil {
			return engine, nil
		}
		if ctx.Err() != nil {
			return nil, cutShort(ctx, waiting, "mage engine:up")
		}
		if ended := h.Machine.Ended(); ended != nil {
			return nil, &fault.Error{Code: fault.NoEngine, What: "the engine ended right after its start: " + ended.Error(), Next: "mage engine:doctor", Cause: ended}
		}
		select {
		case <-time.After(answerPoll):
		case <-deadline.C:
			return nil, &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("the engine was started, but does not answer after %s: %s", answerDeadline, firstLine(err)),
				Next: "mage engine:doctor", Cause: err}
		case <-ctx.Done():
			return nil, cutShort(ctx, waiting, "mage engine:up")
		}
	}
}

// cutShort returns the error for a context that ended. doing completes "stopped".
func cutShort(ctx context.Context, doing, next string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Error{Code: fault.Incomplete, What: "the deadline passed " + doing, Next: next, Cause: ctx.Err()}
	}
	return &fault.Error{Code: fault.Interrupted, What: "stopped " + doing, Next: next, Cause: ctx.Err()}
}

// aboutStorage reports whether a daemon ended because it cannot use the file
// system under it.
func aboutStorage(err error) bool {
	signs := []string{"graphdriver", "storage driver", "storage-driver", "overlay"}
	return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(err.Error(), sign) })
}
