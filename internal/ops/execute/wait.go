package execute

import (
	"context"
	"time"

	"github.com/keepmum/keepmum/internal/fault"
)

// again does something, again while the manager does not answer.
func (x *Executor) again(ctx context.Context, do func() error) error {
	return x.until(ctx, func() (bool, error) {
		err := do()
		return err == nil, err
	})
}

// silence is how long a manager may not answer: a Swarm that lost its leader
// elects another one within half of it.
const silence = time.Minute

// until polls until done says so, it fails, or the context ends.
func (x *Executor) until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(x.Every)
	defer tick.Stop()
	quiet := time.Duration(-1) // since when the manager does not answer
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		over, err := done()
		switch {
		case err != nil && fault.CodeOf(err) != fault.NoEngine || over:
			return err
		case err == nil:
			quiet = -1
		case quiet < 0:
			quiet = x.Clock()
			x.Progress.Say("the manager does not answer; waiting for up to %s: %s", silence, fault.Text(err))
		case x.Clock()-quiet > silence:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
