//go:build swarm && linux

package swarmlab

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// HelperImage is an image from scratch with integration/helper as its entry point.
const HelperImage = "keepmum-lab/helper:1"

// helperPath is the helper, as this machine runs it.
func (r *room) helperPath() string { return filepath.Join(r.dir, "helper") }

// buildHelper compiles the helper, static.
func (r *room) buildHelper(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", r.helperPath(), "github.com/keepmum/keepmum/integration/helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return run(cmd)
}

// LoadHelper makes [HelperImage] on every node that has power and returns its name.
func (l *Lab) LoadHelper(t testing.TB) string {
	t.Helper()
	binary, err := os.ReadFile(l.room.helperPath())
	if err != nil {
		t.Fatal(err)
	}
	l.Import(t, HelperImage, map[string][]byte{"helper": binary}, `ENTRYPOINT ["/helper"]`)
	return HelperImage
}

// Import makes an image from scratch of these files, by their paths, on every node
// that has power, the same on each. Changes are lines of a Dockerfile.
func (l *Lab) Import(t testing.TB, ref string, files map[string][]byte, changes ...string) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	layer, err := layerOf(files)
	if err != nil {
		t.Fatal(err)
	}
	on := l.powered()
	if len(on) == 0 {
		t.Fatal("no node has power")
	}
	said, err := on[0].client.ImageImport(ctx, image.ImportSource{Source: layer, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err == nil {
		err = worked(said)
	}
	if err == nil {
		err = spread(ctx, on[0].client, on[1:], ref)
	}
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
}

// Load copies images from the machine's own engine to every node that has power.
func (l *Lab) Load(t testing.TB, refs ...string) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	own, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := spread(ctx, own, l.powered(), refs...); err != nil {
		t.Fatal(err)
	}
}

func (l *Lab) powered() []*Node {
	return slices.DeleteFunc(l.Nodes(), (*Node).off)
}

// layerOf is a tar archive of programs and files that everybody may run and read.
func layerOf(files map[string][]byte) (io.Reader, error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	for name, data := range files {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := out.Write(data); err != nil {
			return nil, err
		}
	}
	return &layer, out.Close()
}

// spread copies images from an engine to nodes. The engine saves them once.
func spread(ctx context.Context, from client.APIClient, to []*Node, refs ...string) error {
	if len(to) == 0 {
		return nil
	}
	saved, err := from.ImageSave(ctx, refs)
	if err != nil {
		return fmt.Errorf("%v cannot be saved: %w", refs, err)
	}
	defer saved.Close()
	inputs, ends := map[*Node]*io.PipeReader{}, make([]io.Writer, 0, len(to))
	for _, n := range to {
		in, end := io.Pipe()
		inputs[n], ends = in, append(ends, end)
	}
	go func() {
		_, err := io.Copy(io.MultiWriter(ends...), saved)
		for _, end := range ends {
			_ = end.(*io.PipeWriter).CloseWithError(err) // never fails
		}
	}()
	return each(to, func(n *Node) error {
		loaded, err := n.client.ImageLoad(ctx, struct{ io.Reader }{inputs[n]}) // the client would close it, and so stop the others
		if err == nil {
			err = worked(loaded.Body)
		}
		if err != nil {
			inputs[n].CloseWithError(err) // and the other nodes stop too
			return fmt.Errorf("%s does not load: %w", n.Name(), err)
		}
		_, err = io.Copy(io.Discard, inputs[n]) // what follows the archive, so that the others get theirs
		return err
	})
}

// worked reads an answer of the engine to its end and returns the error in it.
func worked(answer io.ReadCloser) error {
	defer answer.Close()
	messages := json.NewDecoder(answer)
	for {
		var m struct{ Error string }
		if err := messages.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}
