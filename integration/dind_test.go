//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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

// dindTimeout is how long the inner engine may take to answer on a busy machine.
const dindTimeout = 90 * time.Second

// dind is an engine in a container on the engine of the user (docker in docker).
// It has no network and no port: the way in is an exec that joins its streams to
// the socket of the engine.
type dind struct {
	*client.Client
	project *project
	id      string
}

// dindImage builds the image of the inner engine, unless the outer one already
// has it as it would be built now.
func (p *project) dindImage(t *testing.T) {
	t.Helper()
	info, err := p.engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maker := imagebuild.Maker{Dir: ".."}
	had, err := p.docker.ImageInspect(t.Context(), imagebuild.DindImage)
	digest := ""
	if err == nil {
		digest = had.Config.Labels[docker.LabelBuild]
	}
	begun := time.Now()
	archive, err := maker.Dind(t.Context(), info.Arch, digest)
	if err != nil {
		t.Fatal(err)
	}
	if archive.Write == nil {
		return
	}
	stream, in := io.Pipe()
	go func() { in.CloseWithError(archive.Write(in)) }()
	if _, err := p.engine.LoadImage(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if had.ID != "" { // it has lost its name
		_, _ = p.docker.ImageRemove(t.Context(), had.ID, image.RemoveOptions{}) // another container may use it
	}
	t.Logf("%s built in %.1f s, %d MB", imagebuild.DindImage, time.Since(begun).Seconds(), archive.Size>>20)
}

// newDind starts an inner engine with additional arguments. It is removed with
// the project.
func newDind(t *testing.T, p *project, args ...string) *dind {
	t.Helper()
	p.dindImage(t)
	made, err := p.docker.ContainerCreate(t.Context(), &container.Config{
		Image: imagebuild.DindImage, Cmd: args, Env: []string{"DIND_RESOLVER=/helper resolver"},
		Hostname: "dind", Volumes: map[string]struct{}{"/var/lib/docker": {}},
		Labels: map[string]string{labelProject: p.name, labelService: "dind"},
	}, &container.HostConfig{
		NetworkMode: "none",
		CapAdd:      []string{"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "NET_RAW", "SYS_MODULE"},
		SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"},
		// A user namespace in the container may mount /proc only if all of it is
		// visible.
		MaskedPaths: []string{}, ReadonlyPaths: []string{},
	}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.remove(t, made.ID) })
	if err := p.docker.CopyToContainer(t.Context(), made.ID, "/", archive(t, map[string][]byte{"helper": p.program(t, "helper")}), container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := p.docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	r := &dind{project: p, id: made.ID}
	r.Client, err = client.NewClientWithOpts(client.WithHost("unix:///run/docker.sock"), client.WithDialContext(r.dial), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.await(t)
	return r
}

// await waits until the engine answers.
func (r *dind) await(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(dindTimeout)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := r.Ping(ctx)
		cancel()
		if err == nil {
			return
		}
		state, inspected := r.project.docker.ContainerInspect(t.Context(), r.id)
		if inspected != nil || !state.State.Running || time.Now().After(deadline) {
			t.Fatalf("the inner engine does not answer: %v\n%s", err, r.project.log(t, r.id, time.Time{}))
		}
	}
}

// dial opens a connection to the socket of the engine.
func (r *dind) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	outer := r.project.docker
	made, err := outer.ContainerExecCreate(ctx, r.id, container.ExecOptions{
		Cmd: []string{"/helper", "relay", "/run/docker.sock"}, AttachStdin: true, AttachStdout: true, AttachStderr: true,
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
	return &dindConn{HijackedResponse: attached, out: out}, nil
}

// dindConn is a connection through an exec.
type dindConn struct {
	types.HijackedResponse
	out  *io.PipeReader
	once sync.Once
}

func (c *dindConn) Read(p []byte) (int, error)          { return c.out.Read(p) }
func (c *dindConn) Write(p []byte) (int, error)         { return c.Conn.Write(p) }
func (c *dindConn) LocalAddr() net.Addr                 { return c.Conn.LocalAddr() }
func (c *dindConn) RemoteAddr() net.Addr                { return c.Conn.RemoteAddr() }
func (c *dindConn) SetDeadline(at time.Time) error      { return c.SetWriteDeadline(at) }
func (c *dindConn) SetReadDeadline(time.Time) error     { return nil } // requests end with their contexts, which close
func (c *dindConn) SetWriteDeadline(at time.Time) error { return c.Conn.SetWriteDeadline(at) }

// Close ends both directions.
func (c *dindConn) Close() error {
	c.once.Do(func() {
		c.HijackedResponse.Close()
		c.out.Close()
	})
	return nil
}

// load copies an image from the outer engine to the inner one.
func (r *dind) load(t *testing.T, ref string) {
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

// log is the log of a container of the inner engine so far; empty if it is gone.
func (r *dind) log(t *testing.T, id string) string {
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

// swarmInit makes the inner engine a Swarm of one node.
func (r *dind) swarmInit(t *testing.T) {
	t.Helper()
	if _, err := r.SwarmInit(t.Context(), swarm.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
}
