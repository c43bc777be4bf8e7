//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/imagebuild"
)

// roomTime is how long an engine in a room may take to answer, on a machine
// that has much else to do.
const roomTime = 90 * time.Second

// room is an engine of its own in a container on the user's engine. It has no
// network and no port: the way in is an exec that joins its streams to the
// engine's socket.
type room struct {
	*client.Client
	project *project
	id      string
}

// roomImage makes the image of rooms, unless the engine has it as it would be
// made now.
func (p *project) roomImage(t *testing.T) {
	t.Helper()
	info, err := p.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maker := imagebuild.Maker{Dir: ".."}
	offer, err := maker.OfferDind(t.Context(), info.Arch)
	if err != nil {
		t.Fatal(err)
	}
	had, err := p.docker.ImageInspect(t.Context(), imagebuild.DindImage)
	if err == nil && had.Config.Labels[docker.LabelBuild] == offer.Digest {
		return
	}
	begun := time.Now()
	archive, err := maker.Dind(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	if _, err := p.engine.LoadImage(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if had.ID != "" { // it has no name any more
		_, _ = p.docker.ImageRemove(t.Context(), had.ID, image.RemoveOptions{}) // another room may stand on it
	}
	t.Logf("%s made in %.1f s, %d MB", imagebuild.DindImage, time.Since(begun).Seconds(), archive.Size>>20)
}

// newRoom starts a room whose engine gets further arguments. It needs the
// witness, and is removed with the project.
func newRoom(t *testing.T, p *project, args ...string) *room {
	t.Helper()
	p.roomImage(t)
	binary, err := os.ReadFile(p.witnessProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.docker.ContainerCreate(t.Context(), &container.Config{
		Image: imagebuild.DindImage, Cmd: args, Env: []string{"DIND_RESOLVER=/witness resolver"},
		Hostname: "room", Volumes: map[string]struct{}{"/var/lib/docker": {}},
		Labels: map[string]string{labelProject: p.name, labelService: "room"},
	}, &container.HostConfig{
		NetworkMode: "none",
		CapAdd:      []string{"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "NET_RAW", "SYS_MODULE"},
		SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"},
		// A user namespace in the room may mount /proc only where all of it shows.
		MaskedPaths: []string{}, ReadonlyPaths: []string{},
	}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.remove(t, made.ID) })
	if err := p.docker.CopyToContainer(t.Context(), made.ID, "/", archive(t, map[string][]byte{"witness": binary}), container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	r := &room{project: p, id: made.ID}
	r.Client, err = client.NewClientWithOpts(client.WithHost("unix:///run/docker.sock"), client.WithDialContext(r.dial), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.await(t)
	return r
}

// await waits until the engine answers.
func (r *room) await(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(roomTime)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := r.Ping(ctx)
		cancel()
		if err == nil {
			return
		}
		state, inspected := r.project.docker.ContainerInspect(t.Context(), r.id)
		if inspected != nil || !state.State.Running || time.Now().After(deadline) {
			t.Fatalf("the engine of the room does not answer: %v\n%s", err, r.project.log(t, r.id, time.Time{}))
		}
	}
}

// dial opens a connection to the engine's socket.
func (r *room) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	outer := r.project.docker
	made, err := outer.ContainerExecCreate(ctx, r.id, container.ExecOptions{
		Cmd: []string{"/witness", "relay", "/run/docker.sock"}, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	attached, err := outer.ContainerExecAttach(context.WithoutCancel(ctx), made.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	go func() {
		var problem bytes.Buffer
		_, err := stdcopy.StdCopy(in, &problem, attached.Reader)
		if err == nil && problem.Len() > 0 {
			err = errors.New(problem.String())
		}
		in.CloseWithError(err)
	}()
	return &roomConn{HijackedResponse: attached, out: out}, nil
}

// roomConn is a connection through an exec.
type roomConn struct {
	types.HijackedResponse
	out  *io.PipeReader
	once sync.Once
}

func (c *roomConn) Read(p []byte) (int, error)          { return c.out.Read(p) }
func (c *roomConn) Write(p []byte) (int, error)         { return c.Conn.Write(p) }
func (c *roomConn) LocalAddr() net.Addr                 { return c.Conn.LocalAddr() }
func (c *roomConn) RemoteAddr() net.Addr                { return c.Conn.RemoteAddr() }
func (c *roomConn) SetDeadline(at time.Time) error      { return c.SetWriteDeadline(at) }
func (c *roomConn) SetReadDeadline(time.Time) error     { return nil } // requests end with their contexts, which close
func (c *roomConn) SetWriteDeadline(at time.Time) error { return c.Conn.SetWriteDeadline(at) }

// Close ends both directions.
func (c *roomConn) Close() error {
	c.once.Do(func() {
		c.HijackedResponse.Close()
		c.out.Close()
	})
	return nil
}

// load hands an image of the user's engine to the room's.
func (r *room) load(t *testing.T, ref string) {
	t.Helper()
	stream, err := r.project.docker.ImageSave(t.Context(), []string{ref})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	loaded, err := r.ImageLoad(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Body.Close()
	if _, err := io.Copy(io.Discard, loaded.Body); err != nil {
		t.Fatal(err)
	}
}

// log is what a container of the room has said so far; nothing where it is gone.
func (r *room) log(t *testing.T, id string) string {
	t.Helper()
	stream, err := r.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if errdefs.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, stream); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// swarmInit makes the room a Swarm of one node.
func (r *room) swarmInit(t *testing.T) {
	t.Helper()
	if _, err := r.SwarmInit(t.Context(), swarm.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
}
