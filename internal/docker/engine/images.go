package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/keepmum/keepmum/internal/docker"
)

// Image describes the image that ref names: a name, an id, or the beginning of
// an id. found is false if the engine does not have it; nothing is pulled.
func (e *Engine) Image(ctx context.Context, ref string) (img docker.Image, found bool, err error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	raw, err := e.client.ImageInspect(inner, ref)
	if errdefs.IsNotFound(err) && ctx.Err() == nil {
		return docker.Image{}, false, nil
	}
	if err != nil {
		return docker.Image{}, false, e.fail(ctx, "inspecting the image "+ref, err)
	}
	img = docker.Image{ID: raw.ID, Tags: raw.RepoTags, OS: raw.Os, Arch: raw.Architecture, Size: raw.Size, Created: timeOf(raw.Created)}
	if raw.Config != nil {
		img.Labels, img.User = raw.Config.Labels, raw.Config.User
	}
	return img, true, nil
}

// InspectImage returns the engine's raw JSON about an image. It may contain
// values.
func (e *Engine) InspectImage(ctx context.Context, ref string) ([]byte, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	var raw bytes.Buffer
	if _, err := e.client.ImageInspect(inner, ref, client.ImageInspectWithRawResponse(&raw)); err != nil {
		return nil, e.fail(ctx, "inspecting the image "+ref, err)
	}
	return raw.Bytes(), nil
}

// ImageHistory returns the image's build steps as JSON. It may contain values.
func (e *Engine) ImageHistory(ctx context.Context, ref string) ([]byte, error) {
	inner, cancel := e.quick(ctx)
	defer cancel()
	steps, err := e.client.ImageHistory(inner, ref)
	if err != nil {
		return nil, e.fail(ctx, "reading the history of the image "+ref, err)
	}
	return json.Marshal(steps)
}

// LoadImage loads the images of a tar stream from [Engine.SaveImage] or docker
// save and returns their names, or the ids of those without a name.
func (e *Engine) LoadImage(ctx context.Context, tar io.Reader) ([]string, error) {
	res, err := e.client.ImageLoad(ctx, tar)
	if err != nil {
		return nil, e.fail(ctx, "loading images", err)
	}
	defer res.Body.Close()
	var loaded []string
	err = messages(res.Body, func(m message) {
		for _, prefix := range []string{"Loaded image: ", "Loaded image ID: "} {
			if name, ok := strings.CutPrefix(strings.TrimSpace(m.Stream), prefix); ok {
				loaded = append(loaded, name)
			}
		}
	})
	if err == nil && len(loaded) == 0 {
		err = errors.New("the stream contains no image")
	}
	return loaded, e.fail(ctx, "loading images", err)
}

// RemoveImage removes a name, and with its last name the image. A missing image
// is not an error. With force, an image that a stopped container uses is removed
// too.
func (e *Engine) RemoveImage(ctx context.Context, ref string, force bool) error {
	inner, cancel := e.quick(ctx)
	defer cancel()
	_, err := e.client.ImageRemove(inner, ref, image.RemoveOptions{Force: force, PruneChildren: true})
	if errdefs.IsNotFound(err) && ctx.Err() == nil {
		return nil
	}
	return e.fail(ctx, "removing the image "+ref, err)
}

// SaveImage writes images with all layers as a tar stream.
func (e *Engine) SaveImage(ctx context.Context, w io.Writer, refs ...string) error {
	doing := "saving " + strings.Join(refs, ", ")
	if len(refs) == 0 {
		return errors.New("no image to save")
	}
	body, err := e.client.ImageSave(ctx, refs)
	if err != nil {
		return e.fail(ctx, doing, err)
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return e.fail(ctx, doing, err)
}
