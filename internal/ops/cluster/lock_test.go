package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/ops/cluster"
	"github.com/keepmum/keepmum/internal/ops/cluster/clustertest"
)

const lockName = "shop_keepmum.lock"

// The tests of the lock run in bubbles in which time is that of the test: a
// minute passes at once, and every timer fires at its very moment.

func TestLock_IsAConfigThatMovesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, said := open(t, s, "anna@here")
		lease, err := state.Lock(t.Context(), "deploy:swarm")
		if err != nil {
			t.Fatal(err)
		}
		first, there := config(t, s, lockName)
		if !there || first.Labels[docker.LabelBy] != "anna@here" || first.Labels[docker.LabelReason] != "deploy:swarm" || first.Labels[docker.LabelStack] != "shop" || first.Labels[docker.LabelLock] == "" || first.Labels[docker.LabelNamespace] != "" {
			t.Fatalf("the lock is %+v", first)
		}
		working, done := lease.Context(t.Context())
		defer done()
		last := first
		for range 20 {
			time.Sleep(5*time.Second + time.Millisecond)
			now, _ := config(t, s, lockName)
			if now.Version == last.Version || now.Labels[docker.LabelLock] != first.Labels[docker.LabelLock] {
				t.Fatalf("it did not move within 5 s: %+v", now)
			}
			last = now
		}
		if lease.Err() != nil || working.Err() != nil {
			t.Errorf("lost after 100 s: %v, %v", lease.Err(), working.Err())
		}
		for range 2 {
			if err := lease.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, there := config(t, s, lockName); there {
			t.Error("the lock is still there")
		}
		calls := len(s.Calls(""))
		time.Sleep(time.Minute)
		if after := s.Calls("")[calls:]; len(after) > 0 || lease.Err() != nil {
			t.Errorf("after the release: %q, %v", after, lease.Err())
		}
		if text := said.said(); text != "" {
			t.Errorf("said %q although nobody waited", text)
		}
	})
}

func TestLock_IsHeldByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		const several = 5
		var inside, most, took atomic.Int32
		for i := range several {
			state, _ := open(t, s, string(rune('a'+i))+"@here")
			go func() {
				err := state.Under(t.Context(), "deploy:swarm", func(ctx context.Context) error {
					most.Store(max(most.Load(), inside.Add(1)))
					time.Sleep(40 * time.Second) // longer than a lock that does not move is respected
					inside.Add(-1)
					took.Add(1)
					return ctx.Err()
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(10 * time.Minute)
		if most.Load() != 1 || took.Load() != several {
			t.Errorf("%d of %d took it, %d at once", took.Load(), several, most.Load())
		}
		if _, there := config(t, s, lockName); there {
			t.Error("the lock is still there")
		}
	})
}

func TestLock_WaitsAndSaysForWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		anna, _ := open(t, s, "anna@here")
		lease, err := anna.Lock(t.Context(), "deploy:swarm")
		if err != nil {
			t.Fatal(err)
		}
		bert, said := open(t, s, "bert@there")
		limited, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		_, err = bert.Lock(limited, "secrets:toSwarm")
		want(t, err, fault.Incomplete, "stack shop is locked by anna@here (deploy:swarm), also after 1m40s", "nothing was changed")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the cause is not the deadline")
		}
		if text := said.said(); strings.Count(text, "stack shop is locked by anna@here (deploy:swarm); waiting for") != 7 || !strings.Contains(text, "waiting for 1m30s") {
			t.Errorf("said:\n%s", text)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		_, err = bert.Lock(stopped, "secrets:toSwarm")
		want(t, err, fault.Interrupted, "nothing was changed")
		if lease.Err() != nil {
			t.Errorf("the holder lost it to one who waited: %v", lease.Err())
		}
		if err := lease.Release(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		again, err := bert.Lock(t.Context(), "secrets:toSwarm")
		if err != nil || time.Since(began) > time.Second {
			t.Fatalf("the free lock: %v after %s", err, time.Since(began))
		}
		_ = again.Release(t.Context())
	})
}

