package engine

import (
	"context"

	"github.com/docker/docker/api/types/image"
)

// PullImage pulls an image from its registry, without credentials. progress,
// which may be nil, gets the engine's output line by line.
func (e *Engine) PullImage(ctx context.Context, ref string, progress func(line string)) error {
	doing := "pulling " + ref
	answer, err := e.client.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		return e.fail(ctx, doing, err)
	}
	defer answer.Close()
	return e.fail(ctx, doing, messages(answer, func(m message) { m.report(progress) }))
}
