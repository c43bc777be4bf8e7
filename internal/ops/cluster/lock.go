package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// The times of the lock. A holder has lost it before an observer may take it:
// expires is less than stale by the time that work needs to stop.
const (
	beatEvery = 5 * time.Second
	lookEvery = time.Second // an observer, and a holder whose heartbeat failed
	callLimit = 5 * time.Second
	expires   = 25 * time.Second // without a heartbeat that succeeded
	stale     = 30 * time.Second // without a change that an observer saw
	sayEvery  = 15 * time.Second // that somebody else holds it

	giveBackLimit = 1500 * time.Millisecond // after a signal: a command ends within 3 s
)

// lockData is the content of a lock. What counts is in its labels.
const lockData = "The lock of a stack. Its labels say who holds it.\n"

func lockName(stack string) string { return stack + "_keepmum.lock" }

// Lease is a stack's lock while it is held. Release it.
type Lease struct {
	state   *State
	purpose string
	id      string // of the lease: distinguishes two of one person
	count   int    // heartbeats so far

	held     context.Context // ends with the error that says why the lock was lost
	lose     context.CancelCauseFunc
	expiry   *time.Timer
	beats    context.Context // ends when no further heartbeat is wanted
	stop     context.CancelFunc
	stopped  chan struct{} // closed after the last heartbeat
	release  sync.Once
	released error
}

// Lock takes the stack's lock for a command, which purpose names. While somebody
// else holds it, Lock says who and waits until ctx ends. The lease is not bound to
// ctx: it is held until Release.
func (s *State) Lock(ctx context.Context, purpose string) (*Lease, error) {
	c := &contender{State: s, id: rand.Text(), purpose: purpose, began: time.Now()}
	for {
		began := time.Now()
		got, err := c.try(ctx)
		switch {
		case got:
			return newLease(c, began), nil
		case ctx.Err() != nil:
			return nil, c.gaveUp(ctx)
		case err != nil && (fault.CodeOf(err) == fault.Invalid || c.answered.IsZero() || time.Since(c.answered) > stale):
			return nil, err
		case err == nil:
			c.answered = time.Now()
			c.say()
		}
		select {
		case <-ctx.Done():
			return nil, c.gaveUp(ctx)
		case <-time.After(lookEvery):
		}
	}
}

// Locked reports whether somebody held the stack's lock when the state was read.
func (s *State) Locked() bool {
	_, there := s.lockIn(s.Configs)
	return there
}

// lockIn returns the config that is the stack's lock.
func (s *State) lockIn(configs []docker.SwarmConfig) (lock docker.SwarmConfig, there bool) {
	i := slices.IndexFunc(configs, func(c docker.SwarmConfig) bool { return c.Name == lockName(s.Stack) })
	if i < 0 {
		return lock, false
	}
	return configs[i], true
}

// Under does work while the stack's lock is held. The context of the work ends
// when ctx does, or when the lock is lost; the error is then that of the loss.
func (s *State) Under(ctx context.Context, purpose string, work func(context.Context) error) error {
	lease, err := s.Lock(ctx, purpose)
	if err != nil {
		return err
	}
	working, done := lease.Context(ctx)
	err = work(working)
	done()
	released := lease.Release(ctx)
	switch {
	case lease.Err() != nil && errors.Is(err, lease.Err()): // the work says it itself
		return err
	case lease.Err() != nil && err != nil:
		return &fault.Error{Code: fault.Incomplete, What: fault.Text(lease.Err()) + ": " + fault.Text(err), Next: "the same command again", Cause: err}
	case lease.Err() != nil:
		return lease.Err()
	case released != nil:
		s.cluster.Progress.Say("%s", fault.Text(released))
	}
	return err
}

// contender is somebody who wants a stack's lock.
type contender struct {
	*State
	purpose string
	id      string

	began    time.Time
	answered time.Time          // when the manager last answered; zero: not yet
	seen     docker.SwarmConfig // the lock when it last changed; zero: not yet
	changed  time.Time          // when that was seen
	said     time.Time
	asked    bool // a create or a takeover was sent
}

