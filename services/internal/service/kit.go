package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// stopTime is how long Run and the goroutines of Kit.Go may take to return
// after the service was asked to stop and its servers have lingered. Docker kills
// after ten seconds, unless stop_grace_period says more.
const stopTime = 8 * time.Second

// Kit is what a running program is given.
type Kit struct {
	Name    string         // the service's name
	Log     *slog.Logger   // JSON, masked
	Health  *Health        // what the health endpoint answers
	Secrets secrets.Report // which secrets were loaded, and from where

	ctx    context.Context
	cancel context.CancelCauseFunc
	group  sync.WaitGroup
	ended  chan error   // what Run returned
	crash  chan []any   // the first panic: attributes for the log, not masked yet
	linger atomic.Int64 // the longest Linger of the servers, in nanoseconds
}

func newKit(ctx context.Context, name string, log *slog.Logger, report secrets.Report) *Kit {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Kit{
		Name:    name,
		Log:     log,
		Health:  NewHealth(),
		Secrets: report,
		ctx:     ctx,
		cancel:  cancel,
		ended:   make(chan error, 1),
		crash:   make(chan []any, 1),
	}
}

// Go starts f in a goroutine of the program. The program ends when f fails:
// its context is done then, and the exit code is 1. Returning nil, or an error
// that is the context's, is not a failure. A panic in f ends the program with exit
// code 2, logged masked.
func (k *Kit) Go(name string, f func(context.Context) error) {
	k.group.Go(func() {
		err := k.guard(name, f)
		if err != nil && !errors.Is(err, context.Canceled) {
			k.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// run starts the program's Run; its return ends the program.
func (k *Kit) run(f func(context.Context) error) {
	k.group.Go(func() { k.ended <- k.guard("run", f) })
}

// guard calls f and turns a panic into a record for wait, and runtime.Goexit
// into a failure.
func (k *Kit) guard(name string, f func(context.Context) error) (err error) {
	returned := false
	defer func() {
		switch value := recover(); {
		case value != nil:
			select {
			case k.crash <- crashed(name, value):
			default: // not the first one
			}
			err = context.Canceled
		case !returned:
			k.cancel(fmt.Errorf("goroutine %s ended itself", name))
		}
	}()
	err = f(k.ctx)
	returned = true
	return err
}

// crashed describes a panic, for the log to mask.
func crashed(goroutine string, value any) []any {
	return []any{"goroutine", goroutine, "panic", fmt.Sprint(value), "stack", string(debug.Stack())}
}

// wait returns the exit code when the program has ended: on its own, by a
// failure, by a panic, or because ctx, the process's, is done.
func (k *Kit) wait(ctx context.Context, quit <-chan os.Signal) int {
	var err error
	select {
	case crash := <-k.crash:
		k.Log.Error("panic", crash...)
		return exitUsage
	case <-quit:
		return k.dump()
	case err = <-k.ended:
	case <-k.ctx.Done():
		err = context.Cause(k.ctx)
	}
	stopping := ctx.Err() != nil
	if stopping {
		k.Log.Info("stopping")
		k.Health.stop()
	}
	k.cancel(nil)
	if code, ok := k.drain(quit); !ok {
		return code
	}
	if err == nil || stopping && errors.Is(err, context.Canceled) {
		k.Log.Info("stopped")
		return exitDone
	}
	return k.failed(err)
}

// drain waits for Run and the goroutines to return. It is false, with an exit
// code, when they do not in time or when one panics on the way.
func (k *Kit) drain(quit <-chan os.Signal) (int, bool) {
	done := make(chan struct{})
	go func() { k.group.Wait(); close(done) }()
	limit := k.stopLimit()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-quit:
		return k.dump(), false
	case <-timer.C:
		k.Log.Error("did not stop in time", "seconds", limit.Seconds())
		return exitFailed, false
	}
	select {
	case crash := <-k.crash:
		k.Log.Error("panic", crash...)
		return exitUsage, false
	default:
		return 0, true
	}
}

// stopLimit is how long the program may take to stop.
func (k *Kit) stopLimit() time.Duration { return stopTime + time.Duration(k.linger.Load()) }

// failed logs why the program ends and returns the exit code.
func (k *Kit) failed(err error) int {
	var config *ConfigError
	if errors.As(err, &config) {
		k.Log.Error(config.What, "name", config.Name, "next", config.Next)
		return exitInvalid
	}
	k.Log.Error("failed", "error", err.Error())
	return exitFailed
}

// dump logs the stacks of all goroutines, masked by the logger.
func (k *Kit) dump() int {
	stacks := make([]byte, 1<<20)
	k.Log.Error("quit: goroutines follow", "stack", string(stacks[:runtime.Stack(stacks, true)]))
	return exitUsage
}
