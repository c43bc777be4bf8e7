package wire

import (
	"context"

	"github.com/keepmum/keepmum/internal/console"
)

// Prepare makes what the integration tests start: the images of the stack, and
// a Compose where there is none.
func Prepare(ctx context.Context, c *console.Console) error {
	t, err := Look(c)
	if err != nil {
		return err
	}
	defer t.Close()
	e, err := t.Engine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := t.BuildImages(e, ".").Run(ctx); err != nil {
		return err
	}
	_, err = t.Composer(ctx)
	return err
}