// try looks at the lock once. It creates the lock if there is none, and takes it
// over if nobody moved it for long enough.
func (c *contender) try(ctx context.Context) (got bool, err error) {
	lock, there, err := c.findLock(ctx)
	mine := there && lock.Labels[docker.LabelLock] == c.id // the answer to an earlier try was lost
	switch {
	case err != nil:
		return false, err
	case !there:
		c.asked, c.seen = true, docker.SwarmConfig{}
		_, err := c.cluster.Configs.CreateConfig(ctx, lockName(c.Stack), c.lockLabels(c.id, c.purpose, 0), []byte(lockData))
		if errors.Is(err, docker.ErrExists) {
			return false, nil
		}
		return err == nil, err
	case lock.Labels[docker.LabelLock] == "" || lock.Labels[docker.LabelStack] != c.Stack:
		return false, &fault.Error{Code: fault.Invalid, What: "the config " + lock.Name + " has the name of the stack's lock, and keepmum did not make it", Next: "remove it: docker config rm " + lock.Name}
	case !mine && (lock.ID != c.seen.ID || lock.Version != c.seen.Version):
		c.seen, c.changed = lock, time.Now()
		return false, nil
	case !mine && time.Since(c.changed) < stale:
		return false, nil
	}
	c.asked = true
	err = c.cluster.Configs.RelabelConfig(ctx, lock.ID, lock.Version, c.lockLabels(c.id, c.purpose, 0))
	if errors.Is(err, docker.ErrOutOfDate) || errors.Is(err, docker.ErrNotFound) {
		return false, nil // somebody else was faster
	}
	if err == nil && !mine {
		c.cluster.Progress.Say("the lock of stack %s did not move for %s and was taken over from %s", c.Stack, stale, holder(lock))
	}
	return err == nil, err
}

// say says that somebody else holds the lock, when that is news and every 15 s.
func (c *contender) say() {
	if c.seen.ID == "" || !c.said.IsZero() && time.Since(c.said) < sayEvery {
		return
	}
	c.said = time.Now()
	c.cluster.Progress.Say("stack %s is locked by %s; waiting for %s", c.Stack, holder(c.seen), time.Since(c.began).Round(time.Second))
}

// gaveUp is the error of a context that ended before the lock was there. A lock
// that was asked for may have come meanwhile: it is given back.
func (c *contender) gaveUp(ctx context.Context) error {
	if c.asked {
		short, cancel := closing(ctx, giveBackLimit)
		defer cancel()
		_ = c.dropLock(short, c.id)
	}
	e := &fault.Error{Code: fault.Interrupted, What: "interrupted before the lock of stack " + c.Stack + " was free; nothing was changed", Next: "the same command again", Cause: ctx.Err()}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Code, e.What = fault.Incomplete, "the lock of stack "+c.Stack+" was not free in time; nothing was changed"
	}
	if c.seen.ID != "" {
		e.What = fmt.Sprintf("stack %s is locked by %s, also after %s; nothing was changed", c.Stack, holder(c.seen), time.Since(c.began).Round(time.Second))
		e.Next = "the same command again when that one has ended; a command that was killed loses its lock after " + stale.String()
	}
	return e
}

// newLease starts the heartbeats of a lock that was taken by a call that began at
// the given time.
func newLease(c *contender, began time.Time) *Lease {
	l := &Lease{state: c.State, purpose: c.purpose, id: c.id, stopped: make(chan struct{})}
	l.held, l.lose = context.WithCancelCause(context.Background())
	l.beats, l.stop = context.WithCancel(l.held)
	l.expiry = time.AfterFunc(expires-time.Since(began), func() {
		l.lose(l.lost(fmt.Sprintf("the manager took no heartbeat of the lock of stack %s for %s", c.Stack, expires)))
	})
	go l.keep()
	return l
}

// Context returns a context that ends when ctx does, or when the lock is lost.
func (l *Lease) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	working, end := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(l.held, func() { end(context.Cause(l.held)) })
	return working, func() { unhook(); end(context.Canceled) }
}