// killed takes the lock for somebody whose process then ends without a word.
func killed(t *testing.T, s *clustertest.Swarm, by string) {
	t.Helper()
	labels := map[string]string{docker.LabelStack: "shop", docker.LabelLock: "id of " + by, docker.LabelBy: by, docker.LabelReason: "deploy:swarm", docker.LabelBeat: "0"}
	if _, err := s.CreateConfig(t.Context(), lockName, labels, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestLock_OfAKilledHolderIsTakenOverByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		// The clock of the manager runs wild: nobody may go by the times that it writes.
		jumps := []time.Duration{-1000 * time.Hour, 0, 1000 * time.Hour}
		var ticks atomic.Int64
		s.Clock = func() time.Time { return time.Now().Add(jumps[ticks.Add(1)%3]) }
		killed(t, s, "dead@there")
		began := time.Now()
		const several = 4
		type taken struct {
			lease *cluster.Lease
			after time.Duration
			said  *talk
		}
		got := make(chan taken, several)
		limited, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		var refused atomic.Int32
		for i := range several {
			state, said := open(t, s, string(rune('a'+i))+"@here")
			go func() {
				lease, err := state.Lock(limited, "deploy:swarm")
				if err != nil {
					refused.Add(1)
					return
				}
				got <- taken{lease, time.Since(began), said}
			}()
		}
		time.Sleep(time.Minute)
		if len(got) != 1 || refused.Load() != several-1 {
			t.Fatalf("%d took it over, %d did not", len(got), refused.Load())
		}
		one := <-got
		if one.after < 30*time.Second || one.after > 32*time.Second {
			t.Errorf("taken over after %s", one.after)
		}
		if text := one.said.said(); !strings.Contains(text, "did not move for 30s and was taken over from dead@there (deploy:swarm)") {
			t.Errorf("said:\n%s", text)
		}
		if one.lease.Err() != nil {
			t.Errorf("lost at once: %v", one.lease.Err())
		}
		_ = one.lease.Release(t.Context())
	})
}

// A lock that moves once more, however late, is not stale for another 30 s.
func TestLock_ThatMovesIsNotTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		killed(t, s, "slow@there")
		state, _ := open(t, s, "anna@here")
		began := time.Now()
		go func() {
			time.Sleep(29 * time.Second)
			lock, _ := config(t, s, lockName)
			if err := s.RelabelConfig(t.Context(), lock.ID, lock.Version, lock.Labels); err != nil {
				t.Error(err)
			}
		}()
		lease, err := state.Lock(t.Context(), "deploy:swarm")
		if after := time.Since(began); err != nil || after < 59*time.Second || after > 62*time.Second {
			t.Errorf("%v after %s", err, after)
		}
		_ = lease.Release(t.Context())
	})
}

func TestLock_ThatKeepmumDidNotMakeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, labels := range []map[string]string{nil, {docker.LabelStack: "shop"}, {docker.LabelLock: "x", docker.LabelStack: "other"}} {
			s := clustertest.New()
			if _, err := s.CreateConfig(t.Context(), lockName, labels, []byte("x")); err != nil {
				t.Fatal(err)
			}
			state, _ := open(t, s, "anna@here")
			_, err := state.Lock(t.Context(), "deploy:swarm")
			want(t, err, fault.Invalid, "the config shop_keepmum.lock has the name of the stack's lock")
		}
	})
}

// silence makes every call fail between two moments, counted from now.
func silence(s *clustertest.Swarm, from, to time.Duration) {
	began := time.Now()
	s.Fail = func(context.Context, string) error {
		if since := time.Since(began); since >= from && since < to {
			return errElection
		}
		return nil
	}
}

func TestLease_OutlastsAnElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		silence(s, time.Second, 24*time.Second)
		err := state.Under(t.Context(), "deploy:swarm", func(ctx context.Context) error {
			time.Sleep(2 * time.Minute)
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("lost: %v", err)
		}
	})
}

func TestLease_IsLostBeforeAnybodyElseCanHaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		anna, _ := open(t, s, "anna@here")
		bert, _ := open(t, s, "bert@there")
		began := time.Now()
		var lost, taken atomic.Int64
		s.Fail = func(ctx context.Context, _ string) error {
			if time.Since(began) >= 12*time.Second && ctx.Value(bertsCall{}) == nil {
				return errElection // anna's manager is cut off, bert's is not
			}
			return nil
		}
		go func() {
			lease, err := bert.Lock(context.WithValue(t.Context(), bertsCall{}, true), "deploy:swarm")
			if err != nil {
				t.Error(err)
				return
			}
			taken.Store(int64(time.Since(began)))
			time.Sleep(time.Minute)
			_ = lease.Release(context.WithValue(t.Context(), bertsCall{}, true))
		}()
		// anna's heartbeats go by the background: they carry no mark.
		err := anna.Under(t.Context(), "secrets:toSwarm", func(ctx context.Context) error {
			<-ctx.Done()
			lost.Store(int64(time.Since(began)))
			return context.Cause(ctx)
		})
		want(t, err, fault.Incomplete, "took no heartbeat of the lock of stack shop for 25s", "stopped where it was")
		if text := err.Error(); strings.Count(text, "took no heartbeat") != 1 {
			t.Errorf("it is said twice: %s", text)
		}
		time.Sleep(2 * time.Minute)
		l, k := time.Duration(lost.Load()), time.Duration(taken.Load())
		if l < 34*time.Second || l > 36*time.Second || k < l+4*time.Second {
			t.Errorf("lost after %s, taken after %s", l, k)
		}
	})
}

