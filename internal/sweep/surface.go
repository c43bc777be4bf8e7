package sweep

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/keepmum/keepmum/internal/docker"
)

// Surface is a place where a value could appear. [Bytes], [Stream], [Logs] and
// the other functions of this package return one.
type Surface struct {
	Name  string // as shown in hits and errors
	empty bool   // the surface may be empty
	read  func(*reading) error
}

// Docker is the part of an engine that is searched. Engine of internal/docker/engine
// implements it.
type Docker interface {
	LogReader
	InspectContainer(ctx context.Context, id string) ([]byte, error)
	InspectImage(ctx context.Context, ref string) ([]byte, error)
	ImageHistory(ctx context.Context, ref string) ([]byte, error)
	SaveImage(ctx context.Context, w io.Writer, refs ...string) error
}

// LogReader reads the log of a container.
type LogReader interface {
	ContainerLogs(ctx context.Context, id string, opt docker.LogOptions, stdout, stderr io.Writer) error
}

// Bytes is a surface in memory, such as a rendered compose file.
func Bytes(name string, text []byte) Surface {
	return Surface{Name: name, empty: true, read: func(r *reading) error {
		return r.stream("", bytes.NewReader(text))
	}}
}

// Stream is the content of a reader up to its end; archives in it are opened.
// The reader is closed afterwards.
func Stream(name string, open func(context.Context) (io.ReadCloser, error)) Surface {
	return Surface{Name: name, empty: true, read: func(r *reading) error {
		in, err := open(r.ctx)
		if err != nil {
			return err
		}
		defer in.Close()
		if err := r.archives(); err != nil {
			return err
		}
		return r.stream("", in)
	}}
}

// Logs is the log of a container: both streams, from the beginning, across all
// restarts.
func Logs(from LogReader, container string) Surface {
	return Surface{Name: "logs of " + container, empty: true, read: func(r *reading) error {
		out, errOut := r.watch("stdout"), r.watch("stderr")
		if err := from.ContainerLogs(r.ctx, container, docker.LogOptions{}, out, errOut); err != nil {
			return err
		}
		return errors.Join(out.finish(), errOut.finish())
	}}
}

// Inspect is the engine's description of a container: environment, arguments,
// labels, health log.
func Inspect(docker Docker, container string) Surface {
	return fetched("inspect of "+container, docker.InspectContainer, container)
}

// ImageConfig is the engine's description of an image: its environment, labels
// and default arguments.
func ImageConfig(docker Docker, ref string) Surface {
	return fetched("config of "+ref, docker.InspectImage, ref)
}

// ImageHistory is the history of an image: the steps that built it, with their
// build arguments.
func ImageHistory(docker Docker, ref string) Surface {
	return fetched("history of "+ref, docker.ImageHistory, ref)
}

// fetched is a surface that is fetched as a whole. It must not be empty.
func fetched(name string, fetch func(context.Context, string) ([]byte, error), id string) Surface {
	return Surface{Name: name, read: func(r *reading) error {
		text, err := fetch(r.ctx, id)
		if err != nil {
			return err
		}
		return r.stream("", bytes.NewReader(text))
	}}
}

// Image is a saved image: every file of every layer, deleted ones too, the
// configuration and the history. It is an error if a layer that the image's
// manifest names was not read.
func Image(docker Docker, ref string) Surface {
	return Archive("image "+ref, func(ctx context.Context, w io.Writer) error {
		return docker.SaveImage(ctx, w, ref)
	})
}

// Archive is a saved image that save writes in the format of docker save.
func Archive(name string, save func(context.Context, io.Writer) error) Surface {
	return Surface{Name: name, read: func(r *reading) error {
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		in, out := io.Pipe()
		defer in.Close() // save gets an error and ends
		go func() { out.CloseWithError(save(ctx, out)) }()
		return r.image(in)
	}}
}
