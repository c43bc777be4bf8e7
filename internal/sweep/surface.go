package sweep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/keepmum/keepmum/internal/docker"
)

// Surface is somewhere a value could show. The functions of this package make
// them.
type Surface struct {
	Name string // as it stands in hits and errors

	// Planted says that the caller has put the canary into the real thing.
	// Then none is planted while reading, and the surface counts as unread
	// unless that one is found.
	Planted bool

	empty bool // it may be that there is nothing to read
	read  func(*reading) error
}

// Docker is the part of an engine that is searched. internal/engine's Engine
// is one.
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

// Bytes is a surface that is in memory, such as a rendered compose file.
func Bytes(name string, text []byte) Surface {
	return Surface{Name: name, empty: true, read: func(r *reading) error {
		return r.stream("", bytes.NewReader(text))
	}}
}

// Stream is what a reader gives until its end; archives in it are opened. It
// is closed behind the reading.
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

// Logs is the log of a container: both streams, from the beginning, over its
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

// Inspect is what the engine tells of a container: environment, arguments,
// labels, health log.
func Inspect(docker Docker, container string) Surface {
	return fetched("inspect of "+container, docker.InspectContainer, container)
}

// ImageConfig is what the engine tells of an image: its environment, labels
// and default arguments.
func ImageConfig(docker Docker, ref string) Surface {
	return fetched("config of "+ref, docker.InspectImage, ref)
}

// ImageHistory is the history of an image: the steps that built it, with their
// build arguments.
func ImageHistory(docker Docker, ref string) Surface {
	return fetched("history of "+ref, docker.ImageHistory, ref)
}

// fetched is a surface that comes whole. It cannot be empty.
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

// Archive is a saved image as save writes it: the form of docker save.
func Archive(name string, save func(context.Context, io.Writer) error) Surface {
	return Surface{Name: name, read: func(r *reading) error {
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		in, out := io.Pipe()
		defer in.Close() // save sees an error, and ends
		go func() { out.CloseWithError(save(ctx, out)) }()
		return r.image(in)
	}}
}

// Watch is a surface that is written, such as our own output while a command
// runs: it searches what passes and keeps nothing.
type Watch struct {
	mu   sync.Mutex
	r    *reading
	part *watched
}

// Watch returns a Watch. Its Result is to be asked for at the end. Writing
// fails when the context ends.
func (s *Sweep) Watch(ctx context.Context, name string) *Watch {
	r := newReading(ctx, s, name, false)
	return &Watch{r: r, part: r.watch("")}
}

// Write searches p.
func (w *Watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.part.Write(p)
}

// Result returns what was found in all that was written. Nothing can be
// written after it.
func (w *Watch) Result() (Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.part.finish(); err != nil {
		return w.r.result, err
	}
	return w.r.close(true)
}
