//go:build integration && unix

package reaper

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// TestRemove removes everything with the mark, of each kind, and nothing else;
// twice is not an error.
func TestRemove(t *testing.T) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	mark, other := strings.ToLower(rand.Text()[:12]), strings.ToLower(rand.Text()[:12])
	for _, word := range []string{mark, other} {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := Remove(ctx, docker, word); err != nil {
				t.Error(err)
			}
		})
		furnish(t, docker, word)
		if has := with(t, docker, word); len(has) != 5 {
			t.Fatalf("made: %v", has)
		}
	}
	for range 2 {
		if _, err := Remove(t.Context(), docker, mark); err != nil {
			t.Fatal(err)
		}
	}
	if left := with(t, docker, mark); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left := with(t, docker, other); len(left) != 5 {
		t.Errorf("with another mark are left %v", left)
	}
}

// furnish makes one of each kind, and two images, with the word in a label or in
// a reference, never in both.
func furnish(t *testing.T, docker client.APIClient, word string) {
	t.Helper()
	label := map[string]string{"io.keepmum.test": "reaper-" + word + "-one"}
	for _, one := range []struct {
		ref     string
		changes []string
	}{{"keepmum-reaper/labelled:latest-" + other(word), []string{"LABEL io.keepmum.test=reaper-" + word, `CMD ["/none"]`}}, {"keepmum-reaper/named-" + word + ":latest", nil}} {
		var layer bytes.Buffer
		out := tar.NewWriter(&layer)
		if err := errors.Join(out.WriteHeader(&tar.Header{Name: rand.Text(), Mode: 0o644}), out.Close()); err != nil {
			t.Fatal(err)
		}
		said, err := docker.ImageImport(t.Context(), image.ImportSource{Source: &layer, SourceName: "-"}, one.ref, image.ImportOptions{Changes: one.changes})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, said)
		if err := errors.Join(err, said.Close()); err != nil {
			t.Fatal(err)
		}
	}
	_, nErr := docker.NetworkCreate(t.Context(), "keepmum-reaper-"+other(word), network.CreateOptions{Labels: label})
	v, vErr := docker.VolumeCreate(t.Context(), volume.CreateOptions{Labels: label})
	_, cErr := docker.ContainerCreate(t.Context(), &container.Config{Image: "keepmum-reaper/named-" + word, Cmd: []string{"/none"}, Labels: label},
		&container.HostConfig{Binds: []string{v.Name + ":/v"}}, nil, nil, "")
	if err := errors.Join(nErr, vErr, cErr); err != nil {
		t.Fatal(err)
	}
}

// other is a name derived from the word that does not contain it.
func other(word string) string {
	letters := []rune(word)
	slices.Reverse(letters)
	return string(letters)
}

// with returns the kinds of things of the word that the engine has.
func with(t *testing.T, docker client.APIClient, word string) []string {
	t.Helper()
	var found []string
	is := func(kind string, labels map[string]string, names ...string) {
		if strings.Contains(labels["io.keepmum.test"], word) || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, word) }) {
			found = append(found, kind)
		}
	}
	containers, cErr := docker.ContainerList(t.Context(), container.ListOptions{All: true})
	for _, c := range containers {
		is("container", c.Labels)
	}
	networks, nErr := docker.NetworkList(t.Context(), network.ListOptions{})
	for _, n := range networks {
		is("network", n.Labels)
	}
	volumes, vErr := docker.VolumeList(t.Context(), volume.ListOptions{})
	for _, v := range volumes.Volumes {
		is("volume", v.Labels)
	}
	images, iErr := docker.ImageList(t.Context(), image.ListOptions{All: true})
	for _, i := range images {
		is("image", i.Labels, i.RepoTags...)
	}
	if err := errors.Join(cErr, nErr, vErr, iErr); err != nil {
		t.Fatal(err)
	}
	return found
}
