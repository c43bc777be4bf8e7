package store

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keepmum/keepmum/services/internal/service"
)

// lockInterval is how often to ask for the lock, and how often to check the
// connection that holds it.
const lockInterval = time.Second

// errLost is the cause of a leader's context when its connection is gone.
var errLost = errors.New("the advisory lock's connection is lost")

// Lead runs f while it holds the advisory lock of kit.Name, so that two copies
// of a service do not work at once. It waits for the lock as long as another
// holds it, and is healthy meanwhile. When the connection that holds the lock is lost, f's
// context is done and Lead waits for the lock again. It returns when ctx is done
// or f returns.
func (s *Store) Lead(ctx context.Context, kit *service.Kit, f func(context.Context) error) error {
	standby := false
	for {
		held, lost, err := s.leadOnce(ctx, kit.Name, f)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case held && !lost:
			return err
		case lost:
			kit.Log.Warn("lost the lock; waiting for it again")
		case err != nil:
			kit.Log.Warn("cannot ask for the lock", "error", err.Error())
		case !standby:
			standby = true
			kit.Log.Info("another copy is at work; standing by")
			kit.Health.Set("lock", nil)
		}
		if !service.Sleep(ctx, lockInterval) {
			return ctx.Err()
		}
	}
}

// Poll connects, and polls at the interval while it holds the lock of kit.Name
// (see [Store.Lead]). Begin is called each time that the lock was taken, and
// returns what to call (see [service.Poller.Run]). Check names the health check.
// It returns when ctx is done, or with a *service.ConfigError.
func (s Settings) Poll(ctx context.Context, kit *service.Kit, check string, interval time.Duration,
	begin func(*Store) func(context.Context) (time.Duration, error),
) error {
	db, err := Open(ctx, s, kit)
	if err != nil {
		return err
	}
	defer db.Close()
	poller := service.Poller{Name: check, Interval: interval, Health: kit.Health, Log: kit.Log}
	return db.Lead(ctx, kit, func(ctx context.Context) error { return poller.Run(ctx, begin(db)) })
}

// leadOnce asks for the lock once and, when it is held, runs f.
func (s *Store) leadOnce(ctx context.Context, name string, f func(context.Context) error) (held, lost bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, false, classify(err, "of DB_APP_LOGIN")
	}
	defer conn.Release()
	key := lockKey(name)
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&held); err != nil || !held {
		return false, false, classify(err, "of DB_APP_LOGIN")
	}
	leading, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go watch(leading, stop, conn, done)
	err = f(leading)
	lost = errors.Is(context.Cause(leading), errLost)
	stop(nil)
	<-done
	unlock(ctx, conn, key, lost)
	return true, lost, err
}

// watch checks the connection at every interval, because the lock lasts only as
// long as it does.
func watch(ctx context.Context, stop context.CancelCauseFunc, conn *pgxpool.Conn, done chan<- struct{}) {
	defer close(done)
	for service.Sleep(ctx, lockInterval) {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := conn.Ping(limited)
		cancel()
		if err != nil && ctx.Err() == nil {
			stop(errLost)
			return
		}
	}
}

// unlock releases the lock. If that fails it closes the connection, which releases
// the lock too.
func unlock(ctx context.Context, conn *pgxpool.Conn, key int64, lost bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if !lost {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", key); err == nil {
			return
		}
	}
	_ = conn.Conn().Close(ctx)
}

// lockKey is the lock's number for a service's name.
func lockKey(name string) int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte("keepmum/" + name)) // a hash cannot fail
	return int64(sum.Sum64())
}