// Err returns why the lock was lost, an error of the code fault.Incomplete, or
// nil.
func (l *Lease) Err() error {
	if l.held.Err() == nil {
		return nil
	}
	return context.Cause(l.held)
}

// lost is the error of a lock that was lost.
func (l *Lease) lost(what string) error {
	return &fault.Error{Code: fault.Incomplete, What: what + "; this command stopped where it was", Next: "the same command again"}
}

// keep sends heartbeats until the lock is lost or given back.
func (l *Lease) keep() {
	defer close(l.stopped)
	wait := beatEvery
	for {
		select {
		case <-l.beats.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
		over, err := l.beat(l.beats)
		switch {
		case over:
			l.lose(err)
			return
		case err != nil:
			wait = lookEvery
		default:
			l.expiry.Reset(expires - time.Since(began))
			wait = beatEvery
		}
	}
}

// beat moves the lock once. over says that it belongs to somebody else by now, or
// is gone; any other error may pass.
func (l *Lease) beat(ctx context.Context) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	lock, there, err := l.state.findLock(ctx)
	switch {
	case err != nil:
		return false, err
	case !there:
		return true, l.lost("the lock of stack " + l.state.Stack + " is gone: somebody removed the config " + lockName(l.state.Stack))
	case lock.Labels[docker.LabelLock] != l.id:
		return true, l.lost("the lock of stack " + l.state.Stack + " was taken over by " + holder(lock))
	}
	l.count++
	return false, l.state.cluster.Configs.RelabelConfig(ctx, lock.ID, lock.Version, l.state.lockLabels(l.id, l.purpose, l.count))
}

// Release gives the lock back, also when ctx has ended. The error says that it
// could not be removed, or that it had been lost; then it is left to whoever has
// it now. A second call does nothing and returns the same.
func (l *Lease) Release(ctx context.Context) error {
	l.release.Do(func() {
		l.stop()
		<-l.stopped
		if l.released = l.Err(); l.released == nil {
			l.released = l.giveBack(ctx)
		}
		l.expiry.Stop()
	})
	return l.released
}

// giveBack removes the lock. It moves the lock right before, so that nobody can
// have found it stale when it is removed.
func (l *Lease) giveBack(ctx context.Context) error {
	ctx, cancel := closing(ctx, giveBackLimit)
	defer cancel()
	over, err := l.beat(ctx)
	if over {
		l.lose(err)
		return err
	}
	if err == nil {
		err = l.state.dropLock(ctx, l.id)
	}
	if err != nil {
		return &fault.Error{Code: fault.Failed, What: "the lock of stack " + l.state.Stack + " could not be removed; it is free after " + stale.String(), Next: "docker config rm " + lockName(l.state.Stack), Cause: err}
	}
	return nil
}

// findLock reads the stack's lock.
func (s *State) findLock(ctx context.Context) (lock docker.SwarmConfig, there bool, err error) {
	all, err := s.cluster.Configs.Configs(ctx)
	lock, there = s.lockIn(all)
	return lock, there, err
}

// dropLock removes the lock if the lease of that id holds it.
func (s *State) dropLock(ctx context.Context, id string) error {
	lock, there, err := s.findLock(ctx)
	if err != nil || !there || lock.Labels[docker.LabelLock] != id {
		return err
	}
	if err = s.cluster.Configs.RemoveConfig(ctx, lock.ID); errors.Is(err, docker.ErrNotFound) {
		return nil
	}
	return err
}

// lockLabels are the labels of a lock at its nth heartbeat.
func (s *State) lockLabels(id, purpose string, n int) map[string]string {
	return map[string]string{
		docker.LabelStack: s.Stack, docker.LabelLock: id, docker.LabelBeat: strconv.Itoa(n),
		docker.LabelBy: s.cluster.By, docker.LabelReason: purpose,
	}
}

// holder names who holds a lock, and what for.
func holder(lock docker.SwarmConfig) string {
	return fault.Printable(lock.Labels[docker.LabelBy] + " (" + lock.Labels[docker.LabelReason] + ")")
}