type bertsCall struct{}

func TestLease_EndsTheWorkWhenSomebodyTookTheLock(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*testing.T, *clustertest.Swarm, docker.SwarmConfig)
		words  string
		stays  bool
	}{
		"taken over": {func(t *testing.T, s *clustertest.Swarm, lock docker.SwarmConfig) {
			labels := map[string]string{docker.LabelStack: "shop", docker.LabelLock: "x", docker.LabelBy: "bert@there", docker.LabelReason: "deploy:swarm"}
			if err := s.RelabelConfig(t.Context(), lock.ID, lock.Version, labels); err != nil {
				t.Fatal(err)
			}
		}, "was taken over by bert@there (deploy:swarm)", true},
		"removed by hand": {func(t *testing.T, s *clustertest.Swarm, lock docker.SwarmConfig) {
			if err := s.RemoveConfig(t.Context(), lock.ID); err != nil {
				t.Fatal(err)
			}
		}, "somebody removed the config shop_keepmum.lock", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := clustertest.New()
				state, _ := open(t, s, "anna@here")
				began := time.Now()
				err := state.Under(t.Context(), "secrets:toSwarm", func(ctx context.Context) error {
					lock, _ := config(t, s, lockName)
					test.change(t, s, lock)
					<-ctx.Done()
					return &fault.Error{Code: fault.Interrupted, What: "2 of 3 versions were made"}
				})
				want(t, err, fault.Incomplete, test.words, "2 of 3 versions were made")
				if after := time.Since(began); after > 5*time.Second {
					t.Errorf("only after %s", after)
				}
				if _, there := config(t, s, lockName); there != test.stays {
					t.Errorf("the lock is there: %v; another holder's must stay", there)
				}
			})
		})
	}
}

// The last moment at which a lock can be lost is the release. Its error is the
// command's.
func TestUnder_FindsAtTheEndThatTheLockWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		err := state.Under(t.Context(), "secrets:toSwarm", func(context.Context) error {
			lock, _ := config(t, s, lockName)
			return s.RemoveConfig(t.Context(), lock.ID)
		})
		want(t, err, fault.Incomplete, "somebody removed the config")
	})
}

func TestUnder_KeepsTheErrorOfTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		failed := &fault.Error{Code: fault.Pending, What: "not done"}
		if err := state.Under(t.Context(), "x", func(context.Context) error { return failed }); err != failed {
			t.Errorf("%v", err)
		}
		if _, there := config(t, s, lockName); there {
			t.Error("the lock is still there")
		}
	})
}

// After a signal the context has ended, and the lock is still given back.
func TestRelease_WorksAfterTheContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		ctx, cancel := context.WithCancel(t.Context())
		lease, err := state.Lock(ctx, "deploy:swarm")
		if err != nil {
			t.Fatal(err)
		}
		working, done := lease.Context(ctx)
		defer done()
		cancel()
		synctest.Wait()
		if !errors.Is(working.Err(), context.Canceled) || lease.Err() != nil {
			t.Errorf("the work goes on (%v), or the lock is lost (%v)", working.Err(), lease.Err())
		}
		if err := lease.Release(ctx); err != nil {
			t.Error(err)
		}
		if _, there := config(t, s, lockName); there {
			t.Error("the lock is still there")
		}
	})
}

// A manager that hangs delays the end of a command by little, and the lock goes
// stale.
func TestRelease_DoesNotWaitForAManagerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, said := open(t, s, "anna@here")
		ctx, cancel := context.WithCancel(t.Context())
		var stopped time.Time
		err := state.Under(ctx, "deploy:swarm", func(context.Context) error {
			s.Fail = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
			time.Sleep(6 * time.Second) // into a heartbeat
			cancel()
			stopped = time.Now()
			return nil
		})
		if after := time.Since(stopped); err != nil || after > time.Second {
			t.Errorf("%v, %s after the signal", err, after)
		}
		if text := said.said(); !strings.Contains(text, "could not be removed; it is free after 30s") {
			t.Errorf("said %q", text)
		}
	})
}

func TestLease_IsLostWhileAHeartbeatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		began := time.Now()
		err := state.Under(t.Context(), "deploy:swarm", func(ctx context.Context) error {
			s.Fail = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
			<-ctx.Done()
			if after := time.Since(began); after != 25*time.Second {
				t.Errorf("lost after %s", after)
			}
			return nil
		})
		want(t, err, fault.Incomplete, "took no heartbeat")
	})
}

// The answer to a create, or to a takeover, may get lost although it was done.
func TestLock_FindsItselfAfterALostAnswer(t *testing.T) {
	for _, call := range []string{"CreateConfig", "RelabelConfig"} {
		synctest.Test(t, func(t *testing.T) {
			s := clustertest.New()
			if call == "RelabelConfig" {
				killed(t, s, "dead@there")
			}
			state, _ := open(t, s, "anna@here")
			if call == "CreateConfig" { // so that an answer came before
				killed(t, s, "dead@there")
				go func() {
					time.Sleep(3 * time.Second)
					lock, _ := config(t, s, lockName)
					_ = s.RemoveConfig(t.Context(), lock.ID)
				}()
			}
			lostOne := false
			s.After = func(got string) error {
				if strings.HasPrefix(got, call) && !lostOne {
					lostOne = true
					return errElection
				}
				return nil
			}
			began := time.Now()
			lease, err := state.Lock(t.Context(), "deploy:swarm")
			if err != nil || !lostOne {
				t.Fatalf("%s: %v, an answer was lost: %v", call, err, lostOne)
			}
			if after := time.Since(began); after > 33*time.Second {
				t.Errorf("%s: only after %s: it waited for its own lock", call, after)
			}
			_ = lease.Release(t.Context())
		})
	}
}

func TestLock_LeavesNothingWhenItIsStoppedInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		ctx, cancel := context.WithCancel(t.Context())
		s.After = func(call string) error {
			if strings.HasPrefix(call, "CreateConfig") {
				cancel() // the signal comes between the engine's work and its answer
				return context.Canceled
			}
			return nil
		}
		_, err := state.Lock(ctx, "deploy:swarm")
		want(t, err, fault.Interrupted, "nothing was changed")
		if _, there := config(t, s, lockName); there {
			t.Error("the lock is there for 30 s although nobody holds it")
		}
	})
}

// Somebody else moves the lock in the moment in which it is taken over: it stays
// with them, also when the one who lost gives up.
func TestLock_LeavesTheLockToWhoWasFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		killed(t, s, "slow@there")
		state, said := open(t, s, "anna@here")
		tried := 0
		s.Fail = func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "RelabelConfig") && tried == 0 {
				tried++
				lock, _ := config(t, s, lockName)
				return s.RelabelConfig(t.Context(), lock.ID, lock.Version, lock.Labels)
			}
			return nil
		}
		limited, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		_, err := state.Lock(limited, "deploy:swarm")
		want(t, err, fault.Incomplete, "locked by slow@there")
		lock, there := config(t, s, lockName)
		if tried != 1 || !there || lock.Labels[docker.LabelBy] != "slow@there" || strings.Contains(said.said(), "taken over") {
			t.Errorf("tried %d times; the lock is there: %v, of %s; said %q", tried, there, lock.Labels[docker.LabelBy], said.said())
		}
	})
}

func TestLock_FailsAtOnceIfTheManagerNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		state, _ := open(t, s, "anna@here")
		silence(s, 0, time.Hour)
		if _, err := state.Lock(t.Context(), "deploy:swarm"); err != errElection {
			t.Errorf("%v", err)
		}
	})
}

func TestLock_WaitsThroughAnElectionAndThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := clustertest.New()
		killed(t, s, "dead@there")
		state, _ := open(t, s, "anna@here")
		silence(s, 2*time.Second, 20*time.Second)
		lease, err := state.Lock(t.Context(), "deploy:swarm")
		if err != nil {
			t.Fatalf("an election of 18 s: %v", err)
		}
		_ = lease.Release(t.Context())
		killed(t, s, "dead@there")
		silence(s, 2*time.Second, time.Hour)
		began := time.Now()
		if _, err := state.Lock(t.Context(), "deploy:swarm"); err != errElection || time.Since(began) > 40*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
